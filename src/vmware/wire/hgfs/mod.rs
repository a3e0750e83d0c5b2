//! HGFS, by which the host transfers files of guest operations [hgfsProto.h]: requests in, replies out.
//!
//! ```text
//! packet   header(52) payload
//! header   01 000000 000000ff size:4 0x34:4 id:4 op:4 status:4 flags:4 0:4 session:8 0:8     (little-endian)
//! old ops  (0 to 23) have 8 more bytes before their fields: {id, op} in requests, {id, status} in replies
//! name     CP form: components joined by NUL, the first is the share: root NUL talos NUL dmesg.log
//! ```
//!
//! What is decoded points into the packet. Each length is compared with what was received. Packets older than
//! version 4 have no such header and are refused.

mod attributes;
#[cfg(any(test, fuzzing))]
pub mod client;
mod fields;
mod header;
mod name;
mod reply;
mod request;
mod status;
#[cfg(test)]
mod tests;

pub use attributes::{FileKind, FileStatus};
pub use header::Header;
pub use name::Name;
pub use reply::{READ_OVERHEAD, Reply, refusal};
pub use request::{Call, Mode, Request, Target};
pub use status::Status;

/// HGFS_LARGE_PACKET_MAX as the host has it: the longest packet, in bytes.
pub const MOST_IN_PACKET: u32 = 0xF800;

/// HGFS_OP_OPEN.
const OPEN: u32 = 0;
/// HGFS_OP_CLOSE.
const CLOSE: u32 = 3;
/// HGFS_OP_GETATTR_V2.
const GETATTR_V2: u32 = 15;
/// The last operation whose fields follow 8 bytes of their own (HGFS_OP_RENAME_V2).
const LAST_OLD: u32 = 23;
/// HGFS_OP_OPEN_V3.
const OPEN_V3: u32 = 24;
/// HGFS_OP_READ_V3.
const READ_V3: u32 = 25;
/// HGFS_OP_WRITE_V3.
const WRITE_V3: u32 = 26;
/// HGFS_OP_CLOSE_V3.
const CLOSE_V3: u32 = 27;
/// HGFS_OP_GETATTR_V3.
const GETATTR_V3: u32 = 31;
/// HGFS_OP_CREATE_SESSION_V4.
const CREATE_SESSION: u32 = 41;
/// HGFS_OP_DESTROY_SESSION_V4.
const DESTROY_SESSION: u32 = 42;

/// The operations that are served, as a new session announces them.
const SERVED: [u32; 10] = [
    CREATE_SESSION,
    DESTROY_SESSION,
    OPEN,
    CLOSE,
    GETATTR_V2,
    OPEN_V3,
    READ_V3,
    WRITE_V3,
    CLOSE_V3,
    GETATTR_V3,
];
