//! guest-fsfreeze-*: file systems stand still while the host takes a snapshot, where `quiesce.mode` says so.
//!
//! With the mode `off` or `sync` nothing is ever frozen, and that is a success: with an error here hosts make no
//! snapshot of a machine that has an agent.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::facts::Facts;
use crate::freeze::{Ended, Event, Phase, Quiesce, Refusal, Request, Why};
use crate::qemu::qmp::Error;

/// A freeze, from the host's side. It outlives the client that has asked for it.
#[derive(Debug)]
pub(super) struct Freeze {
    /// The state machine.
    pub(super) quiesce: Quiesce,
    /// How many file systems the last freeze has frozen.
    count: usize,
    /// A client has asked for the end of the freeze that is under way.
    is_asked_to_end: bool,
    /// Why the last freeze has ended too early, for the thaw that comes after it.
    lost: Option<String>,
}

/// The request that an event answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// guest-fsfreeze-freeze, or -freeze-list.
    Freeze,
    /// guest-fsfreeze-thaw.
    Thaw,
}

impl Freeze {
    /// Nothing is frozen. See [`Quiesce::new`].
    pub(super) fn new(wall_clock: fn() -> Duration) -> Self {
        Self {
            quiesce: Quiesce::new(wall_clock),
            count: 0,
            is_asked_to_end: false,
            lost: None,
        }
    }

    /// Whether nothing is frozen, nor about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.quiesce.phase() == Phase::Idle
    }

    /// Begins a freeze; whether there is something to wait for.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn begin(
        &mut self,
        mount_points: Option<Vec<String>>,
        facts: &Facts,
        now: Duration,
    ) -> Result<bool, Error> {
        let request = Request {
            asker: "QEMU guest agent",
            mount_points,
            only_sync: false,
            most: None,
        };
        self.lost = None;
        self.is_asked_to_end = false;
        match self.quiesce.begin(request, facts, now) {
            Ok(()) => Ok(true),
            Err(Refusal::Off) => Ok(false),
            Err(refusal) => Err(Error::Generic(refusal.to_string())),
        }
    }

    /// Ends the freeze for a client; whether there is one.
    ///
    /// # Errors
    /// It has ended too early, which no client has heard yet.
    pub(super) fn thaw(&mut self, now: Duration) -> Result<bool, Error> {
        if let Some(lost) = self.lost.take() {
            return Err(Error::Generic(lost));
        }
        let is_under_way = !self.is_idle();
        self.give_up(now);
        Ok(is_under_way)
    }

    /// The same for a client that is not there any more.
    pub(super) fn give_up(&mut self, now: Duration) {
        self.is_asked_to_end = true;
        self.quiesce.thaw(Why::Done, now);
    }

    /// What an event means for the request that waits for one, if any does.
    pub(super) fn handle(
        &mut self,
        event: Event,
        wanted: Option<Wanted>,
    ) -> Option<Result<Value, Error>> {
        match (event, wanted) {
            (Event::Frozen(count), wanted) => {
                self.count = count;
                (wanted == Some(Wanted::Freeze)).then(|| Ok(json!(count)))
            }
            (Event::Synced(_), wanted) => (wanted == Some(Wanted::Freeze)).then_some(Ok(json!(0))),
            (Event::Failed(why), Some(Wanted::Freeze)) => Some(Err(Error::Generic(why))),
            // It had only begun.
            (Event::Failed(_), Some(Wanted::Thaw)) => Some(Ok(json!(0))),
            (Event::Failed(why), None) => {
                self.lose(why);
                None
            }
            (Event::Thawed(ended), Some(Wanted::Thaw)) if ended.covered => {
                Some(Ok(json!(self.count)))
            }
            (Event::Thawed(ended), Some(_)) => Some(Err(Error::Generic(too_early(&ended)))),
            (Event::Thawed(ended), None) => {
                self.lose(too_early(&ended));
                None
            }
        }
    }

    /// Keeps why for the next thaw, unless that one has come.
    fn lose(&mut self, why: String) {
        if !self.is_asked_to_end {
            self.lost = Some(why);
        }
    }
}

/// What the host gets to know of a freeze that was over before its snapshot was.
fn too_early(ended: &Ended) -> String {
    let why = match ended.why {
        // The thaw that was asked for.
        Why::Done | Why::Aborted => {
            return "the file systems may still be frozen: the freezer does not answer".to_owned();
        }
        // KubeVirt looks for the first three words.
        Why::Limit => "fsfreeze is limited by quiesce.max_freeze",
        Why::HostGone => "the port of the guest agent was unplugged",
        Why::Power => "the node shuts down or reboots",
        Why::Stopping => "the guest agent was stopped",
        Why::FreezerGone => "the freezer has ended",
    };
    format!(
        "{why}: the file systems were thawed after {:.1} s, before the snapshot was done",
        ended.lasted.as_secs_f64()
    )
}

/// guest-fsfreeze-status.
pub(super) fn status(known: &Known) -> Result<Step, Error> {
    let status = match known.freeze.quiesce.phase() {
        Phase::Idle | Phase::Beginning => "thawed",
        Phase::Frozen | Phase::Thawing => "frozen",
    };
    Ok(Step::Reply(json!(status)))
}

/// guest-fsfreeze-freeze: the number of file systems.
pub(super) fn freeze(_: &Known) -> Result<Step, Error> {
    Ok(Step::Freeze(None))
}

/// guest-fsfreeze-freeze-list: the same for some mount points.
pub(super) fn freeze_list(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    let mount_points = arguments.optional_texts("mountpoints")?;
    arguments.only(&["mountpoints"])?;
    Ok(Step::Freeze(mount_points))
}

/// guest-fsfreeze-thaw: the number of file systems.
pub(super) fn thaw(_: &Known) -> Result<Step, Error> {
    Ok(Step::Thaw)
}
