//! The stream as a whole: what qemu-ga was seen to do, at every split.

use super::answers;

/// The stream, the answers to it.
const VECTORS: [(&[u8], &[u8]); 12] = [
    (br#"{"execute":"guest-ping"}"#, b"{\"return\": {}}\n"),
    (
        br#"{"execute":"guest-ping"}{"execute":"guest-sync","arguments":{"id":4}}"#,
        b"{\"return\": {}}\n{\"return\": 4}\n",
    ),
    (
        b"\n\n{\"execute\":\n\"guest-ping\"}\r\n",
        b"{\"return\": {}}\n",
    ),
    (
        b"{\"execute\": \"guest-pi\xFF{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":-9223372036854775808}}\n",
        b"\xFF{\"return\": -9223372036854775808}\n",
    ),
    // Proxmox: two in one write.
    (
        b"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":70}}\n{\"execute\":\"guest-ping\",\"arguments\":{}}\n",
        b"\xFF{\"return\": 70}\n{\"return\": {}}\n",
    ),
    (
        br#"{"execute":"guest-ping","id":"abc"}"#,
        b"{\"return\": {}, \"id\": \"abc\"}\n",
    ),
    (
        b"[1,2]\nhello\n{\"foo\":1}\n{\"execute\":\"guest-ping\"}\n",
        br#"{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}
{"error": {"class": "GenericError", "desc": "JSON parse error, invalid keyword 'hello'"}}
{"error": {"class": "GenericError", "desc": "QMP input member 'foo' is unexpected"}}
{"return": {}}
"#,
    ),
    (
        br#"{"execute":"guest-nope","id":7}"#,
        br#"{"error": {"class": "CommandNotFound", "desc": "The command guest-nope has not been found"}, "id": 7}
"#,
    ),
    (
        b"{'execute':'guest-ping','id':'a\"b\\'c'}",
        b"{\"return\": {}, \"id\": \"a\\\"b'c\"}\n",
    ),
    (b"\xFF\xFF\xFF\n\n \t\r\n", b""),
    // A torn request, and the next client's: nothing of it is lost but its first line.
    (
        b"{\"execute\": \"guest-pi{\"execute\":\"guest-sync\",\"arguments\":{\"id\":1}}\n{\"execute\":\"guest-ping\"}\n",
        br#"{"error": {"class": "GenericError", "desc": "JSON parse error, expected separator in dict"}}
{"return": {}}
"#,
    ),
    (
        b"{\"execute\": {\"execute\":\"guest-ping\"}\n{\"execute\":\"guest-ping\"}\n{\"execute\":\"guest-sync\",\"arguments\":{\"id\":1}}\n",
        br#"{"error": {"class": "GenericError", "desc": "JSON parse error, expected separator in dict"}}
{"return": 1}
"#,
    ),
];

#[test]
fn the_vectors_are_answered_in_one_block() {
    for (stream, expected) in VECTORS {
        assert_answers([stream], expected, stream);
    }
}

#[test]
fn the_vectors_are_answered_byte_by_byte() {
    for (stream, expected) in VECTORS {
        assert_answers(stream.chunks(1), expected, stream);
    }
}

#[test]
fn the_vectors_are_answered_at_every_split() {
    for (stream, expected) in VECTORS {
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            assert_answers([first, second], expected, stream);
        }
    }
}

fn assert_answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, expected: &[u8], stream: &[u8]) {
    assert_eq!(
        String::from_utf8_lossy(&answers(pieces)),
        String::from_utf8_lossy(expected),
        "{}",
        String::from_utf8_lossy(stream)
    );
}
