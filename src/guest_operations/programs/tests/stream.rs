use std::task::Poll;
use std::time::Duration;

use super::node::{Node, SECOND, ready, trouble};
use crate::guest_operations::Failure;
use crate::guest_operations::programs::Stdio;
use crate::inquiry::{Answer, Inquiry, MOST_IN_PIECE, Step, TroubleKind};

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
