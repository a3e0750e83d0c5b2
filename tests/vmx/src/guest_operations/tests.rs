//! The client against the bytes of the reference, and against a guest that is scripted.

use super::hgfs::{Answer, Packet};
use super::*;

#[test]
fn a_request_with_a_credential_is_that_of_the_reference() {
    // guest-ops-vix §8.5: ListProcessesEx, all pids, root / s3cret.
    let asked = std::cell::RefCell::new(Vec::new());
    let relay = |request: Vec<u8>| {
        asked.borrow_mut().push(request);
        Ok(b"OK 0 0 \0".to_vec())
    };
    let client = GuestClient::new(&relay, "root", "s3cret");
    assert_eq!(client.processes(&[]), Ok(Vec::new()));
    let request = asked.borrow().concat();
    let message = request
        .strip_prefix(b"Vix_1_Relayed_Command \"guest\"\0")
        .unwrap();
    let expected = [
        &b"\x01\x00\x0d\xd0\x05\x00\x58\x00\x00\x00\x33\x00\x00\x00\x0c\x00\x00\x00\x19\x00\x00\x00\x05"[..],
        b"\xba\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x88\x77\x66\x55\x44\x33\x22\x11\x00\x00\x00\x00",
        b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x04\x00\x00\x00\x06\x00\x00\x00cm9vdABzM2NyZXQA\0",
    ];
    assert_eq!(message, expected.concat());
}

#[test]
fn pages_are_put_together() {
    let whole = "<proc><name>a %26 b</name><pid>7</pid><user>u</user><start>5</start><eCode>0</eCode><eTime>0</eTime></proc>";
    let total = whole.len() + 1;
    let relay = |request: Vec<u8>| {
        let body = &request[request.iter().position(|&byte| byte == 0).unwrap() + 1 + 51..];
        let word = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().unwrap()) as usize;
        let (key, offset) = (word(0), word(4));
        let end = whole.len().min(offset + 20);
        let left = if end == whole.len() { 0 } else { total - end };
        let begins = if key == 0 {
            format!("<key>9</key><totalSize>{total}</totalSize>")
        } else {
            String::new()
        };
        Ok(format!(
            "OK 0 0 {begins}<leftToSend>{left}</leftToSend>{}\0",
            &whole[offset..end]
        )
        .into_bytes())
    };
    let processes = GuestClient::new(&relay, "u", "p").processes(&[]).unwrap();
    assert_eq!(processes[0].line, "a & b");
    assert_eq!((processes[0].pid, processes.len()), (7, 1));
}

#[test]
fn the_packet_of_the_reference_is_built() {
    // hgfs §4: the header of the first request.
    let packet = Packet {
        id: 1,
        op: 0x29,
        session: 0,
        payload: hgfs::create_session(0xF800),
    };
    let golden: Vec<u8> = [
        1u32, 0xFF, 0x44, 0x34, 1, 0x29, 0, 1, 0, 0, 0, 0, 0, 0, 0xF800, 1, 0,
    ]
    .into_iter()
    .flat_map(u32::to_le_bytes)
    .collect();
    assert_eq!(packet.encode(), golden);
}

#[test]
fn what_a_guest_must_not_send_is_noticed() {
    let good = Packet {
        id: 1,
        op: 3,
        session: 5,
        payload: vec![0; 8],
    }
    .encode();
    let reply = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        bytes[28] = 2;
        change(&mut bytes);
        Answer::decode(&bytes)
    };
    assert_eq!(reply(&|_| {}).map(|answer| answer.session), Ok(5));
    assert!(reply(&|bytes| bytes[8] += 1).is_err());
    assert!(reply(&|bytes| bytes[28] = 1).is_err());
    assert!(reply(&|bytes| bytes.truncate(51)).is_err());
    for text in [
        "<proc>",
        "<proc></proc>",
        "x",
        "<ev>A</ev>",
        "1 ",
        "<ev>A='</ev>",
        "<ev>A=%3c</ev>",
    ] {
        assert!(results::processes(text).is_err(), "{text}");
        assert!(results::environment(text).is_err(), "{text}");
        assert!(Listing::read(text).is_err(), "{text}");
    }
}
