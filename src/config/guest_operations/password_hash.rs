//! Hashes of passwords.

use std::fmt;

use super::UserProblem;

/// A password as SHA-512 crypt hashes it: `$6$SALT$DIGEST` or `$6$rounds=N$SALT$DIGEST`.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// How often it is hashed.
    pub rounds: u32,
    /// What is hashed with it.
    pub salt: String,
    /// What comes of it, in crypt's own base64.
    pub digest: String,
}

impl PasswordHash {
    /// SHA-512 crypt's own lower bound.
    pub const FEWEST_ROUNDS: u32 = 1000;
    /// crypt goes up to 999 999 999, which takes minutes; this takes a second.
    pub const MOST_ROUNDS: u32 = 1_000_000;
    /// Where no number is given.
    const ROUNDS: u32 = 5000;
    /// Longer salts are cut, so there are none in hashes.
    const LONGEST_SALT: usize = 16;
    /// 512 bits, six in a character.
    const DIGEST: usize = 86;
    /// The only digits that two bits make, which are left for the last character.
    const LAST: [u8; 4] = *b"./01";

    /// Reads what crypt, `openssl passwd -6` or `mkpasswd -m sha-512` write.
    pub(super) fn read(text: &str) -> Result<Self, UserProblem> {
        let rest = text.strip_prefix("$6$").ok_or(UserProblem::Hash)?;
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            Some(rest) => {
                let (rounds, rest) = rest.split_once('$').ok_or(UserProblem::Hash)?;
                (Self::read_rounds(rounds)?, rest)
            }
            None => (Self::ROUNDS, rest),
        };
        let (salt, digest) = rest.split_once('$').ok_or(UserProblem::Hash)?;
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
        let is_whole = (1..=Self::LONGEST_SALT).contains(&salt.len())
            && salt.bytes().all(is_digit)
            && digest.len() == Self::DIGEST
            && digest.bytes().all(is_digit)
            && digest
                .bytes()
                .last()
                .is_some_and(|last| Self::LAST.contains(&last));
        is_whole
            .then(|| Self {
                rounds,
                salt: salt.to_owned(),
                digest: digest.to_owned(),
            })
            .ok_or(UserProblem::Hash)
    }

    fn read_rounds(text: &str) -> Result<u32, UserProblem> {
        let is_number = !text.is_empty()
            && !text.starts_with('0')
            && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(UserProblem::Hash);
        }
        // What is too long for the type is above the bound as well.
        let rounds = text.parse().unwrap_or(u32::MAX);
        let bounds = Self::FEWEST_ROUNDS..=Self::MOST_ROUNDS;
        bounds
            .contains(&rounds)
            .then_some(rounds)
            .ok_or(UserProblem::Rounds)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}
