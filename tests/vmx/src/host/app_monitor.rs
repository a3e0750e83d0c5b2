//! vSphere HA application monitoring, the host's side [libappmonitor, HA guide]: it counts marks while it is enabled, and
//! would reset the machine when one is late.

use std::time::{Duration, Instant};

use super::Host;
use super::event::EventKind;

/// A mark is late after so long: the failure interval of the sensitivity "high".
const WINDOW: Duration = Duration::from_secs(30);

/// VirtualMachine.guest.appHeartbeatStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppStatus {
    /// Not enabled.
    Gray,
    /// Enabled, and the marks come in time.
    Green,
    /// Enabled, and a mark is late.
    Red,
}

/// What the host has counted.
#[derive(Debug, Default)]
pub(super) struct AppMonitor {
    /// The last mark, or the time of Enable; while it is enabled.
    last: Option<Instant>,
    would_reset: Option<Instant>,
}

impl Host {
    /// What HA sees at `now`.
    pub fn app_status(&self, now: Instant) -> AppStatus {
        match self.app_monitor.last {
            None => AppStatus::Gray,
            Some(last) if now.saturating_duration_since(last) <= WINDOW => AppStatus::Green,
            Some(_) => AppStatus::Red,
        }
    }

    /// When HA would have reset the machine first, by `now`.
    pub fn would_reset(&mut self, now: Instant) -> Option<Instant> {
        self.count_marks(now);
        self.app_monitor.would_reset
    }

    /// A run of the guest's agent before this one has enabled it, and given a mark now.
    pub fn enable_app_monitor(&mut self, now: Instant) {
        self.app_monitor.last = Some(now);
    }

    /// The host forgets that it was asked to count, as after a migration.
    pub fn forget_app_monitor(&mut self) {
        self.app_monitor.last = None;
    }

    /// Notes a mark that is late. What the guest does may come long after.
    fn count_marks(&mut self, now: Instant) {
        let late = self.app_monitor.last.map(|last| last + WINDOW);
        if let Some(late) = late.filter(|late| *late < now)
            && self.app_monitor.would_reset.is_none()
        {
            self.app_monitor.would_reset = Some(late);
            self.event(late, EventKind::WouldReset);
        }
    }

    /// Answers a command; its name without `GuestAppMonitor.Cmd.`.
    pub(super) fn app_monitor(&mut self, command: &str, now: Instant) -> Vec<u8> {
        if !self.config.app_monitoring {
            return b"0 Unknown command".to_vec();
        }
        self.count_marks(now);
        let is_enabled = self.app_monitor.last.is_some();
        match command {
            "Enable" => {
                self.app_monitor.last = Some(now);
                b"1 0".to_vec()
            }
            "MarkActive" if !is_enabled => b"1 2".to_vec(),
            "MarkActive" => {
                self.app_monitor.last = Some(now);
                b"1 0".to_vec()
            }
            "Disable" => {
                self.app_monitor.last = None;
                b"1 0".to_vec()
            }
            "IsEnabled" if is_enabled => b"1 true".to_vec(),
            "IsEnabled" => b"1 false".to_vec(),
            "GetAppStatus" => match self.app_status(now) {
                AppStatus::Gray => b"1 gray".to_vec(),
                AppStatus::Green => b"1 green".to_vec(),
                AppStatus::Red => b"1 red".to_vec(),
            },
            "PostAppState appStateOk" | "PostAppState appStateNeedReset" => b"1 0".to_vec(),
            "PostAppState" => b"1 3".to_vec(),
            _ => b"0 Unknown command".to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostConfig;

    #[test]
    fn a_mark_that_is_late_would_reset_the_machine_while_it_is_enabled() {
        let start = Instant::now();
        let mut host = Host::new(HostConfig::default(), start, Duration::ZERO);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(host.app_monitor("IsEnabled", start), b"1 false");
        assert_eq!(host.app_monitor("GetAppStatus", start), b"1 gray");
        assert_eq!(host.app_monitor("MarkActive", start), b"1 2");
        assert_eq!(host.would_reset(at(100)), None);
        assert_eq!(host.app_monitor("Enable", at(100)), b"1 0");
        assert_eq!(host.app_monitor("IsEnabled", at(100)), b"1 true");
        assert_eq!(host.app_monitor("MarkActive", at(130)), b"1 0");
        assert_eq!(host.app_monitor("GetAppStatus", at(160)), b"1 green");
        assert_eq!(host.would_reset(at(160)), None);
        assert_eq!(host.app_monitor("GetAppStatus", at(161)), b"1 red");
        assert_eq!(host.would_reset(at(161)), Some(at(160)));
        let mut host = Host::new(HostConfig::default(), start, Duration::ZERO);
        host.app_monitor("Enable", start);
        assert_eq!(host.app_monitor("Disable", at(30)), b"1 0");
        assert_eq!(host.would_reset(at(300)), None);
        host.config.app_monitoring = false;
        assert_eq!(host.app_monitor("Enable", start), b"0 Unknown command");
    }
}
