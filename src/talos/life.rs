//! A sign of life of Talos: the Version call, which needs no more than os:reader and touches nothing.
//!
//! Facts keep their last value while Talos is away, and a watch that is open says nothing while nothing changes. So
//! whoever has to know whether Talos lives asks.

use std::time::Duration;

use tokio::time::timeout;

use super::client::Client;
use super::error::Error;
use crate::facts::Life;

/// How long the whole look may take, the proof of apid included.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks this node's Talos for a sign of life. Returns within 15 s, whatever Talos does.
pub async fn look_for_life(client: &Client) -> Life {
    let call = "Version";
    let answer = timeout(PATIENCE, client.version()).await;
    match answer.unwrap_or(Err(Error::Deadline { call })) {
        Ok(_) => Life::Answers,
        Err(error) if error.is_silence() && client.has_answered() => Life::Silent,
        Err(error) => Life::Unclear(error.with_causes()),
    }
}
