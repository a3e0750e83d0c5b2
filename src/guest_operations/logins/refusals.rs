//! What the log says of refused logins: a line a minute, however many there are.

use std::time::Duration;

use tracing::{debug, warn};

/// The shortest time from one line to the next.
const PAUSE: Duration = Duration::from_secs(60);
/// What stands for the name of a user who does not exist.
const UNKNOWN: &str = "(unknown)";

/// See the module.
#[derive(Debug)]
pub(super) struct Refusals {
    count: u64,
    next: Duration,
}

impl Refusals {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self {
            count: 0,
            next: Duration::ZERO,
        }
    }

    /// One more; `user` is the name, if it is one.
    pub(super) fn note(&mut self, user: Option<&str>, reason: String, now: Duration) {
        let user = user.unwrap_or(UNKNOWN);
        debug!(user, reason, "login refused");
        self.count += 1;
        if now < self.next {
            return;
        }
        self.next = now.saturating_add(PAUSE);
        let refused = std::mem::take(&mut self.count);
        warn!(
            user,
            reason,
            refused,
            "logins to guest operations are refused; look in the host's events for who asks"
        );
    }
}
