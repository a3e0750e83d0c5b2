//! A host that takes its time, or the channel: what waits stays bounded, and little is sent in vain.

use super::host::{Host, ms, node};
use crate::front_end::Debt;
use crate::power::{PowerOperation, PowerOutcome};

#[test]
fn a_host_that_is_reset_faster_than_it_answers_does_not_fill_our_memory() {
    let mut host = Host::with_node(&node("a", &["10.0.0.5"]));
    host.slow = true;
    let mut longest = 0;
    for _ in 0..2_000 {
        host.request(b"reset");
        host.pass(ms(10));
        longest = longest.max(host.unanswered.len());
    }
    assert!(longest < 60, "{longest}");
    host.take();
    while !host.unanswered.is_empty() {
        host.answer();
    }
    host.pass(ms(5_000));
    host.request(b"ping");
    assert_eq!(host.take(), ["< OK "], "all has arrived");
}

#[test]
fn a_session_that_may_be_short_gets_no_guest_information_before_it_has_held() {
    let mut host = Host::with_node(&node("a", &["10.0.0.5"]));
    // The uptime goes with the registration.
    let is_guest_info = |line: &String| {
        line.contains("SetGuestInfo") && !line.contains("SetGuestInfo  7") || line.contains("info-")
    };
    for _ in 0..3 {
        host.lose();
        host.services.require_proof(Some(ms(5_000)));
        host.connect();
        host.request(b"reset");
        host.request(b"Capabilities_Register");
        host.facts(&node("b", &["10.0.0.6"]));
        host.pass(ms(4_900));
        let heard = host.take();
        assert!(!heard.iter().any(is_guest_info), "{heard:#?}");
        let registered = |text| heard.iter().any(|line| line.contains(text));
        assert!(registered("> tools.capability.statechange"), "{heard:#?}");
        assert!(registered("< OK \\0") || registered("< OK "), "{heard:#?}");
        assert_eq!(host.ask(b"ping"), ["< OK "]);
    }
    assert_eq!(host.ask(b"OS_Halt"), ["< OK ", "! Shutdown"]);
    host.power(PowerOperation::Shutdown, PowerOutcome::Accepted);
    assert_eq!(host.take(), ["> tools.os.statechange.status 1 1\\x00"]);
    host.pass(ms(200));
    let heard = host.take();
    assert!(
        heard.iter().any(|line| line.contains("SetGuestInfo  1 b")),
        "{heard:#?}"
    );
}

#[test]
fn what_the_host_waits_for_at_the_end_is_an_outcome_and_then_its_status() {
    let mut host = Host::with_node(&node("a", &["10.0.0.5"]));
    assert_eq!(host.services.debt(), Debt::None);
    host.request(b"OS_Halt");
    assert_eq!(host.services.debt(), Debt::Outcome);
    host.deaf = true;
    host.power(PowerOperation::Shutdown, PowerOutcome::Accepted);
    assert_eq!(host.services.debt(), Debt::Message);
    host.take();
    host.deaf = false;
    // It does not wait for the pause after the loss.
    host.services.hurry(host.now);
    host.wake();
    assert_eq!(host.take(), ["> tools.os.statechange.status 1 1\\x00"]);
    assert_eq!(host.services.debt(), Debt::None);
}

#[test]
fn a_host_that_is_away_waits_for_nothing() {
    let mut host = Host::with_node(&node("a", &["10.0.0.5"]));
    host.request(b"OS_Halt");
    host.deaf = true;
    host.lose();
    host.power(PowerOperation::Shutdown, PowerOutcome::Accepted);
    assert_eq!(host.services.debt(), Debt::None);
}
