//! The course of one operation, from its press to its end.
//!
//! ```text
//! press ─► Looking ─► Holding ─► HandingOver ─► Calling ─► Draining ─► Hurrying ─► Stopping ─► over
//! ```
//! Each step but the call may be left out. Over is a course that was refused, did not happen, or is not followed any
//! more.

mod drain;
mod hold;
mod run;

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{error, info, warn};

use super::call::CallId;
use super::{Circumstances, Output};
use crate::config::{PowerConfig, QuorumGuard};
use crate::power::{HandOver, Heard, Phase, PowerOperation, PowerOutcome, Press, Wish};
use drain::Hurry;
use hold::Look;
use run::Run;

/// How long handing over the leadership of etcd is waited for: longer than it may take, so that its own reason is heard.
pub(super) const HAND_OVER: Duration =
    HandOver::PATIENCE.saturating_add(Duration::from_millis(500));

/// What a course may look at and write to.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) outputs: &'a mut VecDeque<Output>,
    /// The number of the last call.
    pub(super) calls: &'a mut u64,
    pub(super) node: Circumstances,
    pub(super) now: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Course {
    operation: PowerOperation,
    run: Option<Run>,
    /// Why the last one was refused, or did not happen.
    refused: Option<String>,
}

/// How far it has come.
#[derive(Debug)]
enum Step {
    /// Talos was asked whether etcd can do without this node; until then it may answer.
    Looking { until: Duration },
    /// It cannot; Talos is asked again.
    Holding { until: Duration, look: Look },
    /// The leadership of etcd is handed over, until then at most.
    HandingOver { until: Duration },
    /// Talos is asked for the operation; forced by us, or by the caller, who found that nothing can be drained.
    Calling { call: CallId, is_forced: bool },
    /// Talos has accepted, and drains the node.
    Draining(drain::Drain),
    /// Talos is to go on without.
    Hurrying(Hurry),
    /// Talos stops the machine.
    Stopping { call: CallId },
}

impl Course {
    /// Nothing has been asked for.
    pub(super) const fn new(operation: PowerOperation) -> Self {
        Self {
            operation,
            run: None,
            refused: None,
        }
    }

    /// How far it has come. A call keeps the phase before it.
    pub(super) fn phase(&self) -> Phase {
        let Some(run) = &self.run else {
            return self.refused.clone().map_or(Phase::Idle, Phase::Refused);
        };
        match &run.step {
            Step::Looking { .. } => Phase::Idle,
            Step::HandingOver { .. } | Step::Calling { .. } if !run.was_held => Phase::Idle,
            Step::Holding { .. } | Step::HandingOver { .. } | Step::Calling { .. } => {
                Phase::Holding
            }
            Step::Draining(_) => Phase::Draining,
            Step::Hurrying(_) => Phase::Hurrying,
            Step::Stopping { .. } => Phase::Stopping,
        }
    }

    /// Whether it was asked for, and Talos has not accepted yet.
    pub(super) const fn is_before_acceptance(&self) -> bool {
        matches!(
            self.run,
            Some(Run {
                step: Step::Looking { .. }
                    | Step::Holding { .. }
                    | Step::HandingOver { .. }
                    | Step::Calling { .. },
                ..
            })
        )
    }

    /// Whether Talos has a call and has not accepted it yet.
    pub(super) const fn is_calling(&self) -> bool {
        match &self.run {
            Some(run) => match &run.step {
                Step::Calling { .. } => true,
                Step::Hurrying(hurry) => hurry.is_calling(),
                Step::Looking { .. }
                | Step::Holding { .. }
                | Step::HandingOver { .. }
                | Step::Draining(_)
                | Step::Stopping { .. } => false,
            },
            None => false,
        }
    }

    /// The button was pressed.
    pub(super) fn press(
        &mut self,
        press: Press,
        patience: Duration,
        config: PowerConfig,
        cx: &mut Context<'_>,
    ) {
        if self.run.is_some() {
            return self.press_again(press, cx);
        }
        self.refused = None;
        let run = self.run.insert(Run {
            config,
            pressed: press.at,
            answer_by: press.at.saturating_add(patience),
            is_answered: false,
            wish: press.wish,
            was_held: false,
            step: Step::Looking {
                until: cx.now.saturating_add(hold::LOOK_PATIENCE),
            },
        });
        let is_guarded = cx.node.may_be_control_plane
            && !cx.node.goes_down()
            && config.etcd.guard != QuorumGuard::Off;
        if is_guarded && run.wish == Wish::Usual {
            cx.outputs.push_back(Output::LookAtEtcd);
        } else {
            self.go_on(cx);
        }
    }

    /// Pressed again: after a while that means now.
    pub(super) fn press_again(&mut self, press: Press, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let escalates = run
            .pressed
            .saturating_add(run.config.shutdown.escalate_after);
        if press.wish == Wish::Usual && press.at < escalates {
            return;
        }
        let is_news = run.wish == Wish::Usual;
        run.wish = Wish::Now;
        if is_news {
            info!(?operation, "the button was pressed again: now");
        }
        match &run.step {
            Step::Looking { .. } | Step::Holding { .. } | Step::HandingOver { .. } => {
                self.call(cx);
            }
            Step::Draining(_) => self.hurry(cx),
            // Once Talos has accepted, the wish counts.
            Step::Calling { .. } | Step::Hurrying(_) | Step::Stopping { .. } => {}
        }
    }

    /// Nothing keeps the operation back any more.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        let is_reboot = self.operation == PowerOperation::Reboot;
        let Some(run) = &mut self.run else { return };
        let is_wanted = run.hands_over() && run.wish == Wish::Usual;
        if is_reboot && is_wanted && cx.node.may_be_control_plane && !cx.node.lacks_force {
            run.step = Step::HandingOver {
                until: cx.now.saturating_add(HAND_OVER),
            };
            cx.outputs.push_back(Output::HandOver);
        } else {
            self.call(cx);
        }
    }

    /// The leadership of etcd is handed over, or it is not.
    pub(super) fn handed_over(&mut self, outcome: &HandOver, cx: &mut Context<'_>) {
        if let Some(Run {
            step: Step::HandingOver { .. },
            ..
        }) = &self.run
        {
            match outcome {
                HandOver::Moved(to) => info!(to, "another member of etcd leads"),
                HandOver::NotLeader => {}
                HandOver::Kept(reason) | HandOver::Failed(reason) => warn!(
                    reason,
                    "forcing the reboot although this node may still lead etcd"
                ),
            }
            self.call(cx);
        }
    }

    /// Asks Talos for the operation.
    fn call(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let is_forced = operation == PowerOperation::Shutdown
            && run.drain_ends(cx.now).is_some_and(|end| end <= cx.now);
        let patience = run.answer_by.saturating_sub(cx.now);
        let deadline = if run.is_answered {
            run.config.deadline
        } else {
            run.config.deadline.min(patience)
        };
        let call = run.send(operation, (is_forced, false), deadline, cx);
        run.step = Step::Calling { call, is_forced };
    }

    /// What is heard of a call, if it is one of this course.
    pub(super) fn heard(&mut self, id: CallId, heard: &Heard, cx: &mut Context<'_>) {
        let Some(run) = &self.run else { return };
        match &run.step {
            Step::Calling { call, .. } if *call == id => self.heard_of_call(heard, cx),
            Step::Draining(drain) if drain.call == id => self.heard_of_drain(heard, cx),
            Step::Hurrying(_) => self.heard_in_hurry(id, heard, cx),
            Step::Stopping { call } if *call == id => self.heard_of_stop(heard, cx),
            Step::Looking { .. }
            | Step::Holding { .. }
            | Step::HandingOver { .. }
            | Step::Calling { .. }
            | Step::Draining(_)
            | Step::Stopping { .. } => {}
        }
    }

    fn heard_of_call(&mut self, heard: &Heard, cx: &mut Context<'_>) {
        let operation = self.operation;
        match heard {
            Heard::Outcome(PowerOutcome::Accepted) => {
                info!(?operation, "Talos has accepted the power operation");
                self.accepted(cx);
            }
            Heard::Outcome(
                outcome @ (PowerOutcome::Rejected(_)
                | PowerOutcome::DidNotHappen(_)
                | PowerOutcome::NotFollowed),
            ) => self.end(outcome.clone(), cx),
            // The call is accepted in a moment, and was forced: there is nothing to drain.
            Heard::Drained => {
                if let Some(Run {
                    step: Step::Calling { is_forced, .. },
                    ..
                }) = &mut self.run
                {
                    *is_forced = true;
                }
            }
            Heard::Draining => {}
        }
    }

    /// Talos has accepted the first call.
    fn accepted(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let Step::Calling { call, is_forced } = run.step else {
            return;
        };
        run.answer(operation, cx);
        if is_forced || operation == PowerOperation::Reboot {
            run.step = Step::Stopping { call };
        } else {
            self.drains(call, cx);
        }
    }

    fn heard_of_stop(&mut self, heard: &Heard, cx: &mut Context<'_>) {
        if let Heard::Outcome(
            outcome @ (PowerOutcome::DidNotHappen(_) | PowerOutcome::NotFollowed),
        ) = heard
        {
            self.end(outcome.clone(), cx);
        }
    }

    /// The operation is over, for this reason. Who has had the answer "yes" hears that it did not happen.
    fn end(&mut self, outcome: PowerOutcome, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = self.run.take() else { return };
        let outcome = match outcome {
            PowerOutcome::Rejected(reason) => {
                error!(
                    ?operation,
                    reason, "Talos did not accept the power operation"
                );
                if run.is_answered {
                    PowerOutcome::DidNotHappen(reason)
                } else {
                    PowerOutcome::Rejected(reason)
                }
            }
            PowerOutcome::DidNotHappen(reason) => {
                error!(
                    ?operation,
                    reason,
                    "the accepted power operation did not happen; the next request is sent again"
                );
                PowerOutcome::DidNotHappen(reason)
            }
            PowerOutcome::NotFollowed | PowerOutcome::Accepted => {
                info!(
                    ?operation,
                    "the accepted power operation is no longer followed; the next request first asks Talos what became of it"
                );
                PowerOutcome::NotFollowed
            }
        };
        if let PowerOutcome::Rejected(why) | PowerOutcome::DidNotHappen(why) = &outcome {
            self.refused = Some(why.clone());
        }
        cx.outputs.push_back(Output::Outcome(operation, outcome));
    }

    /// Does what is due.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        if self.deadline().is_none_or(|due| cx.now < due) {
            return;
        }
        let Some(run) = &self.run else { return };
        match &run.step {
            Step::Looking { .. } => self.etcd_unknown(cx),
            Step::Holding { .. } => self.hold_on(cx),
            Step::HandingOver { .. } => {
                let why = "no answer in time".to_owned();
                self.handed_over(&HandOver::Failed(why), cx);
            }
            Step::Draining(_) => self.drain_is_late(cx),
            Step::Hurrying(_) => self.call_again(cx),
            Step::Calling { .. } | Step::Stopping { .. } => {}
        }
    }

    /// The process ends, and nothing is waited for any more.
    pub(super) fn stop(&mut self, cx: &mut Context<'_>) {
        let Some(run) = &self.run else { return };
        match &run.step {
            Step::Looking { .. } | Step::Holding { .. } | Step::HandingOver { .. } => {
                self.call(cx);
            }
            Step::Hurrying(hurry) if !hurry.is_calling() => self.call_again(cx),
            Step::Draining(drain) if drain.is_bounded() => {
                warn!("stopping during a drain: nothing will cut it short if it takes too long")
            }
            Step::Calling { .. }
            | Step::Draining(_)
            | Step::Hurrying(_)
            | Step::Stopping { .. } => {}
        }
    }

    /// When [`Self::timeout`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match &self.run.as_ref()?.step {
            Step::Looking { until } | Step::HandingOver { until } => Some(*until),
            Step::Holding { until, look } => Some(look.due().map_or(*until, |due| due.min(*until))),
            Step::Draining(drain) => drain.until,
            Step::Hurrying(hurry) => hurry.deadline(),
            Step::Calling { .. } | Step::Stopping { .. } => None,
        }
    }
}
