//! Programs: functions of the agent that look like programs of the node.

use std::task::Poll;
use std::time::Duration;

use super::{Caller, Failure, Files, Rooms};
use crate::config::GuestOperationsConfig;
use crate::facts::Facts;

/// All that were started, those of the last minutes included.
#[derive(Debug, Default)]
pub struct Programs {}

/// What StartProgram asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start<'a> {
    /// The program: a bare name or a path.
    pub path: &'a str,
    /// Its arguments, in one line as a shell takes them.
    pub arguments: &'a str,
    /// The folder to start in; empty is none.
    pub folder: &'a str,
}

/// A process as a caller sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownProcess {
    /// Its number.
    pub pid: u64,
    /// The name of its program.
    pub command: String,
    /// The whole command line.
    pub line: String,
    /// Whose it is.
    pub user: String,
    /// When it was started, in seconds since 1970; 0 if that is not known.
    pub start: u64,
    /// When it ended and with what code; `None` while it runs.
    pub end: Option<(u64, i32)>,
}

/// The three files of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// What it reads.
    Stdin,
    /// What it writes.
    Stdout,
    /// What is wrong.
    Stderr,
}

impl Programs {
    pub(super) fn configure(&mut self, _config: &GuestOperationsConfig, _rooms: &mut Rooms) {}

    pub(super) fn advance(&mut self, _files: &mut Files, _rooms: &mut Rooms, _now: Duration) {}

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    pub(super) fn list(
        &mut self,
        _caller: &Caller,
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Poll<Result<Vec<ShownProcess>, Failure>> {
        Poll::Ready(Ok(Vec::new()))
    }

    pub(super) fn start(
        &mut self,
        _caller: &Caller,
        _program: &Start<'_>,
        _facts: &Facts,
        _files: &mut Files,
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Result<u64, Failure> {
        Err(Failure::NotFound)
    }

    pub(super) fn terminate(
        &mut self,
        _caller: &Caller,
        _pid: u64,
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Result<(), Failure> {
        Err(Failure::NoSuchProcess)
    }

    /// Whether this caller has a program with this number.
    pub(super) fn has(&self, _caller: &Caller, _pid: u64) -> bool {
        false
    }

    /// What a program has written and nobody has taken. `Pending` while it runs and has nothing for a reader; the
    /// bytes of one that streams are there at once.
    pub(super) fn output(
        &mut self,
        _pid: u64,
        _of: Stdio,
        _now: Duration,
    ) -> Poll<Result<std::sync::Arc<[u8]>, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// The first bytes of what [`Self::output`] gave of a program that streams have reached the caller: they are not
    /// given again.
    pub(super) fn took(&mut self, _pid: u64, _of: Stdio, _len: usize, _rooms: &mut Rooms) {}

    /// More of what a program reads. How much was taken; none is [`Failure::Busy`].
    pub(super) fn input(
        &mut self,
        _pid: u64,
        _bytes: &[u8],
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Result<usize, Failure> {
        Err(Failure::NotFound)
    }
}
