//! Answers for which Talos is asked: when it is, and what comes of it in which time.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::facts::{
    Direction, Disk, DiskAddress, Mount, PciAddress, Space, Storage, Traffic, Volume,
};

const FSINFO: &str = r#"{"execute": "guest-get-fsinfo"}"#;
const INTERFACES: &str = r#"{"execute": "guest-network-get-interfaces"}"#;
const MEASURE_SPACE: Order<NoWork> = Order::Measure(Subject::Space);
const MEASURE_TRAFFIC: Order<NoWork> = Order::Measure(Subject::Traffic);

fn volume(id: &str, device: &str) -> Volume {
    Volume {
        id: id.into(),
        location: device.into(),
        parent_location: "/dev/vda".into(),
        mount_location: device.into(),
        file_system: "xfs",
    }
}

fn mount(volume: &str, target: &str) -> Mount {
    Mount {
        volume: volume.into(),
        target: target.into(),
        ..Mount::default()
    }
}

fn space(device: &str, mount_point: &str, free: u64) -> Space {
    Space {
        device: device.into(),
        mount_point: mount_point.into(),
        total: 1000,
        free,
    }
}

/// A node with the state and /var on one virtual disk.
fn stored() -> Facts {
    let disk = Disk {
        path: "/dev/vda".into(),
        bus_path: "/pci0000:00/0000:00:02.0/virtio0".into(),
        serial: "abc".into(),
        ..Disk::default()
    };
    let address = DiskAddress {
        bus_type: "virtio",
        controller: PciAddress {
            domain: 0,
            bus: 0,
            slot: 2,
            function: 0,
        },
        bus: 0,
        target: 0,
        unit: 0,
    };
    Facts {
        storage: Storage {
            volumes: Some(vec![
                volume("STATE", "/dev/vda5"),
                volume("EPHEMERAL", "/dev/vda6"),
            ]),
            mounts: Some(BTreeSet::from([
                mount("STATE", "/system/state"),
                mount("EPHEMERAL", "/var"),
            ])),
            disks: Some(vec![disk]),
            spaces: Some(vec![
                space("/dev/vda5", "/system/state", 900),
                space("/dev/vda6", "/var", 400),
                space("/dev/vda6", "/var/lib/kubelet", 400),
            ]),
            disk_addresses: BTreeMap::from([("/dev/vda".to_owned(), address)]),
            ..Storage::default()
        },
        ..node()
    }
}

fn moved(bytes: u64) -> Traffic {
    let received = Direction {
        bytes,
        packets: 2,
        errors: 3,
        dropped: 4,
    };
    let sent = Direction {
        bytes: 5,
        packets: 6,
        errors: 7,
        dropped: 8,
    };
    Traffic { received, sent }
}

#[test]
fn file_systems_come_last_mounted_first_with_their_disk_once_a_device() {
    let mut bench = Bench::of(&stored());
    let disk = json!([{"dev": "/dev/vda", "serial": "abc", "bus-type": "virtio", "bus": 0, "target": 0, "unit": 0,
        "pci-controller": {"domain": 0, "bus": 0, "slot": 2, "function": 0}}]);
    assert_eq!(
        bench.get("guest-get-fsinfo"),
        json!([
            {"name": "vda6", "mountpoint": "/var", "type": "xfs", "used-bytes": 600, "total-bytes": 1000, "disk": disk},
            {"name": "vda5", "mountpoint": "/system/state", "type": "xfs", "used-bytes": 100, "total-bytes": 1000,
                "disk": disk},
        ])
    );
    assert_eq!(
        bench.get("guest-get-disks"),
        json!([{"name": "/dev/vda", "partition": false, "dependencies": [], "address": disk[0]}])
    );
}

#[test]
fn a_disk_whose_place_is_not_known_has_no_address_and_no_disk() {
    let mut facts = stored();
    facts.storage.disk_addresses.clear();
    let mut bench = Bench::of(&facts);
    assert_eq!(bench.get("guest-get-fsinfo")[0]["disk"], json!([]));
    let disks = bench.get("guest-get-disks");
    assert_eq!(disks[0].get("address"), None, "{disks}");
}

#[test]
fn a_young_word_is_the_answer_and_an_old_one_is_asked_for_again() {
    let mut bench = Bench::of(&stored());
    bench.now += seconds(29);
    bench.get("guest-get-fsinfo");
    assert!(bench.orders().is_empty());
    bench.now += seconds(1);
    bench.send(FSINFO);
    assert_eq!(bench.orders(), [MEASURE_SPACE]);
    assert!(bench.replies().is_empty());
    let mut facts = stored();
    facts.storage.spaces = Some(vec![space("/dev/vda6", "/var", 0)]);
    bench.facts(&facts);
    bench.measured(Subject::Space, Measured::Done);
    let replies = bench.replies();
    assert_eq!(replies[0]["return"][0]["used-bytes"], 1000, "{replies:?}");
}

#[test]
fn a_slow_talos_costs_less_than_two_seconds_and_the_last_word_is_the_answer() {
    let mut bench = Bench::of(&stored());
    bench.now += seconds(300);
    let start = bench.now;
    bench.send(FSINFO);
    assert_eq!(bench.orders(), [MEASURE_SPACE]);
    let replies = bench.pass(seconds(2));
    assert_eq!(replies[0]["return"][0]["mountpoint"], "/var", "{replies:?}");
    assert!(bench.now <= start + seconds(2));
    // The call is still under way: it is waited for, and not repeated.
    bench.send(FSINFO);
    assert!(bench.orders().is_empty());
    bench.measured(Subject::Space, Measured::Done);
    assert_eq!(bench.replies().len(), 1);
}

#[test]
fn without_any_word_or_with_one_that_is_too_old_it_is_an_error() {
    let mut bench = Bench::of(&stored());
    bench.now += seconds(599);
    bench.send(FSINFO);
    bench.orders();
    bench.measured(Subject::Space, Measured::Failed);
    assert!(bench.replies()[0].get("return").is_some());
    bench.now += seconds(2);
    bench.send(FSINFO);
    assert_eq!(bench.orders(), [MEASURE_SPACE]);
    bench.measured(Subject::Space, Measured::Failed);
    assert_eq!(bench.replies(), [generic("Talos API is not available")]);
}

#[test]
fn a_talos_that_fails_or_hangs_is_asked_ever_more_rarely() {
    for (measured, pause) in [(Measured::Failed, 2), (Measured::TimedOut, 300)] {
        let mut bench = Bench::of(&stored());
        bench.now += seconds(60);
        for pause in [pause, 2 * pause] {
            bench.send(FSINFO);
            assert_eq!(bench.orders(), [MEASURE_SPACE]);
            bench.measured(Subject::Space, measured);
            bench.replies();
            bench.now += seconds(pause - 1);
            bench.ask(FSINFO);
            assert!(bench.orders().is_empty(), "{measured:?}");
            bench.now += seconds(1);
        }
    }
}

#[test]
fn interfaces_have_their_counters_once_talos_has_answered() {
    let mut bench = Bench::of(&node());
    bench.send(INTERFACES);
    assert_eq!(bench.orders(), [MEASURE_TRAFFIC]);
    let mut facts = node();
    facts.network.traffic = Some(BTreeMap::from([("eth0".to_owned(), moved(1))]));
    bench.facts(&facts);
    bench.measured(Subject::Traffic, Measured::Done);
    let loopback = json!({"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [
        {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8},
        {"ip-address": "::1", "ip-address-type": "ipv6", "prefix": 128},
    ]});
    let eth0 = json!({"name": "eth0", "hardware-address": "00:50:56:00:00:02",
        "ip-addresses": [{"ip-address": "10.5.0.2", "ip-address-type": "ipv4", "prefix": 24}],
        "statistics": {"rx-bytes": 1, "rx-packets": 2, "rx-errs": 3, "rx-dropped": 4, "tx-bytes": 5, "tx-packets": 6,
            "tx-errs": 7, "tx-dropped": 8}});
    assert_eq!(bench.replies(), [json!({"return": [eth0, loopback]})]);
    // Ten seconds long the counters hold.
    bench.now += seconds(9);
    bench.ask(INTERFACES);
    assert!(bench.orders().is_empty());
    bench.now += seconds(1);
    bench.send(INTERFACES);
    assert_eq!(bench.orders(), [MEASURE_TRAFFIC]);
}

#[test]
fn interfaces_are_answered_within_a_second_without_counters() {
    let mut bench = Bench::of(&node());
    let start = bench.now;
    bench.send(INTERFACES);
    bench.orders();
    let replies = bench.pass(seconds(1));
    assert!(bench.now <= start + seconds(1));
    assert_eq!(replies[0]["return"][0]["name"], "eth0", "{replies:?}");
    assert_eq!(replies[0]["return"][0].get("statistics"), None);
    bench.measured(Subject::Traffic, Measured::Failed);
    let reply = bench.ask(INTERFACES);
    assert_eq!(reply["return"][0]["name"], "eth0", "{reply}");
}

#[test]
fn nobody_asks_and_talos_is_not_asked() {
    let mut bench = Bench::of(&stored());
    assert!(bench.pass(seconds(86_400)).is_empty());
    bench.facts(&stored());
    assert!(bench.orders().is_empty());
    assert_eq!(bench.agent.poll_timeout(), None);
}
