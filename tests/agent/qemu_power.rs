//! guest-shutdown: never lost, never twice, and the reply says what is true.

use std::time::{Duration, Instant};

use apid::{Method, OPERATOR, PowerBehaviour};
use serde_json::{Value, json};
use vmx::{Client, PortCall};

use crate::qemu::{Guest, error_of, parsed, reply};
use crate::support::{SOON, Talos};

/// How long a host may wait for a refusal; the rule is 5 s, the machine may be loaded.
const LIMIT: Duration = Duration::from_secs(7);

fn shutdown(mode: &str) -> String {
    let request = json!({ "execute": "guest-shutdown", "arguments": { "mode": mode } });
    format!("{request}\n")
}

/// Asks, and waits for the reply as long as a host may have to.
fn press(guest: &Guest, mode: &str) -> Value {
    let client = guest.port.connect_sending(shutdown(mode));
    answered(&client)
}

fn answered(client: &Client) -> Value {
    let line = client.line(LIMIT);
    parsed(&line.unwrap_or_else(|late| panic!("{late}")))
}

fn accepted() -> Value {
    json!({ "return": {} })
}

/// No more calls come.
fn that_was_all(guest: &Guest, talos: &Talos, method: Method, calls: usize) {
    guest.pass(Duration::from_millis(700));
    assert_eq!(talos.calls_of(method).len(), calls);
}

#[test]
fn powerdown_and_halt_become_shutdown_and_reboot_becomes_reboot_once_each() {
    for (mode, method, request) in [
        ("powerdown", Method::Shutdown, "force=false"),
        ("halt", Method::Shutdown, "force=false"),
        ("reboot", Method::Reboot, "mode=DEFAULT"),
    ] {
        let talos = Talos::new();
        let guest = Guest::start(&talos);
        assert_eq!(press(&guest, mode), accepted(), "{mode}");
        let calls = talos.calls_of(method);
        assert_eq!(calls.len(), 1, "{mode}");
        assert_eq!(calls[0].request, request, "{mode}");
        assert_eq!(calls[0].roles, [OPERATOR], "{mode}");
        // Asked again, by the same host or another, it is under way already.
        assert_eq!(press(&guest, mode), accepted(), "{mode}");
        assert_eq!(press(&guest, mode), accepted(), "{mode}");
        that_was_all(&guest, &talos, method, 1);
        guest.serves();
        guest.stop();
    }
}

#[test]
fn without_a_mode_it_is_powerdown() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    assert_eq!(guest.ask(r#"{"execute":"guest-shutdown"}"#), accepted());
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
}

#[test]
fn the_request_that_talos_own_test_writes_has_no_newline_and_no_sync() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let request = r#"{"execute":"guest-shutdown","arguments":{"mode":"reboot"}}"#;
    let client = guest.port.connect_sending(request);
    client.leave();
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    that_was_all(&guest, &talos, Method::Reboot, 1);
}

#[test]
fn the_reply_comes_after_talos_has_accepted() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.delay(Method::Shutdown, Duration::from_secs(2));
    let asked = Instant::now();
    let client = guest.port.connect_sending(shutdown("powerdown"));
    assert!(client.line(Duration::from_secs(1)).is_err(), "too early");
    assert_eq!(answered(&client), accepted());
    assert!(asked.elapsed() >= Duration::from_secs(2));
    that_was_all(&guest, &talos, Method::Shutdown, 1);
}

#[test]
fn what_talos_refuses_is_an_error_with_its_reason_and_the_next_request_asks_again() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.set_power(PowerBehaviour::ContainerMode);
    let (class, text) = error_of(&press(&guest, "powerdown"));
    assert_eq!(class, "GenericError");
    assert!(text.contains("not supported in container mode"), "{text}");
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    talos.set_power(PowerBehaviour::Accept);
    assert_eq!(press(&guest, "powerdown"), accepted());
    that_was_all(&guest, &talos, Method::Shutdown, 2);
}

#[test]
fn without_the_role_it_is_an_error_that_says_so() {
    let talos = Talos::new();
    talos.allow(Method::Shutdown, &["os:admin"]);
    let guest = Guest::start(&talos);
    let (class, text) = error_of(&press(&guest, "powerdown"));
    assert_eq!(class, "GenericError");
    assert!(!text.is_empty());
    guest.serves();
}

#[test]
fn while_talos_hangs_the_error_comes_within_5_s_and_nothing_is_done_later() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.hang();
    let asked = Instant::now();
    let (class, _text) = error_of(&press(&guest, "powerdown"));
    assert_eq!(class, "GenericError");
    assert!(asked.elapsed() < LIMIT);
    // Meanwhile others are served.
    guest.serves();
    talos.resume();
    guest.pass(Duration::from_secs(2));
    let begun = talos.sequences();
    assert!(begun.len() <= 1, "{begun:?}");
    // The host asks again, and there is one shutdown in all.
    assert_eq!(press(&guest, "powerdown"), accepted());
    guest.pass(Duration::from_secs(1));
    let begun = talos.sequences();
    assert!(!begun.is_empty() && begun.len() <= 2, "{begun:?}");
}

#[test]
fn while_talos_is_away_the_error_comes_within_5_s_and_a_return_in_time_is_used() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.stop();
    guest.pass(Duration::from_millis(500));
    let (class, _text) = error_of(&press(&guest, "reboot"));
    assert_eq!(class, "GenericError");
    talos.restart().unwrap();
    guest.pass(Duration::from_secs(2));
    assert!(talos.calls_of(Method::Reboot).is_empty(), "done too late");
    assert_eq!(press(&guest, "reboot"), accepted());
    assert_eq!(talos.calls_of(Method::Reboot).len(), 1);
}

#[test]
fn a_shutdown_outlives_the_client_that_asked_for_it() {
    for delay in [Duration::ZERO, Duration::from_secs(1)] {
        let talos = Talos::new();
        let guest = Guest::start(&talos);
        talos.delay(Method::Shutdown, delay);
        let client = guest.port.connect();
        client.send(shutdown("powerdown"));
        client.leave();
        talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
        // Nothing of it comes to the next client.
        guest.serves();
        that_was_all(&guest, &talos, Method::Shutdown, 1);
        guest.serves();
    }
}

#[test]
fn requests_while_one_is_under_way_are_answered_with_its_outcome() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.delay(Method::Shutdown, Duration::from_secs(1));
    let client = guest.port.connect();
    client.send(shutdown("powerdown"));
    client.send(shutdown("powerdown"));
    client.send("{\"execute\":\"guest-sync\",\"arguments\":{\"id\":3}}\n");
    assert_eq!(answered(&client), accepted());
    assert_eq!(answered(&client), accepted());
    assert_eq!(reply(&client), json!({ "return": 3 }));
    that_was_all(&guest, &talos, Method::Shutdown, 1);
}

#[test]
fn a_mode_that_does_not_exist_reaches_nobody() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let (class, text) = error_of(&press(&guest, "suspend"));
    assert_eq!(class, "GenericError");
    assert!(text.contains("halt|powerdown|reboot"), "{text}");
    for arguments in [json!({ "mode": 1 }), json!({ "force": true })] {
        let request = json!({ "execute": "guest-shutdown", "arguments": arguments });
        guest.error(&request.to_string());
    }
    assert!(talos.calls_of(Method::Shutdown).is_empty());
    assert!(talos.calls_of(Method::Reboot).is_empty());
}

#[test]
fn what_talos_accepts_and_does_not_do_can_be_asked_for_again() {
    for behaviour in [PowerBehaviour::AcceptLocked, PowerBehaviour::AcceptFail] {
        let talos = Talos::new();
        let guest = Guest::start(&talos);
        talos.set_power(behaviour);
        // What becomes of it may be known before the reply is out.
        press(&guest, "powerdown");
        guest.pass(Duration::from_secs(2));
        talos.set_power(PowerBehaviour::Accept);
        assert_eq!(press(&guest, "powerdown"), accepted());
        assert_eq!(talos.calls_of(Method::Shutdown).len(), 2, "{behaviour:?}");
    }
}

#[test]
fn a_port_that_is_unplugged_with_a_shutdown_under_way_does_not_stop_it() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.delay(Method::Shutdown, Duration::from_secs(1));
    let client = guest.port.connect();
    let request = shutdown("powerdown");
    client.send(&request);
    let read = guest
        .port
        .wait_result(PortCall::Read, Ok(request.len()), 0, SOON);
    read.unwrap_or_else(|late| panic!("{late}"));
    guest.port.unplug();
    talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    client.leave();
    guest.port.plug();
    guest.opens();
    guest.serves();
    assert_eq!(press(&guest, "powerdown"), accepted());
    that_was_all(&guest, &talos, Method::Shutdown, 1);
}
