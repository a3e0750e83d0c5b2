//! qemu-ga's words for everything that is no request.

use super::answers;

/// What is sent on a line, the one error that comes back for it.
const WORDS: [(&str, &str); 48] = [
    // No JSON.
    ("hello", "JSON parse error, invalid keyword 'hello'"),
    ("a1", "JSON parse error, invalid keyword 'a'"),
    ("hel-lo", "JSON parse error, invalid keyword 'hel'"),
    ("Hello", "JSON parse error, stray 'H'"),
    ("#", "JSON parse error, stray '#'"),
    ("\u{1}", r"JSON parse error, stray '\u0001'"),
    ("é", "JSON parse error, stray '\u{fffd}'"),
    ("}", "JSON parse error, expecting value"),
    ("}}}", "JSON parse error, expecting value"),
    (",", "JSON parse error, expecting value"),
    ("{]", "JSON parse error, expecting value"),
    ("[}", "JSON parse error, expecting value"),
    ("[1,]", "JSON parse error, expecting value"),
    ("[1 2]", "JSON parse error, expected separator in list"),
    ("[[] []]", "JSON parse error, expected separator in list"),
    (
        r#"{"a":1 2}"#,
        "JSON parse error, expected separator in dict",
    ),
    (
        r#"{"execute":"guest-ping" "id":1}"#,
        "JSON parse error, expected separator in dict",
    ),
    (
        r#"{"execute"}"#,
        "JSON parse error, missing : in object pair",
    ),
    (r#"{"execute":}"#, "JSON parse error, expecting value"),
    (
        r#"{"execute":"guest-ping",}"#,
        "JSON parse error, expecting value",
    ),
    ("{1:2}", "JSON parse error, key is not a string in object"),
    ("{execute:1}", "JSON parse error, invalid keyword 'execute'"),
    (
        r#"{"execute":hello}"#,
        "JSON parse error, invalid keyword 'hello'",
    ),
    (
        r#"{"execute":"guest-ping","id":nul}"#,
        "JSON parse error, invalid keyword 'nul'",
    ),
    (
        r#"{"execute":"guest-ping","id":%d}"#,
        "JSON parse error, stray '%'",
    ),
    (
        r#"{"execute":"guest-ping","id":"\x"}"#,
        "JSON parse error, invalid escape sequence in string",
    ),
    (
        "{\"execute\":\"guest-pi\tng\"}",
        r"JSON parse error, stray '\t' in string",
    ),
    (r#""abc"#, r"JSON parse error, stray '\n' in string"),
    (
        r#"{"execute":"guest-ping","execute":"guest-ping"}"#,
        "JSON parse error, duplicate key",
    ),
    (
        r#"{"execute":"guest-ping","id":1,"id":2}"#,
        "JSON parse error, duplicate key",
    ),
    (
        r#"{"execute":"guest-sync","arguments":{"id":1,"id":2}}"#,
        "JSON parse error, duplicate key",
    ),
    (
        r#"{"execute":"guest-sync","arguments":{"id":1e999}}"#,
        "JSON parse error, number out of range",
    ),
    // JSON, but no object.
    ("[1,2]", "QMP input must be a JSON object"),
    ("[]", "QMP input must be a JSON object"),
    (r#""abc""#, "QMP input must be a JSON object"),
    ("'abc'", "QMP input must be a JSON object"),
    ("17", "QMP input must be a JSON object"),
    ("-1.5e3", "QMP input must be a JSON object"),
    ("true", "QMP input must be a JSON object"),
    ("null", "QMP input must be a JSON object"),
    // An object, but no request.
    ("{}", "QMP input lacks member 'execute'"),
    (r#"{"foo":1}"#, "QMP input member 'foo' is unexpected"),
    (
        r#"{"execute":"guest-ping","foo":1}"#,
        "QMP input member 'foo' is unexpected",
    ),
    (
        r#"{"exec-oob":"guest-ping"}"#,
        "QMP input member 'exec-oob' is unexpected",
    ),
    (
        r#"{"execute":1}"#,
        "QMP input member 'execute' must be a string",
    ),
    (
        r#"{"execute":"guest-ping","arguments":[]}"#,
        "QMP input member 'arguments' must be an object",
    ),
    (
        r#"{"execute":"guest-ping","arguments":null}"#,
        "QMP input member 'arguments' must be an object",
    ),
    (
        r#"{"execute":"guest-ping","arguments":"{}"}"#,
        "QMP input member 'arguments' must be an object",
    ),
];

#[test]
fn each_mistake_gets_one_error_in_the_words_of_qemu_ga_and_the_next_request_its_answer() {
    for (line, desc) in WORDS {
        let stream = format!("{line}\n{{\"execute\":\"guest-ping\"}}\n");
        let expected = format!(
            "{{\"error\": {{\"class\": \"GenericError\", \"desc\": \"{desc}\"}}}}\n{{\"return\": {{}}}}\n"
        );
        let sent = String::from_utf8(answers([stream.as_bytes()])).unwrap();
        assert_eq!(sent, expected, "{line}");
    }
}

#[test]
fn torn_utf_8_is_an_error() {
    for torn in [&b"\xC3("[..], b"\xC3", b"\xED\xA0\x80", b"\xF8"] {
        let stream = [b"{\"execute\":\"guest-", torn, b"\"}\n"].concat();
        let sent = String::from_utf8(answers([&stream[..]])).unwrap();
        assert!(
            sent.ends_with("\"JSON parse error, invalid UTF-8 sequence in string\"}}\n"),
            "{sent}"
        );
        assert_eq!(sent.lines().count(), 1);
    }
}

#[test]
fn two_stray_words_on_a_line_get_two_errors() {
    let sent = String::from_utf8(answers([&b"hello world\n"[..]])).unwrap();
    let words: Vec<&str> = sent.split('\'').skip(1).step_by(2).collect();
    assert_eq!(words, ["hello", "world"]);
}

#[test]
fn the_error_of_an_object_carries_its_id() {
    for object in [
        r#"{"id":7}"#,
        r#"{"foo":1,"id":7}"#,
        r#"{"execute":1,"id":7}"#,
        r#"{"execute":"guest-ping","arguments":1,"id":7}"#,
        r#"{"execute":"guest-ping","arguments":{"a":1,"a":1},"id":7}"#,
        r#"{"execute":"guest-nope","id":7}"#,
    ] {
        let sent = String::from_utf8(answers([object.as_bytes()])).unwrap();
        assert!(
            sent.starts_with("{\"error\"") && sent.ends_with(", \"id\": 7}\n"),
            "{object}: {sent}"
        );
    }
}

#[test]
fn of_several_members_that_are_none_one_is_named() {
    let sent = answers([&br#"{"b":1,"a":1,"execute":1}"#[..]]);
    let sent = String::from_utf8(sent).unwrap();
    assert!(sent.contains("member 'a' is unexpected"), "{sent}");
}
