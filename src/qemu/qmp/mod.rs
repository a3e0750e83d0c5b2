//! The framing of requests and replies: JSON objects in a stream, as qemu-ga reads and writes them.

use serde_json::{Map, Value};

/// A request, whose command and arguments nobody has looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Name of the command.
    pub command: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// What the reply has to carry, too.
    pub id: Option<Value>,
}

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
        id: Option<Value>,
    },
}

/// Finds requests in a stream of bytes.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// Takes bytes of the host.
    pub fn feed(&mut self, _bytes: &[u8]) {}

    /// The next request in what has been fed.
    pub fn next(&mut self) -> Option<Received> {
        None
    }

    /// Forgets a request that has not come whole: its sender has gone.
    pub fn reset(&mut self) {}
}

/// A reply as a line.
pub fn reply(result: &Result<Value, Error>, id: Option<&Value>) -> Vec<u8> {
    let _ = (result, id);
    Vec::new()
}

/// The reply of guest-sync-delimited: [`reply`] behind the byte 0xFF.
pub fn delimited(result: &Result<Value, Error>, id: Option<&Value>) -> Vec<u8> {
    let mut line = vec![0xFF];
    line.extend(reply(result, id));
    line
}
