//! What outlives a power call: that we gave up on it without an answer, or who Talos says asked for its sequence.
//!
//! A doubt belongs to the machine, not to a connection or to the settings that led to it: whoever makes the next call
//! has to ask first what became of the last one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::power::PowerOperation;

/// The doubts of one machine, one for each operation at most. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts(Arc<Mutex<Slots>>);

#[derive(Debug, Default)]
struct Slots {
    shutdown: Option<Instant>,
    reboot: Option<Instant>,
    /// The actor id of the last Shutdown that was accepted.
    actor_id: Option<String>,
}

impl Slots {
    const fn of(&mut self, operation: PowerOperation) -> &mut Option<Instant> {
        match operation {
            PowerOperation::Shutdown => &mut self.shutdown,
            PowerOperation::Reboot => &mut self.reboot,
        }
    }
}

impl Doubts {
    /// Talos may have got a call at this time.
    pub(super) fn leave(&self, operation: PowerOperation, sent: Instant) {
        *self.lock().of(operation) = Some(sent);
    }

    /// When Talos may have got a call; asking clears it.
    pub(super) fn take(&self, operation: PowerOperation) -> Option<Instant> {
        self.lock().of(operation).take()
    }

    /// Talos has accepted a Shutdown, and follows it under this actor id.
    pub(super) fn accepted_shutdown(&self, actor_id: &str) {
        self.lock().actor_id = Some(actor_id.to_owned());
    }

    /// The actor id of the last Shutdown that Talos has accepted.
    pub(super) fn last_shutdown(&self) -> Option<String> {
        self.lock().actor_id.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::PowerOperation::{Reboot, Shutdown};
    use super::*;

    #[test]
    fn each_operation_has_its_own_doubt() {
        let doubts = Doubts::default();
        let now = Instant::now();
        doubts.leave(Shutdown, now);
        doubts.clone().leave(Reboot, now);
        assert_eq!(doubts.take(Shutdown), Some(now));
        assert_eq!(doubts.take(Shutdown), None);
        assert_eq!(doubts.take(Reboot), Some(now));
    }
}
