//! The framing of requests and replies: JSON objects in a stream, as qemu-ga reads and writes them.
//!
//! ```text
//! -> {"execute": "guest-sync", "arguments": {"id": 17}, "id": "a"}
//! <- {"return": 17, "id": "a"}
//! -> hello
//! <- {"error": {"class": "GenericError", "desc": "JSON parse error, invalid keyword 'hello'"}}
//! ```
//!
//! [`Parser`] cuts the stream into texts (`scanner`), and `request` reads one. Objects may share a line or span
//! several, and need no newline at the end. The byte 0xFF discards what has not come whole, in silence. What is no
//! request gets one error, in qemu-ga's words.
//!
//! Here more is caught than there: a value that follows another without a comma ends the text at once, so that a torn
//! request does not swallow those of the next client. After an error that leaves it open where the text ends, the
//! stream goes on behind the next newline or 0xFF.

use std::collections::VecDeque;

use serde_json::{Map, Value};

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod reply;
mod request;
mod scanner;

#[cfg(test)]
mod tests;

pub use reply::{delimited, reply};

use scanner::{Found, Scanner};

/// A request, whose command and arguments nobody has looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Its arguments. A number beyond 64 bits is a float.
    pub arguments: Map<String, Value>,
    /// What the reply has to carry, too.
    pub id: Option<Id>,
}

/// The id of a request: any JSON value, kept as the host wrote it, so that numbers of any size come back unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(Box<str>);

/// Why a request is not answered with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Class GenericError.
    #[error("{0}")]
    Generic(String),
    /// Class CommandNotFound: there is no such command, or not for this host.
    #[error("{0}")]
    CommandNotFound(String),
}

/// What comes out of the stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// A request.
    Request(Request),
    /// Something that is none; its reply.
    Malformed {
        /// Why.
        error: Error,
        /// The id, where one is known.
        id: Option<Id>,
    },
}

/// Finds requests in a stream of bytes.
#[derive(Debug, Default)]
pub struct Parser {
    /// What nobody has asked [`Parser::next`] about.
    fed: VecDeque<u8>,
    scanner: Scanner,
}

impl Parser {
    /// Takes bytes of the host. Call [`Parser::next`] until there is no more before feeding again.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.fed.extend(bytes);
    }

    /// The next request in what has been fed.
    #[allow(clippy::should_implement_trait, reason = "there is more after a None")]
    pub fn next(&mut self) -> Option<Received> {
        while let Some(byte) = self.fed.pop_front() {
            if let Some(found) = self.scanner.take(byte) {
                return Some(match found {
                    Found::Text(text) => request::parse(&text),
                    Found::Broken(desc) => Received::Malformed {
                        error: Error::Generic(desc),
                        id: None,
                    },
                });
            }
        }
        None
    }

    /// Forgets a request that has not come whole: its sender has gone.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
