//! The administrator's word about a power operation: a guest variable on the virtual machine.
//!
//! ```text
//! press ─► info-get guestinfo.talos-vmtoolsd.shutdown ─► 1 force ─► the press means now
//!                                                     ─► anything else, or nothing within a second ─► as configured
//! ```
//! Any process in the guest can write it, too, so it makes an operation quicker at most, and never begins one. It is read once
//! per operation, and only with `power.host_policy`. Nothing of it is kept.

use std::time::Duration;

use tracing::{info, warn};

use super::{Context, RpciId, RpciOutcome};
use crate::front_end::Order;
use crate::power::{PowerOperation, Press, Wish};
use crate::vmware::wire::text::{is_blank, printable, text};

/// The question.
const READ: &[u8] = b"info-get guestinfo.talos-vmtoolsd.shutdown";
/// The value that means now, in this case.
const FORCE: &[u8] = b"force";
/// How long a press waits for the answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HostPolicy {
    reads: bool,
    waiting: Option<Waiting>,
}

/// A press that waits for the word.
#[derive(Debug)]
struct Waiting {
    press: Press,
    /// When it was pressed again meanwhile.
    again: Option<Duration>,
    id: RpciId,
    until: Duration,
}

impl HostPolicy {
    /// Whether the word counts, from the next press on.
    pub(super) const fn set(&mut self, reads: bool) {
        self.reads = reads;
    }

    /// The button was pressed.
    pub(super) fn press(&mut self, operation: PowerOperation, cx: &mut Context<'_>) {
        let press = Press::usual(operation, cx.now);
        if self.reads {
            self.waiting = Some(Waiting {
                press,
                again: None,
                id: cx.outbox.urgent_rpci(READ.to_vec()),
                until: cx.now.saturating_add(PATIENCE),
            });
        } else {
            cx.outbox.order(Order::Power(press));
        }
    }

    /// It was pressed again.
    pub(super) fn press_again(&mut self, operation: PowerOperation, cx: &mut Context<'_>) {
        match &mut self.waiting {
            Some(waiting) => waiting.again = Some(cx.now),
            None => cx.outbox.order(Order::Power(again(operation, cx.now))),
        }
    }

    /// The host has answered.
    pub(super) fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        if waiting.id != id {
            return;
        }
        match outcome {
            RpciOutcome::Accepted(value) if is_force(value) => {
                info!("the administrator wants the power operation now");
                waiting.press.wish = Wish::Now;
            }
            RpciOutcome::Accepted(value) if !is_blank(value) => warn!(
                value = printable(value),
                "unknown value in the guest variable talos-vmtoolsd.shutdown is ignored; only force is supported"
            ),
            // No such variable; or one that is longer than any of ours; or the host is gone.
            RpciOutcome::Accepted(_)
            | RpciOutcome::Refused(_)
            | RpciOutcome::TooLong
            | RpciOutcome::Failed => {}
        }
        self.go_on(cx);
    }

    /// Whether the outcome of this message is awaited.
    pub(super) fn awaits(&self, id: RpciId) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| waiting.id == id)
    }

    /// The time of [`Self::deadline`] may have come.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_some_and(|until| until <= cx.now) {
            self.go_on(cx);
        }
    }

    /// When a press waits no longer.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }

    /// The press waits no longer.
    pub(super) fn go_on(&mut self, cx: &mut Context<'_>) {
        if let Some(Waiting {
            press, again: at, ..
        }) = self.waiting.take()
        {
            cx.outbox.order(Order::Power(press));
            if let Some(at) = at {
                cx.outbox.order(Order::Power(again(press.operation, at)));
            }
        }
    }
}

/// A press that repeats another.
const fn again(operation: PowerOperation, at: Duration) -> Press {
    Press {
        operation,
        wish: Wish::Usual,
        at,
        is_again: true,
    }
}

fn is_force(value: &[u8]) -> bool {
    text(value).trim_ascii() == FORCE
}
