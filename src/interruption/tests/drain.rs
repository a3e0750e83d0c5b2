//! The drain, its end, and the second call.

use super::*;

const HURRIES: [&str; 2] = ["60 call 2 Shutdown forced over the first", "60 = hurrying"];

#[test]
fn a_drain_in_time_needs_one_call() {
    let mut bench = draining();
    assert_eq!(bench.until(s(59)), [""; 0]);
    assert_eq!(bench.heard(1, Heard::Drained), ["= stopping"]);
    assert_eq!(bench.until(s(1000)), [""; 0]);
    assert_eq!(bench.not_followed(1), ["not followed", "= idle"]);
}

#[test]
fn a_drain_that_takes_too_long_is_ended_by_a_forced_call_that_takes_over() {
    let mut bench = draining();
    assert_eq!(bench.until(s(70)), HURRIES);
    // Its own word that it was canceled comes before or after the acceptance of the second.
    assert_eq!(bench.did_not_happen(1), [""; 0]);
    assert_eq!(bench.accepted(2), ["drop 1", "= stopping"]);
    assert_eq!(bench.did_not_happen(1), [""; 0], "it is not followed");
    assert_eq!(
        bench.did_not_happen(2),
        ["did not happen: canceled", "= refused: canceled"]
    );
}

#[test]
fn the_deadline_counts_from_the_begin_of_the_drain_and_never_beyond_the_budget() {
    for (begins, ends) in [(20, 80), (35, 95), (55, 100)] {
        let mut bench = Bench::worker();
        bench.press(Shutdown);
        bench.accepted(1);
        bench.until(s(begins));
        for _ in 0..2 {
            bench.heard(1, Heard::Draining);
        }
        let lines = bench.until(s(200));
        assert_eq!(
            lines[0],
            format!("{ends} call 2 Shutdown forced over the first")
        );
    }
}

#[test]
fn a_late_acceptance_leaves_the_drain_what_is_left_of_the_budget() {
    let mut bench = Bench::worker();
    bench.press(Shutdown);
    bench.until(s(90));
    bench.accepted(1);
    assert_eq!(
        bench.until(s(200))[0],
        "100 call 2 Shutdown forced over the first"
    );
    let mut bench = Bench::worker();
    bench.press(Shutdown);
    bench.until(s(101));
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
fn without_a_drain_there_is_one_forced_call() {
    for change in [
        (|config| config.force_shutdown = true) as fn(&mut PowerConfig),
        |config| config.shutdown.budget = Duration::ZERO,
        |config| config.shutdown.drain_deadline = DrainDeadline::After(Duration::ZERO),
    ] {
        let mut bench = Bench::with(|config| {
            config.etcd.guard = QuorumGuard::Off;
            change(config);
        });
        assert_eq!(bench.press(Shutdown), ["call 1 Shutdown forced"]);
        assert_eq!(bench.accepted(1), ["accepted", "= stopping"]);
        assert_eq!(bench.interruption.deadline(), None);
    }
}

#[test]
fn talos_drains_as_long_as_it_wants_where_that_is_configured_but_another_press_counts() {
    let mut bench = Bench::with(|config| {
        config.shutdown.drain_deadline = DrainDeadline::Talos;
        config.etcd.guard = QuorumGuard::Off;
    });
    assert_eq!(bench.press(Shutdown), ["call 1 Shutdown"]);
    bench.accepted(1);
    bench.heard(1, Heard::Draining);
    assert_eq!(bench.until(s(500)), [""; 0], "the budget does not end it");
    assert_eq!(
        bench.press(Shutdown),
        ["call 2 Shutdown forced over the first", "= hurrying"]
    );
}

#[test]
fn where_there_is_nothing_to_drain_nothing_is_ended() {
    // Talos was asked with force, whatever was wished: the stage that follows says nothing.
    for pressed_again in [false, true] {
        let mut bench = Bench::worker();
        bench.press(Shutdown);
        if pressed_again {
            bench.until(s(30));
            assert_eq!(bench.press(Shutdown), [""; 0]);
        }
        assert_eq!(bench.heard(1, Heard::Drained), [""; 0]);
        assert_eq!(bench.accepted(1), ["accepted", "= stopping"]);
        bench.stage(Stage::ShuttingDown);
        assert_eq!(bench.until(s(1000)), [""; 0]);
    }
}

#[test]
fn a_reboot_is_one_call_without_a_deadline() {
    let mut bench = Bench::worker();
    assert_eq!(bench.press(Reboot), ["call 1 Reboot"]);
    assert_eq!(bench.accepted(1), ["accepted", "= stopping"]);
    assert_eq!(bench.until(s(1000)), [""; 0]);
}

#[test]
fn a_second_call_that_fails_is_made_again_a_few_times_while_the_drain_goes_on() {
    let logged = crate::log::logged::Logged::new();
    let mut bench = draining();
    bench.until(s(60));
    let mut lines = Vec::new();
    for call in 2..7 {
        assert_eq!(lines.len(), usize::from(call > 2), "call {call}");
        let rejected = bench.rejected(call);
        let expected: &[&str] = if call == 6 { &["= draining"] } else { &[] };
        assert_eq!(rejected, expected);
        lines = bench.until(bench.now + s(9));
    }
    assert_eq!(lines, [""; 0], "five times");
    let warnings = logged.warnings();
    let of_the_call = "Talos does not shut down without the drain yet";
    let warnings = warnings.iter().filter(|line| line.contains(of_the_call));
    assert_eq!(warnings.count(), 1);
    assert_eq!(bench.heard(1, Heard::Drained), ["= stopping"]);
}

#[test]
fn what_becomes_of_the_first_call_counts_while_the_second_fails() {
    // The first has drained, before the second call fails or after.
    let mut bench = draining();
    bench.until(s(60));
    assert_eq!(bench.heard(1, Heard::Drained), [""; 0]);
    assert_eq!(bench.rejected(2), ["= stopping"]);
    let mut bench = draining();
    bench.until(s(60));
    bench.rejected(2);
    assert_eq!(bench.heard(1, Heard::Drained), ["= stopping"]);
    // It did not happen, and so did not the second.
    let mut bench = draining();
    bench.until(s(60));
    bench.did_not_happen(1);
    assert_eq!(bench.rejected(2), ["did not happen: why", "= refused: why"]);
    let mut bench = draining();
    bench.until(s(60));
    bench.rejected(2);
    assert_eq!(
        bench.did_not_happen(1),
        ["did not happen: canceled", "= refused: canceled"]
    );
}

#[test]
fn a_drain_of_which_no_news_come_is_ended_in_time_all_the_same() {
    let mut bench = draining();
    assert_eq!(bench.not_followed(1), [""; 0]);
    assert_eq!(bench.until(s(60)), HURRIES);
    assert_eq!(bench.accepted(2), ["drop 1", "= stopping"]);
}

#[test]
fn no_second_call_goes_to_a_machine_that_does_something_else() {
    for stage in [
        Stage::Installing,
        Stage::Maintenance,
        Stage::Rebooting,
        Stage::Resetting,
        Stage::Upgrading,
    ] {
        let mut bench = draining();
        bench.stage(stage);
        assert_eq!(bench.until(s(200)), [""; 0], "{stage:?}");
        assert_eq!(bench.did_not_happen(1)[0], "did not happen: canceled");
        let mut bench = draining();
        bench.not_followed(1);
        bench.stage(stage);
        let ended = ["60 not followed", "60 = idle"];
        assert_eq!(bench.until(s(200)), ended, "{stage:?}");
    }
    // It has not begun yet; or it has ended, and nothing has said so.
    for (is_followed, expected) in [(true, HURRIES), (false, ["60 not followed", "60 = idle"])] {
        let mut bench = draining();
        if !is_followed {
            bench.not_followed(1);
        }
        bench.stage(Stage::Running);
        assert_eq!(bench.until(s(60)), expected);
    }
}

#[test]
fn a_drain_that_did_not_happen_is_over() {
    let mut bench = draining();
    assert_eq!(
        bench.did_not_happen(1),
        ["did not happen: canceled", "= refused: canceled"]
    );
    assert_eq!(bench.until(s(200)), [""; 0]);
    assert_eq!(bench.press(Shutdown), ["call 2 Shutdown", "= idle"]);
}

#[test]
fn an_operation_goes_by_the_settings_of_its_press() {
    let mut bench = draining();
    let forced = PowerConfig {
        force_shutdown: true,
        ..config(QuorumGuard::Off)
    };
    bench.interruption.set_config(&forced);
    assert_eq!(bench.until(s(59)), [""; 0]);
    assert_eq!(bench.until(s(60)), HURRIES);
    assert_eq!(bench.accepted(2), ["drop 1", "= stopping"]);
    bench.not_followed(2);
    assert_eq!(bench.press(Shutdown), ["call 3 Shutdown forced"]);
}
