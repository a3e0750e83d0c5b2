//! The state machine of a freeze, which both front ends hold.
//!
//! ```text
//! Idle ─ begin ─► Beginning: etcd is looked at, file systems are frozen ─► Frozen ─ thaw, limit ─► Thawing ─► Idle
//!                     └─ failed ────────────────────────────────────────────────────────────────────────► Idle
//! ```

use std::time::Duration;

use super::message::{Command, Report};
use crate::config::QuiesceConfig;
use crate::diagnosis::Outcome;
use crate::facts::{Etcd, Facts};

/// A host's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks, for the log: `vSphere`, `QEMU guest agent`.
    pub asker: &'static str,
    /// Only the file systems at these mount points; all where there is none.
    pub mount_points: Option<Vec<String>>,
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

/// See the module.
#[derive(Debug)]
pub struct Quiesce {
    config: QuiesceConfig,
    wall_clock: fn() -> Duration,
    phase: Phase,
}

impl Quiesce {
    /// Off until it is configured. `wall_clock` is the time since 1970, for what is shown of the last freeze.
    pub fn new(wall_clock: fn() -> Duration) -> Self {
        Self {
            config: QuiesceConfig::default(),
            wall_clock,
            phase: Phase::Idle,
        }
    }

    /// What counts from the next freeze on.
    pub fn configure(&mut self, config: &QuiesceConfig) {
        self.config = config.clone();
    }

    /// Takes the facts, which have changed: the first that name volumes have a predecessor's freeze ended.
    pub fn handle_facts(&mut self, _facts: &Facts, _now: Duration) {}

    /// Begins a freeze; [`Event::Frozen`], [`Event::Synced`] or [`Event::Failed`] follows.
    ///
    /// # Errors
    /// It does not begin.
    pub fn begin(
        &mut self,
        _request: Request,
        _facts: &Facts,
        _now: Duration,
    ) -> Result<(), Refusal> {
        let _ = self.wall_clock;
        Err(Refusal::Off)
    }

    /// Ends the freeze, if there is one; [`Event::Thawed`] follows, or [`Event::Failed`] if it had only begun.
    pub fn thaw(&mut self, _why: Why, _now: Duration) {}

    /// Takes what Talos says after [`QuiesceOrder::LookAtEtcd`]; `None` when it does not answer.
    pub fn handle_etcd(&mut self, _etcd: Option<Etcd>, _now: Duration) {}

    /// Takes a report of the freezer.
    pub fn handle_report(&mut self, _report: &Report, _now: Duration) {}

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Duration) {}

    /// When [`Quiesce::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// What to do next.
    pub fn poll_order(&mut self) -> Option<QuiesceOrder> {
        None
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// How far it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// For the guest variable: `off`, `ready`, `frozen`, or what is wrong, and what the last freeze came to.
    pub fn shown(&self) -> String {
        "off".to_owned()
    }

    /// What `check` and the log say of it.
    pub fn check(&self) -> Outcome {
        Outcome::Works("off, as configured".to_owned())
    }
}
