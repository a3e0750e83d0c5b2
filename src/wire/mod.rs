//! Pure codecs, one per file: bytes in, types out, and back.

pub mod registers;
