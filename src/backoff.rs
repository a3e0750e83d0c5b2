//! Delays that double up to a bound: the only place where waiting for a peer is reckoned.

use std::time::Duration;

/// A row of delays, each twice the one before.
///
/// There is no jitter here: a VMX serves one guest, so no herd can form. Towards Talos each delay is jittered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Delays from `first` to `longest`.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to wait this time.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.next;
        self.next = delay.saturating_mul(2).min(self.longest);
        delay
    }

    /// Starts again from the shortest delay.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_start_again_after_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
        let mut row = |count| -> Vec<u128> {
            (0..count)
                .map(|_| backoff.next_delay().as_millis())
                .collect()
        };
        assert_eq!(row(6), [10, 20, 40, 80, 100, 100]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Duration::from_millis(10));
    }
}
