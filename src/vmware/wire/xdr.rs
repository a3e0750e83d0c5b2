//! XDR (RFC 4506): big-endian words of four bytes; strings and opaques are length, bytes and zero padding.
//!
//! ```text
//! string "talos"   00000005 74616c6f 73000000
//! T *absent        00000000
//! T *present       00000001 T
//! T<>              count, then the items
//! ```

/// Writes XDR. What exceeds a bound is cut to it, so that everything written is within the limits of its type.
#[derive(Debug, Default)]
pub struct XdrEncoder {
    bytes: Vec<u8>,
}

impl XdrEncoder {
    /// An encoder without bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// unsigned int, enum.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_be_bytes());
    }

    /// bool, and the word before an optional value.
    pub fn bool(&mut self, value: bool) {
        self.u32(u32::from(value));
    }

    /// `opaque<max>`: at most `max` bytes are written.
    pub fn opaque(&mut self, value: &[u8], max: usize) {
        let value = value.get(..max).unwrap_or(value);
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(value);
        let padding = value.len().next_multiple_of(4) - value.len();
        self.bytes.extend(std::iter::repeat_n(0, padding));
    }

    /// `string<max>`: cut between characters to at most `max` bytes.
    pub fn string(&mut self, value: &str, max: usize) {
        let end = value.floor_char_boundary(max.min(value.len()));
        self.opaque(value.get(..end).unwrap_or_default().as_bytes(), max);
    }

    /// `T *`: the presence word, then the value.
    pub fn optional<T>(&mut self, value: Option<&T>, encode: impl FnOnce(&mut Self, &T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            encode(self, value);
        }
    }

    /// `T<max>`: the count, then at most `max` items.
    pub fn list<T>(&mut self, items: &[T], max: usize, mut encode: impl FnMut(&mut Self, &T)) {
        let items = items.get(..max).unwrap_or(items);
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            encode(self, item);
        }
    }

    /// All bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads XDR. `None` for what is cut, longer than its bound, or no value of its type.
#[derive(Clone, Debug)]
pub struct XdrDecoder<'a> {
    bytes: &'a [u8],
}

impl<'a> XdrDecoder<'a> {
    /// A decoder of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// unsigned int, enum.
    pub fn u32(&mut self) -> Option<u32> {
        let (word, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(u32::from_be_bytes(*word))
    }

    /// bool: 0 or 1.
    pub fn bool(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// `opaque<max>`, `string<max>`. What the padding holds does not matter.
    pub fn opaque(&mut self, max: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        if length > max {
            return None;
        }
        let (padded, rest) = self.bytes.split_at_checked(length.next_multiple_of(4))?;
        self.bytes = rest;
        padded.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmx::codec::Malformed;
    use vmx::codec::xdr::Xdr;

    use super::*;

    #[test]
    fn strings_are_padded_with_zeros() {
        let mut encoder = XdrEncoder::new();
        encoder.string("talos", 255);
        assert_eq!(encoder.into_bytes(), b"\0\0\0\x05talos\0\0\0");
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let mut encoder = XdrEncoder::new();
        encoder.string("aé", 2);
        encoder.list(&[1, 2, 3], 2, |encoder, &item| encoder.u32(item));
        assert_eq!(
            encoder.into_bytes(),
            b"\0\0\0\x01a\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x02"
        );
    }

    proptest! {
        /// Read by the simulated host, which has a reader of its own.
        #[test]
        fn values_come_back(word: u32, flag: bool, text in "[^\0]{0,40}", bytes: Vec<u8>, words: Vec<u32>, maybe: Option<u32>) {
            let mut encoder = XdrEncoder::new();
            encoder.u32(word);
            encoder.bool(flag);
            encoder.string(&text, 1000);
            encoder.opaque(&bytes, 1000);
            encoder.list(&words, 1000, |encoder, &word| encoder.u32(word));
            encoder.optional(maybe.as_ref(), |encoder, &word| encoder.u32(word));
            let encoded = encoder.into_bytes();
            prop_assert_eq!(encoded.len() % 4, 0);
            let decode = |encoded: &[u8]| {
                let mut xdr = Xdr::new(encoded);
                let all = (
                    xdr.u32("word")?,
                    xdr.boolean("flag")?,
                    xdr.string(1000, "text")?,
                    xdr.opaque(1000, "bytes")?.to_vec(),
                    xdr.array(1000, "words", |xdr| xdr.u32("words"))?,
                    xdr.option("maybe", |xdr| xdr.u32("maybe"))?,
                );
                xdr.finish()?;
                Ok::<_, Malformed>(all)
            };
            prop_assert_eq!(decode(&encoded), Ok((word, flag, text, bytes, words, maybe)));
            for end in 0..encoded.len() {
                prop_assert!(decode(&encoded[..end]).is_err());
            }
        }

        #[test]
        fn what_was_written_is_read_again(word: u32, flag: bool, bytes in proptest::collection::vec(any::<u8>(), 0..9)) {
            let mut encoder = XdrEncoder::new();
            encoder.u32(word);
            encoder.opaque(&bytes, 8);
            encoder.bool(flag);
            let encoded = encoder.into_bytes();
            let decode = |encoded| {
                let mut decoder = XdrDecoder::new(encoded);
                Some((decoder.u32()?, decoder.opaque(8)?, decoder.bool()?))
            };
            prop_assert_eq!(decode(&encoded[..]), Some((word, &bytes[..], flag)));
            for end in 0..encoded.len() {
                prop_assert_eq!(decode(&encoded[..end]), None);
            }
        }
    }

    #[test]
    fn lengths_beyond_their_bound_and_other_truths_are_no_values() {
        let mut decoder = XdrDecoder::new(b"\0\0\0\x05talos\0\0\0");
        assert_eq!(decoder.clone().opaque(5), Some(&b"talos"[..]));
        assert_eq!(decoder.opaque(4), None);
        assert_eq!(XdrDecoder::new(&[0xff; 8]).opaque(usize::MAX), None);
        assert_eq!(XdrDecoder::new(&[0, 0, 0, 2]).bool(), None);
    }
}
