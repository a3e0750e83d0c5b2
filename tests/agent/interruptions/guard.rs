//! The quorum of etcd: what is done where it hangs on this node.

use std::time::Duration;

use apid::{MachineType, Method, Status};

use crate::support::{Run, SOON};

use super::node::{
    Case, HALT_DONE, HALT_FAILED, REBOOT_DONE, REBOOT_FAILED, agent, calls, due, learns, of_three,
    press, requests, run, serving, shows, statuses, that_was_all,
};

const HOLD: &str = "{etcd: {guard: hold, hold: 2s}}";

#[test]
fn a_warning_is_one_line_and_holds_nothing() {
    let talos = of_three(2);
    let run = run(&talos, "{}");
    let pressed = press(&run, "OS_Halt");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::ZERO, calls[0].when, pressed);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    run.logs(&["WARN", "2 of 3"], SOON);
    that_was_all(&run, &talos, Method::Shutdown, &["force=false"]);
    assert_eq!(run.log_lines(&["WARN", "2 of 3"]).len(), 1);
}

#[test]
fn switched_off_it_asks_nothing_of_etcd() {
    let talos = of_three(2);
    // Guest variables ask it for themselves.
    let agent = agent(&talos, "{etcd: {guard: off}}").args(["--guest-variables=false"]);
    let run = Run::start(agent);
    run.informed();
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    for method in [Method::EtcdMemberList, Method::EtcdStatus] {
        assert!(talos.calls_of(method).is_empty(), "{method:?}");
    }
    assert!(run.log_lines(&["2 of 3"]).is_empty());
}

#[test]
fn an_operation_is_held_until_the_others_are_enough() {
    for (command, method, request, status) in [
        ("OS_Halt", Method::Shutdown, "force=false", HALT_DONE),
        ("OS_Reboot", Method::Reboot, "mode=DEFAULT", REBOOT_DONE),
    ] {
        let talos = of_three(2);
        let run = run(&talos, "{etcd: {guard: hold}}");
        press(&run, command);
        shows(&run, "holding");
        assert!(talos.calls_of(method).is_empty());
        serving(&talos, 3);
        calls(&talos, method, 1);
        assert_eq!(statuses(&run, 1), [status]);
        that_was_all(&run, &talos, method, &[request]);
    }
}

#[test]
fn a_hold_ends_in_time_and_the_operation_is_carried_out() {
    let talos = of_three(2);
    let run = run(&talos, HOLD);
    let pressed = press(&run, "OS_Halt");
    shows(&run, "holding");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::from_secs(2), calls[0].when, pressed);
    assert_eq!(requests(&calls), ["force=false"]);
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
}

#[test]
fn the_budget_ends_a_hold_as_well() {
    let talos = of_three(2);
    let settings = "{etcd: {guard: hold, hold: 20s}, shutdown: {budget: 2s}}";
    let run = run(&talos, settings);
    let pressed = press(&run, "OS_Halt");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::from_secs(2), calls[0].when, pressed);
    assert_eq!(requests(&calls), ["force=true"], "no time is left to drain");
}

#[test]
fn a_refusal_is_status_0_with_its_reason() {
    for (command, method, status) in [
        ("OS_Halt", Method::Shutdown, HALT_FAILED),
        ("OS_Reboot", Method::Reboot, REBOOT_FAILED),
    ] {
        let talos = of_three(2);
        let run = run(&talos, "{etcd: {guard: refuse}}");
        press(&run, command);
        assert_eq!(statuses(&run, 1), [status]);
        let shown = shows(&run, "refused: ");
        assert!(shown.contains("2 of 3"), "{shown}");
        run.logs(&["WARN", "2 of 3", "refused"], SOON);
        that_was_all(&run, &talos, method, &[]);
        // The next press is a new request.
        serving(&talos, 3);
        press(&run, command);
        calls(&talos, method, 1);
        statuses(&run, 2);
    }
}

#[test]
fn where_no_quorum_can_be_saved_nothing_is_held() {
    let cases: [Case; 6] = [
        ("all are there", |talos| serving(talos, 3)),
        ("two voters", |talos| talos.set_etcd(2, 1)),
        ("one voter", |talos| {
            talos.set_etcd(1, 0);
            serving(talos, 1);
        }),
        ("a learner", learns),
        ("a worker", |talos| {
            talos.set_machine_type(MachineType::Worker);
            talos.update_node(|node| node.contents.etcd = None);
        }),
        ("etcd does not answer", |talos| {
            let away = Status::unavailable("etcdserver: no leader");
            talos.fail_next(Method::EtcdMemberList, &away, 100);
            talos.fail_next(Method::EtcdStatus, &away, 100);
        }),
    ];
    for (case, change) in cases {
        let talos = of_three(2);
        change(&talos);
        let run = run(&talos, "{etcd: {guard: hold, hold: 20s}}");
        let pressed = press(&run, "OS_Halt");
        let calls = calls(&talos, Method::Shutdown, 1);
        assert!(
            calls[0].when.saturating_duration_since(pressed) < Duration::from_secs(4),
            "{case}"
        );
        assert_eq!(statuses(&run, 1), [HALT_DONE], "{case}");
    }
}
