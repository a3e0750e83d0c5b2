//! The file systems, which become guest.disk [guestInfoServer.c, diskInfo.c].
//!
//! ```text
//! volumes or mounts change ──► MeasureSpace ──► facts ──► SetGuestDiskInfo, when it differs
//! every interval ────────────►
//! ```
//!
//! Talos reports by itself what is mounted, and on which disk. How much is free it says only when asked: we ask once
//! when something was mounted or unmounted, when the host has forgotten, and at an interval. A call that fails is
//! repeated ever more slowly, one that hangs much more so.
//!
//! Type 3 stands in for the JSON form when a host refuses that, and when there are too many file systems for it.

use std::time::Duration;

use crate::backoff::doubled;
use crate::facts::{Mount, Volume};
use crate::report::FileSystem;
use crate::vmware::wire::disk_info::{DiskEntry, disk_info, disk_info_v0};

use super::topic::Topic;
use super::{Context, Service};
use crate::front_end::{Measured, Order, Subject};

/// How often the space is measured unless set.
const INTERVAL: Duration = Duration::from_secs(300);
/// A measurement this young serves a host that has forgotten everything.
const YOUNG: Duration = Duration::from_secs(30);
/// First delay after a failed measurement; doubled with each further failure up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest delay after measurements that hang.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Where Talos keeps what grows.
const VAR: &str = "/var";

/// What a measurement was made for.
type Layout = (Option<Vec<Volume>>, Vec<Mount>);

/// See the module.
#[derive(Debug)]
pub(super) struct Disks {
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
    /// Nothing known, nothing sent.
    pub(super) fn new() -> Self {
        Self {
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
        cx.publications.forget([Topic::Disks, Topic::DisksV0]);
        self.look(cx);
        let is_young = |at: Duration| cx.now.saturating_sub(at) < YOUNG;
        if self.layout.is_some() && !self.measured_at.is_some_and(is_young) && self.failures == 0 {
            self.measure_at = Some(cx.now);
        }
    }

    /// Says what the host should hold; measures when what is mounted has changed.
    fn look(&mut self, cx: &mut Context<'_>) {
        want(cx);
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
}

fn want(cx: &mut Context<'_>) {
    if let Some(systems) = &cx.report.file_systems {
        let entries: Vec<DiskEntry> = systems.iter().map(entry).collect();
        cx.publications
            .want(Topic::Disks, Some(disk_info(&entries)));
        // Its room ends at 255 file systems: the one that fills up is among them.
        let (mut entries, rest): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.name == VAR);
        entries.extend(rest);
        cx.publications
            .want(Topic::DisksV0, Some(disk_info_v0(&entries)));
    }
}

fn entry(system: &FileSystem) -> DiskEntry {
    DiskEntry {
        name: system.mount_point.clone(),
        free: system.free,
        total: system.total,
        fs_type: system.file_system.to_owned(),
        devices: system.devices.clone(),
    }
}

impl Service for Disks {
    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.send_everything_again(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        self.look(cx);
    }

    fn due(&mut self, cx: &mut Context<'_>) {
        if self.measure_at.is_some_and(|at| at <= cx.now) {
            self.measure_at = None;
            if self.measuring {
                self.again = true;
            } else {
                self.measuring = true;
                cx.outbox.order(Order::Measure(Subject::Space));
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.measure_at
    }
}
