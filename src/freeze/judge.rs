//! Tries the machine of a freeze: any order of what the host, the freezer, Talos and time may do.
//!
//! The judge checks all along: each freeze that begins has one ending event; none is reported frozen once a thaw was
//! ordered; a snapshot counts as covered only if all stayed frozen until the host was done; no freeze begins before the
//! rescue; a time-out is followed by a later one or none. At the end nothing is under way and nothing is frozen.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::time::Duration;

use super::message::{Cause, Command, How, Outcome, Outcomes, Report};
use super::model::{FreezerModel, node};
use super::quiesce::Quiesce;
use super::terms::{Event, Phase, QuiesceOrder, Request, Why};
use crate::config::{EtcdGuard, QuiesceConfig, QuiesceMode};
use crate::facts::{Etcd, Facts, MachineType, Stage};
use crate::fuzz::Choices;
use crate::report::Glob;

/// The host's side of a freeze.
#[derive(Debug, Default)]
struct Asked {
    /// A thaw was ordered.
    thaw: Option<Why>,
    /// All is said to be frozen.
    is_frozen: bool,
    /// Whether the freezer had all frozen when the host was done.
    was_frozen: bool,
}

/// See the module.
struct Judge {
    quiesce: Quiesce,
    freezer: FreezerModel,
    facts: Facts,
    now: Duration,
    /// On their way to the freezer, which may hang.
    commands: VecDeque<Command>,
    asked: Option<Asked>,
    is_rescued: bool,
}

/// Any order of everything.
pub fn fuzz_quiesce(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut judge = Judge::new(&mut choices);
    while !choices.is_empty() {
        judge.act(&mut choices);
        judge.look();
    }
    judge.end();
}

fn config(choices: &mut Choices<'_>) -> QuiesceConfig {
    QuiesceConfig {
        mode: match choices.below(8) {
            0 => QuiesceMode::Off,
            1 => QuiesceMode::Sync,
            _ => QuiesceMode::Freeze,
        },
        max_freeze: Duration::from_secs(u64::from(choices.below(60)) + 1),
        exclude: choices.list(2, |_| Glob::new("u-*")),
        etcd: match choices.flag() {
            true => EtcdGuard::Warn,
            false => EtcdGuard::Refuse,
        },
        in_pod: choices.below(16) == 1,
    }
}

impl Judge {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut quiesce = Quiesce::new(|| Duration::ZERO);
        quiesce.configure(&config(choices));
        let mut facts = node();
        if choices.flag() {
            facts.node.machine_type = Some(MachineType::ControlPlane);
        }
        let mut freezer = FreezerModel::default();
        if choices.flag() {
            freezer.left_frozen.push("nvme97n1p6".to_owned());
        }
        let mut judge = Self {
            quiesce,
            freezer,
            facts,
            now: Duration::from_secs(1),
            commands: VecDeque::new(),
            asked: None,
            is_rescued: false,
        };
        if choices.below(4) > 0 {
            judge.quiesce.handle_facts(&judge.facts, judge.now);
            judge.look();
            judge.settle();
        }
        judge
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 | 1 => self.begin(choices),
            2 | 3 => {
                let all = [
                    Why::Done,
                    Why::Aborted,
                    Why::HostGone,
                    Why::Power,
                    Why::Stopping,
                ];
                let why = all.get(usize::from(choices.below(8))).copied();
                self.thaw(why.unwrap_or(Why::Done));
            }
            4 | 5 => self.obey(),
            6 | 7 => {
                self.freezer.outcome = match choices.below(8) {
                    0 => Outcome::Failed(5),
                    1 => Outcome::Left,
                    2 => Outcome::Skipped,
                    _ => Outcome::Done,
                };
                self.freezer.finish(self.now);
            }
            8 | 9 => self.report(),
            10 => {
                let etcd = choices.maybe(|choices| Etcd {
                    voters: usize::from(choices.below(6)),
                    live: usize::from(choices.below(6)),
                });
                self.quiesce.handle_etcd(etcd, self.now);
            }
            11 => self.pass(Duration::from_millis(u64::from(choices.byte()) * 100)),
            12 => self.stray(choices),
            13 => match choices.below(16) {
                0 => self.freezer.kill(),
                1 => self.freezer.terminate(self.now),
                _ => self.quiesce.configure(&config(choices)),
            },
            14 => {
                self.facts.stage = match choices.below(8) {
                    0 => Some(Stage::ShuttingDown),
                    1 => None,
                    _ => Some(Stage::Running),
                };
                if self.facts.stage == Some(Stage::ShuttingDown)
                    && let Some(asked) = &mut self.asked
                {
                    asked.thaw.get_or_insert(Why::Power);
                }
                self.quiesce.handle_facts(&self.facts, self.now);
            }
            _ => self.settle(),
        }
    }

    fn begin(&mut self, choices: &mut Choices<'_>) {
        let request = Request {
            asker: "a host",
            mount_points: (choices.below(4) == 0).then(|| choices.list(3, |_| "/var".to_owned())),
            only_sync: choices.below(8) == 0,
            most: (choices.below(4) == 0).then(|| Duration::from_secs(2)),
        };
        if self.quiesce.begin(request, &self.facts, self.now).is_ok() {
            assert!(self.asked.is_none(), "two freezes at once");
            self.asked = Some(Asked::default());
        }
    }

    fn thaw(&mut self, why: Why) {
        if let Some(asked) = &mut self.asked
            && asked.thaw.is_none()
        {
            asked.thaw = Some(why);
            asked.was_frozen = self.freezer.is_frozen();
        }
        self.quiesce.thaw(why, self.now);
    }

    /// The next command reaches the freezer.
    fn obey(&mut self) {
        if let Some(command) = self.commands.pop_front() {
            self.freezer.handle(&command, self.now);
        }
    }

    /// The next report reaches the machine.
    fn report(&mut self) {
        if let Some(report) = self.freezer.poll_report() {
            self.is_rescued |= matches!(report, Report::Rescued(_));
            self.quiesce.handle_report(&report, self.now);
        }
    }

    /// A report of a run that there never was.
    fn stray(&mut self, choices: &mut Choices<'_>) {
        let (run, cause, lasted) = (u32::MAX, Cause::Asked, self.now);
        let outcomes = Outcomes::new([Outcome::Done]).expect("one fits");
        let report = match choices.below(4) {
            0 => Report::Frozen { run, outcomes },
            1 => Report::Synced { run, outcomes },
            2 => Report::Failed { run, outcomes },
            _ => Report::Thawed { run, cause, lasted },
        };
        self.quiesce.handle_report(&report, self.now);
    }

    /// All that is on its way arrives.
    fn settle(&mut self) {
        loop {
            self.look();
            if let Some(report) = self.freezer.poll_report() {
                self.is_rescued |= matches!(report, Report::Rescued(_));
                self.quiesce.handle_report(&report, self.now);
            } else if !self.commands.is_empty() {
                self.obey();
            } else {
                break;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let due = |it: &Self| {
            let due = [it.quiesce.poll_timeout(), it.freezer.poll_timeout()];
            due.into_iter().flatten().min()
        };
        while let Some(due) = due(self).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.freezer.handle_timeout(self.now);
            if let Some(due) = self.quiesce.poll_timeout().filter(|due| *due <= self.now) {
                self.quiesce.handle_timeout(self.now);
                let next = self.quiesce.poll_timeout();
                assert!(next.is_none_or(|next| next > due), "{due:?} comes again");
            }
            self.look();
        }
        self.now = end;
    }

    /// What the machine wants and says.
    fn look(&mut self) {
        while let Some(order) = self.quiesce.poll_order() {
            let QuiesceOrder::Freezer(command) = order else {
                continue;
            };
            if let Command::Freeze { how, .. } = command {
                assert!(
                    how == How::Sync || self.is_rescued,
                    "frozen before the rescue"
                );
                let asked = self.asked.as_ref().expect("a freeze that no host wants");
                assert!(asked.thaw.is_none(), "frozen after a thaw was ordered");
            }
            self.commands.push_back(command);
        }
        while let Some(event) = self.quiesce.poll_event() {
            let asked = self.asked.as_mut().expect("an event without a freeze");
            match event {
                Event::Frozen(count) => {
                    assert!(count > 0 && !asked.is_frozen && asked.thaw.is_none());
                    asked.is_frozen = true;
                    continue;
                }
                Event::Synced(_) | Event::Failed(_) => assert!(!asked.is_frozen),
                Event::Thawed(ended) => {
                    assert!(asked.is_frozen, "thawed before it was frozen");
                    let is_done = asked.thaw == Some(Why::Done);
                    let is_covered = is_done && asked.was_frozen;
                    assert!(!ended.covered || is_covered, "{ended:?} covers nothing");
                }
            }
            self.asked = None;
        }
        assert!(self.asked.is_none() || self.quiesce.phase() != Phase::Idle);
    }

    /// Everything answers from here on, but for the host.
    fn end(mut self) {
        for _ in 0..8 {
            self.settle();
            self.freezer.finish(self.now);
            self.settle();
            self.pass(Duration::from_secs(100));
        }
        self.settle();
        assert_eq!(self.quiesce.phase(), Phase::Idle);
        assert!(self.asked.is_none(), "the host has no answer");
        assert!(
            !self.freezer.is_frozen() || self.freezer.is_gone(),
            "left frozen"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn in_any_order_of_events_each_freeze_ends_once_truthfully_and_thawed(
            bytes in proptest::collection::vec(prop_oneof![0..16_u8, any::<u8>()], 0..120)
        ) {
            fuzz_quiesce(&bytes);
        }
    }
}
