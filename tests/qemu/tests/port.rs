//! The port itself: clients that come and go, the port that goes and comes back, and when it is opened at all.

use std::time::Duration;

use qemu::{Agent, Guest, SOON, installed};
use serde_json::{Value, json};

use crate::{guest, parts};

pub(crate) fn a_torn_request(guest: &Guest) {
    let mut client = guest.client();
    client.send(b"{\"execute\": \"guest-pi").unwrap();
    drop(client);
    // Where the next client is faster than the guest, the bytes of both are one stream: nothing marks the change.
    guest.parts.shell().unwrap().run("true");
    let mut next = guest.client();
    assert_eq!(
        next.ask("guest-sync", json!({"id": 23})),
        json!({"return": 23})
    );
}

pub(crate) fn forty_clients(guest: &Guest) {
    for number in 0..40 {
        // The request is on its way before the guest knows that there is a client.
        let mut client = guest.client();
        assert_eq!(
            client.ask("guest-ping", Value::Null),
            json!({"return": {}}),
            "client {number}"
        );
    }
}

pub(crate) fn unplugged_and_plugged_again(guest: &Guest) {
    guest.unplug();
    let since = guest.monitor.count();
    guest.plug();
    guest.opens_since(since);
    assert_eq!(
        guest.client().ask("guest-ping", Value::Null),
        json!({"return": {}})
    );
}

#[test]
#[ignore = "make qemu"]
fn the_port_is_closed_until_talos_has_answered() {
    if !installed() {
        return;
    }
    let parts = parts();
    parts.talos.stop();
    let guest = Guest::start(parts, Agent::Vmtoolsd).unwrap();
    // The agent runs, and has been refused by Talos.
    assert!(
        guest.prints("QEMU guest agent", qemu::BOOT),
        "{}",
        guest.parts.console()
    );
    let opened = |within| {
        guest
            .monitor
            .event(0, "VSERPORT_CHANGE", within, |data| data["id"] == "agent")
    };
    assert_eq!(
        opened(Duration::from_secs(3)),
        None,
        "open without an answer"
    );
    guest.parts.talos.restart().unwrap();
    assert!(opened(SOON).is_some(), "{}", guest.parts.console());
    assert_eq!(
        guest.client().returns("guest-get-host-name"),
        json!({"host-name": "talos-cp-1"})
    );
}

#[test]
#[ignore = "make qemu"]
fn the_last_word_stands_while_talos_is_away() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::Vmtoolsd);
    guest.parts.talos.stop();
    let mut client = guest.client();
    for command in [
        "guest-network-get-interfaces",
        "guest-get-host-name",
        "guest-get-osinfo",
        "guest-info",
    ] {
        client.returns(command);
    }
}

#[test]
#[ignore = "make qemu"]
fn sigterm_closes_the_port_and_the_agent_ends_with_0() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::Vmtoolsd);
    let since = guest.monitor.count();
    // Talos' service is not started again after success, so nothing opens the port again.
    guest
        .parts
        .shell()
        .unwrap()
        .run("kill -TERM $(cat /run/agent.pid)");
    assert!(guest.closes_since(since), "{}", guest.parts.console());
    let opened = guest
        .monitor
        .event(since, "VSERPORT_CHANGE", Duration::from_secs(3), |data| {
            data["open"] == true
        });
    assert_eq!(opened, None);
}
