//! guest-shutdown: the same machine behind the port, whose hosts wait five seconds for an answer.

use std::time::Duration;

use apid::Method;
use serde_json::{Value, json};

use crate::qemu::{Guest, agent_at, error_of, parsed, port_of};
use crate::support::Talos;

use super::node::{both, calls, draining, of_three, serving};

/// How long a host may wait; the rule is 5 s, the machine may be loaded.
const LIMIT: Duration = Duration::from_secs(7);

/// A guest with these settings of the group `power`.
fn guest(talos: &Talos, power: &str) -> Guest {
    let file = format!("power: {power}\n");
    let file = talos.folder.write("config.yaml", &file);
    let port = port_of(talos);
    let guest = Guest::of(
        agent_at(talos, &port).args(["--config"]).args([file]),
        &port,
    );
    guest.opens();
    guest
}

fn shutdown(guest: &Guest, mode: &str) -> Value {
    let request = json!({ "execute": "guest-shutdown", "arguments": { "mode": mode } });
    let client = guest.port.connect_sending(format!("{request}\n"));
    parsed(&client.line(LIMIT).unwrap_or_else(|late| panic!("{late}")))
}

fn accepted() -> Value {
    json!({ "return": {} })
}

#[test]
fn a_drain_is_bounded_behind_the_port_as_well() {
    let talos = draining();
    let guest = guest(&talos, "{shutdown: {drain_deadline: 1s}}");
    assert_eq!(shutdown(&guest, "powerdown"), accepted());
    both(&talos);
    // Asked again, it is under way.
    assert_eq!(shutdown(&guest, "powerdown"), accepted());
    guest.pass(Duration::from_millis(700));
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 2);
}

#[test]
fn a_hold_longer_than_a_host_waits_is_answered_at_once_and_carried_out_at_its_end() {
    let talos = of_three(2);
    let guest = guest(&talos, "{etcd: {guard: hold, hold: 20s}}");
    assert_eq!(shutdown(&guest, "powerdown"), accepted());
    assert!(talos.calls_of(Method::Shutdown).is_empty());
    guest.serves();
    serving(&talos, 3);
    calls(&talos, Method::Shutdown, 1);
}

#[test]
fn a_refusal_is_an_error_with_its_reason() {
    for (mode, method) in [("powerdown", Method::Shutdown), ("reboot", Method::Reboot)] {
        let talos = of_three(2);
        let guest = guest(&talos, "{etcd: {guard: refuse}}");
        let (class, text) = error_of(&shutdown(&guest, mode));
        assert_eq!(class, "GenericError");
        assert!(text.contains("2 of 3"), "{text}");
        assert!(talos.calls_of(method).is_empty());
        guest.serves();
    }
}
