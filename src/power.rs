//! Power operations in the words that front ends, daemon and Talos share.
//!
//! ```text
//! host: Restart Guest ─► front end ─► PowerOperation ─► Talos
//! host ◄─ status ◄────── front end ◄─ PowerOutcome ◄──┘
//! ```

/// A power operation that reaches Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerOperation {
    /// MachineService.Shutdown
    Shutdown,
    /// MachineService.Reboot
    Reboot,
}

/// What became of a power operation: first `Accepted` or `Rejected`; after `Accepted` maybe `DidNotHappen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerOutcome {
    /// Talos accepted the call.
    Accepted,
    /// Talos did not accept the call within the deadline; why, in one phrase.
    Rejected(String),
    /// Talos had accepted but then showed that nothing will happen; why, in one phrase.
    DidNotHappen(String),
}
