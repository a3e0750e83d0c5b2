//! The property list of GetToolsState [foundryPropertyListCommon.c].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A value of a property list, with its VixPropertyType.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// VIX_PROPERTYTYPE_INTEGER
    Integer(i32),
    /// VIX_PROPERTYTYPE_STRING
    Text(String),
    /// VIX_PROPERTYTYPE_BOOL
    Bool(bool),
}

/// A property list in base64: id, type, length and data of each, little-endian. Text carries a NUL, and is cut
/// at one of its own.
pub fn property_list(properties: &[(i32, Property)]) -> String {
    let mut bytes = Vec::new();
    for (id, value) in properties {
        let (kind, data): (i32, Vec<u8>) = match value {
            Property::Integer(value) => (1, value.to_le_bytes().into()),
            Property::Text(text) => {
                let text = text.split('\0').next().unwrap_or_default();
                (2, [text.as_bytes(), b"\0"].concat())
            }
            Property::Bool(value) => (3, vec![u8::from(*value)]),
        };
        // Nothing here comes near 2 GiB; a length that lied would derail the reader.
        let Ok(len) = i32::try_from(data.len()) else {
            continue;
        };
        for word in [*id, kind, len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&data);
    }
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{VixError, result};
    use super::*;
    use crate::vmware::wire::text::ok;

    #[test]
    fn the_golden_reply_is_104_bytes() {
        let list = property_list(&[
            (4503, Property::Text("Talos v1.11.0".into())),
            (4501, Property::Integer(1)),
            (4502, Property::Integer(1)),
            (4541, Property::Bool(true)),
        ]);
        let reply = ok(&result(VixError::OK, false, list.as_bytes()));
        assert_eq!(reply.len(), 104);
        assert_eq!(
            reply,
            b"OK 0 0 lxEAAAIAAAAOAAAAVGFsb3MgdjEuMTEuMACVEQAAAQAAAAQAAAABAAAAlhEAAAEAAAAEAAAAAQAAAL0RAAADAAAAAQAAAAE=\0"
        );
    }

    proptest! {
        #[test]
        fn any_list_is_ascii(id: i32, number: i32, text in ".{0,40}", flag: bool) {
            let values = [Property::Integer(number), Property::Text(text), Property::Bool(flag)];
            prop_assert!(property_list(&values.map(|value| (id, value))).is_ascii());
        }
    }
}
