use std::task::Poll;
use std::time::Duration;

use super::node::{Node, trouble};
use crate::guest_operations::programs::Stdio;
use crate::inquiry::{Answer, Inquiry, TroubleKind};

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
    let bytes = node.stdout(pid);
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
    let bytes = node.stdout(pid);
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
    let bytes = node.stdout(pid);
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
    let bytes = node.stdout(slow);
    assert!(String::from_utf8_lossy(&bytes).contains("grpc-status:4\r\n"));
    assert_eq!(
        node.stderr(silent),
        "http.RoundTrip: no whole request has come\n"
    );
}
