//! The merged, validated configuration: flag > environment > file > default.

use std::path::PathBuf;
use std::time::Duration;

pub mod talosconfig;
pub mod yaml;

/// Everything the daemon and the commands need to know, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How to reach the host.
    pub host: HostConfig,
    /// How to reach Talos.
    pub talos: TalosConfig,
    /// How power operations are carried out.
    pub power: PowerConfig,
    /// What is logged and how.
    pub log: LogConfig,
}

/// How to reach the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Which transports may be used.
    pub transport: TransportChoice,
    /// Whether the high-bandwidth backdoor may be used when the host offers it.
    pub high_bandwidth: bool,
    /// Go on although CPUID does not say VMware.
    pub skip_vmware_detection: bool,
}

/// Which transports may be used towards the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportChoice {
    /// vsock first, the backdoor where vsock fails, per direction.
    #[default]
    Auto,
    /// vsock alone.
    Vsock,
    /// The backdoor alone.
    Backdoor,
}

/// How to reach Talos.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalosConfig {
    /// machined's unix socket.
    Machined {
        /// Path of the socket.
        socket: PathBuf,
        /// Role claimed on it, such as `os:operator`.
        role: String,
    },
    /// apid over mutual TLS.
    Apid {
        /// Path of the talosconfig.
        talosconfig: PathBuf,
        /// The node to talk to, which is also the endpoint: host or host:port.
        node: Option<String>,
    },
}

/// How power operations are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerConfig {
    /// How long a call to Talos may take, retries included.
    pub deadline: Duration,
    /// Shut down without cordon and drain.
    pub force_shutdown: bool,
    /// How Talos reboots.
    pub reboot_mode: RebootMode,
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

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Most detailed level that is written.
    pub level: tracing::Level,
    /// Form of a line.
    pub format: LogFormat,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, message, fields.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
