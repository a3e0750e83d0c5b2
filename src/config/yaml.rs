//! YAML to values; the only user of serde_yaml, so that it can be replaced in one place.
//!
//! Errors say where they happened and never repeat a long string of the input: a talosconfig holds keys. What is
//! too long, or nested too deep, is not given to the parser: it takes the square of the depth, and minutes with it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, DeserializeSeed};

/// Strings of the input that are longer than this many characters are left out of error texts.
const LONGEST_QUOTE: usize = 32;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// More open brackets, or columns of indentation, are in no file of ours; those in texts and comments count, too.
const DEEPEST: usize = 100;
/// What ends a line for the parser.
const BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// The text of a file.
///
/// # Errors
/// It cannot be read, or is longer than any configuration.
pub fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        let problem = "it is longer than 1 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(text)
}

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
    if let Some(location) = too_deep(text) {
        return Err(YamlError {
            location: Some(location),
            problem: "nested too deep".to_owned(),
        });
    }
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

/// Line and column of the first bracket, or of the first indentation, that is nested too deep.
fn too_deep(text: &str) -> Option<(usize, usize)> {
    let (mut brackets, mut line) = (0_usize, 1);
    for content in text.split_inclusive(BREAKS) {
        let mut is_indentation = true;
        for (column, byte) in content.bytes().enumerate() {
            // A level begins with a mark and a blank, or with blanks alone.
            let next = content.as_bytes().get(column + 1);
            let is_mark =
                matches!(byte, b'-' | b'?' | b':') && next.is_none_or(u8::is_ascii_whitespace);
            is_indentation &= is_mark || matches!(byte, b' ' | b'\t');
            match byte {
                b'[' | b'{' => brackets += 1,
                b']' | b'}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
            if brackets > DEEPEST || is_indentation && column >= DEEPEST {
                return Some((line, column + 1));
            }
        }
        line += usize::from(content.ends_with('\n'));
    }
    None
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
    fn a_text_that_is_nested_too_deep_is_an_error_at_once() {
        // Long enough to be noticed: the parser takes more than 10 s for the first of them.
        let texts = ["[", "{", "- ", "? ", "[\n", "{a: "];
        for text in texts.map(|part| part.repeat(200_000)) {
            let start = std::time::Instant::now();
            let error = from_str::<BTreeMap<String, bool>>(&text).unwrap_err();
            assert!(
                start.elapsed().as_secs() < 2,
                "{:?}: {error}",
                text.get(..8)
            );
        }
        let block: String = (0..700)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect();
        let error = from_str::<BTreeMap<String, bool>>(&block).unwrap_err();
        assert_eq!(error.to_string(), "line 102, column 101: nested too deep");
        // Whatever the parser takes for the end of a line.
        for end in BREAKS {
            let error = from_str::<bool>(&format!("a: b{end}{}", "- ".repeat(200_000)));
            assert_eq!(error.unwrap_err().problem, "nested too deep");
        }
        let error = from_str::<BTreeMap<String, bool>>(&format!("a:\n{}", "[".repeat(101)));
        assert_eq!(error.unwrap_err().location, Some((2, 101)));
    }

    #[test]
    fn what_is_closed_or_long_is_not_deep() {
        let text = format!("a: [{}]\n", "[], {}, ".repeat(1000));
        assert!(from_str::<BTreeMap<String, Vec<serde::de::IgnoredAny>>>(&text).is_ok());
        let text = format!("a: true\n{}", "# - - - - ".repeat(100));
        assert!(from_str::<BTreeMap<String, Option<bool>>>(&text).is_ok());
    }

    #[test]
    fn an_endless_file_ends() {
        let error = text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn an_empty_text_is_null() {
        assert_eq!(from_str::<Option<bool>>(""), Ok(None));
        assert_eq!(from_str::<Option<bool>>("# nothing\n"), Ok(None));
    }
}
