//! The node of these tests: its programs, and a Talos that answers by hand.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::config::Rights;
use crate::guest_operations::inquiries::Inquiries;
use crate::guest_operations::programs::*;
use crate::guest_operations::temporaries::Temporaries;
use crate::inquiry::{InquiryId, Step, Trouble, TroubleKind};

pub(super) const SECOND: Duration = Duration::from_secs(1);
/// The time since 1970.
pub(super) const WALL: u64 = 1_700_000_000;

/// Programs, Talos by hand, and a clock that stands still.
pub(super) struct Node {
    pub(super) programs: Programs,
    pub(super) files: Files,
    pub(super) rooms: Rooms,
    pub(super) now: Duration,
}

pub(super) fn user(name: &str) -> Caller {
    Caller {
        name: Arc::from(name),
        rights: Rights {
            relay: true,
            ..Rights::default()
        },
    }
}

pub(super) fn without(name: &str, take: impl FnOnce(&mut Rights)) -> Caller {
    let mut caller = user(name);
    take(&mut caller.rights);
    caller
}

pub(super) fn trouble(kind: TroubleKind) -> Answer {
    let text = "no luck".to_owned();
    let status = 14;
    Answer::End(Err(Trouble { kind, text, status }))
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            programs: Programs::default(),
            files: Files::default(),
            rooms: Rooms {
                inquiries: Inquiries::default(),
                temporaries: Temporaries::default(),
                clock: || Duration::from_secs(WALL),
            },
            now: 1000 * SECOND,
        }
    }

    pub(super) fn try_start(
        &mut self,
        caller: &Caller,
        path: &str,
        arguments: &str,
    ) -> Result<u64, Failure> {
        let start = Start {
            path,
            arguments,
            folder: "",
        };
        self.programs
            .start(caller, &start, &mut self.files, &mut self.rooms, self.now)
    }

    pub(super) fn start(&mut self, path: &str, arguments: &str) -> u64 {
        self.try_start(&user("ops"), path, arguments).unwrap()
    }

    pub(super) fn terminate(&mut self, caller: &Caller, pid: u64) -> Result<(), Failure> {
        self.programs
            .terminate(caller, pid, &mut self.rooms, self.now)
    }

    pub(super) fn steps(&mut self) -> Vec<(InquiryId, Step)> {
        std::iter::from_fn(|| self.rooms.inquiries.poll_step()).collect()
    }

    /// The one inquiry that is asked.
    pub(super) fn asked(&mut self) -> (InquiryId, Inquiry) {
        match &self.steps()[..] {
            [(id, Step::Ask(inquiry))] => (*id, inquiry.clone()),
            steps => panic!("{steps:?}"),
        }
    }

    pub(super) fn answer(&mut self, id: InquiryId, answer: Answer) {
        self.rooms.inquiries.handle_answer(id, answer);
        self.advance();
    }

    pub(super) fn advance(&mut self) {
        self.programs
            .advance(&mut self.files, &mut self.rooms, self.now);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.advance();
    }

    pub(super) fn list(
        &mut self,
        caller: &Caller,
        pids: &[u64],
    ) -> Poll<Result<Vec<ShownProcess>, Failure>> {
        self.programs.list(caller, pids, &mut self.rooms, self.now)
    }

    pub(super) fn shown(&mut self, pid: u64) -> ShownProcess {
        let Poll::Ready(Ok(shown)) = self.list(&user("ops"), &[pid]) else {
            panic!("it is a program");
        };
        shown[0].clone()
    }

    pub(super) fn code(&mut self, pid: u64) -> Option<i32> {
        self.shown(pid).end.map(|(_, code)| code)
    }

    pub(super) fn read(&mut self, pid: u64, of: Stdio) -> Poll<Result<String, Failure>> {
        let text = |bytes: Arc<[u8]>| String::from_utf8(bytes.to_vec()).unwrap();
        self.programs.output(pid, of, self.now).map_ok(text)
    }

    /// What it has written, which need not be text.
    pub(super) fn stdout(&mut self, pid: u64) -> Arc<[u8]> {
        match self.programs.output(pid, Stdio::Stdout, self.now) {
            Poll::Ready(Ok(bytes)) => bytes,
            other => panic!("{other:?}"),
        }
    }

    /// What there is to read without waiting.
    pub(super) fn text(&mut self, pid: u64, of: Stdio) -> String {
        match self.read(pid, of) {
            Poll::Ready(Ok(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn stderr(&mut self, pid: u64) -> String {
        self.text(pid, Stdio::Stderr)
    }

    pub(super) fn input(&mut self, pid: u64, bytes: &[u8]) -> Result<usize, Failure> {
        let taken = self.programs.input(pid, bytes, &mut self.rooms);
        self.advance();
        taken
    }
}

pub(super) fn ready(text: &str) -> Poll<Result<String, Failure>> {
    Poll::Ready(Ok(text.to_owned()))
}
