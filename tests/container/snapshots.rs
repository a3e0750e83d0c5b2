//! In there file systems of the node are frozen that the container has no mount of.

use std::time::Duration;

use super::bundle::{Bundle, Spec, specs};
use crate::snapshots::{Node, commits, freezer_of, is_ready, kills, until_event};
use crate::support::{Run, SOON};

/// The service with nothing but the mode set, ready.
fn service(spec: &Spec, node: &Node) -> (Bundle, Run) {
    let bundle = Bundle::new(spec, &node.talos.socket_path()).env(&["VMTOOLSD_QUIESCE=freeze"]);
    let run = Run::start(bundle.under_vmx());
    is_ready(&run);
    (bundle, run)
}

fn takes_a_snapshot(run: &Run, node: &Node) {
    let commit = commits(run);
    node.stands();
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    until_event(run, "req.done", commit.at, SOON);
    node.moves(SOON);
}

/// With the service file as it is, containerd's default profile, and Talos' capabilities.
#[test]
#[ignore = "make container"]
fn the_nodes_file_systems_are_frozen_and_thawed_from_in_there() {
    for spec in specs() {
        let Some(node) = Node::new() else { return };
        let (bundle, run) = service(&spec, &node);
        let mounts = || std::fs::read_to_string(bundle.proc("mountinfo")).unwrap();
        let before = mounts();
        assert!(!before.contains(node.var.device()), "{before}");
        takes_a_snapshot(&run, &node);
        takes_a_snapshot(&run, &node);
        assert_eq!(mounts(), before, "Talos {}", spec.talos);
        bundle.stop(&run);
        assert!(run.log_lines(&["WARN"]).is_empty(), "{:#?}", run.log());
        for line in run.log_lines(&["INFO", "file systems"]) {
            println!("Talos {}: {line}", spec.talos);
        }
    }
}

/// Process 1 takes the freezer along, unless that sees the end of the socket first and thaws.
#[test]
#[ignore = "make container"]
fn what_a_killed_container_left_frozen_is_thawed_by_the_next() {
    for spec in specs() {
        let Some(node) = Node::new() else { return };
        for is_freezer_first in [false, true] {
            let (bundle, run) = service(&spec, &node);
            commits(&run);
            node.stands();
            if is_freezer_first {
                kills(freezer_of(bundle.pid()).unwrap());
            }
            kills(bundle.pid());
            run.wait_exit(SOON).unwrap();
            for disk in node.disks().into_iter().filter(|_| is_freezer_first) {
                let moves = disk.wait_moves(Duration::from_millis(300));
                assert!(!moves, "{} has been thawed", disk.device());
            }
            let (bundle, run) = service(&spec, &node);
            node.moves(SOON);
            takes_a_snapshot(&run, &node);
            bundle.stop(&run);
        }
    }
}
