//! How many guesses a name has: ten at once, and one a second after them.

use std::time::Duration;

use ring::hmac;

/// Guesses at once.
const AT_ONCE: u32 = 10;
/// How long one takes to come back.
const INTERVAL: Duration = Duration::from_secs(1);
/// Budgets that all unknown names share: more than there can be checks in a second. Otherwise guesses of any names
/// would use up all of them, and a name that still has guesses would be a user's.
const SHARED: usize = 1024;

/// The guesses of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Budget {
    /// When all of them are there again.
    whole: Duration,
}

impl Budget {
    /// Takes a guess, if there is one.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let whole = self.whole.max(now);
        if whole.saturating_sub(now) > INTERVAL * (AT_ONCE - 1) {
            return false;
        }
        self.whole = whole.saturating_add(INTERVAL);
        true
    }

    /// It was no guess.
    pub(super) fn give_back(&mut self) {
        self.whole = self.whole.saturating_sub(INTERVAL);
    }
}

/// The guesses of names that no user has. They are counted like those of users, so that it does not show which names
/// there are; and in a table of fixed size, because there is no end of such names.
#[derive(Clone, Debug)]
pub(super) struct Unknown(Vec<Budget>);

impl Unknown {
    /// All of them.
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Those of a name. Only we know which names share them.
    pub(super) fn of(&mut self, name: &str, key: &hmac::Key) -> &mut Budget {
        let digest = hmac::sign(key, name.as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        let index = usize::from(u16::from_le_bytes(first)) % SHARED;
        if self.0.len() <= index {
            self.0.resize(index + 1, Budget::default());
        }
        #[allow(clippy::indexing_slicing, reason = "the table was made as long")]
        &mut self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn ten_guesses_at_once_and_one_a_second_after_them() {
        let mut budget = Budget::default();
        let start = Duration::from_secs(1000);
        let taken = (0..100).filter(|_| budget.take(start)).count();
        assert_eq!(taken, 10);
        for second in 1..50 {
            let now = start + SECOND * second;
            assert!(budget.take(now), "{second}");
            assert!(
                !budget.take(now) && !budget.take(now + SECOND / 2),
                "{second}"
            );
        }
        let later = start + SECOND * 100;
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 10);
    }

    #[test]
    fn what_was_no_guess_costs_nothing() {
        let mut budget = Budget::default();
        for _ in 0..100 {
            assert!(budget.take(SECOND));
            budget.give_back();
        }
    }

    #[test]
    fn unknown_names_share_a_bounded_table() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let mut unknown = Unknown::new();
        let mut taken = 0;
        for name in 0..100_000 {
            taken += u32::from(unknown.of(&format!("name{name}"), &key).take(SECOND));
        }
        assert_eq!(unknown.0.len(), SHARED);
        assert_eq!(taken, AT_ONCE * u32::try_from(SHARED).unwrap());
    }

    #[test]
    fn guesses_of_other_names_leave_an_unknown_one_its_own() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let mut unknown = Unknown::new();
        for second in 1..60 {
            for name in 0..500 {
                let name = format!("{second}-{name}");
                unknown.of(&name, &key).take(SECOND * second);
            }
        }
        for name in 0..100 {
            let name = format!("name{name}");
            assert!(unknown.of(&name, &key).take(SECOND * 60), "{name}");
        }
    }
}
