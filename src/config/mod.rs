//! The merged, validated configuration: flag > environment > file > default.
//!
//! Each source fills one [`Settings`] layer ([`cli`], `env`, `file`); [`load`] lays them over each other
//! and puts defaults below. The environment comes in as a function, so nothing here touches the process.
//!
//! Trouble with the Talos settings is kept in [`Config::talos`] instead of ending the process: off VMware
//! they do not matter, and on VMware the host is served even without Talos.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::report::NetworkPolicy;

pub mod cli;
pub mod env;
mod file;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod network;
mod settings;
pub mod talosconfig;
mod value;
pub mod yaml;

pub use cli::{Cli, Flags};
pub use network::NetworkSettings;
pub use settings::Settings;
pub use value::BadValue;
pub use yaml::YamlError;

/// machined's socket on every Talos release since 1.2.
pub const DEFAULT_MACHINED_SOCKET: &str = "/system/run/machined/machine.sock";

/// Where Kubernetes mounts the talosconfig of a Talos ServiceAccount; used when it is there and nothing else is
/// configured.
pub const SERVICE_ACCOUNT_TALOSCONFIG: &str = "/var/run/secrets/talos.dev/config";

/// The least role that may shut down, reboot and read what is reported.
pub const DEFAULT_MACHINED_ROLE: &str = "os:operator";

/// How long a power call to Talos may take unless configured.
pub const DEFAULT_POWER_DEADLINE: Duration = Duration::from_secs(30);

/// How often the space on the file systems is measured unless configured. Talos looks at every mount of the node
/// for it, so this is longer than open-vm-tools' 30 s.
pub const DEFAULT_DISK_INTERVAL: Duration = Duration::from_secs(300);

/// How often memory and processor statistics go unless configured; stats-interval of open-vm-tools.
pub const DEFAULT_STATS_INTERVAL: Duration = Duration::from_secs(20);

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}; see --config and VMTOOLSD_CONFIG", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration file is not as it should be.
    #[error("the configuration file {} is wrong", path.display())]
    FileMalformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: YamlError,
    },
    /// A single setting is not as it should be.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// A setting cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// A variable has a value that means nothing.
    #[error("the variable {name} has a bad value; correct or unset it")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it is and what would do.
        source: BadValue,
    },
    /// Neither of the two ways to Talos is configured.
    #[error(
        "no way to Talos is configured: give --use-machined (VMTOOLSD_USE_MACHINED=true) in an extension \
         service, or --talos-config FILE (VMTOOLSD_TALOS_CONFIG) elsewhere"
    )]
    NoTalosAccess,
    /// The role for machined's socket cannot be sent.
    #[error("{role:?} is not a Talos role; give --machined-role a name such as os:operator")]
    Role {
        /// What was given.
        role: String,
    },
}

/// Everything the daemon and the commands need to know, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How to reach the host.
    pub host: HostConfig,
    /// How to reach Talos, or why that cannot be said. The error matters only on VMware.
    pub talos: Result<TalosConfig, SettingError>,
    /// How power operations are carried out.
    pub power: PowerConfig,
    /// What the host is told, and how often.
    pub guest_info: GuestInfoConfig,
    /// What of the network is reported.
    pub network: NetworkPolicy,
    /// What is done about the rights the process does not need.
    pub sandbox: SandboxMode,
    /// The configuration file, if one was read.
    pub file: Option<PathBuf>,
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
    /// Where there is no VMware, wait idle for the stop instead of ending: a DaemonSet restarts what ends.
    pub idle_off_vmware: bool,
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

/// What the host is told, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestInfoConfig {
    /// Blank machine configs that lie open in guest variables, once the machine is ready.
    pub scrub: bool,
    /// How often the space on the file systems is measured although nothing was mounted or unmounted.
    pub disk_interval: Duration,
    /// How often memory and processor statistics go.
    pub stats_interval: Duration,
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

/// What is done about the rights the process does not need; see [`crate::sandbox`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// They are given up.
    #[default]
    Enforce,
    /// Nothing is denied; the kernel's audit log names the system calls that would be.
    Warn,
    /// Nothing.
    Off,
}

/// What is logged and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Most detailed level that is written.
    pub level: Level,
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

/// Reads the file, if one is named, and merges all sources. `env` gives the value of a variable.
///
/// Can be called again at any time, such as on SIGHUP.
pub fn load(flags: &Flags, env: impl Fn(&str) -> Option<OsString>) -> Result<Config, Error> {
    let from_env = env::read(&env)?;
    let file = flags.config.clone().or_else(|| env::config_file(&env));
    let from_file = match &file {
        Some(path) => read_file(path)?,
        None => Settings::default(),
    };
    let service_account = Path::new(SERVICE_ACCOUNT_TALOSCONFIG);
    let config = resolve(
        Settings::from(flags).or(from_env).or(from_file),
        service_account.exists().then_some(service_account),
    );
    Ok(Config { file, ..config })
}

fn read_file(path: &Path) -> Result<Settings, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::FileUnreadable {
        path: path.to_owned(),
        source,
    })?;
    file::parse(&text).map_err(|source| Error::FileMalformed {
        path: path.to_owned(),
        source,
    })
}

/// Puts the defaults where no source said anything.
fn resolve(settings: Settings, service_account: Option<&Path>) -> Config {
    Config {
        host: HostConfig {
            transport: settings.transport.unwrap_or_default(),
            high_bandwidth: !settings.low_bandwidth.unwrap_or(false),
            skip_vmware_detection: settings.skip_vmware_detection.unwrap_or(false),
            idle_off_vmware: settings.idle_off_vmware.unwrap_or(false),
        },
        power: PowerConfig {
            deadline: settings.power_deadline.unwrap_or(DEFAULT_POWER_DEADLINE),
            force_shutdown: settings.force_shutdown.unwrap_or(false),
            reboot_mode: settings.reboot_mode.unwrap_or_default(),
        },
        guest_info: GuestInfoConfig {
            scrub: settings.scrub_guestinfo.unwrap_or(false),
            disk_interval: settings.disk_interval.unwrap_or(DEFAULT_DISK_INTERVAL),
            stats_interval: settings.stats_interval.unwrap_or(DEFAULT_STATS_INTERVAL),
        },
        network: settings.network.clone().resolve(),
        sandbox: settings.sandbox.unwrap_or_default(),
        file: None,
        log: LogConfig {
            level: settings.log_level.unwrap_or(Level::INFO),
            format: settings.log_format.unwrap_or_default(),
        },
        talos: resolve_talos(settings, service_account),
    }
}

/// machined wins when both ways are configured, as in the Go daemon.
fn resolve_talos(
    settings: Settings,
    service_account: Option<&Path>,
) -> Result<TalosConfig, SettingError> {
    if settings.use_machined.unwrap_or(Ok(false))? {
        let role = settings
            .machined_role
            .unwrap_or_else(|| DEFAULT_MACHINED_ROLE.to_owned());
        // Several roles are separated by commas.
        let is_role =
            |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !role.split(',').map(str::trim).all(is_role) {
            return Err(SettingError::Role { role });
        }
        return Ok(TalosConfig::Machined {
            socket: settings
                .machined_socket
                .unwrap_or_else(|| DEFAULT_MACHINED_SOCKET.into()),
            role,
        });
    }
    let talosconfig = settings
        .talos_config
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| service_account.map(Path::to_owned))
        .ok_or(SettingError::NoTalosAccess)?;
    Ok(TalosConfig::Apid {
        talosconfig,
        node: settings.talos_node.filter(|node| !node.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn flags(arguments: &[&str]) -> Flags {
        Cli::try_parse_from(["talos-vmtoolsd"].iter().chain(arguments))
            .unwrap()
            .flags
    }

    fn environment(
        variables: &[(&'static str, &str)],
    ) -> impl Fn(&str) -> Option<OsString> + use<> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (*name, OsString::from(value)))
            .collect();
        move |name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(value.clone())
        }
    }

    fn load_simple(arguments: &[&str], variables: &[(&'static str, &str)]) -> Config {
        load(&flags(arguments), environment(variables)).unwrap()
    }

    /// A file that is removed when the test ends.
    struct TemporaryFile(PathBuf);

    impl TemporaryFile {
        fn new(name: &str, text: &str) -> Self {
            let name = format!("talos-vmtoolsd-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for TemporaryFile {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn defaults() {
        let config = load_simple(&["vmtoolsd"], &[]);
        assert_eq!(
            config,
            Config {
                host: HostConfig {
                    transport: TransportChoice::Auto,
                    high_bandwidth: true,
                    skip_vmware_detection: false,
                    idle_off_vmware: false,
                },
                talos: Err(SettingError::NoTalosAccess),
                power: PowerConfig {
                    deadline: Duration::from_secs(30),
                    force_shutdown: false,
                    reboot_mode: RebootMode::Default,
                },
                guest_info: GuestInfoConfig {
                    scrub: false,
                    disk_interval: Duration::from_secs(300),
                    stats_interval: Duration::from_secs(20),
                },
                network: NetworkPolicy::default(),
                sandbox: SandboxMode::Enforce,
                file: None,
                log: LogConfig {
                    level: Level::INFO,
                    format: LogFormat::Text,
                },
            }
        );
    }

    #[test]
    fn the_command_line_of_the_extension_service() {
        let config = load_simple(&["vmtoolsd", "--use-machined"], &[]);
        assert_eq!(
            config.talos,
            Ok(TalosConfig::Machined {
                socket: "/system/run/machined/machine.sock".into(),
                role: "os:operator".into(),
            })
        );
    }

    #[test]
    fn the_environment_of_the_go_daemons_daemonset() {
        let config = load_simple(
            &["vmtoolsd"],
            &[
                ("GRPC_ENFORCE_ALPN_ENABLED", "false"),
                ("VMTOOLSD_TALOS_CONFIG", "/etc/talos-vmtoolsd/talosconfig"),
                ("VMTOOLSD_TALOS_NODE", "10.5.0.2"),
                ("VMTOOLSD_USE_MACHINED", ""),
            ],
        );
        assert_eq!(
            config.talos,
            Ok(TalosConfig::Apid {
                talosconfig: "/etc/talos-vmtoolsd/talosconfig".into(),
                node: Some("10.5.0.2".into()),
            })
        );
    }

    #[test]
    fn the_talosconfig_of_a_service_account_is_found_by_itself() {
        let place = Path::new(SERVICE_ACCOUNT_TALOSCONFIG);
        let mounted = |settings: Settings| resolve(settings, Some(place)).talos;
        assert_eq!(
            mounted(Settings {
                talos_node: Some("10.5.0.2".into()),
                ..Settings::default()
            }),
            Ok(TalosConfig::Apid {
                talosconfig: place.to_owned(),
                node: Some("10.5.0.2".into()),
            })
        );
        let told = mounted(Settings {
            talos_config: Some("/c".into()),
            ..Settings::default()
        });
        assert!(
            matches!(told, Ok(TalosConfig::Apid { talosconfig, .. }) if talosconfig == Path::new("/c"))
        );
        let machined = mounted(Settings {
            use_machined: Some(Ok(true)),
            ..Settings::default()
        });
        assert!(matches!(machined, Ok(TalosConfig::Machined { .. })));
    }

    #[test]
    fn flags_beat_variables_beat_the_file() {
        let file = TemporaryFile::new(
            "precedence.yaml",
            "log: {level: error, format: json}\npower: {deadline: 5s}\ntalos: {config: /file, node: file}\n",
        );
        let config = load_simple(
            &[
                "--log-level=trace",
                "--config",
                file.path(),
                "--talos-node=flag",
            ],
            &[
                ("VMTOOLSD_LOG_LEVEL", "warning"),
                ("VMTOOLSD_POWER_DEADLINE", "7s"),
                ("VMTOOLSD_TALOS_NODE", "variable"),
            ],
        );
        assert_eq!(config.log.level, Level::TRACE);
        assert_eq!(config.power.deadline, Duration::from_secs(7));
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(
            config.talos,
            Ok(TalosConfig::Apid {
                talosconfig: "/file".into(),
                node: Some("flag".into()),
            })
        );
    }

    #[test]
    fn a_flag_can_take_back_what_a_variable_says() {
        let config = load_simple(
            &["--use-machined=false", "--low-bandwidth=0"],
            &[
                ("VMTOOLSD_USE_MACHINED", "true"),
                ("VMTOOLSD_LOW_BANDWIDTH", "true"),
                ("VMTOOLSD_TALOS_CONFIG", "/c"),
            ],
        );
        assert!(matches!(
            config.talos,
            Ok(TalosConfig::Apid { node: None, .. })
        ));
        assert!(config.host.high_bandwidth);
    }

    #[test]
    fn talos_trouble_does_not_stop_loading() {
        let variables = [("VMTOOLSD_USE_MACHINED", "maybe")];
        let config = load_simple(&[], &variables);
        assert!(matches!(config.talos, Err(SettingError::Variable { .. })));
        // A flag makes the bad variable irrelevant.
        assert!(load_simple(&["--use-machined"], &variables).talos.is_ok());

        for (role, good) in [
            ("os:operator", true),
            ("os:operator, os:etcd:backup", true),
            ("os: operator", false),
            ("os:operator,", false),
            ("os:\u{fc}", false),
        ] {
            let config = load_simple(&["--use-machined", "--machined-role", role], &[]);
            assert_eq!(config.talos.is_ok(), good, "{role:?}: {:?}", config.talos);
        }

        let config = load_simple(&["--talos-config="], &[("VMTOOLSD_TALOS_CONFIG", "/c")]);
        assert_eq!(config.talos, Err(SettingError::NoTalosAccess));
    }

    #[test]
    fn machined_wins_when_both_ways_are_given() {
        let config = load_simple(
            &[
                "--use-machined",
                "--talos-config=/c",
                "--machined-socket=/s",
                "--machined-role=os:admin",
            ],
            &[],
        );
        assert_eq!(
            config.talos,
            Ok(TalosConfig::Machined {
                socket: "/s".into(),
                role: "os:admin".into()
            })
        );
    }

    #[test]
    fn file_trouble_names_the_file() {
        let missing = load(&flags(&["--config=/does/not/exist"]), |_| None).unwrap_err();
        assert!(matches!(missing, Error::FileUnreadable { .. }));
        assert!(missing.to_string().contains("/does/not/exist"), "{missing}");

        let file = TemporaryFile::new("malformed.yaml", "log:\n  lvl: info\n");
        let malformed = load(
            &flags(&[]),
            environment(&[("VMTOOLSD_CONFIG", file.path())]),
        )
        .unwrap_err();
        let text = error_chain(&malformed);
        assert!(text.contains("malformed.yaml"), "{text}");
        assert!(text.contains("line 2"), "{text}");
        assert!(text.contains("unknown field `lvl`"), "{text}");
    }

    #[test]
    fn the_file_is_read_again() {
        let file = TemporaryFile::new("again.yaml", "log: {level: info}\n");
        let flags = flags(&["--config", file.path()]);
        assert_eq!(load(&flags, |_| None).unwrap().log.level, Level::INFO);
        std::fs::write(&file.0, "log: {level: debug}\n").unwrap();
        assert_eq!(load(&flags, |_| None).unwrap().log.level, Level::DEBUG);
    }

    fn error_chain(error: &dyn std::error::Error) -> String {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
