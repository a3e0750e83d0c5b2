//! The other side, for tests and fuzzing: requests out, replies in.
#![allow(missing_docs, clippy::missing_docs_in_private_items)]

use super::fields::Fields;
use super::{
    CLOSE, CLOSE_V3, CREATE_SESSION, DESTROY_SESSION, GETATTR_V2, GETATTR_V3, LAST_OLD, OPEN,
    OPEN_V3, READ_V3, WRITE_V3,
};

/// A request, as fields of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    CreateSession {
        flags: u32,
        most_in_packet: u32,
    },
    DestroySession,
    Open {
        mode: u32,
        flags: u32,
        name: Vec<u8>,
    },
    OpenV3 {
        mode: u32,
        flags: u32,
        name: Vec<u8>,
    },
    OpenHandle {
        handle: u32,
    },
    Read {
        handle: u32,
        offset: u64,
        size: u32,
    },
    Write {
        handle: u32,
        offset: u64,
        data: Vec<u8>,
    },
    Close {
        handle: u32,
    },
    CloseV3 {
        handle: u32,
    },
    Attributes {
        name: Vec<u8>,
    },
    AttributesOfHandle {
        handle: u32,
    },
    AttributesV3 {
        name: Vec<u8>,
    },
    AttributesOfHandleV3 {
        handle: u32,
    },
    /// Any other operation.
    Other {
        op: u32,
        payload: Vec<u8>,
    },
}

/// A name as a request has it: components joined by NUL, the share first.
pub fn name(path: &str) -> Vec<u8> {
    let mut name = b"root".to_vec();
    for component in path.split('/').filter(|component| !component.is_empty()) {
        name.push(0);
        name.extend(component.bytes());
    }
    name
}

impl Asked {
    pub const fn op(&self) -> u32 {
        match self {
            Self::CreateSession { .. } => CREATE_SESSION,
            Self::DestroySession => DESTROY_SESSION,
            Self::Open { .. } => OPEN,
            Self::OpenV3 { .. } | Self::OpenHandle { .. } => OPEN_V3,
            Self::Read { .. } => READ_V3,
            Self::Write { .. } => WRITE_V3,
            Self::Close { .. } => CLOSE,
            Self::CloseV3 { .. } => CLOSE_V3,
            Self::Attributes { .. } | Self::AttributesOfHandle { .. } => GETATTR_V2,
            Self::AttributesV3 { .. } | Self::AttributesOfHandleV3 { .. } => GETATTR_V3,
            Self::Other { op, .. } => *op,
        }
    }

    /// The packet.
    pub fn encode(&self, id: u32, session: u64) -> Vec<u8> {
        let op = self.op();
        let mut payload = Vec::new();
        if op <= LAST_OLD && !matches!(self, Self::Other { .. }) {
            words(&mut payload, &[0, op]);
        }
        self.encode_fields(&mut payload);
        packet(id, op, session, &payload)
    }

    fn encode_fields(&self, out: &mut Vec<u8>) {
        match self {
            Self::CreateSession {
                flags,
                most_in_packet,
            } => words(out, &[0, *most_in_packet, *flags, 0]),
            Self::DestroySession => out.extend([0; 8]),
            Self::Open { mode, flags, name } => {
                words(out, &[*mode, *flags]);
                out.push(4);
                words(out, &[len(name)]);
                bytes_of_name(out, name);
            }
            Self::OpenV3 { mode, flags, name } => {
                open_v3(out, *mode, *flags);
                words(out, &[len(name), 0, 0, 0]);
                bytes_of_name(out, name);
            }
            Self::OpenHandle { handle } => {
                open_v3(out, 0, 0);
                words(out, &[0, 1, 0, *handle]);
                out.push(0);
            }
            Self::Read {
                handle,
                offset,
                size,
            } => {
                words(out, &[*handle]);
                out.extend(offset.to_le_bytes());
                words(out, &[*size, 0, 0]);
            }
            Self::Write {
                handle,
                offset,
                data,
            } => {
                words(out, &[*handle]);
                out.push(0);
                out.extend(offset.to_le_bytes());
                words(out, &[len(data), 0, 0]);
                out.extend(data);
            }
            Self::Close { handle } => words(out, &[*handle]),
            Self::CloseV3 { handle } => words(out, &[*handle, 0, 0]),
            Self::Attributes { name } => {
                words(out, &[0, 0, 0, len(name)]);
                bytes_of_name(out, name);
            }
            Self::AttributesOfHandle { handle } => {
                words(out, &[4, 0, *handle, 0]);
                out.push(0);
            }
            Self::AttributesV3 { name } => {
                words(out, &[0, 0, 0, 0, len(name), 0, 0, 0]);
                bytes_of_name(out, name);
            }
            Self::AttributesOfHandleV3 { handle } => {
                words(out, &[4, 0, 0, 0, 0, 1, 0, *handle]);
                out.push(0);
            }
            Self::Other { payload, .. } => out.extend(payload),
        }
    }
}

/// A packet with the right header.
pub fn packet(id: u32, op: u32, session: u64, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    words(
        &mut packet,
        &[1, 0xFF, 52 + len(payload), 52, id, op, 0, 1, 0],
    );
    packet.extend(session.to_le_bytes());
    packet.extend([0; 8]);
    packet.extend(payload);
    packet
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    pub id: u32,
    pub op: u32,
    pub status: u32,
    pub session: u64,
    /// The payload, behind the 8 bytes that those of old operations have more.
    pub fields: &'a [u8],
}

impl<'a> Answered<'a> {
    /// Reads a packet whose header is as it must be.
    pub fn decode(packet: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(packet);
        let start = [fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?];
        let (id, op, status) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (flags, information) = (fields.u32()?, fields.u32()?);
        let (session, reserved) = (fields.u64()?, fields.u64()?);
        let right = (start, flags, information, reserved);
        if right != ([1, 0xFF, len(packet), 52], 2, 0, 0) {
            return None;
        }
        let inside = if op <= LAST_OLD && status == 0 { 8 } else { 0 };
        let fields = packet.get(52 + inside..)?;
        Some(Self {
            id,
            op,
            status,
            session,
            fields,
        })
    }

    /// The first word of the fields: a handle, or how many bytes.
    pub fn word(&self) -> Option<u32> {
        Fields::new(self.fields).u32()
    }

    /// The first two: the name of a session.
    pub fn long(&self) -> Option<u64> {
        Fields::new(self.fields).u64()
    }

    /// The bytes that were read.
    pub fn data(&self) -> Option<&'a [u8]> {
        let data = self.fields.get(12..)?;
        (self.word()? == len(data)).then_some(data)
    }

    /// The type and the size of attributes.
    pub fn kind_and_size(&self) -> Option<(u32, u64)> {
        let mut fields = Fields::new(self.fields);
        let _mask = fields.u64()?;
        Some((fields.u32()?, fields.u64()?))
    }
}

fn open_v3(out: &mut Vec<u8>, mode: u32, flags: u32) {
    out.extend(0x803_u64.to_le_bytes());
    words(out, &[mode, flags]);
    out.extend([0; 48]);
}

fn bytes_of_name(out: &mut Vec<u8>, name: &[u8]) {
    out.extend(name);
    out.push(0);
}

fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
