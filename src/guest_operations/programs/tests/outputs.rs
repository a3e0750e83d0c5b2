use std::task::Poll;
use std::time::Duration;

use super::node::{Node, SECOND, ready, trouble, user};
use crate::guest_operations::Failure;
use crate::guest_operations::programs::Stdio;
use crate::inquiry::{Answer, MOST_IN_PIECE, Step, TroubleKind};

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
