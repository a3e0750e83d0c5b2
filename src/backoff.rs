//! Delays that double up to a bound: the only place where waiting for a peer is reckoned.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// How long to wait after each failure: twice as long as after the one before, up to a bound.
///
/// Take the delay ([`Backoff::next_delay`]) where you sleep, or hold ([`Backoff::hold`]) where time is an argument.
///
/// Towards the VMX there is no jitter: it serves one guest, so no herd can form. Towards Talos there is, so that the
/// nodes of a cluster do not come back in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// Delays taken since the last success.
    failures: u32,
    held_until: Option<Duration>,
    jitter: Option<Jitter>,
}

impl Backoff {
    /// Delays from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
            held_until: None,
            jitter: None,
        }
    }

    /// The same delays, each taken at random between half of it and all of it.
    pub fn jittered(first: Duration, longest: Duration) -> Self {
        Self {
            jitter: Some(Jitter::default()),
            ..Self::new(first, longest)
        }
    }

    /// How long to wait this time.
    pub fn next_delay(&mut self) -> Duration {
        let delay = doubled(self.first, self.failures, self.longest);
        self.failures = self.failures.saturating_add(1);
        match &mut self.jitter {
            Some(jitter) => jitter.apply(delay),
            None => delay,
        }
    }

    /// The last attempt was a success: starts again from the shortest delay, and holds nothing.
    pub const fn reset(&mut self) {
        self.failures = 0;
        self.held_until = None;
    }

    /// Whether a delay was taken since the last success.
    pub const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Holds for the next delay.
    pub fn hold(&mut self, now: Duration) {
        let delay = self.next_delay();
        self.hold_for(delay, now);
    }

    /// Holds for `delay`, whatever was held before.
    pub const fn hold_for(&mut self, delay: Duration, now: Duration) {
        self.held_until = Some(now.saturating_add(delay));
    }

    /// Holds no longer, without forgetting the failures.
    pub const fn release(&mut self) {
        self.held_until = None;
    }

    /// Whether to wait at this moment.
    pub fn is_held(&mut self, now: Duration) -> bool {
        // Clear an expired hold; otherwise deadline() would report a time in the past.
        self.held_until.take_if(|until| *until <= now);
        self.held_until.is_some()
    }

    /// When the hold ends; later than the last [`Backoff::is_held`].
    pub const fn deadline(&self) -> Option<Duration> {
        self.held_until
    }
}

/// `first`, doubled so many times, but no longer than `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(31)).min(longest)
}

/// Random parts of a delay.
#[derive(Clone, Debug, Default)]
struct Jitter {
    // The keys of the standard library's hash maps are the random numbers at hand.
    random: RandomState,
    taken: u64,
}

impl Jitter {
    fn apply(&mut self, delay: Duration) -> Duration {
        self.taken = self.taken.wrapping_add(1);
        let half = delay / 2;
        half + half.mul_f64((self.random.hash_one(self.taken) % 1024) as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn delays_double_up_to_the_longest_and_start_again_after_reset() {
        let mut backoff = Backoff::new(ms(10), ms(100));
        let mut row = |count| -> Vec<u128> {
            (0..count)
                .map(|_| backoff.next_delay().as_millis())
                .collect()
        };
        assert_eq!(row(6), [10, 20, 40, 80, 100, 100]);
        assert_eq!(row(100).last(), Some(&100));
        backoff.reset();
        assert_eq!(backoff.next_delay(), ms(10));
    }

    #[test]
    fn a_hold_ends_at_its_time_and_leaves_no_deadline_behind() {
        let mut backoff = Backoff::new(ms(10), ms(100));
        assert!(!backoff.is_held(ms(0)));
        backoff.hold(ms(1000));
        assert_eq!(backoff.deadline(), Some(ms(1010)));
        assert!(backoff.is_held(ms(1009)));
        assert!(!backoff.is_held(ms(1010)));
        assert_eq!(backoff.deadline(), None);
        backoff.hold(ms(2000));
        assert_eq!(backoff.deadline(), Some(ms(2020)), "twice as long");
        backoff.hold_for(ms(500), ms(2000));
        assert_eq!(backoff.deadline(), Some(ms(2500)));
    }

    #[test]
    fn a_release_keeps_the_failures_and_a_reset_does_not() {
        let mut backoff = Backoff::new(ms(10), ms(100));
        assert!(!backoff.has_failed());
        backoff.hold(ms(0));
        backoff.release();
        assert!(!backoff.is_held(ms(0)) && backoff.has_failed());
        backoff.hold(ms(0));
        backoff.reset();
        assert!(!backoff.is_held(ms(0)) && !backoff.has_failed());
    }

    #[test]
    fn jittered_delays_grow_within_their_bounds_and_start_again() {
        let mut backoff = Backoff::jittered(ms(50), ms(3000));
        let mut full = ms(50);
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay >= full / 2 && delay <= full, "{delay:?} of {full:?}");
            full = (full * 2).min(ms(3000));
        }
        backoff.reset();
        assert!(backoff.next_delay() <= ms(50));
    }

    #[test]
    fn two_jittered_rows_differ() {
        let delays = || {
            let mut backoff = Backoff::jittered(ms(50), ms(3000));
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_ne!(delays(), delays());
    }
}
