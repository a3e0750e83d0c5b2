//! What the services want done, and what became of it.

use std::fmt;

use crate::front_end::Order;
use crate::guest_operations::logins::PasswordCheck;

/// Ties an RPCI command to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpciId(pub u64);

/// Which messages go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The host waits for it: it goes ahead of all that is not urgent.
    Urgent,
    /// As urgent, but never resent: a duplicate would do more harm than a lost reply.
    Once,
    /// It goes after all earlier ones.
    Normal,
}

/// What the services want done.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are a few at a time")]
pub enum Output {
    /// Send this RPCI command (exact bytes) after all earlier ones of its lane and hand its outcome back.
    Rpci {
        /// To be given to [`super::Services::handle_rpci`].
        id: RpciId,
        /// Which messages it may overtake.
        lane: Lane,
        /// The bytes of the message, NUL or not as the command wants it.
        message: Vec<u8>,
    },
    /// Answer the TCLO request that was handed in last (exact bytes, no NUL added).
    Reply(Vec<u8>),
    /// Have the daemon do this.
    Order(Order<PasswordCheck>),
}

/// What became of an RPCI command. What the host answered may be a secret (a machine config in a guest
/// variable), so its debugging form shows lengths only.
#[derive(Clone, PartialEq, Eq)]
pub enum RpciOutcome {
    /// The host answered `1 …`; the text after the status.
    Accepted(Vec<u8>),
    /// The host answered `0 …`; the text after the status.
    Refused(Vec<u8>),
    /// The host has answered, with more than we read: there is a value, and it is longer than any of ours.
    TooLong,
    /// No answer: the channel is broken and could not be mended at once.
    Failed,
}

impl fmt::Debug for RpciOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(text) => write!(f, "Accepted({} bytes)", text.len()),
            Self::Refused(text) => write!(f, "Refused({} bytes)", text.len()),
            Self::TooLong => f.write_str("TooLong"),
            Self::Failed => f.write_str("Failed"),
        }
    }
}
