//! What the services want done, and what became of it.

use std::fmt;

use crate::facts::OfEtcd;
use crate::freeze::Command;
use crate::power::Press;

/// Ties an RPCI command to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpciId(pub u64);

/// Which messages go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The host waits for it: it goes ahead of all that is not urgent.
    Urgent,
    /// As urgent, but never resent: a duplicate would do more harm than a lost reply.
    Once,
    /// It goes after all earlier ones.
    Normal,
}

/// What the daemon should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this RPCI command (exact bytes) after all earlier ones of its lane and hand its outcome back.
    Rpci {
        /// To be given to [`super::Services::handle_rpci`].
        id: RpciId,
        /// Which messages it may overtake.
        lane: Lane,
        /// The bytes of the message, NUL or not as the command wants it.
        message: Vec<u8>,
    },
    /// Answer the TCLO request that was handed in last (exact bytes, no NUL added).
    Reply(Vec<u8>),
    /// A power button was pressed. The outcome of the operation goes to [`super::Services::handle_power`].
    Power(Press),
    /// Ask Talos for the space on the file systems (MachineService.Mounts), which becomes a fact, and hand the
    /// outcome to [`super::Services::handle_measured`].
    MeasureSpace,
    /// Read the kernel's counters and hand them to [`super::Services::handle_load`].
    ReadLoad,
    /// Hand this to the freezer, and its reports to [`super::Services::handle_freezer`].
    Freezer(Box<Command>),
    /// Ask Talos for the members of etcd, and hand the answer to [`super::Services::handle_etcd`].
    LookAtEtcd,
    /// Ask Talos for this of etcd, which becomes a fact.
    FollowEtcd(OfEtcd),
    /// Hand over the leadership of etcd, and hand what becomes of it to [`super::Services::handle_handed_over`].
    HandOver,
    /// Ask Talos for a sign of life, and hand what comes of it to [`super::Services::handle_life`].
    LookForLife,
}

/// What became of an RPCI command. What the host answered may be a secret (a machine config in a guest
/// variable), so its debugging form shows lengths only.
#[derive(Clone, PartialEq, Eq)]
pub enum RpciOutcome {
    /// The host answered `1 …`; the text after the status.
    Accepted(Vec<u8>),
    /// The host answered `0 …`; the text after the status.
    Refused(Vec<u8>),
    /// The host has answered, with more than we read: there is a value, and it is longer than any of ours.
    TooLong,
    /// No answer: the channel is broken and could not be mended at once.
    Failed,
}

impl fmt::Debug for RpciOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(text) => write!(f, "Accepted({} bytes)", text.len()),
            Self::Refused(text) => write!(f, "Refused({} bytes)", text.len()),
            Self::TooLong => f.write_str("TooLong"),
            Self::Failed => f.write_str("Failed"),
        }
    }
}
