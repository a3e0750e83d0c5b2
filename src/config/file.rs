//! The configuration file: YAML in groups, every key optional, unknown keys refused.
//!
//! ```yaml
//! host:
//!   transport: auto
//!   low_bandwidth: false
//!   skip_vmware_detection: false
//!   idle_off_vmware: false
//! talos:
//!   use_machined: true
//!   machined_socket: /system/run/machined/machine.sock
//!   machined_role: os:operator
//!   config: /etc/talos-vmtoolsd/talosconfig
//!   node: 10.0.0.5
//! power:
//!   deadline: 30s
//!   force_shutdown: false
//!   reboot_mode: default
//! guestinfo:
//!   scrub: false
//!   disk_interval: 5m
//!   stats_interval: 20s
//! network:
//!   exclude_nics: ["eth9", "!docker0"]
//!   primary_nics: ["eth0"]
//!   low_priority_nics: ["eth1*"]
//!   exclude_subnets: [192.168.100.0/24]
//!   prefer: ipv4
//!   report_vips: true
//! sandbox:
//!   mode: enforce
//! log:
//!   level: info
//!   format: text
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Visitor};
use tracing::Level;

use super::network::NetworkSettings;
use super::value::{self, BadValue};
use super::yaml::{self, YamlError};
use super::{LogFormat, RebootMode, SandboxMode, Settings, TransportChoice};

/// Reads the text of a configuration file. A file without keys says nothing.
pub(super) fn parse(text: &str) -> Result<Settings, YamlError> {
    let Document {
        host,
        talos,
        power,
        guestinfo,
        network,
        sandbox,
        log,
    } = yaml::from_str::<Option<Document>>(text)?.unwrap_or_default();
    let host = host.unwrap_or_default();
    let talos = talos.unwrap_or_default();
    let power = power.unwrap_or_default();
    let guestinfo = guestinfo.unwrap_or_default();
    let log = log.unwrap_or_default();
    Ok(Settings {
        transport: host.transport,
        low_bandwidth: host.low_bandwidth,
        skip_vmware_detection: host.skip_vmware_detection,
        idle_off_vmware: host.idle_off_vmware,
        use_machined: talos.use_machined.map(Ok),
        machined_socket: talos.machined_socket,
        machined_role: talos.machined_role,
        talos_config: talos.config,
        talos_node: talos.node,
        power_deadline: power.deadline,
        force_shutdown: power.force_shutdown,
        reboot_mode: power.reboot_mode,
        scrub_guestinfo: guestinfo.scrub,
        disk_interval: guestinfo.disk_interval,
        stats_interval: guestinfo.stats_interval,
        network: network.unwrap_or_default(),
        sandbox: sandbox.unwrap_or_default().mode,
        log_level: log.level,
        log_format: log.format,
    })
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    host: Option<Host>,
    talos: Option<Talos>,
    power: Option<Power>,
    guestinfo: Option<GuestInfo>,
    network: Option<NetworkSettings>,
    sandbox: Option<Sandbox>,
    log: Option<Log>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Host {
    #[serde(deserialize_with = "text")]
    transport: Option<TransportChoice>,
    low_bandwidth: Option<bool>,
    skip_vmware_detection: Option<bool>,
    idle_off_vmware: Option<bool>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Talos {
    use_machined: Option<bool>,
    machined_socket: Option<PathBuf>,
    machined_role: Option<String>,
    config: Option<PathBuf>,
    node: Option<String>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Power {
    #[serde(deserialize_with = "text")]
    deadline: Option<Duration>,
    force_shutdown: Option<bool>,
    #[serde(deserialize_with = "text")]
    reboot_mode: Option<RebootMode>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct GuestInfo {
    scrub: Option<bool>,
    #[serde(deserialize_with = "text")]
    disk_interval: Option<Duration>,
    #[serde(deserialize_with = "text")]
    stats_interval: Option<Duration>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sandbox {
    #[serde(deserialize_with = "text")]
    mode: Option<SandboxMode>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Log {
    #[serde(deserialize_with = "text")]
    level: Option<Level>,
    #[serde(deserialize_with = "text")]
    format: Option<LogFormat>,
}

/// What is written in the file as on the command line.
trait Written: Sized {
    fn read(text: &str) -> Result<Self, BadValue>;
}

impl Written for TransportChoice {
    fn read(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }
}

impl Written for RebootMode {
    fn read(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }
}

impl Written for SandboxMode {
    fn read(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }
}

impl Written for LogFormat {
    fn read(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }
}

impl Written for Level {
    fn read(text: &str) -> Result<Self, BadValue> {
        value::level(text)
    }
}

impl Written for Duration {
    fn read(text: &str) -> Result<Self, BadValue> {
        value::duration(text)
    }
}

/// Reads a [`Written`] value; numbers count as their digits, so that `deadline: 30` works.
fn text<'de, D: Deserializer<'de>, T: Written>(deserializer: D) -> Result<Option<T>, D::Error> {
    struct Text<T>(PhantomData<T>);

    impl<T: Written> Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::read(text).map_err(E::custom)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
            self.visit_str(&number.to_string())
        }
    }

    struct Wrapped<T>(T);

    impl<'de, T: Written> Deserialize<'de> for Wrapped<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Text(PhantomData)).map(Wrapped)
        }
    }

    Option::<Wrapped<T>>::deserialize(deserializer).map(|value| value.map(|Wrapped(value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Family, Pattern};
    use proptest::prelude::*;

    fn patterns(list: &[&str]) -> Vec<Pattern> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    const COMPLETE: &str = "\
host:
  transport: backdoor
  low_bandwidth: true
  skip_vmware_detection: true
  idle_off_vmware: true
talos:
  use_machined: true
  machined_socket: /s
  machined_role: os:reader
  config: /c
  node: 10.0.0.5
power:
  deadline: 1m
  force_shutdown: true
  reboot_mode: powercycle
guestinfo:
  scrub: true
  disk_interval: 30s
  stats_interval: 10s
network:
  exclude_nics: [eth9, \"!docker0\"]
  primary_nics: [bond0]
  low_priority_nics: [eth1*]
  exclude_subnets: [10.9.0.0/16, fd00::1]
  prefer: ipv6
  report_vips: false
sandbox:
  mode: warn
log:
  level: WARNING
  format: json
";

    #[test]
    fn every_key_is_read() {
        assert_eq!(
            parse(COMPLETE),
            Ok(Settings {
                transport: Some(TransportChoice::Backdoor),
                low_bandwidth: Some(true),
                skip_vmware_detection: Some(true),
                idle_off_vmware: Some(true),
                use_machined: Some(Ok(true)),
                machined_socket: Some("/s".into()),
                machined_role: Some("os:reader".into()),
                talos_config: Some("/c".into()),
                talos_node: Some("10.0.0.5".into()),
                power_deadline: Some(Duration::from_secs(60)),
                force_shutdown: Some(true),
                reboot_mode: Some(RebootMode::Powercycle),
                scrub_guestinfo: Some(true),
                disk_interval: Some(Duration::from_secs(30)),
                stats_interval: Some(Duration::from_secs(10)),
                network: NetworkSettings {
                    exclude_nics: Some(patterns(&["eth9", "!docker0"])),
                    primary_nics: Some(patterns(&["bond0"])),
                    low_priority_nics: Some(patterns(&["eth1*"])),
                    exclude_subnets: Some(vec![
                        "10.9.0.0/16".parse().unwrap(),
                        "fd00::1".parse().unwrap()
                    ]),
                    prefer: Some(Family::Ipv6),
                    report_vips: Some(false),
                },
                sandbox: Some(SandboxMode::Warn),
                log_level: Some(Level::WARN),
                log_format: Some(LogFormat::Json),
            })
        );
    }

    #[test]
    fn empty_files_and_groups_say_nothing() {
        for text in [
            "",
            "\n",
            "# comment\n",
            "---\n",
            "host:\nlog:\n",
            "log: {}\n",
            "log: {level: }",
        ] {
            assert_eq!(parse(text), Ok(Settings::default()), "{text:?}");
        }
    }

    #[test]
    fn unknown_keys_are_errors_with_their_line() {
        let error = parse("log:\n  level: info\n  colour: true\n").unwrap_err();
        assert_eq!(error.location.map(|(line, _)| line), Some(3), "{error}");
        assert!(error.problem.contains("unknown field `colour`"), "{error}");
        assert!(error.problem.contains("`level`"), "{error}");

        let error = parse("# first\nlogging:\n  level: info\n").unwrap_err();
        assert_eq!(error.location.map(|(line, _)| line), Some(2), "{error}");
        assert!(error.problem.contains("unknown field `logging`"), "{error}");
    }

    #[test]
    fn bad_values_are_errors_with_their_line() {
        for (text, line, part) in [
            ("host:\n  transport: tcp\n", 2, "\"tcp\" is not a transport"),
            (
                "power:\n  deadline: soon\n",
                2,
                "\"soon\" is not a duration",
            ),
            (
                "sandbox:\n  mode: strict\n",
                2,
                "\"strict\" is not a sandbox mode",
            ),
            ("log:\n\n  level: loud\n", 3, "\"loud\" is not a log level"),
            ("talos:\n  use_machined: maybe\n", 2, "expected a boolean"),
            ("network:\n  prefer: ipx\n", 2, "write ipv4 or ipv6"),
            (
                "network:\n  exclude_nics:\n    - eth0\n    - ''\n",
                4,
                "an interface pattern is empty",
            ),
            (
                "network:\n  exclude_subnets:\n    - 10.0.0.0/40\n",
                3,
                "not a network",
            ),
            (
                "log:\n  level: info\n  level: debug\n",
                2,
                "duplicate field",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                error.location.map(|(line, _)| line),
                Some(line),
                "{text:?}: {error}"
            );
            assert!(error.problem.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_number_is_a_deadline_in_seconds() {
        assert_eq!(
            parse("power: {deadline: 45}").unwrap().power_deadline,
            Some(Duration::from_secs(45))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(?s).{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn a_file_cut_anywhere_is_answered(length in 0..COMPLETE.len()) {
            let _ = parse(&COMPLETE[..length]);
        }
    }
}
