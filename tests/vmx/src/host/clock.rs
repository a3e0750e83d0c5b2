//! How far the guest's clocks are from this machine's.

use std::time::{Duration, Instant};

use super::Host;
use super::event::EventKind;

/// A clock that can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// CLOCK_REALTIME and its kin.
    Wall,
    /// CLOCK_BOOTTIME. CLOCK_MONOTONIC, which stands still during suspend, is left alone.
    Boot,
}

/// Whole seconds to be added.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    wall: i64,
    boot: i64,
}

impl Host {
    /// The machine has slept so long (whole seconds): the time since boot and the wall clock have gone on, the
    /// monotonic clock and every timer have not. Reaches programs that run with
    /// [`crate::VmxBuilder::move_clocks`].
    pub fn suspend(&mut self, asleep: Duration, now: Instant) {
        let seconds = i64::try_from(asleep.as_secs()).unwrap_or(i64::MAX);
        self.clocks.boot = self.clocks.boot.saturating_add(seconds);
        self.clocks.wall = self.clocks.wall.saturating_add(seconds);
        self.event(now, EventKind::Fault(format!("suspended for {seconds} s")));
    }

    /// NTP or an administrator sets the guest's wall clock forward, or back. Reaches programs that run with
    /// [`crate::VmxBuilder::move_clocks`].
    pub fn step_wall_clock(&mut self, seconds: i64, now: Instant) {
        self.clocks.wall = self.clocks.wall.saturating_add(seconds);
        self.event(now, EventKind::Fault(format!("wall clock {seconds:+} s")));
    }

    pub(crate) fn clock_offset(&self, clock: Clock) -> i64 {
        match clock {
            Clock::Wall => self.clocks.wall,
            Clock::Boot => self.clocks.boot,
        }
    }
}
