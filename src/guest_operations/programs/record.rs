//! One program: whose it is, what it does, and what is left of it when it has ended.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::output::Output;
use super::work::{Progress, Work, World};
use super::{Files, ShownProcess, Stdio};
use crate::guest_operations::{Caller, Failure, Rooms};

/// How long a reader waits for a program to end; then the answer is [`Failure::NotNow`].
const PATIENCE: Duration = Duration::from_secs(1);
/// The same for bytes of one that streams: what the caller writes waits behind it.
const PATIENCE_WITH_STREAM: Duration = Duration::from_millis(100);
/// How long an ended program is remembered.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// See the module.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) pid: u64,
    pub(super) caller: Caller,
    pub(super) output: Output,
    name: String,
    line: String,
    started: Moment,
    /// When something came last.
    heard: Duration,
    reader: Reader,
    is_touched: bool,
    state: State,
    /// Whether its output can be taken while it runs.
    streams: bool,
}

/// A time by both clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    since_boot: Duration,
    unix: u64,
}

/// Whether a reader waits for it to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// None does.
    Away,
    /// Since then.
    WaitsSince(Duration),
    /// It has waited long enough.
    HasWaited,
}

#[derive(Debug)]
enum State {
    Runs(Work),
    Ended { at: Moment, code: i32 },
}

impl Record {
    /// A program that has done nothing yet.
    pub(super) fn new(
        pid: u64,
        caller: &Caller,
        (name, line): (String, String),
        rooms: &Rooms,
        now: Duration,
    ) -> Self {
        let started = Moment::at(now, rooms);
        Self {
            pid,
            caller: caller.clone(),
            output: Output::new(Arc::clone(&caller.name)),
            name,
            line,
            started,
            heard: now,
            reader: Reader::Away,
            is_touched: false,
            state: State::Ended {
                at: started,
                code: 0,
            },
            streams: false,
        }
    }

    /// Its work begins; without work it has ended with code 0.
    pub(super) fn begin(&mut self, work: Option<Work>) {
        if let Some(work) = work {
            self.streams = work.streams();
            self.state = State::Runs(work);
        }
    }

    /// It ends, and its inquiries with it.
    pub(super) fn end(&mut self, code: i32, rooms: &Rooms, now: Duration) {
        self.reader = Reader::Away;
        let at = Moment::at(now, rooms);
        self.state = State::Ended { at, code };
    }

    /// It ends, and says why.
    pub(super) fn fail(
        &mut self,
        by: &str,
        reason: &str,
        code: i32,
        rooms: &mut Rooms,
        now: Duration,
    ) {
        let text = format!("{by}: {reason}\n");
        self.output.complain(&text, &mut rooms.temporaries, now);
        self.end(code, rooms, now);
    }

    /// Goes on.
    pub(super) fn step(&mut self, files: &mut Files, rooms: &mut Rooms, now: Duration) {
        if let Reader::WaitsSince(since) = self.reader
            && now >= since + self.patience()
        {
            self.reader = Reader::HasWaited;
        }
        if std::mem::take(&mut self.is_touched) {
            self.heard = now;
        }
        let State::Runs(work) = &mut self.state else {
            return;
        };
        let is_over = limit(work, self.started.since_boot, self.heard) <= now;
        let mut world = World {
            caller: &self.caller,
            output: &mut self.output,
            files,
            rooms,
            now,
        };
        let mut result = work.step(&mut world);
        if is_over && matches!(result, Ok(Progress::Waits | Progress::Goes)) {
            result = work.give_up(&mut world);
        }
        match result {
            Ok(Progress::Waits) => {}
            Ok(Progress::Goes) => self.heard = now,
            Ok(Progress::Ended(code)) => self.end(code, rooms, now),
            Err(reason) => {
                let name = self.name.clone();
                self.fail(&name, &reason, 1, rooms, now);
            }
        }
    }

    /// Whether it has not ended.
    pub(super) const fn runs(&self) -> bool {
        matches!(self.state, State::Runs(_))
    }

    /// What it does.
    pub(super) const fn work(&mut self) -> Option<&mut Work> {
        match &mut self.state {
            State::Runs(work) => Some(work),
            State::Ended { .. } => None,
        }
    }

    /// When it ended.
    pub(super) const fn ended(&self) -> Option<Duration> {
        match &self.state {
            State::Runs(_) => None,
            State::Ended { at, .. } => Some(at.since_boot),
        }
    }

    /// Bytes have gone in or out: it wants to go on at once.
    pub(super) const fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Bytes that it has read and not yet used.
    pub(super) const fn unused_input(&self) -> usize {
        match &self.state {
            State::Runs(Work::Relay(relay)) => relay.len(),
            State::Runs(_) | State::Ended { .. } => 0,
        }
    }

    /// Whether it ended so long ago that it is forgotten.
    pub(super) fn is_past(&self, now: Duration) -> bool {
        self.ended().is_some_and(|ended| now >= ended + KEPT)
    }

    const fn patience(&self) -> Duration {
        if self.streams {
            PATIENCE_WITH_STREAM
        } else {
            PATIENCE
        }
    }

    /// When there is something to do, even if nothing comes.
    pub(super) fn due(&self) -> Duration {
        match &self.state {
            State::Ended { at, .. } => at.since_boot + KEPT,
            State::Runs(_) if self.is_touched => Duration::ZERO,
            State::Runs(work) => {
                let limit = limit(work, self.started.since_boot, self.heard);
                match self.reader {
                    Reader::WaitsSince(since) => limit.min(since + self.patience()),
                    Reader::Away | Reader::HasWaited => limit,
                }
            }
        }
    }

    /// What there is to read. While the program runs, a reader waits a little and then has to ask again.
    pub(super) fn read(&mut self, of: Stdio, now: Duration) -> Poll<Result<Arc<[u8]>, Failure>> {
        if !self.runs() && !self.streams {
            return Poll::Ready(self.output.whole(of));
        }
        let has_some = self.streams && self.output.has_some(of);
        if !self.runs() || of == Stdio::Stdin || has_some {
            self.reader = Reader::Away;
            return Poll::Ready(self.output.so_far(of));
        }
        match self.reader {
            Reader::Away => self.reader = Reader::WaitsSince(now),
            Reader::WaitsSince(since) if now < since + self.patience() => {}
            Reader::WaitsSince(_) | Reader::HasWaited => {
                self.reader = Reader::Away;
                return Poll::Ready(Err(Failure::NotNow));
            }
        }
        Poll::Pending
    }

    /// The caller has the first bytes.
    pub(super) fn take(&mut self, of: Stdio, len: usize) {
        if self.streams {
            self.output.take(of, len);
            self.is_touched = self.runs();
        }
    }

    /// As callers see it.
    pub(super) fn shown(&self) -> ShownProcess {
        ShownProcess {
            pid: self.pid,
            command: self.name.clone(),
            line: self.line.clone(),
            user: self.caller.name.to_string(),
            start: self.started.unix,
            end: match &self.state {
                State::Runs(_) => None,
                State::Ended { at, code } => Some((at.unix, *code)),
            },
        }
    }
}

impl Moment {
    fn at(now: Duration, rooms: &Rooms) -> Self {
        Self {
            since_boot: now,
            unix: (rooms.clock)().as_secs(),
        }
    }
}

/// When a program must end.
fn limit(work: &Work, started: Duration, heard: Duration) -> Duration {
    let (silence, time) = work.limits();
    heard
        .saturating_add(silence)
        .min(started.saturating_add(time))
}
