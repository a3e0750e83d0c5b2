use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::*;
use crate::config::{Rights, User};
use crate::diagnosis::{Check, Outcome};
use crate::guest_operations::inquiries::Inquiries;
use crate::guest_operations::temporaries::Temporaries;
use crate::inquiry::{InquiryId, MOST_IN_PIECE, Process, Show, Step, Trouble, TroubleKind};

const SECOND: Duration = Duration::from_secs(1);
/// The time since 1970.
const WALL: u64 = 1_700_000_000;

/// Programs, Talos by hand, and a clock that stands still.
struct Node {
    programs: Programs,
    files: Files,
    rooms: Rooms,
    now: Duration,
}

fn user(name: &str) -> Caller {
    Caller {
        name: Arc::from(name),
        rights: Rights {
            relay: true,
            ..Rights::default()
        },
    }
}

fn without(name: &str, take: impl FnOnce(&mut Rights)) -> Caller {
    let mut caller = user(name);
    take(&mut caller.rights);
    caller
}

fn trouble(kind: TroubleKind) -> Answer {
    let text = "no luck".to_owned();
    let status = 14;
    Answer::End(Err(Trouble { kind, text, status }))
}

impl Node {
    fn new() -> Self {
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

    fn try_start(&mut self, caller: &Caller, path: &str, arguments: &str) -> Result<u64, Failure> {
        let start = Start {
            path,
            arguments,
            folder: "",
        };
        self.programs
            .start(caller, &start, &mut self.files, &mut self.rooms, self.now)
    }

    fn start(&mut self, path: &str, arguments: &str) -> u64 {
        self.try_start(&user("ops"), path, arguments).unwrap()
    }

    fn steps(&mut self) -> Vec<(InquiryId, Step)> {
        std::iter::from_fn(|| self.rooms.inquiries.poll_step()).collect()
    }

    /// The one inquiry that is asked.
    fn asked(&mut self) -> (InquiryId, Inquiry) {
        match &self.steps()[..] {
            [(id, Step::Ask(inquiry))] => (*id, inquiry.clone()),
            steps => panic!("{steps:?}"),
        }
    }

    fn answer(&mut self, id: InquiryId, answer: Answer) {
        self.rooms.inquiries.handle_answer(id, answer);
        self.advance();
    }

    fn advance(&mut self) {
        self.programs
            .advance(&mut self.files, &mut self.rooms, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.advance();
    }

    fn list(&mut self, caller: &Caller, pids: &[u64]) -> Poll<Result<Vec<ShownProcess>, Failure>> {
        self.programs.list(caller, pids, &mut self.rooms, self.now)
    }

    fn shown(&mut self, pid: u64) -> ShownProcess {
        let Poll::Ready(Ok(shown)) = self.list(&user("ops"), &[pid]) else {
            panic!("it is a program");
        };
        shown[0].clone()
    }

    fn code(&mut self, pid: u64) -> Option<i32> {
        self.shown(pid).end.map(|(_, code)| code)
    }

    fn read(&mut self, pid: u64, of: Stdio) -> Poll<Result<String, Failure>> {
        let text = |bytes: Arc<[u8]>| String::from_utf8(bytes.to_vec()).unwrap();
        self.programs.output(pid, of, self.now).map_ok(text)
    }

    fn stderr(&mut self, pid: u64) -> String {
        match self.read(pid, Stdio::Stderr) {
            Poll::Ready(Ok(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    fn input(&mut self, pid: u64, bytes: &[u8]) -> Result<usize, Failure> {
        let taken = self.programs.input(pid, bytes, &mut self.rooms);
        self.advance();
        taken
    }
}

fn ready(text: &str) -> Poll<Result<String, Failure>> {
    Poll::Ready(Ok(text.to_owned()))
}

#[test]
fn a_program_asks_talos_and_ends_with_what_it_says() {
    let mut node = Node::new();
    let pid = node.start("/usr/bin/talosctl", "version");
    assert!(pid > 32768);
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Show(Show::Version));
    let runs = ShownProcess {
        pid,
        command: "talosctl".to_owned(),
        line: "/usr/bin/talosctl version".to_owned(),
        user: "ops".to_owned(),
        start: WALL,
        end: None,
    };
    assert_eq!(node.shown(pid), runs);
    node.answer(id, Answer::Bytes(b"Talos ".to_vec()));
    node.answer(id, Answer::Bytes(b"v1.13\n".to_vec()));
    assert_eq!(node.code(pid), None);
    node.answer(id, Answer::End(Ok(())));
    let end = Some((WALL, 0));
    assert_eq!(node.shown(pid), ShownProcess { end, ..runs });
    assert_eq!(node.read(pid, Stdio::Stdout), ready("Talos v1.13\n"));
    assert_eq!(node.read(pid, Stdio::Stderr), ready(""));
    assert_eq!(node.read(pid, Stdio::Stdin), ready(""));
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        ready("Talos v1.13\n"),
        "again"
    );
}

#[test]
fn what_talos_cannot_give_ends_with_code_1_and_a_reason() {
    for (kind, reason) in [
        (TroubleKind::Away, "talosctl: no luck\n"),
        (
            TroubleKind::Denied,
            "talosctl: no luck; the agent needs the role os:reader for it\n",
        ),
    ] {
        let mut node = Node::new();
        let pid = node.start("talosctl", "dmesg");
        let (id, _) = node.asked();
        node.answer(id, Answer::Bytes(b"half".to_vec()));
        node.answer(id, trouble(kind));
        assert_eq!(node.code(pid), Some(1));
        assert_eq!(node.stderr(pid), reason);
        assert_eq!(node.read(pid, Stdio::Stdout), ready("half"));
    }
}

#[test]
fn what_is_known_or_wrong_ends_at_once_and_talos_is_not_asked() {
    let mut node = Node::new();
    for (path, arguments, code, reason) in [
        ("talosctl", "help", 0, ""),
        ("talosctl", "reboot", 1, "talosctl: reboot is not here"),
        (
            "talosctl",
            "dmesg | head",
            2,
            "talosctl: there are no pipes",
        ),
        ("sh", "-c 'dmesg'", 127, "sh: dmesg: no such program"),
        ("bash", "", 2, "bash: there is no shell"),
        (
            "talosctl",
            "help > /etc/passwd",
            1,
            "talosctl: /etc/passwd: cannot be written",
        ),
        (
            "talos-vmtoolsd",
            "rpc x",
            1,
            "talos-vmtoolsd: here there is only",
        ),
        (
            "apid.Stream",
            "10.0.0.1",
            1,
            "apid.Stream: it takes no arguments",
        ),
        (
            "http.RoundTrip",
            "10.0.0.1:50000",
            1,
            "http.RoundTrip: its one argument",
        ),
        ("http.RoundTrip", "", 1, "http.RoundTrip: its one argument"),
    ] {
        let pid = node.start(path, arguments);
        assert_eq!(node.code(pid), Some(code), "{arguments}");
        let stderr = node.stderr(pid);
        assert!(stderr.starts_with(reason), "{arguments}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{arguments}");
    }
    assert_eq!(node.steps(), []);
}

#[test]
fn a_program_that_is_none_does_not_start() {
    let mut node = Node::new();
    let ops = user("ops");
    assert_eq!(
        node.try_start(&ops, "/bin/ls", "-l"),
        Err(Failure::NotFound)
    );
    assert_eq!(node.try_start(&ops, "", ""), Err(Failure::Invalid));
    let start = Start {
        path: "talosctl",
        arguments: "help",
        folder: "/nowhere",
    };
    let Node {
        programs,
        files,
        rooms,
        now,
        ..
    } = &mut node;
    let started = programs.start(&ops, &start, files, rooms, *now);
    assert_eq!(started, Err(Failure::NotAFolder));
    assert_eq!(
        node.list(&without("ops", |rights| rights.processes = false), &[]),
        Poll::Ready(Ok(Vec::new()))
    );
}

#[test]
fn each_program_needs_its_right() {
    let mut node = Node::new();
    let no_programs = without("ops", |rights| rights.programs = false);
    assert_eq!(
        node.try_start(&no_programs, "talosctl", "help"),
        Err(Failure::NotAllowed)
    );
    assert_eq!(
        node.try_start(&no_programs, "ls", ""),
        Err(Failure::NotAllowed)
    );
    assert!(node.try_start(&no_programs, "apid.Stream", "").is_ok());
    let no_relay = without("ops", |rights| rights.relay = false);
    for (path, arguments) in [
        ("apid.Stream", ""),
        ("http.RoundTrip", "talos"),
        ("sh", "-c 'http.RoundTrip talos'"),
    ] {
        assert_eq!(
            node.try_start(&no_relay, path, arguments),
            Err(Failure::NotAllowed)
        );
    }
    let few = without("ops", |rights| {
        rights.files = false;
        rights.processes = false;
    });
    node.steps();
    for (arguments, right) in [
        ("list /talos", "files"),
        ("read /talos/README.txt", "files"),
        ("support", "files"),
        ("processes", "processes"),
    ] {
        let pid = node.try_start(&few, "talosctl", arguments).unwrap();
        assert!(node.stderr(pid).contains(right), "{arguments}");
    }
    assert_eq!(node.steps(), []);
}

const A: &str = "/tmp/avmware1";
const B: &str = "/tmp/bvmware2";

#[test]
fn output_goes_to_temporary_files_of_the_caller() {
    let mut node = Node::new();
    let mut make = |name, prefix| {
        let temporaries = &mut node.rooms.temporaries;
        temporaries.make(&user(name), prefix, "", node.now).unwrap()
    };
    let (a, b, of_dev) = (make("ops", "a"), make("ops", "b"), make("dev", "c"));
    assert_eq!((&a[..], &b[..], &of_dev[..]), (A, B, "/tmp/cvmware3"));
    let contents = |node: &mut Node, path: &str| {
        let name = path.strip_prefix("/tmp/").unwrap();
        let bytes = node.rooms.temporaries.read("ops", name, node.now).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let pid = node.start(
        "/bin/bash",
        "-c 'talosctl logs apid 1> /tmp/avmware1 2> /tmp/bvmware2'",
    );
    let (id, _) = node.asked();
    node.answer(id, Answer::Bytes(b"one\n".to_vec()));
    node.answer(id, trouble(TroubleKind::Away));
    assert_eq!(contents(&mut node, A), "one\n");
    assert_eq!(contents(&mut node, B), "talosctl: no luck\n");
    assert_eq!(node.read(pid, Stdio::Stdout), ready(""));
    assert_eq!(node.read(pid, Stdio::Stderr), ready(""));

    node.start(
        "/bin/bash",
        "> /tmp/avmware1 2>&1 -c \"talosctl frobnicate\"",
    );
    assert!(contents(&mut node, A).starts_with("talosctl: unknown command"));
    assert_eq!(contents(&mut node, B), "talosctl: no luck\n", "not touched");

    node.start(
        "/bin/sh",
        "-c 'talosctl dmesg | grep x' 1> /tmp/avmware1 2> /tmp/bvmware2",
    );
    assert_eq!(contents(&mut node, A), "", "it begins empty");
    assert!(contents(&mut node, B).starts_with("talosctl: there are no pipes"));

    let pid = node.start("talosctl", "frobnicate 2>&1 > /tmp/avmware1");
    assert!(
        matches!(node.read(pid, Stdio::Stdout), Poll::Ready(Ok(text)) if text.starts_with("talosctl: unk"))
    );

    let pid = node.start("talosctl", "frobnicate > /dev/null 2> /dev/null");
    assert_eq!((node.code(pid), node.stderr(pid)), (Some(1), String::new()));

    let pid = node.start("talosctl", "help > /tmp/cvmware3");
    assert_eq!(node.code(pid), Some(1));
    assert!(
        node.stderr(pid)
            .contains("/tmp/cvmware3: cannot be written")
    );
}

#[test]
fn a_temporary_file_that_is_full_ends_the_program() {
    let mut node = Node::new();
    let temporaries = &mut node.rooms.temporaries;
    let path = temporaries.make(&user("ops"), "a", "", node.now).unwrap();
    assert_eq!(path, A);
    let pid = node.start("talosctl", "dmesg -f > /tmp/avmware1");
    let (id, _) = node.asked();
    for _ in 0..32 {
        assert_eq!(node.code(pid), None);
        node.answer(id, Answer::Bytes(vec![b'x'; MOST_IN_PIECE]));
    }
    node.answer(id, Answer::Bytes(vec![b'x'; 1]));
    assert_eq!(node.code(pid), Some(1));
    let reason = node.stderr(pid);
    assert!(
        reason.starts_with("talosctl: /tmp/avmware1 takes no more: ") && reason.contains("--tail"),
        "{reason}"
    );
    let bytes = node.rooms.temporaries.read("ops", "avmware1", node.now);
    assert_eq!(bytes.unwrap().len(), 1 << 20);
}

#[test]
fn the_output_of_a_program_that_runs_can_be_asked_for_again_after_a_second() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg -f");
    let (id, _) = node.asked();
    node.answer(id, Answer::Bytes(b"line\n".to_vec()));
    assert_eq!(node.read(pid, Stdio::Stdout), Poll::Pending);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND));
    node.pass(SECOND / 2);
    assert_eq!(node.read(pid, Stdio::Stdout), Poll::Pending);
    node.pass(SECOND / 2);
    assert!(
        node.programs.poll_timeout() > Some(node.now),
        "nothing is due"
    );
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        Poll::Ready(Err(Failure::NotNow))
    );
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        Poll::Pending,
        "it waits again"
    );
    node.answer(id, Answer::End(Ok(())));
    assert_eq!(node.read(pid, Stdio::Stdout), ready("line\n"));
}

#[test]
fn terminating_a_program_ends_what_it_has_asked() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg -f");
    let (id, _) = node.asked();
    let (ops, dev) = (user("ops"), user("dev"));
    let blind = without("dev", |rights| rights.processes = false);
    let Node {
        programs,
        rooms,
        now,
        ..
    } = &mut node;
    for (caller, pid, failure) in [
        (&dev, pid, Failure::NotAllowed),
        (&blind, pid, Failure::NoSuchProcess),
        (&ops, 1, Failure::NotAllowed),
        (&blind, 1, Failure::NoSuchProcess),
        (&ops, 0, Failure::NoSuchProcess),
        (&ops, pid + 1, Failure::NoSuchProcess),
    ] {
        assert_eq!(
            programs.terminate(caller, pid, rooms, *now),
            Err(failure),
            "{pid}"
        );
    }
    assert_eq!(programs.terminate(&ops, pid, rooms, *now), Ok(()));
    assert_eq!(
        programs.terminate(&ops, pid, rooms, *now),
        Err(Failure::NoSuchProcess)
    );
    assert_eq!(node.code(pid), Some(143));
    assert_eq!(node.steps(), [(id, Step::Forget)]);
}

#[test]
fn programs_come_before_the_processes_of_the_node_and_talos_is_asked_once() {
    let mut node = Node::new();
    let (ops, dev) = (user("ops"), user("dev"));
    let blind = without("dev", |rights| rights.processes = false);
    let of_dev = node.try_start(&dev, "talosctl", "help").unwrap();
    let of_ops = node.start("talosctl", "help");
    assert_eq!(node.list(&ops, &[]), Poll::Pending);
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Processes);
    assert_eq!(node.list(&ops, &[]), Poll::Pending);
    assert_eq!(node.steps(), [], "it is not asked again");
    let init = Process {
        pid: 1,
        command: "init".to_owned(),
        line: "/sbin/init".to_owned(),
    };
    node.answer(id, Answer::Processes(vec![init]));
    let pids = |list: Poll<Result<Vec<ShownProcess>, Failure>>| -> Vec<u64> {
        match list {
            Poll::Ready(Ok(list)) => list.iter().map(|process| process.pid).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pids(node.list(&ops, &[])), [of_ops, of_dev, 1]);
    assert_eq!(pids(node.list(&blind, &[])), [of_dev]);
    assert_eq!(pids(node.list(&ops, &[of_dev])), [of_dev]);
    assert_eq!(pids(node.list(&blind, &[of_ops, 1])), [0; 0]);
    node.steps();
    assert_eq!(
        node.list(&ops, &[1, of_ops]),
        Poll::Pending,
        "the answer is not kept"
    );
    let (id, _) = node.asked();
    node.answer(id, trouble(TroubleKind::Away));
    assert_eq!(node.list(&ops, &[1]), Poll::Ready(Err(Failure::NotNow)));
}

#[test]
fn a_listing_that_nobody_comes_for_is_given_up() {
    let mut node = Node::new();
    assert_eq!(node.list(&user("ops"), &[]), Poll::Pending);
    let (id, _) = node.asked();
    node.pass(4 * SECOND);
    assert_eq!(node.steps(), []);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND));
    node.pass(SECOND);
    assert_eq!(node.steps(), [(id, Step::Forget)]);
    assert_eq!(node.programs.poll_timeout(), None);
}

#[test]
fn sixty_four_programs_run_at_most_and_ended_ones_are_forgotten() {
    let mut node = Node::new();
    let pids: Vec<u64> = (0..64)
        .map(|_| node.start("talosctl", "dmesg -f"))
        .collect();
    let ops = user("ops");
    assert_eq!(
        node.try_start(&ops, "talosctl", "dmesg"),
        Err(Failure::Busy)
    );
    let ended = |node: &mut Node, pid| {
        let Node {
            programs,
            rooms,
            now,
            ..
        } = node;
        programs.terminate(&user("ops"), pid, rooms, *now).unwrap();
    };
    ended(&mut node, pids[0]);
    let last = node.start("talosctl", "help");
    node.pass(Duration::from_secs(299));
    assert!(node.programs.has(&ops, pids[0]) && node.programs.has(&ops, last));
    node.pass(SECOND);
    assert!(!node.programs.has(&ops, pids[0]) && !node.programs.has(&ops, last));
    assert!(node.programs.has(&ops, pids[1]), "it runs");
    ended(&mut node, pids[1]);
    for _ in 0..300 {
        node.start("talosctl", "help");
    }
    assert_eq!(node.programs.records.len(), 256);
    assert!(!node.programs.has(&ops, pids[1]) && node.programs.has(&ops, pids[2]));
}

#[test]
fn output_is_bounded_and_the_last_word_is_the_reason() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg -f");
    let (id, _) = node.asked();
    for _ in 0..128 {
        assert_eq!(node.code(pid), None);
        node.answer(id, Answer::Bytes(vec![b'x'; MOST_IN_PIECE]));
    }
    node.answer(id, Answer::Bytes(vec![b'x'; 1]));
    assert_eq!(node.code(pid), Some(1));
    let reason = node.stderr(pid);
    assert!(
        reason.starts_with("talosctl: it has more output than 4 MiB; "),
        "{reason}"
    );
    assert!(node.steps().contains(&(id, Step::Forget)));
    assert_eq!(node.programs.kept(), (4 << 20) + node.stderr(pid).len());

    // The ended one makes room.
    let next = node.start("talosctl", "dmesg");
    let (id, _) = node.asked();
    node.answer(id, Answer::Bytes(b"y".to_vec()));
    node.answer(id, Answer::End(Ok(())));
    assert_eq!(node.read(next, Stdio::Stdout), ready("y"));
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        Poll::Ready(Err(Failure::NotFound))
    );
    assert_eq!(node.code(pid), Some(1), "it is still known");
}

#[test]
fn much_output_is_given_back_soon() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg");
    let (id, _) = node.asked();
    for _ in 0..20 {
        node.answer(id, Answer::Bytes(vec![b'x'; MOST_IN_PIECE]));
    }
    node.answer(id, Answer::End(Ok(())));
    let small = node.start("talosctl", "help");
    assert_eq!(node.programs.poll_timeout(), Some(node.now + 15 * SECOND));
    node.pass(14 * SECOND);
    assert!(matches!(node.read(pid, Stdio::Stdout), Poll::Ready(Ok(_))));
    node.pass(SECOND);
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        Poll::Ready(Err(Failure::NotFound))
    );
    assert!(node.programs.kept() < 4096);
    node.now += Duration::from_secs(300);
    node.advance();
    assert!(!node.programs.has(&user("ops"), small));
    assert_eq!(node.programs.records.capacity(), 0);
    assert_eq!(node.programs.poll_timeout(), None);
}

#[test]
fn a_program_without_answers_ends_after_a_minute_and_one_that_follows_after_an_hour() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "version");
    let follows = node.start("talosctl", "dmesg -f");
    node.pass(Duration::from_secs(59));
    assert_eq!(node.code(pid), None);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND));
    node.pass(SECOND);
    assert_eq!(node.code(pid), Some(1));
    assert!(node.stderr(pid).contains("does not answer"));
    node.pass(Duration::from_secs(3539));
    assert_eq!(node.code(follows), None);
    node.pass(SECOND);
    assert_eq!(node.code(follows), Some(1));
    assert!(node.stderr(follows).contains("an hour"));
}

#[test]
fn the_checks_are_shown_and_their_outcome_is_the_code() {
    let check = |outcome| vec![Check::new("talos", outcome)];
    for (checks, code, text) in [
        (
            check(Outcome::Works("well".into())),
            0,
            "ok    talos  well\n",
        ),
        (
            check(Outcome::fails("away", "wait")),
            1,
            "FAIL  talos  away\n             remedy: wait\n",
        ),
    ] {
        let mut node = Node::new();
        let pid = node.start("/usr/bin/talos-vmtoolsd", "check");
        let (id, inquiry) = node.asked();
        assert_eq!(inquiry, Inquiry::Checks);
        node.answer(id, Answer::Checks(checks));
        assert_eq!(node.code(pid), Some(code));
        assert_eq!(node.read(pid, Stdio::Stdout), ready(text));
    }
}

#[test]
fn users_who_are_gone_or_may_no_more_lose_their_programs() {
    let mut node = Node::new();
    let (ops, dev) = (user("ops"), user("dev"));
    let of_ops = node.start("talosctl", "dmesg -f");
    let relay = node.start("http.RoundTrip", "talos");
    let of_dev = node.try_start(&dev, "talosctl", "dmesg -f").unwrap();
    node.steps();
    let mut config = GuestOperationsConfig {
        enabled: true,
        users: vec![User {
            name: "ops".to_owned(),
            password_hash: None,
            public_key: None,
            rights: Rights::default(),
        }],
        node_files: Vec::new(),
    };
    node.programs.configure(&config);
    assert!(node.programs.has(&ops, of_ops));
    assert!(!node.programs.has(&ops, relay));
    assert!(!node.programs.has(&dev, of_dev));
    assert!(matches!(&node.steps()[..], [(_, Step::Forget)]));
    config.users[0].rights.programs = false;
    node.programs.configure(&config);
    assert!(!node.programs.has(&ops, of_ops));
    assert!(matches!(&node.steps()[..], [(_, Step::Forget)]));
    assert_eq!(node.programs.poll_timeout(), None);
}

const REQUEST: &[u8] = b"POST /machine.MachineService/Version HTTP/1.1\r\nHost: talos\r\n\
    Content-Type: application/grpc-web+proto\r\nConnection: close\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0";
const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nConnection: close\r\n\r\n";

#[test]
fn the_relay_makes_one_call_and_answers_with_its_messages() {
    let mut node = Node::new();
    let pid = node.start("http.RoundTrip", "talos");
    assert_eq!(node.input(pid, &REQUEST[..50]), Ok(50));
    assert_eq!(node.steps(), []);
    assert_eq!(node.input(pid, &REQUEST[50..]), Ok(REQUEST.len() - 50));
    let (id, inquiry) = node.asked();
    let call = Inquiry::Call {
        method: "/machine.MachineService/Version".to_owned(),
        message: Vec::new(),
    };
    assert_eq!(inquiry, call);
    assert_eq!(node.input(pid, b"more"), Ok(4), "it is of no use");
    node.answer(id, Answer::Message(b"hello".to_vec()));
    assert_eq!(node.read(pid, Stdio::Stdout), Poll::Pending, "it runs");
    node.answer(id, Answer::End(Ok(())));
    assert_eq!(node.code(pid), Some(0));
    let answer = format!("{OK}\0\0\0\0\x05hello");
    let bytes = match node.programs.output(pid, Stdio::Stdout, node.now) {
        Poll::Ready(Ok(bytes)) => bytes,
        other => panic!("{other:?}"),
    };
    assert!(bytes.starts_with(answer.as_bytes()));
    assert_eq!(&bytes[answer.len()..], b"\x80\0\0\0\x0fgrpc-status:0\r\n");
}

/// The answer to a request that Talos is not asked, lossy.
fn refused(request: &[u8]) -> String {
    let mut node = Node::new();
    let pid = node.start("http.RoundTrip", "talos");
    node.input(pid, request).unwrap();
    assert_eq!(node.steps(), []);
    assert_eq!(node.code(pid), Some(0));
    let Poll::Ready(Ok(bytes)) = node.programs.output(pid, Stdio::Stdout, node.now) else {
        panic!("it has ended");
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_relay_asks_nothing_that_does_not_only_read() {
    let reboot = String::from_utf8_lossy(REQUEST).replace("Version", "Reboot");
    let answer = refused(reboot.as_bytes());
    assert!(answer.starts_with(OK), "{answer}");
    assert!(answer.contains("grpc-status:7\r\n"), "{answer}");
    let two = String::from_utf8_lossy(REQUEST).replace("Length: 5", "Length: 6") + "\0";
    assert!(refused(two.as_bytes()).contains("grpc-status:3\r\n"));
    let get = String::from_utf8_lossy(REQUEST).replace("POST", "GET");
    let answer = refused(get.as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\na call is a POST\n"), "{answer}");
    assert!(refused(b"SSH-2.0-x\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_call_that_fails_or_lasts_too_long_has_a_status() {
    let mut node = Node::new();
    let pid = node.start("http.RoundTrip", "talos");
    node.input(pid, REQUEST).unwrap();
    let (id, _) = node.asked();
    node.answer(id, trouble(TroubleKind::Away));
    let Poll::Ready(Ok(bytes)) = node.programs.output(pid, Stdio::Stdout, node.now) else {
        panic!("it has ended");
    };
    let answer = String::from_utf8_lossy(&bytes);
    assert!(
        answer.contains("grpc-status:14\r\ngrpc-message:no luck\r\n"),
        "{answer}"
    );

    let slow = node.start("http.RoundTrip", "talos");
    let silent = node.start("http.RoundTrip", "talos");
    node.input(slow, REQUEST).unwrap();
    node.pass(Duration::from_secs(60));
    assert_eq!((node.code(slow), node.code(silent)), (Some(0), Some(1)));
    let Poll::Ready(Ok(bytes)) = node.programs.output(slow, Stdio::Stdout, node.now) else {
        panic!("it has ended");
    };
    assert!(String::from_utf8_lossy(&bytes).contains("grpc-status:4\r\n"));
    assert_eq!(
        node.stderr(silent),
        "http.RoundTrip: no whole request has come\n"
    );
}

#[test]
fn a_stream_gives_what_has_come_and_each_byte_once() {
    let mut node = Node::new();
    let pid = node.start("apid.Stream", "");
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Apid);
    assert_eq!(node.input(pid, b"hello"), Ok(5));
    assert_eq!(node.steps(), [(id, Step::Feed(b"hello".to_vec()))]);
    assert_eq!(node.read(pid, Stdio::Stdout), Poll::Pending);
    node.answer(id, Answer::Bytes(b"world".to_vec()));
    assert_eq!(node.read(pid, Stdio::Stdout), ready("world"));
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        ready("world"),
        "it was not taken"
    );
    node.programs.took(pid, Stdio::Stdout, 2);
    assert_eq!(node.read(pid, Stdio::Stdout), ready("rld"));
    node.answer(id, Answer::End(Ok(())));
    assert_eq!(node.code(pid), Some(0));
    assert_eq!(node.read(pid, Stdio::Stdout), ready("rld"));
    node.programs.took(pid, Stdio::Stdout, 3);
    assert_eq!(node.read(pid, Stdio::Stdout), ready(""), "the end");
    assert_eq!(node.input(pid, b"x"), Err(Failure::NotFound));
}

#[test]
fn a_reader_of_a_stream_waits_a_tenth_of_a_second() {
    let mut node = Node::new();
    let pid = node.start("apid.Stream", "");
    assert_eq!(node.read(pid, Stdio::Stdout), Poll::Pending);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND / 10));
    node.pass(SECOND / 10);
    assert_eq!(
        node.read(pid, Stdio::Stdout),
        Poll::Ready(Err(Failure::NotNow))
    );
}

#[test]
fn a_stream_takes_no_more_than_its_reader() {
    let mut node = Node::new();
    let pid = node.start("apid.Stream", "");
    let (id, _) = node.asked();
    for _ in 0..12 {
        node.answer(id, Answer::Bytes(vec![b'x'; MOST_IN_PIECE]));
    }
    let more = |node: &mut Node| node.steps().len();
    assert_eq!(more(&mut node), 8, "256 KiB are taken");
    assert!(node.programs.poll_timeout() > Some(node.now));
    node.programs.took(pid, Stdio::Stdout, MOST_IN_PIECE - 1);
    node.advance();
    assert_eq!(more(&mut node), 0);
    node.programs.took(pid, Stdio::Stdout, 1);
    assert_eq!(
        node.programs.poll_timeout(),
        Some(Duration::ZERO),
        "at once"
    );
    node.advance();
    assert_eq!(more(&mut node), 1);
}

#[test]
fn a_stream_ends_when_it_is_refused_or_silent() {
    let mut node = Node::new();
    let refused = node.start("apid.Stream", "");
    let (id, _) = node.asked();
    node.answer(id, trouble(TroubleKind::Away));
    assert_eq!(node.code(refused), Some(1));
    assert_eq!(node.stderr(refused), "apid.Stream: no luck\n");
    let silent = node.start("apid.Stream", "");
    let (id, _) = node.asked();
    node.pass(Duration::from_secs(599));
    node.input(silent, b"x").unwrap();
    node.pass(Duration::from_secs(599));
    assert_eq!(node.code(silent), None);
    node.answer(id, Answer::Bytes(b"x".to_vec()));
    node.pass(Duration::from_secs(599));
    node.programs.took(silent, Stdio::Stdout, 1);
    node.advance();
    node.pass(Duration::from_secs(599));
    assert_eq!(node.code(silent), None);
    node.pass(SECOND);
    assert_eq!(node.code(silent), Some(1));
    assert!(node.stderr(silent).contains("10 minutes"));
}

#[test]
fn what_a_program_does_not_read_is_taken_and_dropped() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg -f");
    assert_eq!(node.input(pid, b"x"), Ok(1));
    assert_eq!(node.input(pid + 1, b"x"), Err(Failure::NotFound));
}

#[test]
fn files_can_be_read_and_folders_listed_as_guests_see_them() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "read /talos/README.txt");
    let Poll::Ready(Ok(readme)) = node.read(pid, Stdio::Stdout) else {
        panic!("it is there at once");
    };
    assert!(readme.contains("Talos"), "{readme}");
    let pid = node.start("talosctl", "list /talos");
    let Poll::Ready(Ok(names)) = node.read(pid, Stdio::Stdout) else {
        panic!("it is there at once");
    };
    assert!(names.starts_with(".\n"), "{names}");
    for name in ["README.txt", "services/", "support.tgz"] {
        assert!(names.lines().any(|line| line == name), "{names}");
    }
    let pid = node.start("talosctl", "ls -l /talos/README.txt");
    let Poll::Ready(Ok(line)) = node.read(pid, Stdio::Stdout) else {
        panic!("it is there at once");
    };
    let size = readme.len().to_string();
    assert!(line.starts_with("100"), "{line}");
    assert!(line.split_whitespace().any(|word| word == size), "{line}");
    assert!(line.ends_with("  /talos/README.txt\n"), "{line}");
    for (arguments, reason) in [
        (
            "read /talos/nothing",
            "talosctl: there is no such file or program\n",
        ),
        (
            "read talos",
            "talosctl: talos: the name cannot be; paths are absolute",
        ),
        (
            "read /talos/../etc",
            "talosctl: /talos/../etc: the name cannot be",
        ),
        ("read /talos", "talosctl: it is no file\n"),
    ] {
        let pid = node.start("talosctl", arguments);
        assert_eq!(node.code(pid), Some(1), "{arguments}");
        let stderr = node.stderr(pid);
        assert!(stderr.starts_with(reason), "{arguments}: {stderr}");
    }
}

#[test]
fn the_log_of_the_kernel_can_be_read_as_a_file() {
    let mut node = Node::new();
    let pid = node.start("/bin/sh", "-c 'talosctl read /talos/dmesg.log'");
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Dmesg { follow: false });
    node.files.advance(&mut node.rooms, node.now);
    node.rooms
        .inquiries
        .handle_answer(id, Answer::Bytes(b"[1] hello\n".to_vec()));
    node.rooms.inquiries.handle_answer(id, Answer::End(Ok(())));
    node.files.advance(&mut node.rooms, node.now);
    node.advance();
    assert_eq!(node.read(pid, Stdio::Stdout), ready("[1] hello\n"));
    assert_eq!(node.code(pid), Some(0));
}
