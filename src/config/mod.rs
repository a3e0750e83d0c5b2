//! The merged, validated configuration: flag > environment > file > default.
//!
//! [`table::SETTINGS`] has a row for every setting. [`load`] begins with the rows' defaults and lays the sources over
//! them, the weakest first (`file`, `env`, [`cli`]). What it knows of the process is in its [`Sources`].
//! [`plan()`] says what of a configuration that is read again counts at once.
//!
//! A fault costs the setting that has it and no other; one of guest operations, of quiescing or of vSphere HA switches
//! the group off as a whole. The daemon serves the host with the rest, and commands that answer at once say the first fault and end.
//! Without a way to Talos ([`Config::talos`]) the host is served as well.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use self::draft::Draft;
use crate::report::{HostNameForm, NetworkPolicy};

pub mod cli;
mod draft;
mod env;
mod file;
mod fill;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guest_operations;
mod inventory;
mod map;
mod plan;
mod power;
mod quiesce;
mod setting;
pub mod table;
pub mod talosconfig;
mod value;
mod vmware;
pub mod yaml;

pub use cli::{Cli, Flags, TokenArguments};
pub use guest_operations::{
    BadPath, BadUser, GuestOperationsConfig, LONGEST_TOKEN_LIFE, PasswordHash, Rights, User,
    UserProblem,
};
pub use inventory::InventoryConfig;
pub use plan::{Plan, plan};
pub use power::{
    BusyPolicy, DrainDeadline, EtcdConfig, Forfeit, PowerConfig, QuorumGuard, RebootMode,
    ShutdownConfig,
};
pub use quiesce::{EtcdGuard, QuiesceConfig, QuiesceMode};
pub use setting::{Applied, Setting, Unset};
pub use value::{BadValue, Form};
pub use vmware::{HaConfig, HaMonitor, VmotionConfig, VmwareConfig};
pub use yaml::YamlError;

/// Where Kubernetes mounts the talosconfig of a Talos ServiceAccount; used when it is there and nothing else is
/// configured.
pub const SERVICE_ACCOUNT_TALOSCONFIG: &str = "/var/run/secrets/talos.dev/config";

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
    /// A variable or a flag has a value that means nothing.
    #[error("{name} has a bad value; correct or unset it")]
    Value {
        /// What has it, such as `the variable VMTOOLSD_LOG_LEVEL`.
        name: String,
        /// What it is and what would do.
        source: BadValue,
    },
    /// Guest operations are on for no user.
    #[error(
        "guest_operations.enabled is true, and guest_operations.users is empty; name users in the configuration \
         file, or set guest_operations.enabled (--guest-operations) to false"
    )]
    NoUsers,
}

impl Error {
    /// Whether it can be mended while the process runs.
    pub const fn is_of_the_file(&self) -> bool {
        matches!(
            self,
            Self::FileUnreadable { .. } | Self::FileMalformed { .. } | Self::NoUsers
        )
    }
}

/// Why there is no way to Talos.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
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
    /// How to reach QEMU.
    pub qemu: QemuConfig,
    /// How to reach Talos, or why that cannot be said. The error matters only where there is a host to serve.
    pub talos: Result<TalosConfig, SettingError>,
    /// How power operations are carried out.
    pub power: PowerConfig,
    /// What a vSphere host is asked for.
    pub vmware: VmwareConfig,
    /// What is sent to the host, and how often.
    pub guest_info: GuestInfoConfig,
    /// What is listed of the software on the machine.
    pub inventory: InventoryConfig,
    /// What of the network is reported.
    pub network: NetworkPolicy,
    /// What a user of the host may ask of the node.
    pub guest_operations: GuestOperationsConfig,
    /// What is done for a quiesced snapshot.
    pub quiesce: QuiesceConfig,
    /// What is done about the rights the process does not need.
    pub sandbox: SandboxMode,
    /// The configuration file, if one was read.
    pub file: Option<PathBuf>,
    /// What is logged and how.
    pub log: LogConfig,
}

/// How to reach the host.
///
/// `default()` is blank; the defaults are in [`table::SETTINGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Which hypervisor it is.
    pub hypervisor: HypervisorChoice,
    /// Which transports may be used.
    pub transport: TransportChoice,
    /// Never use the high-bandwidth backdoor, although the host offers it.
    pub low_bandwidth: bool,
    /// Try the backdoor even if CPUID does not report VMware.
    pub skip_vmware_detection: bool,
    /// Off VMware, stay running idle instead of exiting: a DaemonSet restarts what exits.
    pub idle_off_vmware: bool,
}

impl HostConfig {
    /// Whether a VMX is looked for even if CPUID does not report VMware.
    pub fn skips_vmware_detection(&self) -> bool {
        self.skip_vmware_detection || self.hypervisor == HypervisorChoice::Vmware
    }
}

/// Which hypervisor's guest protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HypervisorChoice {
    /// That of the hypervisor that is found.
    #[default]
    Auto,
    /// VMware's.
    Vmware,
    /// QEMU's.
    Qemu,
}

/// How to reach QEMU.
///
/// `default()` is blank; the defaults are in [`table::SETTINGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QemuConfig {
    /// The port's node, if it is not to be found by its name.
    pub port: Option<PathBuf>,
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

/// What is sent to the host, and how often.
///
/// `default()` is blank; the defaults are in [`table::SETTINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestInfoConfig {
    /// Which of the node's names the host shows.
    pub host_name: HostNameForm,
    /// Blank machine configs that are exposed in guest variables, once the machine is ready.
    pub scrub: bool,
    /// Publish guest variables.
    pub variables: bool,
    /// How often the space on the file systems is measured although nothing was mounted or unmounted.
    pub disk_interval: Duration,
    /// How often memory and processor statistics are sent.
    pub stats_interval: Duration,
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

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The command line's.
    pub flags: Flags,
    /// The environment's, by name.
    pub variables: Vec<(OsString, OsString)>,
    /// What relative paths are relative to.
    pub folder: PathBuf,
}

/// What the sources say, and what is wrong with them.
#[derive(Debug)]
pub struct Loaded {
    /// All that is right.
    pub config: Config,
    /// All that is wrong, and does not count.
    pub faults: Vec<Error>,
    /// Variables that look like ours and mean nothing. A service in Kubernetes makes some.
    pub unknown: Vec<String>,
}

impl Loaded {
    /// The configuration, if nothing is wrong.
    ///
    /// # Errors
    /// The first fault.
    pub fn strict(self) -> Result<Config, Error> {
        match self.faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(self.config),
        }
    }

    /// The configuration, if nothing is wrong with the file: the other sources are as they were at the start.
    ///
    /// # Errors
    /// The file's first fault.
    pub fn again(mut self) -> Result<Config, Error> {
        self.faults.retain(Error::is_of_the_file);
        self.strict()
    }
}

impl Sources {
    /// Puts what variables and flags say over what is there; returns their faults.
    fn read(&self, draft: &mut Draft) -> Vec<Error> {
        let variable = |name: &str| {
            let mut variables = self.variables.iter();
            let (_, value) = variables.find(|(known, _)| known == name)?;
            Some(value.clone())
        };
        let mut faults = env::read(&variable, draft);
        faults.extend(self.flags.read(draft));
        draft.lie_in(&self.folder);
        faults
    }
}

/// Reads the file, if one is named, and merges all sources.
///
/// Can be called again at any time, such as on SIGHUP.
pub fn load(sources: &Sources) -> Loaded {
    let mut draft = Draft::new();
    let mut faults = sources.read(&mut draft);
    if !draft.file.as_os_str().is_empty() {
        // Only now is it known which file lies below variables and flags, whose faults are known as well.
        let mut below = Draft::new();
        faults.extend(read_file(&draft.file, &mut below));
        sources.read(&mut below);
        draft = below;
    }
    let group = guest_operations::GROUP;
    if !draft.is_doubted(group) && draft.config.guest_operations.lacks_users() {
        draft.doubt(Some(group));
        faults.push(Error::NoUsers);
    }
    draft.config.quiesce.in_pod = quiesce::is_in_pod(&sources.variables);
    let service_account = Path::new(SERVICE_ACCOUNT_TALOSCONFIG);
    Loaded {
        config: draft.finish(service_account.exists().then_some(service_account)),
        faults,
        unknown: env::unknown(&sources.variables),
    }
}

fn read_file(path: &Path, draft: &mut Draft) -> Vec<Error> {
    let faults = match yaml::text(path) {
        Ok(text) => file::read(&text, draft),
        Err(source) => {
            draft.doubt_all();
            return vec![Error::FileUnreadable {
                path: path.to_owned(),
                source,
            }];
        }
    };
    let malformed = |source| Error::FileMalformed {
        path: path.to_owned(),
        source,
    };
    faults.into_iter().map(malformed).collect()
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

    fn load_all(arguments: &[&str], variables: &[(&str, &str)]) -> Loaded {
        let variables = variables.iter();
        load(&Sources {
            flags: flags(arguments),
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            folder: "/folder".into(),
        })
    }

    fn load_simple(arguments: &[&str], variables: &[(&str, &str)]) -> Config {
        load_all(arguments, variables).strict().unwrap()
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
        let Config {
            host,
            qemu,
            talos,
            power,
            vmware,
            guest_info,
            inventory,
            network,
            guest_operations,
            quiesce,
            sandbox,
            file,
            log,
        } = config;
        assert_eq!(host.hypervisor, HypervisorChoice::Auto);
        assert_eq!(qemu, QemuConfig::default());
        assert_eq!(host.transport, TransportChoice::Auto);
        assert!(!host.low_bandwidth);
        assert!(!host.skip_vmware_detection && !host.idle_off_vmware);
        assert_eq!(talos, Err(SettingError::NoTalosAccess));
        assert_eq!(power.deadline, Duration::from_secs(30));
        assert!(!power.force_shutdown);
        assert_eq!(power.reboot_mode, RebootMode::Default);
        let seconds = Duration::from_secs;
        let shutdown = ShutdownConfig {
            drain_deadline: DrainDeadline::After(seconds(60)),
            budget: seconds(100),
            escalate_after: seconds(30),
        };
        assert_eq!(power.shutdown, shutdown);
        let etcd = EtcdConfig {
            guard: QuorumGuard::Warn,
            hold: seconds(30),
            forfeit: Forfeit::default(),
        };
        assert_eq!((power.etcd, power.host_policy), (etcd, false));
        assert!(!vmware.vmotion.notify);
        assert_eq!(vmware.vmotion.period, seconds(2));
        let ha = HaConfig {
            monitor: HaMonitor::Off,
            unready_for: seconds(600),
            silent_for: seconds(300),
            settle: seconds(600),
        };
        assert_eq!(vmware.ha, ha);
        assert_eq!(inventory, InventoryConfig::default());
        assert!(!guest_info.scrub);
        assert_eq!(guest_info.disk_interval, Duration::from_secs(300));
        assert_eq!(guest_info.stats_interval, Duration::from_secs(20));
        assert_eq!(network, NetworkPolicy::default());
        assert_eq!(guest_operations, GuestOperationsConfig::default());
        assert_eq!(quiesce.mode, QuiesceMode::Off);
        assert_eq!(sandbox, SandboxMode::Enforce);
        assert_eq!(file, None);
        assert_eq!((log.level, log.format), (Level::INFO, LogFormat::Text));
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
        let mounted = |arguments: &[&str]| {
            let mut draft = Draft::new();
            assert!(flags(arguments).read(&mut draft).is_empty());
            draft.finish(Some(place)).talos
        };
        assert_eq!(
            mounted(&["--talos-node=10.5.0.2"]),
            Ok(TalosConfig::Apid {
                talosconfig: place.to_owned(),
                node: Some("10.5.0.2".into()),
            })
        );
        let named = mounted(&["--talos-config=/c"]);
        assert!(
            matches!(named, Ok(TalosConfig::Apid { talosconfig, .. }) if talosconfig == Path::new("/c"))
        );
        let machined = mounted(&["--use-machined"]);
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
        assert!(!config.host.low_bandwidth);
    }

    #[test]
    fn talos_trouble_does_not_stop_loading() {
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
    fn a_fault_costs_its_setting_and_no_other() {
        let file = TemporaryFile::new(
            "faults.yaml",
            "log: {level: loud, format: json}\npower: {deadline: 5s}\ncolour: true\n",
        );
        let variables = [
            ("VMTOOLSD_POWER_DEADLINE", "soon"),
            ("VMTOOLSD_USE_MACHINED", "true"),
            ("VMTOOLSD_TALOS_NODES", "n"),
        ];
        let Loaded {
            config,
            faults,
            unknown,
        } = load_all(&["--config", file.path()], &variables);
        let faults: Vec<_> = faults.iter().map(|fault| error_chain(fault)).collect();
        assert_eq!(faults.len(), 3, "{faults:#?}");
        for (fault, part) in faults
            .iter()
            .zip(["VMTOOLSD_POWER_DEADLINE", "loud", "`colour`"])
        {
            assert!(fault.contains(part), "{fault}");
        }
        assert_eq!(unknown, ["VMTOOLSD_TALOS_NODES"]);
        assert_eq!(config.log.level, Level::INFO);
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(config.power.deadline, Duration::from_secs(5));
        assert!(config.talos.is_ok());
    }

    #[test]
    fn a_flag_or_a_variable_switches_on_what_the_file_holds() {
        let users = "guest_operations: {users: [{name: ops, public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=}]}\n";
        let file = TemporaryFile::new("switched-on.yaml", users);
        let on = |arguments: &[&str], variables: &[(&str, &str)]| {
            let arguments = [&["--config", file.path()], arguments].concat();
            load_simple(&arguments, variables).guest_operations.enabled
        };
        let variable = [("VMTOOLSD_GUEST_OPERATIONS", "true")];
        assert!(!on(&[], &[]));
        assert!(on(&["--guest-operations"], &[]));
        assert!(on(&[], &variable));
        assert!(!on(&["--guest-operations=false"], &variable));
    }

    #[test]
    fn guest_operations_without_users_are_a_fault_and_off() {
        let file = TemporaryFile::new("no-users.yaml", "guest_operations: {enabled: true}\n");
        let variable = [("VMTOOLSD_GUEST_OPERATIONS", "true")];
        for (arguments, variables) in [
            (&["--guest-operations"][..], &[][..]),
            (&[], &variable),
            (&["--config", file.path()], &[]),
        ] {
            let loaded = load_all(arguments, variables);
            let [fault @ Error::NoUsers] = loaded.faults.as_slice() else {
                panic!("{:?}", loaded.faults);
            };
            assert!(fault.to_string().contains("guest_operations.users"));
            let config = loaded.config.guest_operations.clone();
            assert_eq!(config, GuestOperationsConfig::default());
            // A reload keeps what there was.
            assert!(matches!(loaded.again(), Err(Error::NoUsers)));
        }
    }

    #[test]
    fn a_fault_of_guest_operations_switches_them_off_whatever_else_says_on() {
        let user = "{name: ops, public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=}";
        let group = format!("guest_operations: {{enabled: true, users: [{user}]}}\n");
        let good = TemporaryFile::new("good-users.yaml", &group);
        let bad = [("VMTOOLSD_GUEST_OPERATIONS", "maybe")];
        let loaded = load_all(&["--config", good.path()], &bad);
        assert_eq!(loaded.faults.len(), 1, "{:?}", loaded.faults);
        assert!(!loaded.config.guest_operations.enabled);
        let bad = TemporaryFile::new(
            "bad-users.yaml",
            "guest_operations: {users: [{name: ops}]}\n",
        );
        let loaded = load_all(&["--config", bad.path(), "--guest-operations"], &[]);
        assert_eq!(loaded.faults.len(), 1, "{:?}", loaded.faults);
        assert!(error_chain(&loaded.faults[0]).contains("user \"ops\" has neither"));
        assert!(!loaded.config.guest_operations.enabled);
    }

    #[test]
    fn reading_again_minds_the_file_alone() {
        let file = TemporaryFile::new("again-faults.yaml", "log: {level: debug}\n");
        let bad = [("VMTOOLSD_POWER_DEADLINE", "soon")];
        let again = || load_all(&["--config", file.path()], &bad).again();
        assert_eq!(again().unwrap().log.level, Level::DEBUG);
        std::fs::write(&file.0, "log: {level: loud}\n").unwrap();
        assert!(again().unwrap_err().is_of_the_file());
    }

    #[test]
    fn paths_are_absolute() {
        let arguments = ["--use-machined", "--machined-socket=a/s", "--config=c"];
        let Loaded { config, faults, .. } = load_all(&arguments, &[]);
        assert!(error_chain(&faults[0]).contains("/folder/c;"), "{faults:?}");
        assert_eq!(config.file, Some("/folder/c".into()));
        let Ok(TalosConfig::Machined { socket, .. }) = config.talos else {
            panic!("{:?}", config.talos);
        };
        assert_eq!(socket, Path::new("/folder/a/s"));
        let Ok(TalosConfig::Apid { talosconfig, .. }) =
            load_simple(&["--talos-config=c"], &[]).talos
        else {
            panic!("a talosconfig is given");
        };
        assert_eq!(talosconfig, Path::new("/folder/c"));
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
        let missing = load_all(&["--config=/does/not/exist"], &[])
            .strict()
            .unwrap_err();
        assert!(matches!(missing, Error::FileUnreadable { .. }));
        assert!(missing.to_string().contains("/does/not/exist"), "{missing}");

        let file = TemporaryFile::new("malformed.yaml", "log:\n  lvl: info\n");
        let malformed = load_all(&[], &[("VMTOOLSD_CONFIG", file.path())])
            .strict()
            .unwrap_err();
        let text = error_chain(&malformed);
        assert!(text.contains("malformed.yaml"), "{text}");
        assert!(text.contains("line 2"), "{text}");
        assert!(text.contains("unknown field `lvl`"), "{text}");
    }

    #[test]
    fn a_bad_variable_is_reported_before_a_bad_file() {
        let variables = [("VMTOOLSD_LOG_LEVEL", "loud")];
        let error = load_all(&["--config=/does/not/exist"], &variables)
            .strict()
            .unwrap_err();
        assert!(matches!(error, Error::Value { .. }), "{error}");
    }

    #[test]
    fn the_flag_names_the_file_where_a_variable_does_too() {
        let file = TemporaryFile::new("flag.yaml", "log: {level: debug}\n");
        let config = load_simple(
            &["--config", file.path()],
            &[("VMTOOLSD_CONFIG", "/does/not/exist")],
        );
        assert_eq!(config.log.level, Level::DEBUG);
        assert_eq!(config.file, Some(file.0.clone()));
    }

    #[test]
    fn the_file_is_read_again() {
        let file = TemporaryFile::new("again.yaml", "log: {level: info}\n");
        let level = || load_simple(&["--config", file.path()], &[]).log.level;
        assert_eq!(level(), Level::INFO);
        std::fs::write(&file.0, "log: {level: debug}\n").unwrap();
        assert_eq!(level(), Level::DEBUG);
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
