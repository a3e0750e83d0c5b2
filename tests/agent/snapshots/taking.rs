//! A snapshot from its start to its end.

use std::time::{Duration, Instant};

use disks::{Kind, kinds};

use super::{Node, commits, events, until_event};
use crate::support::{SOON, pass};

/// How long the host takes for a snapshot.
const SNAPSHOT: Duration = Duration::from_secs(3);
/// How much longer than that a writer may stand.
const MORE: Duration = Duration::from_millis(500);

/// Takes a snapshot of `node`, and gives the time from the commit to its end.
fn takes_a_snapshot(run: &crate::support::Run, length: Duration) -> (Instant, Instant) {
    let commit = commits(run);
    pass(run, length);
    let taken = Instant::now();
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    until_event(run, "req.done", commit.at, SOON);
    (commit.at, taken)
}

#[test]
fn writers_on_both_kinds_of_file_systems_stand_for_the_snapshot_and_not_much_longer() {
    let Some(&largest) = disks::installed()
        .then(kinds)
        .as_deref()
        .and_then(<[_]>::last)
    else {
        return;
    };
    for (var, data) in [(largest, Kind::Ext4), (Kind::Ext4, largest)] {
        let Some(node) = Node::with(var, data) else {
            return;
        };
        let run = node.run(&[]);
        let before = Instant::now();
        let (commit, taken) = takes_a_snapshot(&run, SNAPSHOT);
        node.moves(SOON);
        for disk in node.disks() {
            assert_eq!(disk.ended(commit, taken), 0, "{:?}", disk.kind());
            let stand = disk.longest_stand(before).lasted();
            println!(
                "{:?}: snapshot {:?}, writer stood {stand:?}",
                disk.kind(),
                taken - commit
            );
            assert!(
                stand <= taken - commit + MORE,
                "{:?}: {stand:?}",
                disk.kind()
            );
        }
        let names: Vec<_> = events(&run, before)
            .into_iter()
            .map(|sent| sent.name)
            .collect();
        assert_eq!(
            names,
            ["reset", "prov.snapshotCommit", "req.keepAlive", "req.done"]
        );
        run.stop();
    }
}

#[test]
fn what_is_excluded_is_written_to_while_the_other_stands() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&["exclude: [u-data]"]);
    let commit = commits(&run);
    assert!(node.var.wait_stands(SOON).is_some());
    assert!(node.data.wait_moves(SOON));
    let taken = Instant::now();
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    until_event(&run, "req.done", commit.at, SOON);
    node.moves(SOON);
    assert_eq!(node.var.ended(commit.at, taken), 0);
    run.stop();
}

#[test]
fn one_that_somebody_else_has_frozen_stays_frozen_and_the_other_is_thawed() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    node.data.freeze().unwrap();
    takes_a_snapshot(&run, Duration::from_millis(200));
    assert!(node.var.wait_moves(SOON));
    node.data.thaw().expect("it is still frozen");
    node.moves(SOON);
    run.stop();
}

#[test]
fn one_that_was_unmounted_meanwhile_is_left_out_and_not_mounted_again() {
    let Some(mut node) = Node::new() else { return };
    let run = node.run(&[]);
    node.data.unmount().unwrap();
    let commit = commits(&run);
    assert!(!node.data.is_mounted());
    assert!(node.var.wait_stands(SOON).is_some());
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    until_event(&run, "req.done", commit.at, SOON);
    assert!(node.var.wait_moves(SOON));
    assert!(!node.data.is_mounted());
    run.stop();
}

#[test]
fn a_volume_can_be_unmounted_after_a_snapshot() {
    let Some(mut node) = Node::new() else { return };
    let run = node.run(&[]);
    takes_a_snapshot(&run, Duration::ZERO);
    node.data.unmount().unwrap();
    assert!(!node.data.is_mounted(), "the agent holds it");
    run.stop();
}

#[test]
fn an_aborted_snapshot_is_thawed_and_never_committed_afterwards() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    // At each point of the beginning, and when everything stands.
    for wait in [0, 5, 20, 50, 100, 400].map(Duration::from_millis) {
        let started = Instant::now();
        run.ask("vmbackup.start 1 ");
        pass(&run, wait);
        let asked = Instant::now();
        assert_eq!(run.reply("vmbackup.abort"), "OK ");
        let done = until_event(&run, "req.done", started, SOON);
        node.moves(Duration::from_secs(1));
        let sent = events(&run, started);
        assert!(
            sent.iter()
                .any(|sent| sent.name == "req.aborted" && sent.code == "4"),
            "{sent:#?}"
        );
        let late = |sent: &&super::Sent| sent.name == "prov.snapshotCommit" && sent.at > asked;
        let replied = sent.iter().find(late).map(|sent| sent.at);
        assert!(replied.is_none_or(|at| at < done.at), "{sent:#?}");
        assert_eq!(sent.last().unwrap().name, "req.done", "{sent:#?}");
    }
    run.stop();
}
