//! Who a caller is: names, passwords and tokens, checked in every request.
//!
//! ```text
//! name, secret ─┬─ tvt1.… ─────────────► token: signature, claims, clock
//!               └─► right lately? ─► guesses left? ─► PasswordCheck, on a thread ─► Checked
//! ```
//! An unknown name is answered as a wrong password is, and as late. A password that was right is recognised by a keyed
//! digest for two minutes: a download asks 170 times. A reload forgets it.
//!
//! A secret that begins with `tvt1.` is a token and never a password. Neither is ever logged, nor the name of a
//! user who does not exist: people type a password there.

mod account;
mod budget;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod password;
mod refusals;
pub mod token;

use std::task::Poll;
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;

use super::{Caller, Failure, WallClock};
use crate::config::{GuestOperationsConfig, PasswordHash};
use account::Account;
use budget::{Budget, Unknown};
pub use password::{Checked, PasswordCheck};
use password::{Secret, Ticket};
use refusals::Refusals;

/// See the module.
#[derive(Debug)]
pub struct Logins {
    clock: WallClock,
    accounts: Vec<Account>,
    /// Random, of this process alone; `None` while there are no guest operations.
    key: Option<hmac::Key>,
    unknown: Unknown,
    /// Rounds of the costliest hash; each check takes as many.
    rounds: u32,
    /// How often the configuration was taken over.
    generation: u64,
    check: Check,
    refusals: Refusals,
}

/// The one check that there may be at a time.
#[derive(Debug)]
enum Check {
    None,
    /// It waits for a thread.
    Waiting(Box<PasswordCheck>),
    /// A thread does it.
    Running(Ticket),
    /// The password was wrong, and the answer is not given yet.
    Wrong(Ticket),
}

impl Logins {
    /// Without users.
    pub(super) const fn new(clock: WallClock) -> Self {
        Self {
            clock,
            accounts: Vec::new(),
            key: None,
            unknown: Unknown::new(),
            rounds: 0,
            generation: 0,
            check: Check::None,
            refusals: Refusals::new(),
        }
    }

    pub(super) fn configure(&mut self, config: &GuestOperationsConfig) {
        self.generation += 1;
        // A running check is waited for, and its result is ignored.
        if !matches!(self.check, Check::Running(_)) {
            self.check = Check::None;
        }
        self.accounts = config.active_users().iter().map(Account::new).collect();
        let rounds = self.accounts.iter().filter_map(Account::rounds).max();
        self.rounds = rounds.unwrap_or(PasswordHash::FEWEST_ROUNDS);
        self.unknown = Unknown::new();
        self.key = match self.key.take() {
            _ if self.accounts.is_empty() => None,
            Some(key) => Some(key),
            // Without random numbers there are no logins.
            None => hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok(),
        };
    }

    /// Who it is. `node` is the SMBIOS UUID of this machine, if it is known: tokens are for one.
    ///
    /// # Errors
    /// [`Failure::WrongLogin`], the same for an unknown name and a wrong password.
    pub fn log_in(
        &mut self,
        name: &str,
        secret: &[u8],
        node: Option<&str>,
        now: Duration,
    ) -> Poll<Result<Caller, Failure>> {
        let outcome = if token::is_meant(secret) {
            Poll::Ready(self.check_token(name, secret, node))
        } else {
            self.check_password(name, secret, now)
        };
        outcome.map(|outcome| {
            let index = self.index(name);
            match outcome {
                Ok(how) => {
                    let account = index.and_then(|index| self.accounts.get_mut(index));
                    let account = account.ok_or(Failure::WrongLogin)?;
                    Ok(account.enter(how, now))
                }
                Err(reason) => {
                    let account = index.and_then(|index| self.accounts.get(index));
                    self.refusals.note(account.map(Account::name), reason, now);
                    Err(Failure::WrongLogin)
                }
            }
        })
    }

    /// A password to check on a thread.
    pub fn poll_check(&mut self) -> Option<PasswordCheck> {
        match std::mem::replace(&mut self.check, Check::None) {
            Check::Waiting(check) => {
                self.check = Check::Running(check.ticket);
                Some(*check)
            }
            other => {
                self.check = other;
                None
            }
        }
    }

    /// What came of it.
    pub fn handle_checked(&mut self, checked: &Checked, now: Duration) {
        let Check::Running(ticket) = self.check else {
            return;
        };
        if ticket != checked.ticket {
            return;
        }
        self.check = Check::None;
        if ticket.generation != self.generation {
            return;
        }
        let account = ticket
            .account
            .and_then(|index| self.accounts.get_mut(index));
        match account {
            Some(account) if checked.is_right => account.remember(ticket.digest, now),
            _ => self.check = Check::Wrong(ticket),
        }
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.accounts
            .iter()
            .position(|account| account.name() == name)
    }

    /// How it was proven, or why not.
    fn check_token(
        &self,
        name: &str,
        secret: &[u8],
        node: Option<&str>,
    ) -> Result<&'static str, String> {
        let key = self.index(name).and_then(|index| self.accounts.get(index));
        let key = key.and_then(Account::public_key);
        let expected = token::Expected {
            user: name,
            node,
            wall: (self.clock)(),
        };
        // A name without a key takes as long.
        let checked = token::check(secret, key.unwrap_or(&token::NO_KEY), &expected);
        match (key, checked) {
            (Some(_), Ok(())) => Ok("token"),
            (Some(_), Err(problem)) => Err(problem.to_string()),
            (None, _) => Err("no user of this name has a key".to_owned()),
        }
    }

    fn check_password(
        &mut self,
        name: &str,
        password: &[u8],
        now: Duration,
    ) -> Poll<Result<&'static str, String>> {
        let refused = |reason: &str| Poll::Ready(Err(reason.to_owned()));
        let Some(key) = &self.key else {
            return refused("there are no users");
        };
        let Some(secret) = Secret::new(name, password) else {
            return refused("the password is empty or too long");
        };
        let index = self.index(name);
        let has_password = |account: &&mut Account| account.rounds().is_some();
        let account = index.and_then(|index| self.accounts.get_mut(index));
        let mut account = account.filter(has_password);
        if let Some(account) = &account
            && account.remembers(&secret, key, now)
        {
            return Poll::Ready(Ok("password"));
        }
        match &self.check {
            Check::Wrong(ticket) if secret.is(ticket, key) => {
                self.check = Check::None;
                return refused("it is wrong");
            }
            Check::Wrong(_) | Check::None => {}
            Check::Waiting(_) | Check::Running(_) => return Poll::Pending,
        }
        let budget: &mut Budget = match &mut account {
            Some(account) => &mut account.budget,
            None => self.unknown.of(name, key),
        };
        if !budget.take(now) {
            return refused("too many guesses; one a second is checked");
        }
        let hash = account.as_deref().and_then(Account::hash);
        let ticket = Ticket {
            digest: secret.digest(key),
            account: hash.and(index),
            generation: self.generation,
        };
        let check = PasswordCheck::new(ticket, secret, hash, self.rounds, key.clone());
        self.check = Check::Waiting(Box::new(check));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
