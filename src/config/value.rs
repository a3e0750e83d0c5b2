//! Values as they are written on the command line, in variables and in the file.

use std::str::FromStr;
use std::time::Duration;

use tracing::Level;

use super::{LogFormat, RebootMode, SandboxMode, TransportChoice};

/// Power calls may take at most this long: a host's administrator has long looked elsewhere.
const LONGEST_DURATION: Duration = Duration::from_secs(3600);

/// Names of the log levels, for help texts and completions.
pub(super) const LEVELS: [&str; 6] = ["error", "warn", "warning", "info", "debug", "trace"];

/// A value that does not have the form it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {expected}")]
pub struct BadValue {
    /// What was found.
    pub value: String,
    /// What can stand there.
    pub expected: &'static str,
}

fn bad(value: &str, expected: &'static str) -> BadValue {
    BadValue {
        value: value.to_owned(),
        expected,
    }
}

/// The spellings of Go's strconv.ParseBool, which manifests written for the Go daemon use.
pub(super) fn boolean(text: &str) -> Result<bool, BadValue> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(bad(text, "true or false")),
    }
}

/// A log level in any case; `warn` and `warning` are the same.
pub(super) fn level(text: &str) -> Result<Level, BadValue> {
    match text.to_ascii_lowercase().as_str() {
        "error" => Ok(Level::ERROR),
        "warn" | "warning" => Ok(Level::WARN),
        "info" => Ok(Level::INFO),
        "debug" => Ok(Level::DEBUG),
        "trace" => Ok(Level::TRACE),
        _ => Err(bad(
            text,
            "a log level (error, warning, info, debug or trace)",
        )),
    }
}

/// Whole numbers with the units h, m, s and ms, largest first, such as `1m30s`; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, BadValue> {
    const EXPECTED: &str = "a duration above 0 and up to 1h, such as 30s or 1m30s";
    let error = || bad(text, EXPECTED);
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error())?;
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
            _ => return Err(error()),
        };
        if millis >= smallest {
            return Err(error());
        }
        smallest = millis;
        let part = number.checked_mul(millis).ok_or_else(error)?;
        total = total
            .checked_add(Duration::from_millis(part))
            .ok_or_else(error)?;
        rest = tail;
    }
    if total.is_zero() || total > LONGEST_DURATION {
        return Err(error());
    }
    Ok(total)
}

impl TransportChoice {
    /// All names, for help texts and completions.
    pub const NAMES: [&str; 3] = ["auto", "vsock", "backdoor"];
}

impl FromStr for TransportChoice {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "auto" => Ok(Self::Auto),
            "vsock" => Ok(Self::Vsock),
            "backdoor" => Ok(Self::Backdoor),
            _ => Err(bad(text, "a transport (auto, vsock or backdoor)")),
        }
    }
}

impl RebootMode {
    /// All names, for help texts and completions.
    pub const NAMES: [&str; 3] = ["default", "powercycle", "force"];
}

impl FromStr for RebootMode {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "default" => Ok(Self::Default),
            "powercycle" => Ok(Self::Powercycle),
            "force" => Ok(Self::Force),
            _ => Err(bad(text, "a reboot mode (default, powercycle or force)")),
        }
    }
}

impl SandboxMode {
    /// All names, for help texts and completions.
    pub const NAMES: [&str; 3] = ["enforce", "warn", "off"];
}

impl FromStr for SandboxMode {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "enforce" => Ok(Self::Enforce),
            "warn" => Ok(Self::Warn),
            "off" => Ok(Self::Off),
            _ => Err(bad(text, "a sandbox mode (enforce, warn or off)")),
        }
    }
}

impl LogFormat {
    /// All names, for help texts and completions.
    pub const NAMES: [&str; 2] = ["text", "json"];
}

impl FromStr for LogFormat {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(bad(text, "a log format (text or json)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn every_listed_name_is_understood() {
        for name in TransportChoice::NAMES {
            assert!(name.parse::<TransportChoice>().is_ok(), "{name}");
        }
        for name in RebootMode::NAMES {
            assert!(name.parse::<RebootMode>().is_ok(), "{name}");
        }
        for name in LogFormat::NAMES {
            assert!(name.parse::<LogFormat>().is_ok(), "{name}");
        }
        for name in SandboxMode::NAMES {
            assert!(name.parse::<SandboxMode>().is_ok(), "{name}");
        }
        for name in LEVELS {
            assert!(level(name).is_ok(), "{name}");
        }
        assert!("Auto".parse::<TransportChoice>().is_err());
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
