//! Whether the host gives notice of migrations: it is asked who is registered, which changes nothing.

use super::host::{self, HostError};
use crate::config::HostConfig;
use crate::diagnosis::Outcome;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::{RpciOutcome, notice_of_migrations};
use crate::vmware::wire::vm_operation_notification::list;

/// Asks the host.
pub(super) async fn check(config: &HostConfig) -> Outcome {
    match host::rpci(config, &list()).await {
        Ok(Reply::Accepted(text)) => notice_of_migrations(&RpciOutcome::Accepted(text)),
        Ok(Reply::Refused(text)) => notice_of_migrations(&RpciOutcome::Refused(text)),
        Err(HostError::NotOnVmware) => Outcome::NotChecked("there is no VMware host".to_owned()),
        Err(HostError::Unreachable(_)) => {
            Outcome::NotChecked("the host does not answer".to_owned())
        }
    }
}
