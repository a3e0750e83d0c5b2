//! Whose turn it is between one side that is served first and the others, which must not starve.

/// How often the first is served before the others are asked, once, whatever it still wants.
const BEFORE_OTHERS: u8 = 16;

/// Counts how often the first side was served since the others had their turn.
///
/// The first side stays first: it is asked before the others, and may have something each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns {
    served: u8,
}

impl Turns {
    /// Whether the others go before the first this time.
    pub const fn others_first(self) -> bool {
        self.served >= BEFORE_OTHERS
    }

    /// The first was served.
    pub const fn served(&mut self) {
        self.served = self.served.saturating_add(1);
    }

    /// The others had their turn.
    pub const fn others_had_theirs(&mut self) {
        self.served = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_have_their_turn_once_the_first_was_served_sixteen_times() {
        let mut turns = Turns::default();
        for _ in 0..3 {
            for _ in 0..16 {
                assert!(!turns.others_first());
                turns.served();
            }
            assert!(turns.others_first());
            turns.others_had_theirs();
        }
    }
}
