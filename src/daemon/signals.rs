//! Signals as events. Process 1 has no default actions: what is not handled here is ignored. It also inherits the
//! children of others, which stay zombies until they are waited for.

use std::io;

use nix::sys::signal::SigSet;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGTERM or SIGINT: stop.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Takes back what the parent blocked: it would be blocked here for good.
pub fn unblock() {
    // Fails for no set that there is.
    let _ = SigSet::empty().thread_set_mask();
}

/// Waits for all children that have ended. Ours is the freezer, whose end its socket shows: none of their exit codes is
/// needed elsewhere.
fn reap() {
    while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
        waitpid(None, Some(WaitPidFlag::WNOHANG))
    {}
}

/// The signals that the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    child: Signal,
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    /// Starts to listen; from now on these signals do not end the process.
    ///
    /// # Errors
    /// Those of sigaction.
    pub fn listen() -> io::Result<Self> {
        let child = signal(SignalKind::child())?;
        // Those that ended before.
        reap();
        Ok(Self {
            child,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// The next wish; cancel-safe.
    pub async fn next(&mut self) -> Wish {
        loop {
            tokio::select! {
                _ = self.term.recv() => return Wish::Stop,
                _ = self.int.recv() => return Wish::Stop,
                _ = self.hup.recv() => return Wish::Reload,
                _ = self.child.recv() => reap(),
            }
        }
    }
}
