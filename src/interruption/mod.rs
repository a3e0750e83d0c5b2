//! Planned interruptions: what is done, and in which order, between a press of a power button and the call of Talos,
//! and until the machine stops. Sans-IO.
//!
//! ```text
//!            control plane, guard on            a majority stays, or time is up
//!  Idle ───► Looking ───────────────► Holding ──────────────┐
//!    │          │ └─ refuse ─► Refused                      │   before a forced Reboot
//!    └──────────┴──────────────────────────────────────────►├──► HandingOver ──► Calling
//!                                                           └──────────────────►  │ accepted
//!       second, forced call ◄── deadline, or pressed again                        ▼
//!  Stopping ◄─── Hurrying ◄──────────────────────────────────────────────────  Draining ───► Stopping
//! ```
//! - **Hold** (`power.etcd`): a control plane without which etcd has no majority waits until the others are enough, at most
//!   `hold`, and never beyond `power.shutdown.budget` after the press. Without an answer of Talos nothing is held.
//! - **Drain** (`power.shutdown`): Talos is asked for a Shutdown with a drain; when that takes longer than
//!   `drain_deadline`, or than what is left of the budget, for one without, which takes the place of the first. That second call
//!   is on purpose: an operation is asked for once per intent.
//! - **Now**: another press `escalate_after` the first, or an administrator's word on the host, means: no hold, no drain.
//!
//! Every operation has one answer. A host that waits for none as long as a hold may last has it when the hold
//! begins: it will be done. An operation goes by the settings of its press, whatever is reloaded meanwhile.
//!
//! With `drain_deadline: talos` Talos' own limits hold for the drain (a minute to cordon, five to drain), and the
//! budget ends a hold only.

mod call;
mod course;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod quorum;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use tracing::warn;

use crate::config::{PowerConfig, RebootMode};
use crate::facts::{EtcdLook, Facts, Stage, TalosVersion};
use crate::power::{HandOver, Heard, Phase, PowerOperation, PowerOutcome, Press};

pub use call::{Call, CallId};
use course::{Context, Course};
pub use quorum::{Standing, standing};

/// The first release of Talos with the reboot mode force; one before it reboots in its usual way.
const FORCE_SINCE: (u32, u32) = (1, 12);

/// What an interruption wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask Talos for etcd; [`Interruption::handle_etcd`] takes the answer.
    LookAtEtcd,
    /// Hand over the leadership of etcd if this node leads; [`Interruption::handle_handed_over`] takes the outcome.
    HandOver,
    /// Call Talos; [`Interruption::handle_heard`] takes what is heard of it.
    Call(Call),
    /// Follow this call no longer, which Talos has accepted.
    Drop(CallId),
    /// The answer to whoever asked for the operation, or what became of it after that.
    Outcome(PowerOperation, PowerOutcome),
    /// How far the operation under way has come.
    Phase(Phase),
}

/// What counts of the node.
#[derive(Clone, Copy, Debug)]
struct Circumstances {
    /// Whether it is a control plane.
    is_control_plane: bool,
    /// Whether it is one, or may be.
    may_be_control_plane: bool,
    /// What the machine is doing, as Talos said last.
    stage: Option<Stage>,
    /// Whether this Talos is too old for the reboot mode force.
    lacks_force: bool,
}

impl Circumstances {
    fn of(facts: &Facts) -> Self {
        Self {
            is_control_plane: facts.node.is_control_plane(),
            may_be_control_plane: facts.may_be_control_plane(),
            stage: facts.stage,
            lacks_force: facts
                .talos
                .as_ref()
                .and_then(|talos| TalosVersion::release(&talos.tag))
                .is_some_and(|release| release < FORCE_SINCE),
        }
    }

    /// Whether the machine goes down, whoever wanted that.
    const fn goes_down(self) -> bool {
        matches!(
            self.stage,
            Some(Stage::Rebooting | Stage::ShuttingDown | Stage::Resetting | Stage::Upgrading)
        )
    }
}

/// See the module. Shutdown and Reboot have a course each: while Talos carries out one, the other may be asked for,
/// and Talos decides.
#[derive(Debug)]
pub struct Interruption {
    config: PowerConfig,
    node: Circumstances,
    shutdown: Course,
    reboot: Course,
    /// The number of the last call.
    calls: u64,
    outputs: VecDeque<Output>,
    /// The operation that was asked for last.
    last: PowerOperation,
    /// The last that was said of it.
    phase: Phase,
    /// Whether the log has said that this Talos cannot reboot as configured.
    has_said_lack: bool,
}

impl Default for Interruption {
    fn default() -> Self {
        Self {
            config: PowerConfig::default(),
            node: Circumstances::of(&Facts::default()),
            shutdown: Course::new(PowerOperation::Shutdown),
            reboot: Course::new(PowerOperation::Reboot),
            calls: 0,
            outputs: VecDeque::new(),
            last: PowerOperation::Shutdown,
            phase: Phase::Idle,
            has_said_lack: false,
        }
    }
}

impl Interruption {
    /// How operations are carried out from the next press on.
    pub fn set_config(&mut self, config: &PowerConfig) {
        self.config = *config;
        self.say_lack();
    }

    /// A button was pressed, or pressed again. The host waits so long for the answer: `patience` from the press.
    pub fn handle_press(&mut self, press: Press, patience: Duration, now: Duration) {
        if press.is_again {
            self.with(press.operation, now, |course, cx| {
                course.press_again(press, cx)
            });
            return;
        }
        let other = match press.operation {
            PowerOperation::Shutdown => &self.reboot,
            PowerOperation::Reboot => &self.shutdown,
        };
        if other.is_before_acceptance() {
            let why = "another power operation is under way".to_owned();
            let outcome = PowerOutcome::Rejected(why);
            self.outputs
                .push_back(Output::Outcome(press.operation, outcome));
            return;
        }
        self.last = press.operation;
        let config = self.config;
        self.with(press.operation, now, |course, cx| {
            course.press(press, patience, config, cx);
        });
    }

    /// The facts have changed.
    pub fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        self.node = Circumstances::of(facts);
        self.say_lack();
        self.each(now, Course::circumstances_changed);
    }

    /// What Talos says of etcd, whoever has asked.
    pub fn handle_etcd(&mut self, look: EtcdLook, now: Duration) {
        self.each(now, |course, cx| course.etcd(look, cx));
    }

    /// What became of handing over the leadership of etcd, whoever has asked for that.
    pub fn handle_handed_over(&mut self, outcome: &HandOver, now: Duration) {
        self.each(now, |course, cx| course.handed_over(outcome, cx));
    }

    /// What is heard of a call.
    pub fn handle_heard(&mut self, call: CallId, heard: &Heard, now: Duration) {
        self.each(now, |course, cx| course.heard(call, heard, cx));
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.each(now, Course::timeout);
    }

    /// The process ends: what has not been asked of Talos yet is asked for at once.
    pub fn stop(&mut self, now: Duration) {
        self.each(now, Course::stop);
    }

    /// Whether Talos is being asked, and has not accepted yet.
    pub const fn is_calling(&self) -> bool {
        self.shutdown.is_calling() || self.reboot.is_calling()
    }

    /// The next thing to do; to be called until `None` after every `handle_`.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| self.news_of_phase())
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Duration> {
        let courses = [&self.shutdown, &self.reboot].into_iter();
        courses.filter_map(Course::deadline).min()
    }

    /// Says once where this Talos cannot reboot as configured.
    fn say_lack(&mut self) {
        let lacks = self.config.reboot_mode == RebootMode::Force && self.node.lacks_force;
        if lacks && !self.has_said_lack {
            let (major, minor) = FORCE_SINCE;
            let since = format!("{major}.{minor}");
            warn!(
                since,
                "this Talos does not know power.reboot_mode force; it restarts in its usual way"
            );
        }
        self.has_said_lack = lacks;
    }

    fn each(&mut self, now: Duration, mut call: impl FnMut(&mut Course, &mut Context<'_>)) {
        self.with(PowerOperation::Shutdown, now, &mut call);
        self.with(PowerOperation::Reboot, now, &mut call);
    }

    fn with(
        &mut self,
        operation: PowerOperation,
        now: Duration,
        call: impl FnOnce(&mut Course, &mut Context<'_>),
    ) {
        let course = match operation {
            PowerOperation::Shutdown => &mut self.shutdown,
            PowerOperation::Reboot => &mut self.reboot,
        };
        let mut cx = Context {
            outputs: &mut self.outputs,
            calls: &mut self.calls,
            node: self.node,
            now,
        };
        call(course, &mut cx);
    }

    /// How far the operation under way has come, if that has changed.
    fn news_of_phase(&mut self) -> Option<Output> {
        let (last, other) = match self.last {
            PowerOperation::Shutdown => (&self.shutdown, &self.reboot),
            PowerOperation::Reboot => (&self.reboot, &self.shutdown),
        };
        let (last, other) = (last.phase(), other.phase());
        let phase = if !last.is_an_end() && other.is_an_end() {
            other
        } else {
            last
        };
        (self.phase != phase).then(|| {
            self.phase.clone_from(&phase);
            Output::Phase(phase)
        })
    }
}
