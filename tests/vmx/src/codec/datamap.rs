//! DataMap packets, the frames of guest RPC over vsock (dataMap.c, tclodefs.h).
//!
//! A packet is a big-endian length and as many bytes of entries: type, field id, value. All words are
//! big-endian; an int64 is sent low word first.
//!
//! ```text
//! 00000010 00000001 00000001 00000002 00000000     PING: INT64, field 1, value 2
//! ```

use super::Malformed;

const TYPE_INT64: u32 = 1;
const TYPE_STRING: u32 = 2;
const TYPE_INT64_LIST: u32 = 3;
const TYPE_STRING_LIST: u32 = 4;
const FIELD_TYPE: u32 = 1;
const FIELD_PAYLOAD: u32 = 2;
const FIELD_FAST_CLOSE: u32 = 3;

/// The largest packet a guest may send: a 64 KiB message and its frame.
pub const MAX_PACKET: usize = 65536 + 256;

/// One packet of either direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// GUESTRPCPKT_TYPE: 1 DATA, 2 PING.
    pub kind: i64,
    /// The message.
    pub payload: Option<Vec<u8>>,
    /// The host shall close the connection after its reply.
    pub fast_close: bool,
}

/// DATA.
pub const DATA: i64 = 1;
/// PING.
pub const PING: i64 = 2;

impl Packet {
    /// A DATA packet.
    pub fn data(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: DATA,
            payload: Some(payload.into()),
            fast_close: false,
        }
    }

    /// The packet with its length prefix.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        int64(&mut body, FIELD_TYPE, self.kind);
        if let Some(payload) = &self.payload {
            word(&mut body, TYPE_STRING);
            word(&mut body, FIELD_PAYLOAD);
            word(&mut body, payload.len() as u32);
            body.extend_from_slice(payload);
        }
        if self.fast_close {
            int64(&mut body, FIELD_FAST_CLOSE, 1);
        }
        let mut packet = Vec::with_capacity(4 + body.len());
        word(&mut packet, body.len() as u32);
        packet.extend(body);
        packet
    }

    /// Takes one packet off the front of `bytes`: the packet and its length, or `None` while more
    /// bytes are needed.
    ///
    /// # Errors
    /// [`Malformed`] for an absurd length, unknown types, duplicate fields and entries that do not
    /// fill the packet exactly.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(prefix) = bytes.first_chunk::<4>() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        if len > MAX_PACKET {
            return Err(Malformed(format!("datamap: packet of {len} bytes")));
        }
        let Some(body) = bytes.get(4..4 + len) else {
            return Ok(None);
        };
        Ok(Some((Self::body(body)?, 4 + len)))
    }

    fn body(body: &[u8]) -> Result<Self, Malformed> {
        let mut packet = Self::default();
        let mut seen = Vec::new();
        let mut reader = Reader(body);
        while !reader.0.is_empty() {
            let kind = reader.word()?;
            let field = reader.word()?;
            if seen.contains(&field) {
                return Err(Malformed(format!("datamap: field {field} twice")));
            }
            seen.push(field);
            match (kind, field) {
                (TYPE_INT64, FIELD_TYPE) => packet.kind = reader.int64()?,
                (TYPE_INT64, FIELD_FAST_CLOSE) => packet.fast_close = reader.int64()? != 0,
                (TYPE_STRING, FIELD_PAYLOAD) => packet.payload = Some(reader.string()?.to_vec()),
                (_, FIELD_TYPE..=FIELD_FAST_CLOSE) => {
                    return Err(Malformed(format!("datamap: field {field} has type {kind}")));
                }
                (TYPE_INT64, _) => drop(reader.int64()?),
                (TYPE_STRING, _) => drop(reader.string()?),
                (TYPE_INT64_LIST, _) => {
                    for _ in 0..reader.word()? {
                        reader.int64()?;
                    }
                }
                (TYPE_STRING_LIST, _) => {
                    for _ in 0..reader.word()? {
                        reader.string()?;
                    }
                }
                _ => return Err(Malformed(format!("datamap: entry type {kind}"))),
            }
        }
        Ok(packet)
    }
}

fn word(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_be_bytes());
}

fn int64(out: &mut Vec<u8>, field: u32, value: i64) {
    word(out, TYPE_INT64);
    word(out, field);
    word(out, value as u32);
    word(out, (value >> 32) as u32);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn word(&mut self) -> Result<u32, Malformed> {
        let Some((head, tail)) = self.0.split_first_chunk::<4>() else {
            return Err(Malformed::new("datamap: truncated word"));
        };
        self.0 = tail;
        Ok(u32::from_be_bytes(*head))
    }

    fn int64(&mut self) -> Result<i64, Malformed> {
        let low = self.word()?;
        let high = self.word()?;
        Ok((i64::from(high as i32) << 32) | i64::from(low))
    }

    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.word()? as usize;
        if len == 0 || len > self.0.len() {
            return Err(Malformed(format!("datamap: string of {len} bytes")));
        }
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::nic_info::tests::hex;
    use super::*;

    /// Packets of vsock §4.4, made by open-vm-tools' dataMap.c.
    const REQUEST: &str = "00000031 00000001 00000001 00000001 00000000 00000002 00000002 00000015 \
        696e666f2d676574206775657374696e666f2e6970";
    const FAST: &str = "00000041 00000001 00000001 00000001 00000000 00000002 00000002 00000015 \
        696e666f2d676574206775657374696e666f2e6970 00000001 00000003 00000001 00000000";
    const RESET: &str =
        "00000021 00000001 00000001 00000001 00000000 00000002 00000002 00000005 7265736574";
    const PING_PACKET: &str = "00000010 00000001 00000001 00000002 00000000";

    #[test]
    fn packets_of_open_vm_tools_are_read_and_written() {
        let ping = Packet {
            kind: PING,
            payload: None,
            fast_close: false,
        };
        let request = Packet::data(*b"info-get guestinfo.ip");
        let fast = Packet {
            fast_close: true,
            ..request.clone()
        };
        for (text, packet) in [
            (REQUEST, request),
            (FAST, fast),
            (RESET, Packet::data(*b"reset")),
            (PING_PACKET, ping),
        ] {
            let bytes = hex(text);
            assert_eq!(
                Packet::decode(&bytes).unwrap(),
                Some((packet.clone(), bytes.len()))
            );
            assert_eq!(packet.encode(), bytes);
            for len in 0..bytes.len() {
                assert_eq!(Packet::decode(&bytes[..len]).unwrap(), None);
            }
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Packet::decode(&hex("7fffffff")).is_err());
        assert!(Packet::decode(&hex("00000004 00000001")).is_err());
        assert!(Packet::decode(&hex("00000010 00000009 00000001 00000002 00000000")).is_err());
        let twice =
            "00000020 00000001 00000001 00000002 00000000 00000001 00000001 00000002 00000000";
        assert!(Packet::decode(&hex(twice)).is_err());
    }
}
