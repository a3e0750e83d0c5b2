//! The check of one password, on a thread of its own: it takes milliseconds on purpose.

use std::fmt;

use ring::hmac;
use sha_crypt::{Sha512Params, sha512_crypt_b64};

use crate::config::PasswordHash;

/// The longest password, in bytes: the work of a check grows with the length. With the most rounds that there may be,
/// this one takes two seconds, which is less than a request waits.
const LONGEST: usize = 128;

/// Keyed, so that who reads our memory alone learns nothing from it.
pub(super) type Digest = [u8; 32];

/// Name and password, which are one secret here.
#[derive(Clone)]
pub(super) struct Secret {
    /// The length of the name, the name, the password.
    bytes: Vec<u8>,
    password_at: usize,
}

impl Secret {
    /// `None` if it cannot be a password.
    pub(super) fn new(name: &str, password: &[u8]) -> Option<Self> {
        if password.is_empty() || password.len() > LONGEST {
            return None;
        }
        let mut bytes = name.len().to_le_bytes().to_vec();
        bytes.extend(name.as_bytes());
        let password_at = bytes.len();
        bytes.extend(password);
        Some(Self { bytes, password_at })
    }

    fn password(&self) -> &[u8] {
        self.bytes.get(self.password_at..).unwrap_or_default()
    }

    /// The digest by which it is recognised.
    pub(super) fn digest(&self, key: &hmac::Key) -> Digest {
        let tag = hmac::sign(key, &self.bytes);
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    /// Whether it has this digest; in constant time.
    pub(super) fn has(&self, digest: &Digest, key: &hmac::Key) -> bool {
        hmac::verify(key, &self.bytes, digest).is_ok()
    }

    /// Whether it is the secret of this check.
    pub(super) fn is(&self, ticket: &Ticket, key: &hmac::Key) -> bool {
        self.has(&ticket.digest, key)
    }
}

/// Which check it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Of the secret.
    pub(super) digest: Digest,
    /// Whose password it may be.
    pub(super) account: Option<usize>,
    /// Of which configuration.
    pub(super) generation: u64,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("account", &self.account)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Work for a thread of its own.
pub struct PasswordCheck {
    pub(super) ticket: Ticket,
    secret: Secret,
    /// What it is compared with.
    pub(super) hash: PasswordHash,
    /// Rounds that it takes in all.
    pub(super) rounds: u32,
    key: hmac::Key,
}

impl fmt::Debug for PasswordCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordCheck")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

impl PasswordCheck {
    /// Without a hash it only takes its time.
    pub(super) fn new(
        ticket: Ticket,
        secret: Secret,
        hash: Option<&PasswordHash>,
        rounds: u32,
        key: hmac::Key,
    ) -> Self {
        let none = || PasswordHash {
            rounds,
            salt: "................".to_owned(),
            digest: String::new(),
        };
        Self {
            ticket,
            secret,
            hash: hash.cloned().unwrap_or_else(none),
            rounds,
            key,
        }
    }

    /// Hashes and compares.
    pub fn run(self) -> Checked {
        let digest = self.crypt(self.hash.rounds);
        let rest = self.rounds.saturating_sub(self.hash.rounds);
        if rest > 0 {
            // As long as that of the costliest user, so that the time says nothing of who was meant.
            let _ = self.crypt(rest.max(PasswordHash::FEWEST_ROUNDS));
        }
        // Two tags are compared in constant time, and so is what they are of.
        let expected = hmac::sign(&self.key, self.hash.digest.as_bytes());
        let is_same =
            |digest: String| hmac::verify(&self.key, digest.as_bytes(), expected.as_ref()).is_ok();
        Checked {
            is_right: digest.is_some_and(is_same) && self.ticket.account.is_some(),
            ticket: self.ticket,
        }
    }

    fn crypt(&self, rounds: u32) -> Option<String> {
        let params = Sha512Params::new(usize::try_from(rounds).ok()?).ok()?;
        sha512_crypt_b64(self.secret.password(), self.hash.salt.as_bytes(), &params).ok()
    }
}

/// What came of a [`PasswordCheck`].
#[derive(Debug)]
pub struct Checked {
    pub(super) ticket: Ticket,
    pub(super) is_right: bool,
}

#[cfg(test)]
impl PasswordCheck {
    /// Whether it is of this name and password.
    pub(super) fn secret_is(&self, name: &str, password: &str) -> bool {
        Secret::new(name, password.as_bytes())
            .is_some_and(|secret| secret.bytes == self.secret.bytes)
    }
}
