//! Shutdown and reboot.

use apid::Method;
use qemu::{Agent, SOON, installed};
use serde_json::{Value, json};

use crate::guest;

#[test]
#[ignore = "make qemu"]
fn shutdown_and_reboot_are_answered_and_reach_talos_once_each() {
    if !installed() {
        return;
    }
    for (mode, method) in [
        (json!({"mode": "powerdown"}), Method::Shutdown),
        (json!({"mode": "halt"}), Method::Shutdown),
        (json!({"mode": "reboot"}), Method::Reboot),
        (Value::Null, Method::Shutdown),
    ] {
        let guest = guest(Agent::Vmtoolsd);
        let mut client = guest.client();
        assert_eq!(
            client.ask("guest-shutdown", mode.clone()),
            json!({"return": {}}),
            "{mode}"
        );
        let calls = guest.parts.talos.wait_calls(method, 1, SOON).unwrap();
        assert_eq!(calls[0].roles, ["os:operator"]);
        // Asked again: success, and no second call.
        assert_eq!(
            client.ask("guest-shutdown", mode.clone()),
            json!({"return": {}}),
            "{mode}"
        );
        assert_eq!(guest.parts.talos.calls_of(method).len(), 1, "{mode}");
    }
}

#[test]
#[ignore = "make qemu"]
fn a_bad_mode_and_a_refusal_of_talos_are_errors() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::Vmtoolsd);
    let mut client = guest.client();
    let reply = client.ask("guest-shutdown", json!({"mode": "sideways"}));
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    // It is tried again for some seconds.
    let refusal = apid::Status::new(apid::Code::PermissionDenied, "not you");
    let talos = &guest.parts.talos;
    talos.fail_next(Method::Shutdown, &refusal, 1000);
    let reply = client.ask("guest-shutdown", Value::Null);
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    assert!(reply.to_string().contains("not you"), "{reply}");
}

#[test]
#[ignore = "make qemu"]
fn qemu_ga_ends_the_guest_itself() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::QemuGa);
    guest
        .client()
        .send(b"{\"execute\":\"guest-shutdown\"}\n")
        .unwrap();
    let event = guest
        .monitor
        .event(0, "SHUTDOWN", SOON, |data| data["guest"] == true);
    assert!(event.is_some(), "{}", guest.parts.console());
}
