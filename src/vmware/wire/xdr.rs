//! XDR (RFC 4506): big-endian words of four bytes; strings and opaques are length, bytes and zero padding.
//!
//! ```text
//! string "talos"   00000005 74616c6f 73000000
//! T *absent        00000000
//! T *present       00000001 T
//! T<>              count, then the items
//! ```

/// Why bytes are not the XDR they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XdrError {
    /// The bytes end within a value.
    #[error("the bytes end at offset {offset} where {needed} more are needed")]
    Truncated {
        /// Offset of the value that does not fit.
        offset: usize,
        /// Its size in bytes.
        needed: usize,
    },
    /// A length or count above what its type allows.
    #[error("length {len} at offset {offset} is above {max}")]
    TooLong {
        /// Offset of the length word.
        offset: usize,
        /// The length or count found.
        len: usize,
        /// The most that the type allows.
        max: usize,
    },
    /// A word that is none of its type's values: a presence or truth word that is neither 0 nor 1, an unknown
    /// version, text that is not UTF-8, padding that is not zero.
    #[error("invalid value {value:#x} at offset {offset}")]
    Invalid {
        /// Offset of the word.
        offset: usize,
        /// The word.
        value: u32,
    },
    /// Bytes left over behind a complete message.
    #[error("{len} bytes left over at offset {offset}")]
    Trailing {
        /// Offset of the first of them.
        offset: usize,
        /// How many.
        len: usize,
    },
}

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

/// Reads XDR; every read is bounded by the bytes that are there and by the limit of its type.
#[derive(Clone, Debug)]
pub struct XdrDecoder<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> XdrDecoder<'a> {
    /// A decoder at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    /// How many bytes have been read.
    pub fn offset(&self) -> usize {
        self.offset
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], XdrError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(XdrError::Truncated {
            offset: self.offset,
            needed: len,
        })?;
        self.rest = rest;
        self.offset += len;
        Ok(taken)
    }

    /// unsigned int, enum.
    pub fn u32(&mut self) -> Result<u32, XdrError> {
        let word = self.take(4)?;
        Ok(word
            .iter()
            .fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    /// A word that must satisfy `valid`.
    pub fn checked(&mut self, valid: impl FnOnce(u32) -> bool) -> Result<u32, XdrError> {
        let offset = self.offset;
        let value = self.u32()?;
        if valid(value) {
            Ok(value)
        } else {
            Err(XdrError::Invalid { offset, value })
        }
    }

    /// bool.
    pub fn bool(&mut self) -> Result<bool, XdrError> {
        Ok(self.checked(|value| value <= 1)? == 1)
    }

    fn length(&mut self, max: usize) -> Result<usize, XdrError> {
        let offset = self.offset;
        let len = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if len > max {
            return Err(XdrError::TooLong { offset, len, max });
        }
        Ok(len)
    }

    /// `opaque<max>`.
    pub fn opaque(&mut self, max: usize) -> Result<&'a [u8], XdrError> {
        let len = self.length(max)?;
        let value = self.take(len)?;
        let offset = self.offset;
        match self
            .take(len.next_multiple_of(4) - len)?
            .iter()
            .find(|&&byte| byte != 0)
        {
            None => Ok(value),
            Some(&byte) => Err(XdrError::Invalid {
                offset,
                value: byte.into(),
            }),
        }
    }

    /// `string<max>`.
    pub fn string(&mut self, max: usize) -> Result<String, XdrError> {
        let offset = self.offset;
        let bytes = self.opaque(max)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(XdrError::Invalid {
                offset,
                value: bytes
                    .get(error.valid_up_to())
                    .copied()
                    .unwrap_or_default()
                    .into(),
            }),
        }
    }

    /// `T *`.
    pub fn optional<T>(
        &mut self,
        decode: impl FnOnce(&mut Self) -> Result<T, XdrError>,
    ) -> Result<Option<T>, XdrError> {
        if self.bool()? {
            decode(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// `T<max>`.
    pub fn list<T>(
        &mut self,
        max: usize,
        mut decode: impl FnMut(&mut Self) -> Result<T, XdrError>,
    ) -> Result<Vec<T>, XdrError> {
        let count = self.length(max)?;
        (0..count).map(|_| decode(self)).collect()
    }

    /// The end of the message: nothing may be left over.
    pub fn finish(self) -> Result<(), XdrError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(XdrError::Trailing {
                offset: self.offset,
                len: self.rest.len(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_are_padded_with_zeros() {
        let mut encoder = XdrEncoder::new();
        encoder.string("talos", 255);
        assert_eq!(encoder.into_bytes(), b"\0\0\0\x05talos\0\0\0");
        let mut decoder = XdrDecoder::new(b"\0\0\0\x05talos\0\0\x01");
        assert_eq!(
            decoder.string(255),
            Err(XdrError::Invalid {
                offset: 9,
                value: 1
            })
        );
    }

    #[test]
    fn the_offset_counts_what_has_been_read() {
        let mut decoder = XdrDecoder::new(b"\0\0\0\x05talos\0\0\0\0\0\0\x01");
        assert_eq!(decoder.offset(), 0);
        decoder.string(255).unwrap();
        assert_eq!(decoder.offset(), 12);
    }

    #[test]
    fn what_is_too_long_is_cut_when_written_and_refused_when_read() {
        let mut encoder = XdrEncoder::new();
        encoder.string("aé", 2);
        encoder.list(&[1, 2, 3], 2, |encoder, &item| encoder.u32(item));
        assert_eq!(
            encoder.into_bytes(),
            b"\0\0\0\x01a\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0\x02"
        );
        assert_eq!(
            XdrDecoder::new(b"\0\0\0\x03").list(2, XdrDecoder::u32),
            Err(XdrError::TooLong {
                offset: 0,
                len: 3,
                max: 2
            })
        );
    }

    proptest! {
        #[test]
        fn values_come_back(word: u32, flag: bool, text in ".{0,40}", bytes: Vec<u8>, words: Vec<u32>, maybe: Option<u32>) {
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
                let mut decoder = XdrDecoder::new(encoded);
                let all = (
                    decoder.u32()?,
                    decoder.bool()?,
                    decoder.string(1000)?,
                    decoder.opaque(1000)?.to_vec(),
                    decoder.list(1000, XdrDecoder::u32)?,
                    decoder.optional(XdrDecoder::u32)?,
                );
                decoder.finish()?;
                Ok::<_, XdrError>(all)
            };
            prop_assert_eq!(decode(&encoded), Ok((word, flag, text, bytes, words, maybe)));
            for end in 0..encoded.len() {
                prop_assert!(decode(&encoded[..end]).is_err());
            }
        }
    }
}
