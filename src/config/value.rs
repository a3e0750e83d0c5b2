//! Values as they are written on the command line, in variables and in the file.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Level;

use super::guest_operations::{BadPath, BadUser, LONGEST_TOKEN_LIFE};
use super::map::Map;
use super::{
    BusyPolicy, DrainDeadline, EtcdGuard, Forfeit, HaMonitor, HypervisorChoice, LogFormat,
    QuiesceMode, QuorumGuard, RebootMode, SandboxMode, TransportChoice,
};
use crate::report::{Family, Glob, HostNameForm, Patterns, Subnet, Unreadable};

/// No duration is longer: nobody at the host waits an hour for a power call, and a typing error shows.
const LONGEST_DURATION: Duration = Duration::from_secs(3600);

/// In less not even an idle host takes a snapshot.
const SHORTEST_FREEZE: Duration = Duration::from_secs(1);
/// All that writes stands still meanwhile.
const LONGEST_FREEZE: Duration = Duration::from_secs(60);

/// That Talos is silent is known 10 s after the question, and the log says so 60 s before the reset.
const SHORTEST_SILENCE: Duration = Duration::from_secs(60);
/// An ordinary upgrade of Kubernetes makes a node unready for less.
const SHORTEST_UNREADY: Duration = Duration::from_secs(120);

/// Each poll costs the host a command.
const SHORTEST_PERIOD: Duration = Duration::from_millis(500);
/// Each migration waits for the next poll.
const LONGEST_PERIOD: Duration = Duration::from_secs(30);

/// A value that does not have the form it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// It is not one of those that can stand there.
    #[error("{value:?} is not {expected}")]
    Unexpected {
        /// What was found.
        value: String,
        /// What can stand there.
        expected: &'static str,
    },
    /// It says nothing about the network.
    #[error(transparent)]
    Network(#[from] Unreadable),
    /// It is no user of guest operations.
    #[error(transparent)]
    User(#[from] BadUser),
    /// It is no file of the node.
    #[error(transparent)]
    Path(#[from] BadPath),
}

pub(super) fn bad(value: &str, expected: &'static str) -> BadValue {
    BadValue::Unexpected {
        value: value.to_owned(),
        expected,
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// True or false; a flag alone means true.
    Switch,
    /// A text that its type reads: a path, a name, a duration.
    Text,
    /// One of a few names.
    Choice {
        /// The names.
        names: &'static [&'static str],
        /// Whether capitals do not matter.
        any_case: bool,
    },
    /// Any number of texts, in the file alone.
    List,
    /// Any number of maps, in the file alone.
    Maps,
}

/// A type that a setting can have.
pub(super) trait Value: Clone + PartialEq {
    /// How it is written.
    const FORM: Form;

    /// Becomes what is written; a list grows by it. Nothing changes if that cannot be read.
    fn read(&mut self, written: &OsStr) -> Result<(), BadValue>;

    /// Grows by a map. Nothing changes if that cannot be read.
    fn read_map(&mut self, _map: Map) -> Result<(), BadValue> {
        Err(bad("a map", "a text"))
    }
}

impl Value for bool {
    const FORM: Form = Form::Switch;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        *self = boolean(&written.to_string_lossy())?;
        Ok(())
    }
}

impl Value for Duration {
    const FORM: Form = Form::Text;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        *self = duration(&written.to_string_lossy())?;
        Ok(())
    }
}

/// A text whose bytes matter only later: what is not UTF-8 will not be a node's name or a role.
impl Value for String {
    const FORM: Form = Form::Text;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        *self = written.to_string_lossy().into_owned();
        Ok(())
    }
}

impl Value for PathBuf {
    const FORM: Form = Form::Text;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        if written.is_empty() {
            return Err(bad("", "a path"));
        }
        *self = written.into();
        Ok(())
    }
}

/// A path that may be none. Empty means none, so that a flag can take back a variable.
impl Value for Option<PathBuf> {
    const FORM: Form = Form::Text;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        *self = Some(PathBuf::from(written)).filter(|_| !written.is_empty());
        Ok(())
    }
}

impl Value for Patterns {
    const FORM: Form = Form::List;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        let pattern = written.to_string_lossy().parse()?;
        *self = std::mem::take(self).and([pattern]);
        Ok(())
    }
}

impl Value for Vec<Subnet> {
    const FORM: Form = Form::List;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        self.push(written.to_string_lossy().parse()?);
        Ok(())
    }
}

/// Patterns of volumes: what can match none is a fault, for that volume would be frozen.
impl Value for Vec<Glob> {
    const FORM: Form = Form::List;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        const EXPECTED: &str =
            "the id of a volume or its mount point, such as u-data or /var/mnt/data";
        let text = written.to_string_lossy();
        let begins_well = text.starts_with(['/', '*', '?']) || !text.contains('/');
        let ends_well = text.len() == 1 || !text.ends_with('/');
        if text.is_empty() || text.starts_with('!') || !begins_well || !ends_well {
            return Err(bad(&text, EXPECTED));
        }
        self.push(Glob::new(&text));
        Ok(())
    }
}

impl Value for DrainDeadline {
    const FORM: Form = Form::Text;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        const EXPECTED: &str =
            "how long Talos may drain: a duration up to 1h such as 60s, 0s (not at all), or talos";
        let text = written.to_string_lossy();
        *self = match &*text {
            "talos" => Self::Talos,
            "0" | "0s" => Self::After(Duration::ZERO),
            _ => Self::After(
                duration_up_to(LONGEST_DURATION, &text).ok_or_else(|| bad(&text, EXPECTED))?,
            ),
        };
        Ok(())
    }
}

/// A list, so that `never` alone says what no item would.
impl Value for Forfeit {
    const FORM: Form = Form::List;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        let text = written.to_string_lossy();
        match &*text {
            "never" => {}
            "force-reboot" => self.force_reboot = true,
            "vmotion" => self.vmotion = true,
            _ => {
                return Err(bad(
                    &text,
                    "when etcd's leadership is handed over (never, force-reboot or vmotion)",
                ));
            }
        }
        Ok(())
    }
}

/// A wish that there may be none of.
impl Value for Option<Family> {
    const FORM: Form = Form::Choice {
        names: &["ipv4", "ipv6"],
        any_case: true,
    };

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        *self = Some(written.to_string_lossy().parse()?);
        Ok(())
    }
}

/// A type whose values have names.
macro_rules! choice {
    ($type:ty, any_case: $any_case:literal, $expected:literal, $($name:literal => $value:expr,)+) => {
        impl Value for $type {
            const FORM: Form = Form::Choice {
                names: &[$($name),+],
                any_case: $any_case,
            };

            fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
                let text = written.to_string_lossy();
                const NAMES: &[(&str, $type)] = &[$(($name, $value)),+];
                *self = named(&text, NAMES, $any_case).ok_or_else(|| bad(&text, $expected))?;
                Ok(())
            }
        }
    };
}

fn named<T: Copy>(text: &str, names: &[(&str, T)], any_case: bool) -> Option<T> {
    let is_it = |name: &str| name == text || any_case && name.eq_ignore_ascii_case(text);
    let (_, value) = names.iter().find(|(name, _)| is_it(name))?;
    Some(*value)
}

choice! {
    TransportChoice, any_case: false, "a transport (auto, vsock or backdoor)",
    "auto" => TransportChoice::Auto,
    "vsock" => TransportChoice::Vsock,
    "backdoor" => TransportChoice::Backdoor,
}

choice! {
    HypervisorChoice, any_case: false, "a hypervisor (auto, vmware or qemu)",
    "auto" => HypervisorChoice::Auto,
    "vmware" => HypervisorChoice::Vmware,
    "qemu" => HypervisorChoice::Qemu,
}

choice! {
    RebootMode, any_case: false, "a reboot mode (default, powercycle or force)",
    "default" => RebootMode::Default,
    "powercycle" => RebootMode::Powercycle,
    "force" => RebootMode::Force,
}

choice! {
    BusyPolicy, any_case: false, "what to do while the machine is busy (refuse or pass)",
    "refuse" => BusyPolicy::Refuse,
    "pass" => BusyPolicy::Pass,
}

choice! {
    QuiesceMode, any_case: false, "what to do for a quiesced snapshot (off, sync or freeze)",
    "off" => QuiesceMode::Off,
    "sync" => QuiesceMode::Sync,
    "freeze" => QuiesceMode::Freeze,
}

choice! {
    EtcdGuard, any_case: false, "what to do where etcd needs this node (refuse or warn)",
    "refuse" => EtcdGuard::Refuse,
    "warn" => EtcdGuard::Warn,
}

choice! {
    QuorumGuard, any_case: false, "what to do where etcd's quorum hangs on this node (off, warn, hold or refuse)",
    "off" => QuorumGuard::Off,
    "warn" => QuorumGuard::Warn,
    "hold" => QuorumGuard::Hold,
    "refuse" => QuorumGuard::Refuse,
}

choice! {
    HaMonitor, any_case: false, "what vSphere HA counts as alive (off, node or ready)",
    "off" => HaMonitor::Off,
    "node" => HaMonitor::Node,
    "ready" => HaMonitor::Ready,
}

choice! {
    HostNameForm, any_case: false, "a form of the host name (node or fqdn)",
    "node" => HostNameForm::Node,
    "fqdn" => HostNameForm::Fqdn,
}

choice! {
    SandboxMode, any_case: false, "a sandbox mode (enforce, warn or off)",
    "enforce" => SandboxMode::Enforce,
    "warn" => SandboxMode::Warn,
    "off" => SandboxMode::Off,
}

choice! {
    LogFormat, any_case: false, "a log format (text or json)",
    "text" => LogFormat::Text,
    "json" => LogFormat::Json,
}

choice! {
    Level, any_case: true, "a log level (error, warning, info, debug or trace)",
    "error" => Level::ERROR,
    "warn" => Level::WARN,
    "warning" => Level::WARN,
    "info" => Level::INFO,
    "debug" => Level::DEBUG,
    "trace" => Level::TRACE,
}

/// The spellings of Go's strconv.ParseBool, which manifests written for the Go daemon use.
fn boolean(text: &str) -> Result<bool, BadValue> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad(text, "true or false")),
    }
}

/// Whole numbers with the units h, m, s and ms, largest first, such as `1m30s`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration above 0 and up to 1h, such as 30s or 1m30s";
    duration_up_to(LONGEST_DURATION, text).ok_or_else(|| bad(text, EXPECTED))
}

/// How long file systems stay frozen at most.
pub(super) fn freeze_limit(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration from 1s up to 60s, such as 8s";
    duration_in(SHORTEST_FREEZE..=LONGEST_FREEZE, text, EXPECTED)
}

/// How long a machine may be unready.
pub(super) fn unready_limit(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration from 2m up to 1h, such as 10m";
    duration_in(SHORTEST_UNREADY..=LONGEST_DURATION, text, EXPECTED)
}

/// How long Talos may be silent.
pub(super) fn silence_limit(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration from 1m up to 1h, such as 5m";
    duration_in(SHORTEST_SILENCE..=LONGEST_DURATION, text, EXPECTED)
}

/// How often a host is asked whether a migration begins.
pub(super) fn period(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration from 500ms up to 30s, such as 2s";
    duration_in(SHORTEST_PERIOD..=LONGEST_PERIOD, text, EXPECTED)
}

/// How long a token counts, in whole seconds.
pub(super) fn life(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration from 1s up to 24h, such as 10m";
    duration_in(Duration::from_secs(1)..=LONGEST_TOKEN_LIFE, text, EXPECTED)
}

fn duration_in(
    range: RangeInclusive<Duration>,
    text: &str,
    expected: &'static str,
) -> Result<Duration, BadValue> {
    duration_up_to(*range.end(), text)
        .filter(|duration| range.contains(duration))
        .ok_or_else(|| bad(text, expected))
}

fn duration_up_to(longest: Duration, text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = tail.len()
            - tail
                .trim_start_matches(|c: char| c.is_ascii_lowercase())
                .len();
        let (unit, tail) = tail.split_at(letters);
        let millis: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            "" if digits == text.len() => 1000,
            _ => return None,
        };
        if millis >= smallest {
            return None;
        }
        smallest = millis;
        let part = number.checked_mul(millis)?;
        total = total.checked_add(Duration::from_millis(part))?;
        rest = tail;
    }
    (!total.is_zero() && total <= longest).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn level(text: &str) -> Result<Level, BadValue> {
        let mut level = Level::INFO;
        level.read(OsStr::new(text)).map(|()| level)
    }

    #[test]
    fn booleans_are_those_of_go() {
        for yes in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(yes), Ok(true), "{yes}");
        }
        for no in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(no), Ok(false), "{no}");
        }
        for neither in ["", "yes", "no", "on", "tRUE", " true", "2"] {
            assert!(boolean(neither).is_err(), "{neither}");
        }
    }

    #[test]
    fn levels_in_any_case() {
        assert_eq!(level("ERROR"), Ok(Level::ERROR));
        assert_eq!(level("Warning"), Ok(Level::WARN));
        assert_eq!(level("warn"), Ok(Level::WARN));
        assert_eq!(level("INFO"), Ok(Level::INFO));
        assert_eq!(level("debug"), Ok(Level::DEBUG));
        assert_eq!(level("TRACE"), Ok(Level::TRACE));
        assert_eq!(
            level("loud").unwrap_err().to_string(),
            "\"loud\" is not a log level (error, warning, info, debug or trace)"
        );
    }

    #[test]
    fn durations_with_units() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in [
            "",
            "0",
            "0s",
            "s",
            "30x",
            "-1s",
            "1.5s",
            "1s30",
            "30s1m",
            "1s1s",
            "2h",
            "1h1ms",
            "99999999999999999999s",
            "18446744073709551615h",
            "１s",
            " 1s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_freeze_lasts_from_a_second_to_a_minute() {
        for (text, millis) in [
            ("1s", 1000),
            ("1000ms", 1000),
            ("8", 8000),
            ("8s500ms", 8500),
            ("60s", 60_000),
            ("1m", 60_000),
        ] {
            assert_eq!(freeze_limit(text), Ok(Duration::from_millis(millis)));
        }
        for text in [
            "0s", "999ms", "60001ms", "61s", "2m", "1h", "-8s", "8 s", "soon", "",
        ] {
            let error = freeze_limit(text).unwrap_err().to_string();
            assert!(error.contains("from 1s up to 60s"), "{error}");
        }
    }

    #[test]
    fn a_pattern_that_no_volume_can_match_is_a_fault() {
        for good in [
            "EPHEMERAL",
            "u-*",
            "u-dat?",
            "/var/mnt/data",
            "/var/mnt/*",
            "*/data",
            "/",
            "*",
        ] {
            let mut patterns = vec![Glob::new("u-old")];
            assert_eq!(patterns.read(OsStr::new(good)), Ok(()), "{good}");
            assert_eq!(patterns, [Glob::new("u-old"), Glob::new(good)]);
        }
        for bad in ["", "!u-data", "var/mnt/data", "/var/mnt/data/"] {
            let mut patterns = vec![Glob::new("u-old")];
            assert!(patterns.read(OsStr::new(bad)).is_err(), "{bad}");
            assert_eq!(patterns, [Glob::new("u-old")], "{bad}");
        }
    }

    #[test]
    fn a_token_lives_from_a_second_to_a_day() {
        for good in ["1s", "10m", "24h", "23h59m60s"] {
            assert!(life(good).is_ok(), "{good}");
        }
        for bad in ["0", "999ms", "24h1s", "86401", "1d", ""] {
            assert!(life(bad).is_err(), "{bad}");
        }
    }

    fn understands_its_names<T: Value>(mut value: T) {
        let Form::Choice { names, any_case } = T::FORM else {
            panic!("{:?}", T::FORM);
        };
        for name in names {
            assert_eq!(value.read(OsStr::new(name)), Ok(()), "{name}");
            let loud = value.read(OsStr::new(&name.to_uppercase()));
            assert_eq!(loud.is_ok(), any_case, "{name}");
        }
        assert!(value.read(OsStr::new("none of them")).is_err());
    }

    #[test]
    fn every_listed_name_is_understood() {
        understands_its_names(TransportChoice::Auto);
        understands_its_names(HypervisorChoice::Auto);
        understands_its_names(RebootMode::Default);
        understands_its_names(BusyPolicy::Refuse);
        understands_its_names(QuiesceMode::Off);
        understands_its_names(EtcdGuard::Refuse);
        understands_its_names(LogFormat::Text);
        understands_its_names(SandboxMode::Off);
        understands_its_names(Level::INFO);
        understands_its_names(None::<Family>);
    }

    #[test]
    fn an_empty_path_is_none_only_where_there_may_be_none() {
        let mut path = PathBuf::from("/a");
        assert!(path.read(OsStr::new("")).is_err());
        assert_eq!(path, PathBuf::from("/a"));
        let mut path = Some(path);
        assert_eq!(path.read(OsStr::new("")), Ok(()));
        assert_eq!(path, None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = boolean(&text);
            let _ = level(&text);
            if let Ok(duration) = duration(&text) {
                prop_assert!(!duration.is_zero() && duration <= LONGEST_DURATION);
            }
        }

        #[test]
        fn milliseconds_are_exact(millis in 1u64..3_600_000) {
            prop_assert_eq!(duration(&format!("{millis}ms")), Ok(Duration::from_millis(millis)));
        }
    }
}
