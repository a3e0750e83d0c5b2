//! Lengths that lie, names that climb, and packets that are none.

use proptest::prelude::*;

use super::super::client::{Asked, name, packet};
use super::super::*;

const LOG: &str = "talos/services/apid.log";

/// A request of each operation that is served, in each form.
fn each() -> Vec<Asked> {
    let name = name(LOG);
    let (mode, flags, handle) = (0, 0, 3);
    vec![
        Asked::CreateSession {
            flags: 1,
            most_in_packet: MOST_IN_PACKET,
        },
        Asked::DestroySession,
        Asked::Open {
            mode,
            flags,
            name: name.clone(),
        },
        Asked::OpenV3 {
            mode,
            flags,
            name: name.clone(),
        },
        Asked::OpenHandle { handle },
        Asked::Read {
            handle,
            offset: 7,
            size: 9,
        },
        Asked::Write {
            handle,
            offset: 7,
            data: b"some bytes".to_vec(),
        },
        Asked::Close { handle },
        Asked::CloseV3 { handle },
        Asked::Attributes { name: name.clone() },
        Asked::AttributesOfHandle { handle },
        Asked::AttributesV3 { name },
        Asked::AttributesOfHandleV3 { handle },
    ]
}

fn call_of(packet: &[u8]) -> Result<Call<'_>, Status> {
    Request::decode(packet).call
}

/// The packet with its size field set to its length.
fn sized(mut packet: Vec<u8>) -> Vec<u8> {
    let size = u32::try_from(packet.len()).unwrap().to_le_bytes();
    packet[8..12].copy_from_slice(&size);
    packet
}

#[test]
fn a_packet_cut_short_anywhere_is_a_protocol_error() {
    for asked in each() {
        let whole = asked.encode(1, 2);
        assert!(call_of(&whole).is_ok(), "{asked:?}");
        // The byte beyond a name may be missing; all others may not.
        let has_nul_beyond = matches!(
            asked,
            Asked::Open { .. }
                | Asked::OpenV3 { .. }
                | Asked::OpenHandle { .. }
                | Asked::Attributes { .. }
                | Asked::AttributesOfHandle { .. }
                | Asked::AttributesV3 { .. }
                | Asked::AttributesOfHandleV3 { .. }
        );
        let least = whole.len() - usize::from(has_nul_beyond);
        for end in 0..whole.len() {
            let cut = &whole[..end];
            assert_eq!(call_of(cut), Err(Status::ProtocolError), "{asked:?} {end}");
            if end >= 52 {
                let result = call_of(&sized(cut.to_vec())).err();
                let expected = (end < least).then_some(Status::ProtocolError);
                assert_eq!(result, expected, "{asked:?} {end}");
            }
        }
        // What follows the packet is none of it.
        assert_eq!(call_of(&[&whole[..], b"more"].concat()), call_of(&whole));
    }
}

#[test]
fn lengths_that_lie_are_protocol_errors() {
    // Where a packet has a length, and from which value on it lies.
    let lengths = [
        (each().remove(0).encode(1, 2), 52, 1), // capabilities
        (each().remove(2).encode(1, 2), 69, 30),
        (each().remove(3).encode(1, 2), 116, 30),
        (each().remove(6).encode(1, 2), 65, 12),
        (each().remove(9).encode(1, 2), 72, 30),
        (each().remove(11).encode(1, 2), 68, 30),
    ];
    for (whole, at, lie) in lengths {
        for value in [lie, 0x1000_0000, 0x2000_0001, 0x7fff_ffff, u32::MAX] {
            let mut packet = whole.clone();
            packet[at..at + 4].copy_from_slice(&value.to_le_bytes());
            if at == 65 && value == 12 {
                packet.truncate(packet.len() - 1);
                packet = sized(packet);
            }
            assert_eq!(
                call_of(&packet),
                Err(Status::ProtocolError),
                "{} {value}",
                packet[20]
            );
        }
    }
}

#[test]
fn the_header_agrees_with_what_was_received() {
    let whole = Asked::Close { handle: 3 }.encode(1, 2);
    let len = u32::try_from(whole.len()).unwrap();
    let with = |at: usize, value: u32| {
        let mut packet = whole.clone();
        packet[at..at + 4].copy_from_slice(&value.to_le_bytes());
        packet
    };
    for lie in [0, 51, 52, len - 1, len + 1, u32::MAX] {
        assert_eq!(call_of(&with(8, lie)), Err(Status::ProtocolError), "{lie}");
    }
    for lie in [0, 51, len, len + 1, u32::MAX] {
        assert_eq!(call_of(&with(12, lie)), Err(Status::ProtocolError), "{lie}");
    }
    // A longer header is one of a later version: the payload is behind it.
    let mut longer = with(12, 56);
    longer.splice(52..52, [0; 4]);
    assert_eq!(call_of(&sized(longer)), Ok(Call::Close { handle: 3 }));
}

#[test]
fn every_refusal_names_the_request_as_far_as_it_was_read() {
    let whole = Asked::Close { handle: 3 }.encode(0x0102_0304, 0x1122_3344_5566_7788);
    let refused = |packet: &[u8]| refusal(&Request::decode(packet).header, Status::ProtocolError);
    let reply = refused(&whole[..60]);
    let answered = client::Answered::decode(&reply).unwrap();
    assert_eq!((answered.id, answered.op), (0x0102_0304, 3));
    assert_eq!(
        (answered.status, answered.session),
        (7, 0x1122_3344_5566_7788)
    );
    for end in 0..52 {
        let reply = refused(&whole[..end]);
        let answered = client::Answered::decode(&reply).unwrap();
        assert_eq!(answered.status, 7);
        assert_eq!(answered.id, if end < 20 { 0 } else { 0x0102_0304 }, "{end}");
    }
}

#[test]
fn a_packet_older_than_version_4_gets_an_old_reply() {
    let old = b"\x05\0\0\0\x0f\0\0\0and so on";
    let request = Request::decode(old);
    assert_eq!(request.call, Err(Status::ProtocolError));
    assert_eq!(
        refusal(&request.header, Status::ProtocolError),
        b"\x05\0\0\0\x07\0\0\0"
    );
}

#[test]
fn an_operation_that_is_not_announced_is_not_supported() {
    for op in (0..80).chain([0xFF, 1024, u32::MAX]) {
        let answer = call_of(&packet(1, op, 2, &[0; 200])).err();
        let expected = (!SERVED.contains(&op)).then_some(Status::NotSupported);
        assert_eq!(answer, expected, "{op}");
    }
}

#[test]
fn only_plain_reading_is_reading() {
    let mode = |mode, flags| {
        let name = name(LOG);
        let v3 = Asked::OpenV3 {
            mode,
            flags,
            name: name.clone(),
        };
        let v1 = Asked::Open { mode, flags, name };
        let [v1, v3] = [v1, v3].map(|asked| match call_of(&asked.encode(1, 2)) {
            Ok(Call::Open { mode, .. }) => mode,
            other => panic!("{other:?}"),
        });
        assert_eq!(v1, v3);
        v1
    };
    assert_eq!(mode(0, 0), Mode::Read);
    // Further bits of the mode are hints.
    assert_eq!(mode(0x18, 0), Mode::Read);
    for flags in [1, 2, 3, 4, u32::MAX] {
        assert_eq!(mode(0, flags), Mode::Neither);
    }
    for flags in [0, 1, 2, 3, 4] {
        assert_eq!(mode(1, flags), Mode::Write);
        assert_eq!(mode(2, flags), Mode::Write);
        assert_eq!(mode(3, flags), Mode::Neither);
    }
}

#[test]
fn names_are_those_of_the_one_share() {
    let components = |name: &'static [u8]| Name(name).components();
    assert_eq!(components(b"root"), Ok(vec![]));
    assert_eq!(
        components(b"root\0talos\0services\0apid.log"),
        Ok(vec!["talos", "services", "apid.log"])
    );
    assert_eq!(
        components(b"root\0archive:\0var\0log?format=tgz&prefix=a%2Fb"),
        Ok(vec!["archive:", "var", "log?format=tgz&prefix=a%2Fb"])
    );
    assert_eq!(components(b"root\0...\0..a"), Ok(vec!["...", "..a"]));
    for wrong in [
        &b""[..],
        b"\0",
        b"\0root\0etc",
        b"root\0",
        b"root\0etc\0",
        b"root\0\0etc",
        b"ROOT\0etc",
        b"roo",
        b"roots\0etc",
        b"share\0etc",
        b"/etc/shadow",
        b"root/etc",
        b"root\0..",
        b"root\0.\0etc",
        b"root\0etc\0..\0shadow",
        b"root\0../etc/shadow",
        b"root\0etc/shadow",
        b"root\0a\\b",
        b"root\0\xff",
        b"root\0a\xed\xa0\x80",
    ] {
        assert_eq!(components(wrong), Err(Status::InvalidName), "{wrong:?}");
    }
}

#[test]
fn a_name_has_4096_bytes_at_most() {
    let name = |len: usize| [b"root\0".to_vec(), vec![b'a'; len - 5]].concat();
    assert!(Name(&name(4096)).components().is_ok());
    for len in [4097, 60_000] {
        assert_eq!(Name(&name(len)).components(), Err(Status::NameTooLong));
    }
}

#[test]
fn times_before_1601_are_1601() {
    let time = |seconds| {
        let file = FileStatus {
            kind: FileKind::Symlink("there".into()),
            size: 0,
            times: Some((seconds, 0)),
            mode: None,
            owner: None,
        };
        let header = Header {
            op: 31,
            ..Header::default()
        };
        let packet = Reply::Attributes(file).encode(&header);
        // Header, mask, type, size, created; a link has its target behind the attributes, with a NUL beyond.
        assert!(packet.ends_with(b"\x05\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0there\0"));
        u64::from_le_bytes(packet[80..88].try_into().unwrap())
    };
    assert_eq!(time(0), 116_444_736_000_000_000);
    assert_eq!(time(-11_644_473_600), 0);
    assert_eq!(time(i64::MIN), 0);
    assert_eq!(time(i64::MAX), u64::MAX);
}

fn asked() -> impl Strategy<Value = Asked> {
    let words = (any::<u32>(), any::<u32>(), any::<u64>());
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    (0..13_usize, words, bytes).prop_map(|(which, (a, b, offset), data)| {
        let (mode, flags, handle, name) = (a, b, a, data.clone());
        match which {
            0 => Asked::CreateSession {
                flags: a,
                most_in_packet: b,
            },
            1 => Asked::DestroySession,
            2 => Asked::Open { mode, flags, name },
            3 => Asked::OpenV3 { mode, flags, name },
            4 => Asked::OpenHandle { handle },
            5 => Asked::Read {
                handle,
                offset,
                size: b,
            },
            6 => Asked::Write {
                handle,
                offset,
                data,
            },
            7 => Asked::Close { handle },
            8 => Asked::CloseV3 { handle },
            9 => Asked::Attributes { name },
            10 => Asked::AttributesOfHandle { handle },
            11 => Asked::AttributesV3 { name },
            _ => Asked::AttributesOfHandleV3 { handle },
        }
    })
}

/// What a request must be understood as.
fn meant(asked: &Asked) -> Call<'_> {
    let mode_of = |mode: u32, flags: u32| match (mode % 4, flags) {
        (0, 0) => Mode::Read,
        (1, _) | (2, _) => Mode::Write,
        _ => Mode::Neither,
    };
    match asked {
        Asked::CreateSession {
            flags,
            most_in_packet,
        } => Call::CreateSession {
            most_in_packet: (flags % 2 == 1).then_some(*most_in_packet),
        },
        Asked::DestroySession => Call::DestroySession,
        Asked::Open { mode, flags, name } | Asked::OpenV3 { mode, flags, name } => Call::Open {
            target: Target::Name(Name(name)),
            mode: mode_of(*mode, *flags),
        },
        Asked::OpenHandle { handle } => Call::Open {
            target: Target::Handle(*handle),
            mode: Mode::Read,
        },
        Asked::Read {
            handle,
            offset,
            size,
        } => Call::Read {
            handle: *handle,
            offset: *offset,
            size: *size,
        },
        Asked::Write {
            handle,
            offset,
            data,
        } => Call::Write {
            handle: *handle,
            offset: Some(*offset),
            data,
        },
        Asked::Close { handle } | Asked::CloseV3 { handle } => Call::Close { handle: *handle },
        Asked::Attributes { name } | Asked::AttributesV3 { name } => Call::Attributes {
            target: Target::Name(Name(name)),
        },
        Asked::AttributesOfHandle { handle } | Asked::AttributesOfHandleV3 { handle } => {
            Call::Attributes {
                target: Target::Handle(*handle),
            }
        }
        Asked::Other { .. } => panic!("not made here"),
    }
}

proptest! {
    #[test]
    fn requests_come_back(asked in asked(), id: u32, session: u64) {
        let packet = asked.encode(id, session);
        let request = Request::decode(&packet);
        prop_assert_eq!((request.header.id, request.header.session), (id, session));
        prop_assert_eq!(request.call, Ok(meant(&asked)));
    }

    #[test]
    fn replies_come_back(which in 0..7_usize, op in proptest::sample::select(&SERVED[..]), word: u32, long: u64, data in proptest::collection::vec(any::<u8>(), 0..100)) {
        let reply = match which {
            0 => Reply::Session { id: long, most_in_packet: word },
            1 => Reply::SessionEnded,
            2 => Reply::Opened { handle: word },
            3 => Reply::Read(data.clone()),
            4 => Reply::Written(word),
            5 => Reply::Closed,
            _ => Reply::Attributes(FileStatus { kind: FileKind::Regular, size: long, times: None, mode: None, owner: None }),
        };
        let header = Header { id: word, op, session: long, ..Header::default() };
        let packet = reply.encode(&header);
        let answered = client::Answered::decode(&packet).unwrap();
        prop_assert_eq!((answered.id, answered.op, answered.session, answered.status), (word, op, long, 0));
        match which {
            0 => prop_assert_eq!(answered.long(), Some(long)),
            2 | 4 => prop_assert_eq!(answered.word(), Some(word)),
            3 => prop_assert_eq!(answered.data(), Some(&data[..])),
            6 => prop_assert_eq!(answered.kind_and_size(), Some((0, long))),
            _ => {}
        }
    }

    #[test]
    fn any_bytes_have_a_refusal(bytes: Vec<u8>) {
        super::super::super::fuzz::fuzz_hgfs(&bytes);
    }

    #[test]
    fn changed_requests_stay_within_bounds(asked in asked(), at in 0..140_usize, byte: u8) {
        let mut packet = asked.encode(1, 2);
        if let Some(changed) = packet.get_mut(at) {
            *changed = byte;
        }
        super::super::super::fuzz::fuzz_hgfs(&packet);
    }
}
