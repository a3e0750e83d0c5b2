//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Id, Parser, Received, delimited, reply};

/// A request whose answer is known.
pub(super) const PING: &[u8] = b"{\"execute\":\"guest-ping\"}\n";

/// Any stream of the host: it is read the same in one block and byte by byte, each reply is an object on a line, and
/// requests are understood again behind the byte 0xFF, and on the third line at the latest.
pub fn fuzz_qmp_stream(bytes: &[u8]) {
    let whole = received([bytes]);
    assert_eq!(received(bytes.chunks(1)), whole);
    assert_eq!(received(bytes.chunks(7)), whole);
    for one in &whole {
        match one {
            Received::Request(request) => {
                let result = Ok(Value::Object(request.arguments.clone()));
                let id = request.id.as_ref();
                assert_one_object(&reply(&result, id), id);
                let line = delimited(&result, id);
                assert_eq!(line.first(), Some(&0xFF));
                assert_one_object(&line[1..], id);
            }
            Received::Malformed { error, id } => {
                assert_one_object(&reply(&Err(error.clone()), id.as_ref()), id.as_ref());
            }
        }
    }

    let ping = received([PING]);
    assert_eq!(ping.len(), 1);
    let after_reset = received([bytes, b"\xFF", PING]);
    assert_eq!(after_reset[whole.len()..], ping);

    let mut parser = Parser::default();
    take(&mut parser, bytes);
    parser.reset();
    assert_eq!(take(&mut parser, PING), ping);

    // Garbage that ends within a value takes the first line for its continuation and gives up at the second.
    let mut parser = Parser::default();
    take(&mut parser, bytes);
    take(&mut parser, b"\n");
    let errors = [PING, PING].map(|line| take(&mut parser, line).len());
    assert!(errors.iter().all(|&found| found <= 1));
    assert_eq!(take(&mut parser, PING), ping);
}

/// Any text as the arguments of a request: serde_json's own values are what is read, and what it refuses is refused.
pub fn fuzz_qmp_arguments(bytes: &[u8]) {
    let stream = [
        b"{\"execute\":\"x\",\"id\":[7],\"arguments\":",
        bytes,
        b"}\n",
    ]
    .concat();
    let all = received([&stream[..]]);
    let expected: Option<BTreeMap<String, Value>> = serde_json::from_slice(bytes).ok();
    let Some(expected) = expected else {
        // Text that ends the request early may still be one.
        return;
    };
    let [one] = &all[..] else {
        // White space and strings with line ends are no one's arguments, but a whole object ends with its request.
        panic!("{} answers", all.len());
    };
    match one {
        Received::Request(request) => {
            assert_eq!(request.id.as_ref().map(|Id(text)| &**text), Some("[7]"));
            assert_eq!(json!(request.arguments), json!(expected));
        }
        Received::Malformed { error, .. } => {
            let desc = error.to_string();
            let reasons = ["duplicate key", "limit exceeded"];
            assert!(reasons.iter().any(|why| desc.contains(why)), "{desc}");
        }
    }
}

/// All that a new parser finds in these pieces.
pub(super) fn received<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Received> {
    let mut parser = Parser::default();
    pieces
        .into_iter()
        .flat_map(|piece| take(&mut parser, piece))
        .collect()
}

/// What the parser finds with these bytes.
fn take(parser: &mut Parser, bytes: &[u8]) -> Vec<Received> {
    parser.feed(bytes);
    std::iter::from_fn(|| parser.next()).collect()
}

/// A line with one object: a return or an error, and the id of the request.
pub(in crate::qemu) fn assert_one_object(line: &[u8], id: Option<&Id>) {
    let text = std::str::from_utf8(line).expect("UTF-8");
    let object = text.strip_suffix('\n').expect("a whole line");
    assert!(!object.contains(|character| character < ' '), "{object:?}");
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(object).expect("JSON");
    let its_id = members.remove("id").map(RawValue::get);
    assert_eq!(its_id, id.map(|Id(text)| &**text));
    assert_eq!(members.len(), 1, "{object}");
    if let Some(error) = members.get("error") {
        let error: BTreeMap<String, String> =
            serde_json::from_str(error.get()).expect("class and words");
        assert!(error.keys().eq(["class", "desc"]));
        assert!(error["desc"].len() <= 2000);
    } else {
        assert!(members.contains_key("return"));
    }
}
