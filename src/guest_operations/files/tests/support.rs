use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use super::node::World;
use crate::guest_operations::files::readme;
use crate::inquiry::Inquiry;

const SUPPORT: &str = "/talos/support.tgz";

/// Names and contents of a tar.gz.
pub(super) fn unpacked(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (entry.path().unwrap().display().to_string(), text)
    });
    entries.collect()
}

#[test]
fn one_archive_has_everything() {
    let mut world = World::new(&[]);
    let files = unpacked(&world.download("ops", SUPPORT).unwrap());
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "check.json",
            "dmesg.log",
            "resources/hostnames.yaml",
            "resources/members.yaml",
            "services/apid.log",
            "services/kubelet.log",
        ]
    );
    assert_eq!(files["README.txt"], readme::TEXT);
    assert_eq!(files["dmesg.log"], "Linux version 6\n");
    assert_eq!(files["services/kubelet.log"], "log of kubelet\n");
    assert!(files["resources/members.yaml"].contains("kubespan"));
}

#[test]
fn what_talos_does_not_give_in_time_is_named() {
    let mut world = World::new(&[]);
    world.is_deaf = |inquiry| match inquiry {
        Inquiry::Dmesg { .. } => true,
        Inquiry::Logs { service, .. } => service == "kubelet",
        _ => false,
    };
    let start = world.now;
    let archive = world.download("ops", SUPPORT).unwrap();
    assert_eq!(world.now - start, Duration::from_millis(2000));
    let files = unpacked(&archive);
    assert_eq!(files["services/apid.log"], "log of apid\n");
    assert!(files["dmesg.log"].contains("not here"));
    assert!(files["services/kubelet.log"].contains("not here"));
    let missing = &files["MISSING.txt"];
    assert_eq!(missing.lines().count(), 2, "{missing}");
    assert!(missing.contains("dmesg.log: Talos did not give it in time"));
}

#[test]
fn it_is_ready_within_the_patience_of_its_asker_when_talos_is_away() {
    let mut world = World::new(&[]);
    world.is_deaf = |inquiry| *inquiry != Inquiry::Checks;
    let files = unpacked(&world.download("ops", SUPPORT).unwrap());
    assert!(files["check.json"].contains("\"ok\": true"));
    let missing = &files["MISSING.txt"];
    for name in ["dmesg.log", "services/", "resources/"] {
        assert!(missing.contains(name), "{missing}");
    }
}

#[test]
fn talos_is_asked_for_a_few_files_at_a_time() {
    let mut world = World::new(&[]);
    for number in 0..60 {
        world.services.insert(format!("s{number}"), b"log".to_vec());
    }
    let files = unpacked(&world.download("ops", SUPPORT).unwrap());
    assert_eq!(files.len(), 3 + 2 + 62);
    assert!(world.at_a_time <= 10, "{}", world.at_a_time);
}

#[test]
fn a_log_that_is_too_long_is_named_and_all_others_are_there() {
    let mut world = World::new(&[]);
    world
        .services
        .insert("apid".to_owned(), vec![b'x'; 5 << 20]);
    let files = unpacked(&world.download("ops", SUPPORT).unwrap());
    assert!(files["services/apid.log"].contains("no room"));
    assert_eq!(files["services/kubelet.log"], "log of kubelet\n");
    assert!(files["MISSING.txt"].contains("services/apid.log"));
}

#[test]
fn long_logs_are_packed_a_few_at_a_time() {
    let mut world = World::new(&[]);
    for number in 0..8 {
        let log = format!("line {number}\n").repeat(100_000);
        world
            .services
            .insert(format!("s{number}"), log.into_bytes());
    }
    let start = world.now;
    let files = unpacked(&world.download("ops", SUPPORT).unwrap());
    assert_eq!(world.now, start, "none of these waits for a time");
    assert_eq!(files["services/s7.log"].lines().count(), 100_000);
    assert!(!files.contains_key("MISSING.txt"));
}
