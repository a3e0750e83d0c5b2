//! The freezer as a process, over ext4 and XFS on loop devices (`tests/disks`), and the agent's link to it.
//!
//! ```text
//!   test ── Link ── socket ──► freezer ──► file system on a loop device ◄── Writer
//! ```
//! `TALOS_VMTOOLSD` names the program; without it, it is the one that cargo builds. Where loop devices cannot be made,
//! the tests say so and do nothing.

#![cfg(test)]

mod process;
mod support;

use std::time::Duration;

use disks::{Disks, Kind};
use talos_vmtoolsd::freeze::Command;
use talos_vmtoolsd::freeze::message::{Cause, Devices, How, Outcome, Report};

use support::{Bench, LONG, SOON, all, for_each_kind};

#[tokio::test]
async fn what_it_freezes_stands_until_the_thaw_and_no_longer() {
    for_each_kind(async |disks: Disks, kind| {
        let outer = disks.make(kind, "var").unwrap();
        let inner = disks.make(kind, "var/mnt/data").unwrap();
        let mut bench = Bench::start().await;
        bench.freeze(1, &[&inner, &outer], LONG);
        let frozen = bench.next().await;
        let (run, outcomes) = (1, all(&[Outcome::Done, Outcome::Done]));
        assert_eq!(frozen, Report::Frozen { run, outcomes });
        for disk in [&inner, &outer] {
            assert!(disk.wait_stands(SOON).is_some(), "{kind:?}: not frozen");
        }
        bench.send(&Command::Thaw);
        let thawed = bench.next().await;
        assert!(
            matches!(
                thawed,
                Report::Thawed {
                    run: 1,
                    cause: Cause::Asked,
                    ..
                }
            ),
            "{thawed:?}"
        );
        for disk in [&inner, &outer] {
            assert!(disk.wait_moves(SOON), "{kind:?}: not thawed");
        }
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn it_thaws_at_its_limit_whatever_the_agent_does() {
    for_each_kind(async |disks: Disks, kind| {
        let disk = disks.make(kind, "var").unwrap();
        let mut bench = Bench::start().await;
        let limit = Duration::from_secs(2);
        bench.freeze(1, &[&disk], limit);
        let before = std::time::Instant::now();
        // Nothing is received here before: the agent may have been stopped.
        if disk.wait_stands(limit).is_none() {
            panic!("{kind:?}: nothing stands: {:?}", bench.next().await);
        }
        assert!(disk.wait_moves(SOON));
        let stood = disk.longest_stand(before).lasted();
        assert!(
            stood < limit + Duration::from_secs(1),
            "{kind:?}: {stood:?}"
        );
        assert!(matches!(bench.next().await, Report::Frozen { .. }));
        let thawed = bench.next().await;
        let Report::Thawed {
            cause: Cause::Limit,
            lasted,
            ..
        } = thawed
        else {
            panic!("{thawed:?}");
        };
        assert!(lasted >= limit, "{lasted:?}");
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn it_thaws_and_ends_when_the_agent_is_gone() {
    for_each_kind(async |disks: Disks, kind| {
        let disk = disks.make(kind, "var").unwrap();
        let bench = Bench::with_frozen(&[&disk]).await;
        let process = bench.freezer.id();
        assert!(disk.wait_stands(SOON).is_some());
        drop(bench.link);
        bench.freezer.finish();
        assert!(disk.wait_moves(SOON), "{kind:?}");
        assert!(!process::is_there(process));
    })
    .await;
}

#[tokio::test]
async fn sigterm_thaws_and_the_next_freeze_works() {
    for_each_kind(async |disks: Disks, _| {
        let disk = disks.make(Kind::Ext4, "var").unwrap();
        let mut bench = Bench::with_frozen(&[&disk]).await;
        process::signal(bench.freezer.id(), "TERM");
        let thawed = bench.next().await;
        let is_right = matches!(
            thawed,
            Report::Thawed {
                cause: Cause::Terminated,
                ..
            }
        );
        assert!(is_right, "{thawed:?}");
        assert!(disk.wait_moves(SOON));
        for signal in ["INT", "HUP", "PIPE", "USR1", "QUIT"] {
            process::signal(bench.freezer.id(), signal);
        }
        bench.freeze(2, &[&disk], LONG);
        assert!(matches!(bench.next().await, Report::Frozen { run: 2, .. }));
        bench.freezer.finish();
        assert!(disk.wait_moves(SOON));
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_has_frozen_stays_frozen() {
    for_each_kind(async |disks: Disks, kind| {
        let ours = disks.make(kind, "var").unwrap();
        let theirs = disks.make(kind, "other").unwrap();
        theirs.freeze().unwrap();
        let mut bench = Bench::start().await;
        bench.freeze(1, &[&theirs, &ours], LONG);
        let (run, outcomes) = (1, all(&[Outcome::Left, Outcome::Done]));
        assert_eq!(bench.next().await, Report::Frozen { run, outcomes });
        bench.send(&Command::Thaw);
        assert!(matches!(bench.next().await, Report::Thawed { .. }));
        bench.freezer.finish();
        assert!(ours.wait_moves(SOON));
        // It fails for one that is not frozen.
        theirs.thaw().unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_successor_thaws_what_a_killed_one_has_left_frozen() {
    for_each_kind(async |disks: Disks, kind| {
        let left = disks.make(kind, "var").unwrap();
        let not_frozen = disks.make(kind, "other").unwrap();
        let mut killed = Bench::with_frozen(&[&left]).await;
        process::signal(killed.freezer.id(), "KILL");
        assert_eq!(killed.next().await, Report::Gone);
        killed.freezer.finish();
        assert!(left.wait_stands(SOON).is_some());
        let mut bench = Bench::start().await;
        bench.send(&Command::Rescue(support::devices(&[&left, &not_frozen])));
        let outcomes = all(&[Outcome::Done, Outcome::Left]);
        assert_eq!(bench.next().await, Report::Rescued(outcomes));
        assert!(left.wait_moves(SOON), "{kind:?}");
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn a_volume_that_the_node_has_unmounted_is_not_mounted() {
    for_each_kind(async |disks: Disks, kind| {
        let mut disk = disks.make(kind, "var").unwrap();
        disk.unmount().unwrap();
        let mut bench = Bench::start().await;
        bench.send(&Command::Probe(support::devices(&[&disk])));
        let outcomes = all(&[Outcome::Skipped]);
        assert_eq!(bench.next().await, Report::Probed(outcomes), "{kind:?}");
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn the_root_of_a_volume_may_belong_to_a_pod() {
    for_each_kind(async |disks: Disks, kind| {
        let disk = disks.make(kind, "var").unwrap();
        process::close_root(disk.device(), kind.name());
        let mut bench = Bench::with_frozen(&[&disk]).await;
        bench.send(&Command::Thaw);
        assert!(matches!(bench.next().await, Report::Thawed { .. }));
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn nothing_is_held_but_while_frozen_and_nothing_grows() {
    for_each_kind(async |disks: Disks, kind| {
        let mut disk = disks.make(kind, "var").unwrap();
        let mut bench = Bench::start().await;
        let id = bench.freezer.id();
        let mut before = None;
        for run in 0..60 {
            bench.freeze(run, &[&disk], LONG);
            assert!(matches!(bench.next().await, Report::Frozen { .. }), "{run}");
            bench.send(&Command::Thaw);
            assert!(matches!(bench.next().await, Report::Thawed { .. }), "{run}");
            let held = process::held(id);
            let before = before.get_or_insert_with(|| held.clone());
            assert_eq!(*before, held, "{kind:?} after {run}");
        }
        assert!(disk.wait_moves(SOON));
        // The node can unmount it, and then it is gone.
        disk.unmount().unwrap();
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn a_sync_freezes_nothing() {
    for_each_kind(async |disks: Disks, kind| {
        let disk = disks.make(kind, "var").unwrap();
        let mut bench = Bench::start().await;
        let devices = support::devices(&[&disk]);
        bench.send(&Command::Freeze {
            run: 1,
            how: How::Sync,
            limit: LONG,
            devices,
        });
        let (run, outcomes) = (1, all(&[Outcome::Done]));
        assert_eq!(bench.next().await, Report::Synced { run, outcomes });
        assert!(disk.wait_moves(SOON), "{kind:?}");
        bench.freezer.finish();
    })
    .await;
}

#[tokio::test]
async fn it_has_no_rights_but_those_it_needs_and_takes_little_memory() {
    if !disks::installed() {
        return;
    }
    let mut bench = Bench::start().await;
    let id = bench.freezer.id();
    process::assert_confined(id);
    bench.send(&Command::Probe(Devices::new([]).unwrap()));
    assert!(matches!(bench.next().await, Report::Probed(_)));
    process::assert_small(id);
    bench.freezer.finish();
}
