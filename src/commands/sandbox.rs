//! `check` of the sandbox: enter it, and ask the kernel what came of it.

use super::check::Outcome;
use crate::config::{Config, SandboxMode};
use crate::log::Chain;
use crate::sandbox::Sandbox;
use crate::vmware::transport::vsock;

/// Enters the sandbox that the daemon would have, for good, and reports what came of it.
pub(super) fn check(config: &Config) -> Outcome {
    match Sandbox::enter(config, vsock::is_there) {
        Ok(sandbox) => outcome(&sandbox),
        Err(error) => Outcome::Fails {
            problem: format!("signals cannot be handled: {}", Chain(&error)),
            remedy: "start with --sandbox=off, and report this".to_owned(),
        },
    }
}

fn outcome(sandbox: &Sandbox) -> Outcome {
    let (holding, missing) = (sandbox.holding(), sandbox.missing());
    let all = match (holding.is_empty(), missing.is_empty()) {
        (_, true) => holding,
        (true, false) => format!("missing: {missing}"),
        (false, false) => format!("{holding}; missing: {missing}"),
    };
    match sandbox.mode() {
        SandboxMode::Off => Outcome::Works("off, as configured".to_owned()),
        SandboxMode::Warn => Outcome::Works(format!("denies nothing, as configured; {all}")),
        SandboxMode::Enforce => {
            let mut parts = sandbox.parts().iter();
            if parts.any(|part| part.is_necessary() && part.outcome.is_err()) {
                return Outcome::Fails {
                    problem: format!("in force in part: {all}"),
                    remedy: "the kernel or the container's own sandbox refuses what is missing; \
                             see docs/sandbox.md for what is needed"
                        .to_owned(),
                };
            }
            Outcome::Works(format!("in force: {all}"))
        }
    }
}
