use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::node::{There, World};
use crate::guest_operations::Failure;
use crate::guest_operations::files::{ARCHIVE_SIZE, Kind, Opened};
use crate::inquiry::{Inquiry, TroubleKind};

const TRAILER: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Names, contents and targets of a plain tar, without its trailer.
fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>, Option<String>)> {
    let bytes = bytes.strip_suffix(&TRAILER[..]).expect("a trailer");
    assert_eq!(bytes.len() % 512, 0);
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let target = entry.link_name().unwrap();
        let target = target.map(|target| target.display().to_string());
        (entry.path().unwrap().display().to_string(), bytes, target)
    });
    entries.collect()
}

fn names(bytes: &[u8]) -> Vec<String> {
    let entries = entries(bytes).into_iter();
    entries.map(|(name, ..)| name).collect()
}

fn gunzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let first = bytes
        .strip_suffix(&TRAILER[..])
        .expect("a second member's start");
    let mut decoder = flate2::bufread::GzDecoder::new(first);
    decoder.read_to_end(&mut plain).unwrap();
    assert!(decoder.into_inner().is_empty(), "one member alone");
    plain.extend(TRAILER);
    plain
}

#[test]
fn a_folder_of_the_node_is_packed_with_its_links_and_without_what_cannot_be_read() {
    let mut world = World::with_logs();
    let archive = world.download("ops", "/var/log/").unwrap();
    assert_eq!(
        entries(&archive),
        [
            ("audit/".to_owned(), vec![], None),
            ("audit/kube.log".to_owned(), b"audit\n".to_vec(), None),
            ("out".to_owned(), vec![], Some("/etc".to_owned())),
            ("shadow".to_owned(), vec![], Some("/etc/shadow".to_owned())),
            ("x.log".to_owned(), b"lines\n".to_vec(), None),
        ]
    );
    let gzip = world
        .download("ops", "/var/log?format=tgz&prefix=logs%2F")
        .unwrap();
    assert_eq!(
        names(&gunzipped(&gzip)),
        [
            "logs/audit/",
            "logs/audit/kube.log",
            "logs/out",
            "logs/shadow",
            "logs/x.log"
        ]
    );
    assert_eq!(world.held(), 0);
}

#[test]
fn the_tree_is_packed_whole() {
    let mut world = World::with_logs();
    let archive = world.download("ops", "/").unwrap();
    let names = names(&archive);
    for name in [
        "talos/README.txt",
        "talos/services/apid.log",
        "talos/support.tgz",
        "var/log/x.log",
        "proc/meminfo",
        "tmp/",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    let meminfo = entries(&archive)
        .into_iter()
        .find(|(name, ..)| name == "proc/meminfo");
    assert_eq!(
        meminfo.map(|(_, bytes, _)| bytes),
        Some(b"MemTotal: 1 kB\n".to_vec())
    );
}

#[test]
fn the_size_of_an_archive_is_none() {
    let mut world = World::new(&[]);
    let attributes = world.begin("ops", "/talos/services/").unwrap();
    assert_eq!(attributes.kind, Kind::File);
    assert_eq!(attributes.size, ARCHIVE_SIZE);
    assert_eq!(attributes.mode & 0o777, 0o600);
}

#[test]
fn real_tar_unpacks_it() {
    if Command::new("tar").arg("--version").output().is_err() {
        return;
    }
    let mut world = World::with_logs();
    let long = format!("/var/log/audit/{}", "n".repeat(200));
    world
        .node
        .insert(long, There::File(vec![b'x'; 300_000], 300_000));
    for (path, options) in [("/var/log/", "-tf"), ("/var/log?format=tgz", "-tzf")] {
        let archive = world.download("ops", path).unwrap();
        let archive = archive.strip_suffix(&TRAILER[..]).unwrap();
        let mut tar = Command::new("tar")
            .args([options, "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = tar.stdin.take().unwrap();
        stdin.write_all(archive).unwrap();
        drop(stdin);
        let output = tar.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let names = String::from_utf8(output.stdout).unwrap();
        assert_eq!(names.lines().count(), 6, "{names}");
        assert!(names.contains(&"n".repeat(200)));
    }
}

#[test]
fn a_large_file_is_packed_while_it_comes_and_little_is_held() {
    let mut world = World::with_logs();
    let bytes: Vec<u8> = (0..20 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    world.node.insert(
        "/var/log/big".to_owned(),
        There::File(bytes.clone(), 20 << 20),
    );
    let opened = world.open("ops", "/var/log/").unwrap();
    let mut all = Vec::new();
    loop {
        let piece = world
            .read(&opened, u64::try_from(all.len()).unwrap())
            .unwrap();
        if piece.is_empty() {
            break;
        }
        all.extend(piece);
        assert!(world.held() < 1 << 20, "{}", world.held());
    }
    let entries = entries(&all);
    let big = entries.iter().find(|(name, ..)| name == "big").unwrap();
    assert!(big.1 == bytes);
}

#[test]
fn a_file_that_grows_or_shrinks_in_the_meantime_has_the_size_of_its_header() {
    let mut world = World::with_logs();
    let file = |bytes: &[u8], size| There::File(bytes.to_vec(), size);
    world
        .node
        .insert("/var/log/grown".to_owned(), file(b"0123456789", 4));
    world
        .node
        .insert("/var/log/shrunk".to_owned(), file(b"0123", 40_000));
    let archive = world.download("ops", "/var/log/").unwrap();
    let entries = entries(&archive);
    let of = |name: &str| {
        entries
            .iter()
            .find(|(of, ..)| of == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(of("grown"), b"0123");
    assert_eq!(of("shrunk").len(), 40_000);
    assert!(of("shrunk").starts_with(b"0123\0"));
}

#[test]
fn an_archive_is_read_in_order_and_its_last_piece_again() {
    let mut world = World::with_logs();
    world.node.insert(
        "/var/log/big".to_owned(),
        There::File(vec![7; 500_000], 500_000),
    );
    let opened = world.open("ops", "/var/log/").unwrap();
    let first = world.read(&opened, 0).unwrap();
    assert_eq!(first.len(), 61_440, "a short piece would be the end");
    assert_eq!(world.read(&opened, 0), Ok(first.clone()));
    assert_eq!(world.read(&opened, 512), Ok(first[512..].to_vec()));
    let second = world.read(&opened, 61_440).unwrap();
    assert_eq!(world.read(&opened, 61_440), Ok(second));
    assert_eq!(world.read(&opened, 0), Err(Failure::Invalid));
    assert_eq!(world.read(&opened, 1 << 20), Err(Failure::Invalid));
    world.close(&opened);
    assert_eq!(world.read(&opened, 122_880), Err(Failure::NotFound));
}

#[test]
fn an_archive_that_nobody_reads_goes() {
    let mut world = World::with_logs();
    let opened = world.open("ops", "/var/log/").unwrap();
    world.read(&opened, 0).unwrap();
    world.pass(Duration::from_secs(59));
    assert!(world.held() > 0);
    world.pass(Duration::from_secs(2));
    assert_eq!(world.held(), 0);
    assert_eq!(world.read(&opened, 0), Err(Failure::NotFound));
}

#[test]
fn idle_archives_give_way_to_new_ones() {
    let mut world = World::with_logs();
    for _ in 0..8 {
        world.open("ops", "/talos/").unwrap();
    }
    assert_eq!(world.open("ops", "/talos/").unwrap_err(), Failure::Busy);
    world.pass(Duration::from_secs(11));
    world.open("ops", "/talos/").unwrap();
}

#[test]
fn a_file_that_talos_hangs_on_is_left_out() {
    let mut world = World::with_logs();
    world.is_deaf = |inquiry| matches!(inquiry, Inquiry::Logs { service, .. } if service == "apid");
    let archive = world.download("ops", "/talos/services/").unwrap();
    assert_eq!(names(&archive), ["kubelet.log"]);
}

#[test]
fn a_transfer_fails_when_talos_hangs_on_everything_or_breaks_off_in_a_file() {
    let mut world = World::with_logs();
    world.is_deaf = |_| true;
    let opened = world.open("ops", "/talos/services/").unwrap();
    assert_eq!(world.read(&opened, 0), Err(Failure::NotNow));
    world.is_deaf = |_| false;
    world.trouble = Some(TroubleKind::Away);
    let opened = world.open("ops", "/var/log/").unwrap();
    assert!(matches!(opened, Opened::Archive(_)));
    assert_eq!(world.read(&opened, 0), Err(Failure::NotNow));
}
