//! The group `power`: how power operations are carried out.

use std::time::Duration;

/// How power operations are carried out.
///
/// `default()` is blank; the defaults are in [`super::table::SETTINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerConfig {
    /// How long a call to Talos may take, retries included.
    pub deadline: Duration,
    /// Shut down without cordon and drain.
    pub force_shutdown: bool,
    /// How Talos reboots.
    pub reboot_mode: RebootMode,
    /// What is done while the machine does what must not be interrupted.
    pub busy: BusyPolicy,
    /// Whether a guest variable that the administrator sets on the machine may make an operation quicker.
    pub host_policy: bool,
    /// How long a Shutdown takes at most.
    pub shutdown: ShutdownConfig,
    /// What is done for etcd.
    pub etcd: EtcdConfig,
}

/// How long a Shutdown takes at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownConfig {
    /// How long Talos drains the node.
    pub drain_deadline: DrainDeadline,
    /// How long all that comes before Talos stops the machine may take together.
    pub budget: Duration,
    /// How long after the first press of the button another one means "now".
    pub escalate_after: Duration,
}

/// How long Talos drains the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrainDeadline {
    /// This long; zero means not at all.
    After(Duration),
    /// As long as it wants: five minutes, and one more to cordon.
    Talos,
}

impl Default for DrainDeadline {
    fn default() -> Self {
        Self::After(Duration::ZERO)
    }
}

/// What is done for etcd before this node goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdConfig {
    /// What is done where the quorum hangs on this node.
    pub guard: QuorumGuard,
    /// How long an operation is held at most.
    pub hold: Duration,
    /// When leadership is handed over.
    pub forfeit: Forfeit,
}

/// What is done where the quorum of etcd hangs on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuorumGuard {
    /// Nothing; etcd is not looked at.
    Off,
    /// One line in the log.
    #[default]
    Warn,
    /// The operation waits until the others are enough, but not for ever.
    Hold,
    /// The operation is refused.
    Refuse,
}

/// When leadership of etcd is handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forfeit {
    /// Before a Reboot in mode force, in which etcd has no time to do it itself.
    pub force_reboot: bool,
    /// Before a migration.
    pub vmotion: bool,
}

/// RebootRequest.Mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RebootMode {
    /// Talos' own choice, kexec where it can.
    #[default]
    Default,
    /// Through the firmware.
    Powercycle,
    /// Without the graceful phases (Talos 1.12 and newer).
    Force,
}

/// What is done about a power operation while the machine installs, upgrades or resets itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BusyPolicy {
    /// It is refused.
    #[default]
    Refuse,
    /// Talos is asked, and may interrupt what it does.
    Pass,
}
