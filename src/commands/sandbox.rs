//! `check` of the sandbox: enter it, and ask the kernel what came of it.

use crate::config::Config;
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::sandbox::{Host, Sandbox};

/// Enters the sandbox that the daemon would have, for good, and reports what came of it.
pub(super) fn check(config: &Config, host: Host) -> Outcome {
    match Sandbox::enter(config, host) {
        Ok(sandbox) => sandbox.check(),
        Err(error) => Outcome::Fails {
            problem: format!("signals cannot be handled: {}", Chain(&error)),
            remedy: "start with --sandbox=off, and report this".to_owned(),
        },
    }
}
