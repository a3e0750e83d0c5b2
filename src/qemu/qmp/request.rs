//! What a text of the stream asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Error, Id, Received, Request};

/// Reads a text that the scanner has found.
pub(super) fn parse(text: &[u8]) -> Received {
    let mut id = None;
    match request(text, &mut id) {
        Ok((command, arguments)) => Received::Request(Request {
            command,
            arguments,
            id,
        }),
        Err(desc) => Received::Malformed {
            error: Error::Generic(desc),
            id,
        },
    }
}

/// Command and arguments, or why there are none. The id is known in both cases, once the text is an object.
fn request(text: &[u8], id: &mut Option<Id>) -> Result<(String, Map<String, Value>), String> {
    let text = std::str::from_utf8(text)
        .map_err(|_| "JSON parse error, invalid UTF-8 sequence in string".to_owned())?;
    if !text.starts_with('{') {
        read::<IgnoredAny>(text)?;
        return Err("QMP input must be a JSON object".to_owned());
    }
    let mut members = read::<Members<'_>>(text)?.0;
    *id = members.remove("id").map(|raw| Id(raw.get().into()));
    let command = members.remove("execute");
    let arguments = members.remove("arguments");
    if let Some(name) = members.keys().next() {
        return Err(format!("QMP input member '{name}' is unexpected"));
    }
    let command = command.ok_or("QMP input lacks member 'execute'")?.get();
    if !command.starts_with('"') {
        return Err("QMP input member 'execute' must be a string".to_owned());
    }
    Ok((
        read(command)?,
        arguments
            .map(read_arguments)
            .transpose()?
            .unwrap_or_default(),
    ))
}

/// The arguments by name.
fn read_arguments(raw: &RawValue) -> Result<Map<String, Value>, String> {
    let text = raw.get();
    if !text.starts_with('{') {
        return Err("QMP input member 'arguments' must be an object".to_owned());
    }
    let members = read::<Members<'_>>(text)?.0;
    members
        .into_iter()
        .map(|(name, raw)| Ok((name.into_owned(), read(raw.get())?)))
        .collect()
}

/// The members of an object, each once, the values not looked at.
struct Members<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("duplicate key"));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// Reads JSON, with qemu-ga's words for what is wrong.
fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("JSON parse error, {}", words(&error, text)))
}

/// What qemu-ga says where the parser of JSON says something else.
const WORDS: [(&str, &str); 8] = [
    ("expected value", "expecting value"),
    ("expected ident", "expecting value"),
    ("trailing comma", "expecting value"),
    ("expected `:`", "missing : in object pair"),
    ("expected `,` or `}`", "expected separator in dict"),
    ("expected `,` or `]`", "expected separator in list"),
    ("key must be a string", "key is not a string in object"),
    ("invalid escape", "invalid escape sequence in string"),
];

/// What is wrong with this text.
fn words(error: &serde_json::Error, text: &str) -> String {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or_default();
    // The text is one line, and columns count from 1.
    if (said.starts_with("expected") || said.starts_with("key must"))
        && let Some(word) = keyword(text.as_bytes(), error.column().saturating_sub(1))
    {
        return format!("invalid keyword '{word}'");
    }
    let known = WORDS.iter().find(|(ours, _)| *ours == said);
    known.map_or(said, |(_, theirs)| theirs).to_owned()
}

/// The word at this place, if it is none of JSON's.
fn keyword(text: &[u8], at: usize) -> Option<String> {
    let is_part = |byte: &&u8| byte.is_ascii_lowercase();
    let before = text.get(..at)?.iter().rev().take_while(is_part).count();
    let word = text.get(at - before..)?.iter().take_while(is_part);
    let word: String = word.take(64).map(|byte| char::from(*byte)).collect();
    (!matches!(word.as_str(), "" | "true" | "false" | "null")).then_some(word)
}
