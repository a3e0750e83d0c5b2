//! Who a caller is: names, passwords and tokens, checked in every request.

use std::task::Poll;
use std::time::Duration;

use super::{Caller, Failure, WallClock};
use crate::config::GuestOperationsConfig;

/// See the module.
#[derive(Debug)]
pub struct Logins {
    _clock: WallClock,
}

impl Logins {
    /// Nobody is a user.
    pub(super) const fn new(clock: WallClock) -> Self {
        Self { _clock: clock }
    }

    pub(super) fn configure(&mut self, _config: &GuestOperationsConfig) {}

    /// Who it is. `node` is the SMBIOS UUID of this machine, if it is known: tokens are for one.
    ///
    /// # Errors
    /// [`Failure::WrongLogin`] for whoever is no user, alike for an unknown name and a wrong password.
    pub fn log_in(
        &mut self,
        _name: &str,
        _secret: &[u8],
        _node: Option<&str>,
        _now: Duration,
    ) -> Poll<Result<Caller, Failure>> {
        Poll::Ready(Err(Failure::WrongLogin))
    }

    /// A password to check on a thread.
    pub const fn poll_check(&mut self) -> Option<PasswordCheck> {
        None
    }

    /// What came of it.
    pub const fn handle_checked(&mut self, _checked: &Checked, _now: Duration) {}
}

/// Work for a thread of its own: it takes milliseconds on purpose.
#[derive(Debug)]
pub struct PasswordCheck {}

impl PasswordCheck {
    /// Does it.
    pub const fn run(self) -> Checked {
        Checked {}
    }
}

/// What came of a [`PasswordCheck`].
#[derive(Debug)]
pub struct Checked {}
