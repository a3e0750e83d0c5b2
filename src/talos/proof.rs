//! Whether the machine at the other end of a connection is this one, by counters of the kernel.
//!
//! ```text
//! own counters ─► SystemStat ─► own counters
//!    before    ≤     peer    ≤     after         context switches and processes started only ever grow
//!                 boot time =  before or after   a clock that is stepped in between moves it
//! ```
//! An address, a name or a certificate can lead to another machine; these numbers cannot. Two machines that booted in
//! the same second would have to have switched contexts and started processes equally often since.

use std::fmt;

use crate::facts::Counters;

/// The numbers by which a peer is not this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    before: Counters,
    peer: Counters,
    after: Counters,
}

impl Difference {
    /// When the peer booted, in seconds since 1970.
    pub const fn peer_boot_time(&self) -> u64 {
        self.peer.boot_time
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            before,
            peer,
            after,
        } = self;
        write!(
            f,
            "boot time {} there and {} here, context switches {} there and {} to {} here, \
             processes started {} there and {} to {} here",
            peer.boot_time,
            after.boot_time,
            peer.context_switches,
            before.context_switches,
            after.context_switches,
            peer.processes,
            before.processes,
            after.processes,
        )
    }
}

/// Compares the peer's counters with our own, read before and after it was asked for them.
///
/// # Errors
/// When they are not those of this machine.
pub(super) fn compare(before: Counters, peer: Counters, after: Counters) -> Result<(), Difference> {
    let boot_time = [before.boot_time, after.boot_time].contains(&peer.boot_time);
    let switches = before.context_switches..=after.context_switches;
    let processes = before.processes..=after.processes;
    if boot_time && switches.contains(&peer.context_switches) && processes.contains(&peer.processes)
    {
        return Ok(());
    }
    Err(Difference {
        before,
        peer,
        after,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(boot_time: u64, context_switches: u64, processes: u64) -> Counters {
        Counters {
            boot_time,
            context_switches,
            processes,
        }
    }

    #[test]
    fn each_number_alone_gives_another_machine_away() {
        let (before, after) = (at(1000, 500, 70), at(1000, 600, 72));
        for peer in [at(1000, 500, 70), at(1000, 550, 71), at(1000, 600, 72)] {
            assert_eq!(compare(before, peer, after), Ok(()));
        }
        for peer in [
            at(999, 550, 71),
            at(1001, 550, 71),
            at(1000, 499, 71),
            at(1000, 601, 71),
            at(1000, 550, 69),
            at(1000, 550, 73),
            at(0, 0, 0),
        ] {
            let difference = compare(before, peer, after).unwrap_err();
            assert_eq!(difference.peer_boot_time(), peer.boot_time);
        }
    }

    #[test]
    fn a_clock_stepped_in_between_is_no_other_machine() {
        let (before, after) = (at(1000, 500, 70), at(4600, 600, 72));
        assert_eq!(compare(before, at(1000, 550, 71), after), Ok(()));
        assert_eq!(compare(before, at(4600, 550, 71), after), Ok(()));
        assert!(compare(before, at(2000, 550, 71), after).is_err());
    }

    #[test]
    fn the_difference_is_said_in_numbers() {
        let words = compare(at(7, 500, 70), at(5, 99, 3), at(7, 600, 72))
            .unwrap_err()
            .to_string();
        assert_eq!(
            words,
            "boot time 5 there and 7 here, context switches 99 there and 500 to 600 here, \
             processes started 3 there and 70 to 72 here"
        );
    }

    proptest! {
        #[test]
        fn this_machine_always_passes(
            boot in any::<u64>(),
            counts in prop::array::uniform3(0..u64::MAX / 4),
            more in prop::array::uniform3(0..u64::MAX / 4),
        ) {
            let before = at(boot, counts[0], counts[1]);
            let peer = at(boot, counts[0] + more[0], counts[1] + more[1]);
            let after = at(boot, peer.context_switches + more[2], peer.processes + counts[2]);
            prop_assert_eq!(compare(before, peer, after), Ok(()));
        }

        #[test]
        fn a_machine_that_counts_less_or_more_never_passes(
            boot in any::<u64>(),
            count in 1..u64::MAX / 4,
            window in 0..u64::MAX / 4,
            off in 1..u64::MAX / 4,
            less in any::<bool>(),
        ) {
            let (before, after) = (at(boot, count, 9), at(boot, count + window, 9));
            let switches = if less { count - off.min(count) } else { count + window + off };
            prop_assert!(compare(before, at(boot, switches, 9), after).is_err());
            prop_assert!(compare(before, at(boot.wrapping_add(off), count, 9), after).is_err());
        }
    }
}
