//! Leadership of etcd is handed over before a Reboot in mode force, and before nothing else.

use std::time::Duration;

use apid::{ADMIN, Call, Method, OPERATOR, Status};

use crate::support::{SOON, Talos};

use super::node::{
    Case, REBOOT_DONE, calls, due, learns, of_three, press, requests, run, serving, shows,
    statuses, that_was_all,
};

const FORCE: &str = "{reboot_mode: force, etcd: {forfeit: [force-reboot]}}";

fn forfeits(talos: &Talos) -> Vec<Call> {
    talos.calls_of(Method::EtcdForfeitLeadership)
}

#[test]
fn a_leader_hands_over_and_then_reboots() {
    let talos = of_three(3);
    let run = run(&talos, FORCE);
    press(&run, "OS_Reboot");
    let reboots = calls(&talos, Method::Reboot, 1);
    assert_eq!(requests(&reboots), ["mode=FORCE"]);
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    let forfeits = forfeits(&talos);
    assert_eq!(forfeits.len(), 1);
    assert!(forfeits[0].when < reboots[0].when);
    // That one call claims os:admin, and no other.
    for call in talos.calls() {
        let is_it = call.method == Some(Method::EtcdForfeitLeadership);
        assert_eq!(call.roles.contains(&ADMIN.to_owned()), is_it, "{call:#?}");
    }
    assert_eq!(reboots[0].roles, [OPERATOR]);
    that_was_all(&run, &talos, Method::Reboot, &["mode=FORCE"]);
}

#[test]
fn nothing_else_hands_over() {
    let powercycle = "{reboot_mode: powercycle, etcd: {forfeit: [force-reboot]}}";
    let never = "{reboot_mode: force}";
    let vmotion = "{reboot_mode: force, etcd: {forfeit: [vmotion]}}";
    for (settings, command, method) in [
        (powercycle, "OS_Reboot", Method::Reboot),
        (never, "OS_Reboot", Method::Reboot),
        (vmotion, "OS_Reboot", Method::Reboot),
        (FORCE, "OS_Halt", Method::Shutdown),
    ] {
        let talos = of_three(3);
        let run = run(&talos, settings);
        press(&run, command);
        calls(&talos, method, 1);
        statuses(&run, 1);
        assert!(forfeits(&talos).is_empty(), "{settings} {command}");
    }
}

#[test]
fn who_does_not_lead_or_would_lead_to_a_member_that_is_missing_keeps_it() {
    let cases: [Case; 4] = [
        ("does not lead", |talos| talos.set_etcd_leader(2)),
        ("a learner", learns),
        ("one is missing", |talos| serving(talos, 2)),
        ("one learns", |talos| talos.set_etcd(3, 1)),
    ];
    for (case, change) in cases {
        let talos = of_three(3);
        change(&talos);
        let run = run(&talos, FORCE);
        press(&run, "OS_Reboot");
        calls(&talos, Method::Reboot, 1);
        assert_eq!(statuses(&run, 1), [REBOOT_DONE], "{case}");
        assert!(forfeits(&talos).is_empty(), "{case}");
    }
}

#[test]
fn a_hand_over_that_fails_or_hangs_does_not_stop_the_reboot() {
    let talos = of_three(3);
    let refusal = Status::unknown("etcdserver: bad leader transferee");
    talos.fail_next(Method::EtcdForfeitLeadership, &refusal, 10);
    let run_of_it = run(&talos, FORCE);
    press(&run_of_it, "OS_Reboot");
    calls(&talos, Method::Reboot, 1);
    assert_eq!(statuses(&run_of_it, 1), [REBOOT_DONE]);
    run_of_it.logs(
        &["WARN", "may still lead etcd", "bad leader transferee"],
        SOON,
    );

    let talos = of_three(3);
    talos.delay(Method::EtcdForfeitLeadership, Duration::from_secs(60));
    let run = run(&talos, FORCE);
    let pressed = press(&run, "OS_Reboot");
    let reboots = calls(&talos, Method::Reboot, 1);
    due(
        Duration::ZERO,
        reboots[0].when,
        pressed + Duration::from_secs(2),
    );
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    shows(&run, "stopping");
}
