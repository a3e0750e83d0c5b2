//! Packets that govmomi's encoders made (tests/vectors/README.md).

use std::collections::BTreeMap;

use super::super::*;

const VECTORS: &str = include_str!("../../../../../tests/vectors/hgfs.txt");
const SESSION: u64 = 0x1122_3344_5566_7788;
const NAME: &[u8] = b"root\0talos\0services\0apid.log";

fn vectors() -> BTreeMap<&'static str, Vec<u8>> {
    let vector = |line: &'static str| {
        let (name, hex) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, (0..hex.len()).step_by(2).map(byte).collect())
    };
    VECTORS.lines().map(vector).collect()
}

#[test]
fn the_requests_of_govmomi_are_understood() {
    let archive = b"root\0archive:\0talos\0services?format=tgz";
    let target = Target::Name(Name(NAME));
    let open = |target, mode| Call::Open { target, mode };
    let expected = [
        (
            "create_session",
            Call::CreateSession {
                most_in_packet: Some(0xF800),
            },
        ),
        ("destroy_session", Call::DestroySession),
        ("open", open(target, Mode::Read)),
        ("open_to_write", open(target, Mode::Write)),
        ("open_v3", open(target, Mode::Read)),
        (
            "open_v3_archive",
            open(Target::Name(Name(archive)), Mode::Read),
        ),
        ("open_v3_to_write", open(target, Mode::Write)),
        (
            "read_v3",
            Call::Read {
                handle: 3,
                offset: 0x1_0000_0002,
                size: 61_440,
            },
        ),
        (
            "write_v3",
            Call::Write {
                handle: 3,
                offset: None,
                data: b"ping",
            },
        ),
        ("close", Call::Close { handle: 3 }),
        ("getattr_v2", Call::Attributes { target }),
        (
            "getattr_v2_by_handle",
            Call::Attributes {
                target: Target::Handle(3),
            },
        ),
    ];
    let vectors = vectors();
    for (name, call) in expected {
        let request = Request::decode(&vectors[name]);
        assert_eq!(request.call, Ok(call), "{name}");
        let session = if name == "create_session" { 0 } else { SESSION };
        assert_eq!(
            (request.header.id, request.header.session),
            (7, session),
            "{name}"
        );
    }
    assert_eq!(Request::decode(&vectors["open"]).header.inner_id, 9);
}

#[test]
fn replies_are_those_of_govmomi() {
    let file = FileStatus {
        kind: FileKind::Directory,
        size: 9,
        times: Some((1_700_000_000, 1_700_000_001)),
        mode: Some(0o041_645),
        owner: Some((1000, 50)),
    };
    let replies = [
        (
            "reply_create_session",
            41,
            Reply::Session {
                id: SESSION,
                most_in_packet: 0xF800,
            },
        ),
        ("reply_destroy_session", 42, Reply::SessionEnded),
        ("reply_open", 0, Reply::Opened { handle: 3 }),
        ("reply_open_v3", 24, Reply::Opened { handle: 3 }),
        ("reply_read_v3", 25, Reply::Read(b"pong".to_vec())),
        ("reply_write_v3", 26, Reply::Written(4)),
        ("reply_close", 3, Reply::Closed),
        ("reply_getattr_v2", 15, Reply::Attributes(file)),
    ];
    let vectors = vectors();
    for (name, op, reply) in replies {
        let header = Header {
            id: 7,
            op,
            session: if op == 41 { 0 } else { SESSION },
            ..Header::default()
        };
        assert_eq!(reply.encode(&header), vectors[name], "{name}");
    }
}

/// Our client of the tests writes what govmomi writes, but for the NUL beyond a name, which govmomi leaves out.
#[test]
fn the_client_of_the_tests_writes_as_govmomi_does() {
    use client::Asked;
    let asked = [
        ("destroy_session", Asked::DestroySession),
        (
            "read_v3",
            Asked::Read {
                handle: 3,
                offset: 0x1_0000_0002,
                size: 61_440,
            },
        ),
        (
            "open_v3",
            Asked::OpenV3 {
                mode: 0,
                flags: 0,
                name: NAME.to_vec(),
            },
        ),
    ];
    let vectors = vectors();
    for (name, asked) in asked {
        let mut packet = asked.encode(7, SESSION);
        if name == "open_v3" {
            assert_eq!(packet.pop(), Some(0));
            packet[8] -= 1;
        }
        assert_eq!(packet, vectors[name], "{name}");
    }
}
