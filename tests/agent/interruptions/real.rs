//! The same with a real etcd of three members: leadership that has moved, quorum that was kept.
//!
//! `make etcd` builds the members (tests/etcd/members) and runs these tests; `cargo test` leaves them out, because they
//! need Go.

use std::time::{Duration, Instant};

use apid::Method;

use crate::support::SOON;

use super::cluster::{Cluster, HOLD, both_go, second_is_held};
use super::node::{
    HALT_DONE, HALT_FAILED, REBOOT_DONE, calls, press, requests, serving, shows, statuses,
};

/// A write while there is a leader; an election alone takes a second and more.
const PROMPT: Duration = Duration::from_millis(900);

#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn a_leader_that_reboots_by_force_has_handed_over_and_nobody_elects() {
    let cluster = Cluster::real();
    let members = cluster.members();
    members.lead(0);
    let run = cluster.run(0, "{reboot_mode: force, etcd: {forfeit: [force-reboot]}}");
    press(&run, "OS_Reboot");
    let calls = calls(cluster.node(0), Method::Reboot, 1);
    assert_eq!(requests(&calls), ["mode=FORCE"]);
    let (leads, _) = members.leads(0);
    assert!(!leads, "another has led since before the Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    let (_, term) = members.leads(1);
    members.kill(0);
    let took = members.write(1).unwrap();
    assert!(took < PROMPT, "{took:?}");
    assert_eq!(members.leads(1).1, term, "no election");
}

/// What the hand-over is for.
#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn a_leader_that_reboots_by_force_without_it_costs_an_election() {
    let cluster = Cluster::real();
    let members = cluster.members();
    members.lead(0);
    let run = cluster.run(0, "{reboot_mode: force}");
    press(&run, "OS_Reboot");
    calls(cluster.node(0), Method::Reboot, 1);
    let (leads, term) = members.leads(0);
    assert!(leads);
    members.kill(0);
    // A write that meets no leader may have to be made again.
    let killed = Instant::now();
    while let Err(error) = members.write(1) {
        assert!(killed.elapsed() < SOON, "{error}");
    }
    assert!(members.leads(1).1 > term, "elected");
}

#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn the_second_button_within_5_s_is_held_and_etcd_keeps_its_quorum() {
    let cluster = Cluster::real();
    let members = cluster.members();
    second_is_held(&cluster, || {
        members.write(2).unwrap();
    });
    // The second goes while the first is there again.
    cluster.goes(1, 2);
    members.write(2).unwrap();
}

/// As it is: each sees the other, and no call says that it is about to go.
#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn two_buttons_within_100_ms_cost_the_quorum_until_one_is_back() {
    let cluster = Cluster::real();
    let members = cluster.members();
    both_go(&cluster);
    cluster.goes(0, 2);
    cluster.goes(1, 1);
    assert!(members.write(2).is_err(), "one of three");
    cluster.comes_back(0, 2);
    members.write(2).unwrap();
}

#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn a_node_on_which_the_quorum_hangs_refuses_if_it_is_to() {
    let cluster = Cluster::real();
    cluster.goes(0, 2);
    let run = cluster.run(1, "{etcd: {guard: refuse}}");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_FAILED]);
    shows(&run, "refused: ");
    cluster.members().write(2).unwrap();
    cluster.comes_back(0, 3);
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 2), [HALT_FAILED, HALT_DONE]);
}

/// A cluster that is to stop as a whole must be able to, and the last node has no quorum to ask.
#[test]
#[ignore = "needs Go; run by `make etcd`"]
fn without_quorum_nothing_is_held() {
    let cluster = Cluster::real();
    cluster.goes(0, 2);
    let run = cluster.run(2, HOLD);
    cluster.goes(1, 1);
    serving(cluster.node(2), 2);
    let pressed = Instant::now();
    press(&run, "OS_Halt");
    calls(cluster.node(2), Method::Shutdown, 1);
    assert!(
        pressed.elapsed() < Duration::from_secs(10),
        "{:?}",
        pressed.elapsed()
    );
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
}
