//! Whether the host is there: the only place that knows.
//!
//! ```text
//! Away ──TCLO opens──► Connected ──TCLO is lost──► Doubtful ──a command fails──► Away
//!                          ▲  └─ and the last command failed, too ───────────────┘│
//!                          └──────────────────────TCLO opens──────────────────────┘
//! ```

/// What is known of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its channels are open.
    Connected {
        /// The last RPCI command failed.
        failed: bool,
    },
    /// TCLO has lost it; RPCI may still reach it.
    Doubtful,
    /// It has not been there yet, or is gone. Nothing is sent, and nobody is woken.
    Away,
}

impl Presence {
    /// TCLO has opened its channel.
    pub(super) const fn connected(&mut self) {
        *self = Self::Connected { failed: false };
    }

    /// TCLO has lost its channel.
    pub(super) const fn lost(&mut self) {
        if let Self::Connected { failed } = *self {
            *self = if failed { Self::Away } else { Self::Doubtful };
        }
    }

    /// An RPCI command has come to its end.
    pub(super) const fn settled(&mut self, failed: bool) {
        match self {
            Self::Connected { failed: last } => *last = failed,
            Self::Doubtful if failed => *self = Self::Away,
            Self::Doubtful | Self::Away => {}
        }
    }

    /// Whether TCLO is open.
    pub(super) const fn is_connected(self) -> bool {
        matches!(self, Self::Connected { .. })
    }

    /// Whether it is of no use to send anything.
    pub(super) const fn is_away(self) -> bool {
        matches!(self, Self::Away)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_gone_once_both_directions_have_failed_in_either_order() {
        let mut host = Presence::Away;
        host.settled(false);
        assert!(host.is_away());
        host.connected();
        host.lost();
        assert_eq!(host, Presence::Doubtful);
        host.settled(false);
        assert_eq!(host, Presence::Doubtful);
        host.settled(true);
        assert!(host.is_away());
        host.connected();
        host.settled(true);
        assert!(host.is_connected());
        host.lost();
        assert!(host.is_away());
        host.lost();
        assert!(host.is_away());
    }

    #[test]
    fn a_failure_that_was_followed_by_a_success_or_a_new_channel_is_forgotten() {
        let mut host = Presence::Away;
        host.connected();
        host.settled(true);
        host.settled(false);
        host.lost();
        assert_eq!(host, Presence::Doubtful);
        host.connected();
        host.settled(true);
        host.connected();
        host.lost();
        assert_eq!(host, Presence::Doubtful);
    }
}
