//! The configuration file: YAML in groups and groups in groups, every key optional, unknown keys faults.
//!
//! docs/configuration.md shows one with every key. After a fault the text is read again without the key that has
//! it: the parser says where a fault is, and cannot go on behind it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::BadValue;
use super::draft::Draft;
use super::map::Map;
use super::setting::Setting;
use super::table::SETTINGS;
use super::value::Form;
use super::yaml::{self, YamlError};

/// More faults than this in one file are not looked for: each has it read once more.
const MOST_FAULTS: usize = 50;

/// Reads the text of a configuration file; returns its faults. A key with a fault says nothing, and so does a text
/// that is not YAML, or a file without keys.
pub(super) fn read(text: &str, draft: &mut Draft) -> Vec<YamlError> {
    if let Err(fault) = yaml::from_str::<Option<IgnoredAny>>(text) {
        draft.doubt_all();
        return vec![fault];
    }
    let mut faults = Vec::new();
    let mut skipped = BTreeSet::new();
    loop {
        let mut reader = Reader {
            draft: draft.clone(),
            key: 0,
            group: None,
            skipped: &skipped,
        };
        let names = Names {
            reader: &mut reader,
            group: None,
        };
        let outcome = yaml::read(text, names);
        let Reader {
            draft: mut read,
            key,
            group,
            ..
        } = reader;
        let Err(fault) = outcome else {
            *draft = read;
            return faults;
        };
        faults.push(fault);
        draft.doubt(group);
        read.doubt(group);
        if faults.len() == MOST_FAULTS {
            read.doubt_all();
            *draft = read;
            return faults;
        }
        // A fault before the first key is one of the whole, and none is met twice.
        if key == 0 || !skipped.insert(key) {
            draft.doubt_all();
            return faults;
        }
    }
}

/// What is read, and how far: keys are counted, in groups and of groups alike.
struct Reader<'a> {
    draft: Draft,
    key: usize,
    /// What is being read.
    group: Option<&'static str>,
    skipped: &'a BTreeSet<usize>,
}

/// The groups of a document, or the keys and groups of one group, with what they stand for.
struct Names<'a, 'b> {
    reader: &'a mut Reader<'b>,
    /// Its path, such as `power.shutdown`.
    group: Option<&'static str>,
}

/// What lies below a group, or in the whole document: the name of each key and group there, with its path.
fn below(group: Option<&str>) -> Vec<(&'static str, &'static str)> {
    let keys = SETTINGS.iter().filter_map(|setting| setting.key);
    let mut names: Vec<_> = keys
        .filter_map(|key| {
            let start = match group {
                None => 0,
                Some(group) => key
                    .strip_prefix(group)?
                    .strip_prefix('.')
                    .map(|_| group.len() + 1)?,
            };
            let name = key.get(start..)?.split('.').next()?;
            Some((name, key.get(..start + name.len())?))
        })
        .collect();
    names.dedup();
    names
}

impl<'de> DeserializeSeed<'de> for Names<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Names<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.group {
            None => "groups of settings",
            Some(_) => "settings",
        })
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let known = below(self.group);
        let mut seen = Vec::new();
        loop {
            self.reader.key += 1;
            if self.reader.skipped.contains(&self.reader.key) {
                map.next_entry::<IgnoredAny, IgnoredAny>()?;
                continue;
            }
            self.reader.group = self.group;
            let Some((name, path)) = map.next_key_seed(Name(&known))? else {
                return Ok(());
            };
            let setting = SETTINGS.iter().find(|setting| setting.key == Some(path));
            if setting.is_none() {
                self.reader.group = Some(path);
            }
            if seen.contains(&name) {
                return Err(M::Error::duplicate_field(name));
            }
            seen.push(name);
            let reader = &mut *self.reader;
            match setting {
                Some(setting) => {
                    let draft = &mut reader.draft;
                    map.next_value_seed(Entry { draft, setting })?;
                }
                None => map.next_value_seed(Names {
                    reader,
                    group: Some(path),
                })?,
            }
        }
    }
}

/// One of the names that may stand here.
struct Name<'a>(&'a [(&'static str, &'static str)]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = (&'static str, &'static str);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = (&'static str, &'static str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    // Here and not in the map, so that the error has the line of the name.
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let Self(known) = self;
        let known_as = known.iter().find(|(name, _)| *name == text);
        known_as.copied().ok_or_else(|| {
            let known: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            let known = known.join("`, `");
            E::custom(format_args!(
                "unknown field `{text}`, expected one of `{known}`"
            ))
        })
    }
}

/// The value of a setting.
struct Entry<'a> {
    draft: &'a mut Draft,
    setting: &'static Setting,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.setting.form() {
            Form::Switch => "a boolean",
            Form::Text | Form::Choice { .. } => "a text",
            Form::List => "a list of texts",
            Form::Maps => "a list of maps",
        })?;
        write!(f, " for {}", self.setting.key.unwrap_or_default())
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.setting.form() {
            Form::Switch => deserializer.deserialize_bool(self),
            // Numbers are their digits, so that `deadline: 30` works.
            Form::Text | Form::Choice { .. } => deserializer.deserialize_str(self),
            Form::List | Form::Maps => deserializer.deserialize_seq(self),
        }
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let Self { draft, setting } = self;
        let read = setting.read(draft, OsStr::new(text));
        read.map_err(|error| named(setting, &error))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let Self { draft, setting } = self;
        let mut read = Map::new();
        while let Some(entry) = map.next_entry()? {
            read.push(entry);
        }
        let read = setting.read_map(draft, read);
        read.map_err(|error| named(setting, &error))
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<(), S::Error> {
        let Self { draft, setting } = self;
        while list
            .next_element_seed(Item(Entry { draft, setting }))?
            .is_some()
        {}
        Ok(())
    }
}

/// An item of a list.
struct Item<'a>(Entry<'a>);

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self(entry) = self;
        match entry.setting.form() {
            Form::Maps => deserializer.deserialize_map(entry),
            _ => deserializer.deserialize_str(entry),
        }
    }
}

/// What is wrong with a value, and which.
fn named<E: serde::de::Error>(setting: &Setting, error: &BadValue) -> E {
    let key = setting.key.unwrap_or_default();
    E::custom(format_args!("{key}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Config, HaMonitor, LogFormat, QuorumGuard, RebootMode, SandboxMode, TransportChoice,
    };
    use crate::report::{Family, NetworkPolicy, Pattern, Patterns};
    use proptest::prelude::*;
    use std::time::Duration;
    use tracing::Level;

    fn patterns(list: &[&str]) -> Vec<Pattern> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn parse(text: &str) -> Result<Draft, YamlError> {
        let mut draft = Draft::new();
        match read(text, &mut draft).into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(draft),
        }
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
  report_vips: true
  report_link_local: true
sandbox:
  mode: warn
log:
  level: WARNING
  format: json
";

    #[test]
    fn every_key_is_read() {
        let draft = parse(COMPLETE).unwrap();
        let Config {
            host,
            power,
            guest_info,
            network,
            sandbox,
            log,
            ..
        } = draft.config;
        assert_eq!(host.transport, TransportChoice::Backdoor);
        assert!(host.low_bandwidth && host.skip_vmware_detection && host.idle_off_vmware);
        assert!(draft.talos.use_machined);
        assert_eq!(draft.talos.machined_socket.to_str(), Some("/s"));
        assert_eq!(draft.talos.machined_role, "os:reader");
        assert_eq!(draft.talos.config, Some("/c".into()));
        assert_eq!(draft.talos.node, "10.0.0.5");
        assert_eq!(power.deadline, Duration::from_secs(60));
        assert!(power.force_shutdown);
        assert_eq!(power.reboot_mode, RebootMode::Powercycle);
        assert!(guest_info.scrub);
        assert_eq!(guest_info.disk_interval, Duration::from_secs(30));
        assert_eq!(guest_info.stats_interval, Duration::from_secs(10));
        assert_eq!(
            network,
            NetworkPolicy {
                exclude_nics: Patterns::built_in_excludes().and(patterns(&["eth9", "!docker0"])),
                primary_nics: patterns(&["bond0"]).into_iter().collect(),
                low_priority_nics: patterns(&["eth1*"]).into_iter().collect(),
                exclude_subnets: vec!["10.9.0.0/16".parse().unwrap(), "fd00::1".parse().unwrap()],
                prefer: Some(Family::Ipv6),
                report_vips: true,
                report_link_local: true,
            }
        );
        assert_eq!(sandbox, SandboxMode::Warn);
        assert_eq!(log.level, Level::WARN);
        assert_eq!(log.format, LogFormat::Json);
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
            assert_eq!(parse(text), Ok(Draft::new()), "{text:?}");
        }
    }

    #[test]
    fn groups_lie_in_groups() {
        let text = "power:\n  shutdown: {budget: 50s}\n  deadline: 9s\n  etcd:\n    guard: hold\n    forfeit: [vmotion]\n";
        let power = parse(text).unwrap().config.power;
        assert_eq!(power.deadline, Duration::from_secs(9));
        assert_eq!(power.shutdown.budget, Duration::from_secs(50));
        assert_eq!(power.etcd.guard, QuorumGuard::Hold);
        assert!(power.etcd.forfeit.vmotion && !power.etcd.forfeit.force_reboot);

        for (text, line, part) in [
            (
                "power:\n  etcd:\n    guard: no\n",
                3,
                "power.etcd.guard: \"no\" is not",
            ),
            (
                "power:\n  etcd:\n    holding: 3s\n",
                3,
                "unknown field `holding`, expected one of `guard`, `hold`",
            ),
            (
                "power:\n  shutdown.budget: 3s\n",
                2,
                "unknown field `shutdown.budget`",
            ),
            ("power:\n  shutdown: 3s\n", 2, "expected settings"),
            (
                "power:\n  etcd: {}\n  etcd: {}\n",
                2,
                "duplicate field `etcd`",
            ),
            ("shutdown:\n  budget: 3s\n", 1, "unknown field `shutdown`"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.location.map(|(line, _)| line), Some(line), "{error}");
            assert!(error.problem.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_fault_within_a_group_that_counts_whole_switches_it_off_and_one_beside_it_does_not() {
        let monitor = |text: &str| tolerantly(text).1.finish(None).vmware.ha.monitor;
        let on = "vmware:\n  ha: {monitor: node, settle: 1m}\n";
        assert_eq!(monitor(on), HaMonitor::Node);
        for (fault, is_off) in [
            ("vmware:\n  ha: {monitor: node, settle: soon}\n", true),
            ("vmware:\n  ha: {monitor: node, settles: 1m}\n", true),
            ("vmware:\n  ha: {monitor: node}\n  hb: {}\n", true),
            (
                "vmware:\n  ha: {monitor: node}\n  vmotion: {period: 0s}\n",
                false,
            ),
            (
                "vmware:\n  ha: {monitor: node}\nlog: {level: loud}\n",
                false,
            ),
        ] {
            let expected = if is_off {
                HaMonitor::Off
            } else {
                HaMonitor::Node
            };
            assert_eq!(monitor(fault), expected, "{fault:?}");
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

    /// The faults of a text, and what it says all the same.
    fn tolerantly(text: &str) -> (Vec<String>, Draft) {
        let mut draft = Draft::new();
        let faults = read(text, &mut draft);
        (faults.iter().map(ToString::to_string).collect(), draft)
    }

    #[test]
    fn keys_with_faults_are_named_with_their_lines_and_the_rest_counts() {
        let (faults, draft) = tolerantly(
            "log:\n  level: debug\n  colour: {deep: [1, 2]}\n  format: xml\nlogging: {level: trace}\n\
             power: 5\nguestinfo:\n  scrub: true\n  scrub: false\nnetwork:\n  exclude_nics: [eth9, '']\n\
             1: x\nsandbox:\n  mode: warn\n",
        );
        let expected = [
            (3, "unknown field `colour`"),
            (4, "\"xml\" is not a log format"),
            (5, "unknown field `logging`"),
            (6, "expected settings"),
            (8, "duplicate field `scrub`"),
            (11, "an interface pattern is empty"),
            (12, "unknown field `1`"),
        ];
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for ((line, part), fault) in expected.iter().zip(&faults) {
            assert!(fault.starts_with(&format!("line {line}, ")), "{fault}");
            assert!(fault.contains(part), "{fault}");
        }
        let (_, good) =
            tolerantly("log: {level: debug}\nguestinfo: {scrub: true}\nsandbox: {mode: warn}\n");
        assert_eq!(draft, good);
    }

    /// What a file comes to that says nothing because of a fault.
    fn doubted() -> Draft {
        let mut draft = Draft::new();
        draft.doubt_all();
        draft
    }

    #[test]
    fn a_text_that_is_no_yaml_or_no_groups_says_nothing() {
        for text in [
            "log: {level: debug}\npower: [\n",
            "- log\n",
            "debug\n",
            "log: {level: debug}\n---\nlog: {level: trace}\n",
        ] {
            let (faults, draft) = tolerantly(text);
            assert_eq!(
                (faults.len(), draft),
                (1, doubted()),
                "{text:?}: {faults:?}"
            );
        }
    }

    #[test]
    fn faults_without_end_have_one() {
        let text: String = (0..2000).map(|n| format!("group{n}: {{}}\n")).collect();
        let (faults, draft) = tolerantly(&text);
        assert_eq!((faults.len(), draft), (MOST_FAULTS, doubted()));
    }

    #[test]
    fn a_number_is_a_deadline_in_seconds() {
        assert_eq!(
            parse("power: {deadline: 45}")
                .unwrap()
                .config
                .power
                .deadline,
            Duration::from_secs(45)
        );
    }

    #[test]
    fn own_excludes_come_after_the_built_in_ones() {
        let draft = parse("network: {exclude_nics: [eth1, '!docker0']}").unwrap();
        for (name, excluded) in [
            ("eth1", true),
            ("docker1", true),
            ("docker0", false),
            ("eth0", false),
        ] {
            let pattern = draft.config.network.exclude_nics.find(name);
            assert_eq!(pattern.is_some(), excluded, "{name}");
        }
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
