//! The look at etcd, the hold, and what follows it.

use super::*;
use crate::facts::TalosVersion;
use crate::log::logged::Logged;

/// A control plane that is held.
fn held(operation: PowerOperation) -> Bench {
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    assert_eq!(bench.press(operation), ["look"]);
    assert_eq!(bench.etcd(members(3, 2)), ["= holding"]);
    bench
}

#[test]
fn a_worker_is_not_looked_at_nor_a_control_plane_without_guard() {
    for mut bench in [Bench::worker(), Bench::control_plane(QuorumGuard::Off)] {
        assert_eq!(bench.press(Shutdown), ["call 1 Shutdown"]);
    }
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.facts.node.machine_type = None;
    bench.stage(Stage::Maintenance);
    assert_eq!(bench.press(Shutdown), ["call 1 Shutdown"]);
}

#[test]
fn a_machine_whose_type_is_not_known_yet_may_be_a_control_plane() {
    for (look, expected) in [
        (members(3, 2), "= holding"),
        (members(3, 3), "call 1 Shutdown"),
        (EtcdLook::default(), "call 1 Shutdown"),
    ] {
        let mut bench = Bench::control_plane(QuorumGuard::Hold);
        bench.facts.node.machine_type = None;
        bench.stage(Stage::Booting);
        assert_eq!(bench.press(Shutdown), ["look"]);
        assert!(bench.etcd(look).iter().any(|line| line == expected));
    }
}

#[test]
fn an_operation_that_etcd_stands_goes_at_once_whatever_the_guard() {
    for guard in [QuorumGuard::Warn, QuorumGuard::Hold, QuorumGuard::Refuse] {
        for look in [
            members(3, 3),
            members(5, 4),
            members(1, 1),
            members(2, 1),
            EtcdLook {
                part: Some(crate::facts::EtcdPart::Learner),
                ..members(3, 2)
            },
        ] {
            let mut bench = Bench::control_plane(guard);
            assert_eq!(bench.press(Shutdown), ["look"]);
            assert_eq!(bench.etcd(look), ["call 1 Shutdown"]);
        }
    }
}

#[test]
fn an_operation_goes_on_where_talos_does_not_say_whatever_the_guard() {
    for guard in [QuorumGuard::Warn, QuorumGuard::Hold, QuorumGuard::Refuse] {
        let logged = Logged::new();
        let mut bench = Bench::control_plane(guard);
        bench.press(Shutdown);
        assert_eq!(bench.etcd(EtcdLook::default()), ["call 1 Shutdown"]);
        let mut bench = Bench::control_plane(guard);
        bench.press(Shutdown);
        assert_eq!(bench.until(s(5)), ["2 call 1 Shutdown"]);
        let warnings = logged.warnings();
        let warnings = warnings.iter().filter(|line| line.contains("does not say"));
        assert_eq!(warnings.count(), 2);
    }
}

#[test]
fn a_guard_that_warns_goes_on_and_one_that_refuses_does_not() {
    let mut bench = Bench::control_plane(QuorumGuard::Warn);
    bench.press(Reboot);
    assert_eq!(bench.etcd(members(3, 2)), ["call 1 Reboot"]);
    let mut bench = Bench::control_plane(QuorumGuard::Refuse);
    bench.press(Reboot);
    let why =
        "only 2 of 3 members of etcd are there: its quorum hangs on this node (power.etcd.guard)";
    assert_eq!(
        bench.etcd(members(3, 2)),
        [format!("rejected: {why}"), format!("= refused: {why}")]
    );
    assert_eq!(bench.until(s(1000)), [""; 0]);
    assert_eq!(bench.press(Reboot), ["look", "= idle"], "asked again");
}

#[test]
fn a_hold_ends_when_the_others_are_a_majority() {
    let mut bench = held(Shutdown);
    for second in 1..=10 {
        let look = [format!("{second} look")];
        assert_eq!(bench.until(s(second)), look);
        let look = if second % 2 == 0 {
            members(3, 2)
        } else {
            EtcdLook::default()
        };
        assert_eq!(bench.etcd(look), [""; 0], "Talos is slow for once");
    }
    assert_eq!(bench.until(s(11)), ["11 look"]);
    assert_eq!(bench.etcd(members(3, 3)), ["call 1 Shutdown"]);
    assert_eq!(bench.accepted(1), ["accepted", "= draining"]);
}

#[test]
fn a_hold_ends_by_itself_and_what_is_left_of_the_budget_is_for_the_drain() {
    for operation in [Shutdown, Reboot] {
        let mut bench = held(operation);
        let lines = bench.until(s(40));
        assert_eq!(lines, ["1 look".into(), format!("30 call 1 {operation:?}")]);
    }
    let mut bench = Bench::with(|config| config.etcd.hold = s(90));
    bench.press(Shutdown);
    bench.etcd(members(3, 2));
    bench.until(s(90));
    bench.accepted(1);
    assert_eq!(
        bench.until(s(200))[0],
        "100 call 2 Shutdown forced over the first"
    );
}

#[test]
fn the_budget_ends_every_hold_and_then_nothing_is_drained() {
    let mut bench = Bench::with(|config| config.etcd.hold = s(500));
    bench.press(Shutdown);
    bench.etcd(members(5, 3));
    assert_eq!(
        bench.until(s(200)),
        ["1 look", "100 call 1 Shutdown forced"]
    );
    assert_eq!(bench.accepted(1), ["accepted", "= stopping"]);
    // Talos drains as long as it wants, also then.
    let mut bench = Bench::with(|config| {
        config.etcd.hold = s(500);
        config.shutdown.drain_deadline = DrainDeadline::Talos;
    });
    bench.press(Shutdown);
    bench.etcd(members(5, 3));
    assert_eq!(bench.until(s(200)), ["1 look", "100 call 1 Shutdown"]);
}

#[test]
fn a_host_that_does_not_wait_so_long_is_answered_when_the_hold_begins() {
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.patience = Duration::from_millis(4500);
    bench.press(Shutdown);
    assert_eq!(bench.etcd(members(3, 2)), ["accepted", "= holding"]);
    bench.until(s(30));
    // Talos has its whole deadline for the call then, and there is no second answer.
    assert_eq!(bench.accepted(1), ["= draining"]);
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.patience = Duration::from_millis(4500);
    bench.press(Shutdown);
    bench.etcd(members(3, 2));
    bench.until(s(30));
    assert_eq!(bench.rejected(1), ["did not happen: why", "= refused: why"]);
}

/// So does one whose patience a hold and a call leave, but for the leadership that is handed over between them.
#[test]
fn handing_over_counts_for_the_patience_of_a_host() {
    let mut bench = Bench::with(|config| {
        config.deadline = s(2);
        config.etcd.hold = s(2);
        config.reboot_mode = RebootMode::Force;
        config.etcd.forfeit.force_reboot = true;
    });
    bench.patience = Duration::from_millis(4500);
    bench.press(Reboot);
    assert_eq!(bench.etcd(members(3, 2)), ["accepted", "= holding"]);
}

/// How long the next call may take.
fn deadline(bench: &mut Bench) -> Duration {
    loop {
        match bench.interruption.poll() {
            Some(Output::Call(call)) => return call.deadline,
            Some(_) => {}
            None => panic!("no call"),
        }
    }
}

#[test]
fn a_call_ends_before_the_patience_of_a_host_that_has_no_answer() {
    for (patience, expected) in [
        (Duration::MAX, s(30)),
        (Duration::from_millis(4500), Duration::from_millis(4100)),
    ] {
        let mut bench = Bench::control_plane(QuorumGuard::Hold);
        bench.patience = patience;
        bench.press(Shutdown);
        bench.now = Duration::from_millis(400);
        bench.interruption.handle_etcd(members(3, 3), bench.now);
        assert_eq!(deadline(&mut bench), expected);
    }
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.patience = Duration::from_millis(4500);
    bench.press(Shutdown);
    bench.etcd(members(3, 2));
    bench.interruption.handle_etcd(members(3, 3), s(20));
    assert_eq!(deadline(&mut bench), s(30), "it has its answer");
}

#[test]
fn a_machine_that_goes_down_anyway_is_not_held() {
    for stage in [Stage::Rebooting, Stage::ShuttingDown, Stage::Upgrading] {
        let mut bench = held(Shutdown);
        assert_eq!(bench.stage(stage), ["call 1 Shutdown"]);
        for guard in [QuorumGuard::Hold, QuorumGuard::Refuse] {
            let mut bench = Bench::control_plane(guard);
            assert_eq!(bench.press(Shutdown), ["look"]);
            assert_eq!(bench.stage(stage), ["call 1 Shutdown"]);
            assert_eq!(bench.etcd(members(3, 2)), [""; 0], "too late");
        }
        let mut bench = Bench::control_plane(QuorumGuard::Hold);
        bench.stage(stage);
        assert_eq!(bench.press(Shutdown), ["call 1 Shutdown"]);
    }
    let mut bench = held(Shutdown);
    assert_eq!(bench.stage(Stage::Booting), [""; 0]);
}

/// A forced reboot before which leadership is handed over.
fn hands_over() -> Bench {
    Bench::with(|config| {
        config.reboot_mode = RebootMode::Force;
        config.etcd.forfeit.force_reboot = true;
    })
}

#[test]
fn leadership_is_handed_over_before_a_forced_reboot_and_the_reboot_comes_whatever_becomes_of_it() {
    for outcome in [
        HandOver::Moved("cp2".into()),
        HandOver::NotLeader,
        HandOver::Kept("why".into()),
        HandOver::Failed("why".into()),
    ] {
        let mut bench = hands_over();
        bench.press(Reboot);
        assert_eq!(bench.etcd(members(3, 3)), ["hand over"]);
        bench.interruption.handle_handed_over(&outcome, bench.now);
        assert_eq!(bench.take(), ["call 1 Reboot"]);
        bench.interruption.handle_handed_over(&outcome, bench.now);
        assert_eq!(bench.take(), [""; 0], "another's");
    }
    let mut bench = hands_over();
    bench.press(Reboot);
    bench.etcd(members(3, 3));
    assert_eq!(bench.until(s(60)), ["3 call 1 Reboot"]);
}

#[test]
fn leadership_is_handed_over_only_where_etcd_has_no_time_for_that() {
    let mut bench = hands_over();
    bench.press(Shutdown);
    assert_eq!(bench.etcd(members(3, 3)), ["call 1 Shutdown"]);
    for change in [
        (|config| config.reboot_mode = RebootMode::Default) as fn(&mut PowerConfig),
        |config| config.reboot_mode = RebootMode::Powercycle,
        |config| config.etcd.forfeit.force_reboot = false,
    ] {
        let mut bench = Bench::with(|config| {
            config.reboot_mode = RebootMode::Force;
            config.etcd.forfeit.force_reboot = true;
            change(config);
        });
        bench.press(Reboot);
        assert_eq!(bench.etcd(members(3, 3)), ["call 1 Reboot"]);
    }
    let mut bench = hands_over();
    bench.facts.node.machine_type = Some(MachineType::Worker);
    bench.stage(Stage::Running);
    assert_eq!(bench.press(Reboot), ["call 1 Reboot"], "a worker");
}

/// Before 1.12 the mode is unknown to Talos, which reboots in its usual way: etcd has the time.
#[test]
fn a_talos_without_forced_reboots_is_named_once_and_nothing_is_handed_over() {
    let lacks = |bench: &mut Bench, tag: &str| {
        let logged = Logged::new();
        bench.facts.talos = Some(TalosVersion {
            tag: tag.into(),
            ..TalosVersion::default()
        });
        for stage in [Stage::Booting, Stage::Running] {
            bench.stage(stage);
        }
        bench.interruption.set_config(&bench.config);
        let lines = logged.warnings();
        assert!(lines.iter().all(|line| line.contains("reboot_mode")));
        lines.len()
    };
    for (tag, warnings, then) in [
        ("v1.4.0", 1, "call 1 Reboot"),
        ("v1.11.9", 1, "call 1 Reboot"),
        ("v1.12.0", 0, "hand over"),
        ("a build of our own", 0, "hand over"),
    ] {
        let mut bench = hands_over();
        assert_eq!(lacks(&mut bench, tag), warnings, "{tag}");
        bench.press(Reboot);
        assert_eq!(bench.etcd(members(3, 3)), [then], "{tag}");
    }
    let mut bench = Bench::control_plane(QuorumGuard::Off);
    assert_eq!(lacks(&mut bench, "v1.11.9"), 0, "another mode");
}

#[test]
fn a_look_that_nobody_waits_for_changes_nothing() {
    let mut bench = Bench::control_plane(QuorumGuard::Refuse);
    assert_eq!(bench.etcd(members(3, 2)), [""; 0]);
    bench.press(Shutdown);
    bench.etcd(members(3, 3));
    assert_eq!(bench.etcd(members(3, 2)), [""; 0]);
    bench.accepted(1);
    assert_eq!(bench.etcd(members(3, 2)), [""; 0]);
}
