//! When Talos is asked for what the guest variables say of etcd.

use super::host::{Host, machine_at, ms};
use crate::facts::EtcdQuestion::{self, Both, Members, Part};
use crate::facts::{Facts, MachineType, Stage};

const MINUTES: u64 = 60_000;

fn control_plane(api_servers: usize) -> Facts {
    Facts {
        api_servers: Some(api_servers),
        ..machine_at(Stage::Running, true)
    }
}

fn followed(host: &mut Host) -> Vec<EtcdQuestion> {
    std::mem::take(&mut host.followed)
}

#[test]
fn all_is_asked_for_at_the_start_and_when_a_control_plane_comes_or_goes() {
    let mut host = Host::with_node(&control_plane(3));
    assert_eq!(followed(&mut host), [Both]);
    for live in [2, 3] {
        host.facts(&control_plane(live));
        host.pass(ms(200));
        assert_eq!(followed(&mut host), [Both]);
    }
    // Another fact is no reason.
    host.facts(&Facts {
        cordoned: Some(true),
        ..control_plane(3)
    });
    host.pass(ms(200));
    assert_eq!(followed(&mut host), []);
}

#[test]
fn otherwise_it_is_one_call_every_five_minutes() {
    let mut host = Host::with_node(&control_plane(3));
    followed(&mut host);
    host.pass(ms(4 * MINUTES));
    assert_eq!(followed(&mut host), []);
    host.pass(ms(17 * MINUTES));
    assert_eq!(followed(&mut host), [Part, Members, Part, Members]);
    host.pass(ms(60 * MINUTES));
    assert_eq!(followed(&mut host).len(), 12);
}

#[test]
fn a_worker_is_not_asked_and_no_node_where_there_are_no_variables() {
    let mut worker = control_plane(3);
    worker.node.machine_type = Some(MachineType::Worker);
    let mut host = Host::with_node(&worker);
    host.pass(ms(60 * MINUTES));
    assert_eq!(followed(&mut host), []);

    let mut host = Host::with_node(&control_plane(3));
    followed(&mut host);
    host.variables_wanted(false);
    host.facts(&control_plane(2));
    host.pass(ms(60 * MINUTES));
    assert_eq!(followed(&mut host), []);
    host.variables_wanted(true);
    assert_eq!(followed(&mut host), [Both]);
}
