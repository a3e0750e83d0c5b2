//! VIX commands as the VMX relays them over TCLO, and the replies (vixCommands.h, foundryMsg.c).
//!
//! Request: `Vix_1_Relayed_Command "<name>"`, NUL, 51 bytes of header, body, credential.
//! Reply: `<error> <additional error> <text>` and a NUL, or `… #<binary>`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Malformed;
use super::guest_info::base64;

/// VIX_COMMAND_GET_TOOLS_STATE.
pub const GET_TOOLS_STATE: u32 = 62;

/// The TCLO request that relays operation `opcode`.
pub fn request(
    name: &str,
    opcode: u32,
    body: &[u8],
    credential_type: u32,
    credential: &[u8],
) -> Vec<u8> {
    Message::new(opcode, body)
        .with(credential_type, credential)
        .encode(name)
}

/// A request whose header says how long it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Operation.
    pub opcode: u32,
    /// Whether the reply is to be binary (VIX_COMMAND_GUEST_RETURNS_BINARY).
    pub binary: bool,
    /// Its arguments.
    pub body: Vec<u8>,
    /// Kind of the credential.
    pub credential_type: u32,
    /// The credential.
    pub credential: Vec<u8>,
}

impl Message {
    /// Without credential.
    pub fn new(opcode: u32, body: &[u8]) -> Self {
        Self {
            opcode,
            binary: false,
            body: body.to_vec(),
            credential_type: 0,
            credential: Vec::new(),
        }
    }

    /// With this credential.
    #[must_use]
    pub fn with(self, credential_type: u32, credential: &[u8]) -> Self {
        Self {
            credential_type,
            credential: credential.to_vec(),
            ..self
        }
    }

    /// The TCLO request that relays it.
    pub fn encode(&self, name: &str) -> Vec<u8> {
        const HEADER: u32 = 51;
        let mut bytes = format!("Vix_1_Relayed_Command \"{name}\"\0").into_bytes();
        let (body_len, credential_len) = (self.body.len() as u32, self.credential.len() as u32);
        bytes.extend(0xD00D_0001u32.to_le_bytes());
        bytes.extend(5u16.to_le_bytes());
        bytes.extend((HEADER + body_len + credential_len).to_le_bytes());
        bytes.extend(HEADER.to_le_bytes());
        bytes.extend(body_len.to_le_bytes());
        bytes.extend(credential_len.to_le_bytes());
        bytes.push(if self.binary { 0x85 } else { 0x05 });
        bytes.extend(self.opcode.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0x1122_3344_5566_7788u64.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(self.credential_type.to_le_bytes());
        bytes.extend(&self.body);
        bytes.extend(&self.credential);
        bytes
    }
}

/// `GetToolsState`, without credentials.
pub fn get_tools_state(name: &str) -> Vec<u8> {
    request(name, GET_TOOLS_STATE, &[], 0, &[])
}

/// A reply, without its `OK `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// VixError.
    pub error: i64,
    /// errno, if the operation says so.
    pub additional: i64,
    /// Text (NUL cut) or binary.
    pub result: Vec<u8>,
}

impl Reply {
    /// Reads a whole TCLO reply.
    ///
    /// # Errors
    /// [`Malformed`]: not `OK `, no numbers, a text without its one NUL.
    pub fn decode(reply: &[u8]) -> Result<Self, Malformed> {
        let bad = || Malformed(format!("vix: reply {}", super::printable(reply, 80)));
        let rest = reply.strip_prefix(b"OK ").ok_or_else(bad)?;
        let mut parts = rest.splitn(3, |&byte| byte == b' ');
        let mut number = || {
            let text = std::str::from_utf8(parts.next()?).ok()?;
            text.parse::<i64>().ok()
        };
        let (error, additional) = (number().ok_or_else(bad)?, number().ok_or_else(bad)?);
        let result = parts.next().ok_or_else(bad)?;
        let result = match result {
            [b'#', binary @ ..] => binary,
            [text @ .., 0] if !text.contains(&0) => text,
            _ => return Err(bad()),
        };
        Ok(Self {
            error,
            additional,
            result: result.to_vec(),
        })
    }

    /// The property list of GetToolsState.
    ///
    /// # Errors
    /// [`Malformed`]: not base64, truncated, or a property of the wrong size.
    pub fn properties(&self) -> Result<BTreeMap<u32, Property>, Malformed> {
        let text = std::str::from_utf8(&self.result)
            .map_err(|_| Malformed::new("vix: properties are not text"))?;
        let bytes = base64(text).ok_or_else(|| Malformed::new("vix: properties are not base64"))?;
        properties(&bytes)
    }
}

/// The value of a property (foundryPropertyListCommon.c).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Property {
    /// Type 1.
    Integer(i32),
    /// Type 2, its NUL cut.
    Text(String),
    /// Type 3.
    Boolean(bool),
    /// Type 5.
    Integer64(i64),
    /// Type 6.
    Blob(Vec<u8>),
}

fn properties(bytes: &[u8]) -> Result<BTreeMap<u32, Property>, Malformed> {
    let bad = |what: &str| Malformed(format!("vix: {what}"));
    let mut map = BTreeMap::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut word = || {
            let (head, tail) = rest
                .split_first_chunk::<4>()
                .ok_or_else(|| bad("truncated"))?;
            rest = tail;
            Ok::<_, Malformed>(u32::from_le_bytes(*head))
        };
        let (id, kind, len) = (word()?, word()?, word()? as usize);
        if len > rest.len() {
            return Err(bad("truncated property"));
        }
        let (data, tail) = rest.split_at(len);
        rest = tail;
        let value = match kind {
            1 => Property::Integer(i32::from_le_bytes(
                data.try_into().map_err(|_| bad("int32"))?,
            )),
            2 => Property::Text(super::guest_info::nul_text(data, "vix: text property")?),
            3 => match data {
                [0] => Property::Boolean(false),
                [1] => Property::Boolean(true),
                _ => return Err(bad("bool")),
            },
            5 => Property::Integer64(i64::from_le_bytes(
                data.try_into().map_err(|_| bad("int64"))?,
            )),
            6 => Property::Blob(data.to_vec()),
            _ => return Err(bad("property type")),
        };
        if map.insert(id, value).is_some() {
            return Err(bad(&format!("property {id} twice")));
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::super::nic_info::tests::hex;
    use super::*;

    #[test]
    fn the_request_of_the_reference_is_built() {
        // guest-ops-vix §8.2
        let golden = hex(
            "5669785f315f52656c617965645f436f6d6d616e64202272657131 22 00 \
             01000dd005003300000033000000000000000000000005 3e00000000000000 \
             00000000887766554433221100000000 00000000",
        );
        assert_eq!(golden.len(), 80);
        assert_eq!(get_tools_state("req1"), golden);
    }

    #[test]
    fn the_reply_of_the_reference_is_read() {
        // guest-ops-vix §8.4
        let reply = b"OK 0 0 lxEAAAIAAAAOAAAAVGFsb3MgdjEuMTEuMACVEQAAAQAAAAQAAAABAAAAlhEAAAEAAAAEAAAAAQAAAL0RAAADAAAAAQAAAAE=\0";
        assert_eq!(reply.len(), 104);
        let reply = Reply::decode(reply).unwrap();
        assert_eq!((reply.error, reply.additional), (0, 0));
        let properties = reply.properties().unwrap();
        assert_eq!(properties[&4503], Property::Text("Talos v1.11.0".into()));
        assert_eq!(properties[&4501], Property::Integer(1));
        assert_eq!(properties[&4541], Property::Boolean(true));
    }

    #[test]
    fn replies_of_other_forms_are_refused() {
        assert!(Reply::decode(b"OK 3025 0 \0").is_ok());
        assert_eq!(Reply::decode(b"OK 3015 -2 #ab").unwrap().result, b"ab");
        for bad in [
            &b"OK 0 0 "[..],
            b"ERROR x",
            b"OK 0 \0",
            b"OK x 0 \0",
            b"OK 0 0 a\0b\0",
        ] {
            assert!(Reply::decode(bad).is_err());
        }
    }
}
