//! Before the call: etcd is looked at, and waited for.

use std::time::Duration;

use tracing::{info, warn};

use super::super::Output;
use super::super::quorum::{Standing, standing};
use super::{Context, Course, HAND_OVER, Run, Step};
use crate::config::QuorumGuard;
use crate::facts::EtcdLook;
use crate::power::PowerOutcome;

/// How long the first look at etcd may take. The look itself gives up on Talos after half a second.
pub(in super::super) const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// How long after an answer Talos is asked again while an operation is held.
pub(in super::super) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The next look at etcd while an operation is held.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// It is under way.
    Asked,
    /// It is due then.
    At(Duration),
}

impl Look {
    pub(super) const fn due(self) -> Option<Duration> {
        match self {
            Self::Asked => None,
            Self::At(due) => Some(due),
        }
    }
}

impl Course {
    /// What Talos says of etcd.
    pub(in super::super) fn etcd(&mut self, answer: EtcdLook, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else { return };
        match (&mut run.step, standing(answer)) {
            (Step::Looking { .. }, Standing::Safe) => self.go_on(cx),
            (Step::Looking { .. }, Standing::Unknown) => self.etcd_unknown(cx),
            (Step::Looking { .. }, Standing::AtStake(reason)) => self.at_stake(reason, cx),
            (Step::Holding { .. }, Standing::Safe) => {
                info!("etcd can spare this node now; the power operation continues");
                self.go_on(cx);
            }
            // Talos may be slow for once, and what was true before counts.
            (Step::Holding { look, .. }, Standing::AtStake(_) | Standing::Unknown) => {
                *look = Look::At(cx.now.saturating_add(LOOK_AGAIN));
            }
            (
                Step::HandingOver { .. }
                | Step::Calling { .. }
                | Step::Draining(_)
                | Step::Hurrying(_)
                | Step::Stopping { .. },
                _,
            ) => {}
        }
    }

    /// Talos does not say. It may be what is broken, or the quorum is lost already: nothing is held for that.
    pub(super) fn etcd_unknown(&mut self, cx: &mut Context<'_>) {
        if cx.node.is_control_plane {
            warn!(
                "Talos does not say whether etcd can spare this node; the power operation continues"
            );
        }
        self.go_on(cx);
    }

    /// The quorum hangs on this node.
    fn at_stake(&mut self, reason: String, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        match run.config.etcd.guard {
            QuorumGuard::Off => self.go_on(cx),
            QuorumGuard::Warn => {
                warn!(
                    ?operation,
                    reason, "this power operation costs etcd its quorum"
                );
                self.go_on(cx);
            }
            QuorumGuard::Refuse => {
                let reason = format!("{reason} (power.etcd.guard)");
                warn!(
                    ?operation,
                    reason, "power operation refused: etcd would lose its quorum"
                );
                self.run = None;
                self.refused = Some(reason.clone());
                let outcome = Output::Outcome(operation, PowerOutcome::Rejected(reason));
                cx.outputs.push_back(outcome);
            }
            QuorumGuard::Hold => {
                info!(
                    ?operation,
                    reason, "the power operation is held until etcd can spare this node"
                );
                self.hold(cx);
            }
        }
    }

    /// Waits for the other members. The host gets its answer now if its patience is shorter than hold, hand-over and call
    /// together.
    fn hold(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(run) = &mut self.run else { return };
        let until = cx
            .now
            .saturating_add(run.config.etcd.hold)
            .min(run.budget_ends());
        run.was_held = true;
        run.step = Step::Holding {
            until,
            look: Look::At(cx.now.saturating_add(LOOK_AGAIN)),
        };
        if until <= cx.now {
            self.hold_on(cx);
        } else if run.answer_by < until.saturating_add(HAND_OVER + run.config.deadline) {
            run.answer(operation, cx);
        }
    }

    /// Looks again, or waits no longer.
    pub(super) fn hold_on(&mut self, cx: &mut Context<'_>) {
        let operation = self.operation;
        let Some(Run {
            step: Step::Holding { until, look },
            ..
        }) = &mut self.run
        else {
            return;
        };
        if *until <= cx.now {
            warn!(
                ?operation,
                "the hold is over; the power operation continues although etcd will lose its quorum"
            );
            self.go_on(cx);
        } else {
            *look = Look::Asked;
            cx.outputs.push_back(Output::LookAtEtcd);
        }
    }

    /// A machine that goes down anyway is not held.
    pub(in super::super) fn circumstances_changed(&mut self, cx: &mut Context<'_>) {
        if let Some(Run {
            step: Step::Looking { .. } | Step::Holding { .. },
            ..
        }) = &self.run
            && cx.node.goes_down()
        {
            info!("the machine goes down anyway; the power operation does not wait for etcd");
            self.call(cx);
        }
    }
}
