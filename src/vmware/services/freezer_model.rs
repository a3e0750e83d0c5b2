//! A freezer for tests, on virtual time: it freezes nothing, and reports as the real one does.
#![allow(clippy::expect_used)]

use std::collections::VecDeque;
use std::time::Duration;

use crate::freeze::message::{Cause, Devices, How, Outcome, Outcomes};
use crate::freeze::{Command, Report};

/// What it has frozen.
#[derive(Clone, Copy, Debug)]
struct Frozen {
    run: u32,
    since: Duration,
    limit: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FreezerModel {
    commands: VecDeque<Command>,
    frozen: Option<Frozen>,
    /// Why it thawed last.
    cause: Option<Cause>,
    /// Runs that were frozen.
    freezes: usize,
    is_gone: bool,
}

impl FreezerModel {
    /// Takes a command, which [`Self::work`] carries out.
    pub(super) fn order(&mut self, command: Command) {
        if !self.is_gone {
            self.commands.push_back(command);
        }
    }

    /// Whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Whether it has ended.
    pub(super) const fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether file systems are frozen.
    pub(super) const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether nothing stays frozen once it has done what it was ordered.
    pub(super) fn will_be_thawed(&self) -> bool {
        let after = |is_frozen, command: &Command| match command {
            Command::Freeze { .. } => true,
            Command::Thaw => false,
            Command::Rescue(_) | Command::Probe(_) => is_frozen,
        };
        !self.commands.iter().fold(self.is_frozen(), after)
    }

    /// Why it thawed last.
    pub(super) const fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// How often it has frozen something.
    #[cfg(test)]
    pub(super) const fn freezes(&self) -> usize {
        self.freezes
    }

    /// When it thaws by itself.
    pub(super) fn limit(&self) -> Option<Duration> {
        let frozen = self.frozen?;
        Some(frozen.since.saturating_add(frozen.limit))
    }

    /// Carries out the next command; `fails` is the errno of a device.
    pub(super) fn work(&mut self, fails: Option<i32>, now: Duration) -> Option<Report> {
        let command = self.commands.pop_front()?;
        let all = |devices: &Devices, outcome| {
            Outcomes::new(devices.iter().map(|_| outcome)).expect("as many as there are devices")
        };
        Some(match command {
            Command::Freeze { run, devices, .. } if fails.is_some() => Report::Failed {
                run,
                outcomes: all(&devices, Outcome::Failed(fails.unwrap_or_default())),
            },
            Command::Freeze {
                run,
                how: How::Sync,
                devices,
                ..
            } => Report::Synced {
                run,
                outcomes: all(&devices, Outcome::Done),
            },
            Command::Freeze {
                run,
                how: How::Freeze,
                limit,
                devices,
            } => {
                // A thaw that is there already comes between.
                if self.commands.front() == Some(&Command::Thaw) {
                    self.commands.pop_front();
                    let outcomes = all(&devices, Outcome::Skipped);
                    return Some(Report::Failed { run, outcomes });
                }
                let since = now;
                self.frozen = Some(Frozen { run, since, limit });
                self.freezes += 1;
                Report::Frozen {
                    run,
                    outcomes: all(&devices, Outcome::Done),
                }
            }
            Command::Thaw => return self.thaw(Cause::Asked, now),
            Command::Rescue(devices) => Report::Rescued(all(&devices, Outcome::Left)),
            Command::Probe(devices) => Report::Probed(all(&devices, Outcome::Done)),
        })
    }

    /// Thaws what is frozen.
    pub(super) fn thaw(&mut self, cause: Cause, now: Duration) -> Option<Report> {
        let Frozen { run, since, .. } = self.frozen.take()?;
        self.cause = Some(cause);
        let lasted = now.saturating_sub(since);
        Some(Report::Thawed { run, cause, lasted })
    }

    /// It ends, and thaws before. What it was ordered is not done.
    pub(super) fn end(&mut self) -> Report {
        self.frozen = None;
        self.commands.clear();
        self.is_gone = true;
        Report::Gone
    }
}
