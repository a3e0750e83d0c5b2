//! A freezer and a node for tests. The freezer obeys commands as the real one does; a freeze takes until the test says so.

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{Cause, Command, Devices, How, Outcome, Outcomes, Report};
use crate::facts::{Facts, MachineType, Mount, Node, Stage, Storage, Volume};

/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
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
        if self.is_gone {
            return;
        }
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
            State::Frozen(_, _, until) if !self.is_gone => Some(until),
            State::Free | State::Busy(..) | State::Frozen(..) => None,
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
        if let State::Frozen(run, since, _) = self.state
            && !self.is_gone
        {
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

    /// Whether it was killed.
    pub const fn is_gone(&self) -> bool {
        self.is_gone
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

/// The facts of a running worker with EPHEMERAL and a user volume, on devices that no machine has.
pub fn node() -> Facts {
    let names = [
        ("EPHEMERAL", "/dev/nvme97n1p6", "/var"),
        ("u-data", "/dev/nvme98n1p1", "/var/mnt/data"),
    ];
    let volume = |(id, device, _): (&str, &str, &str)| Volume {
        id: id.to_owned(),
        location: device.to_owned(),
        mount_location: device.to_owned(),
        file_system: "xfs",
        ..Volume::default()
    };
    let mount = |(id, device, target): (&str, &str, &str)| Mount {
        volume: id.to_owned(),
        target: target.to_owned(),
        source: device.to_owned(),
        read_only: false,
    };
    Facts {
        stage: Some(Stage::Running),
        node: Node {
            machine_type: Some(MachineType::Worker),
            ..Node::default()
        },
        storage: Storage {
            volumes: Some(names.map(volume).into()),
            mounts: Some(names.map(mount).into()),
            ..Storage::default()
        },
        ..Facts::default()
    }
}
