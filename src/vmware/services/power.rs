//! Power operations: OS_Halt, OS_Reboot, OS_PowerOn, OS_Resume, OS_Suspend [powerOps.c].
//!
//! ```text
//! OS_Reboot ─► OK            at once, as with a script configured: the channel stays alive meanwhile
//!           ─► Power(Reboot) the call to Talos, under its own deadline
//!           ─► tools.os.statechange.status 1 2    when Talos has accepted, 0 when it has not
//! ```
//!
//! Every request is answered by one status message, which is repeated until the channel took it, and says what
//! is true: a request that repeats one under way waits for the same outcome. An accepted operation is never asked
//! of Talos again, since a second call would start its sequence anew, until Talos shows that it did not happen.
//! Operations that concern the hypervisor alone are reported done at once.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::vmware::wire::text::{self, ok, printable, terminated};

use super::outbox::ReplyTo;
use super::{Context, Members, RpciId, RpciOutcome, Service};
use crate::power::{PowerOperation, PowerOutcome};

/// First delay after a lost status message; doubled with each further loss.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay after a lost status message.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// Status messages that may wait for a channel. A host asks for a handful at most.
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

/// How far an operation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Not asked for, or refused, or did not happen.
    #[default]
    Idle,
    /// Talos has been asked; so many requests of the host wait for the outcome.
    UnderWay { requests: usize },
    /// Talos has accepted.
    Accepted,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Power {
    shutdown: Progress,
    reboot: Progress,
    /// Status messages in order; the first may be in flight.
    statuses: VecDeque<Vec<u8>>,
    in_flight: Option<RpciId>,
    backoff: Backoff,
}

/// OS_Halt.
pub(super) fn handle_halt(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members
        .power
        .request(PowerOperation::Shutdown, cx, reply_to);
}

/// OS_Reboot.
pub(super) fn handle_reboot(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members.power.request(PowerOperation::Reboot, cx, reply_to);
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

impl Power {
    /// Nothing has been asked for.
    pub(super) fn new() -> Self {
        Self {
            shutdown: Progress::Idle,
            reboot: Progress::Idle,
            statuses: VecDeque::new(),
            in_flight: None,
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
        }
    }

    fn progress(&mut self, operation: PowerOperation) -> &mut Progress {
        match operation {
            PowerOperation::Shutdown => &mut self.shutdown,
            PowerOperation::Reboot => &mut self.reboot,
        }
    }

    /// An operation for Talos.
    fn request(&mut self, operation: PowerOperation, cx: &mut Context<'_>, reply_to: ReplyTo) {
        let other = match operation {
            PowerOperation::Shutdown => self.reboot,
            PowerOperation::Reboot => self.shutdown,
        };
        if matches!(other, Progress::UnderWay { .. }) {
            refuse(cx, reply_to);
            return;
        }
        cx.outbox.reply(reply_to, ok(b""));
        match self.progress(operation) {
            Progress::UnderWay { requests } => {
                *requests = requests.saturating_add(1);
                info!(
                    ?operation,
                    requests, "power operation requested again, Talos has been asked"
                );
            }
            Progress::Accepted => {
                info!(
                    ?operation,
                    "power operation requested again, Talos has accepted it"
                );
                self.report(StateChange::of(operation), true);
            }
            progress @ Progress::Idle => {
                *progress = Progress::UnderWay { requests: 1 };
                info!(?operation, "power operation requested");
                cx.outbox.power(operation);
            }
        }
    }

    /// A change that needs nothing of Talos.
    fn agree(&mut self, change: StateChange, cx: &mut Context<'_>, reply_to: ReplyTo) {
        if [self.shutdown, self.reboot]
            .iter()
            .any(|progress| matches!(progress, Progress::UnderWay { .. }))
        {
            refuse(cx, reply_to);
            return;
        }
        cx.outbox.reply(reply_to, ok(b""));
        self.report(change, true);
    }

    /// What became of an operation.
    pub(super) fn finished(&mut self, operation: PowerOperation, outcome: PowerOutcome) {
        let change = StateChange::of(operation);
        let progress = self.progress(operation);
        let waiting = match *progress {
            Progress::UnderWay { requests } => requests,
            Progress::Idle | Progress::Accepted => 0,
        };
        let accepted = outcome == PowerOutcome::Accepted;
        *progress = if accepted {
            Progress::Accepted
        } else {
            Progress::Idle
        };
        match outcome {
            PowerOutcome::Accepted => info!(?operation, "Talos has accepted the power operation"),
            PowerOutcome::Rejected(reason) => {
                error!(
                    ?operation,
                    reason, "Talos did not accept the power operation"
                );
            }
            PowerOutcome::DidNotHappen(reason) => {
                error!(
                    ?operation,
                    reason,
                    "the accepted power operation did not happen; the next request is sent anew"
                );
            }
        }
        for _ in 0..waiting.min(MAX_STATUSES) {
            self.report(change, accepted);
        }
    }

    /// Puts a status message in the queue.
    fn report(&mut self, change: StateChange, success: bool) {
        if self.statuses.len() >= MAX_STATUSES {
            error!("a status message is lost: too many wait for the channel");
            return;
        }
        self.statuses.push_back(terminated(&format!(
            "tools.os.statechange.status {} {}",
            u8::from(success),
            change as u8
        )));
    }
}

/// Another operation is under way.
fn refuse(cx: &mut Context<'_>, reply_to: ReplyTo) {
    warn!("power operation refused, another one is under way");
    cx.outbox
        .reply(reply_to, text::error("State change already in progress"));
}

impl Service for Power {
    fn connected(&mut self, _cx: &mut Context<'_>) {
        self.backoff.reset();
    }

    fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        if self.in_flight.take_if(|sent| *sent == id).is_none() {
            return;
        }
        match outcome {
            RpciOutcome::Failed => {
                self.backoff.hold(cx.now);
                return;
            }
            RpciOutcome::Accepted(_) => {}
            RpciOutcome::Refused(reply) => warn!(
                command = "tools.os.statechange.status",
                reply = printable(reply),
                fallback = "none",
                "the host refused a message"
            ),
        }
        self.backoff.reset();
        self.statuses.pop_front();
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.in_flight.is_some() || self.backoff.is_held(cx.now) {
            return;
        }
        if let Some(message) = self.statuses.front() {
            self.in_flight = Some(cx.outbox.rpci(message.clone()));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.backoff.deadline()
    }
}
