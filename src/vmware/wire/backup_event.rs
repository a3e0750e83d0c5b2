//! What the host hears of a quiesced snapshot: `vmbackup.eventSet <event> <code> <description>` NUL [vmbackup.h].
//!
//! ```text
//! vmbackup.eventSet reset 0  NUL        an empty description keeps its space
//! vmbackup.eventSet req.error 3 why NUL
//! ```

use super::text::{line, terminated};

/// The command.
pub const EVENT_SET: &str = "vmbackup.eventSet";

/// Longest description in bytes. The host shows it in the error of a task.
const LONGEST_DESCRIPTION: usize = 256;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupEvent {
    /// A request to quiesce was accepted.
    Reset,
    /// The file systems are frozen: the host takes the snapshot now.
    SnapshotCommit,
    /// The guest lives.
    KeepAlive,
    /// It failed with VMBACKUP_SYNC_ERROR; why.
    Error(String),
    /// It was given up, VMBACKUP_REMOTE_ABORT; what came of that.
    Aborted(String),
    /// It is over. Always the last one.
    Done,
}

impl BackupEvent {
    /// The message with its NUL.
    pub fn message(&self) -> Vec<u8> {
        let (name, code, description) = match self {
            Self::Reset => ("reset", 0, ""),
            Self::SnapshotCommit => ("prov.snapshotCommit", 0, ""),
            Self::KeepAlive => ("req.keepAlive", 0, ""),
            Self::Error(why) => ("req.error", 3, why.as_str()),
            Self::Aborted(what) => ("req.aborted", 4, what.as_str()),
            Self::Done => ("req.done", 0, ""),
        };
        let description = line(description, LONGEST_DESCRIPTION);
        terminated(&format!("{EVENT_SET} {name} {code} {description}"))
    }
}

#[cfg(test)]
mod tests {
    use vmx::codec::rpci::Command;

    use super::*;

    /// Observed with vmtoolsd 12.2.0.
    #[test]
    fn an_event_without_a_description_keeps_its_space() {
        assert_eq!(
            BackupEvent::Reset.message(),
            [
                0x76, 0x6d, 0x62, 0x61, 0x63, 0x6b, 0x75, 0x70, 0x2e, 0x65, 0x76, 0x65, 0x6e, 0x74,
                0x53, 0x65, 0x74, 0x20, 0x72, 0x65, 0x73, 0x65, 0x74, 0x20, 0x30, 0x20, 0x00
            ]
        );
    }

    /// By the simulated host, which has a reader of its own.
    #[test]
    fn events_are_read_as_they_are_meant() {
        let long = "why\n".repeat(200);
        for (event, name, code, description) in [
            (BackupEvent::SnapshotCommit, "prov.snapshotCommit", 0, ""),
            (BackupEvent::KeepAlive, "req.keepAlive", 0, ""),
            (BackupEvent::Error("a b".into()), "req.error", 3, "a b"),
            (
                BackupEvent::Error(long),
                "req.error",
                3,
                &"why".repeat(86)[..256],
            ),
            (BackupEvent::Aborted("x".into()), "req.aborted", 4, "x"),
            (BackupEvent::Done, "req.done", 0, ""),
        ] {
            let expected = Command::BackupEvent {
                event: name.into(),
                code,
                description: description.into(),
            };
            assert_eq!(Command::decode(&event.message()), Ok(expected));
        }
    }
}
