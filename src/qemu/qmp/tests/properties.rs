//! What holds for any stream.

use proptest::prelude::*;

use super::super::fuzz::{PING, assert_one_object, fuzz_qmp_stream, received};
use super::*;

proptest! {
    #[test]
    fn any_stream_is_read_the_same_however_it_is_cut(
        stream in stream(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = received([&stream[..]]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(&received(pieces), &whole);
        prop_assert_eq!(&received(stream.chunks(1)), &whole);
    }

    #[test]
    fn any_stream_gets_replies_that_are_json_and_is_forgotten_at_the_reset_byte(stream in stream()) {
        fuzz_qmp_stream(&stream);
    }

    #[test]
    fn a_request_between_any_two_others_is_answered(
        before in request(), after in request(),
    ) {
        let stream = [before.as_bytes(), PING, after.as_bytes()].concat();
        let all = received([&stream[..]]);
        prop_assert_eq!(all.len(), 3);
        prop_assert_eq!(&all[1..2], &received([PING]));
    }

    #[test]
    fn an_object_that_is_skipped_gets_one_error(
        depth in 33..2000_usize,
        rest in "[^\n\u{ff}]{0,200}",
    ) {
        let object = format!("{}{rest}\n", "[".repeat(depth));
        let all = received([object.as_bytes(), PING]);
        prop_assert_eq!(all.len(), 2);
        prop_assert_eq!(&all[1..], &received([PING]));
    }

    #[test]
    fn an_error_with_any_words_is_one_line_of_json(desc in any::<String>(), class in any::<bool>()) {
        let error = if class { Error::Generic(desc) } else { Error::CommandNotFound(desc) };
        assert_one_object(&reply(&Err(error), None), None);
    }

    #[test]
    fn any_value_comes_back_as_it_is(value in json_value()) {
        let line = reply(&Ok(value.clone()), None);
        assert_one_object(&line, None);
        let back: Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(&back["return"], &value);
    }

    #[test]
    fn any_value_is_read_as_serde_json_reads_it(value in json_value()) {
        let request = json!({"execute": "x", "arguments": {"a": value}, "id": value});
        for text in [request.to_string(), format!("{request:#}")] {
            let all = received([text.as_bytes()]);
            let [Received::Request(request)] = &all[..] else {
                panic!("{all:?}");
            };
            prop_assert_eq!(&request.arguments["a"], &value);
            let Some(Id(id)) = &request.id else { panic!() };
            prop_assert_eq!(&serde_json::from_str::<Value>(id).unwrap(), &value);
        }
    }
}

/// Pieces of JSON in any order, and bytes.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(vec![
            &b"{"[..], b"}", b"[", b"]", b"\"", b"'", b"\\", b":", b",", b"\n", b" ", b"\xFF",
            b"\"execute\":", b"\"guest-ping\"", b"\"arguments\":", b"{}", b"\"id\":", b"1",
            b"true", b"hello", b"-1.5e3", b"\xC3", b"\xA9", b"\\u00e9", b"\0",
        ]).prop_map(<[u8]>::to_vec),
        2 => request().prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A request, perhaps one that is refused, on a line or several.
fn request() -> impl Strategy<Value = String> {
    (json_value(), json_value(), any::<bool>()).prop_map(|(arguments, id, is_pretty)| {
        let request = json!({"execute": "guest-ping", "arguments": arguments, "id": id});
        if is_pretty {
            format!("{request:#}")
        } else {
            request.to_string()
        }
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1_000_000..1_000_000_i32).prop_map(|n| Value::from(f64::from(n) / 64.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}
