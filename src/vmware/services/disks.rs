//! The file systems, which become guest.disk [guestInfoServer.c, diskInfo.c].
//!
//! ```text
//! volumes or mounts change ──► MeasureSpace ──► facts ──► SetGuestDiskInfo, when it differs
//! every interval ────────────►
//! ```
//!
//! What is mounted, and on which disk, Talos tells by itself. How much is free it only tells when asked: that is
//! one call when something was mounted or unmounted, when the host has forgotten, and at an interval. A call that
//! fails is repeated ever more slowly, one that hangs much more so.
//!
//! Fallback, kept until the host forgets: JSON → type 3.

use std::time::Duration;

use crate::backoff::doubled;
use crate::facts::{Facts, Mount, Volume};
use crate::report;
use crate::report::FileSystem;
use crate::vmware::wire::disk_info::{DiskEntry, disk_info, disk_info_v0};

use super::publication::{Acceptance, Publication, Settled};
use super::{Context, RpciId, RpciOutcome, Service};
use crate::front_end::Measured;

/// How often the space is measured unless set.
const INTERVAL: Duration = Duration::from_secs(300);
/// A measurement this young serves a host that has forgotten everything.
const YOUNG: Duration = Duration::from_secs(30);
/// First delay after a failed measurement; doubled with each further failure up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest delay after measurements that hang.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// How the host takes the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// SetGuestDiskInfo.
    Json,
    /// Type 3, without types and devices.
    Binary,
}

/// What a measurement was made for.
type Layout = (Option<Vec<Volume>>, Vec<Mount>);

/// See the module.
#[derive(Debug)]
pub(super) struct Disks {
    form: Form,
    message: Publication,
    interval: Duration,
    /// When the space is to be measured next.
    measure_at: Option<Duration>,
    /// Whether a measurement is under way.
    measuring: bool,
    /// Whether another one is to follow at once.
    again: bool,
    /// When the last measurement succeeded.
    measured_at: Option<Duration>,
    /// What had been mounted when the last measurement was asked for.
    layout: Option<Layout>,
    /// Measurements that failed in a row.
    failures: u32,
}

impl Disks {
    /// Nothing known, nothing told.
    pub(super) fn new() -> Self {
        Self {
            form: Form::Json,
            message: Publication::new("SetGuestDiskInfo", "SetGuestInfo 3", Acceptance::EmptyText),
            interval: INTERVAL,
            measure_at: None,
            measuring: false,
            again: false,
            measured_at: None,
            layout: None,
            failures: 0,
        }
    }

    /// Measures at this interval from the next measurement on.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// A measurement has come to its end.
    pub(super) fn measured(&mut self, measured: Measured, now: Duration) {
        self.measuring = false;
        let delay = match measured {
            Measured::Done => {
                self.failures = 0;
                self.measured_at = Some(now);
                if std::mem::take(&mut self.again) {
                    Duration::ZERO
                } else {
                    self.interval
                }
            }
            Measured::Failed => doubled(FIRST_RETRY, self.failures, self.interval),
            Measured::TimedOut => {
                let longest = LONGEST_RETRY.max(self.interval);
                doubled(self.interval, self.failures, longest)
            }
        };
        if measured != Measured::Done {
            self.failures = self.failures.saturating_add(1);
        }
        self.measure_at = Some(now.saturating_add(delay));
    }

    /// The host knows nothing any more: what is known goes at once, and the space is measured unless it has
    /// just been.
    fn send_everything_again(&mut self, cx: &mut Context<'_>) {
        self.form = Form::Json;
        self.message.forget();
        self.message.rename("SetGuestDiskInfo", "SetGuestInfo 3");
        self.look(cx);
        self.message.publish(cx.outbox, cx.now);
        let is_young = |at: Duration| cx.now.saturating_sub(at) < YOUNG;
        if self.layout.is_some() && !self.measured_at.is_some_and(is_young) && self.failures == 0 {
            self.measure_at = Some(cx.now);
        }
    }

    /// Compares what the host shall have with what there is; measures when another thing is mounted.
    fn look(&mut self, cx: &mut Context<'_>) {
        self.want(cx.facts);
        // Before Talos has ever answered there is nobody to ask.
        if cx.facts.talos.is_none() {
            return;
        }
        let layout = (
            cx.facts.storage.volumes.clone(),
            cx.facts.storage.mounts.iter().flatten().cloned().collect(),
        );
        if self.layout.as_ref() != Some(&layout) {
            self.layout = Some(layout);
            // While it hangs a further call would hang as well.
            if self.failures == 0 {
                self.measure_at = Some(cx.now);
            }
        }
    }

    fn want(&mut self, facts: &Facts) {
        let systems = report::file_systems(&facts.storage);
        self.message.want(systems.map(|systems| {
            let entries: Vec<DiskEntry> = systems.into_iter().map(entry).collect();
            match self.form {
                Form::Json => disk_info(&entries),
                Form::Binary => disk_info_v0(&entries),
            }
        }));
    }
}

fn entry(system: FileSystem) -> DiskEntry {
    DiskEntry {
        name: system.mount_point,
        free: system.free,
        total: system.total,
        fs_type: system.file_system.to_owned(),
        devices: system.devices,
    }
}

impl Service for Disks {
    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.send_everything_again(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        self.look(cx);
    }

    fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        if self.message.settle(id, outcome, cx.now) == Settled::Refused {
            match self.form {
                Form::Json => {
                    self.form = Form::Binary;
                    self.message.rename("SetGuestInfo 3", "none");
                    self.want(cx.facts);
                }
                Form::Binary => {}
            }
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.message.publish(cx.outbox, cx.now);
        if self.measure_at.is_some_and(|at| at <= cx.now) {
            self.measure_at = None;
            if self.measuring {
                self.again = true;
            } else {
                self.measuring = true;
                cx.outbox.measure_space();
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        [self.measure_at, self.message.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}
