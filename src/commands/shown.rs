//! What the running agent shows on a VMware host and Talos does not know, read back from its guest variables.

use super::host::{self, HostError};
use crate::config::HostConfig;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::{POWER_VARIABLE, VMOTION_VARIABLE};
use crate::vmware::wire::text::{is_blank, line};

/// Longest text that is repeated, in bytes.
const LONGEST: usize = 512;

/// What is shown now; `None` where nothing is, or there is no VMware host that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How far a power operation has come.
    pub power: Option<String>,
    /// The last migration, or why none is known of.
    pub vmotion: Option<String>,
}

/// Reads it, which changes nothing.
pub(super) async fn look(config: &HostConfig) -> Shown {
    let Ok(power) = power(config).await else {
        return Shown::default();
    };
    Shown {
        power,
        vmotion: variable(config, VMOTION_VARIABLE).await.unwrap_or_default(),
    }
}

/// Reads how far a power operation has come.
///
/// # Errors
/// There is no VMware host, or it does not answer.
pub(super) async fn power(config: &HostConfig) -> Result<Option<String>, HostError> {
    variable(config, POWER_VARIABLE).await
}

async fn variable(config: &HostConfig, key: &str) -> Result<Option<String>, HostError> {
    let command = format!("info-get guestinfo.{key}");
    Ok(match host::rpci(config, command.as_bytes()).await? {
        Reply::Accepted(value) if !is_blank(&value) => {
            Some(line(&String::from_utf8_lossy(&value), LONGEST))
        }
        Reply::Accepted(_) | Reply::Refused(_) => None,
    })
}
