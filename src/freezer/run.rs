//! What the freezer does, step by step: it knows neither a clock nor the kernel.
//!
//! ```text
//! Idle ─ Freeze ─► Working: open and sync each, then freeze each ─► Frozen ─ Thaw, limit ─► Thawing ─► Idle
//!                     └─ an error, Thaw, limit ──────────────────────────────────────────────►┘
//! ```
//! A step does one thing to one file system, so that between two of them what comes from outside counts.

use std::time::Duration;

use nix::errno::Errno;

use crate::freeze::message::{Cause, DeviceName, Devices, How, MOST_DEVICES, Outcome, Outcomes};
use crate::freeze::{Command, Report};

/// Nothing stays frozen for longer, whatever the agent says: the most that `quiesce.max_freeze` can be.
const LONGEST_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts to thaw what could not be thawed.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a file system was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It is not mounted, or mounted read-only.
    NotMounted,
    /// The kernel refuses.
    Refused(Errno),
}

/// The file systems of the node.
pub(super) trait FileSystems {
    /// The root of one, which is let go of when dropped.
    type Root;
    /// Opens the root of what is mounted from this device.
    fn open(&mut self, device: &DeviceName) -> Result<Self::Root, Unopened>;
    /// syncfs.
    fn sync(&mut self, root: &Self::Root) -> Result<(), Errno>;
    /// sync, of all that there is.
    fn sync_all(&mut self);
    /// FIFREEZE.
    fn freeze(&mut self, root: &Self::Root) -> Result<(), Errno>;
    /// FITHAW.
    fn thaw(&mut self, root: &Self::Root) -> Result<(), Errno>;
}

/// See the module.
#[derive(Debug)]
pub(super) struct Freezer<F: FileSystems> {
    file_systems: F,
    state: State<F::Root>,
    is_ending: bool,
}

#[derive(Debug, Default)]
enum State<R> {
    #[default]
    Idle,
    Working(Job, Slots<R>),
    Frozen(Hold, Slots<R>),
    Thawing(Thaw, Slots<R>),
}

/// A device of a command, and what became of it.
#[derive(Debug)]
struct Slot<R> {
    device: DeviceName,
    /// Open from before the freeze until after the thaw.
    root: Option<R>,
    is_frozen: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Slots<R>([Option<Slot<R>>; MOST_DEVICES]);

/// What is done to each device in turn.
#[derive(Clone, Copy, Debug)]
struct Job {
    kind: Kind,
    next: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Sync {
        run: u32,
    },
    /// Before a freeze, which is shorter if there is less left to be written.
    Open {
        run: u32,
        limit: Duration,
    },
    Freeze(Hold),
    Rescue,
    Probe,
}

/// A freeze that has begun.
#[derive(Clone, Copy, Debug)]
struct Hold {
    run: u32,
    limit: Duration,
    /// When the first FIFREEZE began, or would have.
    since: Duration,
}

impl Hold {
    const fn until(&self) -> Duration {
        self.since.saturating_add(self.limit)
    }
}

#[derive(Clone, Copy, Debug)]
struct Thaw {
    next_attempt: Duration,
    then: Then,
}

/// What is reported when all is thawed.
#[derive(Clone, Copy, Debug)]
enum Then {
    Failed { run: u32 },
    Thawed { hold: Hold, cause: Cause },
}

impl<F: FileSystems> Freezer<F> {
    pub(super) const fn new(file_systems: F) -> Self {
        Self {
            file_systems,
            state: State::Idle,
            is_ending: false,
        }
    }

    pub(super) const fn file_systems(&mut self) -> &mut F {
        &mut self.file_systems
    }

    /// Takes a command of the agent.
    pub(super) fn handle_command(&mut self, command: &Command, now: Duration) -> Option<Report> {
        let (kind, devices) = match *command {
            Command::Thaw => {
                self.thaw(Cause::Asked, now);
                return None;
            }
            Command::Freeze {
                run,
                how: How::Sync,
                devices,
                ..
            } => (Kind::Sync { run }, devices),
            Command::Freeze {
                run,
                how: How::Freeze,
                limit,
                devices,
            } => {
                let limit = limit.min(LONGEST_LIMIT);
                (Kind::Open { run, limit }, devices)
            }
            Command::Rescue(devices) => (Kind::Rescue, devices),
            Command::Probe(devices) => (Kind::Probe, devices),
        };
        if !matches!(self.state, State::Idle) {
            return Some(busy(kind, &devices));
        }
        self.state = State::Working(Job { kind, next: 0 }, Slots::new(&devices));
        None
    }

    /// SIGTERM: nothing stays frozen, and the agent may go on.
    pub(super) fn handle_termination(&mut self, now: Duration) {
        self.thaw(Cause::Terminated, now);
    }

    /// The agent is gone: nothing stays frozen, then it is over.
    pub(super) fn handle_end(&mut self, now: Duration) {
        self.is_ending = true;
        self.thaw(Cause::Asked, now);
    }

    /// Whether a command may be handed in: not while file systems are looked at one by one and nothing of it can be
    /// frozen. It waits in the socket.
    pub(super) const fn takes_commands(&self) -> bool {
        !matches!(
            self.state,
            State::Working(
                Job {
                    kind: Kind::Rescue | Kind::Probe,
                    ..
                },
                _
            )
        )
    }

    /// Whether the agent is gone.
    pub(super) const fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Whether there is nothing left to do for good.
    pub(super) const fn is_over(&self) -> bool {
        self.is_ending && matches!(self.state, State::Idle)
    }

    /// When [`Self::step`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Idle => None,
            State::Working(..) => Some(Duration::ZERO),
            State::Frozen(hold, _) => Some(hold.until()),
            State::Thawing(_, slots) if slots.none_frozen() => Some(Duration::ZERO),
            State::Thawing(thaw, _) => Some(thaw.next_attempt),
        }
    }

    /// Does one thing of what is due.
    pub(super) fn step(&mut self, now: Duration) -> Option<Report> {
        match std::mem::take(&mut self.state) {
            State::Idle => None,
            State::Working(job, slots) => self.work(job, slots, now),
            State::Frozen(hold, slots) if now < hold.until() => {
                self.state = State::Frozen(hold, slots);
                None
            }
            State::Frozen(hold, slots) => {
                let cause = Cause::Limit;
                self.begin_thaw(Then::Thawed { hold, cause }, slots, now);
                None
            }
            State::Thawing(thaw, slots) => self.go_on_thawing(thaw, slots, now),
        }
    }

    /// Ends a run; what is no run goes on.
    fn thaw(&mut self, cause: Cause, now: Duration) {
        match std::mem::take(&mut self.state) {
            State::Working(job, slots) => match job.kind {
                Kind::Sync { run } | Kind::Open { run, .. } | Kind::Freeze(Hold { run, .. }) => {
                    self.begin_thaw(Then::Failed { run }, slots, now);
                }
                Kind::Rescue | Kind::Probe => self.state = State::Working(job, slots),
            },
            State::Frozen(hold, slots) => {
                self.begin_thaw(Then::Thawed { hold, cause }, slots, now);
            }
            state @ (State::Idle | State::Thawing(..)) => self.state = state,
        }
    }

    fn begin_thaw(&mut self, then: Then, slots: Slots<F::Root>, now: Duration) {
        let next_attempt = now;
        self.state = State::Thawing(Thaw { next_attempt, then }, slots);
    }

    /// The last to be frozen is the first to be thawed. Reports a step after the last thaw, so that the time is one
    /// after it.
    fn go_on_thawing(
        &mut self,
        mut thaw: Thaw,
        mut slots: Slots<F::Root>,
        now: Duration,
    ) -> Option<Report> {
        if slots.none_frozen() {
            return Some(match thaw.then {
                Then::Failed { run } => {
                    let outcomes = slots.outcomes();
                    Report::Failed { run, outcomes }
                }
                Then::Thawed { hold, cause } => Report::Thawed {
                    run: hold.run,
                    cause,
                    lasted: now.saturating_sub(hold.since),
                },
            });
        }
        if now >= thaw.next_attempt {
            for slot in slots.0.iter_mut().rev().flatten() {
                let Some(root) = slot.root.as_ref().filter(|_| slot.is_frozen) else {
                    continue;
                };
                // EINVAL: it is not frozen.
                if let Ok(()) | Err(Errno::EINVAL) = self.file_systems.thaw(root) {
                    slot.is_frozen = false;
                    slot.root = None;
                }
            }
            thaw.next_attempt = now.saturating_add(PAUSE);
        }
        self.state = State::Thawing(thaw, slots);
        None
    }

    /// Does what the job is to its next device, or ends it.
    fn work(&mut self, mut job: Job, mut slots: Slots<F::Root>, now: Duration) -> Option<Report> {
        if let Kind::Freeze(hold) = job.kind
            && now >= hold.until()
        {
            self.begin_thaw(Then::Failed { run: hold.run }, slots, now);
            return None;
        }
        let Some(slot) = slots.0.get_mut(job.next).and_then(Option::as_mut) else {
            return self.end_job(job.kind, slots, now);
        };
        job.next += 1;
        let outcome = match job.kind {
            Kind::Sync { .. } => Some(self.sync(slot)),
            Kind::Open { .. } => Some(self.open(slot)),
            Kind::Freeze(_) => self.freeze(slot),
            Kind::Rescue => Some(self.rescue(slot)),
            Kind::Probe => Some(match self.file_systems.open(&slot.device) {
                Ok(_) => Outcome::Done,
                Err(unopened) => unopened.into(),
            }),
        };
        slot.outcome = outcome.or(slot.outcome);
        if let (Kind::Open { run, .. } | Kind::Freeze(Hold { run, .. }), Some(Outcome::Failed(_))) =
            (job.kind, slot.outcome)
        {
            self.begin_thaw(Then::Failed { run }, slots, now);
        } else {
            self.state = State::Working(job, slots);
        }
        None
    }

    /// All devices had their turn.
    fn end_job(&mut self, kind: Kind, slots: Slots<F::Root>, now: Duration) -> Option<Report> {
        let outcomes = slots.outcomes();
        Some(match kind {
            Kind::Open { run, limit } => {
                let since = now;
                let kind = Kind::Freeze(Hold { run, limit, since });
                self.state = State::Working(Job { kind, next: 0 }, slots);
                return None;
            }
            Kind::Freeze(hold) => {
                let run = hold.run;
                // Of nothing there is nothing to thaw, and no report of it.
                if !slots.none_frozen() {
                    self.state = State::Frozen(hold, slots);
                }
                Report::Frozen { run, outcomes }
            }
            Kind::Sync { run } => {
                let mut all = outcomes.iter();
                if all.any(|outcome| matches!(outcome, Outcome::Failed(_))) {
                    Report::Failed { run, outcomes }
                } else {
                    Report::Synced { run, outcomes }
                }
            }
            Kind::Rescue => Report::Rescued(outcomes),
            Kind::Probe => Report::Probed(outcomes),
        })
    }

    fn sync(&mut self, slot: &Slot<F::Root>) -> Outcome {
        match self.file_systems.open(&slot.device) {
            Ok(root) => done(self.file_systems.sync(&root)),
            // Without the right to open one, everything is synced.
            Err(Unopened::Refused(Errno::EPERM | Errno::EACCES | Errno::ENOSYS)) => {
                self.file_systems.sync_all();
                Outcome::Done
            }
            Err(unopened) => unopened.into(),
        }
    }

    fn open(&mut self, slot: &mut Slot<F::Root>) -> Outcome {
        match self.file_systems.open(&slot.device) {
            Ok(root) => {
                let synced = self.file_systems.sync(&root);
                slot.root = Some(root);
                done(synced)
            }
            Err(unopened) => unopened.into(),
        }
    }

    /// `None` for one that was not opened.
    fn freeze(&mut self, slot: &mut Slot<F::Root>) -> Option<Outcome> {
        let outcome = match self.file_systems.freeze(slot.root.as_ref()?) {
            Ok(()) => {
                slot.is_frozen = true;
                return Some(Outcome::Done);
            }
            Err(Errno::EBUSY) => Outcome::Left,
            Err(Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::EROFS) => Outcome::Skipped,
            Err(errno) => Outcome::Failed(errno as i32),
        };
        slot.root = None;
        Some(outcome)
    }

    fn rescue(&mut self, slot: &Slot<F::Root>) -> Outcome {
        match self.file_systems.open(&slot.device) {
            Ok(root) => match self.file_systems.thaw(&root) {
                Err(Errno::EINVAL) => Outcome::Left,
                Err(Errno::EOPNOTSUPP | Errno::ENOTTY) => Outcome::Skipped,
                thawed => done(thawed),
            },
            Err(unopened) => unopened.into(),
        }
    }
}

impl<R> Slots<R> {
    fn new(devices: &Devices) -> Self {
        let mut slots = [const { None }; MOST_DEVICES];
        for (slot, &device) in slots.iter_mut().zip(devices.iter()) {
            *slot = Some(Slot {
                device,
                root: None,
                is_frozen: false,
                outcome: None,
            });
        }
        Self(slots)
    }

    fn none_frozen(&self) -> bool {
        !self.0.iter().flatten().any(|slot| slot.is_frozen)
    }

    /// Of the devices that were tried: the first ones.
    fn outcomes(&self) -> Outcomes {
        outcomes(self.0.iter().flatten().map_while(|slot| slot.outcome))
    }
}

impl From<Unopened> for Outcome {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::NotMounted => Self::Skipped,
            Unopened::Refused(errno) => Self::Failed(errno as i32),
        }
    }
}

fn done(result: Result<(), Errno>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(errno) => Outcome::Failed(errno as i32),
    }
}

/// The refusal of a command that comes while another is under way.
fn busy(kind: Kind, devices: &Devices) -> Report {
    let none = outcomes([]);
    let each = devices.iter().map(|_| done(Err(Errno::EBUSY)));
    match kind {
        Kind::Sync { run } | Kind::Open { run, .. } | Kind::Freeze(Hold { run, .. }) => {
            let outcomes = none;
            Report::Failed { run, outcomes }
        }
        Kind::Rescue => Report::Rescued(outcomes(each)),
        Kind::Probe => Report::Probed(outcomes(each)),
    }
}

/// There are no more than devices.
fn outcomes(all: impl IntoIterator<Item = Outcome>) -> Outcomes {
    let all = all.into_iter().take(MOST_DEVICES);
    Outcomes::new(all).unwrap_or_default()
}

#[cfg(test)]
mod tests;
