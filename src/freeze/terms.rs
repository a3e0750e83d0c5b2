//! What a front end asks of a freeze, and what it hears of it.

use std::time::Duration;

use super::message::Command;

/// A host's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks, for the log: `vSphere`, `QEMU guest agent`.
    pub asker: &'static str,
    /// Only the file systems at these mount points; all where there is none.
    pub mount_points: Option<Vec<String>>,
    /// Nothing may be frozen, whatever the mode: what is written so far goes to the disks.
    pub only_sync: bool,
    /// How long file systems stay frozen at most; less than the settings allow, or it does not count.
    pub most: Option<Duration>,
}

/// Why nothing is frozen; its text is for the host and for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The mode is off.
    #[error("Quiescing is off in this guest (quiesce.mode)")]
    Off,
    /// A freeze is under way.
    #[error("Quiesce operation already in progress.")]
    Busy,
    /// Anything else, in one phrase.
    #[error("{0}")]
    Other(String),
}

/// Why a freeze ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The host has its snapshot.
    Done,
    /// The host has given it up.
    Aborted,
    /// The host is gone, or does not take what it is sent.
    HostGone,
    /// A power operation comes first.
    Power,
    /// The agent ends.
    Stopping,
    /// The limit was reached.
    Limit,
    /// The freezer has ended.
    FreezerGone,
}

/// How a freeze has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub why: Why,
    /// How long the file systems were frozen.
    pub lasted: Duration,
    /// Whether a snapshot that was asked for between [`Event::Frozen`] and [`Why::Done`] holds what was frozen.
    pub covered: bool,
}

/// What a front end has to say to its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// So many file systems are frozen.
    Frozen(usize),
    /// So many were synced, and nothing is frozen.
    Synced(usize),
    /// Nothing is frozen; why, in one phrase.
    Failed(String),
    /// Nothing is frozen any more.
    Thawed(Ended),
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is frozen, nothing under way.
    #[default]
    Idle,
    /// A freeze has begun.
    Beginning,
    /// File systems are frozen.
    Frozen,
    /// They are being thawed.
    Thawing,
}

/// What is to be done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum QuiesceOrder {
    /// Ask Talos for the members of etcd.
    LookAtEtcd,
    /// Hand this to the freezer.
    Freezer(Command),
}
