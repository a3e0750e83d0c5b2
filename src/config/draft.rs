//! The configuration in the making: `fill` fills it from the sources, and [`Draft::finish`] makes it whole.

use std::path::{Path, PathBuf};

use tracing::Level;

use super::{
    Config, GuestInfoConfig, GuestOperationsConfig, HaMonitor, HostConfig, InventoryConfig,
    LogConfig, LogFormat, PowerConfig, QemuConfig, QuiesceConfig, QuiesceMode, SandboxMode,
    SettingError, TalosConfig, VmwareConfig, guest_operations, quiesce, vmware,
};
use crate::report::NetworkPolicy;

/// Groups that count whole or not at all: what is skipped may be what keeps callers out, a file system from being
/// frozen, or the machine from being reset. [`Draft::finish`] switches them off.
const WHOLE: [&str; 3] = [guest_operations::GROUP, quiesce::GROUP, vmware::HA_GROUP];

/// A configuration in the making.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    /// All but Talos and the file.
    pub config: Config,
    /// What [`Config::talos`] is made of.
    pub talos: TalosSettings,
    /// Path of the configuration file; empty if none is named.
    pub file: PathBuf,
    /// Those of [`WHOLE`] of which a setting has a fault.
    pub doubted: Vec<&'static str>,
}

/// What the sources say of the way to Talos.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TalosSettings {
    pub use_machined: bool,
    pub machined_socket: PathBuf,
    pub machined_role: String,
    pub config: Option<PathBuf>,
    /// Empty is none.
    pub node: String,
}

impl Draft {
    /// Values of no meaning: the table has the defaults.
    pub(super) fn blank() -> Self {
        Self::from(Config {
            host: HostConfig::default(),
            qemu: QemuConfig::default(),
            talos: Err(SettingError::NoTalosAccess),
            power: PowerConfig::default(),
            vmware: VmwareConfig::default(),
            guest_info: GuestInfoConfig::default(),
            inventory: InventoryConfig::default(),
            network: NetworkPolicy::default(),
            guest_operations: GuestOperationsConfig::default(),
            quiesce: QuiesceConfig::default(),
            sandbox: SandboxMode::default(),
            file: None,
            log: LogConfig {
                level: Level::INFO,
                format: LogFormat::default(),
            },
        })
    }

    /// Makes paths independent of the working directory, which the sandbox does not let us ask for.
    pub(super) fn lie_in(&mut self, folder: &Path) {
        let paths = [&mut self.file, &mut self.talos.machined_socket];
        let paths = paths.into_iter().chain(&mut self.talos.config);
        let paths = paths.chain(&mut self.config.qemu.port);
        for path in paths.filter(|path| !path.as_os_str().is_empty()) {
            *path = folder.join(&*path);
        }
    }

    /// The configuration, with the talosconfig of a service account where nothing else is named.
    pub(super) fn finish(self, service_account: Option<&Path>) -> Config {
        let Self {
            mut config,
            talos,
            file,
            doubted,
        } = self;
        for group in doubted {
            match group {
                guest_operations::GROUP => {
                    config.guest_operations = GuestOperationsConfig::default()
                }
                quiesce::GROUP => config.quiesce.mode = QuiesceMode::Off,
                vmware::HA_GROUP => config.vmware.ha.monitor = HaMonitor::Off,
                _ => {}
            }
        }
        Config {
            talos: talos.resolve(service_account),
            file: Some(file).filter(|path| !path.as_os_str().is_empty()),
            ..config
        }
    }

    /// Notes a fault in a group, or in one around it.
    pub(super) fn doubt(&mut self, group: Option<&'static str>) {
        let Some(group) = group else { return };
        let lies_in = |whole: &&str| {
            let rest = whole.strip_prefix(group);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.doubted
            .extend(WHOLE.iter().filter(|whole| lies_in(whole)));
    }

    /// Notes that a source says nothing because of a fault: what it should have said is unknown.
    pub(super) fn doubt_all(&mut self) {
        self.doubted.extend(WHOLE);
    }

    /// Whether a setting of the group has a fault.
    pub(super) fn is_doubted(&self, group: &str) -> bool {
        self.doubted.contains(&group)
    }
}

/// For the settings that are not [`Draft::talos`] or [`Draft::file`].
impl From<Config> for Draft {
    fn from(config: Config) -> Self {
        Self {
            config,
            talos: TalosSettings::default(),
            file: PathBuf::new(),
            doubted: Vec::new(),
        }
    }
}

impl TalosSettings {
    /// machined wins when both ways are configured, as in the Go daemon.
    fn resolve(self, service_account: Option<&Path>) -> Result<TalosConfig, SettingError> {
        if self.use_machined {
            let role = self.machined_role;
            // Several roles are separated by commas.
            let is_role =
                |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
            if !role.split(',').map(str::trim).all(is_role) {
                return Err(SettingError::Role { role });
            }
            return Ok(TalosConfig::Machined {
                socket: self.machined_socket,
                role,
            });
        }
        let talosconfig = self
            .config
            .or_else(|| service_account.map(Path::to_owned))
            .ok_or(SettingError::NoTalosAccess)?;
        Ok(TalosConfig::Apid {
            talosconfig,
            node: Some(self.node).filter(|node| !node.is_empty()),
        })
    }
}
