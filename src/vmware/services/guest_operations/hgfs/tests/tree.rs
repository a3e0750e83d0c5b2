//! A tree of a few files: a log for all, one file for each user, and what a program reads.

use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use super::super::files::Files;
use crate::config::Rights;
use crate::guest_operations::files::{Attributes, Kind, Location, Opened};
use crate::guest_operations::{Caller, Failure};

pub(super) const LOG: &str = "talos/dmesg.log";
/// A file that contains the name of the user who opens it.
pub(super) const OWN: &str = "tmp/own";
pub(super) const STDIN: &str = "proc/40000/stdin";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Nothing is known for now.
    pub(super) is_away: bool,
    /// What comes of everything.
    pub(super) failure: Option<Failure>,
    /// What was opened.
    pub(super) opened: Vec<String>,
    /// What was closed, and how far it had been read.
    pub(super) closed: Vec<u64>,
    /// What the program has got.
    pub(super) written: Vec<u8>,
}

/// A user with the default rights.
pub(super) fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        rights: Rights::default(),
    }
}

/// The log.
pub(super) fn log() -> Arc<[u8]> {
    static LOG: LazyLock<Arc<[u8]>> =
        LazyLock::new(|| (0..150_001_u32).map(|at| (at % 251) as u8).collect());
    Arc::clone(&LOG)
}

impl Tree {
    fn contents(&self, caller: &Caller, location: &Location) -> Poll<Result<Arc<[u8]>, Failure>> {
        if self.is_away {
            return Poll::Pending;
        }
        if let Some(failure) = self.failure {
            return Poll::Ready(Err(failure));
        }
        Poll::Ready(match location.components.join("/").as_str() {
            LOG => Ok(log()),
            OWN => Ok(caller.name.as_bytes().into()),
            STDIN => Ok(Arc::default()),
            _ => Err(Failure::NotFound),
        })
    }
}

impl Files for &mut Tree {
    fn attributes(
        &mut self,
        caller: &Caller,
        location: &Location,
        _now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        self.contents(caller, location)
            .map_ok(|contents| Attributes {
                kind: Kind::File,
                size: contents.len() as u64,
                times: (0, 0),
                mode: 0o100_444,
                owner: (0, 0),
            })
    }

    fn open(
        &mut self,
        caller: &Caller,
        location: &Location,
        to_write: bool,
        _now: Duration,
    ) -> Poll<Result<Opened, Failure>> {
        let path = location.components.join("/");
        let is_stdin = path == STDIN;
        if to_write && !is_stdin {
            return Poll::Ready(Err(Failure::Disabled));
        }
        let contents = std::task::ready!(self.contents(caller, location))?;
        self.opened.push(path);
        Poll::Ready(Ok(if is_stdin {
            Opened::Input(40_000)
        } else {
            Opened::Whole(contents)
        }))
    }

    fn read(
        &mut self,
        opened: &Opened,
        offset: u64,
        most: usize,
        _now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        if self.is_away {
            return Poll::Pending;
        }
        let Opened::Whole(bytes) = opened else {
            return Poll::Ready(Err(Failure::Disabled));
        };
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let to = from.saturating_add(most).min(bytes.len());
        Poll::Ready(Ok(bytes[from..to].to_vec()))
    }

    fn write(&mut self, opened: &Opened, offset: u64, bytes: &[u8]) -> Result<usize, Failure> {
        let Opened::Input(_) = opened else {
            return Err(Failure::Disabled);
        };
        // A pipe that takes no more than 10 bytes at a time, and none that it has.
        if self.written.len() as u64 != offset {
            return Err(Failure::Invalid);
        }
        let taken = &bytes[..bytes.len().min(10)];
        self.written.extend(taken);
        Ok(taken.len())
    }

    fn close(&mut self, _opened: &Opened, read_to: u64) {
        self.closed.push(read_to);
    }
}
