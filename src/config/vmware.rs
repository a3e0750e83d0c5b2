//! The group `vmware`: what a vSphere host is asked for, each of it only where it was switched on.

use std::time::Duration;

/// The path of the group of vSphere HA.
pub(super) const HA_GROUP: &str = "vmware.ha";

/// What a vSphere host is asked for.
///
/// `default()` is blank; the defaults are in [`super::table::SETTINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmwareConfig {
    /// Notice of migrations.
    pub vmotion: VmotionConfig,
    /// Application monitoring.
    pub ha: HaConfig,
}

/// Notice of migrations (vSphere 8, vMotion notifications).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmotionConfig {
    /// Whether the host is asked for it.
    pub notify: bool,
    /// How often the host is asked for news.
    pub period: Duration,
}

/// vSphere HA application monitoring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HaConfig {
    /// What counts as alive.
    pub monitor: HaMonitor,
    /// How long a machine may be unready before that counts as dead.
    pub unready_for: Duration,
    /// How long Talos may be silent before that counts as dead.
    pub silent_for: Duration,
    /// How long after a start nothing is monitored.
    pub settle: Duration,
}

/// What of the machine counts as alive for vSphere HA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HaMonitor {
    /// Nothing is monitored.
    #[default]
    Off,
    /// Talos answers, and the machine boots or runs.
    Node,
    /// As [`HaMonitor::Node`], and the machine is ready.
    Ready,
}
