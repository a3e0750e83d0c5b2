//! DataMap: a small map from field ids to typed values, the body of every packet on vsock.
//!
//! A map is a row of entries without a count; the length comes from outside ([`super::guest_rpc_packet`]):
//!
//! ```text
//! type be32 · field id be32 · value
//! 1 INT64       low be32, high be32           3 INT64LIST   count be32, count × int64
//! 2 STRING      length be32, bytes            4 STRINGLIST  count be32, count × string
//! ```
//!
//! The words of an int64 come low word first, unlike in big-endian. Strings are bytes without NUL and are never
//! empty. Source: dataMap.c, dataMap.h.

use std::collections::BTreeMap;

/// DMFIELDTYPE_INT64 [dataMap.h]
const TYPE_INT64: u32 = 1;
/// DMFIELDTYPE_STRING [dataMap.h]
const TYPE_STRING: u32 = 2;
/// DMFIELDTYPE_INT64LIST [dataMap.h]
const TYPE_INT64_LIST: u32 = 3;
/// DMFIELDTYPE_STRINGLIST [dataMap.h]
const TYPE_STRING_LIST: u32 = 4;

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// DMFIELDTYPE_INT64
    Int64(i64),
    /// DMFIELDTYPE_STRING: bytes, not necessarily text, at least one.
    String(Vec<u8>),
    /// DMFIELDTYPE_INT64LIST
    Int64List(Vec<i64>),
    /// DMFIELDTYPE_STRINGLIST: each string has at least one byte.
    StringList(Vec<Vec<u8>>),
}

/// Why bytes are not a DataMap. All of these are the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The map ends inside an entry.
    #[error("a DataMap entry is cut off: {needed} more bytes at offset {offset}, got {left}")]
    Truncated {
        /// Where the missing value starts.
        offset: usize,
        /// How many bytes it has.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// An entry has a type that does not exist.
    #[error("unknown DataMap type {found} at offset {offset}")]
    UnknownType {
        /// Where the entry starts.
        offset: usize,
        /// The type found there.
        found: u32,
    },
    /// Two entries have the same field id.
    #[error("DataMap field {field} occurs twice, again at offset {offset}")]
    Duplicate {
        /// Where the second entry starts.
        offset: usize,
        /// The field id.
        field: u32,
    },
    /// A string without bytes or with a negative length.
    #[error("DataMap string of impossible length {found} at offset {offset}")]
    StringLength {
        /// Where the length stands.
        offset: usize,
        /// The length found there, read as unsigned.
        found: u32,
    },
    /// A list that claims more elements than there are bytes for.
    #[error("DataMap list of {found} elements at offset {offset} has only {left} bytes")]
    ListLength {
        /// Where the count stands.
        offset: usize,
        /// The count found there, read as unsigned.
        found: u32,
        /// How many bytes follow it.
        left: usize,
    },
}

/// Fields by id. Unknown ids are kept, so a newer sender is understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataMap {
    fields: BTreeMap<u32, Value>,
}

impl DataMap {
    /// A map without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field, replacing what it held.
    pub fn insert(&mut self, field: u32, value: Value) {
        self.fields.insert(field, value);
    }

    /// The number in a field; `None` when there is none or it is of another type.
    pub fn int64(&self, field: u32) -> Option<i64> {
        match self.fields.get(&field) {
            Some(Value::Int64(number)) => Some(*number),
            Some(Value::String(_) | Value::Int64List(_) | Value::StringList(_)) | None => None,
        }
    }

    /// Takes the bytes out of a string field; `None` when there is none or it is of another type.
    pub fn take_string(&mut self, field: u32) -> Option<Vec<u8>> {
        match self.fields.remove(&field) {
            Some(Value::String(bytes)) => Some(bytes),
            Some(Value::Int64(_) | Value::Int64List(_) | Value::StringList(_)) | None => None,
        }
    }

    /// Reads a whole map; every byte of `content` must belong to an entry.
    ///
    /// # Errors
    /// [`DecodeError`], see there. Nothing larger than `content` is ever allocated ahead.
    pub fn decode(content: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader { content, offset: 0 };
        let mut map = Self::new();
        while reader.left() > 0 {
            let offset = reader.offset;
            let kind = reader.word()?;
            let field = reader.word()?;
            if map.fields.contains_key(&field) {
                return Err(DecodeError::Duplicate { offset, field });
            }
            let value = match kind {
                TYPE_INT64 => Value::Int64(reader.int64()?),
                TYPE_STRING => Value::String(reader.string()?),
                TYPE_INT64_LIST => Value::Int64List(reader.list(8, Reader::int64)?),
                // The smallest string is a length and one byte.
                TYPE_STRING_LIST => Value::StringList(reader.list(5, Reader::string)?),
                found => return Err(DecodeError::UnknownType { offset, found }),
            };
            map.insert(field, value);
        }
        Ok(map)
    }

    /// Appends the map's bytes. Fields go in the order of their ids, in which open-vm-tools' hash map happens to
    /// walk the ids in use.
    ///
    /// Strings must be shorter than 4 GiB; packets are far smaller.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for (&field, value) in &self.fields {
            match value {
                Value::Int64(number) => {
                    put_head(out, TYPE_INT64, field);
                    put_int64(out, *number);
                }
                Value::String(bytes) => {
                    put_head(out, TYPE_STRING, field);
                    put_string(out, bytes);
                }
                Value::Int64List(numbers) => {
                    put_head(out, TYPE_INT64_LIST, field);
                    put_length(out, numbers.len());
                    numbers.iter().for_each(|number| put_int64(out, *number));
                }
                Value::StringList(strings) => {
                    put_head(out, TYPE_STRING_LIST, field);
                    put_length(out, strings.len());
                    strings.iter().for_each(|bytes| put_string(out, bytes));
                }
            }
        }
    }
}

fn put_head(out: &mut Vec<u8>, kind: u32, field: u32) {
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&field.to_be_bytes());
}

fn put_int64(out: &mut Vec<u8>, number: i64) {
    // Low word first: the big-endian form with its halves exchanged.
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    out.extend_from_slice(&[e, f, g, h, a, b, c, d]);
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
}

/// Reads front to back and never beyond the end.
struct Reader<'a> {
    content: &'a [u8],
    offset: usize,
}

impl Reader<'_> {
    fn left(&self) -> usize {
        self.content.len().saturating_sub(self.offset)
    }

    fn bytes(&mut self, needed: usize) -> Result<&[u8], DecodeError> {
        let truncated = DecodeError::Truncated {
            offset: self.offset,
            needed,
            left: self.left(),
        };
        let end = self.offset.checked_add(needed).ok_or(truncated)?;
        let bytes = self.content.get(self.offset..end).ok_or(truncated)?;
        self.offset = end;
        Ok(bytes)
    }

    fn word(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.bytes(4)?;
        Ok(bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    fn int64(&mut self) -> Result<i64, DecodeError> {
        let low = u64::from(self.word()?);
        let high = u64::from(self.word()?);
        Ok((high << 32 | low).cast_signed())
    }

    fn string(&mut self) -> Result<Vec<u8>, DecodeError> {
        let offset = self.offset;
        let found = self.word()?;
        match usize::try_from(found.cast_signed()) {
            Ok(0) | Err(_) => Err(DecodeError::StringLength { offset, found }),
            Ok(length) => Ok(self.bytes(length)?.to_vec()),
        }
    }

    fn list<T>(
        &mut self,
        smallest: usize,
        element: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let offset = self.offset;
        let found = self.word()?;
        let left = self.left();
        match usize::try_from(found) {
            Ok(count) if count <= left / smallest => (0..count).map(|_| element(self)).collect(),
            Ok(_) | Err(_) => Err(DecodeError::ListLength {
                offset,
                found,
                left,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(map: &DataMap) -> Vec<u8> {
        let mut out = Vec::new();
        map.encode(&mut out);
        out
    }

    fn map_of(fields: impl IntoIterator<Item = (u32, Value)>) -> DataMap {
        DataMap {
            fields: fields.into_iter().collect(),
        }
    }

    fn entry(kind: u32, field: u32, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_head(&mut out, kind, field);
        out.extend_from_slice(value);
        out
    }

    /// The body of a reply, vsock.md §4.4 (bytes from the compiled dataMap.c).
    #[test]
    fn golden_entries_decode_and_encode() {
        let bytes: Vec<u8> = [
            entry(1, 1, &[0, 0, 0, 1, 0, 0, 0, 0]),
            entry(2, 2, b"\0\0\0\x0a1 10.0.0.5"),
        ]
        .concat();
        let map = map_of([
            (1, Value::Int64(1)),
            (2, Value::String(b"1 10.0.0.5".to_vec())),
        ]);
        assert_eq!(DataMap::decode(&bytes), Ok(map.clone()));
        assert_eq!(encoded(&map), bytes);
    }

    #[test]
    fn an_int64_has_its_low_word_first() {
        let bytes = entry(1, 9, &[0x55, 0x66, 0x77, 0x88, 0x11, 0x22, 0x33, 0x44]);
        let map = DataMap::decode(&bytes).unwrap();
        assert_eq!(map.int64(9), Some(0x1122_3344_5566_7788));
        assert_eq!(encoded(&map), bytes);
        assert_eq!(
            encoded(&map_of([(9, Value::Int64(-2))])),
            entry(1, 9, &[0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff])
        );
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let number = [0; 8];
        for (kind, found) in [(0, 0), (5, 5), (u32::MAX, u32::MAX)] {
            assert_eq!(
                DataMap::decode(&entry(kind, 1, &number)),
                Err(DecodeError::UnknownType { offset: 0, found })
            );
        }
        let twice = [entry(1, 7, &number), entry(2, 7, b"\0\0\0\x01x")].concat();
        assert_eq!(
            DataMap::decode(&twice),
            Err(DecodeError::Duplicate {
                offset: 16,
                field: 7
            })
        );
        for length in [0, 0x8000_0000, u32::MAX] {
            assert_eq!(
                DataMap::decode(&entry(2, 2, &length.to_be_bytes())),
                Err(DecodeError::StringLength {
                    offset: 8,
                    found: length
                })
            );
        }
        for kind in [3, 4] {
            assert_eq!(
                DataMap::decode(&entry(kind, 2, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
                Err(DecodeError::ListLength {
                    offset: 8,
                    found: 0x7fff_ffff,
                    left: 4
                })
            );
        }
        // One element more than there is room for, at its smallest.
        for (kind, room) in [(3, 15), (4, 9)] {
            let list = [&[0, 0, 0, 2][..], &vec![0; room]].concat();
            assert_eq!(
                DataMap::decode(&entry(kind, 2, &list)),
                Err(DecodeError::ListLength {
                    offset: 8,
                    found: 2,
                    left: room
                })
            );
        }
    }

    #[test]
    fn fields_are_told_apart_by_type() {
        let mut map = map_of([(1, Value::String(vec![1])), (2, Value::Int64(1))]);
        assert_eq!(map.int64(1), None);
        assert_eq!(map.int64(3), None);
        assert_eq!(map.take_string(2), None);
        assert_eq!(map.take_string(1), Some(vec![1]));
    }

    fn value() -> impl Strategy<Value = Value> {
        let string = || proptest::collection::vec(any::<u8>(), 1..20);
        prop_oneof![
            any::<i64>().prop_map(Value::Int64),
            string().prop_map(Value::String),
            proptest::collection::vec(any::<i64>(), 0..5).prop_map(Value::Int64List),
            proptest::collection::vec(string(), 0..5).prop_map(Value::StringList),
        ]
    }

    proptest! {
        #[test]
        fn decode_reverses_encode(fields in proptest::collection::btree_map(any::<u32>(), value(), 0..6)) {
            let map = DataMap { fields };
            prop_assert_eq!(DataMap::decode(&encoded(&map)), Ok(map));
        }

        /// A cut at an entry's border leaves a smaller map; any other cut is an error.
        #[test]
        fn a_cut_entry_is_an_error(value in value()) {
            let bytes = encoded(&map_of([(3, value)]));
            for end in 1..bytes.len() {
                prop_assert!(DataMap::decode(&bytes[..end]).is_err());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = DataMap::decode(&bytes);
        }

        /// Small words make valid types and lengths likely.
        #[test]
        fn arbitrary_small_words_never_panic(words in proptest::collection::vec(0u32..6, 0..50)) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            if let Ok(map) = DataMap::decode(&bytes) {
                prop_assert_eq!(DataMap::decode(&encoded(&map)), Ok(map));
            }
        }
    }
}
