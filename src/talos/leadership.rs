//! Handing over the leadership of etcd, which needs os:admin.

use super::client::Client;
use crate::power::HandOver;

/// Has another member of etcd lead, if this node leads.
pub async fn hand_over(_client: &Client) -> HandOver {
    HandOver::Failed("not done yet".to_owned())
}
