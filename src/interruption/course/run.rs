//! An operation that was asked for and is not over: what its course goes by.

use std::time::Duration;

use super::super::Output;
use super::super::call::{Call, CallId};
use super::{Context, Step};
use crate::config::{DrainDeadline, PowerConfig, RebootMode};
use crate::power::{PowerOperation, PowerOutcome, Wish};

/// An operation that was asked for and is not over.
#[derive(Debug)]
pub(super) struct Run {
    /// The settings, as they were at the press.
    pub(super) config: PowerConfig,
    /// When the button was pressed first.
    pub(super) pressed: Duration,
    /// Until when the host waits for the answer.
    pub(super) answer_by: Duration,
    pub(super) is_answered: bool,
    pub(super) wish: Wish,
    /// Whether etcd was waited for.
    pub(super) was_held: bool,
    pub(super) step: Step,
}

impl Run {
    /// Whether leadership of etcd is handed over before a Reboot. In the other modes etcd does so itself: it has the time.
    pub(super) fn hands_over(&self) -> bool {
        self.config.etcd.forfeit.force_reboot && self.config.reboot_mode == RebootMode::Force
    }

    /// When the budget is used up.
    pub(super) const fn budget_ends(&self) -> Duration {
        self.pressed.saturating_add(self.config.shutdown.budget)
    }

    /// When a drain that begins now has taken too long; `None` to leave that to Talos.
    pub(super) fn drain_ends(&self, now: Duration) -> Option<Duration> {
        if self.wish == Wish::Now || self.config.force_shutdown {
            return Some(now);
        }
        match self.config.shutdown.drain_deadline {
            DrainDeadline::After(limit) => Some(now.saturating_add(limit).min(self.budget_ends())),
            DrainDeadline::Talos => None,
        }
    }

    /// Makes a call, and says whether it is forced and takes over the one before; its number.
    pub(super) fn send(
        &self,
        operation: PowerOperation,
        (is_forced, takes_over): (bool, bool),
        deadline: Duration,
        cx: &mut Context<'_>,
    ) -> CallId {
        *cx.calls += 1;
        let id = CallId(*cx.calls);
        cx.outputs.push_back(Output::Call(Call {
            id,
            operation,
            is_forced,
            takes_over,
            deadline,
            reboot_mode: self.config.reboot_mode,
            busy: self.config.busy,
        }));
        id
    }

    /// Answers the host, once: yes.
    pub(super) fn answer(&mut self, operation: PowerOperation, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.is_answered, true) {
            let outcome = Output::Outcome(operation, PowerOutcome::Accepted);
            cx.outputs.push_back(outcome);
        }
    }
}
