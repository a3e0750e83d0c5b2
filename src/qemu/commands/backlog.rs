//! Requests that have come and wait for their turn.
//!
//! There is room for as many as an honest host has under way, and for what they carry. A host that sends more gets
//! an error for each of the rest, after the answers to those before.

use std::collections::VecDeque;

use crate::qemu::qmp::Received;

/// How many requests wait at most.
const MOST: usize = 64;
/// How many bytes may have come since the last moment when none waited: a request of the largest size, and some more.
const MOST_BYTES: usize = 2 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: VecDeque<Received>,
    bytes: usize,
    refused: usize,
}

/// What has its turn.
#[derive(Debug, PartialEq)]
pub(super) enum Turn {
    /// This.
    Of(Received),
    /// One that there was no room for.
    Refused,
}

impl Backlog {
    /// So many bytes have come.
    pub(super) fn count(&mut self, bytes: usize) {
        if self.is_empty() {
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// A request has come.
    pub(super) fn push(&mut self, received: Received) {
        let has_room = self.waiting.len() < MOST && self.bytes <= MOST_BYTES;
        // What comes after a refused one has to be answered after it.
        if self.is_empty() || (has_room && self.refused == 0) {
            self.waiting.push_back(received);
        } else {
            self.refused = self.refused.saturating_add(1);
        }
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<Turn> {
        if let Some(next) = self.waiting.pop_front() {
            return Some(Turn::Of(next));
        }
        self.refused = self.refused.checked_sub(1)?;
        Some(Turn::Refused)
    }

    /// Whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.refused == 0
    }
}
