//! `check` of the sandbox: enter it, and ask the kernel what came of it.

use crate::config::Config;
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::sandbox::Sandbox;
use crate::vmware::transport::vsock;

/// Enters the sandbox that the daemon would have, for good, and reports what came of it.
pub(super) fn check(config: &Config) -> Outcome {
    match Sandbox::enter(config, vsock::is_there) {
        Ok(sandbox) => sandbox.check(),
        Err(error) => Outcome::Fails {
            problem: format!("signals cannot be handled: {}", Chain(&error)),
            remedy: "start with --sandbox=off, and report this".to_owned(),
        },
    }
}
