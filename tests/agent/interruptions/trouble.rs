//! Talos that goes away, and an agent that is stopped, in the middle of an operation.

use std::time::{Duration, Instant};

use apid::Method;
use nix::sys::signal::Signal;

use crate::support::SOON;

use super::node::{
    BOTH, HALT_DONE, both, draining, due, of_three, press, requests, run, shows, statuses,
    that_was_all,
};

#[test]
fn a_talos_that_restarts_in_mid_drain_is_called_again_at_the_deadline() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {drain_deadline: 2s}}");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    shows(&run, "draining");
    talos.restart().unwrap();
    let calls = both(&talos);
    due(Duration::from_secs(2), calls[1].when, calls[0].when);
    that_was_all(&run, &talos, Method::Shutdown, &BOTH);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
}

#[test]
fn a_talos_that_is_away_at_the_deadline_is_called_when_it_is_back() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {drain_deadline: 1s}}");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    shows(&run, "draining");
    talos.stop();
    shows(&run, "hurrying");
    talos.restart().unwrap();
    both(&talos);
    that_was_all(&run, &talos, Method::Shutdown, &BOTH);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
}

#[test]
fn an_agent_that_is_stopped_in_a_hold_asks_talos_first() {
    let talos = of_three(2);
    let run = run(&talos, "{etcd: {guard: hold}}");
    press(&run, "OS_Halt");
    shows(&run, "holding");
    assert!(talos.calls_of(Method::Shutdown).is_empty());
    let stopped = Instant::now();
    run.signal(Signal::SIGTERM);
    let status = run.wait_exit(SOON).unwrap();
    assert!(status.success(), "{status}");
    assert!(
        stopped.elapsed() < Duration::from_secs(1),
        "{:?}",
        stopped.elapsed()
    );
    let calls = talos.calls_of(Method::Shutdown);
    assert_eq!(calls.len(), 1, "the operation is not lost");
    assert_eq!(run.vcenter().power, [HALT_DONE]);
}

#[test]
fn an_agent_that_is_stopped_in_a_drain_leaves_it_to_talos() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {drain_deadline: 20s}}");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    shows(&run, "draining");
    run.stop();
    assert_eq!(requests(&talos.calls_of(Method::Shutdown)), ["force=false"]);
}
