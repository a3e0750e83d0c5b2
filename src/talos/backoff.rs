//! How long to wait before the next attempt: doubling, bounded, jittered.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Delays that double from `first` to `longest`, each taken at random between half of it and all of it, so
/// that the nodes of a cluster do not come back in step.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    seed: u64,
}

impl Backoff {
    /// A back-off that begins with `first`.
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        // The keys of the standard library's hash maps are the random numbers at hand.
        let seed = RandomState::new().hash_one(0) | 1;
        Self {
            first,
            longest,
            next: first,
            seed,
        }
    }

    /// Begins anew: the last attempt was a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The delay before the next attempt.
    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        // xorshift64
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let half = delay / 2;
        half + half.mul_f64((self.seed % 1024) as f64 / 1024.0)
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
