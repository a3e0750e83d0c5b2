//! YAML to values; the only user of serde_yaml, so that it can be replaced in one place.
//!
//! Errors say where they happened and never repeat a long string of the input: a talosconfig holds keys.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed};

/// Strings of the input that are longer than this many characters are left out of error texts.
const LONGEST_QUOTE: usize = 32;

/// The text is not YAML, or not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line and column, both counted from 1; `None` when the parser does not know.
    pub location: Option<(usize, usize)>,
    /// What is wrong, in one phrase.
    pub problem: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.location {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for YamlError {}

/// Reads one YAML document. An empty text is the same as `null`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    read(text, PhantomData)
}

/// Reads one YAML document into what `seed` makes of it.
pub fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, YamlError> {
    let document = serde_yaml::Deserializer::from_str(text);
    seed.deserialize(document).map_err(|error| {
        let location = error
            .location()
            .map(|place| (place.line(), place.column()))
            .filter(|&place| place != (0, 0));
        let mut problem = error.to_string();
        if let Some((line, column)) = location {
            let place = format!(" at line {line} column {column}");
            if let Some(start) = problem.rfind(&place) {
                problem.replace_range(start..start + place.len(), "");
            }
        }
        YamlError {
            location,
            problem: without_long_quotes(&problem),
        }
    })
}

/// Replaces every `"…"` that is too long for a log line, or may be a secret.
fn without_long_quotes(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    for (index, part) in text.split('"').enumerate() {
        if index > 0 {
            short.push('"');
        }
        let quoted = index % 2 == 1;
        if quoted && part.chars().count() > LONGEST_QUOTE {
            short.push('…');
        } else {
            short.push_str(part);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn says_where_and_what() {
        let error = from_str::<BTreeMap<String, bool>>("a: true\nb: maybe\n").unwrap_err();
        assert_eq!(error.location.map(|(line, _)| line), Some(2), "{error}");
        let text = error.to_string();
        assert!(text.starts_with("line 2, column "), "{text}");
        assert!(text.contains("maybe"), "{text}");
        assert_eq!(text.matches("line").count(), 1, "{text}");
    }

    #[test]
    fn broken_yaml_is_an_error_with_a_line() {
        let error = from_str::<BTreeMap<String, bool>>("a: true\n  b: [\n").unwrap_err();
        assert!(error.location.is_some(), "{error}");
    }

    #[test]
    fn long_strings_are_not_repeated() {
        let secret = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9w";
        let error = from_str::<BTreeMap<String, bool>>(&format!("key: {secret}\n")).unwrap_err();
        assert!(!error.to_string().contains(secret), "{error}");
        assert!(error.to_string().contains("\"…\""), "{error}");
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(from_str::<Option<bool>>(""), Ok(None));
        assert_eq!(from_str::<Option<bool>>("# nothing\n"), Ok(None));
    }
}
