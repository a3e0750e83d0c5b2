//! The agent's end of the socket pair.

use std::io;

use crate::freeze::{Command, Report};

/// The freezer as a process: started before the sandbox closes, waited for at the end.
#[derive(Debug)]
pub struct Freezer {}

impl Freezer {
    /// Starts it: this very program, called as [`super::NAME`]. To be called before the sandbox, within a runtime.
    ///
    /// # Errors
    /// There is no socket pair, or no process.
    pub fn start() -> io::Result<(Self, Link)> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Has it thaw, and returns once it has ended, so that nothing stays frozen however the agent ends.
    pub fn finish(self) {}
}

/// The way to the freezer while the agent runs.
#[derive(Debug)]
pub struct Link {}

impl Link {
    /// Hands over a command; what cannot be handed over is followed by [`Report::Gone`].
    pub fn send(&mut self, _command: &Command) {}

    /// The next report; after [`Report::Gone`] none comes. Cancel-safe.
    pub async fn next(&mut self) -> Report {
        std::future::pending().await
    }
}
