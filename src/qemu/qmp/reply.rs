//! Replies: an object on a line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

use super::{Error, Id};

/// How much of a description is sent. It may hold what the host has sent, of any length.
const MAX_DESC: usize = 400;

/// A reply as a line.
pub fn reply(result: &Result<Value, Error>, id: Option<&Id>) -> Vec<u8> {
    let mut line = Vec::new();
    match result {
        Ok(value) => {
            line.extend(b"{\"return\": ");
            write(value, &mut line);
        }
        Err(error) => {
            line.extend(b"{\"error\": ");
            write(&Described::from(error), &mut line);
        }
    }
    if let Some(Id(text)) = id {
        line.extend(b", \"id\": ");
        line.extend(text.as_bytes());
    }
    line.extend(b"}\n");
    line
}

/// The reply of guest-sync-delimited: [`reply`] behind the byte 0xFF.
pub fn delimited(result: &Result<Value, Error>, id: Option<&Id>) -> Vec<u8> {
    let mut line = vec![0xFF];
    line.extend(reply(result, id));
    line
}

/// An error as the host sees it.
#[derive(Serialize)]
struct Described {
    class: &'static str,
    desc: String,
}

impl From<&Error> for Described {
    fn from(error: &Error) -> Self {
        let (class, desc) = match error {
            Error::Generic(desc) => ("GenericError", desc),
            Error::CommandNotFound(desc) => ("CommandNotFound", desc),
        };
        let mut shown: String = desc.chars().take(MAX_DESC).collect();
        if shown.len() < desc.len() {
            shown.push('…');
        }
        Self { class, desc: shown }
    }
}

/// Writes a value with qemu-ga's spaces.
fn write(value: &impl Serialize, line: &mut Vec<u8>) {
    // Memory takes every byte, and no value here has keys that are not text.
    let _ = value.serialize(&mut Serializer::with_formatter(line, Spaces));
}

/// JSON on one line, with a space behind each comma and colon.
struct Spaces;

impl Formatter for Spaces {
    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        separate(to, first)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        separate(to, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

/// What stands before a member that is not the first.
fn separate<W: ?Sized + Write>(to: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { to.write_all(b", ") }
}
