//! A freezer for tests: it obeys the commands as the real one does, and reports when the test says so.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{Cause, Command, Devices, How, Outcome, Outcomes, Report};

/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is frozen.
    Free,
    /// A freeze is under way.
    Busy(u32, How, Duration, Devices),
    /// All is frozen.
    Frozen(u32, Duration, Duration),
}

/// See the module. `now` is the time since boot everywhere.
#[derive(Debug)]
pub struct FreezerModel {
    state: State,
    /// Devices that were frozen before it was started.
    pub left_frozen: Vec<String>,
    /// How the next freeze ends.
    pub outcome: Outcome,
    reports: VecDeque<Report>,
    /// Runs whose file systems it has thawed, and why.
    pub thawed: Vec<(u32, Cause)>,
    is_gone: bool,
}

impl Default for FreezerModel {
    fn default() -> Self {
        Self {
            state: State::Free,
            left_frozen: Vec::new(),
            outcome: Outcome::Done,
            reports: VecDeque::from([Report::Ready(None)]),
            thawed: Vec::new(),
            is_gone: false,
        }
    }
}

impl FreezerModel {
    /// Takes a command, which it has done at once but for [`Command::Freeze`]: see [`Self::finish`].
    pub fn handle(&mut self, command: &Command, now: Duration) {
        if self.is_gone {
            return;
        }
        match command {
            Command::Freeze {
                run,
                how,
                limit,
                devices,
            } => match self.state {
                State::Free => self.state = State::Busy(*run, *how, *limit, *devices),
                State::Busy(..) | State::Frozen(..) => {
                    let (run, outcomes) = (*run, all(0, self.outcome));
                    self.reports.push_back(Report::Failed { run, outcomes });
                }
            },
            Command::Thaw => match self.state {
                State::Free => {}
                State::Busy(run, ..) => {
                    self.state = State::Free;
                    let outcomes = all(0, self.outcome);
                    self.reports.push_back(Report::Failed { run, outcomes });
                }
                State::Frozen(..) => self.thaw(Cause::Asked, now),
            },
            Command::Rescue(devices) => {
                let outcome = |name: &str| match self.left_frozen.iter().any(|it| it == name) {
                    true => Outcome::Done,
                    false => Outcome::Left,
                };
                let outcomes = devices.iter().map(|device| outcome(device.as_str()));
                let outcomes = Outcomes::new(outcomes).unwrap_or_else(|| all(0, self.outcome));
                self.left_frozen.clear();
                self.reports.push_back(Report::Rescued(outcomes));
            }
            Command::Probe(devices) => {
                let outcomes = all(devices.iter().count(), Outcome::Done);
                self.reports.push_back(Report::Probed(outcomes));
            }
        }
    }

    /// The freeze under way is through, as [`Self::outcome`] says.
    pub fn finish(&mut self, now: Duration) {
        let State::Busy(run, how, limit, devices) = self.state else {
            return;
        };
        let outcomes = all(devices.iter().count(), self.outcome);
        let has_failed = matches!(self.outcome, Outcome::Failed(_));
        self.state = State::Free;
        self.reports.push_back(match how {
            _ if has_failed => Report::Failed { run, outcomes },
            How::Sync => Report::Synced { run, outcomes },
            How::Freeze => {
                self.state = State::Frozen(run, now, now.saturating_add(limit));
                Report::Frozen { run, outcomes }
            }
        });
    }

    /// Thaws when the limit is reached.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.thaw(Cause::Limit, now);
        }
    }

    /// When the limit is reached.
    pub fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Frozen(_, _, until) => Some(until),
            State::Free | State::Busy(..) => None,
        }
    }

    /// SIGTERM.
    pub fn terminate(&mut self, now: Duration) {
        self.thaw(Cause::Terminated, now);
    }

    /// It is killed; what is frozen stays so.
    pub fn kill(&mut self) {
        if !self.is_gone {
            self.is_gone = true;
            self.reports.push_back(Report::Gone);
        }
    }

    fn thaw(&mut self, cause: Cause, now: Duration) {
        if let State::Frozen(run, since, _) = self.state {
            self.state = State::Free;
            self.thawed.push((run, cause));
            let lasted = now.saturating_sub(since);
            self.reports
                .push_back(Report::Thawed { run, cause, lasted });
        }
    }

    /// The next report, which the agent has not seen yet.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// Whether something is frozen.
    pub const fn is_frozen(&self) -> bool {
        matches!(self.state, State::Frozen(..))
    }

    /// Whether a freeze is under way.
    pub const fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(..))
    }
}

/// The same outcome so many times.
fn all(count: usize, outcome: Outcome) -> Outcomes {
    let outcomes = std::iter::repeat_n(outcome, count);
    Outcomes::new(outcomes).unwrap_or_else(|| all(0, outcome))
}
