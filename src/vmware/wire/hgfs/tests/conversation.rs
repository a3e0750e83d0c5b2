//! One download, byte for byte (protocol reference, HGFS section 4): a log of 12 057 bytes.

use super::super::*;

const SESSION: &str = "12aaf86d34a96978";
const NAME: &str = "726f6f740074616c6f7300736572766963657300617069642e6c6f67";
const LOG: usize = 12_057;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: String = hex.split_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// The header in front of so many bytes of payload.
fn header(id: u8, op: u8, flags: u8, session: &str, payload: usize) -> Vec<u8> {
    let size = u32::try_from(52 + payload).unwrap().to_le_bytes();
    let size: String = size.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes(&format!(
        "01000000 ff000000 {size} 34000000 {id:02x}000000 {op:02x}000000 00000000 {flags:02x}000000 00000000 {session} 0000000000000000"
    ))
}

fn session() -> u64 {
    u64::from_le_bytes(bytes(SESSION).try_into().unwrap())
}

/// A request with its reply, both as payloads.
fn exchange(id: u8, op: u8, request: &str, call: &Call<'_>, reply: &Reply, replied: &str) {
    let session_of_request = if op == 41 {
        "0000000000000000"
    } else {
        SESSION
    };
    let request = bytes(request);
    let packet = [
        header(id, op, 1, session_of_request, request.len()),
        request,
    ]
    .concat();
    let decoded = Request::decode(&packet);
    assert_eq!(decoded.call.as_ref(), Ok(call), "{op}");
    let mut replied = bytes(replied);
    if let Reply::Read(data) = reply {
        replied.extend(data);
    }
    let expected = [
        header(id, op, 2, session_of_request, replied.len()),
        replied,
    ]
    .concat();
    assert_eq!(reply.encode(&decoded.header), expected, "{op}");
}

#[test]
fn a_whole_download_is_byte_for_byte_that_of_the_reference() {
    let capabilities: String = [41, 42, 0, 3, 15, 24, 25, 26, 27, 31]
        .iter()
        .map(|op| format!("{op:02x}000000 01000000"))
        .collect();
    let first = bytes(
        "01000000 ff000000 44000000 34000000 01000000 29000000 00000000 01000000 00000000 0000000000000000 0000000000000000",
    );
    assert_eq!(header(1, 41, 1, "0000000000000000", 16), first);
    let name_bytes = bytes(NAME);
    let target = Target::Name(Name(&name_bytes));
    exchange(
        1,
        41,
        "00000000 00f80000 01000000 00000000",
        &Call::CreateSession {
            most_in_packet: Some(0xF800),
        },
        &Reply::Session {
            id: session(),
            most_in_packet: 0xF800,
        },
        &format!("{SESSION} 0a000000 00f80000 00000000 01000000 00000000 {capabilities}"),
    );
    let file = FileStatus {
        kind: FileKind::Regular,
        size: LOG as u64,
        times: None,
        mode: None,
        owner: None,
    };
    exchange(
        2,
        15,
        &format!("00000000 0f000000 0000000000000000 00000000 1c000000 {NAME} 00"),
        &Call::Attributes { target },
        &Reply::Attributes(file),
        &format!(
            "00000000 00000000 0300000000000000 00000000 192f000000000000 {} 00000000 00",
            "00".repeat(104 - 20)
        ),
    );
    exchange(
        3,
        24,
        &format!(
            "0308000000000000 00000000 00000000 {} 1c000000 00000000 00000000 00000000 {NAME} 00",
            "00".repeat(48)
        ),
        &Call::Open {
            target,
            mode: Mode::Read,
        },
        &Reply::Opened { handle: 1 },
        "01000000 00000000 00000000 00000000",
    );
    exchange(
        4,
        25,
        "01000000 0000000000000000 00f00000 0000000000000000",
        &Call::Read {
            handle: 1,
            offset: 0,
            size: 61_440,
        },
        &Reply::Read(vec![b'x'; LOG]),
        "192f0000 0000000000000000",
    );
    exchange(
        5,
        25,
        "01000000 192f000000000000 00f00000 0000000000000000",
        &Call::Read {
            handle: 1,
            offset: LOG as u64,
            size: 61_440,
        },
        &Reply::Read(Vec::new()),
        "00000000 0000000000000000",
    );
    exchange(
        6,
        3,
        "00000000 03000000 01000000",
        &Call::Close { handle: 1 },
        &Reply::Closed,
        "00000000 00000000",
    );
    exchange(
        7,
        42,
        "0000000000000000",
        &Call::DestroySession,
        &Reply::SessionEnded,
        "0000000000000000",
    );
}
