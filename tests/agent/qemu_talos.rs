//! Talos hangs, is away, comes back: what needs no Talos is answered all the same.

use std::time::{Duration, Instant};

use apid::Method;
use serde_json::{Value, json};
use vmx::PortCall;

use crate::qemu::{FAST, Guest, error_of, parsed};
use crate::support::{NAME, SOON, Talos};

/// What is answered from memory.
const KNOWN: [&str; 6] = [
    "guest-info",
    "guest-get-host-name",
    "guest-network-get-interfaces",
    "guest-get-osinfo",
    "guest-get-users",
    "guest-fsfreeze-status",
];

/// The reply to a command, which comes in time.
fn fast(guest: &Guest, command: &str) -> Value {
    let request = json!({ "execute": command }).to_string();
    let client = guest.port.connect_sending(&request);
    let line = client.line(FAST);
    parsed(&line.unwrap_or_else(|late| panic!("{command}: {late}")))
}

/// Everything that is known is answered, and all else not with silence.
fn answers(guest: &Guest) {
    guest.serves();
    for command in KNOWN {
        let reply = fast(guest, command);
        assert!(reply.get("return").is_some(), "{command}: {reply}");
    }
    let name = fast(guest, "guest-get-host-name");
    assert_eq!(name["return"]["host-name"], NAME);
    // With or without an error: Proxmox presses the ACPI button where it is one.
    fast(guest, "guest-ping");
}

#[test]
fn while_talos_hangs_what_is_known_is_answered() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    talos.hang();
    guest.pass(Duration::from_secs(1));
    answers(&guest);
    let asked = Instant::now();
    let reply = fast(&guest, "guest-get-fsinfo");
    assert!(asked.elapsed() < FAST);
    if reply.get("return").is_none() {
        let wanted = (
            "GenericError".to_owned(),
            "Talos API is not available".to_owned(),
        );
        assert_eq!(error_of(&reply), wanted);
    }
    talos.resume();
    answers(&guest);
}

#[test]
fn while_talos_is_away_what_is_known_is_answered_and_after_its_return_all() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for _ in 0..2 {
        talos.stop();
        guest.pass(Duration::from_secs(1));
        answers(&guest);
        talos.set_address("eth0", "10.5.0.78/24");
        talos.restart().unwrap();
        let end = Instant::now() + SOON;
        while !fast(&guest, "guest-network-get-interfaces")
            .to_string()
            .contains("10.5.0.78")
        {
            assert!(Instant::now() < end, "the new address does not come");
            guest.pass(Duration::from_millis(50));
        }
        while fast(&guest, "guest-ping").get("return").is_none() {
            assert!(Instant::now() < end, "ping does not come back");
            guest.pass(Duration::from_millis(50));
        }
        talos.remove_address("eth0", "10.5.0.78/24");
    }
    assert_eq!(guest.port.count(PortCall::Open), 1);
}

#[test]
fn file_systems_are_asked_for_when_the_host_asks_and_not_for_each_of_its_questions() {
    let talos = Talos::new();
    talos.set_esxi_storage();
    let guest = Guest::start(&talos);
    let before = talos.calls_of(Method::Mounts).len();
    let systems = guest.value("guest-get-fsinfo");
    let systems = systems.as_array().unwrap();
    assert!(!systems.is_empty());
    for system in systems {
        for member in ["name", "mountpoint", "type"] {
            assert!(system[member].is_string(), "{system}");
        }
        assert!(system["disk"].is_array(), "{system}");
    }
    for _ in 0..20 {
        guest.value("guest-get-fsinfo");
    }
    let asked = talos.calls_of(Method::Mounts).len() - before;
    assert!(asked <= 2, "Talos was asked {asked} times");
}

#[test]
fn a_host_that_polls_as_kubevirt_does_costs_talos_few_calls() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    guest.value("guest-get-fsinfo");
    let before = talos.call_count();
    for _ in 0..30 {
        for command in KNOWN {
            fast(&guest, command);
        }
    }
    let asked = talos.call_count() - before;
    assert!(asked <= 5, "{asked} calls: {:#?}", talos.calls());
}
