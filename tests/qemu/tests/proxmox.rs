//! Proxmox VE's exchange: a connection for each command, sync and command in one write, and its rule for the answer.

use std::time::{Duration, Instant};

use apid::Method;
use qemu::{Agent, Client, Guest, SOON, installed};
use serde_json::Value;

use crate::guest;

/// Proxmox' limit for the ping before nearly everything.
const PING: Duration = Duration::from_secs(3);

/// Sends a command as Proxmox does; the two lines of the answer, as they came.
pub(crate) fn exchange(guest: &Guest, id: u64, command: &str) -> (Client, [Vec<u8>; 2]) {
    let mut client = guest.client();
    let request = format!(
        "{{\"execute\":\"guest-sync-delimited\",\"arguments\":{{\"id\":{id}}}}}\n{{\"execute\":\"{command}\",\"arguments\":{{}}}}\n"
    );
    client.send(request.as_bytes()).unwrap();
    let lines = [client.line(SOON).unwrap(), client.line(SOON).unwrap()];
    (client, lines)
}

pub(crate) fn two_requests_in_one_write(guest: &Guest) {
    for id in 70..90 {
        let started = Instant::now();
        let (_, [sync, answer]) = exchange(guest, id, "guest-ping");
        assert!(started.elapsed() < PING);
        assert_eq!(sync[0], 0xff);
        assert_eq!(
            String::from_utf8_lossy(&sync[1..]),
            format!("{{\"return\": {id}}}")
        );
        assert_eq!(answer, b"{\"return\": {}}");
    }
    let (_, [_, answer]) = exchange(guest, 90, "guest-network-get-interfaces");
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(
        answer["return"]
            .as_array()
            .is_some_and(|interfaces| interfaces.len() >= 2),
        "{answer}"
    );
}

#[test]
#[ignore = "make qemu"]
fn the_shutdown_button_pings_and_then_shuts_down() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::Vmtoolsd);
    let (client, [_, answer]) = exchange(&guest, 100, "guest-ping");
    assert_eq!(answer, b"{\"return\": {}}");
    drop(client);
    let (_, [_, answer]) = exchange(&guest, 101, "guest-shutdown");
    assert_eq!(answer, b"{\"return\": {}}");
    guest
        .parts
        .talos
        .wait_calls(Method::Shutdown, 1, SOON)
        .unwrap();
}

#[test]
#[ignore = "make qemu"]
fn a_backup_goes_through_with_nothing_frozen() {
    if !installed() {
        return;
    }
    let guest = guest(Agent::Vmtoolsd);
    for (id, command, wanted) in [
        (110, "guest-ping", "{\"return\": {}}"),
        (111, "guest-fsfreeze-status", "{\"return\": \"thawed\"}"),
        (112, "guest-fsfreeze-freeze", "{\"return\": 0}"),
        (113, "guest-fsfreeze-thaw", "{\"return\": 0}"),
    ] {
        let (_, [_, answer]) = exchange(&guest, id, command);
        assert_eq!(String::from_utf8_lossy(&answer), wanted, "{command}");
    }
}
