//! Pure codecs, one per file: bytes in, types out, and back.

pub mod hypervisor;
pub mod message;
pub mod registers;
