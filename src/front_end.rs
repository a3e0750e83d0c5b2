//! What the daemon asks of a front end, the type that speaks one hypervisor's guest protocol.
//!
//! ```text
//!            ┌───────────────┐ ◄── facts, outcomes, measurements, time ── ┌────────┐
//! host ◄────►│ a front end   │                                            │ daemon │◄──► node
//!    bytes   └───────────────┘ ── orders: power, measurements, work ────► └────────┘
//! ```
//! The daemon knows no byte of a protocol and no socket of a host, a front end knows no Talos and no clock. One
//! of them runs at a time: VMware's is [`crate::vmware::Vmware`].
//!
//! The host is served while the node is slow: an [`Order`] is carried out beside the loop, and its result comes
//! back by a `handle_` method. A front end may therefore answer a request of the host later, or with an error
//! once it has waited long enough ([`FrontEnd::poll_timeout`]).

use std::future::Future;
use std::time::Duration;

use crate::config::Config;
use crate::diagnosis::Check;
use crate::facts::{Etcd, EtcdQuestion, Facts, KernelPart, Life, Reading};
use crate::freeze::{Command, Report};
use crate::inquiry::{Answer, InquiryId, Step};
use crate::power::{HandOver, Obstacle, Phase, PowerOperation, PowerOutcome, Press};

/// A front end. `now` is the time since boot everywhere.
pub trait FrontEnd {
    /// What happens on the host's side: a request, a lost channel, the end of a command.
    type Event;
    /// What this front end has to do that blocks; [`NoWork`] for one without.
    type Work: Work;

    /// Takes over what the operator may change while the daemon runs. Called once before the first event.
    fn configure(&mut self, config: &Config, now: Duration);

    /// Waits for the next event. Cancel-safe: dropped before it ends, it has taken nothing.
    fn next(&mut self) -> impl Future<Output = Self::Event>;

    /// Takes an event of [`FrontEnd::next`].
    fn handle(&mut self, event: Self::Event, now: Duration);

    /// Takes the facts, which have changed.
    fn handle_facts(&mut self, facts: &Facts, now: Duration);

    /// Takes the outcome of an [`Order::Power`]. There may be a second one, see [`PowerOutcome`].
    fn handle_power(&mut self, operation: PowerOperation, outcome: PowerOutcome, now: Duration);

    /// Called just before Talos is asked for a power operation: thaw what is frozen. Usually that was done when the operation
    /// was ordered, but it may have been held since.
    fn make_way(&mut self, _now: Duration) {}

    /// Takes how far a power operation has come, whoever asked for it.
    fn handle_phase(&mut self, _phase: &Phase, _now: Duration) {}

    /// Takes what became of an [`Order::HandOver`].
    fn handle_handed_over(&mut self, _outcome: &HandOver, _now: Duration) {}

    /// Takes the outcome of an [`Order::Measure`].
    fn handle_measured(&mut self, subject: Subject, measured: Measured, now: Duration);

    /// Takes what the kernel says `now` after an [`Order::Read`].
    fn handle_reading(&mut self, reading: &Reading, now: Duration);

    /// Takes an answer to an [`Order::Inquiry`].
    fn handle_answer(&mut self, _id: InquiryId, _answer: Answer, _now: Duration) {}

    /// Takes a report of the freezer, which follows an [`Order::Freezer`] or comes by itself.
    fn handle_freezer(&mut self, _report: &Report, _now: Duration) {}

    /// Takes what Talos says of etcd after an [`Order::LookAtEtcd`]; `None` when it does not answer.
    fn handle_etcd(&mut self, _etcd: Option<Etcd>, _now: Duration) {}

    /// Takes what came of an [`Order::LookForLife`].
    fn handle_life(&mut self, _life: &Life, _now: Duration) {}

    /// Takes the result of an [`Order::Work`].
    fn handle_work(&mut self, result: <Self::Work as Work>::Result, now: Duration);

    /// How long the host waits for the outcome of an [`Order::Power`]. It has one by then: Talos has accepted, or is not
    /// asked any more; or the operation is held.
    fn patience(&self) -> Duration {
        Duration::MAX
    }

    /// Takes whether Talos would take a power operation from us now. Not called before that is known.
    fn handle_power_way(&mut self, _way: Result<(), Obstacle>, _now: Duration) {}

    /// What is known of the way to the host, and of what it takes.
    fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    /// Takes what is worth showing of what is wrong with the agent, in one line.
    fn handle_problem(&mut self, _problem: &str, _now: Duration) {}

    /// Does what is due, when the time of [`FrontEnd::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Duration);

    /// The next order; called until `None` after every `handle`.
    fn poll_order(&mut self) -> Option<Order<Self::Work>>;

    /// When [`FrontEnd::handle_timeout`] wants to be called.
    fn poll_timeout(&self) -> Option<Duration>;

    /// The process is about to end: from here on the host is asked and answered nothing, and of what waits to be
    /// sent only what [`FrontEnd::debt`] means is still sent, at once.
    fn stop(&mut self, now: Duration);

    /// What the host still waits for after [`FrontEnd::stop`].
    fn debt(&self) -> Debt;

    /// Says good-bye to the host. Dropped when it takes too long.
    fn close(self) -> impl Future<Output = ()>;
}

/// What a host waits for while the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Debt {
    /// Nothing.
    None,
    /// What becomes of an [`Order::Power`] that is under way.
    Outcome,
    /// A message that is on its way, such as that outcome.
    Message,
}

/// What a front end wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there are a few at a time")]
pub enum Order<W> {
    /// A power button was pressed; [`FrontEnd::handle_power`] follows, unless it [repeats](Press::is_again) another press.
    Power(Press),
    /// Ask Talos for what no resource says; it becomes a fact.
    Measure(Subject),
    /// Read what the kernel says of the machine; [`FrontEnd::handle_reading`] comes at once.
    Read(KernelPart),
    /// Ask the node something, or go on with what was asked; answers come by [`FrontEnd::handle_answer`].
    Inquiry(InquiryId, Step),
    /// Ask Talos for the members of etcd; [`FrontEnd::handle_etcd`] follows.
    LookAtEtcd,
    /// Ask Talos for this of etcd; it becomes a fact.
    FollowEtcd(EtcdQuestion),
    /// Hand over the leadership of etcd if this node leads; [`FrontEnd::handle_handed_over`] follows.
    HandOver,
    /// Ask Talos for a sign of life; [`FrontEnd::handle_life`] follows.
    LookForLife,
    /// Have the freezer do this; [`FrontEnd::handle_freezer`] follows. A power operation that is ordered while something may
    /// be frozen waits for the thaw.
    Freezer(Command),
    /// Work off the loop.
    Work(W),
}

/// Work that blocks, such as freezing a file system or checking a password.
pub trait Work: Send + 'static {
    /// What comes of it.
    type Result: Send + 'static;

    /// Does it, on a thread of its own.
    fn run(self) -> Self::Result;
}

/// The work of a front end that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWork {}

impl Work for NoWork {
    type Result = Self;

    fn run(self) -> Self {
        self
    }
}

/// What Talos says only when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The space on the file systems (MachineService.Mounts).
    Space,
    /// What has gone over the network links (MachineService.NetworkDeviceStats).
    Traffic,
}

/// What became of an [`Order::Measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    /// Talos has answered; facts that changed by that are handed in by themselves.
    Done,
    /// Talos did not answer, or refused.
    Failed,
    /// Talos took too long: with [`Subject::Space`] a file system may hang, and each further call may leave one more thread of
    /// Talos hanging with it.
    TimedOut,
}
