//! Replies byte by byte, as qemu-ga writes them.

use super::*;

#[test]
fn replies_have_the_spaces_of_qemu_ga_and_one_line() {
    let rows = [
        (json!({}), "{\"return\": {}}\n"),
        (json!(17), "{\"return\": 17}\n"),
        (json!(i64::MIN), "{\"return\": -9223372036854775808}\n"),
        (json!(null), "{\"return\": null}\n"),
        (json!("thawed"), "{\"return\": \"thawed\"}\n"),
        (json!([]), "{\"return\": []}\n"),
        (
            json!([{"a": 1, "b": [true, 1.5]}, {}]),
            "{\"return\": [{\"a\": 1, \"b\": [true, 1.5]}, {}]}\n",
        ),
        (json!("a\nb\u{0}é"), "{\"return\": \"a\\nb\\u0000é\"}\n"),
    ];
    for (value, line) in rows {
        assert_eq!(reply(&Ok(value), None), line.as_bytes());
    }
}

#[test]
fn an_error_names_its_class() {
    let not_found = Error::CommandNotFound("Command guest-exec has been disabled".into());
    assert_eq!(
        reply(&Err(not_found), None),
        b"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"Command guest-exec has been disabled\"}}\n"
    );
    assert_eq!(
        reply(&Err(Error::Generic("x \"y\"".into())), None),
        b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"x \\\"y\\\"\"}}\n"
    );
}

#[test]
fn only_the_reply_of_the_delimited_sync_has_the_byte_in_front() {
    assert_eq!(delimited(&Ok(json!(70)), None), b"\xFF{\"return\": 70}\n");
    assert_eq!(reply(&Ok(json!(70)), None), b"{\"return\": 70}\n");
}

#[test]
fn an_id_of_any_type_comes_back_as_it_was_written() {
    for id in [
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890123456789012345678901234567890",
        "1e400",
        "-1.5E-7",
        "\"\"",
        "\"abc\"",
        "\"a\\nb\\u0000\\\\ \\\"\"",
        "\"é…😀\"",
        "[]",
        "[1, {\"b\": null, \"a\": [[]]}]",
        "{}",
        "{\"z\": 1, \"a\": 2, \"z\": 3}",
    ] {
        for request in [
            format!("{{\"execute\":\"guest-ping\",\"id\":{id}}}"),
            format!("{{\"id\": {id} , \"execute\": \"guest-ping\"}}"),
        ] {
            let sent = String::from_utf8(answers([request.as_bytes()])).unwrap();
            assert_eq!(sent, format!("{{\"return\": {{}}, \"id\": {id}}}\n"));
        }
    }
}

#[test]
fn an_id_over_several_lines_comes_back_on_one() {
    let sent = answers([&b"{\"execute\":\"guest-ping\",\"id\":[1,\r\n\t2]}"[..]]);
    assert_eq!(
        String::from_utf8(sent).unwrap(),
        "{\"return\": {}, \"id\": [1,   2]}\n"
    );
}

#[test]
fn what_the_host_wrote_appears_in_an_error_short_and_escaped() {
    for name in ["\\u0007\\n\\u001b[2J", "x\\u0000", "\\\"\\\\", "é\u{7f}"] {
        let request = format!("{{\"execute\":\"guest-ping\",\"{name}\":1}}");
        let sent = String::from_utf8(answers([request.as_bytes()])).unwrap();
        assert!(!sent.trim_end().contains(|c: char| c < ' '), "{sent:?}");
        let value: Value = serde_json::from_str(&sent).unwrap();
        let name: String = serde_json::from_str(&format!("\"{name}\"")).unwrap();
        assert_eq!(
            value["error"]["desc"],
            format!("QMP input member '{name}' is unexpected")
        );
    }
    for character in ["a", "é", "\\u0001"] {
        let name = character.repeat(100_000);
        for request in [
            format!("{{\"execute\":\"{name}\"}}"),
            format!("{{\"{name}\":1}}"),
        ] {
            let sent = answers([request.as_bytes()]);
            assert!(sent.len() < 3000, "{}", sent.len());
            let value: Value = serde_json::from_slice(&sent).unwrap();
            assert!(value["error"]["desc"].as_str().unwrap().ends_with('…'));
        }
    }
}

#[test]
fn a_number_that_is_no_64_bit_integer_is_a_float_in_the_arguments() {
    let mut parser = Parser::default();
    for (number, is_i64) in [
        ("9223372036854775807", true),
        ("-9223372036854775808", true),
        ("18446744073709551615", false),
        ("18446744073709551616", false),
        ("1.5", false),
    ] {
        let request = format!("{{\"execute\":\"guest-sync\",\"arguments\":{{\"id\":{number}}}}}");
        parser.feed(request.as_bytes());
        let Some(Received::Request(request)) = parser.next() else {
            panic!("{number}");
        };
        assert_eq!(request.arguments["id"].is_i64(), is_i64, "{number}");
    }
}
