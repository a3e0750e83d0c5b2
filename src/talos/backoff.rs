//! How long to wait before the next attempt to reach Talos: doubling, bounded, jittered.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::backoff;

/// The delays of [`backoff::Backoff`], each taken at random between half of it and all of it, so that the
/// nodes of a cluster do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    delays: backoff::Backoff,
    random: RandomState,
    attempt: u64,
}

impl Backoff {
    /// A back-off that begins with `first`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            delays: backoff::Backoff::new(first, longest),
            // The keys of the standard library's hash maps are the random numbers at hand.
            random: RandomState::new(),
            attempt: 0,
        }
    }

    /// Begins anew: the last attempt was a success.
    pub(super) fn reset(&mut self) {
        self.delays.reset();
    }

    /// The delay before the next attempt.
    pub(super) fn next_delay(&mut self) -> Duration {
        self.attempt += 1;
        let half = self.delays.next_delay() / 2;
        half + half.mul_f64((self.random.hash_one(self.attempt) % 1024) as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_within_their_bounds_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(3));
        let mut full = Duration::from_millis(50);
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            full = (full * 2).min(Duration::from_secs(3));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(50));
    }

    #[test]
    fn two_backoffs_differ() {
        let delays = || {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(3));
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_ne!(delays(), delays());
    }
}
