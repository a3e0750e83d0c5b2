//! What must hold of quiesced snapshots, whatever happens: the judge's book of one run after the other.
#![allow(clippy::expect_used, clippy::panic)]

use super::freezer_model::FreezerModel;
use crate::freeze::message::Cause;
use crate::vmware::wire::text::TcloRequest;

/// What the host has asked, until it has the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Start,
    SnapshotDone {
        /// Whether a snapshot that the host has by now holds what was frozen.
        is_covered: bool,
    },
    Abort {
        /// Whether the host waits for the end of a run.
        is_open: bool,
    },
}

/// A run of which the host has heard the start.
#[derive(Debug, Default)]
struct Run {
    /// The start has had its `OK `.
    is_accepted: bool,
    /// The snapshot may be taken.
    is_committed: bool,
    /// The host has given it up, or heard that it failed.
    is_over: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct BackupBook {
    asked: Option<Asked>,
    run: Option<Run>,
    /// What was committed had only been synced.
    is_sync: bool,
}

impl BackupBook {
    /// The host asks.
    pub(super) fn request(&mut self, request: &[u8], freezer: &FreezerModel) {
        let name = TcloRequest::parse(request).map(|request| request.name);
        self.asked = match name {
            Some(b"vmbackup.start" | b"vmbackup.startWithOpts") => Some(Asked::Start),
            Some(b"vmbackup.snapshotDone") => {
                let is_committed = self.run.as_ref().is_some_and(|run| run.is_committed);
                let is_covered = is_committed && (freezer.is_frozen() || self.is_sync);
                Some(Asked::SnapshotDone { is_covered })
            }
            Some(b"vmbackup.abort") => Some(Asked::Abort {
                is_open: self.is_open(),
            }),
            _ => None,
        };
        if let (Some(Asked::Abort { .. }), Some(run)) = (self.asked, &mut self.run) {
            run.is_over = true;
        }
    }

    /// The freezer has synced.
    pub(super) const fn synced(&mut self) {
        self.is_sync = true;
    }

    /// The host hears the reply.
    pub(super) fn reply(&mut self, reply: &[u8], freezer: &FreezerModel) {
        let is_ok = reply.starts_with(b"OK ");
        match self.asked.take() {
            Some(Asked::Start) if is_ok => {
                let run = self.run.as_mut().expect("accepted without an event");
                assert!(!run.is_accepted, "accepted twice");
                run.is_accepted = true;
            }
            Some(Asked::Start) => drop(self.run.take_if(|run| !run.is_accepted)),
            Some(Asked::SnapshotDone { is_covered }) if is_ok => {
                assert!(is_covered, "OK for a snapshot that was not covered");
                let is_thawed = self.is_sync || freezer.cause() == Some(Cause::Asked);
                assert!(is_thawed, "OK although the limit came first");
                assert!(!freezer.is_frozen(), "OK before the thaw");
            }
            Some(Asked::Abort { is_open }) if is_ok => {
                assert!(is_open, "OK for an abort of no run")
            }
            _ => {}
        }
    }

    /// The guest sends a message.
    pub(super) fn sent(&mut self, message: &[u8], freezer: &FreezerModel) {
        let text = String::from_utf8_lossy(message);
        let Some(event) = text.strip_prefix("vmbackup.eventSet ") else {
            let is_news = ["SetGuestInfo  1", "SetGuestDiskInfo", "SetGuestInfo  8"];
            let is_news = is_news.iter().any(|start| text.starts_with(start));
            assert!(!freezer.is_frozen() || !is_news, "{text:?} while frozen");
            return;
        };
        let name = event.split(' ').next().unwrap_or_default();
        if name == "reset" {
            assert!(self.run.is_none(), "a run within another");
            (self.run, self.is_sync) = (Some(Run::default()), false);
            return;
        }
        let run = self.run.as_mut().expect("an event of no run");
        assert!(run.is_accepted, "{name} before the start was accepted");
        match name {
            "prov.snapshotCommit" => {
                assert!(!run.is_over, "a commit after the end");
                assert!(!run.is_committed, "committed twice");
                run.is_committed = true;
            }
            "req.keepAlive" => {}
            "req.error" | "req.aborted" => run.is_over = true,
            "req.done" => self.run = None,
            _ => panic!("{name}"),
        }
    }

    /// The channel of the request is lost.
    pub(super) fn channel_lost(&mut self) {
        if self.asked.take() == Some(Asked::Start) {
            self.run.take_if(|run| !run.is_accepted);
        }
    }

    /// The host hears nothing any more, not even the end of a run.
    pub(super) fn host_gone(&mut self) {
        (self.asked, self.run) = (None, None);
    }

    /// Whether the host waits for the end of a run.
    pub(super) const fn is_open(&self) -> bool {
        self.run.is_some()
    }
}
