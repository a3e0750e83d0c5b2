//! A user, and what is known of the user's logins.

use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use tracing::info;

use super::budget::Budget;
use super::password::{Digest, Secret};
use crate::config::{PasswordHash, User};
use crate::guest_operations::Caller;

/// How long a password that was right is not hashed again.
pub(super) const MEMORY: Duration = Duration::from_secs(120);
/// After this long without a request the next one is worth a line of the log.
const SILENCE: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub(super) struct Account {
    caller: Caller,
    hash: Option<PasswordHash>,
    public_key: Option<[u8; 32]>,
    pub(super) budget: Budget,
    /// The password that was right, and until when it need not be hashed.
    pub(super) remembered: Option<(Digest, Duration)>,
    last_request: Option<Duration>,
}

impl Account {
    /// One that was never used.
    pub(super) fn new(user: &User) -> Self {
        Self {
            caller: Caller {
                name: Arc::from(user.name.as_str()),
                rights: user.rights,
            },
            hash: user.password_hash.clone(),
            public_key: user.public_key,
            budget: Budget::default(),
            remembered: None,
            last_request: None,
        }
    }

    /// The user's name.
    pub(super) fn name(&self) -> &str {
        &self.caller.name
    }

    /// What the password is checked with.
    pub(super) const fn hash(&self) -> Option<&PasswordHash> {
        self.hash.as_ref()
    }

    /// How often it is hashed.
    pub(super) fn rounds(&self) -> Option<u32> {
        self.hash.as_ref().map(|hash| hash.rounds)
    }

    /// What tokens are checked with.
    pub(super) const fn public_key(&self) -> Option<&[u8; 32]> {
        self.public_key.as_ref()
    }

    /// Whether this password was right lately.
    pub(super) fn remembers(&self, secret: &Secret, key: &hmac::Key, now: Duration) -> bool {
        self.remembered
            .is_some_and(|(digest, until)| now < until && secret.has(&digest, key))
    }

    /// The password is right, and was no guess.
    pub(super) fn remember(&mut self, digest: Digest, now: Duration) {
        self.remembered = Some((digest, now.saturating_add(MEMORY)));
        self.budget.give_back();
    }

    /// The user has proven who it is.
    pub(super) fn enter(&mut self, by: &'static str, now: Duration) -> Caller {
        let before = self.last_request.replace(now);
        if before.is_none_or(|before| now.saturating_sub(before) > SILENCE) {
            info!(
                user = self.name(),
                by, "a user of guest operations has come"
            );
        }
        self.caller.clone()
    }
}
