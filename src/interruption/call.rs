//! A call of Talos, and its number.

use std::time::Duration;

use crate::config::{BusyPolicy, RebootMode};
use crate::power::PowerOperation;

/// Ties what is heard to the call it is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

impl CallId {
    /// The number of a call, for who plays a node.
    #[cfg(test)]
    pub(crate) const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A call of Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its number.
    pub id: CallId,
    /// What is asked for.
    pub operation: PowerOperation,
    /// Shut down without cordon and drain.
    pub is_forced: bool,
    /// It takes the place of an earlier one that Talos carries out still.
    pub takes_over: bool,
    /// How long it may take until Talos has accepted, retries included.
    pub deadline: Duration,
    /// How Talos reboots.
    pub reboot_mode: RebootMode,
    /// What is done while the machine does what must not be interrupted.
    pub busy: BusyPolicy,
}
