//! The environment: a variable for every flag, named as the Go daemon names them.
//!
//! `--talos-node` is `VMTOOLSD_TALOS_NODE`, and so on. An empty variable counts as unset.

use std::ffi::OsString;
use std::path::PathBuf;

use super::network::NetworkSettings;
use super::value::{self, BadValue};
use super::{SettingError, Settings};

/// Start of every variable's name.
pub const PREFIX: &str = "VMTOOLSD_";

/// Name of the variable with the path of the configuration file.
pub(super) const CONFIG: &str = "VMTOOLSD_CONFIG";

/// The variable that stands for a flag: `talos-node` gives `VMTOOLSD_TALOS_NODE`.
pub fn variable_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Path of the configuration file.
pub(super) fn config_file(env: &impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    raw(env, CONFIG).map(PathBuf::from)
}

/// Reads all variables; fails on the first that cannot be understood, save those that concern Talos.
pub(super) fn read(env: &impl Fn(&str) -> Option<OsString>) -> Result<Settings, SettingError> {
    Ok(Settings {
        transport: parsed(env, "VMTOOLSD_TRANSPORT", str::parse)?,
        low_bandwidth: parsed(env, "VMTOOLSD_LOW_BANDWIDTH", value::boolean)?,
        skip_vmware_detection: parsed(env, "VMTOOLSD_SKIP_VMWARE_DETECTION", value::boolean)?,
        idle_off_vmware: parsed(env, "VMTOOLSD_IDLE_OFF_VMWARE", value::boolean)?,
        use_machined: parsed(env, "VMTOOLSD_USE_MACHINED", value::boolean).transpose(),
        machined_socket: raw(env, "VMTOOLSD_MACHINED_SOCKET").map(PathBuf::from),
        machined_role: lossy(env, "VMTOOLSD_MACHINED_ROLE"),
        talos_config: raw(env, "VMTOOLSD_TALOS_CONFIG").map(PathBuf::from),
        talos_node: lossy(env, "VMTOOLSD_TALOS_NODE"),
        power_deadline: parsed(env, "VMTOOLSD_POWER_DEADLINE", value::duration)?,
        force_shutdown: parsed(env, "VMTOOLSD_FORCE_SHUTDOWN", value::boolean)?,
        reboot_mode: parsed(env, "VMTOOLSD_REBOOT_MODE", str::parse)?,
        scrub_guestinfo: parsed(env, "VMTOOLSD_SCRUB_GUESTINFO", value::boolean)?,
        // In the file alone.
        network: NetworkSettings::default(),
        sandbox: parsed(env, "VMTOOLSD_SANDBOX", str::parse)?,
        log_level: parsed(env, "VMTOOLSD_LOG_LEVEL", value::level)?,
        log_format: parsed(env, "VMTOOLSD_LOG_FORMAT", str::parse)?,
        // Some settings are for the file alone.
        ..Settings::default()
    })
}

fn raw(env: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<OsString> {
    env(name).filter(|value| !value.is_empty())
}

/// A text whose bytes matter only later: what is not UTF-8 will not be a node's name or a role.
fn lossy(env: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<String> {
    raw(env, name).map(|value| value.to_string_lossy().into_owned())
}

fn parsed<T>(
    env: &impl Fn(&str) -> Option<OsString>,
    name: &'static str,
    parse: impl Fn(&str) -> Result<T, BadValue>,
) -> Result<Option<T>, SettingError> {
    lossy(env, name)
        .map(|text| parse(&text).map_err(|source| SettingError::Variable { name, source }))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LogFormat, RebootMode, SandboxMode, TransportChoice};
    use std::time::Duration;
    use tracing::Level;

    fn environment(
        variables: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        }
    }

    #[test]
    fn nothing_set_says_nothing() {
        assert_eq!(read(&|_: &str| None), Ok(Settings::default()));
        assert_eq!(
            read(&|_: &str| Some(OsString::new())),
            Ok(Settings::default())
        );
    }

    #[test]
    fn every_setting_has_a_variable() {
        let env = environment(&[
            ("VMTOOLSD_TRANSPORT", "vsock"),
            ("VMTOOLSD_LOW_BANDWIDTH", "1"),
            ("VMTOOLSD_SKIP_VMWARE_DETECTION", "True"),
            ("VMTOOLSD_IDLE_OFF_VMWARE", "1"),
            ("VMTOOLSD_USE_MACHINED", "false"),
            ("VMTOOLSD_MACHINED_SOCKET", "/s"),
            ("VMTOOLSD_MACHINED_ROLE", "os:admin"),
            ("VMTOOLSD_TALOS_CONFIG", "/c"),
            ("VMTOOLSD_TALOS_NODE", "10.0.0.1"),
            ("VMTOOLSD_POWER_DEADLINE", "5s"),
            ("VMTOOLSD_FORCE_SHUTDOWN", "t"),
            ("VMTOOLSD_REBOOT_MODE", "force"),
            ("VMTOOLSD_SCRUB_GUESTINFO", "true"),
            ("VMTOOLSD_SANDBOX", "warn"),
            ("VMTOOLSD_LOG_LEVEL", "Debug"),
            ("VMTOOLSD_LOG_FORMAT", "json"),
        ]);
        assert_eq!(
            read(&env),
            Ok(Settings {
                transport: Some(TransportChoice::Vsock),
                low_bandwidth: Some(true),
                skip_vmware_detection: Some(true),
                idle_off_vmware: Some(true),
                use_machined: Some(Ok(false)),
                machined_socket: Some("/s".into()),
                machined_role: Some("os:admin".into()),
                talos_config: Some("/c".into()),
                talos_node: Some("10.0.0.1".into()),
                power_deadline: Some(Duration::from_secs(5)),
                force_shutdown: Some(true),
                reboot_mode: Some(RebootMode::Force),
                scrub_guestinfo: Some(true),
                network: NetworkSettings::default(),
                sandbox: Some(SandboxMode::Warn),
                log_level: Some(Level::DEBUG),
                log_format: Some(LogFormat::Json),
                ..Settings::default()
            })
        );
    }

    #[test]
    fn a_bad_value_names_its_variable_and_what_would_do() {
        let error = read(&environment(&[("VMTOOLSD_LOG_LEVEL", "loud")])).unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(text.contains("VMTOOLSD_LOG_LEVEL"), "{text}");
        assert!(
            text.contains("\"loud\" is not a log level (error,"),
            "{text}"
        );
    }

    #[test]
    fn a_bad_talos_variable_is_kept_for_later() {
        let settings = read(&environment(&[("VMTOOLSD_USE_MACHINED", "maybe")])).unwrap();
        assert!(matches!(
            settings.use_machined,
            Some(Err(SettingError::Variable {
                name: "VMTOOLSD_USE_MACHINED",
                ..
            }))
        ));
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_text_are_an_error_not_a_panic() {
        use std::os::unix::ffi::OsStringExt;
        let env = |name: &str| {
            (name == "VMTOOLSD_TRANSPORT").then(|| OsString::from_vec(vec![0xff, 0xfe]))
        };
        assert!(read(&env).is_err());
    }
}
