//! The limit of open files: tokio and std panic where they run into it, so it is looked at first.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// As many as are open at the most, and as many again. Standard streams and log take 4, the runtime with its signals
/// 8, the host 2 and 1 while a connection is made, Talos as many (and one for each address that is tried), the
/// talosconfig 2, and a name look-up a handful.
const NEEDED: u64 = 64;

/// The limit of open files is too low.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {hard} files may be open at a time (RLIMIT_NOFILE) and {NEEDED} are needed; raise the hard limit where \
     the agent is started (ulimit -n, LimitNOFILE= or the container's rlimits)"
)]
pub struct TooFew {
    hard: u64,
    source: Errno,
}

/// Raises the limit to what is needed where it is lower.
///
/// # Errors
/// The hard limit, which may not be raised, is too low.
pub fn make_room() -> Result<(), TooFew> {
    // Without an answer the limit is what it is nearly everywhere: 1024.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(());
    };
    if soft >= NEEDED {
        return Ok(());
    }
    let raised = setrlimit(Resource::RLIMIT_NOFILE, NEEDED, hard.max(NEEDED));
    raised.map_err(|source| TooFew { hard, source })
}
