//! What must hold of a session, judged by what the node was asked for and said, and by what the host was sent.

use std::time::Duration;

use talos_vmtoolsd::interruption::Call;
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome};
use tokio::time::Instant;
use vmx::Host;
use vmx::codec::rpci::Command;

use super::node::State;
use super::operator::{is_shutdown, press_of};
use super::{BUDGET, DRAIN_DEADLINE, ESCALATE_AFTER, HOLD, Plot};
use crate::session::is_error;

/// Between a deadline and what is done at it.
const SLACK: Duration = Duration::from_millis(100);
/// How long a look at etcd and handing over its leadership may take together, on top of the hold.
const ON_TOP: Duration = Duration::from_secs(6);
/// How often the second call is tried.
const ATTEMPTS: usize = 5;

/// A session, as it is seen from outside.
pub(super) struct Seen<'a> {
    pub(super) plot: Plot,
    pub(super) host: &'a Host,
    pub(super) node: &'a State,
    /// Whether the way to the host was there all the time.
    pub(super) is_whole: bool,
    /// Whether the host was away for longer than a status waits.
    pub(super) may_lose: bool,
    /// When the agent was stopped.
    pub(super) stopped: Option<Instant>,
}

/// What is wrong.
pub(super) fn judge(seen: &Seen<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for operation in [PowerOperation::Shutdown, PowerOperation::Reboot] {
        let story = seen.story(operation);
        story.judge_statuses(&mut wrong);
        story.judge_calls(&mut wrong);
        story.judge_deadlines(&mut wrong);
    }
    seen.judge_phases(&mut wrong);
    if seen.is_whole {
        wrong.extend(seen.host.violations().iter().cloned());
    }
    wrong
}

/// All about one operation.
struct Story<'a> {
    seen: &'a Seen<'a>,
    operation: PowerOperation,
    /// When the guest had a request of the host, and whether it took it.
    presses: Vec<(Instant, bool)>,
    calls: Vec<(Instant, Call)>,
    /// When an intent was over: refused, not happened, not followed.
    ends: Vec<Instant>,
}

impl<'a> Seen<'a> {
    fn story(&'a self, operation: PowerOperation) -> Story<'a> {
        let request = match operation {
            PowerOperation::Shutdown => "OS_Halt",
            PowerOperation::Reboot => "OS_Reboot",
        };
        let exchanges = self.host.exchanges().iter();
        let presses = exchanges.filter_map(|exchange| {
            let at = press_of(exchange, request)?;
            Some((at, !is_error(exchange.reply.as_deref())))
        });
        let calls = self.node.calls.iter();
        let calls: Vec<_> = calls
            .filter(|(_, call)| call.operation == operation)
            .copied()
            .collect();
        let mut ends: Vec<_> = self
            .node
            .heard
            .iter()
            .filter(|(_, id, heard)| {
                let of_it = calls.iter().any(|(_, call)| call.id == *id);
                let accepted = Heard::Outcome(PowerOutcome::Accepted);
                of_it && matches!(heard, Heard::Outcome(_)) && *heard != accepted
            })
            .map(|(at, ..)| *at)
            .collect();
        if self.plot == Plot::Refused {
            ends.extend(&self.node.at_stake);
        }
        Story {
            seen: self,
            operation,
            presses: presses.collect(),
            calls,
            ends,
        }
    }

    /// What the host was sent of the way to the end.
    fn judge_phases(&self, wrong: &mut Vec<String>) {
        let node = self.node;
        let log = self.host.rpci_log().iter();
        let shown = log.filter(|entry| entry.accepted()).filter_map(|entry| {
            let Ok(Command::InfoSet { key, value }) = &entry.command else {
                return None;
            };
            let value = String::from_utf8_lossy(value).into_owned();
            (key == "vmtools.talos.power").then_some((Instant::from_std(entry.instant), value))
        });
        let shown: Vec<_> = shown.collect();
        let mut rank_before = 0;
        for (at, phase) in &shown {
            let word = phase.split(':').next().unwrap_or_default();
            let by = |time: &Instant| time <= at;
            let has_ended = node.heard.iter().any(|(time, _, heard)| {
                let accepted = Heard::Outcome(PowerOutcome::Accepted);
                by(time) && matches!(heard, Heard::Outcome(_)) && *heard != accepted
            });
            let is_refused = self.plot == Plot::Refused && node.at_stake.iter().any(by);
            let calls = || node.calls.iter().filter(|(time, _)| by(time));
            let (rank, is_true) = match word {
                "idle" => (0, rank_before == 0 || has_ended || is_refused),
                "refused" => (0, has_ended || is_refused),
                "holding" => (1, node.at_stake.iter().any(by)),
                "draining" => {
                    let is_accepted =
                        |call: &Call| node.accepted(call.id).is_some_and(|time| by(&time));
                    (
                        2,
                        calls().any(|(_, call)| !call.is_forced && is_accepted(call)),
                    )
                }
                "hurrying" => (3, calls().any(|(_, call)| call.takes_over)),
                "stopping" => (4, node.was_stopping(*at)),
                _ => (0, false),
            };
            // A second call that fails leaves it to the first.
            let is_possible = rank == 0 || rank >= rank_before || (rank, rank_before) == (2, 3);
            if !is_true || !is_possible {
                wrong.push(format!("{phase} of {shown:?}"));
            }
            rank_before = rank;
        }
        let other = match is_shutdown(self.plot) {
            true => PowerOperation::Reboot,
            false => PowerOperation::Shutdown,
        };
        // Of two operations the last counts, or who is further.
        if self.stopped.is_none() && self.story(other).presses.is_empty() {
            let last = shown.last().map_or("", |(_, phase)| phase.as_str());
            let word = last.split(':').next().unwrap_or_default();
            let expected = self.last_phases();
            if !expected.contains(&word) {
                wrong.push(format!("{last} in the end, not {expected:?}"));
            }
        }
    }

    /// What may be shown in the end.
    fn last_phases(&self) -> &'static [&'static str] {
        let node = self.node;
        if node.is_stopping() {
            return &["stopping"];
        }
        let drains = node.calls.iter().any(|(_, call)| {
            let end = node.end_of(call.id);
            node.accepted(call.id).is_some() && end.is_none()
        });
        match node.calls.last() {
            _ if drains => &["draining", "hurrying"],
            None if node.at_stake.is_empty() => &["idle"],
            None => &["refused"],
            Some(_) => &["refused", "idle"],
        }
    }
}

impl Story<'_> {
    fn say(&self, wrong: &mut Vec<String>, what: &str) {
        let start = Instant::from_std(self.seen.host.started());
        let since = |at: &Instant| (*at - start).as_secs_f64();
        let calls = self.calls.iter().map(|(at, call)| {
            format!(
                "{:.2} {}{}",
                since(at),
                if call.is_forced { "forced" } else { "usual" },
                if call.takes_over { " over" } else { "" }
            )
        });
        let heard = self.seen.node.heard.iter();
        let heard = heard.map(|(at, call, heard)| format!("{:.2} {call:?} {heard:?}", since(at)));
        let presses: Vec<_> = self.presses.iter().map(|(at, _)| since(at)).collect();
        wrong.push(format!(
            "{:?}: {what}; presses {presses:.2?}, calls {:?}, heard {:?}",
            self.operation,
            calls.collect::<Vec<_>>(),
            heard.collect::<Vec<_>>()
        ));
    }

    /// Each request has one status, and it is the truth.
    fn judge_statuses(&self, wrong: &mut Vec<String>) {
        let node = self.seen.node;
        let state = match self.operation {
            PowerOperation::Shutdown => 1,
            PowerOperation::Reboot => 2,
        };
        let log = self.seen.host.rpci_log().iter();
        let statuses: Vec<_> = log
            .filter(|entry| entry.accepted())
            .filter_map(|entry| match entry.command {
                Ok(Command::StateChangeStatus { success, state: of }) if of == state => {
                    Some((Instant::from_std(entry.instant), success))
                }
                _ => None,
            })
            .collect();
        for (at, success) in &statuses {
            let by = |time: Option<Instant>| time.is_some_and(|time| time <= *at);
            let mut calls = self.calls.iter();
            let is_true = match success {
                true => calls.any(|(_, call)| by(node.accepted(call.id))),
                false => {
                    let refused = self.seen.plot == Plot::Refused;
                    calls.any(|(_, call)| by(node.rejected(call.id)))
                        || refused && node.at_stake.iter().any(|time| time <= at)
                }
            };
            if !is_true {
                self.say(wrong, &format!("status {success} is not true"));
            }
        }
        let taken = self
            .presses
            .iter()
            .filter(|(_, is_taken)| *is_taken)
            .count();
        // What the host waits for when the agent is stopped, Talos may say too late.
        let is_owed = self.seen.stopped.is_some()
            && self.calls.iter().any(|(_, call)| {
                !call.takes_over
                    && node.accepted(call.id).is_none()
                    && node.end_of(call.id).is_none()
            });
        let is_complete = match (self.seen.is_whole, is_owed) {
            (true, false) => statuses.len() == taken,
            (true, true) => statuses.len() <= taken,
            (false, _) => taken == 0 || !statuses.is_empty() || self.seen.may_lose,
        };
        if !is_complete {
            let sent: Vec<_> = statuses.iter().map(|(_, success)| success).collect();
            self.say(wrong, &format!("{taken} requests, status {sent:?}"));
        }
    }

    /// The press that a call at this time goes back to, and another one by then that means now.
    fn intent(&self, until: Instant) -> Option<(Instant, Option<Instant>)> {
        let over = self.ends.iter().filter(|end| **end < until).max();
        let mut presses = self
            .presses
            .iter()
            .filter(|(_, is_taken)| *is_taken)
            .map(|(at, _)| *at)
            .filter(|at| over.is_none_or(|over| at >= over) && *at <= until);
        let first = presses.next()?;
        let now = presses.find(|at| *at >= first + ESCALATE_AFTER);
        Some((first, now))
    }

    /// Each call has its reason.
    fn judge_calls(&self, wrong: &mut Vec<String>) {
        let mut base: Option<(Instant, Instant, Call)> = None;
        let mut seconds: Vec<Call> = Vec::new();
        for (at, call) in &self.calls {
            if call.takes_over {
                match base {
                    Some((_, pressed, first)) => {
                        self.judge_second((pressed, first), *at, call, &seconds, wrong)
                    }
                    None => self.say(wrong, "a second call without a first"),
                }
                seconds.push(*call);
                continue;
            }
            seconds.clear();
            let Some((pressed, now)) = self.intent(*at) else {
                self.say(wrong, "a call without a request");
                continue;
            };
            if base.is_some_and(|(before, ..)| before >= pressed) {
                self.say(wrong, "two calls for one intent");
            }
            let may_drain =
                self.seen.plot != Plot::Forced && now.is_none() && *at < pressed + BUDGET
                    || self.operation == PowerOperation::Reboot;
            if call.is_forced == may_drain {
                self.say(
                    wrong,
                    "by force without a reason, or without although there is one",
                );
            }
            let limits = [Some(pressed + HOLD + ON_TOP), now, self.seen.stopped];
            let limit = limits.into_iter().flatten().min();
            if limit.is_some_and(|limit| *at > limit + SLACK) {
                self.say(wrong, "a late call");
            }
            base = Some((*at, pressed, *call));
        }
    }

    /// The reason of a second call.
    fn judge_second(
        &self,
        (pressed, first): (Instant, Call),
        at: Instant,
        call: &Call,
        before: &[Call],
        wrong: &mut Vec<String>,
    ) {
        let node = self.seen.node;
        let mut expect = |right: bool, what: &str| {
            if !right {
                self.say(wrong, what);
            }
        };
        expect(call.is_forced, "a second call without force");
        expect(!first.is_forced, "a second call after one by force");
        expect(before.len() < ATTEMPTS, "too many second calls");
        if let Some(last) = before.last() {
            let is_failed = node.rejected(last.id).is_some_and(|time| time <= at);
            expect(
                is_failed,
                "a second call although the one before has not failed",
            );
        }
        let drained = node.heard_at(first.id, |heard| *heard == Heard::Drained);
        let accepted = node.accepted(first.id);
        let is_drained = drained.is_some_and(|time| time < at && accepted < Some(time));
        expect(!is_drained, "a second call after the drain");
        let failed = node.heard_at(first.id, |heard| {
            matches!(heard, Heard::Outcome(PowerOutcome::DidNotHappen(_)))
        });
        expect(
            failed.is_none_or(|time| time >= at),
            "a second call for what did not happen",
        );
        match self.due(pressed, &first) {
            Some(due) => expect(at >= due, "a second call before its time"),
            None => expect(false, "a second call without a reason"),
        }
    }

    /// When a drain has taken too long, or the button was pressed again.
    fn due(&self, pressed: Instant, first: &Call) -> Option<Instant> {
        let node = self.seen.node;
        let accepted = node.accepted(first.id)?;
        let budget = pressed + BUDGET;
        let due = (self.seen.plot != Plot::LeftToTalos).then(|| {
            let due = (accepted + DRAIN_DEADLINE).min(budget);
            let begun = self.seen.node.heard.iter().find(|(at, id, heard)| {
                *id == first.id && *heard == Heard::Draining && *at >= accepted
            });
            match begun {
                Some((begun, ..)) if *begun < due => (*begun + DRAIN_DEADLINE).min(budget),
                _ => due,
            }
        });
        let presses = self.presses.iter().filter(|(_, is_taken)| *is_taken);
        let again = presses
            .map(|(at, _)| *at)
            .find(|at| *at >= pressed + ESCALATE_AFTER);
        let due = due.into_iter().chain(again).min()?;
        Some(due.max(accepted))
    }

    /// No drain is longer than it may be.
    fn judge_deadlines(&self, wrong: &mut Vec<String>) {
        let node = self.seen.node;
        let end = self.seen.stopped.unwrap_or_else(Instant::now);
        for (at, call) in &self.calls {
            let drains = !call.is_forced && self.operation == PowerOperation::Shutdown;
            let Some((pressed, _)) = self.intent(*at).filter(|_| drains) else {
                continue;
            };
            let Some(due) = self.due(pressed, call).filter(|due| *due + SLACK < end) else {
                continue;
            };
            let is_settled = node.heard.iter().any(|(time, id, heard)| {
                let is_end = match heard {
                    Heard::Drained | Heard::Outcome(PowerOutcome::DidNotHappen(_)) => true,
                    Heard::Outcome(PowerOutcome::NotFollowed) => {
                        self.seen.plot == Plot::LeftToTalos
                    }
                    Heard::Outcome(_) | Heard::Draining => false,
                };
                *id == call.id && is_end && *time <= due
            });
            let is_ended = self
                .calls
                .iter()
                .any(|(time, second)| second.takes_over && time >= at && *time <= due + SLACK);
            if !is_settled && !is_ended {
                self.say(wrong, "a drain beyond its time");
            }
        }
    }
}
