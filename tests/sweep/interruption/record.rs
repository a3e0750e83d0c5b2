//! What the agent has heard of its calls, and whether that is all.

use talos_vmtoolsd::interruption::{Call, CallId};
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome};
use tokio::time::Instant;
use vmx::Host;

use super::Plot;
use super::node::State;
use super::operator::press_of;
use crate::session::is_error;

/// Whether the machine is about to stop, or all that was asked for is over, and the host has its answers.
pub(super) fn is_at_end(host: &Host, node: &State, plot: Plot) -> bool {
    let exchanges = host.exchanges().iter();
    let requests = exchanges.filter(|exchange| {
        let is_press =
            ["OS_Halt", "OS_Reboot"].map(|request| press_of(exchange, request).is_some());
        is_press.contains(&true) && !is_error(exchange.reply.as_deref())
    });
    if requests.count() > host.vcenter(Instant::now().into_std()).power.len() {
        return false;
    }
    if node.calls.is_empty() {
        return plot == Plot::Refused && !node.at_stake.is_empty();
    }
    let is_over = |call: &Call| match node.end_of(call.id) {
        // A drain of which no news come is ended all the same.
        Some(PowerOutcome::NotFollowed) => call.is_forced || plot == Plot::LeftToTalos,
        end => end.is_some(),
    };
    node.is_stopping() || node.calls.iter().all(|(_, call)| is_over(call))
}

impl State {
    /// When this was heard of a call first.
    pub(super) fn heard_at(&self, call: CallId, is_it: impl Fn(&Heard) -> bool) -> Option<Instant> {
        let mut heard = self.heard.iter();
        heard
            .find(|(_, id, heard)| *id == call && is_it(heard))
            .map(|(at, ..)| *at)
    }

    pub(super) fn accepted(&self, call: CallId) -> Option<Instant> {
        let accepted = Heard::Outcome(PowerOutcome::Accepted);
        self.heard_at(call, |heard| *heard == accepted)
    }

    pub(super) fn rejected(&self, call: CallId) -> Option<Instant> {
        self.heard_at(call, |heard| {
            matches!(heard, Heard::Outcome(PowerOutcome::Rejected(_)))
        })
    }

    /// How it ended, if that was heard.
    pub(super) fn end_of(&self, call: CallId) -> Option<&PowerOutcome> {
        self.heard.iter().find_map(|(_, id, heard)| match heard {
            Heard::Outcome(outcome) if *id == call && *outcome != PowerOutcome::Accepted => {
                Some(outcome)
            }
            _ => None,
        })
    }

    /// Since when Talos stops the machine by this call, as far as the agent has heard.
    fn stops(&self, call: &Call) -> Option<Instant> {
        let accepted = self.accepted(call.id)?;
        if call.is_forced || call.operation == PowerOperation::Reboot {
            return Some(accepted);
        }
        let drained = self.heard_at(call.id, |heard| *heard == Heard::Drained);
        drained.filter(|drained| *drained >= accepted)
    }

    /// Whether Talos had begun to stop the machine by then.
    pub(super) fn was_stopping(&self, until: Instant) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|(_, call)| self.stops(call).is_some_and(|since| since <= until))
    }

    /// Whether Talos stops the machine, and nothing has come in between.
    pub(super) fn is_stopping(&self) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|(_, call)| self.stops(call).is_some() && self.end_of(call.id).is_none())
    }
}
