//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command_line::parse;
use super::output::MOST;
pub use super::relay::fuzz::fuzz_http;
use super::request::Asked;
use super::{MOST_RECORDS, MOST_RUNNING, PID_MAX_LIMIT, Programs, Start, Stdio, talosctl};
use crate::config::{GuestOperationsConfig, Rights, User};
use crate::fuzz::Choices;
use crate::guest_operations::inquiries::Inquiries;
use crate::guest_operations::temporaries::Temporaries;
use crate::guest_operations::{Caller, Files, Rooms};
use crate::inquiry::{
    Answer, Inquiry, InquiryId, MOST_IN_PIECE, Process, Step, Trouble, TroubleKind,
};

/// The words of a line without faults are those of the line that quotes each of them.
pub fn fuzz_command_line(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let line = parse(&text);
    let len: usize = line.words.iter().map(String::len).sum();
    assert!(len <= text.len());
    if line.fault.is_none() {
        let quoted = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
        let quoted: Vec<String> = line.words.iter().map(quoted).collect();
        assert_eq!(parse(&quoted.join(" ")).words, line.words);
    }
    for shell in ["sh", "talosctl"] {
        let asked = Asked::of(shell, &text).expect("it is a program");
        if let Ok((_, words)) = asked.command {
            let _ = talosctl::command(&words);
        }
    }
}

/// Users, Talos and time in any order. Bounds hold, nothing is due in the past, every program ends, and no inquiry
/// is left over.
pub fn fuzz_programs(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut world = World::new();
    while !choices.is_empty() {
        world.turn(&mut choices);
        world.check();
    }
    // No one asks any more, and Talos is silent.
    let mut turns = 0;
    while let Some(due) = world.programs.poll_timeout() {
        world.now = world.now.max(due);
        world.advance();
        world.check();
        turns += 1;
        assert!(turns <= 10 * MOST_RECORDS, "there is always something due");
    }
    world.take_steps();
    assert!(world.programs.records.is_empty());
    assert_eq!(world.programs.records.capacity(), 0);
    assert!(world.open.is_empty(), "left over: {:?}", world.open);
}

const LINES: [(&str, &str); 16] = [
    ("talosctl", "help"),
    ("talosctl", "dmesg"),
    ("talosctl", "dmesg -f"),
    ("talosctl", "logs apid --tail 3 1> /tmp/a 2> /tmp/b"),
    ("talosctl", "logs apid > /tmp/a 2>&1"),
    ("/bin/sh", "-c 'talosctl get links -o yaml'"),
    ("/bin/sh", "-c 'talosctl get links | wc 2> /tmp/b'"),
    ("/bin/bash", "-c 'ls /'"),
    ("talosctl", "list /talos"),
    ("talosctl", "read /talos/README.txt"),
    ("talos-vmtoolsd", "check"),
    ("http.RoundTrip", "talos"),
    ("http.RoundTrip", "elsewhere"),
    ("apid.Stream", ""),
    ("talosctl", "reboot"),
    ("ls", ""),
];

struct World {
    programs: Programs,
    files: Files,
    rooms: Rooms,
    now: Duration,
    callers: [Caller; 2],
    /// What was asked and has not ended, and whether it is a connection.
    open: BTreeMap<InquiryId, Inquiry>,
}

impl World {
    fn new() -> Self {
        let rights = Rights {
            relay: true,
            ..Rights::default()
        };
        let caller = |name: &str| Caller {
            name: Arc::from(name),
            rights,
        };
        Self {
            programs: Programs::default(),
            files: Files::default(),
            rooms: Rooms {
                inquiries: Inquiries::default(),
                temporaries: Temporaries::default(),
                clock: || Duration::from_secs(1_700_000_000),
            },
            now: Duration::from_secs(100),
            callers: [caller("ops"), caller("dev")],
            open: BTreeMap::new(),
        }
    }

    fn turn(&mut self, choices: &mut Choices<'_>) {
        let Self {
            programs,
            files,
            rooms,
            now,
            callers,
            ..
        } = self;
        let caller = &callers[usize::from(choices.below(2))];
        let first = programs.records.first().map_or(0, |record| record.pid);
        let pid = first + u64::from(choices.below(8));
        let of = [Stdio::Stdin, Stdio::Stdout, Stdio::Stderr][usize::from(choices.below(3))];
        match choices.below(9) {
            0 | 1 => {
                let (path, arguments) = LINES[usize::from(choices.below(16))];
                let start = Start {
                    path,
                    arguments,
                    folder: "",
                };
                let started = programs.start(caller, &start, files, rooms, *now);
                if let Ok(pid) = started {
                    assert!(pid > PID_MAX_LIMIT && programs.has(caller, pid));
                }
            }
            2 => {
                let _ = programs.terminate(caller, pid, rooms, *now);
            }
            3 => {
                let _ = programs.list(caller, &[], rooms, *now);
            }
            4 => {
                if let std::task::Poll::Ready(Ok(bytes)) = programs.output(pid, of, *now)
                    && choices.flag()
                {
                    programs.took(pid, of, bytes.len() / 2);
                }
            }
            5 => {
                let bytes = choices.bytes();
                let times = 1 << choices.below(12);
                let _ = programs.input(pid, &bytes.repeat(times), rooms);
            }
            6 => {
                self.answer(choices);
            }
            7 => {
                *now += Duration::from_millis(u64::from(choices.byte()) << choices.below(12));
            }
            _ => {
                let mut users: Vec<User> = Vec::new();
                for caller in callers.iter_mut() {
                    caller.rights.relay = choices.flag();
                    if choices.below(4) > 0 {
                        users.push(User {
                            name: caller.name.to_string(),
                            password_hash: None,
                            public_key: None,
                            rights: caller.rights,
                        });
                    }
                }
                let config = GuestOperationsConfig {
                    enabled: choices.below(8) > 0,
                    users,
                    node_files: Vec::new(),
                };
                programs.configure(&config);
            }
        }
        self.take_steps();
        self.advance();
    }

    /// Talos says something.
    fn answer(&mut self, choices: &mut Choices<'_>) {
        let open = usize::from(choices.byte()) % self.open.len().max(1);
        let Some((&id, inquiry)) = self.open.iter().nth(open) else {
            return;
        };
        let trouble = Trouble {
            kind: TroubleKind::Away,
            text: "away".to_owned(),
            status: 14,
        };
        let answer = match (choices.below(4), inquiry) {
            (0, _) => Answer::End(Ok(())),
            (1, _) => Answer::End(Err(trouble)),
            (_, Inquiry::Processes) => Answer::Processes(vec![Process::default()]),
            (_, Inquiry::Checks) => Answer::Checks(Vec::new()),
            (_, Inquiry::Call { .. }) => Answer::Message(vec![7; MOST << choices.below(2)]),
            _ => {
                // Some answers are long.
                for _ in 0..1 << choices.below(8) {
                    let piece = Answer::Bytes(vec![7; MOST_IN_PIECE]);
                    self.rooms.inquiries.handle_answer(id, piece);
                }
                Answer::Bytes(choices.bytes().to_vec())
            }
        };
        if matches!(answer, Answer::End(_)) {
            self.open.remove(&id);
        }
        self.rooms.inquiries.handle_answer(id, answer);
    }

    fn advance(&mut self) {
        self.programs
            .advance(&mut self.files, &mut self.rooms, self.now);
        self.take_steps();
    }

    fn take_steps(&mut self) {
        while let Some((id, step)) = self.rooms.inquiries.poll_step() {
            match step {
                Step::Ask(inquiry) => {
                    assert!(self.open.insert(id, inquiry).is_none(), "asked twice");
                }
                Step::Forget => {
                    assert!(self.open.remove(&id).is_some(), "it has ended before");
                }
                Step::Feed(bytes) => assert!(bytes.len() <= MOST_IN_PIECE),
                Step::More => {}
            }
        }
    }

    fn check(&self) {
        let records = &self.programs.records;
        assert!(records.len() <= MOST_RECORDS);
        assert!(records.iter().filter(|record| record.runs()).count() <= MOST_RUNNING);
        let kept: usize = records.iter().map(|record| record.output.len()).sum();
        assert!(
            kept <= MOST + MOST_RUNNING * (8 << 10),
            "{kept} bytes are kept"
        );
        assert!(records.is_sorted_by(|one, next| one.pid < next.pid));
        let due = self.programs.poll_timeout();
        assert!(due.is_none_or(|due| due > self.now), "{due:?} is past");
    }
}
