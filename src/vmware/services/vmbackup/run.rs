//! One run: from the host's start to the event `req.done`.

use std::time::Duration;

use crate::freeze::Why;

use super::super::outbox::ReplyTo;
use super::LONGEST_RUN;
use super::requests::Wish;

/// See the module.
#[derive(Debug)]
pub(super) struct Run {
    /// Names it.
    pub(super) number: u32,
    /// What the host wants.
    pub(super) wish: Wish,
    /// When it was asked for.
    pub(super) started: Duration,
    /// How far it is.
    pub(super) stage: Stage,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The event `reset` is on its way. The start is accepted with it, or refused.
    Announcing {
        /// Who waits for that.
        reply_to: ReplyTo,
        /// No longer than until then.
        until: Duration,
    },
    /// File systems are being frozen or synced.
    Beginning,
    /// The host takes its snapshot.
    Committed {
        /// Whether it is covered by a freeze.
        is_frozen: bool,
    },
    /// The host has its snapshot, and waits for the thaw.
    Finishing {
        /// Who waits for that.
        reply_to: ReplyTo,
        /// No longer than until then.
        until: Duration,
    },
    /// It is thawed without a snapshot.
    Ending(Ending),
}

/// Why a run ends without a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The host has given it up, and may wait for the reply to that.
    Aborted(Option<ReplyTo>),
    /// The host does not take what it is sent.
    HostGone,
    /// A power operation comes first.
    Power,
    /// The agent ends.
    Stopping,
    /// The thaw took so long that the host was refused its snapshot.
    ThawTooLate,
}

impl Ending {
    /// In the words of the freeze.
    pub(super) const fn why(self) -> Why {
        match self {
            Self::Aborted(_) => Why::Aborted,
            Self::HostGone => Why::HostGone,
            Self::Power => Why::Power,
            Self::Stopping => Why::Stopping,
            Self::ThawTooLate => Why::Done,
        }
    }
}

impl Run {
    /// When it has waited long enough.
    pub(super) fn until(&self) -> Option<Duration> {
        match self.stage {
            Stage::Announcing { until, .. } | Stage::Finishing { until, .. } => Some(until),
            Stage::Committed { is_frozen: false } => {
                let most = self.wish.most.unwrap_or(LONGEST_RUN).min(LONGEST_RUN);
                Some(self.started.saturating_add(most))
            }
            Stage::Beginning | Stage::Committed { is_frozen: true } | Stage::Ending(_) => None,
        }
    }
}

/// Why a snapshot holds no frozen state, for the host; `lasted` is how long the file systems were frozen.
pub(super) fn reason(why: Why, lasted: Duration) -> String {
    match why {
        Why::Limit => format!(
            "Quiescing failed: the snapshot took longer than the file systems stay frozen \
             ({lasted:.1?}, see quiesce.max_freeze)."
        ),
        Why::Power => "Quiescing failed: a power operation came first.".to_owned(),
        Why::FreezerGone => "Quiescing failed: the freezer has ended.".to_owned(),
        Why::Stopping => "Quiescing failed: the guest agent stops.".to_owned(),
        Why::Aborted => "Quiesce canceled.".to_owned(),
        Why::HostGone => "Quiescing failed: the host did not take the events of it.".to_owned(),
        Why::Done => {
            "Quiescing failed: it is not certain that the file systems were frozen all the time."
                .to_owned()
        }
    }
}
