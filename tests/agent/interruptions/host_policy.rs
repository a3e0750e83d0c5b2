//! The administrator's word on the virtual machine: it makes an operation quicker, and starts none.

use std::time::Duration;

use apid::Method;
use vmx::VmxBuilder;

use crate::support::{Talos, pass};

use super::node::{
    HALT_DONE, HALT_FAILED, agent, calls, drains, due, informed, of_three, press, requests, run,
    shows, statuses, that_was_all,
};

/// Without `guestinfo.`.
const POLICY: &str = "talos-vmtoolsd.shutdown";

/// A node that is held, and drains for ever.
fn held() -> Talos {
    let talos = of_three(2);
    drains(&talos, None);
    talos
}

fn agent_of(talos: &Talos, host_policy: bool) -> VmxBuilder {
    let settings = format!("{{host_policy: {host_policy}, etcd: {{guard: hold, hold: 20s}}}}");
    agent(talos, &settings)
}

#[test]
fn force_leaves_out_guard_and_drain() {
    let talos = held();
    let run = informed(agent_of(&talos, true).variable(POLICY, "force"));
    pass(&run, Duration::from_millis(500));
    assert!(
        talos.calls_of(Method::Shutdown).is_empty(),
        "it starts none"
    );
    let pressed = press(&run, "OS_Halt");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::ZERO, calls[0].when, pressed);
    assert_eq!(requests(&calls), ["force=true"]);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    that_was_all(&run, &talos, Method::Shutdown, &["force=true"]);
}

#[test]
fn it_is_read_once_for_each_operation() {
    let talos = of_three(2);
    let settings = "{host_policy: true, etcd: {guard: refuse}}";
    let run = run(&talos, settings);
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_FAILED]);
    run.host(|host, _| host.set_variable(POLICY, "force"));
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 2), [HALT_FAILED, HALT_DONE]);
    assert_eq!(run.sent(&format!("info-get guestinfo.{POLICY}")).len(), 2);
    that_was_all(&run, &talos, Method::Shutdown, &["force=true"]);
}

#[test]
fn unless_it_is_switched_on_it_is_not_read() {
    let talos = held();
    let run = informed(agent_of(&talos, false).variable(POLICY, "force"));
    press(&run, "OS_Halt");
    shows(&run, "holding");
    assert!(run.sent(&format!("info-get guestinfo.{POLICY}")).is_empty());
    assert!(talos.calls_of(Method::Shutdown).is_empty());
}

#[test]
fn any_other_word_changes_nothing() {
    for word in ["", "FORCE!", "refuse", "reboot", "Force"] {
        let talos = held();
        let run = informed(agent_of(&talos, true).variable(POLICY, word));
        press(&run, "OS_Halt");
        shows(&run, "holding");
        assert!(talos.calls_of(Method::Shutdown).is_empty(), "{word:?}");
    }
}

#[test]
fn a_host_that_does_not_know_it_delays_nothing() {
    let talos = Talos::new();
    let run = run(&talos, "{host_policy: true}");
    let pressed = press(&run, "OS_Halt");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::ZERO, calls[0].when, pressed);
    assert_eq!(requests(&calls), ["force=false"]);
}
