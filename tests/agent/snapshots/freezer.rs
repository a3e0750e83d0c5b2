//! The process that freezes: what it may do, and that nothing is left of a snapshot.

use std::fs;

use super::{Node, commits, until_event};
use crate::support::{Run, SOON, Talos, binary};

/// As the program is called when it is the freezer.
const NAME: &str = "talos-vmtoolsd-freezer";
/// Bits of linux/capability.h: DAC_READ_SEARCH, SYS_ADMIN, MKNOD.
const HELD: u64 = 1 << 2 | 1 << 21 | 1 << 27;
/// PR_SET_SECCOMP's filter mode, as /proc has it.
const SECCOMP_FILTER: &str = "2";
/// Resident, of the release binary.
const MOST_KIB: u64 = 2048;
/// A debug build is larger than any release.
const RELEASE: u64 = 8 << 20;

/// The freezer of the agent with this process id.
pub(crate) fn freezer_of(agent: i32) -> Option<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.find(|pid| {
        let called = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        called.split(|byte| *byte == 0).next() == Some(NAME.as_bytes())
            && field(*pid, "PPid") == agent.to_string()
    })
}

fn field(pid: i32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_default().trim().to_owned()
}

fn kib(pid: i32, name: &str) -> u64 {
    field(pid, name)
        .trim_end_matches(" kB")
        .trim()
        .parse()
        .unwrap()
}

/// What a process holds: descriptors, mounts, threads, anonymous memory in KiB.
fn held(pid: i32) -> (Vec<String>, usize, u64, u64) {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut descriptors: Vec<String> = links
        .filter_map(|entry| {
            Some(
                fs::read_link(entry.ok()?.path())
                    .ok()?
                    .display()
                    .to_string(),
            )
        })
        .collect();
    descriptors.sort();
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let threads = field(pid, "Threads").parse().unwrap();
    (
        descriptors,
        mounts.lines().count(),
        threads,
        kib(pid, "RssAnon"),
    )
}

fn a_round(run: &Run, node: &Node) {
    let commit = commits(run);
    let frozen = std::time::Instant::now();
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    until_event(run, "req.done", commit.at, SOON);
    for disk in node.disks() {
        assert_eq!(disk.ended(commit.at, frozen), 0, "{}", disk.device());
    }
}

#[test]
fn after_sixty_rounds_there_is_no_mount_no_descriptor_and_no_memory_more() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    let pids = [run.pid(), freezer_of(run.pid()).unwrap()];
    (0..10).for_each(|_| a_round(&run, &node));
    let before = pids.map(held);
    (0..60).for_each(|_| a_round(&run, &node));
    for (pid, before) in pids.iter().zip(before) {
        let after = held(*pid);
        println!("{pid}: {} KiB, then {} KiB", before.3, after.3);
        assert_eq!(after.0, before.0, "descriptors");
        assert_eq!((after.1, after.2), (before.1, before.2), "mounts, threads");
        assert!(
            after.3 <= before.3 + 128,
            "{} KiB, then {}",
            before.3,
            after.3
        );
    }
    node.moves(SOON);
    run.stop();
}

#[test]
fn it_holds_three_capabilities_a_filter_and_one_socket() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    let freezer = freezer_of(run.pid()).unwrap();
    for set in ["CapPrm", "CapEff"] {
        let held = u64::from_str_radix(&field(freezer, set), 16).unwrap();
        assert_eq!(held & !HELD, 0, "{set} {held:x}");
    }
    for set in ["CapBnd", "CapInh", "CapAmb"] {
        assert_eq!(
            u64::from_str_radix(&field(freezer, set), 16),
            Ok(0),
            "{set}"
        );
    }
    assert_eq!(field(freezer, "NoNewPrivs"), "1");
    assert_eq!(field(freezer, "Seccomp"), SECCOMP_FILTER);
    assert_eq!(field(freezer, "Threads"), "1");
    // The simulator's filter, the freezer's own, and none that it would share with the agent's.
    let filters = |pid| field(pid, "Seccomp_filters").parse::<u32>().unwrap();
    assert!(filters(freezer) >= 2, "{}", filters(freezer));
    let (descriptors, ..) = held(freezer);
    let sockets = descriptors.iter().filter(|to| to.starts_with("socket:"));
    assert_eq!(sockets.count(), 1, "{descriptors:#?}");

    commits(&run);
    let resident = kib(freezer, "VmRSS");
    println!("the freezer, frozen: {resident} KiB resident");
    if binary().metadata().unwrap().len() < RELEASE {
        assert!(resident <= MOST_KIB, "{resident} KiB");
    }
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    // The agent has given up what the freezer has.
    let agent = u64::from_str_radix(&field(run.pid(), "CapEff"), 16).unwrap();
    assert_eq!(agent & HELD, 0, "{agent:x}");
    node.moves(SOON);
    run.stop();
    assert_eq!(freezer_of(run.pid()), None);
}

#[test]
fn there_is_none_while_quiescing_is_off() {
    let talos = Talos::new();
    let run = talos.run();
    assert_eq!(freezer_of(run.pid()), None);
    run.stop();
}
