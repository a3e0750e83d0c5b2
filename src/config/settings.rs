//! One layer of settings: what the flags, the environment or the file say, and nothing more.

use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

use super::network::NetworkSettings;
use super::{LogFormat, RebootMode, SandboxMode, SettingError, TransportChoice};

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which transports may be used.
    pub transport: Option<TransportChoice>,
    /// Leave the high-bandwidth backdoor alone.
    pub low_bandwidth: Option<bool>,
    /// Go on although CPUID does not say VMware.
    pub skip_vmware_detection: Option<bool>,
    /// Wait idle off VMware instead of ending.
    pub idle_off_vmware: Option<bool>,
    /// Talk to machined's socket. A bad value is kept, because it matters only on VMware.
    pub use_machined: Option<Result<bool, SettingError>>,
    /// Path of machined's socket.
    pub machined_socket: Option<PathBuf>,
    /// Role claimed on machined's socket.
    pub machined_role: Option<String>,
    /// Path of the talosconfig; empty is none.
    pub talos_config: Option<PathBuf>,
    /// Node to talk to; empty is none.
    pub talos_node: Option<String>,
    /// How long a power call to Talos may take.
    pub power_deadline: Option<Duration>,
    /// Shut down without cordon and drain.
    pub force_shutdown: Option<bool>,
    /// How Talos reboots.
    pub reboot_mode: Option<RebootMode>,
    /// Blank machine configs that lie open in guest variables.
    pub scrub_guestinfo: Option<bool>,
    /// How often the space on the file systems is measured.
    pub disk_interval: Option<Duration>,
    /// How often memory and processor statistics go.
    pub stats_interval: Option<Duration>,
    /// What of the network is reported.
    pub network: NetworkSettings,
    /// What is done about the rights the process does not need.
    pub sandbox: Option<SandboxMode>,
    /// Most detailed level that is logged.
    pub log_level: Option<Level>,
    /// Form of a log line.
    pub log_format: Option<LogFormat>,
}

impl Settings {
    /// These settings, and `weaker` wherever they say nothing.
    pub fn or(self, weaker: Self) -> Self {
        Self {
            transport: self.transport.or(weaker.transport),
            low_bandwidth: self.low_bandwidth.or(weaker.low_bandwidth),
            skip_vmware_detection: self.skip_vmware_detection.or(weaker.skip_vmware_detection),
            idle_off_vmware: self.idle_off_vmware.or(weaker.idle_off_vmware),
            use_machined: self.use_machined.or(weaker.use_machined),
            machined_socket: self.machined_socket.or(weaker.machined_socket),
            machined_role: self.machined_role.or(weaker.machined_role),
            talos_config: self.talos_config.or(weaker.talos_config),
            talos_node: self.talos_node.or(weaker.talos_node),
            power_deadline: self.power_deadline.or(weaker.power_deadline),
            force_shutdown: self.force_shutdown.or(weaker.force_shutdown),
            reboot_mode: self.reboot_mode.or(weaker.reboot_mode),
            scrub_guestinfo: self.scrub_guestinfo.or(weaker.scrub_guestinfo),
            disk_interval: self.disk_interval.or(weaker.disk_interval),
            stats_interval: self.stats_interval.or(weaker.stats_interval),
            network: self.network.or(weaker.network),
            sandbox: self.sandbox.or(weaker.sandbox),
            log_level: self.log_level.or(weaker.log_level),
            log_format: self.log_format.or(weaker.log_format),
        }
    }
}
