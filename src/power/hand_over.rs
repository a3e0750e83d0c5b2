//! What becomes of the wish that this node no longer leads etcd.

use std::time::Duration;

/// What became of handing over the leadership of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// Another member leads; its name, or its id where Talos does not say the name.
    Moved(String),
    /// This node does not lead; nothing was asked for.
    NotLeader,
    /// It leads, and keeps that; why, in one phrase.
    Kept(String),
    /// Talos did not say, or refused; why, in one phrase.
    Failed(String),
}

impl HandOver {
    /// How long it may take. A host waits for its migration.
    pub const PATIENCE: Duration = Duration::from_secs(3);
}
