//! Programs: functions of the agent that look like programs of the node.
//!
//! ```text
//! Start ─► request ─► command_line          which program, where its output goes
//!             └─► talosctl, relay, stream ─► Work ── Inquiry ──► Talos
//! Record  pid, times, code  ◄── Output ◄─────┘ ◄──── Answer ───┘
//! ```
//! `advance` takes the answers and advances every program that runs. Ended programs are remembered for five
//! minutes, and what they wrote while there is room.

mod command_line;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod help;
mod methods;
mod output;
mod record;
mod relay;
mod request;
mod stream;
mod talosctl;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::inquiries::Ticket;
use super::{Caller, Failure, Files, Right, Rooms};
use crate::config::GuestOperationsConfig;
use crate::inquiry::{Answer, Inquiry};
use record::Record;
use request::{Asked, Program, Refusal};
use work::{Work, World};

/// Linux' PID_MAX_LIMIT: processes of the node have numbers below it, programs here above it.
const PID_MAX_LIMIT: u64 = 4 << 20;
/// Programs that may run at a time.
const MOST_RUNNING: usize = 64;
/// Programs that are remembered, those that run included.
const MOST_RECORDS: usize = 256;
/// Bytes of requests that programs have read and not yet used.
const MOST_INPUT: usize = 4 << 20;
/// Bytes of a command line that are shown.
const MOST_LINE: usize = 1 << 10;
/// How long all output of an ended program is kept.
const FRESH: Duration = Duration::from_secs(15);
/// Bytes of output that are kept longer than that.
const MOST_OLD: usize = 512 << 10;
/// How long a listing waits to be asked for again.
const MOST_LISTING: Duration = Duration::from_secs(5);

/// All that run or have ended in the last minutes, the oldest first.
#[derive(Debug, Default)]
pub struct Programs {
    records: Vec<Record>,
    /// How many were started.
    started: u64,
    listing: Option<Listing>,
}

/// The node's processes, asked for and not yet there.
#[derive(Debug)]
struct Listing {
    ticket: Ticket,
    asked: Duration,
}

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
    /// The user it belongs to.
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
    /// Where it says what is wrong.
    Stderr,
}

impl Programs {
    /// Drops the programs of users who are gone, and running ones that their user may no longer run.
    pub(super) fn configure(&mut self, config: &GuestOperationsConfig) {
        let users = config.active_users();
        self.records.retain_mut(|record| {
            let user = users.iter().find(|user| *user.name == *record.caller.name);
            if let Some(user) = user {
                record.caller.rights = user.rights;
            }
            let relays = matches!(record.work(), Some(Work::Relay(_) | Work::Stream(_)));
            user.is_some_and(|user| match relays {
                true => user.rights.relay,
                false => user.rights.programs || record.ended().is_some(),
            })
        });
        self.give_back();
        if users.is_empty() {
            self.listing = None;
        }
    }

    /// Advances all programs, and forgets those that ended long ago.
    pub(super) fn advance(&mut self, files: &mut Files, rooms: &mut Rooms, now: Duration) {
        for place in 0..self.records.len() {
            self.step(place, files, rooms, now);
        }
        self.records.retain(|record| !record.is_past(now));
        self.drop_old(now);
        self.give_back();
        self.listing
            .take_if(|listing| now >= listing.asked + MOST_LISTING);
    }

    /// When to call [`Self::advance`] even if no answer comes.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let listing = self
            .listing
            .iter()
            .map(|listing| listing.asked + MOST_LISTING);
        let records = self.records.iter().map(Record::due);
        let old = self.oldest_kept().map(|ended| ended + FRESH);
        listing.chain(records).chain(old).min()
    }

    /// The processes with these numbers, or all: the caller's own programs, those of others, the node's.
    ///
    /// # Errors
    /// When Talos cannot say.
    pub(super) fn list(
        &mut self,
        caller: &Caller,
        pids: &[u64],
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Vec<ShownProcess>, Failure>> {
        let sees_all = caller.may(Right::Processes).is_ok();
        let is_wanted = |pid: &u64| pids.is_empty() || pids.contains(pid);
        let is_own = |record: &&Record| record.caller.name == caller.name;
        let own = self.records.iter().filter(is_own);
        let others = self
            .records
            .iter()
            .filter(|record| sees_all && !is_own(record));
        let mut shown: Vec<ShownProcess> = own
            .chain(others)
            .filter(|record| is_wanted(&record.pid))
            .map(Record::shown)
            .collect();
        let is_of_node = |pid: &u64| *pid <= PID_MAX_LIMIT;
        if !sees_all || (!pids.is_empty() && !pids.iter().any(is_of_node)) {
            return Poll::Ready(Ok(shown));
        }
        let Some(answer) = self.node_processes(rooms, now) else {
            return Poll::Ready(Err(Failure::Busy));
        };
        answer.map_ok(|processes| {
            let processes = processes
                .into_iter()
                .filter(|process| is_wanted(&process.pid));
            shown.extend(processes.map(|process| ShownProcess {
                pid: process.pid,
                command: process.command,
                line: process.line,
                user: "root".to_owned(),
                ..ShownProcess::default()
            }));
            shown
        })
    }

    /// Asks for the node's processes, or takes them.
    fn node_processes(
        &mut self,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Option<Poll<Result<Vec<crate::inquiry::Process>, Failure>>> {
        let listing = match self.listing.take() {
            Some(listing) => listing,
            None => Listing {
                ticket: rooms.inquiries.ask(Inquiry::Processes)?,
                asked: now,
            },
        };
        while let Some(answer) = rooms.inquiries.take(&listing.ticket) {
            match answer {
                Answer::Processes(processes) => return Some(Poll::Ready(Ok(processes))),
                Answer::End(Ok(())) => return Some(Poll::Ready(Err(Failure::Failed))),
                Answer::End(Err(trouble)) => {
                    return Some(Poll::Ready(Err(Failure::from(&trouble))));
                }
                _ => {}
            }
        }
        self.listing = Some(listing);
        Some(Poll::Pending)
    }

    /// Starts a program and gives its number.
    ///
    /// # Errors
    /// When there is no such program, its user may not start it, or there is no room for one.
    pub(super) fn start(
        &mut self,
        caller: &Caller,
        start: &Start<'_>,
        files: &mut Files,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<u64, Failure> {
        let asked = Asked::of(start.path, start.arguments);
        let relays = asked.as_ref().is_ok_and(Asked::relays);
        caller.may(if relays {
            Right::Relay
        } else {
            Right::Programs
        })?;
        let asked = asked?;
        if !is_folder(start.folder) {
            return Err(Failure::NotAFolder);
        }
        if self.records.iter().filter(|record| record.runs()).count() >= MOST_RUNNING {
            return Err(Failure::Busy);
        }
        self.started += 1;
        let pid = PID_MAX_LIMIT + self.started;
        let name = match &asked.command {
            Ok((program, _)) => program.name(),
            Err(refusal) => refusal.by,
        };
        let line = shown_line(start);
        let mut record = Record::new(pid, caller, (name.to_owned(), line), rooms, now);
        let redirected = record
            .output
            .redirect(&asked.redirections, &mut rooms.temporaries, now);
        let command = asked.command.and_then(|command| match redirected {
            Ok(()) => Ok(command),
            Err(reason) => Err(Refusal {
                by: name,
                code: 1,
                reason,
            }),
        });
        let mut world = World {
            caller,
            output: &mut record.output,
            files,
            rooms,
            now,
        };
        match command.and_then(|(program, words)| begin(program, &words, &mut world)) {
            Ok(work) => record.begin(work),
            Err(Refusal { by, code, reason }) => record.fail(by, &reason, code, rooms, now),
        }
        self.records.push(record);
        self.step(self.records.len() - 1, files, rooms, now);
        self.forget_oldest();
        Ok(pid)
    }

    /// Ends a program and its inquiries.
    ///
    /// # Errors
    /// When it is none of this caller's, or does not run.
    pub(super) fn terminate(
        &mut self,
        caller: &Caller,
        pid: u64,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<(), Failure> {
        let record = self.records.iter_mut().find(|record| record.pid == pid);
        let is_seen = caller.may(Right::Processes).is_ok();
        match record {
            Some(record) if record.caller.name == caller.name && record.runs() => {
                record.end(TERMINATED, rooms, now);
                Ok(())
            }
            Some(record) if record.caller.name != caller.name && is_seen => {
                Err(Failure::NotAllowed)
            }
            None if (1..=PID_MAX_LIMIT).contains(&pid) && is_seen => Err(Failure::NotAllowed),
            Some(_) | None => Err(Failure::NoSuchProcess),
        }
    }

    /// Whether this caller has a program with this number.
    pub(super) fn has(&self, caller: &Caller, pid: u64) -> bool {
        let mut records = self.records.iter();
        records.any(|record| record.pid == pid && record.caller.name == caller.name)
    }

    /// The numbers of this caller's programs.
    pub(super) fn own(&self, caller: &Caller) -> Vec<u64> {
        let records = self.records.iter();
        records
            .filter(|record| record.caller.name == caller.name)
            .map(|record| record.pid)
            .collect()
    }

    /// What a program has written and no one has taken. `Pending` while it runs and has nothing for a reader; the
    /// bytes of one that streams are there at once.
    ///
    /// # Errors
    /// [`Failure::NotNow`] when it still runs after a second.
    pub(super) fn output(
        &mut self,
        pid: u64,
        of: Stdio,
        now: Duration,
    ) -> Poll<Result<Arc<[u8]>, Failure>> {
        match self.record(pid) {
            Some(record) => record.read(of, now),
            None => Poll::Ready(Err(Failure::NotFound)),
        }
    }

    /// Drops the first bytes of what [`Self::output`] gave of a program that streams: they have reached the caller.
    pub(super) fn took(&mut self, pid: u64, of: Stdio, len: usize) {
        if let Some(record) = self.record(pid) {
            record.take(of, len);
        }
    }

    /// More of what a program reads; how much was taken.
    ///
    /// # Errors
    /// [`Failure::Busy`] when there is no room for it.
    pub(super) fn input(
        &mut self,
        pid: u64,
        bytes: &[u8],
        rooms: &mut Rooms,
    ) -> Result<usize, Failure> {
        let unused: usize = self.records.iter().map(Record::unused_input).sum();
        let record = self.record(pid).ok_or(Failure::NotFound)?;
        let has_room = unused + bytes.len() <= MOST_INPUT;
        match record.work().ok_or(Failure::NotFound)? {
            Work::Relay(relay) if has_room => relay.feed(bytes),
            Work::Relay(_) => return Err(Failure::Busy),
            Work::Stream(stream) => stream.feed(bytes, &mut rooms.inquiries),
            // Others do not read.
            Work::Copy { .. } | Work::Check(_) | Work::List { .. } | Work::Read(_) => {}
        }
        record.touch();
        Ok(bytes.len())
    }

    fn record(&mut self, pid: u64) -> Option<&mut Record> {
        self.records.iter_mut().find(|record| record.pid == pid)
    }

    /// Advances one program. Ended ones make room for what it writes; if there are none, it ends.
    fn step(&mut self, place: usize, files: &mut Files, rooms: &mut Rooms, now: Duration) {
        let Some(record) = self.records.get_mut(place) else {
            return;
        };
        if !record.runs() {
            return;
        }
        record.step(files, rooms, now);
        let pid = record.pid;
        while self.kept() > output::MOST {
            let oldest = self.records.iter_mut().find(|record| {
                record.pid != pid && record.ended().is_some() && record.output.len() > 0
            });
            if let Some(oldest) = oldest {
                oldest.output.drop_kept();
                continue;
            }
            if let Some(record) = self.records.get_mut(place).filter(|record| record.runs()) {
                let reason = "the programs that run have too much output in all";
                record.fail("talos-vmtoolsd", reason, 1, rooms, now);
            }
            break;
        }
    }

    /// Bytes of output that are kept.
    fn kept(&self) -> usize {
        self.records.iter().map(|record| record.output.len()).sum()
    }

    /// When the oldest of the programs ended that keep more output than may be kept for long.
    fn oldest_kept(&self) -> Option<Duration> {
        let ended = || {
            self.records
                .iter()
                .filter(|record| record.ended().is_some())
        };
        let kept: usize = ended().map(|record| record.output.len()).sum();
        if kept <= MOST_OLD {
            return None;
        }
        ended()
            .filter(|record| record.output.len() > 0)
            .filter_map(Record::ended)
            .min()
    }

    /// Drops output that no one has read in time.
    fn drop_old(&mut self, now: Duration) {
        while let Some(oldest) = self.oldest_kept().filter(|ended| now >= *ended + FRESH) {
            for record in &mut self.records {
                if record.ended() == Some(oldest) {
                    record.output.drop_kept();
                }
            }
        }
    }

    /// Keeps at most [`MOST_RECORDS`].
    fn forget_oldest(&mut self) {
        while self.records.len() > MOST_RECORDS {
            let Some(oldest) = self.records.iter().position(|record| !record.runs()) else {
                return;
            };
            self.records.remove(oldest);
        }
    }

    /// Frees room that is not needed.
    fn give_back(&mut self) {
        if self.records.capacity() > 2 * self.records.len() {
            self.records.shrink_to_fit();
        }
    }
}

/// The exit code of what SIGTERM has ended.
const TERMINATED: i32 = 128 + 15;

/// Begins a program.
fn begin(
    program: Program,
    words: &[String],
    world: &mut World<'_>,
) -> Result<Option<Work>, Refusal> {
    let work = match program {
        Program::Talosctl => {
            talosctl::command(words).and_then(|command| Work::begin(command, world))
        }
        Program::Vmtoolsd => {
            talosctl::of_the_agent(words).and_then(|command| Work::begin(command, world))
        }
        Program::RoundTrip => relay::Relay::begin(words).map(|relay| Some(Work::Relay(relay))),
        Program::Stream => {
            stream::Stream::begin(words, world).map(|stream| Some(Work::Stream(stream)))
        }
    };
    work.map_err(|reason| Refusal {
        by: program.name(),
        code: 1,
        reason,
    })
}

/// Folders to start in. They make no difference; clients insist on one.
fn is_folder(folder: &str) -> bool {
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    matches!(folder, "" | "/tmp" | "/talos" | "/root")
}

/// Path and arguments, cut to what is worth showing.
fn shown_line(start: &Start<'_>) -> String {
    let mut line = start.path.to_owned();
    if !start.arguments.is_empty() {
        line.push(' ');
        line += start.arguments;
    }
    let end = line.floor_char_boundary(MOST_LINE);
    line.truncate(end);
    line.shrink_to_fit();
    line
}
