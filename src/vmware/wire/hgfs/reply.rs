//! Replies of the operations that are served.

use super::attributes::FileStatus;
use super::header::{HEADER_LEN, Header};
use super::status::Status;
use super::{GETATTR_V3, LAST_OLD, OPEN_V3, SERVED};

/// HGFS_SESSION_MAXPACKETSIZE_VALID.
const MAX_PACKET_IS_VALID: u32 = 1;
/// HGFS_REQUEST_SUPPORTED.
const IS_SERVED: u32 = 1;
/// What a packet with bytes of a file has besides them: the header, their number, 8 reserved bytes.
pub const READ_OVERHEAD: u32 = HEADER_LEN + 12;

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A session, with what it serves.
    Session {
        /// Its name.
        id: u64,
        /// The longest packet in it.
        most_in_packet: u32,
    },
    /// The session has ended.
    SessionEnded,
    /// The file is open.
    Opened {
        /// Names it.
        handle: u32,
    },
    /// Bytes of it; none is the end.
    Read(Vec<u8>),
    /// So many bytes were taken.
    Written(u32),
    /// The handle is gone.
    Closed,
    /// The attributes.
    Attributes(FileStatus),
}

/// The reply to a request that comes to nothing: a header with the reason.
pub fn refusal(header: &Header, status: Status) -> Vec<u8> {
    if header.is_old {
        return le([header.id, status as u32]);
    }
    header.begin_reply(status, HEADER_LEN as usize)
}

impl Reply {
    /// The packet, in the form of the request's operation.
    pub fn encode(&self, header: &Header) -> Vec<u8> {
        let mut fields = if header.op <= LAST_OLD {
            le([header.inner_id, Status::Success as u32])
        } else {
            Vec::new()
        };
        let data: &[u8] = match self {
            Self::Read(data) => data,
            _ => b"",
        };
        self.encode_fields(header.op, &mut fields);
        let len = HEADER_LEN as usize + fields.len() + data.len();
        let mut packet = header.begin_reply(Status::Success, len);
        packet.append(&mut fields);
        packet.extend_from_slice(data);
        packet
    }

    /// All fields but the bytes of a file.
    fn encode_fields(&self, op: u32, fields: &mut Vec<u8>) {
        match self {
            Self::Session { id, most_in_packet } => {
                fields.extend(id.to_le_bytes());
                let served = SERVED.len() as u32;
                fields.extend(le([served, *most_in_packet, 0, MAX_PACKET_IS_VALID, 0]));
                for op in SERVED {
                    fields.extend(le([op, IS_SERVED]));
                }
            }
            Self::SessionEnded => fields.extend([0; 8]),
            Self::Opened { handle } => {
                fields.extend(handle.to_le_bytes());
                if op == OPEN_V3 {
                    // No lock, no flags.
                    fields.extend([0; 12]);
                }
            }
            Self::Read(data) => {
                fields.extend(len(data).to_le_bytes());
                fields.extend([0; 8]);
            }
            Self::Written(taken) => {
                fields.extend(taken.to_le_bytes());
                fields.extend([0; 8]);
            }
            Self::Closed if op <= LAST_OLD => {}
            Self::Closed => fields.extend([0; 8]),
            Self::Attributes(file) => {
                file.encode(fields);
                let target = file.target();
                if op == GETATTR_V3 {
                    fields.extend([0; 8]);
                    fields.extend(le([len(target), 0, 0, 0]));
                } else {
                    fields.extend(len(target).to_le_bytes());
                }
                fields.extend(target);
                fields.push(0);
            }
        }
    }
}

fn le<const LEN: usize>(words: [u32; LEN]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
