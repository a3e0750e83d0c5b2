//! What is asked of any agent, one guest for all of it.

use std::time::Duration;

use qemu::{Agent, DEMANDED, Guest, SOON, installed};
use serde_json::{Value, json};

use crate::{guest, port, proxmox};

/// A check, and whether qemu-ga passes it too.
type Check = (&'static str, fn(&Guest), bool);

/// In this order: the last ones leave the port closed for a while.
const CHECKS: [Check; 16] = [
    ("ping, sync and info are answered", ping_sync_and_info, true),
    (
        "objects may span lines, share lines and lack the last newline",
        a_stream_of_objects,
        true,
    ),
    (
        "byte 255 starts clean, also within an object",
        byte_255_starts_clean,
        true,
    ),
    (
        "bad requests get one error each and the next command works",
        bad_requests,
        true,
    ),
    ("the id of a request comes back", ids_come_back, true),
    ("interfaces are those of the node", interfaces, true),
    ("the host name is the node's", host_name, true),
    ("the operating system is named", operating_system, true),
    ("the operating system is Talos", talos_is_the_system, false),
    (
        "file systems have the shape that libvirt reads",
        file_systems,
        true,
    ),
    ("time, timezone, users and freezing", the_small_ones, true),
    (
        "what would run, write or set is disabled",
        nothing_is_executed,
        false,
    ),
    (
        "Proxmox' two requests in one write are answered byte for byte",
        proxmox::two_requests_in_one_write,
        true,
    ),
    (
        "a client that leaves in mid-request does not spoil the next one",
        port::a_torn_request,
        false,
    ),
    (
        "forty clients that ask at once are all answered",
        port::forty_clients,
        true,
    ),
    (
        "unplugged and plugged again, the port is served again",
        port::unplugged_and_plugged_again,
        true,
    ),
];

#[test]
fn our_agent_passes_every_check_in_a_real_guest() {
    if installed() {
        let guest = guest(Agent::Vmtoolsd);
        for (sentence, check, _) in CHECKS {
            println!("check: {sentence}");
            check(&guest);
        }
    }
}

#[test]
#[ignore = "make qemu"]
fn qemu_ga_passes_the_checks_that_are_not_ours_alone() {
    if installed() {
        let guest = guest(Agent::QemuGa);
        for (sentence, check, _) in CHECKS.iter().filter(|(_, _, theirs)| *theirs) {
            println!("check: {sentence}");
            check(&guest);
        }
    }
}

fn ping_sync_and_info(guest: &Guest) {
    let mut client = guest.client();
    assert_eq!(client.ask("guest-ping", Value::Null), json!({"return": {}}));
    assert_eq!(
        client.ask("guest-sync", json!({"id": 17})),
        json!({"return": 17})
    );
    client
        .send(
            b"{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":-9223372036854775808}}\n",
        )
        .unwrap();
    assert_eq!(
        client.line(SOON).unwrap(),
        b"\xff{\"return\": -9223372036854775808}"
    );
    let info = client.returns("guest-info");
    assert!(info["version"].is_string());
    let commands = info["supported_commands"].as_array().unwrap();
    let command = |name: &str| {
        commands
            .iter()
            .find(|command| command["name"] == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    for name in DEMANDED {
        assert_eq!(command(name)["enabled"], true, "{name}");
    }
    assert_eq!(command("guest-shutdown")["success-response"], false);
}

fn a_stream_of_objects(guest: &Guest) {
    let mut client = guest.client();
    client.send(b"{\"execute\":\"guest-ping\"}").unwrap();
    assert_eq!(client.reply(), json!({"return": {}}));
    client
        .send(b"{\"execute\":\"guest-ping\"}{\"execute\":\"guest-sync\",\"arguments\":{\"id\":4}}")
        .unwrap();
    assert_eq!(client.reply(), json!({"return": {}}));
    assert_eq!(client.reply(), json!({"return": 4}));
    for byte in b"\n\n{\"execute\":\n\"guest-ping\"}\r\n" {
        client.send(&[*byte]).unwrap();
    }
    assert_eq!(client.reply(), json!({"return": {}}));
}

fn byte_255_starts_clean(guest: &Guest) {
    let mut client = guest.client();
    client.send(b"{\"execute\": \"guest-pi\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":70}}\n").unwrap();
    // qemu-ga answers the byte with an error line before it.
    let last = std::iter::repeat_with(|| client.line(SOON).unwrap())
        .find(|line| line.first() == Some(&0xff))
        .unwrap();
    assert_eq!(last, b"\xff{\"return\": 70}");
}

fn bad_requests(guest: &Guest) {
    let mut client = guest.client();
    for request in [
        "[1,2]",
        "{\"foo\":1}",
        "{\"execute\":\"guest-ping\",\"arguments\":{\"z\":1}}",
        "{\"execute\":7}",
    ] {
        client.send(format!("{request}\n").as_bytes()).unwrap();
        assert_eq!(
            client.reply()["error"]["class"],
            "GenericError",
            "{request}"
        );
    }
    let reply = client.ask("guest-nope", Value::Null);
    assert_eq!(
        reply,
        json!({"error": {"class": "CommandNotFound", "desc": "The command guest-nope has not been found"}})
    );
    assert_eq!(client.ask("guest-ping", Value::Null), json!({"return": {}}));
}

fn ids_come_back(guest: &Guest) {
    let mut client = guest.client();
    client
        .send(b"{\"execute\":\"guest-ping\",\"id\":\"abc\"}\n")
        .unwrap();
    assert_eq!(client.reply(), json!({"return": {}, "id": "abc"}));
}

/// The interface of this name, in the words of the agent.
fn interface(reply: &Value, name: &str) -> Value {
    let interfaces = reply.as_array().unwrap();
    interfaces
        .iter()
        .find(|interface| interface["name"] == name)
        .cloned()
        .unwrap_or_else(|| panic!("no {name} in {reply}"))
}

fn interfaces(guest: &Guest) {
    let reply = guest.client().returns("guest-network-get-interfaces");
    let eth0 = interface(&reply, "eth0");
    assert_eq!(eth0["hardware-address"], "00:50:56:ab:cd:ef");
    let addresses = eth0["ip-addresses"].as_array().unwrap();
    assert_eq!(
        addresses[0],
        json!({"ip-address-type": "ipv4", "ip-address": "10.5.0.2", "prefix": 24})
    );
    let lo = interface(&reply, "lo");
    assert_eq!(lo["ip-addresses"][0]["ip-address"], "127.0.0.1");
}

fn host_name(guest: &Guest) {
    assert_eq!(
        guest.client().returns("guest-get-host-name"),
        json!({"host-name": "talos-cp-1"})
    );
}

fn operating_system(guest: &Guest) {
    let reply = guest.client().returns("guest-get-osinfo");
    let release = guest.parts.shell().unwrap().run("uname -r");
    assert_eq!(reply["kernel-release"], release.trim());
    assert_eq!(reply["machine"], "x86_64");
    assert!(reply["kernel-version"].as_str().unwrap().contains("Debian"));
}

fn talos_is_the_system(guest: &Guest) {
    let reply = guest.client().returns("guest-get-osinfo");
    assert_eq!(reply["id"], "talos");
    assert_eq!(reply["name"], "Talos");
    assert_eq!(reply["version-id"], "v1.13.0");
    assert_eq!(reply["pretty-name"], "Talos (v1.13.0)");
}

fn file_systems(guest: &Guest) {
    let reply = guest.client().returns("guest-get-fsinfo");
    let var = reply
        .as_array()
        .unwrap()
        .iter()
        .find(|system| system["mountpoint"] == "/var");
    let var = var.unwrap_or_else(|| panic!("no /var in {reply}"));
    assert_eq!(var["name"], "vda");
    assert!(var["type"].is_string());
    assert!(
        var["total-bytes"].as_u64() > var["used-bytes"].as_u64(),
        "{var}"
    );
    let disk = &var["disk"][0];
    assert_eq!(disk["bus-type"], "virtio");
    assert_eq!(disk["dev"], "/dev/vda");
    assert_eq!(
        disk["pci-controller"],
        json!({"domain": 0, "bus": 0, "slot": 4, "function": 0})
    );
}

fn the_small_ones(guest: &Guest) {
    let mut client = guest.client();
    let theirs = Duration::from_nanos(client.returns("guest-get-time").as_u64().unwrap()).as_secs();
    let kernel: u64 = guest
        .parts
        .shell()
        .unwrap()
        .run("date +%s")
        .trim()
        .parse()
        .unwrap();
    assert!(kernel.abs_diff(theirs) < 30, "{kernel} {theirs}");
    assert_eq!(client.returns("guest-get-timezone")["offset"], 0);
    assert_eq!(client.returns("guest-get-users"), json!([]));
    assert_eq!(client.returns("guest-fsfreeze-status"), "thawed");
    assert_eq!(client.returns("guest-fsfreeze-thaw"), 0);
    assert!(client.returns("guest-get-vcpus").as_array().unwrap().len() == 1);
}

fn nothing_is_executed(guest: &Guest) {
    let mut client = guest.client();
    let info = client.returns("guest-info");
    for name in [
        "guest-exec",
        "guest-exec-status",
        "guest-file-open",
        "guest-file-write",
        "guest-set-user-password",
        "guest-ssh-add-authorized-keys",
        "guest-suspend-ram",
        "guest-set-time",
        "guest-set-vcpus",
    ] {
        let listed = info["supported_commands"]
            .as_array()
            .unwrap()
            .iter()
            .find(|command| command["name"] == name);
        assert_eq!(
            listed.map(|command| &command["enabled"]),
            Some(&json!(false)),
            "{name}"
        );
        assert_eq!(
            client.ask(name, Value::Null)["error"]["class"],
            "CommandNotFound",
            "{name}"
        );
    }
}
