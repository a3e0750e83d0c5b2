//! A drain has a limit, and past it Talos is asked to go on without: two calls for one press, on purpose.

use std::time::{Duration, Instant};

use apid::{Method, OPERATOR};

use crate::support::{Run, SOON, pass};

use super::node::{
    BOTH, HALT_DONE, agent, both, calls, draining, drains, due, informed, of_three, press,
    requests, run, serving, shows, statuses, that_was_all,
};

#[test]
fn a_drain_that_would_never_end_ends_at_its_deadline_with_one_forced_shutdown() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {drain_deadline: 2s}}");
    shows(&run, "idle");
    press(&run, "OS_Halt");
    shows(&run, "draining");
    assert_eq!(statuses(&run, 1), [HALT_DONE], "Talos has accepted");
    let calls = both(&talos);
    for call in &calls {
        assert_eq!(call.roles, [OPERATOR]);
    }
    due(Duration::from_secs(2), calls[1].when, calls[0].when);
    shows(&run, "stopping");
    assert_eq!(talos.sequences(), ["shutdown", "shutdown"]);
    that_was_all(&run, &talos, Method::Shutdown, &BOTH);
    assert_eq!(statuses(&run, 1), [HALT_DONE], "one press, one status");
    assert!(run.log_lines(&["ERROR"]).is_empty(), "{:#?}", run.log());
}

#[test]
fn a_drain_that_ends_in_time_is_one_call() {
    let talos = draining();
    drains(&talos, Some(Duration::from_millis(800)));
    let run = run(&talos, "{shutdown: {drain_deadline: 2s}}");
    let pressed = press(&run, "OS_Halt");
    shows(&run, "draining");
    shows(&run, "stopping");
    due(Duration::from_millis(800), Instant::now(), pressed);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    // Past the deadline.
    pass(&run, Duration::from_secs(2));
    that_was_all(&run, &talos, Method::Shutdown, &["force=false"]);
}

#[test]
fn without_a_drain_there_is_one_forced_call() {
    for settings in ["{shutdown: {drain_deadline: 0s}}", "{force_shutdown: true}"] {
        let talos = draining();
        let run = run(&talos, settings);
        press(&run, "OS_Halt");
        assert_eq!(statuses(&run, 1), [HALT_DONE]);
        shows(&run, "stopping");
        that_was_all(&run, &talos, Method::Shutdown, &["force=true"]);
    }
}

#[test]
fn a_drain_that_is_left_to_talos_is_one_call_and_none_after() {
    let talos = draining();
    let settings = "{shutdown: {drain_deadline: talos, budget: 1s, escalate_after: 1s}}";
    let run = run(&talos, settings);
    press(&run, "OS_Halt");
    shows(&run, "draining");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    pass(&run, Duration::from_secs(2));
    that_was_all(&run, &talos, Method::Shutdown, &["force=false"]);
    shows(&run, "draining");
}

#[test]
fn the_budget_is_for_hold_and_drain_together() {
    let talos = of_three(2);
    drains(&talos, None);
    let settings = "{etcd: {guard: hold, hold: 20s}, shutdown: {drain_deadline: 20s, budget: 3s}}";
    let run = run(&talos, settings);
    let pressed = press(&run, "OS_Halt");
    shows(&run, "holding");
    serving(&talos, 3);
    shows(&run, "draining");
    let calls = both(&talos);
    due(Duration::from_secs(3), calls[1].when, pressed);
    that_was_all(&run, &talos, Method::Shutdown, &BOTH);
}

#[test]
fn flags_and_variables_set_the_deadline_as_well() {
    let talos = draining();
    let agent = agent(&talos, "{}").args(["--drain-deadline=1s"]);
    let run = informed(agent);
    press(&run, "OS_Halt");
    calls(&talos, Method::Shutdown, 2);

    let talos = draining();
    let run = Run::start(talos.agent().env("VMTOOLSD_DRAIN_DEADLINE", "0s"));
    run.informed();
    press(&run, "OS_Halt");
    let calls = talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    assert_eq!(requests(&calls), ["force=true"]);
}
