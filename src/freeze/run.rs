//! One freeze, from the host's wish to the last report of the freezer.

use std::fmt::Write as _;
use std::time::Duration;

use nix::errno::Errno;

use super::message::{Devices, How, Outcome, Outcomes};
use super::terms::{Phase, Why};
use super::volumes::Volume;

/// See the module.
#[derive(Debug)]
pub(super) struct Run {
    /// Names it to the freezer.
    pub(super) number: u32,
    /// Who asks.
    pub(super) asker: &'static str,
    /// What is done to each file system.
    pub(super) how: How,
    /// How long they stay frozen at most.
    pub(super) limit: Duration,
    /// Which, in order.
    pub(super) volumes: Vec<Volume>,
    /// The same for the freezer.
    pub(super) devices: Devices,
    /// How far it is.
    pub(super) step: Step,
}

/// How far a run is. Where `until` is none, the host has its event, and only the freezer's report is missing.
#[derive(Debug)]
pub(super) enum Step {
    /// Talos is asked for the members of etcd.
    Etcd {
        /// No longer.
        until: Duration,
    },
    /// The freezer is at it.
    Freezing {
        /// When it was asked to.
        since: Duration,
        /// No longer.
        until: Duration,
    },
    /// The freezer is asked to thaw before it has reported that all is frozen.
    GivingUp {
        /// No longer.
        until: Option<Duration>,
        /// What the host hears.
        reason: String,
        /// The same in a word.
        result: &'static str,
    },
    /// The host knows that all is frozen.
    Frozen {
        /// When that was reported.
        since: Duration,
        /// When the freezer must have thawed by itself.
        until: Duration,
        /// Whether the freezer could say something of each device.
        is_whole: bool,
    },
    /// The freezer is asked to thaw.
    Thawing {
        /// Why.
        why: Why,
        /// When all was reported frozen.
        since: Duration,
        /// As before.
        is_whole: bool,
        /// No longer.
        until: Option<Duration>,
    },
}

impl Run {
    /// What a front end sees of the step.
    pub(super) const fn phase(&self) -> Phase {
        match self.step {
            Step::Etcd { .. } | Step::Freezing { .. } => Phase::Beginning,
            Step::Frozen { .. } => Phase::Frozen,
            Step::GivingUp { .. } | Step::Thawing { .. } => Phase::Thawing,
        }
    }

    /// When something is due although nothing has happened.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match self.step {
            Step::Etcd { until } | Step::Freezing { until, .. } | Step::Frozen { until, .. } => {
                Some(until)
            }
            Step::GivingUp { until, .. } | Step::Thawing { until, .. } => until,
        }
    }

    /// Whether no device has failed, and none is without an outcome.
    pub(super) fn is_whole(&self, outcomes: &Outcomes) -> bool {
        let has_failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        outcomes.iter().count() == self.volumes.len() && !outcomes.iter().any(has_failed)
    }

    /// Why the freezer could not freeze all, in one phrase.
    pub(super) fn failure(&self, outcomes: &Outcomes) -> String {
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        if outcomes.iter().any(failed) {
            self.phrase(outcomes, failed)
        } else {
            format!(
                "freezing took longer than {} s (quiesce.max_freeze)",
                self.limit.as_secs_f32()
            )
        }
    }

    /// What is not done and why, in one phrase.
    pub(super) fn troubles(&self, outcomes: &Outcomes) -> String {
        self.phrase(outcomes, |outcome| *outcome != Outcome::Done)
    }

    fn phrase(&self, outcomes: &Outcomes, is_meant: impl Fn(&Outcome) -> bool) -> String {
        phrase(&self.volumes, outcomes, is_meant)
    }

    /// Writes which file systems were left alone, if any were.
    pub(super) fn warn_of_left(&self, outcomes: &Outcomes) {
        let troubles = self.troubles(outcomes);
        if !troubles.is_empty() {
            tracing::warn!(
                asker = self.asker,
                file_systems = troubles,
                "file systems are left alone: what the snapshot has of them is crash-consistent only"
            );
        }
    }
}

/// `/var (EPHEMERAL): Permission denied; …` of the outcomes that are meant.
pub(super) fn phrase(
    volumes: &[Volume],
    outcomes: &Outcomes,
    is_meant: impl Fn(&Outcome) -> bool,
) -> String {
    let mut text = String::new();
    let all = volumes.iter().zip(outcomes.iter());
    for (volume, outcome) in all.filter(|(_, outcome)| is_meant(outcome)) {
        let (
            gap,
            Volume {
                id, mount_point, ..
            },
        ) = (if text.is_empty() { "" } else { "; " }, volume);
        // Writing to a String cannot fail.
        let _ = match outcome {
            Outcome::Done => write!(text, "{gap}{mount_point} ({id})"),
            Outcome::Left => write!(
                text,
                "{gap}{mount_point} ({id}): another program has frozen it"
            ),
            Outcome::Skipped => write!(
                text,
                "{gap}{mount_point} ({id}): not mounted, or it cannot be frozen"
            ),
            Outcome::Failed(errno) => {
                let reason = Errno::from_raw(*errno).desc();
                write!(text, "{gap}{mount_point} ({id}): {reason}")
            }
        };
    }
    text
}
