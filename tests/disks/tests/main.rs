//! The disks themselves: a freeze shows, and nothing stays frozen.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use disks::{Disks, Kind, installed, kinds};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_freeze_shows_in_the_time_line_of_the_writer_and_nowhere_else() {
    if !installed() {
        return;
    }
    for kind in kinds() {
        let disks = Disks::new().unwrap();
        let outer = disks.make(kind, "var").unwrap();
        let inner = disks.make(kind, "var/mnt/data").unwrap();
        assert_ne!(outer.device(), inner.device());
        assert!(inner.is_mounted() && outer.is_mounted());
        assert!(inner.wait_moves(SOON) && outer.wait_moves(SOON));
        let before = Instant::now();
        inner.freeze().unwrap();
        let frozen = Instant::now();
        let stands = inner.wait_stands(SOON).unwrap();
        assert!(outer.wait_moves(SOON), "{kind:?}: nested, not frozen");
        let thawed = Instant::now();
        inner.thaw().unwrap();
        let after = Instant::now();
        assert!(inner.wait_moves(SOON));
        assert_eq!(inner.ended(frozen, thawed), 0, "{kind:?}");
        assert_ne!(outer.ended(frozen, thawed), 0, "{kind:?}");
        let stand = inner.longest_stand(before);
        assert_eq!(stand.from, stands);
        assert!(stand.from >= before, "{kind:?}: {stand:?} {before:?}");
        assert!(stand.to >= thawed, "{kind:?}: {stand:?} {thawed:?}");
        assert!(stand.lasted() >= thawed - frozen, "{kind:?}: {stand:?}");
        let late = stand.to.saturating_duration_since(after);
        assert!(late < Duration::from_millis(500), "{kind:?}: {late:?}");
        assert!(inner.thaw().is_err(), "{kind:?}: it was frozen twice");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains(inner.device()));
        assert_eq!(line, None, "mounted in the machine's own namespace");
    }
}

#[test]
fn an_unmounted_one_is_not_held_by_its_watchdog() {
    if !installed() {
        return;
    }
    for kind in kinds() {
        let disks = Disks::with_limit(Duration::from_millis(300)).unwrap();
        let mut disk = disks.make(kind, "var").unwrap();
        assert!(disk.wait_moves(SOON));
        disk.unmount().unwrap();
        // It may have looked in just then.
        let unmounted = Instant::now();
        while disk.is_mounted() {
            assert!(unmounted.elapsed() < SOON, "{kind:?}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_stays_frozen_is_thawed_by_the_watchdog() {
    if !installed() {
        return;
    }
    for kind in kinds() {
        let disks = Disks::with_limit(Duration::from_secs(1)).unwrap();
        let disk = disks.make(kind, "var").unwrap();
        assert!(disk.wait_moves(SOON));
        let before = Instant::now();
        disk.freeze().unwrap();
        assert!(disk.wait_stands(SOON).is_some());
        assert!(disk.wait_moves(SOON), "{kind:?}");
        let lasted = disk.longest_stand(before).lasted();
        assert!(lasted > Duration::from_millis(700), "{kind:?}: {lasted:?}");
    }
}

/// Freezes one and waits for its death.
#[test]
#[ignore = "run by the next"]
fn dies() {
    let disks = Disks::new().unwrap();
    let disk = disks.make(Kind::Ext4, "var").unwrap();
    assert!(disk.wait_moves(SOON));
    disk.freeze().unwrap();
    assert!(disk.wait_stands(SOON).is_some());
    println!("frozen: {}", disk.name());
    std::thread::park();
}

#[test]
fn a_killed_test_leaves_nothing_frozen_and_no_device() {
    if !installed() {
        return;
    }
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "dies", "--nocapture"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let name = lines
        .find_map(|line| Some(line.unwrap().split_once("frozen: ")?.1.to_owned()))
        .expect("it freezes");
    let killed = Instant::now();
    test.kill().unwrap();
    // Its writer stands, so that it cannot even die before the thaw.
    test.wait().unwrap();
    let place = format!("/sys/block/{name}/loop");
    while std::fs::exists(&place).unwrap() {
        assert!(killed.elapsed() < 2 * disks::LIMIT, "{name} stays");
        std::thread::yield_now();
    }
}
