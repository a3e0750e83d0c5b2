//! Replies as an ESXi 8 gave them, printed in the documentation of public scripts; spaces are the host's.

use proptest::prelude::*;

use super::*;

const TOKEN: &str = "525b5364-6f0e-40d7-1f3c-5a5e6a2ee7a5";

const START: &str = r#"{"version":"1.0.0", "result": true, "eventType": "start",  "opType": "host-migration", "eventGenTimeInSec": 1666730185, "notificationTimeoutInSec": 120, "destNotificationTimeoutInSec": 120, "notificationTypes": ["sla-miss"],  "operationId": 6279072692702276663 }"#;
const END: &str = r#"{"version":"1.0.0",  "result": true, "eventType": "end",  "opType": "host-migration", "opStatus": "success", "eventGenTimeInSec": 1666730200, "notificationTypes": ["sla-miss"],  "operationId": 6279072692702276663 }"#;
const CHANGE: &str = r#"{"version":"1.0.0", "result": true, "eventType": "timeout-change",  "eventGenTimeInSec": 1666736715, "notificationTimeoutInSec": 120, "newNotificationTimeoutInSec": 60, "notificationTypes": ["sla-miss"],  "operationId": 1666736715415723 }"#;
const NOTHING: &str = r#"{"version":"1.0.0", "result": true }"#;
const ACK: &str = r#"{"version":"1.0.0", "result": true, "operationId": 6279072692702276663,  "ackStatus": "ack_received" }"#;

fn registered(token: &str) -> String {
    format!(
        r#"{{"version":"1.0.0", "result": true, "guaranteed": true, "uniqueToken": "{token}", "notificationTimeoutInSec": 120 }}"#
    )
}

fn token() -> Token {
    Token::new(TOKEN).unwrap()
}

fn event(reply: &str) -> Option<Event> {
    Event::parse(reply.as_bytes()).unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn requests_are_the_documented_bytes() {
    let requests = [
        register(),
        check_for_event(&token()),
        ack_event(OperationId(6_279_072_692_702_276_663), &token()),
        unregister(&token()),
    ];
    let expected = [
        r#"vm-operation-notification.register {"appName": "talos-vmtoolsd", "notificationTypes": ["sla-miss"]}"#,
        r#"vm-operation-notification.check-for-event {"uniqueToken": "525b5364-6f0e-40d7-1f3c-5a5e6a2ee7a5"}"#,
        r#"vm-operation-notification.ack-event {"operationId": 6279072692702276663, "uniqueToken": "525b5364-6f0e-40d7-1f3c-5a5e6a2ee7a5"}"#,
        r#"vm-operation-notification.unregister {"uniqueToken": "525b5364-6f0e-40d7-1f3c-5a5e6a2ee7a5"}"#,
    ];
    assert_eq!(
        requests.map(|bytes| String::from_utf8(bytes).unwrap()),
        expected
    );
}

#[test]
fn a_token_cannot_break_out_of_its_request() {
    let token = Token::new(r#"a"},"b\"#).unwrap();
    let request = String::from_utf8(unregister(&token)).unwrap();
    let (_, json) = request.split_once(' ').unwrap();
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["uniqueToken"], r#"a"},"b\"#);
    for text in ["", " ", "a b", "a\n", "a\0", "ä", &"x".repeat(257)] {
        assert_eq!(Token::new(text), None, "{text:?}");
    }
}

#[test]
fn a_token_is_not_shown() {
    let shown = format!("{:?}", Registered::parse(registered(TOKEN).as_bytes()));
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn a_registration_is_read() {
    let expected = Registered {
        token: token(),
        timeout: Some(secs(120)),
    };
    assert_eq!(
        Registered::parse(registered(TOKEN).as_bytes()),
        Ok(expected.clone())
    );
    let other_order = format!(
        r#"{{ "notificationTimeoutInSec":120,"uniqueToken" :"{TOKEN}","new":[{{}}],"result":true}}"#
    );
    assert_eq!(
        Registered::parse(other_order.as_bytes()),
        Ok(expected.clone())
    );
    let with_nul = [registered(TOKEN).as_bytes(), b"\0"].concat();
    assert_eq!(Registered::parse(&with_nul), Ok(expected));
    for token in ["", " ", "\\u0000"] {
        assert_eq!(
            Registered::parse(registered(token).as_bytes()),
            Err(ReplyError::Malformed("a token"))
        );
    }
}

#[test]
fn events_are_read_and_their_ids_stay_whole() {
    let operation = Some(OperationId(6_279_072_692_702_276_663));
    let timeout = Some(secs(120));
    let start = Event {
        operation,
        kind: EventKind::Start { timeout },
    };
    assert_eq!(event(START), Some(start));
    let status = "success".to_owned();
    let end = Event {
        operation,
        kind: EventKind::End { status },
    };
    assert_eq!(event(END), Some(end));
    let change = Event {
        operation: Some(OperationId(1_666_736_715_415_723)),
        kind: EventKind::TimeoutChange {
            timeout: Some(secs(60)),
        },
    };
    assert_eq!(event(CHANGE), Some(change));
    assert_eq!(event(NOTHING), None);
    assert_eq!(parse_done(ACK.as_bytes()), Ok(()));
    for id in [
        "18446744073709551615",
        "-9223372036854775808",
        "9007199254740993",
    ] {
        let found = event(&format!(
            r#"{{"result":true,"eventType":"end","operationId":{id}}}"#
        ));
        let operation = found.unwrap().operation.unwrap();
        assert_eq!(operation.to_string(), id);
    }
}

#[test]
fn the_smaller_of_two_times_counts_and_one_of_another_type_does_not() {
    let start = |host: &str, other: &str| {
        let text = format!(
            r#"{{"result": true, "eventType": "start", "notificationTimeoutInSec": {host}, "destNotificationTimeoutInSec": {other}, "operationId": 1}}"#
        );
        match event(&text).unwrap().kind {
            EventKind::Start { timeout } => timeout.map(|timeout| timeout.as_secs()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(start("120", "60"), Some(60));
    assert_eq!(start("0", "60"), Some(0));
    assert_eq!(start("\"120\"", "60"), Some(60));
    assert_eq!(start("-1", "1.5"), None);
    assert_eq!(start("[]", "null"), None);
}

#[test]
fn what_is_not_known_is_an_event_all_the_same() {
    let other = |word: &str, operation| {
        Some(Event {
            operation,
            kind: EventKind::Other(word.to_owned()),
        })
    };
    let one = Some(OperationId(1));
    let fresh = r#"{"result": true, "eventType": "pause", "operationId": 1}"#;
    assert_eq!(event(fresh), other("pause", one));
    for (text, operation) in [
        (r#"{"result": true, "eventType": 7, "operationId": 1}"#, one),
        (r#"{"result": true, "operationId": 1}"#, one),
        (
            r#"{"result": true, "eventType": "", "operationId": "1"}"#,
            None,
        ),
        (
            r#"{"result": true, "eventType": null, "operationId": 1e300}"#,
            None,
        ),
    ] {
        assert_eq!(event(text), other("", operation), "{text}");
    }
}

#[test]
fn those_who_are_registered_are_listed() {
    let one = r#"{"version":"1.0.0", "result": true, "info": [     {"appName": "demo", "notificationTypes": ["sla-miss"]}] }"#;
    assert_eq!(parse_list(one.as_bytes()), Ok(vec!["demo".to_owned()]));
    assert_eq!(list(), b"vm-operation-notification.list");
    let odd = r#"{"result": true, "info": [7, {}, {"appName": 7}]}"#;
    assert_eq!(parse_list(odd.as_bytes()), Ok(Vec::new()));
    let none = Err(ReplyError::Malformed("a list"));
    assert_eq!(parse_list(NOTHING.as_bytes()), none);
}

#[test]
fn a_refusal_is_one_whatever_else_is_there() {
    let denied = r#"{"version":"1.0.0", "result": false, "errorMessage": "vm-operation-notification.register: Invalid input: x", "uniqueToken": "a"}"#;
    let why = ReplyError::Denied("vm-operation-notification.register: Invalid input: x".to_owned());
    assert_eq!(Registered::parse(denied.as_bytes()), Err(why.clone()));
    assert_eq!(Event::parse(denied.as_bytes()), Err(why.clone()));
    assert_eq!(parse_done(denied.as_bytes()), Err(why));
    let silent = ReplyError::Denied("no reason given".to_owned());
    assert_eq!(
        parse_done(br#"{"result":false,"errorMessage":7}"#),
        Err(silent)
    );
}

#[test]
fn what_is_no_reply_is_none() {
    for text in [
        "",
        "\0",
        "Unknown command",
        "{",
        "[]",
        "{}",
        "true",
        r#"{"result": "true"}"#,
        r#"{"result": 1}"#,
        "\u{feff}{}",
    ] {
        let error = Event::parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, ReplyError::Malformed(_)), "{text:?}");
    }
    assert!(Event::parse(&b"[".repeat(100_000)).is_err());
}

#[test]
fn what_is_cut_says_nothing() {
    for whole in [START, END, CHANGE, NOTHING, &registered(TOKEN), ACK] {
        for end in 0..whole.trim_end_matches(['}', ' ']).len() {
            let cut = whole.get(..end).unwrap().as_bytes();
            assert!(Event::parse(cut).is_err() && Registered::parse(cut).is_err());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::vmware::wire::fuzz::fuzz_vm_operation_notification(&bytes);
    }

    #[test]
    fn a_reply_with_one_byte_changed_is_read_without_a_fault(at in 0..START.len(), byte in any::<u8>()) {
        let mut bytes = START.as_bytes().to_vec();
        bytes[at] = byte;
        crate::vmware::wire::fuzz::fuzz_vm_operation_notification(&bytes);
    }
}
