//! Pure codecs, one per file: bytes in, types out, and back.

pub mod datamap;
pub mod guest_rpc_packet;
pub mod hypervisor;
pub mod message;
pub mod registers;
