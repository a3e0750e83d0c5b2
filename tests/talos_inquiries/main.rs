//! Inquiries against the embedded Talos API: one sentence a test.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod apid_stream;
mod asker;
mod calls;
mod faults;
mod files;
mod logs;
mod resources;
mod shown;
mod software;
mod windows;
