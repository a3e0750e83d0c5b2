//! Three control planes and one etcd: what two buttons do that are pressed one after the other.
//!
//! A node that goes takes its API server out of the list of the others at once, as one does that ends in order; one that
//! dies is listed for some 15 s more. So the second of two buttons is held where the first node has gone, and not while
//! that still drains: to Talos both nodes are there then.

use std::sync::Arc;
use std::time::Duration;

use apid::{EtcdBackend, EtcdCluster, Method};
use vmx::Vmx;

use crate::support::{Run, SOON, Talos, pass};

use super::members::Members;
use super::node::{self, HALT_DONE, calls, press, requests, serving, shows, statuses};

/// Three nodes, counted from 0, and their etcd.
pub(super) struct Cluster {
    nodes: [Talos; 3],
    etcd: Etcd,
}

enum Etcd {
    Simulated(EtcdCluster),
    Real(Members),
}

impl Cluster {
    /// One with an etcd that elects at once.
    fn simulated() -> Self {
        let etcd = EtcdCluster::new(3);
        Self {
            nodes: [1, 2, 3].map(|number| of(etcd.node(number))),
            etcd: Etcd::Simulated(etcd),
        }
    }

    /// One with a real etcd.
    pub(super) fn real() -> Self {
        let etcd = Members::start();
        Self {
            nodes: [0, 1, 2].map(|number| of(etcd.of_node(number))),
            etcd: Etcd::Real(etcd),
        }
    }

    /// The real etcd.
    pub(super) fn members(&self) -> &Members {
        match &self.etcd {
            Etcd::Real(members) => members,
            Etcd::Simulated(_) => panic!("it is not real"),
        }
    }

    pub(super) fn node(&self, number: usize) -> &Talos {
        &self.nodes[number]
    }

    /// The agent of a node, with these settings of the group `power`.
    pub(super) fn run(&self, number: usize, power: &str) -> Run {
        node::run(self.node(number), power)
    }

    /// The machine of this node has stopped; so many are left.
    pub(super) fn goes(&self, number: usize, left: usize) {
        match &self.etcd {
            Etcd::Simulated(etcd) => etcd.stop(number + 1),
            Etcd::Real(members) => members.stop(number),
        }
        self.node(number).stop();
        self.serve(left);
    }

    /// The machine of this node has booted; so many are there.
    pub(super) fn comes_back(&self, number: usize, there: usize) {
        match &self.etcd {
            Etcd::Simulated(etcd) => etcd.start(number + 1),
            Etcd::Real(members) => members.restart(number),
        }
        self.node(number).restart().unwrap();
        self.serve(there);
    }

    fn serve(&self, live: usize) {
        for talos in &self.nodes {
            serving(talos, live);
        }
    }
}

/// A node of this etcd.
fn of(etcd: Arc<dyn EtcdBackend>) -> Talos {
    let talos = node::of_three(3);
    talos.set_etcd_backend(etcd);
    talos
}

pub(super) const HOLD: &str = "{etcd: {guard: hold, hold: 20s}, shutdown: {drain_deadline: 1s}}";

#[test]
fn the_second_of_two_buttons_within_5_s_is_held_until_the_first_node_is_back() {
    let cluster = Cluster::simulated();
    second_is_held(&cluster, || {});
}

/// Both buttons; `meanwhile` is what must be true while the second is held.
pub(super) fn second_is_held(cluster: &Cluster, meanwhile: impl FnOnce()) {
    let runs = [0, 1].map(|number| cluster.run(number, HOLD));
    let first = press(&runs[0], "OS_Halt");
    calls(cluster.node(0), Method::Shutdown, 1);
    assert_eq!(statuses(&runs[0], 1), [HALT_DONE]);
    shows(&runs[0], "stopping");
    cluster.goes(0, 2);

    press(&runs[1], "OS_Halt");
    assert!(
        first.elapsed() < Duration::from_secs(5),
        "{:?}",
        first.elapsed()
    );
    shows(&runs[1], "holding");
    meanwhile();
    pass(&runs[1], Duration::from_millis(500));
    assert!(cluster.node(1).calls_of(Method::Shutdown).is_empty());

    cluster.comes_back(0, 3);
    let calls = calls(cluster.node(1), Method::Shutdown, 1);
    assert_eq!(requests(&calls), ["force=false"]);
    assert_eq!(statuses(&runs[1], 1), [HALT_DONE]);
}

#[test]
fn two_buttons_within_100_ms_see_a_whole_etcd_each_and_neither_is_held() {
    let cluster = Cluster::simulated();
    both_go(&cluster);
}

/// Both buttons at once.
pub(super) fn both_go(cluster: &Cluster) {
    let runs = [0, 1].map(|number| cluster.run(number, HOLD));
    std::thread::scope(|scope| {
        for run in &runs {
            let host: &Vmx = run;
            scope.spawn(|| host.request("OS_Halt", SOON).unwrap());
        }
    });
    for (number, run) in runs.iter().enumerate() {
        calls(cluster.node(number), Method::Shutdown, 1);
        assert_eq!(statuses(run, 1), [HALT_DONE]);
    }
}

#[test]
fn a_whole_cluster_that_is_to_stop_does_and_the_budget_ends_the_last_hold() {
    let cluster = Cluster::simulated();
    let settings = "{etcd: {guard: hold, hold: 20s}, shutdown: {budget: 2s}}";
    let runs = [0, 1, 2].map(|number| cluster.run(number, settings));
    for (number, run) in runs.iter().enumerate() {
        press(run, "OS_Halt");
        calls(cluster.node(number), Method::Shutdown, 1);
        assert_eq!(statuses(run, 1), [HALT_DONE]);
        cluster.goes(number, 2_usize.saturating_sub(number).max(1));
    }
}
