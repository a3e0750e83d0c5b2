//! Power operations: OS_Halt, OS_Reboot, OS_PowerOn, OS_Resume, OS_Suspend [powerOps.c].
//!
//! ```text
//! OS_Reboot ─► OK            at once, as with a script configured: the channel stays alive meanwhile
//!           ─► info-get …    the administrator's word, if that counts, for a second at most
//!           ─► Power(Reboot) the press; what it leads to has its own deadlines
//!           ─► tools.os.statechange.status 1 2    when Talos has accepted, 0 when it has not
//! ```
//! A repeated request is a press, too: after a while it means now.
//!
//! Every request is answered by one status message, on the urgent lane, which is repeated until the channel took it or
//! a new session makes it untrue: [`Once`] decides what it says. Operations that concern the hypervisor alone are reported done at once.

use std::time::Duration;

use super::events::{EventLine, Lasts};
use super::host_policy::HostPolicy;
use super::outbox::ReplyTo;
use super::{Context, Members, RpciId, RpciOutcome, Service};
use crate::power::{Decision, Once, PowerOperation, PowerOutcome};
use crate::vmware::wire::text::{error, ok, terminated};

/// Requests that one outcome answers at most. A host repeats a request a handful of times.
const MAX_STATUSES: usize = 256;

/// GUESTOS_STATECHANGE_* [powerops.h].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateChange {
    Halt = 1,
    Reboot = 2,
    PowerOn = 3,
    Resume = 4,
    Suspend = 5,
}

impl StateChange {
    fn of(operation: PowerOperation) -> Self {
        match operation {
            PowerOperation::Shutdown => Self::Halt,
            PowerOperation::Reboot => Self::Reboot,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Power {
    once: Once,
    policy: HostPolicy,
}

/// OS_Halt.
pub(super) fn handle_halt(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    request(PowerOperation::Shutdown, members, cx, reply_to);
}

/// OS_Reboot.
pub(super) fn handle_reboot(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    request(PowerOperation::Reboot, members, cx, reply_to);
}

/// OS_PowerOn: the machine has been switched on.
pub(super) fn handle_power_on(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members.power.agree(StateChange::PowerOn, cx, reply_to);
}

/// OS_Resume: the machine was suspended; the host may know nothing of it any more.
pub(super) fn handle_resume(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    // A machine that has slept has a new session, even on the old channel.
    cx.events.new_session(cx.now);
    members.power.agree(StateChange::Resume, cx, reply_to);
    for service in members.each() {
        service.resumed(cx);
    }
}

/// OS_Suspend: the machine will be suspended.
pub(super) fn handle_suspend(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members.power.agree(StateChange::Suspend, cx, reply_to);
}

/// An operation for Talos. What is frozen is thawed first: Talos could not stop what waits for a disk.
fn request(
    operation: PowerOperation,
    members: &mut Members,
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    let decision = members.power.once.request(operation);
    reply(decision, cx, reply_to);
    match decision {
        Decision::Ask => {
            // The host must not count the machine that goes: Disable is sent before the press.
            cx.is_going = true;
            members.ha.urgent(cx);
            members.vmbackup.make_way(cx);
            members.power.policy.press(operation, cx);
        }
        Decision::Wait => members.power.policy.press_again(operation, cx),
        Decision::Accepted => {
            report(StateChange::of(operation), true, cx.events, cx.now);
            members.power.policy.press_again(operation, cx);
        }
        Decision::Busy => {}
    }
}

impl Power {
    /// Nothing has been asked for.
    pub(super) fn new() -> Self {
        Self {
            once: Once::default(),
            policy: HostPolicy::default(),
        }
    }

    /// A change that needs nothing of Talos.
    fn agree(&self, change: StateChange, cx: &mut Context<'_>, reply_to: ReplyTo) {
        let decision = self.once.announce();
        reply(decision, cx, reply_to);
        if decision == Decision::Accepted {
            report(change, true, cx.events, cx.now);
        }
    }

    /// Whether the administrator's word counts, from the next press on.
    pub(super) const fn set_host_policy(&mut self, reads: bool) {
        self.policy.set(reads);
    }

    /// The time of [`Self::poll_timeout`] may have come.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.policy.handle_timeout(cx);
    }

    /// When a press waits no longer, also for a host that is gone.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.policy.deadline()
    }

    /// The process ends: a press waits no longer.
    pub(super) fn stop(&mut self, cx: &mut Context<'_>) {
        self.policy.go_on(cx);
    }

    /// Whether an operation was asked for and its outcome is not known.
    pub(super) fn is_under_way(&self) -> bool {
        self.once.is_under_way()
    }

    /// Whether an operation was asked for that may still happen.
    pub(super) fn may_happen(&self) -> bool {
        self.once.may_happen()
    }

    /// What became of an operation.
    pub(super) fn finished(
        &mut self,
        operation: PowerOperation,
        outcome: PowerOutcome,
        events: &mut EventLine,
        now: Duration,
    ) {
        let accepted = outcome == PowerOutcome::Accepted;
        let waiting = self.once.finished(operation, outcome);
        for _ in 0..waiting.min(MAX_STATUSES) {
            report(StateChange::of(operation), accepted, events, now);
        }
    }
}

impl Service for Power {
    fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        self.policy.answered(id, outcome, cx);
    }

    fn awaits(&self, id: RpciId) -> bool {
        self.policy.awaits(id)
    }
}

fn reply(decision: Decision, cx: &mut Context<'_>, reply_to: ReplyTo) {
    let reply = match decision {
        Decision::Ask | Decision::Wait | Decision::Accepted => ok(b""),
        Decision::Busy => error("State change already in progress"),
    };
    cx.outbox.reply(reply_to, reply);
}

/// Sends a status message.
fn report(change: StateChange, success: bool, events: &mut EventLine, now: Duration) {
    const COMMAND: &str = "tools.os.statechange.status";
    let message = format!("{COMMAND} {} {}", u8::from(success), change as u8);
    let lasts = match change {
        StateChange::Halt | StateChange::Reboot => Lasts::Longer,
        StateChange::PowerOn | StateChange::Resume | StateChange::Suspend => Lasts::ThisSession,
    };
    events.push(COMMAND, terminated(&message), lasts, now);
}
