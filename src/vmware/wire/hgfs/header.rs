//! The header of a packet (HgfsHeader), and what a reply repeats of it.

use super::fields::Fields;
use super::status::Status;

/// HGFS_HEADER_VERSION.
const VERSION: u32 = 1;
/// HGFS_OP_NEW_HEADER, where packets without this header have their operation.
const NEW_HEADER: u32 = 0xFF;
/// sizeof HgfsHeader.
pub(super) const HEADER_LEN: u32 = 52;
/// HGFS_PACKET_FLAG_REPLY.
const FLAG_REPLY: u32 = 2;

/// What a reply repeats of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Names the request.
    pub id: u32,
    /// The operation.
    pub op: u32,
    /// The session; without meaning when one is created.
    pub session: u64,
    /// Names the request once more, within the payload of an old operation.
    pub inner_id: u32,
    /// The packet is older than version 4: its reply is an id and a status.
    pub is_old: bool,
}

impl Header {
    /// Reads it. The payload is `None` when the packet is cut short, lies about its lengths or is older than this
    /// header; what a reply needs is read as far as it is there.
    pub(super) fn decode(packet: &[u8]) -> (Self, Option<&[u8]>) {
        let mut fields = Fields::new(packet);
        let (Some(first), Some(marker)) = (fields.u32(), fields.u32()) else {
            return (Self::default(), None);
        };
        if marker != NEW_HEADER {
            let old = Self {
                id: first,
                is_old: true,
                ..Self::default()
            };
            return (old, None);
        }
        let lengths = (fields.u32(), fields.u32());
        let id = fields.u32().unwrap_or_default();
        let op = fields.u32().unwrap_or_default();
        let _status_flags_information = fields.bytes(12);
        let header = Self {
            id,
            op,
            session: fields.u64().unwrap_or_default(),
            ..Self::default()
        };
        let payload = || {
            let (size, header_size) = (lengths.0?, lengths.1?);
            let packet = packet.get(..usize::try_from(size).ok()?)?;
            let payload = packet.get(usize::try_from(header_size).ok()?..)?;
            (header_size >= HEADER_LEN).then_some(payload)
        };
        (header, payload())
    }

    /// A reply of so many bytes in all; its payload is to follow.
    pub(super) fn begin_reply(&self, status: Status, len: usize) -> Vec<u8> {
        let mut packet = Vec::with_capacity(len);
        let words = [
            VERSION,
            NEW_HEADER,
            u32::try_from(len).unwrap_or(u32::MAX),
            HEADER_LEN,
            self.id,
            self.op,
            status as u32,
            FLAG_REPLY,
            0,
        ];
        packet.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        packet.extend(self.session.to_le_bytes());
        packet.extend(0_u64.to_le_bytes());
        packet
    }
}
