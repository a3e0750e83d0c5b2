//! What was called, by whom, when, and what came of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::Code;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use crate::Method;

/// One call that arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method, or `None` for a path that is not served.
    pub method: Option<Method>,
    /// The request's path.
    pub path: String,
    /// The request in a few words, such as `mode=DEFAULT` or `network/AddressStatuses.net.talos.dev`.
    pub request: String,
    /// The roles that counted: from the certificate on TLS, from `talos-role` on the socket.
    pub roles: Vec<String>,
    /// All ASCII metadata, `talos-role`, `node` and `nodes` among them, in order of arrival.
    pub metadata: Vec<(String, String)>,
    /// Number of the connection it came over, counted from 1.
    pub connection: u64,
    /// When it arrived.
    pub when: Instant,
    /// How it was answered; `None` while it is held, or when the caller went away.
    pub answer: Option<Code>,
}

impl Call {
    /// All values of one metadata key.
    pub fn metadata(&self, key: &str) -> Vec<&str> {
        let pairs = self.metadata.iter().filter(|(name, _)| name == key);
        pairs.map(|(_, value)| value.as_str()).collect()
    }
}

/// The list of all calls since the start.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Vec<Call>>);

impl Journal {
    /// Adds a call and returns its place.
    pub(crate) fn record(&self, call: Call) -> usize {
        let mut calls = self.lock();
        calls.push(call);
        calls.len() - 1
    }

    pub(crate) fn answered(&self, place: usize, code: Code) {
        if let Some(call) = self.lock().get_mut(place) {
            call.answer = Some(code);
        }
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.lock().clone()
    }

    pub(crate) fn of(&self, method: Method) -> Vec<Call> {
        let calls = self.lock();
        let of_method = calls.iter().filter(|call| call.method == Some(method));
        of_method.cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The readable part of a request's metadata.
pub(crate) fn ascii(metadata: &MetadataMap) -> Vec<(String, String)> {
    metadata
        .iter()
        .filter_map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => {
                Some((key.to_string(), value.to_str().ok()?.to_owned()))
            }
            KeyAndValueRef::Binary(..) => None,
        })
        .collect()
}
