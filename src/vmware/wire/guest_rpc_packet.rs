//! The packets of guest RPC on vsock, and finding them in a byte stream.
//!
//! A packet is a length, big-endian, and that many bytes of [`DataMap`]. `reset` as the host sends it:
//!
//! ```text
//! 00000021  00000001 00000001 00000001 00000000            length 33; INT64, packet type, 1 = DATA
//!           00000002 00000002 00000005 72 65 73 65 74      STRING, payload, 5 bytes
//! ```
//!
//! open-vm-tools accepts lengths up to 2 GiB; here a packet ends at [`MAX_BODY`]. Source: tclodefs.h,
//! simpleSocket.c, rpcin.c.

use super::datamap::{self, DataMap, Value};

/// Longest body (the bytes after the length) of a packet: the 64 KiB of the longest message, doubled for the
/// fields beside it that a newer host may add.
pub const MAX_BODY: usize = 128 * 1024;

/// GUESTRPCPKT_FIELD_TYPE [tclodefs.h]
const FIELD_TYPE: u32 = 1;
/// GUESTRPCPKT_FIELD_PAYLOAD [tclodefs.h]
const FIELD_PAYLOAD: u32 = 2;
/// GUESTRPCPKT_FIELD_FAST_CLOSE [tclodefs.h]
const FIELD_FAST_CLOSE: u32 = 3;

/// What a packet is for (GuestRpcPktType, tclodefs.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// 1: a message or its reply.
    #[default]
    Data,
    /// 2: a sign of life without payload and without reply.
    Ping,
    /// Any other number, or none at all; open-vm-tools looks at the payload alone.
    Other,
}

/// One packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// What it is for.
    pub kind: Kind,
    /// The message; empty if the packet has none (the format cannot express an empty one).
    pub payload: Vec<u8>,
    /// Asks the host to close the connection after its reply.
    pub fast_close: bool,
}

/// Why there is no packet where one must begin. The stream cannot be read any further; this is the host's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// The length is beyond [`MAX_BODY`].
    #[error("the host announced a packet of {length} bytes, more than {MAX_BODY}")]
    TooLong {
        /// The length found.
        length: u32,
    },
    /// The body is no DataMap.
    #[error("the host sent a malformed packet")]
    Body(#[from] datamap::DecodeError),
}

impl Packet {
    /// A message or a reply.
    pub fn data(payload: &[u8]) -> Self {
        Self {
            kind: Kind::Data,
            payload: payload.to_vec(),
            fast_close: false,
        }
    }

    /// A sign of life.
    pub fn ping() -> Self {
        Self {
            kind: Kind::Ping,
            ..Self::default()
        }
    }

    /// The packet's bytes, length first.
    pub fn encode(self) -> Vec<u8> {
        let mut map = DataMap::new();
        match self.kind {
            Kind::Data => map.insert(FIELD_TYPE, Value::Int64(1)),
            Kind::Ping => map.insert(FIELD_TYPE, Value::Int64(2)),
            Kind::Other => {}
        }
        if !self.payload.is_empty() {
            map.insert(FIELD_PAYLOAD, Value::String(self.payload));
        }
        if self.fast_close {
            map.insert(FIELD_FAST_CLOSE, Value::Int64(1));
        }
        let mut out = vec![0; 4];
        map.encode(&mut out);
        let length = u32::try_from(out.len().saturating_sub(4)).unwrap_or(u32::MAX);
        for (to, from) in out.iter_mut().zip(length.to_be_bytes()) {
            *to = from;
        }
        out
    }

    fn decode(body: &[u8]) -> Result<Self, datamap::DecodeError> {
        let mut map = DataMap::decode(body)?;
        Ok(Self {
            kind: match map.int64(FIELD_TYPE) {
                Some(1) => Kind::Data,
                Some(2) => Kind::Ping,
                Some(_) | None => Kind::Other,
            },
            fast_close: map.int64(FIELD_FAST_CLOSE).is_some_and(|flag| flag != 0),
            payload: map.take_string(FIELD_PAYLOAD).unwrap_or_default(),
        })
    }
}

/// Cuts a byte stream into packets.
///
/// Invariant: `buffer` begins at the start of a packet and holds all bytes that were pushed and not yet taken. If
/// you push only while [`Deframer::next_packet`] has nothing, it stays below [`MAX_BODY`] and one read.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
}

impl Deframer {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes have been pushed and not yet taken as a packet.
    pub const fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether everything pushed has been taken.
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next whole packet; `None` until more bytes have been pushed.
    ///
    /// # Errors
    /// [`PacketError`]: the stream is out of step and must be closed.
    pub fn next_packet(&mut self) -> Result<Option<Packet>, PacketError> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let announced = u32::from_be_bytes(*prefix);
        let length = match usize::try_from(announced) {
            Ok(length) if length <= MAX_BODY => length,
            Ok(_) | Err(_) => return Err(PacketError::TooLong { length: announced }),
        };
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let packet = Packet::decode(body)?;
        self.buffer.drain(..length.saturating_add(4));
        if self.buffer.is_empty() {
            // One large message must not keep its memory for the life of the connection.
            self.buffer.shrink_to(4096);
        }
        Ok(Some(packet))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From vsock.md §4.4 (produced by the compiled dataMap.c and hashMap.c).
    fn golden() -> Vec<(Packet, Vec<u8>)> {
        let head = |length: u8, kind: u8| {
            let mut bytes = vec![0, 0, 0, length];
            bytes.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, kind, 0, 0, 0, 0]);
            bytes
        };
        let payload = |text: &[u8]| {
            let mut bytes = vec![0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, text.len() as u8];
            bytes.extend_from_slice(text);
            bytes
        };
        let fast_close = vec![0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0];
        vec![
            (
                Packet::data(b"info-get guestinfo.ip"),
                [head(0x31, 1), payload(b"info-get guestinfo.ip")].concat(),
            ),
            (
                Packet {
                    fast_close: true,
                    ..Packet::data(b"info-get guestinfo.ip")
                },
                [head(0x41, 1), payload(b"info-get guestinfo.ip"), fast_close].concat(),
            ),
            (
                Packet::data(b"1 10.0.0.5"),
                [head(0x26, 1), payload(b"1 10.0.0.5")].concat(),
            ),
            (
                Packet::data(b"reset"),
                [head(0x21, 1), payload(b"reset")].concat(),
            ),
            (
                Packet::data(b"OK ATR toolbox"),
                [head(0x2a, 1), payload(b"OK ATR toolbox")].concat(),
            ),
            (Packet::ping(), head(0x10, 2)),
        ]
    }

    fn packets(deframer: &mut Deframer) -> Vec<Packet> {
        std::iter::from_fn(|| deframer.next_packet().unwrap()).collect()
    }

    #[test]
    fn golden_packets_encode_and_decode() {
        let lengths: Vec<usize> = golden().iter().map(|(_, bytes)| bytes.len()).collect();
        assert_eq!(lengths, [53, 69, 42, 37, 46, 20]);
        for (packet, bytes) in golden() {
            assert_eq!(packet.clone().encode(), bytes);
            let mut deframer = Deframer::new();
            deframer.push(&bytes);
            assert_eq!(packets(&mut deframer), [packet]);
        }
    }

    #[test]
    fn a_stream_in_single_bytes_gives_the_same_packets() {
        let mut deframer = Deframer::new();
        let mut found = Vec::new();
        for byte in golden().into_iter().flat_map(|(_, bytes)| bytes) {
            deframer.push(&[byte]);
            found.extend(packets(&mut deframer));
        }
        let sent: Vec<Packet> = golden().into_iter().map(|(packet, _)| packet).collect();
        assert_eq!(found, sent);
    }

    #[test]
    fn what_is_held_is_what_was_pushed_and_not_taken() {
        let mut deframer = Deframer::new();
        assert!(deframer.is_empty());
        let bytes = [Packet::ping().encode(), vec![0; 3]].concat();
        deframer.push(&bytes);
        assert_eq!((deframer.len(), deframer.is_empty()), (23, false));
        assert_eq!(packets(&mut deframer), [Packet::ping()]);
        assert_eq!((deframer.len(), deframer.is_empty()), (3, false));
    }

    #[test]
    fn entry_order_and_unknown_fields_do_not_matter() {
        let mut map = DataMap::new();
        map.insert(0, Value::StringList(vec![b"new".to_vec()]));
        map.insert(2, Value::String(b"x".to_vec()));
        let mut body = Vec::new();
        map.encode(&mut body);
        body.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Packet::decode(&body), Ok(Packet::data(b"x")));
    }

    #[test]
    fn lengths_beyond_the_bound_are_refused_before_any_body() {
        for (length, error) in [
            (MAX_BODY as u32, None),
            (MAX_BODY as u32 + 1, Some(MAX_BODY as u32 + 1)),
            (u32::MAX, Some(u32::MAX)),
        ] {
            let mut deframer = Deframer::new();
            deframer.push(&length.to_be_bytes());
            assert_eq!(
                deframer.next_packet().err(),
                error.map(|length| PacketError::TooLong { length })
            );
        }
    }

    #[test]
    fn the_longest_message_fits() {
        let packet = Packet::data(&vec![0xa5; 65_536]);
        let mut deframer = Deframer::new();
        deframer.push(&packet.clone().encode());
        assert_eq!(packets(&mut deframer), [packet]);
        assert!(deframer.buffer.capacity() <= 4096);
    }

    proptest! {
        #[test]
        fn decode_reverses_encode(payload in proptest::collection::vec(any::<u8>(), 0..300), fast_close: bool, ping: bool) {
            let kind = if ping { Kind::Ping } else { Kind::Data };
            let packet = Packet { kind, payload, fast_close };
            let mut deframer = Deframer::new();
            deframer.push(&packet.clone().encode());
            prop_assert_eq!(packets(&mut deframer), [packet]);
        }

        #[test]
        fn arbitrary_streams_never_panic(chunks in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(0u8), 0..6u8, any::<u8>()], 0..40), 0..8)) {
            let mut deframer = Deframer::new();
            for chunk in chunks {
                deframer.push(&chunk);
                while let Ok(Some(_)) = deframer.next_packet() {}
            }
        }
    }
}
