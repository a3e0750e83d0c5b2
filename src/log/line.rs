//! One line of the log: collecting fields, and writing them as text or JSON.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::time::Duration;

use tracing::Level;
use tracing::field::{Field, Visit};

use super::{Chain, time};

/// Name that tracing gives to the text of an event.
const MESSAGE: &str = "message";

/// Named values of an event or a span, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl Fields {
    /// Those of the line that says how many lines were dropped before it.
    pub(super) fn dropped(dropped: u64) -> Self {
        let message = "log lines were dropped because stderr was full; check what reads it";
        Self(vec![
            (MESSAGE, Value::Text(message.to_owned())),
            ("dropped", Value::Unsigned(dropped)),
        ])
    }

    /// Adds the fields of `around` that are not there yet.
    pub(super) fn extend(&mut self, around: &Self) {
        for (name, value) in &around.0 {
            if !self.0.iter().any(|(known, _)| known == name) {
                self.0.push((name, value.clone()));
            }
        }
    }

    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    fn message(&self) -> String {
        self.0
            .iter()
            .find(|(name, _)| *name == MESSAGE)
            .map(|(_, value)| value.to_string())
            .unwrap_or_default()
    }

    fn named(&self) -> impl Iterator<Item = &(&'static str, Value)> {
        self.0.iter().filter(|(name, _)| *name != MESSAGE)
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, Value::Text(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, Value::Text(value.to_owned()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, Value::Unsigned(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, Value::Float(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field, Value::Text(Chain(value).to_string()));
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
        }
    }
}

/// An event, ready to be written.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Time since the epoch.
    pub(super) time: Duration,
    /// Severity.
    pub(super) level: Level,
    /// The event's fields and those of the spans around it.
    pub(super) fields: &'a Fields,
}

impl Line<'_> {
    /// Time, level, message, fields; the level coloured for a terminal.
    pub(super) fn text(&self, colour: bool) -> String {
        let mut line = time::rfc3339(self.time);
        let (start, end) = if colour {
            (colour_of(self.level), "\x1b[0m")
        } else {
            ("", "")
        };
        // Writing to a String cannot fail.
        let _ = write!(line, " {start}{:<5}{end} ", self.level.as_str());
        push_escaped(&mut line, &self.fields.message(), false);
        for (name, value) in self.fields.named() {
            let _ = write!(line, " {name}=");
            match value {
                Value::Text(text) if needs_quotes(text) => {
                    line.push('"');
                    push_escaped(&mut line, text, true);
                    line.push('"');
                }
                value => {
                    let _ = write!(line, "{value}");
                }
            }
        }
        line.push('\n');
        line
    }

    /// One JSON object: time, level, message, then the fields by name.
    pub(super) fn json(&self) -> String {
        let mut line = format!(
            "{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}",
            time::rfc3339(self.time),
            self.level.as_str().to_ascii_lowercase(),
            serde_json::Value::from(self.fields.message()),
        );
        for (name, value) in self.fields.named() {
            let value = match value {
                Value::Text(text) => serde_json::Value::from(text.as_str()),
                Value::Bool(value) => (*value).into(),
                Value::Signed(value) => (*value).into(),
                Value::Unsigned(value) => (*value).into(),
                Value::Float(value) => (*value).into(),
            };
            let _ = write!(line, ",{}:{value}", serde_json::Value::from(*name));
        }
        line.push_str("}\n");
        line
    }
}

fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        _ => "\x1b[2m",
    }
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='))
}

/// Backslashes stay as they are: bytes from the host have been escaped before.
fn push_escaped(line: &mut String, text: &str, quoted: bool) {
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else if quoted && c == '"' {
            line.push_str("\\\"");
        } else {
            line.push(c);
        }
    }
}
