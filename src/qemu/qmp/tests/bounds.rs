//! How much of the host's is kept, and what comes after too much.

use super::scanner::{MAX_DEPTH, MAX_LEN, MAX_VALUES};
use super::*;

const PING: &[u8] = b"{\"execute\":\"guest-ping\"}\n";
const PONG: &str = "{\"return\": {}}\n";

#[test]
fn a_request_of_one_mebibyte_is_read_and_one_byte_more_is_not() {
    let sent = text(&answers([&padded(MAX_LEN)[..]]));
    assert_eq!(sent, PONG);
    let sent = text(&answers([&padded(MAX_LEN + 1)[..], b"\n", PING]));
    assert_eq!(sent, error("JSON token size limit exceeded") + PONG);
}

#[test]
fn the_deepest_nesting_is_read_and_one_more_is_not() {
    // The request itself is one deep.
    let depth = MAX_DEPTH as usize - 1;
    let sent = text(&answers([&nested(depth)[..]]));
    assert!(sent.starts_with("{\"return\": {}, \"id\": [[["), "{sent}");
    let sent = text(&answers([&nested(depth + 1)[..], b"\n", PING]));
    assert_eq!(sent, error("JSON nesting depth limit exceeded") + PONG);
}

#[test]
fn nesting_a_hundred_thousand_deep_gets_one_error() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let sent = text(&answers([&deep[..], b"\n", PING]));
    assert_eq!(sent, error("JSON nesting depth limit exceeded") + PONG);
}

#[test]
fn too_many_values_get_one_error() {
    let list = |values: usize| {
        let zeros = vec!["0"; values].join(",");
        format!("{{\"execute\":\"guest-ping\",\"id\":[{zeros}]}}")
    };
    // The request, the list and one of its values have no comma; the id has one.
    let most = MAX_VALUES - 2;
    let sent = text(&answers([list(most).as_bytes()]));
    assert!(
        sent.starts_with("{\"return\": {}, \"id\": [0,0"),
        "{sent:.80}"
    );
    let sent = text(&answers([list(most + 1).as_bytes(), b"\n", PING]));
    assert_eq!(sent, error("JSON token count limit exceeded") + PONG);
}

#[test]
fn what_is_too_much_is_skipped_up_to_the_reset_byte_too() {
    for too_much in [padded(MAX_LEN + 1), nested(40), vec![b'['; 2 * MAX_LEN]] {
        let mut sent = answers([&too_much[..], PING, b"\xFF", PING]);
        let pong = sent.split_off(sent.len() - PONG.len());
        assert_eq!(text(&pong), PONG);
        // The ping on the line of what is skipped is lost with it.
        assert_eq!(text(&sent).lines().count(), 1);
    }
}

#[test]
fn no_more_than_a_text_is_kept_of_an_endless_stream() {
    for (begin, goes_on) in [
        (&b"{\"execute\":\""[..], b'a'),
        (b"[", b' '),
        (b"[", b'1'),
        (b"", b'a'),
        (b"", b'}'),
        (b"'", b'"'),
    ] {
        let mut parser = Parser::default();
        let mut found = 0;
        parser.feed(begin);
        for _ in 0..300 {
            parser.feed(&[goes_on; 4096]);
            while parser.next().is_some() {
                found += 1;
            }
            assert!(parser.scanner.kept() <= 2 * MAX_LEN);
        }
        assert!(found <= 1, "{found} errors");
        parser.feed(b"\n");
        parser.feed(PING);
        let last = std::iter::from_fn(|| parser.next()).last();
        assert!(matches!(last, Some(Received::Request(_))), "{last:?}");
        assert_eq!(parser.scanner.kept(), 0, "memory is given back");
    }
}

#[test]
fn a_request_of_one_mebibyte_that_comes_byte_by_byte_is_read() {
    // Were the text searched again at each byte, this would be half a tera of steps.
    let sent = text(&answers(padded(MAX_LEN).chunks(1)));
    assert_eq!(sent, PONG);
}

#[test]
fn an_endless_word_gets_one_error_that_shows_its_beginning() {
    let sent = text(&answers([&[b'a'; 100_000][..], b"\n", PING]));
    let word = "a".repeat(64);
    assert_eq!(
        sent,
        error(&format!("JSON parse error, invalid keyword '{word}'")) + PONG
    );
}

/// A ping of this length.
fn padded(len: usize) -> Vec<u8> {
    let frame = br#"{"execute":"guest-ping","arguments":{"x":""}}"#.len();
    let padding = "x".repeat(len - frame);
    let ping = format!(r#"{{"execute":"guest-ping","arguments":{{"x":"{padding}"}}}}"#);
    assert_eq!(ping.len(), len);
    ping.into_bytes()
}

/// A ping whose id is an array in an array in …
fn nested(depth: usize) -> Vec<u8> {
    let id = "[".repeat(depth) + &"]".repeat(depth);
    format!(r#"{{"execute":"guest-ping","id":{id}}}"#).into_bytes()
}

fn error(desc: &str) -> String {
    format!("{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{desc}\"}}}}\n")
}

fn text(sent: &[u8]) -> String {
    String::from_utf8(sent.to_vec()).unwrap()
}
