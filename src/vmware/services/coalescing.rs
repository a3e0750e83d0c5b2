//! Of a burst of changes one message: facts are looked at when they have been quiet for a moment.
//!
//! ```text
//! change change change ──40 ms of quiet──► look      change … change … change ──70 ms at most──► look
//! ```

use std::time::Duration;

/// Facts that have not changed for this long are looked at.
const QUIET: Duration = Duration::from_millis(40);
/// Facts that keep changing are looked at this often, so that a change is on the host within 100 ms.
const LONGEST_WAIT: Duration = Duration::from_millis(70);

/// Changes that have not been looked at yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    first: Duration,
    last: Duration,
}

impl Changes {
    /// One more change, after those of `earlier`.
    pub(super) fn after(earlier: Option<Self>, now: Duration) -> Self {
        Self {
            first: earlier.map_or(now, |changes| changes.first),
            last: now,
        }
    }

    /// When they are to be looked at.
    pub(super) fn deadline(self) -> Duration {
        let quiet = self.last.saturating_add(QUIET);
        quiet.min(self.first.saturating_add(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn quiet_ends_the_wait_and_so_does_patience() {
        let one = Changes::after(None, ms(1000));
        assert_eq!(one.deadline(), ms(1040));
        let two = Changes::after(Some(one), ms(1020));
        assert_eq!(two.deadline(), ms(1060));
        let three = Changes::after(Some(two), ms(1050));
        assert_eq!(three.deadline(), ms(1070));
    }
}
