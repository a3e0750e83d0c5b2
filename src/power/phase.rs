//! How far a planned end of the machine has come, as hosts and their users see it.

use std::fmt;

/// How far a power operation has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// None is under way.
    #[default]
    Idle,
    /// It waits until etcd can do without this node.
    Holding,
    /// Talos drains the node.
    Draining,
    /// Talos was asked to go on without a drain.
    Hurrying,
    /// Talos stops the machine.
    Stopping,
    /// The last one was refused, or did not happen; why, in one phrase.
    Refused(String),
}

impl Phase {
    /// Whether the machine is about to go, if nothing goes wrong.
    pub const fn is_an_end(&self) -> bool {
        !matches!(self, Self::Idle | Self::Refused(_))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Holding => "holding",
            Self::Draining => "draining",
            Self::Hurrying => "hurrying",
            Self::Stopping => "stopping",
            Self::Refused(why) => return write!(f, "refused: {why}"),
        })
    }
}
