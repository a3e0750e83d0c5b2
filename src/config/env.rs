//! The environment: a variable for every flag. An empty variable counts as unset.

use std::ffi::OsString;

use super::SettingError;
use super::draft::Draft;
use super::table::SETTINGS;

/// Reads all variables; fails on the first that cannot be understood, save those that concern Talos.
pub(super) fn read(
    env: &impl Fn(&str) -> Option<OsString>,
    draft: &mut Draft,
) -> Result<(), SettingError> {
    for setting in SETTINGS {
        let Some(name) = setting.variable() else {
            continue;
        };
        if let Some(value) = env(&name).filter(|value| !value.is_empty()) {
            draft.take(setting, &value, || format!("the variable {name}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LogFormat, RebootMode, SandboxMode, TransportChoice};
    use std::cell::RefCell;
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

    fn read_into_defaults(env: impl Fn(&str) -> Option<OsString>) -> Result<Draft, SettingError> {
        let mut draft = Draft::new();
        read(&env, &mut draft).map(|()| draft)
    }

    #[test]
    fn nothing_set_says_nothing() {
        assert_eq!(read_into_defaults(|_| None), Ok(Draft::new()));
        assert_eq!(
            read_into_defaults(|_| Some(OsString::new())),
            Ok(Draft::new())
        );
    }

    #[test]
    fn the_names_are_those_of_the_flags() {
        let asked = RefCell::new(Vec::new());
        read_into_defaults(|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        })
        .unwrap();
        let asked = asked.into_inner();
        let flags = SETTINGS.iter().filter(|setting| setting.flag.is_some());
        assert_eq!(asked.len(), flags.count());
        for name in ["VMTOOLSD_TALOS_NODE", "VMTOOLSD_CONFIG"] {
            assert!(asked.iter().any(|asked| asked == name), "{asked:?}");
        }
    }

    #[test]
    fn every_setting_has_a_variable() {
        let draft = read_into_defaults(environment(&[
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
            ("VMTOOLSD_CONFIG", "/f"),
        ]))
        .unwrap();
        let Config {
            host,
            power,
            guest_info,
            sandbox,
            log,
            ..
        } = draft.config;
        assert_eq!(host.transport, TransportChoice::Vsock);
        assert!(host.low_bandwidth && host.skip_vmware_detection && host.idle_off_vmware);
        assert!(!draft.talos.use_machined);
        assert_eq!(draft.talos.machined_socket.to_str(), Some("/s"));
        assert_eq!(draft.talos.machined_role, "os:admin");
        assert_eq!(draft.talos.config, Some("/c".into()));
        assert_eq!(draft.talos.node, "10.0.0.1");
        assert_eq!(power.deadline, Duration::from_secs(5));
        assert!(power.force_shutdown);
        assert_eq!(power.reboot_mode, RebootMode::Force);
        assert!(guest_info.scrub);
        assert_eq!(sandbox, SandboxMode::Warn);
        assert_eq!(log.level, Level::DEBUG);
        assert_eq!(log.format, LogFormat::Json);
        assert_eq!(draft.file.to_str(), Some("/f"));
    }

    #[test]
    fn a_bad_value_names_its_variable_and_what_would_do() {
        let error = read_into_defaults(environment(&[("VMTOOLSD_LOG_LEVEL", "loud")])).unwrap_err();
        let text = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(
            text.starts_with(
                "the variable VMTOOLSD_LOG_LEVEL has a bad value; correct or unset it"
            ),
            "{text}"
        );
        assert!(
            text.contains("\"loud\" is not a log level (error,"),
            "{text}"
        );
    }

    #[test]
    fn a_bad_talos_variable_is_kept_for_later() {
        let draft = read_into_defaults(environment(&[("VMTOOLSD_USE_MACHINED", "maybe")])).unwrap();
        let Err(SettingError::Value { name, .. }) = draft.finish(None).talos else {
            panic!("the variable is bad");
        };
        assert_eq!(name, "the variable VMTOOLSD_USE_MACHINED");
    }

    #[test]
    fn bytes_that_are_not_text_are_an_error_not_a_panic() {
        use std::os::unix::ffi::OsStringExt as _;
        let env = |name: &str| {
            (name == "VMTOOLSD_TRANSPORT").then(|| OsString::from_vec(vec![0xff, 0xfe]))
        };
        assert!(read_into_defaults(env).is_err());
    }
}
