//! What is heard of one call of Talos while it is followed.

use super::PowerOutcome;

/// What is heard of one call of Talos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// What became of it.
    Outcome(PowerOutcome),
    /// Talos has begun to cordon and drain the node.
    Draining,
    /// It has ended that, or goes on without; the rest takes seconds. Just before the acceptance: it was asked with force,
    /// because nothing could be drained.
    Drained,
}
