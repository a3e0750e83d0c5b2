//! File systems and statistics: what the host is heard of them, and what that costs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::host::{Host, machine, ms, node};
use crate::facts::{Disk, Facts, Load, Mount, Space, Storage, Volume};
use crate::front_end::{Measured, Order};
use crate::vmware::services::judge::NOON;
use crate::vmware::services::{Output, Services};

const STATISTICS: &str = "> SetGuestInfo  8 ";

/// A node with /var, of which so much is free.
fn with_var(free: u64) -> Facts {
    let volume = Volume {
        id: "EPHEMERAL".into(),
        location: "/dev/sda6".into(),
        parent_location: "/dev/sda".into(),
        mount_location: "/dev/sda6".into(),
        file_system: "xfs",
    };
    let disk = Disk {
        path: "/dev/sda".into(),
        ..Disk::default()
    };
    let mount = Mount {
        volume: "EPHEMERAL".into(),
        target: "/var".into(),
        ..Mount::default()
    };
    let space = Space {
        device: "/dev/sda6".into(),
        mount_point: "/var".into(),
        total: 1000,
        free,
    };
    Facts {
        storage: Storage {
            volumes: Some(vec![volume]),
            mounts: Some(BTreeSet::from([mount])),
            spaces: Some(vec![space]),
            disks: Some(vec![disk]),
            device_names: [("/dev/sda".to_owned(), "scsi0:0".to_owned())].into(),
            ..Storage::default()
        },
        ..node("cp1", &["10.0.0.5"])
    }
}

fn json(free: u64) -> String {
    let text = format!(
        "SetGuestDiskInfo {{\n\"version\":\"1\",\n\"disks\":[\n{{\"name\":\"L3Zhcg==\",\
         \"free\":\"{free}\",\"size\":\"1000\",\"fstype\":\"xfs\",\"devices\":[\"scsi0:0\"]}}\n]}}\0"
    );
    format!("> {}", text.as_bytes().escape_ascii())
}

/// Only what concerns disks.
fn disks(heard: &[String]) -> Vec<&str> {
    let is_disks =
        |line: &&str| line.contains("SetGuestDiskInfo") || line.starts_with("> SetGuestInfo  3 ");
    heard.iter().map(String::as_str).filter(is_disks).collect()
}

#[test]
fn file_systems_are_told_when_they_change_and_when_the_host_forgets() {
    let mut host = Host::new();
    host.connect();
    host.facts(&with_var(500));
    assert!(disks(&host.take()).is_empty());
    host.pass(ms(50));
    assert_eq!(disks(&host.take()), [json(500)]);
    host.facts(&with_var(400));
    host.facts(&with_var(300));
    host.pass(ms(200));
    assert_eq!(disks(&host.take()), [json(300)]);
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(200));
    assert!(disks(&host.take()).is_empty(), "the last known stands");
    host.facts(&with_var(300));
    host.pass(ms(200));
    assert!(disks(&host.take()).is_empty());
    for request in [&b"reset"[..], b"OS_Resume"] {
        let heard = host.ask(request);
        assert_eq!(disks(&heard), [json(300)]);
    }
}

#[test]
fn a_host_without_json_gets_the_binary_form_until_it_forgets() {
    let mut host = Host::new();
    host.refuses = vec!["SetGuestDiskInfo"];
    host.connect();
    host.facts(&with_var(500));
    host.pass(ms(100));
    let heard = host.take();
    let heard = disks(&heard);
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0], json(500));
    assert!(heard[1].starts_with("> SetGuestInfo  3 "));
    host.facts(&with_var(400));
    host.pass(ms(100));
    let heard = host.take();
    assert_eq!(disks(&heard).len(), 1);
    assert!(disks(&heard)[0].starts_with("> SetGuestInfo  3 "));
    host.refuses.clear();
    let heard = host.ask(b"reset");
    assert_eq!(disks(&heard), [json(400)]);
}

#[test]
fn space_is_measured_when_something_is_mounted_and_seldom_else() {
    let mut host = Host::new();
    host.connect();
    host.pass(ms(60_000));
    assert_eq!(host.measurements, 0, "nobody to ask yet");
    host.facts(&with_var(500));
    host.pass(ms(50));
    assert_eq!(host.measurements, 1);
    // Space and addresses are no reason.
    host.facts(&with_var(400));
    host.pass(ms(290_000));
    assert_eq!(host.measurements, 1);
    host.pass(ms(10_100));
    assert_eq!(host.measurements, 2);
    let mut unmounted = with_var(400);
    unmounted.storage.mounts = Some(BTreeSet::new());
    host.facts(&unmounted);
    host.pass(ms(50));
    assert_eq!(host.measurements, 3);
    // A host that forgets in the same minute gets the same figures.
    host.request(b"reset");
    host.pass(ms(1000));
    assert_eq!(host.measurements, 3);
    host.pass(ms(60_000));
    host.request(b"reset");
    host.pass(ms(1000));
    assert_eq!(host.measurements, 4);
}

#[test]
fn what_is_mounted_during_a_measurement_is_measured_after_it() {
    let mut services = Services::new(machine(), || NOON);
    let at = |millis: u64| ms(10_000 + millis);
    let asked = |services: &mut Services| {
        std::iter::from_fn(|| services.poll_output())
            .filter(|output| matches!(output, Output::Order(Order::Measure(_))))
            .count()
    };
    services.handle_connected(at(0));
    services.handle_request(b"reset", at(0));
    services.handle_facts(&with_var(500), at(0));
    services.handle_timeout(at(50));
    assert_eq!(asked(&mut services), 1);
    let mut unmounted = with_var(500);
    unmounted.storage.mounts = Some(BTreeSet::new());
    services.handle_facts(&unmounted, at(60));
    services.handle_timeout(at(110));
    assert_eq!(asked(&mut services), 0, "one at a time");
    services.handle_measured(Measured::Done, at(200));
    assert_eq!(asked(&mut services), 1);
    services.handle_measured(Measured::Done, at(300));
    assert_eq!(asked(&mut services), 0);
}

#[test]
fn the_intervals_can_be_set() {
    let mut host = Host::new();
    host.services.set_intervals(ms(30_000), ms(5000));
    host.connect();
    host.facts(&with_var(500));
    host.pass(ms(301_000));
    assert_eq!((host.measurements, host.readings), (11, 60));
}

#[test]
fn a_measurement_that_fails_is_repeated_ever_more_slowly() {
    let mut host = Host::new();
    host.connect();
    host.measured = Measured::Failed;
    host.facts(&with_var(500));
    // 0, 2, 6, 14, 30, 62, 126, 254 s
    host.pass(ms(300_000));
    assert_eq!(host.measurements, 8);
    host.measured = Measured::Done;
    host.pass(ms(300_000));
    let before = host.measurements;
    host.pass(ms(300_000));
    assert_eq!(host.measurements, before + 1);
}

#[test]
fn a_file_system_that_hangs_is_hardly_ever_touched() {
    let mut host = Host::new();
    host.connect();
    host.measured = Measured::TimedOut;
    host.facts(&with_var(500));
    host.pass(Duration::from_secs(24 * 3600));
    // 0, 5, 15, 35, 75 min, and then every hour.
    assert!(
        (24..=30).contains(&host.measurements),
        "{}",
        host.measurements
    );
    let before = host.measurements;
    let mut unmounted = with_var(500);
    unmounted.storage.mounts = Some(BTreeSet::new());
    host.facts(&unmounted);
    host.pass(ms(1000));
    assert_eq!(host.measurements, before);
}

#[test]
fn statistics_go_every_twenty_seconds_even_when_nothing_changed() {
    let mut host = Host::new();
    host.connect();
    host.pass(ms(19_999));
    assert_eq!(host.readings, 0);
    let count = |host: &mut Host| {
        let heard = std::mem::take(&mut host.heard);
        heard
            .iter()
            .filter(|line| line.starts_with(STATISTICS))
            .count()
    };
    assert_eq!(count(&mut host), 0);
    host.pass(ms(1));
    assert_eq!(count(&mut host), 1);
    host.pass(ms(60_000));
    assert_eq!(count(&mut host), 3);
    // A new connection keeps the pace.
    host.pass(ms(10_000));
    host.connect();
    host.pass(ms(10_000));
    assert_eq!(count(&mut host), 1);
    host.load = Load {
        paged_in: Some(1),
        ..Load::default()
    };
    host.pass(ms(20_000));
    assert_eq!(count(&mut host), 1);
}

#[test]
fn a_host_that_is_away_costs_no_reading_and_no_call() {
    let mut host = Host::new();
    host.connect();
    host.facts(&with_var(500));
    host.pass(ms(1000));
    host.lose();
    host.deaf = true;
    let mut unmounted = with_var(500);
    unmounted.storage.mounts = Some(BTreeSet::new());
    host.facts(&unmounted);
    host.pass(Duration::from_secs(3600));
    assert_eq!(
        (host.readings, host.measurements),
        (1, 2),
        "until the first message is lost, RPCI may still reach the host"
    );
    host.deaf = false;
    host.connect();
    host.pass(ms(1000));
    assert_eq!((host.readings, host.measurements), (2, 3));
}

#[test]
fn statistics_that_get_lost_or_are_refused_are_not_repeated() {
    let mut host = Host::new();
    host.connect();
    host.refuses = vec!["SetGuestInfo  8 "];
    host.heard.clear();
    host.pass(ms(60_000));
    let sent = host
        .heard
        .iter()
        .filter(|line| line.starts_with(STATISTICS));
    assert_eq!(sent.count(), 3);
    assert_eq!(host.readings, 3);
}

#[test]
fn more_file_systems_than_the_json_form_has_room_for_go_in_the_older_form_with_var_first() {
    let logged = crate::log::logged::Logged::new();
    let mut many = with_var(500);
    let storage = &mut many.storage;
    for number in 0..900 {
        let device = format!("/dev/sd{number}");
        storage.volumes.as_mut().unwrap().insert(
            0,
            Volume {
                id: format!("a{number}"),
                location: device.clone(),
                mount_location: device.clone(),
                file_system: "xfs",
                ..Volume::default()
            },
        );
        let target = format!("/var/mnt/a-long-name-of-a-volume-{number}");
        storage.mounts.as_mut().unwrap().insert(Mount {
            volume: format!("a{number}"),
            target: target.clone(),
            ..Mount::default()
        });
        storage.spaces.as_mut().unwrap().insert(
            0,
            Space {
                device,
                mount_point: target,
                total: 1000,
                free: 1,
            },
        );
    }
    let mut host = Host::new();
    host.connect();
    for _ in 0..3 {
        host.facts(&many);
        host.pass(ms(100));
        let heard = host.take();
        let [heard] = disks(&heard)[..] else { panic!() };
        // The count, free and total of the first entry, and its name.
        assert!(
            heard.starts_with(r"> SetGuestInfo  3 \xff\xf4\x01"),
            "{}",
            &heard[..80]
        );
        let name = heard.find("/var").unwrap();
        assert!(heard[name..].starts_with(r"/var\x00"), "{}", &heard[..120]);
        host.facts(&with_var(500));
        host.pass(ms(100));
        assert_eq!(disks(&host.take()), [json(500)]);
    }
    assert_eq!(logged.warnings().len(), 3, "once each time it begins");
}
