//! Pressed again, pressed now, and pressed for something else.

use super::*;

#[test]
fn another_press_means_now_only_after_a_while() {
    let mut bench = draining();
    bench.until(s(29));
    assert_eq!(bench.press(Shutdown), [""; 0]);
    bench.until(s(30));
    assert_eq!(
        bench.press(Shutdown),
        ["call 2 Shutdown forced over the first", "= hurrying"]
    );
    assert_eq!(bench.press(Shutdown), [""; 0], "once");
    assert_eq!(bench.accepted(2), ["drop 1", "= stopping"]);
    assert_eq!(bench.press(Shutdown), [""; 0]);
}

#[test]
fn another_press_ends_a_hold() {
    for (operation, call) in [
        (Shutdown, "call 1 Shutdown forced"),
        (Reboot, "call 1 Reboot"),
    ] {
        let mut bench = Bench::with(|config| config.etcd.hold = s(90));
        bench.press(operation);
        bench.etcd(members(3, 2));
        bench.until(s(10));
        assert_eq!(bench.press(operation), [""; 0]);
        bench.until(s(31));
        bench.take();
        assert_eq!(bench.press(operation), [call]);
    }
}

#[test]
fn another_press_before_the_acceptance_counts_after_it() {
    let mut bench = Bench::worker();
    bench.press(Shutdown);
    bench.until(s(30));
    assert_eq!(bench.press(Shutdown), [""; 0]);
    assert_eq!(
        bench.accepted(1),
        [
            "accepted",
            "call 2 Shutdown forced over the first",
            "= hurrying"
        ]
    );
}

#[test]
fn now_looks_at_nothing_waits_for_nothing_and_drains_nothing() {
    let mut bench = Bench::control_plane(QuorumGuard::Refuse);
    assert_eq!(
        bench.press_with(Shutdown, Wish::Now),
        ["call 1 Shutdown forced"]
    );
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.press(Shutdown);
    bench.etcd(members(3, 2));
    assert_eq!(
        bench.press_with(Shutdown, Wish::Now),
        ["call 1 Shutdown forced"]
    );
    let mut bench = Bench::with(|config| {
        config.reboot_mode = RebootMode::Force;
        config.etcd.forfeit.force_reboot = true;
    });
    assert_eq!(bench.press_with(Reboot, Wish::Now), ["call 1 Reboot"]);
}

#[test]
fn another_operation_is_refused_until_talos_has_accepted() {
    let busy = ["rejected: another power operation is under way"];
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.press(Shutdown);
    assert_eq!(bench.press(Reboot), busy, "looking");
    bench.etcd(members(3, 2));
    assert_eq!(bench.press(Reboot), busy, "holding");
    bench.until(s(30));
    assert_eq!(bench.press(Reboot), busy, "calling");
    bench.accepted(1);
    bench.stage(Stage::ShuttingDown);
    // Then Talos decides, and the phase stays that of what goes on.
    assert_eq!(bench.press(Reboot), ["call 2 Reboot"]);
    assert_eq!(bench.rejected(2), ["rejected: why"]);
    assert_eq!(bench.heard(1, Heard::Drained), ["= stopping"]);
}

#[test]
fn a_press_that_repeats_another_begins_nothing() {
    let mut bench = Bench::worker();
    let press = Press {
        is_again: true,
        ..Press::usual(Shutdown, bench.now)
    };
    bench
        .interruption
        .handle_press(press, bench.patience, bench.now);
    assert_eq!(bench.take(), [""; 0]);
}

#[test]
fn a_rejected_operation_may_be_asked_for_again() {
    let mut bench = Bench::worker();
    bench.press(Shutdown);
    assert_eq!(bench.rejected(1), ["rejected: why", "= refused: why"]);
    assert_eq!(bench.press(Shutdown), ["call 2 Shutdown", "= idle"]);
    assert_eq!(bench.rejected(1), [""; 0], "that is over");
    assert_eq!(bench.accepted(2), ["accepted", "= draining"]);
}
