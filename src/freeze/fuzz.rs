//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

pub use super::judge::fuzz_quiesce;

use super::{Buffer, Command, Report, message::LONGEST_MESSAGE};

/// What comes over the socket pair, at either end: it has one form in bytes, or is no message.
pub fn fuzz_freezer_message(bytes: &[u8]) {
    let mut buffer: Buffer = [0xff; LONGEST_MESSAGE];
    if let Some(command) = Command::decode(bytes) {
        assert_eq!(command.encode(&mut buffer), bytes);
    }
    if let Some(report) = Report::decode(bytes) {
        assert_eq!(report.encode(&mut buffer), bytes);
    }
}
