//! The commands' hands: they ask the host and Talos, once, and wait for the answer.

use std::process::ExitCode;

use super::check::{Check, Outcome};
use crate::config::{self, Config, HostConfig};
use crate::facts::Facts;
use crate::log;
use crate::services::RpciOutcome;

/// Why a command did not reach the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostError {
    /// There is no VMware host.
    NotOnVmware,
    /// There is one, but no channel; why, in one phrase.
    Unreachable(String),
}

/// Runs the daemon until it is asked to stop. `reload` reads the configuration again.
pub(super) fn vmtoolsd(
    _config: Config,
    _log: log::Handle,
    _reload: impl Fn() -> Result<Config, config::Error>,
) -> ExitCode {
    tracing::error!("the daemon is not linked in yet");
    ExitCode::FAILURE
}

/// Sends one RPCI command.
pub(super) fn rpci(_config: &HostConfig, _command: &[u8]) -> Result<RpciOutcome, HostError> {
    if false {
        return Err(HostError::NotOnVmware);
    }
    Err(HostError::Unreachable("not linked in yet".to_owned()))
}

/// Asks Talos for everything that is reported; the error is one line.
pub(super) fn facts(_config: &Config) -> Result<Facts, String> {
    Err("not linked in yet".to_owned())
}

/// Looks at everything the daemon needs.
pub(super) fn checks(_config: &Config) -> Vec<Check> {
    vec![Check {
        name: "hypervisor",
        outcome: Outcome::NotChecked("not linked in yet".to_owned()),
    }]
}
