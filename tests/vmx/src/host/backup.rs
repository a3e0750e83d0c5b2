//! Quiesced snapshots as the host hears of them [stateMachine.c]: runs of events, each from `reset` to `req.done`.

use std::time::{Duration, Instant};

use super::Host;
use crate::codec::rpci::Command;

/// One event of the guest.
#[derive(Clone, Debug)]
pub struct BackupEvent {
    /// Since the program's first instruction.
    pub at: Duration,
    /// Such as `prov.snapshotCommit`.
    pub event: String,
    /// 0 is success.
    pub code: u32,
    /// Free text.
    pub description: String,
    /// Whether the host took it.
    pub accepted: bool,
}

/// What the host has heard of the run.
#[derive(Debug, Default)]
pub(super) struct Backup {
    is_open: bool,
    is_committed: bool,
    /// It was aborted or has failed.
    is_over: bool,
}

impl Backup {
    /// What is wrong with the next event, if anything is.
    fn next(&mut self, event: &str, code: u32) -> Option<String> {
        let codes: &[u32] = match event {
            "reset"
            | "prov.snapshotCommit"
            | "req.keepAlive"
            | "req.done"
            | "req.genericManifest" => &[0],
            "req.error" => &[2, 3, 5],
            "req.aborted" => &[4],
            _ => return Some(format!("{event} is no event of a Linux guest")),
        };
        if !codes.contains(&code) {
            return Some(format!("{event} with code {code}"));
        }
        if event == "reset" {
            *self = Self {
                is_open: true,
                ..Self::default()
            };
            return None;
        }
        if !self.is_open {
            return Some(format!("{event} of no run"));
        }
        match event {
            "prov.snapshotCommit" if self.is_over => return Some("a commit after the end".into()),
            "prov.snapshotCommit" if self.is_committed => return Some("a second commit".into()),
            "prov.snapshotCommit" => self.is_committed = true,
            "req.error" | "req.aborted" => self.is_over = true,
            "req.done" => self.is_open = false,
            _ => {}
        }
        None
    }
}

impl Host {
    /// Every event of quiesced snapshots, in order.
    pub fn backup_events(&self) -> Vec<BackupEvent> {
        let events = self
            .rpci_log
            .iter()
            .filter_map(|entry| match &entry.command {
                Ok(Command::BackupEvent {
                    event,
                    code,
                    description,
                }) => Some(BackupEvent {
                    at: entry.at,
                    event: event.clone(),
                    code: *code,
                    description: description.clone(),
                    accepted: entry.accepted(),
                }),
                _ => None,
            });
        events.collect()
    }

    pub(super) fn check_backup_event(&mut self, command: &Command, now: Instant) {
        if let Command::BackupEvent { event, code, .. } = command
            && let Some(problem) = self.backup.next(event, *code)
        {
            self.violation(now, format!("vmbackup: {problem}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(events: &[(&str, u32)]) -> Vec<Option<String>> {
        let mut backup = Backup::default();
        let events = events.iter();
        events
            .map(|(event, code)| backup.next(event, *code))
            .collect()
    }

    /// As vmtoolsd 12.2.0 sends them.
    #[test]
    fn runs_in_order_are_fine() {
        let found = problems(&[
            ("reset", 0),
            ("prov.snapshotCommit", 0),
            ("req.keepAlive", 0),
            ("req.genericManifest", 0),
            ("req.done", 0),
            ("reset", 0),
            ("req.aborted", 4),
            ("req.done", 0),
        ]);
        assert!(found.iter().all(Option::is_none), "{found:?}");
    }

    #[test]
    fn what_a_host_would_misunderstand_is_a_breach() {
        for events in [
            &[("req.done", 0)][..],
            &[("reset", 1)],
            &[("reset", 0), ("req.error", 4)],
            &[("reset", 0), ("req.error", 3), ("prov.snapshotCommit", 0)],
            &[("reset", 0), ("req.aborted", 4), ("prov.snapshotCommit", 0)],
            &[
                ("reset", 0),
                ("prov.snapshotCommit", 0),
                ("prov.snapshotCommit", 0),
            ],
            &[("reset", 0), ("req.done", 0), ("req.keepAlive", 0)],
            &[("requestor.done", 0)],
        ] {
            let found = problems(events);
            assert!(found.last().unwrap().is_some(), "{events:?}");
        }
    }
}
