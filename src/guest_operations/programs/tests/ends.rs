use std::time::Duration;

use super::node::{Node, SECOND, user, without};
use crate::config::{GuestOperationsConfig, Rights, User};
use crate::guest_operations::Failure;
use crate::inquiry::Step;

#[test]
fn terminating_a_program_ends_what_it_has_asked() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "dmesg -f");
    let (id, _) = node.asked();
    let (ops, dev) = (user("ops"), user("dev"));
    let blind = without("dev", |rights| rights.processes = false);
    for (caller, pid, failure) in [
        (&dev, pid, Failure::NotAllowed),
        (&blind, pid, Failure::NoSuchProcess),
        (&ops, 1, Failure::NotAllowed),
        (&blind, 1, Failure::NoSuchProcess),
        (&ops, 0, Failure::NoSuchProcess),
        (&ops, pid + 1, Failure::NoSuchProcess),
    ] {
        assert_eq!(node.terminate(caller, pid), Err(failure), "{pid}");
    }
    assert_eq!(node.terminate(&ops, pid), Ok(()));
    assert_eq!(node.terminate(&ops, pid), Err(Failure::NoSuchProcess));
    assert_eq!(node.code(pid), Some(143));
    assert_eq!(node.steps(), [(id, Step::Forget)]);
}

#[test]
fn sixty_four_programs_run_at_most_and_ended_ones_are_forgotten() {
    let mut node = Node::new();
    let pids: Vec<u64> = (0..64)
        .map(|_| node.start("talosctl", "dmesg -f"))
        .collect();
    let ops = user("ops");
    assert_eq!(
        node.try_start(&ops, "talosctl", "dmesg"),
        Err(Failure::Busy)
    );
    node.terminate(&ops, pids[0]).unwrap();
    let last = node.start("talosctl", "help");
    node.pass(Duration::from_secs(299));
    assert!(node.programs.has(&ops, pids[0]) && node.programs.has(&ops, last));
    node.pass(SECOND);
    assert!(!node.programs.has(&ops, pids[0]) && !node.programs.has(&ops, last));
    assert!(node.programs.has(&ops, pids[1]), "it runs");
    node.terminate(&ops, pids[1]).unwrap();
    for _ in 0..300 {
        node.start("talosctl", "help");
    }
    assert_eq!(node.programs.records.len(), 256);
    assert!(!node.programs.has(&ops, pids[1]) && node.programs.has(&ops, pids[2]));
}

#[test]
fn a_program_without_answers_ends_after_a_minute_and_one_that_follows_after_an_hour() {
    let mut node = Node::new();
    let pid = node.start("talosctl", "version");
    let follows = node.start("talosctl", "dmesg -f");
    node.pass(Duration::from_secs(59));
    assert_eq!(node.code(pid), None);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND));
    node.pass(SECOND);
    assert_eq!(node.code(pid), Some(1));
    assert!(node.stderr(pid).contains("does not answer"));
    node.pass(Duration::from_secs(3539));
    assert_eq!(node.code(follows), None);
    node.pass(SECOND);
    assert_eq!(node.code(follows), Some(1));
    assert!(node.stderr(follows).contains("an hour"));
}

#[test]
fn users_who_are_gone_or_may_no_more_lose_their_programs() {
    let mut node = Node::new();
    let (ops, dev) = (user("ops"), user("dev"));
    let of_ops = node.start("talosctl", "dmesg -f");
    let relay = node.start("http.RoundTrip", "talos");
    let of_dev = node.try_start(&dev, "talosctl", "dmesg -f").unwrap();
    node.steps();
    let mut config = GuestOperationsConfig {
        enabled: true,
        users: vec![User {
            name: "ops".to_owned(),
            password_hash: None,
            public_key: None,
            rights: Rights::default(),
        }],
        node_files: Vec::new(),
    };
    node.programs.configure(&config);
    assert!(node.programs.has(&ops, of_ops));
    assert!(!node.programs.has(&ops, relay));
    assert!(!node.programs.has(&dev, of_dev));
    assert!(matches!(&node.steps()[..], [(_, Step::Forget)]));
    config.users[0].rights.programs = false;
    node.programs.configure(&config);
    assert!(!node.programs.has(&ops, of_ops));
    assert!(matches!(&node.steps()[..], [(_, Step::Forget)]));
    assert_eq!(node.programs.poll_timeout(), None);
}
