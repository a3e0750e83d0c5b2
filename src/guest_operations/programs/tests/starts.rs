use std::task::Poll;

use super::node::{Node, WALL, ready, trouble, user, without};
use crate::diagnosis::{Check, Outcome};
use crate::guest_operations::Failure;
use crate::guest_operations::programs::{ShownProcess, Start, Stdio};
use crate::inquiry::{Answer, Inquiry, Show, TroubleKind};

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
    let started = node
        .programs
        .start(&ops, &start, &mut node.files, &mut node.rooms, node.now);
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
