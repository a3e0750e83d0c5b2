//! The server over a tree of a few files, and any order of what can happen to it.

mod sequences;
mod tree;

use std::time::Duration;

use super::sessions::{IDLE, MOST_HANDLES, MOST_SESSIONS};
use super::*;
use crate::vmware::wire::hgfs::client::{Answered, Asked, name};
use tree::{LOG, Tree, caller};

const SECOND: Duration = Duration::from_secs(1);
const START: Duration = Duration::from_secs(1000);

/// A server, its tree, the time, and users who ask.
struct Node {
    server: Server,
    tree: Tree,
    now: Duration,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u32,
    fields: Vec<u8>,
}

impl Node {
    fn new() -> Self {
        Self {
            server: Server::default(),
            tree: Tree::default(),
            now: START,
        }
    }

    /// `None` while the tree knows no answer.
    fn try_ask(&mut self, user: &str, session: u64, asked: &Asked) -> Option<Answer> {
        let packet = asked.encode(7, session);
        let Poll::Ready(reply) =
            self.server
                .handle(&packet, &caller(user), &mut self.tree, self.now)
        else {
            return None;
        };
        let answered = Answered::decode(&reply).unwrap();
        assert_eq!(
            (answered.id, answered.op, answered.session),
            (7, asked.op(), session)
        );
        Some(Answer {
            status: answered.status,
            fields: answered.fields.to_vec(),
        })
    }

    fn ask(&mut self, user: &str, session: u64, asked: &Asked) -> Answer {
        self.try_ask(user, session, asked).expect("it is pending")
    }

    fn session(&mut self, user: &str) -> u64 {
        let answer = self.ask(user, 0, &create(MOST_IN_PACKET));
        assert_eq!(answer.status, 0);
        u64::from_le_bytes(answer.fields[..8].try_into().unwrap())
    }

    fn open(&mut self, user: &str, session: u64, path: &str) -> Result<u32, u32> {
        word(self.ask(user, session, &open(0, 0, path)))
    }

    fn read(&mut self, user: &str, session: u64, handle: u32, offset: u64) -> Result<Vec<u8>, u32> {
        data(self.ask(user, session, &read(handle, offset, 61_440)))
    }

    fn close(&mut self, user: &str, session: u64, handle: u32) -> u32 {
        self.ask(user, session, &Asked::Close { handle }).status
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self
            .server
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.server.handle_timeout(&mut self.tree, self.now);
            assert!(self.server.poll_timeout().is_none_or(|due| due > self.now));
        }
    }
}

fn create(most_in_packet: u32) -> Asked {
    Asked::CreateSession {
        flags: 1,
        most_in_packet,
    }
}

fn open(mode: u32, flags: u32, path: &str) -> Asked {
    Asked::OpenV3 {
        mode,
        flags,
        name: name(path),
    }
}

const fn read(handle: u32, offset: u64, size: u32) -> Asked {
    Asked::Read {
        handle,
        offset,
        size,
    }
}

fn len(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap().to_le_bytes()
}

fn word(answer: Answer) -> Result<u32, u32> {
    match answer.status {
        0 => Ok(u32::from_le_bytes(answer.fields[..4].try_into().unwrap())),
        status => Err(status),
    }
}

fn data(answer: Answer) -> Result<Vec<u8>, u32> {
    let bytes = answer.fields.get(12..).unwrap_or_default().to_vec();
    let len = word(answer)?;
    assert_eq!(len as usize, bytes.len());
    Ok(bytes)
}

#[test]
fn a_download_goes_as_the_host_does_it() {
    let mut node = Node::new();
    let session = node.session("ops");
    let attributes = Asked::Attributes { name: name(LOG) };
    let answer = node.ask("ops", session, &attributes);
    let size = u64::from_le_bytes(answer.fields[12..20].try_into().unwrap());
    assert_eq!((answer.status, size), (0, tree::log().len() as u64));
    let handle = node.open("ops", session, LOG).unwrap();
    let mut whole = Vec::new();
    loop {
        let piece = node.read("ops", session, handle, whole.len() as u64);
        let piece = piece.unwrap();
        if piece.is_empty() {
            break;
        }
        whole.extend(piece);
    }
    assert_eq!(whole, *tree::log());
    assert_eq!(node.close("ops", session, handle), 0);
    assert_eq!(node.tree.closed, [tree::log().len() as u64]);
    assert_eq!(node.ask("ops", session, &Asked::DestroySession).status, 0);
    assert_eq!(node.ask("ops", session, &Asked::DestroySession).status, 17);
}

#[test]
fn the_older_forms_do_the_same() {
    let mut node = Node::new();
    let session = node.session("ops");
    let (mode, flags) = (0, 0);
    let opened = Asked::Open {
        mode,
        flags,
        name: name(LOG),
    };
    let handle = word(node.ask("ops", session, &opened)).unwrap();
    assert_eq!(node.read("ops", session, handle, 0).unwrap().len(), 61_440);
    let by_handle = Asked::AttributesOfHandleV3 { handle };
    let by_name = Asked::AttributesV3 { name: name(LOG) };
    let by_handle = node.ask("ops", session, &by_handle);
    assert_eq!(by_handle.status, 0);
    assert_eq!(by_handle, node.ask("ops", session, &by_name));
    let closed = Asked::CloseV3 { handle };
    assert_eq!(node.ask("ops", session, &closed).status, 0);
    assert_eq!(node.ask("ops", session, &closed).status, 2);
}

#[test]
fn a_session_announces_what_is_served_and_the_packets_it_takes() {
    let mut node = Node::new();
    for (asked, announced) in [
        (63_488, 63_488),
        (522_240, 63_488),
        (u32::MAX, 63_488),
        (6144, 6144),
        (256, 256),
        (0, 63_488),
    ] {
        let answer = node.ask("ops", 0, &create(asked));
        let words: Vec<u32> = answer
            .fields
            .chunks(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(words[2..7], [10, announced, 0, 1, 0]);
        let served: Vec<u32> = words[7..].iter().step_by(2).copied().collect();
        assert_eq!(served, [41, 42, 0, 3, 15, 24, 25, 26, 27, 31]);
        assert!(words[8..].iter().step_by(2).all(|&flags| flags == 1));
    }
    // In less there would be no room for a byte of a file.
    for asked in [1, 64, 255] {
        assert_eq!(node.ask("ops", 0, &create(asked)).status, 15);
    }
}

#[test]
fn a_read_gives_what_was_asked_for_and_what_a_packet_holds() {
    let mut node = Node::new();
    let session = node.session("ops");
    let handle = node.open("ops", session, LOG).unwrap();
    let len = |node: &mut Node, offset, size| {
        let data = data(node.ask("ops", session, &read(handle, offset, size))).unwrap();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = from.min(tree::log().len());
        assert_eq!(data, tree::log()[from..from + data.len()]);
        data.len()
    };
    assert_eq!(len(&mut node, 0, 0), 0);
    assert_eq!(len(&mut node, 0, 1), 1);
    assert_eq!(len(&mut node, 5, 61_440), 61_440);
    // With "OK 0 0 #" and the header it is 63 488 bytes.
    assert_eq!(len(&mut node, 0, u32::MAX), 63_488 - 8 - 64);
    let end = tree::log().len() as u64;
    assert_eq!(len(&mut node, end - 3, 61_440), 3);
    for past in [end, end + 1, 1 << 63, u64::MAX] {
        assert_eq!(len(&mut node, past, 61_440), 0);
    }
    let small = node.ask("ops", 0, &create(256));
    let small = u64::from_le_bytes(small.fields[..8].try_into().unwrap());
    let handle = node.open("ops", small, LOG).unwrap();
    assert_eq!(node.read("ops", small, handle, 0).unwrap().len(), 256 - 64);
}

#[test]
fn what_was_read_without_a_gap_is_reported_when_it_is_closed() {
    let mut node = Node::new();
    let session = node.session("ops");
    for (reads, read_to) in [
        (&[][..], 0),
        (&[(0, 10), (10, 10)], 20),
        (&[(0, 10), (0, 4), (4, 4)], 10),
        (&[(0, 10), (11, 10)], 10),
        (&[(5, 10)], 0),
        (&[(0, 10), (5, 10)], 15),
    ] {
        let handle = node.open("ops", session, LOG).unwrap();
        for &(offset, size) in reads {
            node.ask("ops", session, &read(handle, offset, size));
        }
        assert_eq!(node.close("ops", session, handle), 0);
        assert_eq!(node.tree.closed.pop(), Some(read_to), "{reads:?}");
    }
}

#[test]
fn another_users_session_is_none_and_another_sessions_handle_is_none() {
    let mut node = Node::new();
    let (mine, other) = (node.session("ops"), node.session("ops"));
    let theirs = node.session("eve");
    let handle = node.open("ops", mine, LOG).unwrap();
    assert_eq!(node.read("ops", other, handle, 0), Err(2));
    assert_eq!(node.close("ops", other, handle), 2);
    assert_eq!(node.read("eve", theirs, handle, 0), Err(2));
    assert_eq!(node.read("eve", mine, handle, 0), Err(17));
    assert_eq!(node.close("eve", mine, handle), 17);
    assert_eq!(node.open("eve", mine, LOG), Err(17));
    let attributes = Asked::AttributesOfHandle { handle };
    assert_eq!(node.ask("eve", mine, &attributes).status, 17);
    assert_eq!(node.ask("eve", theirs, &attributes).status, 2);
    assert_eq!(node.ask("eve", mine, &Asked::DestroySession).status, 17);
    assert_eq!(node.read("ops", mine, handle, 0).unwrap().len(), 61_440);
    for handle in [0, u32::MAX, handle + 1] {
        assert_eq!(node.read("ops", mine, handle, 0), Err(2));
    }
}

#[test]
fn nothing_is_written_but_what_a_program_reads() {
    let mut node = Node::new();
    let session = node.session("ops");
    for (mode, flags) in [(0, 1), (0, 2), (0, 3), (0, 4), (3, 0), (3, 4)] {
        let answer = node.ask("ops", session, &open(mode, flags, LOG));
        assert_eq!(answer.status, 8, "{mode} {flags}");
    }
    for (mode, flags) in [(1, 0), (1, 4), (2, 0), (2, 2)] {
        let answer = node.ask("ops", session, &open(mode, flags, LOG));
        assert_eq!(answer.status, 8, "{mode} {flags}");
    }
    assert!(node.tree.opened.is_empty());
    let stdin = open(1, 4, tree::STDIN);
    let handle = word(node.ask("ops", session, &stdin)).unwrap();
    let write = |handle, data: &[u8]| Asked::Write {
        handle,
        offset: 0,
        data: data.to_vec(),
    };
    let append = |handle, data: &[u8]| {
        let written = [&[1, 9, 9, 9, 9, 9, 9, 9, 9][..], &len(data), &[0; 8], data].concat();
        let payload = [&u32::to_le_bytes(handle)[..], &written].concat();
        Asked::Other { op: 26, payload }
    };
    let taken = node.ask("ops", session, &write(handle, b"GET / HTTP/1.1"));
    assert_eq!(word(taken), Ok(10));
    // Where it is to be appended the offset means nothing.
    let taken = node.ask("ops", session, &append(handle, b"/1.1"));
    assert_eq!(word(taken), Ok(4));
    let taken = node.ask("ops", session, &append(handle, b"\r\n"));
    assert_eq!(word(taken), Ok(2));
    assert_eq!(node.tree.written, b"GET / HTTP/1.1\r\n");
    let log = node.open("ops", session, LOG).unwrap();
    assert_eq!(word(node.ask("ops", session, &write(log, b"x"))), Err(8));
    assert_eq!(word(node.ask("ops", session, &write(99, b"x"))), Err(2));
    assert_eq!(node.tree.written.len(), 16);
}

#[test]
fn what_is_not_announced_is_not_supported_and_does_nothing() {
    let mut node = Node::new();
    let session = node.session("ops");
    for op in (0..64).filter(|op| ![41, 42, 0, 3, 15, 24, 25, 26, 27, 31].contains(op)) {
        let payload = vec![0; 300];
        let answer = node.ask("ops", session, &Asked::Other { op, payload });
        assert_eq!(answer.status, 13, "{op}");
    }
    let handle = node.open("ops", session, LOG).unwrap();
    let again = Asked::OpenHandle { handle };
    assert_eq!(node.ask("ops", session, &again).status, 13);
}

#[test]
fn names_that_climb_and_other_shares_are_invalid() {
    let mut node = Node::new();
    let session = node.session("ops");
    for name in [
        &b"root\0..\0etc"[..],
        b"root\0../etc/shadow",
        b"root\0talos\0\0log",
        b"share\0talos\0log",
        b"root\0",
        b"",
    ] {
        let (mode, flags, name) = (0, 0, name.to_vec());
        let attributes = Asked::Attributes { name: name.clone() };
        assert_eq!(node.ask("ops", session, &attributes).status, 9);
        let open = Asked::OpenV3 { mode, flags, name };
        assert_eq!(node.ask("ops", session, &open).status, 9);
    }
    let long = Asked::Attributes {
        name: vec![b'a'; 4097],
    };
    assert_eq!(node.ask("ops", session, &long).status, 14);
}

#[test]
fn every_failure_has_its_status() {
    let mut node = Node::new();
    let session = node.session("ops");
    for (failure, status) in [
        (Failure::NotAllowed, 3),
        (Failure::Disabled, 8),
        (Failure::WrongLogin, 3),
        (Failure::Busy, 10),
        (Failure::NotNow, 10),
        (Failure::Failed, 10),
        (Failure::NotFound, 1),
        (Failure::NotAFile, 4),
        (Failure::NotAFolder, 5),
        (Failure::NoSuchProcess, 1),
        (Failure::Invalid, 9),
        (Failure::BadName, 9),
        (Failure::NameTooLong, 14),
        (Failure::NoRoom, 12),
    ] {
        node.tree.failure = Some(failure);
        assert_eq!(node.open("ops", session, LOG), Err(status), "{failure}");
        let attributes = Asked::Attributes { name: name(LOG) };
        let packet = attributes.encode(1, session);
        let given_up = Server::refusal(&packet, failure);
        assert_eq!(Answered::decode(&given_up).unwrap().status, status);
        let answer = node.ask("ops", session, &attributes);
        assert_eq!(answer.status, status, "{failure}");
    }
}

#[test]
fn a_request_that_waits_has_no_effect_until_it_is_answered() {
    let mut node = Node::new();
    let session = node.session("ops");
    node.tree.is_away = true;
    let open = open(0, 0, LOG);
    for _ in 0..200 {
        assert_eq!(node.try_ask("ops", session, &open), None);
    }
    let attributes = Asked::Attributes { name: name(LOG) };
    assert_eq!(node.try_ask("ops", session, &attributes), None);
    node.tree.is_away = false;
    let handle = word(node.ask("ops", session, &open)).unwrap();
    assert_eq!((handle, node.tree.opened.len()), (1, 1));
    node.tree.is_away = true;
    assert_eq!(node.try_ask("ops", session, &read(handle, 0, 9)), None);
    node.tree.is_away = false;
    assert_eq!(node.close("ops", session, handle), 0);
    assert_eq!(node.tree.closed, [0]);
}

#[test]
fn a_session_has_so_many_handles_and_one_more_closes_none() {
    let mut node = Node::new();
    let session = node.session("ops");
    let handles: Vec<u32> = (0..MOST_HANDLES)
        .map(|_| node.open("ops", session, LOG).unwrap())
        .collect();
    for _ in MOST_HANDLES..1000 {
        assert_eq!(node.open("ops", session, LOG), Err(10));
    }
    assert_eq!(node.tree.opened.len(), MOST_HANDLES);
    for &handle in &handles {
        assert!(node.read("ops", session, handle, 0).is_ok());
    }
    assert_eq!(node.close("ops", session, handles[5]), 0);
    let next = node.open("ops", session, LOG).unwrap();
    assert!(!handles.contains(&next));
    assert_eq!(node.ask("ops", session, &Asked::DestroySession).status, 0);
    assert_eq!(node.tree.closed.len(), node.tree.opened.len());
}

#[test]
fn two_hundred_sessions_that_nobody_ends_do_not_block() {
    let mut node = Node::new();
    let mut sessions = Vec::new();
    for _ in 0..200 {
        let session = node.session("ops");
        assert!(!sessions.contains(&session));
        node.open("ops", session, LOG).unwrap();
        sessions.push(session);
        node.pass(SECOND);
    }
    let alive = |node: &mut Node, session| node.open("ops", session, LOG).is_ok();
    let first_alive = 200 - MOST_SESSIONS;
    for (place, session) in sessions.into_iter().enumerate() {
        assert_eq!(alive(&mut node, session), place >= first_alive, "{place}");
    }
    assert_eq!(node.tree.closed.len(), first_alive);
}

#[test]
fn the_longest_idle_session_gives_way_not_the_oldest() {
    let mut node = Node::new();
    let old = node.session("ops");
    let idle = node.session("ops");
    for _ in 2..MOST_SESSIONS {
        node.pass(SECOND);
        node.session("ops");
    }
    node.pass(SECOND);
    let handle = node.open("ops", old, LOG).unwrap();
    node.session("ops");
    assert!(node.read("ops", old, handle, 0).is_ok());
    assert_eq!(node.open("ops", idle, LOG), Err(17));
}

#[test]
fn one_users_sessions_do_not_end_anothers() {
    let mut node = Node::new();
    let mine = node.session("ops");
    let handle = node.open("ops", mine, LOG).unwrap();
    for _ in 0..200 {
        node.pass(SECOND / 10);
        node.session("eve");
    }
    assert!(node.read("ops", mine, handle, 0).is_ok());
}

#[test]
fn a_session_that_nobody_uses_ends_after_two_minutes() {
    let mut node = Node::new();
    assert_eq!(node.server.poll_timeout(), None);
    let session = node.session("ops");
    let handle = node.open("ops", session, LOG).unwrap();
    node.pass(IDLE - SECOND);
    assert!(node.read("ops", session, handle, 0).is_ok());
    assert_eq!(node.server.poll_timeout(), Some(node.now + IDLE));
    node.pass(IDLE - SECOND);
    assert!(node.tree.closed.is_empty());
    node.pass(SECOND);
    assert_eq!(node.tree.closed, [61_440]);
    assert_eq!(node.server.poll_timeout(), None);
    assert_eq!(node.read("ops", session, handle, 0), Err(17));
}

#[test]
fn a_new_configuration_ends_all_sessions() {
    let mut node = Node::new();
    let sessions = [node.session("ops"), node.session("eve")];
    let handle = node.open("ops", sessions[0], LOG).unwrap();
    node.server.forget(&mut node.tree);
    assert_eq!(node.tree.closed, [0]);
    assert_eq!(node.read("ops", sessions[0], handle, 0), Err(17));
    assert_eq!(node.open("eve", sessions[1], LOG), Err(17));
}

/// After a restart the host may still hold a session of the process before.
#[test]
fn a_restarted_server_does_not_know_the_sessions_before() {
    let mut node = Node::new();
    let sessions: Vec<u64> = (0..50).map(|_| node.session("ops")).collect();
    let mut after = Node::new();
    after.now += Duration::from_millis(1);
    for _ in 0..50 {
        assert!(!sessions.contains(&after.session("ops")));
    }
}

#[test]
fn what_is_no_packet_is_refused() {
    let mut node = Node::new();
    let session = node.session("ops");
    let whole = open(0, 0, LOG).encode(7, session);
    for packet in [&b""[..], b"\0", &[0xff; 60], &whole[..60]] {
        let reply = node
            .server
            .handle(packet, &caller("ops"), &mut node.tree, node.now);
        let Poll::Ready(reply) = reply else {
            panic!("pending")
        };
        assert!(reply.len() == 8 || Answered::decode(&reply).unwrap().status == 7);
    }
    assert!(node.tree.opened.is_empty());
}
