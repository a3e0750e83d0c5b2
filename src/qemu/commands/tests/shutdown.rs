//! guest-shutdown: one call of Talos per intent, an answer within five seconds.

use super::*;
use crate::front_end::Debt;
use crate::power::PowerOperation::{self, Reboot, Shutdown};
use crate::power::{PowerOutcome, Press};

const SHUTDOWN: &str = r#"{"execute": "guest-shutdown"}"#;
const REBOOT: &str = r#"{"execute": "guest-shutdown", "arguments": {"mode": "reboot"}}"#;

fn outcome(bench: &mut Bench, operation: PowerOperation, outcome: PowerOutcome) {
    bench.agent.handle_power(operation, outcome, bench.now);
}

/// The order of a first press at this moment.
fn pressed(bench: &Bench, operation: PowerOperation) -> Order<NoWork> {
    Order::Power(Press::usual(operation, bench.now))
}

/// The order of a press at this moment that repeats another.
fn pressed_again(bench: &Bench, operation: PowerOperation) -> Order<NoWork> {
    Order::Power(Press {
        is_again: true,
        ..Press::usual(operation, bench.now)
    })
}

#[test]
fn every_mode_has_its_call_and_acceptance_is_the_answer() {
    for (mode, operation) in [
        (None, Shutdown),
        (Some("powerdown"), Shutdown),
        (Some("halt"), Shutdown),
        (Some("reboot"), Reboot),
    ] {
        let mut bench = Bench::of(&node());
        let arguments = mode.map_or(json!({}), |mode| json!({"mode": mode}));
        bench.send(&json!({"execute": "guest-shutdown", "arguments": arguments}).to_string());
        assert_eq!(bench.orders(), [pressed(&bench, operation)]);
        assert!(bench.replies().is_empty());
        outcome(&mut bench, operation, PowerOutcome::Accepted);
        assert_eq!(bench.replies(), [json!({"return": {}})]);
    }
}

#[test]
fn a_refusal_is_an_error_with_its_reason_and_the_next_request_asks_again() {
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    bench.orders();
    outcome(
        &mut bench,
        Shutdown,
        PowerOutcome::Rejected("not now".into()),
    );
    assert_eq!(bench.replies(), [generic("not now")]);
    bench.send(SHUTDOWN);
    assert_eq!(bench.orders(), [pressed(&bench, Shutdown)]);
}

#[test]
fn what_was_accepted_is_answered_at_once_without_a_second_call_until_it_did_not_happen() {
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    bench.orders();
    outcome(&mut bench, Shutdown, PowerOutcome::Accepted);
    bench.replies();
    assert_eq!(bench.ask(SHUTDOWN), json!({"return": {}}));
    assert_eq!(bench.orders(), [pressed_again(&bench, Shutdown)]);
    outcome(
        &mut bench,
        Shutdown,
        PowerOutcome::DidNotHappen("locked".into()),
    );
    assert!(bench.replies().is_empty());
    bench.send(SHUTDOWN);
    assert_eq!(bench.orders(), [pressed(&bench, Shutdown)]);
}

#[test]
fn silence_of_talos_is_an_error_after_five_seconds_and_the_call_is_not_repeated() {
    assert!(PATIENCE < seconds(5));
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    bench.orders();
    assert!(bench.pass(Duration::from_millis(4999)).is_empty());
    let replies = bench.pass(Duration::from_millis(1));
    let text = replies[0]["error"]["desc"].as_str().unwrap();
    assert!(text.starts_with("Talos API is not available"), "{text}");
    bench.send(SHUTDOWN);
    assert_eq!(bench.orders(), [pressed_again(&bench, Shutdown)]);
    outcome(&mut bench, Shutdown, PowerOutcome::Accepted);
    assert_eq!(bench.replies(), [json!({"return": {}})]);
}

#[test]
fn the_call_outlives_the_client_and_its_answer_goes_to_no_other() {
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    bench.agent.handle_left(bench.now);
    assert_eq!(bench.orders(), [pressed(&bench, Shutdown)]);
    outcome(&mut bench, Shutdown, PowerOutcome::Accepted);
    assert!(bench.replies().is_empty());
    assert_eq!(bench.ask(SHUTDOWN), json!({"return": {}}));
}

#[test]
fn a_shutdown_is_meant_although_its_client_left_before_its_turn() {
    let mut bench = Bench::of(&node());
    bench.send(r#"{"execute": "guest-get-time"}"#);
    bench.send(SHUTDOWN);
    bench.send(r#"{"execute": "guest-get-ti"#);
    bench.agent.handle_left(bench.now);
    assert_eq!(bench.orders(), [pressed(&bench, Shutdown)]);
    assert!(bench.replies().is_empty());
    assert_eq!(bench.get("guest-ping"), json!({}));
}

#[test]
fn another_operation_is_refused_while_one_waits_for_its_outcome() {
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    bench.agent.handle_left(bench.now);
    bench.orders();
    let reply = bench.ask(REBOOT);
    assert_eq!(reply, generic("another power operation is under way"));
    assert!(bench.orders().is_empty());
}

#[test]
fn the_end_of_the_process_loses_no_shutdown_and_asks_for_nothing_else() {
    let mut bench = Bench::of(&node());
    assert_eq!(bench.agent.debt(), Debt::None);
    bench.send(SHUTDOWN);
    bench.send(r#"{"execute": "guest-get-time"}"#);
    bench.agent.stop(bench.now);
    assert_eq!(bench.orders(), [pressed(&bench, Shutdown)]);
    assert_eq!(bench.agent.debt(), Debt::Outcome);
    outcome(&mut bench, Shutdown, PowerOutcome::Accepted);
    assert_eq!(bench.agent.debt(), Debt::Message);
    assert_eq!(bench.replies(), [json!({"return": {}})]);
    assert_eq!(bench.agent.debt(), Debt::None);
    bench.send(REBOOT);
    assert!(bench.orders().is_empty() && bench.replies().is_empty());
}
