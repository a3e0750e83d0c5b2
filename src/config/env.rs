//! The environment: a variable for every flag. An empty variable counts as unset.

use std::ffi::OsString;

use super::Error;
use super::draft::Draft;
use super::setting::{Setting, VARIABLES};
use super::table::SETTINGS;

/// Reads all variables; returns a fault for each that cannot be understood.
pub(super) fn read(env: &impl Fn(&str) -> Option<OsString>, draft: &mut Draft) -> Vec<Error> {
    let mut faults = Vec::new();
    for setting in SETTINGS {
        let Some(name) = setting.variable() else {
            continue;
        };
        if let Some(value) = env(&name).filter(|value| !value.is_empty()) {
            let read = draft.take(setting, &value, || format!("the variable {name}"));
            faults.extend(read.err());
        }
    }
    faults
}

/// Those of the variables that look like ours and are not.
pub(super) fn unknown(variables: &[(OsString, OsString)]) -> Vec<String> {
    let known: Vec<_> = SETTINGS.iter().filter_map(Setting::variable).collect();
    let set = variables.iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with(VARIABLES) && !known.contains(name))
        .collect()
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

    fn read_into_defaults(env: impl Fn(&str) -> Option<OsString>) -> Result<Draft, Error> {
        let mut draft = Draft::new();
        match read(&env, &mut draft).into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(draft),
        }
    }

    #[test]
    fn nothing_set_says_nothing() {
        assert_eq!(read_into_defaults(|_| None).unwrap(), Draft::new());
        let empty = read_into_defaults(|_| Some(OsString::new()));
        assert_eq!(empty.unwrap(), Draft::new());
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
    fn bad_values_do_not_keep_the_others_from_being_read() {
        let mut draft = Draft::new();
        let env = environment(&[
            ("VMTOOLSD_USE_MACHINED", "maybe"),
            ("VMTOOLSD_TRANSPORT", "tcp"),
            ("VMTOOLSD_LOG_LEVEL", "debug"),
        ]);
        let faults = read(&env, &mut draft);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert_eq!(draft.config.log.level, Level::DEBUG);
        draft.config.log.level = Level::INFO;
        assert_eq!(draft, Draft::new());
    }

    #[test]
    fn variables_that_look_like_ours_are_named_unless_they_are_empty() {
        let variables = [
            ("VMTOOLSD_TALOS_NODE", "n"),
            ("VMTOOLSD_TALOS_NODES", "n"),
            ("VMTOOLSD_COLOUR", ""),
            ("vmtoolsd_talos_node", "n"),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(unknown(&variables), ["VMTOOLSD_TALOS_NODES"]);
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
