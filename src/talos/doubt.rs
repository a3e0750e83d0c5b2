//! What outlives a power call: that we gave up on it without an answer, or who Talos says asked for its sequence.
//!
//! A doubt belongs to the machine, not to a connection or to the settings that led to it: whoever makes the next call
//! has to ask first what became of the last one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::power::PowerOperation;

/// The call that a doubt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// The call that asks for this operation.
    First(PowerOperation),
    /// The Shutdown that takes over an earlier one.
    TakeOver,
}

/// The doubts of one machine, one for each such call at most. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubts(Arc<Mutex<Slots>>);

#[derive(Debug, Default)]
struct Slots {
    shutdown: Option<Instant>,
    take_over: Option<Instant>,
    reboot: Option<Instant>,
    /// The actor id of the last Shutdown that was accepted.
    actor_id: Option<String>,
}

impl Slots {
    const fn of(&mut self, about: About) -> &mut Option<Instant> {
        match about {
            About::First(PowerOperation::Shutdown) => &mut self.shutdown,
            About::First(PowerOperation::Reboot) => &mut self.reboot,
            About::TakeOver => &mut self.take_over,
        }
    }
}

impl Doubts {
    /// Talos may have got a call at this time.
    pub(super) fn leave(&self, about: About, sent: Instant) {
        *self.lock().of(about) = Some(sent);
    }

    /// When Talos may have got this call; asking clears it. Who asks for a Shutdown from the beginning also asks whether one
    /// that took an earlier one over is under way.
    pub(super) fn take(&self, about: About) -> Option<Instant> {
        let mut slots = self.lock();
        let sent = slots.of(about).take();
        match about {
            About::First(PowerOperation::Shutdown) => sent.max(slots.take_over.take()),
            About::First(PowerOperation::Reboot) | About::TakeOver => sent,
        }
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
    use std::time::Duration;

    use super::About::{First, TakeOver};
    use super::PowerOperation::{Reboot, Shutdown};
    use super::*;

    #[test]
    fn each_operation_has_its_own_doubt() {
        let doubts = Doubts::default();
        let now = Instant::now();
        doubts.leave(First(Shutdown), now);
        doubts.clone().leave(First(Reboot), now);
        assert_eq!(doubts.take(First(Shutdown)), Some(now));
        assert_eq!(doubts.take(First(Shutdown)), None);
        assert_eq!(doubts.take(First(Reboot)), Some(now));
    }

    #[test]
    fn a_doubt_about_a_take_over_is_not_that_of_the_call_before_it() {
        let doubts = Doubts::default();
        let (first, second) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        doubts.leave(First(Shutdown), first);
        assert_eq!(doubts.take(TakeOver), None);
        doubts.leave(TakeOver, second);
        assert_eq!(doubts.take(TakeOver), Some(second));
        doubts.leave(TakeOver, second);
        assert_eq!(doubts.take(First(Shutdown)), Some(second), "the last");
        assert_eq!(doubts.take(TakeOver), None);
    }
}
