//! After the call: Talos drains the node, and is asked to go on without when that takes too long.

use std::time::Duration;

use tracing::{info, warn};

use super::super::Output;
use super::super::call::CallId;
use super::{Context, Course, Run, Step};
use crate::backoff::Backoff;
use crate::facts::Stage;
use crate::power::{Heard, PowerOutcome, Wish};

/// First and longest delay between two attempts at the second call.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));
/// How often the second call is tried.
pub(in super::super) const ATTEMPTS: u32 = 5;

/// A drain.
#[derive(Debug)]
pub(super) struct Drain {
    /// The call that Talos has accepted.
    pub(super) call: CallId,
    /// When Talos is asked to go on without it; `None` to leave it to Talos.
    pub(super) until: Option<Duration>,
    /// Whether it has been seen to begin.
    has_begun: bool,
    /// Whether news of it may still come.
    is_followed: bool,
}

/// The second call, and what becomes of the first meanwhile.
#[derive(Debug)]
pub(super) struct Hurry {
    first: CallId,
    fate: Fate,
    second: Second,
    attempts: u32,
    backoff: Backoff,
}

/// What has become of the first call.
#[derive(Debug)]
enum Fate {
    /// Still draining.
    Drains,
    /// Not known: no more news will come.
    Unknown,
    /// Drained; Talos stops the machine.
    Drained,
    /// Did not happen: the second call, or something else, replaced it.
    Gone,
}

#[derive(Debug)]
enum Second {
    /// Talos has it.
    Made(CallId),
    /// To be made at this time.
    Due(Duration),
}

impl Drain {
    /// Whether it goes on, and a second call is to end it.
    pub(super) const fn is_bounded(&self) -> bool {
        self.until.is_some() && self.is_followed
    }
}

impl Hurry {
    pub(super) const fn is_calling(&self) -> bool {
        matches!(self.second, Second::Made(_))
    }

    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self.second {
            Second::Made(_) => None,
            Second::Due(at) => Some(at),
        }
    }
}

impl Course {
    /// Talos has accepted the call, and will drain the node unless there is nothing to drain.
    pub(super) fn drains(&mut self, call: CallId, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let until = run.drain_ends(cx.now);
        run.step = Step::Draining(Drain {
            call,
            until,
            has_begun: false,
            is_followed: true,
        });
        if run.wish == Wish::Now {
            self.hurry(cx);
        } else if until.is_some_and(|until| until <= cx.now) {
            self.drain_is_late(cx);
        }
    }

    pub(super) fn heard_of_drain(&mut self, heard: &Heard, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let until = run.drain_ends(cx.now);
        let Step::Draining(drain) = &mut run.step else {
            return;
        };
        match heard {
            // Behind a sequence that gave up first, it begins later than it was accepted.
            Heard::Draining if !std::mem::replace(&mut drain.has_begun, true) => {
                drain.until = drain.until.and(until);
            }
            Heard::Drained => run.step = Step::Stopping { call: drain.call },
            Heard::Outcome(PowerOutcome::NotFollowed) if drain.until.is_some() => {
                drain.is_followed = false;
            }
            Heard::Outcome(
                outcome @ (PowerOutcome::DidNotHappen(_) | PowerOutcome::NotFollowed),
            ) => self.end(outcome.clone(), cx),
            Heard::Outcome(PowerOutcome::Accepted | PowerOutcome::Rejected(_))
            | Heard::Draining => {}
        }
    }

    /// The drain takes longer than it may.
    pub(super) fn drain_is_late(&mut self, cx: &mut Context<'_>) {
        let waited = self
            .run
            .as_ref()
            .map(|run| cx.now.saturating_sub(run.pressed));
        warn!(
            after_s = waited.unwrap_or_default().as_secs(),
            "draining the node takes too long; asking Talos to shut down without it"
        );
        self.hurry(cx);
    }

    /// Talos is to go on without the drain.
    pub(super) fn hurry(&mut self, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let Step::Draining(drain) = &run.step else {
            return;
        };
        run.step = Step::Hurrying(Hurry {
            first: drain.call,
            fate: if drain.is_followed {
                Fate::Drains
            } else {
                Fate::Unknown
            },
            second: Second::Due(cx.now),
            attempts: 0,
            backoff: Backoff::new(RETRY.0, RETRY.1),
        });
        self.call_again(cx);
    }

    /// Makes the second call, if the machine still does what the first one asked for.
    pub(super) fn call_again(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let Step::Hurrying(hurry) = &run.step else {
            return;
        };
        match (cx.node.stage, &hurry.fate) {
            (None | Some(Stage::Unknown | Stage::ShuttingDown), _)
            // It has not begun.
            | (Some(Stage::Running | Stage::Booting), Fate::Drains | Fate::Drained | Fate::Gone) => {}
            (_, Fate::Unknown) => return self.end(PowerOutcome::NotFollowed, cx),
            // Beyond the drain, or Talos does something else, which no call of ours may interrupt.
            (Some(_), _) => return self.leave_to_first(cx),
        }
        let call = run.send(operation, (true, true), run.config.deadline, cx);
        if let Step::Hurrying(hurry) = &mut run.step {
            hurry.attempts += 1;
            hurry.second = Second::Made(call);
        }
    }

    pub(super) fn heard_in_hurry(&mut self, id: CallId, heard: &Heard, cx: &mut Context<'_>) {
        let Some(Run {
            step: Step::Hurrying(hurry),
            ..
        }) = &self.run
        else {
            return;
        };
        match hurry.second {
            Second::Made(call) if call == id => self.heard_of_second(call, heard, cx),
            Second::Made(_) | Second::Due(_) if hurry.first == id => self.heard_of_first(heard, cx),
            Second::Made(_) | Second::Due(_) => {}
        }
    }

    fn heard_of_second(&mut self, call: CallId, heard: &Heard, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let Step::Hurrying(hurry) = &mut run.step else {
            return;
        };
        match heard {
            Heard::Outcome(PowerOutcome::Accepted) => {
                info!(?operation, "Talos goes on without the drain");
                cx.outputs.push_back(Output::Drop(hurry.first));
                run.step = Step::Stopping { call };
            }
            Heard::Outcome(PowerOutcome::Rejected(reason) | PowerOutcome::DidNotHappen(reason)) => {
                if hurry.attempts == 1 {
                    warn!(
                        reason,
                        "Talos does not shut down without the drain yet; the drain continues"
                    );
                }
                match hurry.fate {
                    Fate::Gone => self.end(PowerOutcome::DidNotHappen(reason.clone()), cx),
                    Fate::Drained => self.leave_to_first(cx),
                    Fate::Drains | Fate::Unknown if hurry.attempts >= ATTEMPTS => {
                        self.leave_to_first(cx);
                    }
                    Fate::Drains | Fate::Unknown => {
                        let at = cx.now.saturating_add(hurry.backoff.next_delay());
                        hurry.second = Second::Due(at);
                    }
                }
            }
            Heard::Outcome(PowerOutcome::NotFollowed) | Heard::Draining | Heard::Drained => {}
        }
    }

    fn heard_of_first(&mut self, heard: &Heard, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let Step::Hurrying(hurry) = &mut run.step else {
            return;
        };
        let is_due = !hurry.is_calling();
        match heard {
            Heard::Outcome(outcome @ PowerOutcome::DidNotHappen(_)) if is_due => {
                self.end(outcome.clone(), cx);
            }
            Heard::Outcome(PowerOutcome::DidNotHappen(_)) => hurry.fate = Fate::Gone,
            Heard::Outcome(PowerOutcome::NotFollowed) => hurry.fate = Fate::Unknown,
            Heard::Drained => {
                hurry.fate = Fate::Drained;
                if is_due {
                    self.leave_to_first(cx);
                }
            }
            Heard::Outcome(PowerOutcome::Accepted | PowerOutcome::Rejected(_))
            | Heard::Draining => {}
        }
    }

    /// There will be no second call: the first goes on as it does.
    fn leave_to_first(&mut self, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        let Step::Hurrying(hurry) = &run.step else {
            return;
        };
        let call = hurry.first;
        match hurry.fate {
            Fate::Drained => run.step = Step::Stopping { call },
            Fate::Drains => {
                run.step = Step::Draining(Drain {
                    call,
                    until: None,
                    has_begun: true,
                    is_followed: true,
                });
            }
            Fate::Unknown | Fate::Gone => self.end(PowerOutcome::NotFollowed, cx),
        }
    }
}
