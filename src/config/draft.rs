//! The configuration while the sources fill it, the weakest first.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use tracing::Level;

use super::setting::{Setting, Unset};
use super::table::SETTINGS;
use super::{
    Config, GuestInfoConfig, HostConfig, LogConfig, LogFormat, PowerConfig, SandboxMode,
    SettingError, TalosConfig,
};
use crate::report::NetworkPolicy;

/// The group whose trouble is kept instead of ending the process.
const TALOS: &str = "talos";

/// A configuration in the making.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Draft {
    /// All but Talos and the file.
    pub config: Config,
    /// What [`Config::talos`] is made of.
    pub talos: TalosSettings,
    /// Path of the configuration file; empty if none is named.
    pub file: PathBuf,
    /// A setting of Talos' whose strongest value could not be read, by its key, and why.
    trouble: Option<(Option<&'static str>, SettingError)>,
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
    /// The defaults of the table.
    pub(super) fn new() -> Self {
        let mut draft = Self::from(blank());
        for setting in SETTINGS {
            if let Unset::Value(default) = setting.unset {
                let read = setting.read(&mut draft, OsStr::new(default));
                debug_assert_eq!(read, Ok(()), "{:?}", setting.key);
            }
        }
        draft
    }

    /// Takes a value from a variable or a flag; `name` says which. Trouble with the way to Talos is kept until
    /// a stronger source gives a good value: off VMware it does not matter.
    pub(super) fn take(
        &mut self,
        setting: &Setting,
        written: &OsStr,
        name: impl FnOnce() -> String,
    ) -> Result<(), SettingError> {
        let Err(source) = setting.read(self, written) else {
            self.trouble.take_if(|(key, _)| *key == setting.key);
            return Ok(());
        };
        let error = SettingError::Value {
            name: name(),
            source,
        };
        if setting.place().is_some_and(|(group, _)| group == TALOS) {
            self.trouble = Some((setting.key, error));
            return Ok(());
        }
        Err(error)
    }

    /// The configuration, with the talosconfig of a service account where nothing else is named.
    pub(super) fn finish(self, service_account: Option<&Path>) -> Config {
        let Self {
            config,
            talos,
            file,
            trouble,
        } = self;
        Config {
            talos: match trouble {
                Some((_, error)) => Err(error),
                None => talos.resolve(service_account),
            },
            file: Some(file).filter(|path| !path.as_os_str().is_empty()),
            ..config
        }
    }
}

/// Values of no meaning: the table has the defaults.
fn blank() -> Config {
    Config {
        host: HostConfig::default(),
        talos: Err(SettingError::NoTalosAccess),
        power: PowerConfig::default(),
        guest_info: GuestInfoConfig::default(),
        network: NetworkPolicy::default(),
        sandbox: SandboxMode::default(),
        file: None,
        log: LogConfig {
            level: Level::INFO,
            format: LogFormat::default(),
        },
    }
}

/// For the settings that are not [`Draft::talos`] or [`Draft::file`].
impl From<Config> for Draft {
    fn from(config: Config) -> Self {
        Self {
            config,
            talos: TalosSettings::default(),
            file: PathBuf::new(),
            trouble: None,
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
