//! A control plane with two file systems, and a freezer that does as the real one does: it thaws at its limit by itself.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::daemon::core::{News, Node};
use talos_vmtoolsd::facts::{
    Etcd, EtcdLook, Facts, KernelPart, Load, MachineType, Mount, Reading, Stage, Volume,
};
use talos_vmtoolsd::freeze::message::{Cause, Devices, How, Outcome, Outcomes};
use talos_vmtoolsd::freeze::{Command, Report};
use talos_vmtoolsd::front_end::{Measured, Subject};
use talos_vmtoolsd::inquiry::{InquiryId, Step};
use talos_vmtoolsd::interruption::Call;
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome};
use tokio::time::Instant;

use super::AGAIN;
use crate::daemon::at;
use crate::node;

/// How long a freeze and a thaw take.
const FREEZE: Duration = Duration::from_millis(200);
const THAW: Duration = Duration::from_millis(5);
/// How long Talos takes for an answer.
const TALOS: Duration = Duration::from_millis(80);

/// What goes wrong on this side, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A freeze takes so long.
    SlowFreeze(Duration),
    /// No file system can be frozen.
    FailedFreeze,
    /// A thaw takes so long.
    SlowThaw(Duration),
    /// The freezer is killed so long after it was asked to freeze; what is frozen stays so.
    Killed(Duration),
    /// SIGTERM reaches the freezer so long after it was asked to freeze.
    Terminated(Duration),
    /// Talos does not say who is a member of etcd.
    EtcdSilent,
    /// Quorum hangs on this node.
    EtcdHangs,
    /// Talos takes so long to say it, longer than it may.
    EtcdLate(Duration),
    /// The machine begins to shut down by itself so long after the freezer was asked to freeze.
    Leaves(Duration),
    /// Talos refuses the power operation.
    PowerRefused,
}

/// What the freezer holds.
#[derive(Clone, Copy, Debug)]
struct Frozen {
    run: u32,
    since: Instant,
    until: Instant,
}

/// What is shared with who judges, and outlives the agent.
#[derive(Debug)]
pub(super) struct State {
    fault: Option<Fault>,
    facts: Facts,
    news: VecDeque<(Instant, News)>,
    /// What becomes of the freeze that is under way.
    freezing: Option<(u32, Duration)>,
    frozen: Option<Frozen>,
    /// Whether something is frozen that a freezer has left which was killed.
    left: bool,
    is_gone: bool,
    /// By how much a file system may be frozen longer than the limit: the freezer's own thaw is slow.
    pub(super) late: Duration,
    /// Whether Talos refuses the power operation.
    pub(super) refuses: bool,
    /// When something was frozen, and until when.
    pub(super) spans: Vec<(Instant, Option<Instant>)>,
    /// Each power operation that Talos was asked for, and whether something was frozen then.
    pub(super) asked: Vec<(PowerOperation, bool)>,
}

/// The node as one agent sees it.
#[derive(Clone, Debug)]
pub(super) struct ControlPlane(pub(super) Rc<RefCell<State>>);

impl ControlPlane {
    pub(super) fn new(fault: Option<Fault>) -> Self {
        let mut state = State {
            fault,
            facts: Facts::default(),
            news: VecDeque::new(),
            freezing: None,
            frozen: None,
            left: false,
            is_gone: false,
            late: match fault {
                Some(Fault::SlowThaw(takes)) => takes,
                Some(Fault::Killed(_)) => AGAIN + Duration::from_millis(1500),
                _ => Duration::ZERO,
            },
            refuses: fault == Some(Fault::PowerRefused),
            spans: Vec::new(),
            asked: Vec::new(),
        };
        state.start(Duration::from_millis(300));
        Self(Rc::new(RefCell::new(state)))
    }

    /// The agent is started again, and with it a freezer.
    pub(super) fn start_again(&self) {
        self.0.borrow_mut().start(TALOS);
    }

    /// The agent has ended, and with it the freezer: one that is there thaws first.
    pub(super) fn end(&self) {
        let mut state = self.0.borrow_mut();
        if !state.is_gone {
            state.release();
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        let state = self.0.borrow();
        state.frozen.is_some() || state.left
    }

    /// Whether there is an agent without a freezer.
    pub(super) fn is_gone(&self) -> bool {
        self.0.borrow().is_gone
    }

    /// Whether all was frozen from then on until then.
    pub(super) fn covers(&self, from: Instant, to: Instant) -> bool {
        let state = self.0.borrow();
        let mut spans = state.spans.iter();
        spans.any(|(since, until)| *since <= from && until.is_none_or(|until| until >= to))
    }
}

impl State {
    fn start(&mut self, talos: Duration) {
        let now = Instant::now();
        self.facts = Facts::default();
        self.freezing = None;
        self.left |= self.frozen.take().is_some();
        self.is_gone = false;
        self.news = [
            (now, News::Freezer(Report::Ready(None))),
            (now + talos, News::Facts),
        ]
        .into();
    }

    fn plan(&mut self, after: Duration, news: News) {
        self.news.push_back((Instant::now() + after, news));
    }

    /// The fault, if it is of this kind; it happens once.
    fn fault<T>(&mut self, of: impl FnOnce(Fault) -> Option<T>) -> Option<T> {
        let found = self.fault.and_then(of)?;
        self.fault = None;
        Some(found)
    }

    fn freeze(&mut self, run: u32, how: How, limit: Duration, devices: &Devices) {
        let count = devices.iter().count();
        let outcomes = |outcome| Outcomes::new(std::iter::repeat_n(outcome, count)).unwrap();
        if self.freezing.is_some() || self.frozen.is_some() {
            let outcomes = Outcomes::new([]).unwrap();
            return self.plan(THAW, News::Freezer(Report::Failed { run, outcomes }));
        }
        let slow = self.fault(|fault| match fault {
            Fault::SlowFreeze(takes) => Some(takes),
            _ => None,
        });
        let failed = self.fault(|fault| (fault == Fault::FailedFreeze).then_some(()));
        // What comes later, in terms of the reports; see `happens`.
        let later = self.fault(|fault| match fault {
            Fault::Killed(after) => Some((after, News::Freezer(Report::Gone))),
            Fault::Terminated(after) => Some((after, News::Freezer(Report::Ready(Some(0))))),
            Fault::Leaves(after) => Some((after, News::Talosconfig)),
            _ => None,
        });
        if let Some((after, news)) = later {
            self.plan(after, news);
        }
        let takes = slow.unwrap_or(FREEZE);
        self.freezing = Some((run, limit));
        let report = match (how, failed) {
            (_, Some(())) => Report::Failed {
                run,
                outcomes: outcomes(Outcome::Failed(5)),
            },
            (How::Sync, None) => Report::Synced {
                run,
                outcomes: outcomes(Outcome::Done),
            },
            (How::Freeze, None) => Report::Frozen {
                run,
                outcomes: outcomes(Outcome::Done),
            },
        };
        self.plan(takes, News::Freezer(report));
    }

    fn thaw(&mut self, cause: Cause) {
        if let Some((run, _)) = self.freezing.take() {
            let outcomes = Outcomes::new([]).unwrap();
            self.news.retain(|(_, news)| {
                !matches!(
                    news,
                    News::Freezer(Report::Frozen { .. } | Report::Synced { .. })
                )
            });
            return self.plan(THAW, News::Freezer(Report::Failed { run, outcomes }));
        }
        if let Some(Frozen { run, since, .. }) = self.frozen {
            let takes = self.fault(|fault| match fault {
                Fault::SlowThaw(takes) => Some(takes),
                _ => None,
            });
            let takes = takes.unwrap_or(THAW);
            let lasted = since.elapsed() + takes;
            let is_under_way =
                |(_, news): &(Instant, News)| matches!(news, News::Freezer(Report::Thawed { .. }));
            if !self.news.iter().any(is_under_way) {
                self.plan(takes, News::Freezer(Report::Thawed { run, cause, lasted }));
            }
        }
    }

    /// Nothing is frozen any more.
    fn release(&mut self) {
        self.frozen = None;
        self.left = false;
        if let Some((_, until @ None)) = self.spans.last_mut() {
            *until = Some(Instant::now());
        }
    }

    /// What is due, as it happens in the node; `None` if the agent hears nothing of it.
    fn happens(&mut self, news: News) -> Option<News> {
        let now = Instant::now();
        match &news {
            News::Facts => {
                self.facts = facts();
            }
            // Of this sweep: the machine leaves the stage running.
            News::Talosconfig => {
                self.facts.stage = Some(Stage::ShuttingDown);
                // And is there again before long.
                self.plan(Duration::from_secs(3), News::Facts);
                return Some(News::Facts);
            }
            News::Freezer(_) if self.is_gone => return None,
            News::Freezer(Report::Ready(Some(_))) => {
                self.thaw(Cause::Terminated);
                return None;
            }
            News::Freezer(Report::Gone) => {
                self.is_gone = true;
                // In the middle of a freeze, something is frozen already.
                if self.freezing.take().is_some() {
                    self.left = true;
                    self.spans.push((now, None));
                }
            }
            News::Freezer(Report::Frozen { run, .. }) => {
                let (_, limit) = self.freezing.take()?;
                self.frozen = Some(Frozen {
                    run: *run,
                    since: now,
                    until: now + limit,
                });
                self.spans.push((now, None));
            }
            News::Freezer(Report::Thawed { .. }) => self.release(),
            News::Freezer(Report::Failed { .. } | Report::Synced { .. }) => {
                self.freezing = None;
            }
            _ => {}
        }
        Some(news)
    }
}

impl Node for ControlPlane {
    async fn next(&mut self) -> News {
        loop {
            let (due, limit) = {
                let state = self.0.borrow();
                let due = state.news.iter().map(|(due, _)| *due).min();
                let is_thawing = state
                    .news
                    .iter()
                    .any(|(_, news)| matches!(news, News::Freezer(Report::Thawed { .. })));
                let limit = state.frozen.filter(|_| !is_thawing && !state.is_gone);
                (due, limit.map(|frozen| frozen.until))
            };
            tokio::select! {
                biased;
                () = at(due) => {
                    let mut state = self.0.borrow_mut();
                    let place = state.news.iter().position(|(time, _)| Some(*time) == due);
                    let Some((_, news)) = place.and_then(|place| state.news.remove(place)) else {
                        continue;
                    };
                    if let Some(news) = state.happens(news) {
                        return news;
                    }
                }
                () = at(limit) => self.0.borrow_mut().thaw(Cause::Limit),
            }
        }
    }

    fn facts(&mut self) -> impl Deref<Target = Facts> {
        Box::new(self.0.borrow().facts.clone())
    }

    fn power(&mut self, call: Call) {
        let mut state = self.0.borrow_mut();
        let is_frozen = state.frozen.is_some() || state.left;
        state.asked.push((call.operation, is_frozen));
        let outcome = if state.refuses {
            PowerOutcome::Rejected("no".to_owned())
        } else {
            PowerOutcome::Accepted
        };
        state.plan(TALOS, News::Heard(call.id, Heard::Outcome(outcome)));
    }

    fn measure(&mut self, subject: Subject) {
        let news = News::Measured(subject, Measured::Done);
        self.0.borrow_mut().plan(TALOS, news);
    }

    fn hand_over(&mut self) {}

    fn look_for_life(&mut self) {}

    fn look_at_etcd(&mut self) {
        let well = Some(Etcd { voters: 3, live: 3 });
        let mut state = self.0.borrow_mut();
        let (after, etcd) = state
            .fault(|fault| match fault {
                Fault::EtcdSilent => Some((Duration::from_millis(500), None)),
                Fault::EtcdHangs => Some((TALOS, Some(Etcd { voters: 3, live: 2 }))),
                Fault::EtcdLate(after) => Some((after, well)),
                _ => None,
            })
            .unwrap_or((TALOS, well));
        let look = EtcdLook {
            members: etcd,
            ..EtcdLook::default()
        };
        state.plan(after, News::Etcd(look));
    }

    fn freezer(&mut self, command: &Command) {
        let mut state = self.0.borrow_mut();
        if state.is_gone {
            return;
        }
        match command {
            Command::Freeze {
                run,
                how,
                limit,
                devices,
            } => state.freeze(*run, *how, *limit, devices),
            Command::Thaw => state.thaw(Cause::Asked),
            Command::Rescue(devices) => {
                let outcome = if state.left {
                    state.release();
                    Outcome::Done
                } else {
                    Outcome::Left
                };
                let count = devices.iter().count();
                let outcomes = Outcomes::new(std::iter::repeat_n(outcome, count)).unwrap();
                state.plan(THAW, News::Freezer(Report::Rescued(outcomes)));
            }
            Command::Probe(devices) => {
                let count = devices.iter().count();
                let outcomes = std::iter::repeat_n(Outcome::Done, count);
                let outcomes = Outcomes::new(outcomes).unwrap();
                state.plan(THAW, News::Freezer(Report::Probed(outcomes)));
            }
        }
    }

    fn inquire(&mut self, _: InquiryId, _: Step) {}

    fn read(&mut self, _: KernelPart) -> Reading {
        Reading::Load(Load::default())
    }
}

/// A control plane that runs, with EPHEMERAL and a user volume on devices that no machine has.
fn facts() -> Facts {
    let names = [
        ("EPHEMERAL", "/dev/nvme97n1p6", "/var"),
        ("u-data", "/dev/nvme98n1p1", "/var/mnt/data"),
    ];
    let mut facts = node::with_address(node::ADDRESS);
    facts.stage = Some(Stage::Running);
    facts.node.machine_type = Some(MachineType::ControlPlane);
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
    facts.storage.volumes = Some(names.map(volume).into());
    facts.storage.mounts = Some(names.map(mount).into());
    facts
}
