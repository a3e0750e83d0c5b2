//! A machine that was suspended: its time has jumped forward, and nothing was done meanwhile.

use std::time::Duration;

use super::host::{Host, machine_at, ms, node};
use crate::facts::{Facts, Load, Stage};
use crate::front_end::Measured;

const DAY: Duration = Duration::from_secs(86_400);

/// Far longer than every interval and back-off.
const ASLEEP: Duration = DAY.saturating_mul(3);

fn ready() -> Facts {
    machine_at(Stage::Running, true)
}

/// How many of these lines begin so.
fn count(told: &[String], start: &str) -> usize {
    told.iter().filter(|line| line.starts_with(start)).count()
}

/// The last uptime that was told, in hundredths of a second.
fn uptime(told: &[String]) -> u128 {
    let start = "> SetGuestInfo  7 ";
    let lines = told.iter().rev();
    let text = lines.filter_map(|line| line.strip_prefix(start)).next();
    text.unwrap().trim_end_matches(r"\x00").parse().unwrap()
}

#[test]
fn after_days_each_schedule_ticks_once_and_goes_on_at_its_pace() {
    let mut host = Host::with_node(&ready());
    let (readings, measurements) = (host.readings, host.measurements);
    host.sleep(ASLEEP);
    host.wake();
    let told = host.take();
    assert_eq!(told.len(), 1, "the uptime alone: {told:?}");
    assert_eq!(uptime(&told), host.now.as_millis() / 10);
    assert_eq!(host.readings, readings + 1);
    assert_eq!(host.measurements, measurements + 1);

    // Nothing is made up for: the intervals begin here.
    host.pass(ms(19_999));
    assert!(host.take().is_empty());
    assert_eq!(host.readings, readings + 1);
    host.pass(ms(10_001));
    let told = host.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(uptime(&told), host.now.as_millis() / 10);
    assert_eq!(host.readings, readings + 2);
    assert_eq!(host.measurements, measurements + 1);
}

#[test]
fn a_resume_tells_everything_once_with_the_true_uptime_before_any_timer_has_rung() {
    let mut host = Host::with_node(&ready());
    let mut fresh = Host::new();
    fresh.facts(&ready());
    fresh.connect();
    fresh.pass(ms(1000));
    let everything = fresh.take();

    host.sleep(ASLEEP);
    host.request(b"OS_Resume");
    let told = host.take();
    assert_eq!(told[0], r"< OK ");
    for line in &everything {
        // The one kind whose text has changed.
        let start = match line.starts_with("> SetGuestInfo  7 ") {
            true => "> SetGuestInfo  7 ",
            false => line,
        };
        // A new channel is greeted with who we are; that was no new channel.
        let greets = line.contains("unified_loop")
            || line.starts_with("> info-set guestinfo.vmtools.")
                && !line.starts_with("> info-set guestinfo.vmtools.talos.");
        assert_eq!(
            count(&told, start),
            usize::from(!greets),
            "{line}: {told:?}"
        );
    }
    assert_eq!(uptime(&told), host.now.as_millis() / 10);
    assert_eq!(count(&told, "> tools.os.statechange.status 1 4"), 1);
    host.wake();
    host.pass(ms(1000));
    assert!(host.take().is_empty(), "once");
}

#[test]
fn a_new_channel_after_days_hears_everything_once() {
    let mut host = Host::with_node(&ready());
    host.lose();
    host.sleep(ASLEEP);
    host.connect();
    host.request(b"Capabilities_Register");
    let told = host.take();
    assert_eq!(count(&told, "> SetGuestInfo  7 "), 1, "{told:?}");
    assert_eq!(uptime(&told), host.now.as_millis() / 10);
    assert_eq!(count(&told, "> SetGuestInfo  1 cp1"), 1);
    host.pass(ms(1000));
    assert!(host.take().is_empty());
}

#[test]
fn what_was_held_back_is_tried_once_at_waking() {
    // Refused, held for 30 s; lost, held for some 250 ms.
    for (refuses, deaf) in [(vec!["SetGuestInfo  1 "], false), (Vec::new(), true)] {
        let mut host = Host::with_node(&ready());
        host.refuses = refuses;
        host.deaf = deaf;
        host.facts(&node("cp2", &["10.0.0.5"]));
        host.pass(ms(100));
        assert_eq!(count(&host.take(), "> SetGuestInfo  1 cp2"), 1);
        host.refuses.clear();
        host.deaf = false;
        host.sleep(ASLEEP);
        host.wake();
        assert_eq!(count(&host.take(), "> SetGuestInfo  1 cp2"), 1);
        host.pass(ms(60_000));
        assert_eq!(count(&host.take(), "> SetGuestInfo  1 cp2"), 0);
    }
}

#[test]
fn a_back_off_that_grew_is_over_at_waking_and_does_not_stick() {
    let mut host = Host::with_node(&ready());
    host.measured = Measured::TimedOut;
    host.pass(DAY);
    // An hour between two tries by now.
    let before = host.measurements;
    host.measured = Measured::Done;
    host.sleep(Duration::from_secs(3601));
    host.wake();
    assert_eq!(host.measurements, before + 1);
    host.pass(Duration::from_secs(600));
    assert_eq!(host.measurements, before + 3, "every five minutes again");
}

#[test]
fn a_burst_that_the_suspend_cut_is_looked_at_once() {
    let mut host = Host::with_node(&ready());
    host.facts(&node("cp2", &["10.0.0.5"]));
    host.facts(&node("cp3", &["10.0.0.5"]));
    host.sleep(ASLEEP);
    host.facts(&node("cp4", &["10.0.0.5"]));
    host.wake();
    let told = host.take();
    assert_eq!(count(&told, "> SetGuestInfo  1 "), 1, "{told:?}");
    assert_eq!(count(&told, "> SetGuestInfo  1 cp4"), 1, "{told:?}");
}

#[test]
fn a_registration_under_way_is_answered_at_waking_and_once() {
    let mut host = Host::with_node(&ready());
    host.slow = true;
    host.request(b"Capabilities_Register");
    assert_eq!(count(&host.take(), "< "), 0);
    host.sleep(ASLEEP);
    host.wake();
    assert_eq!(count(&host.take(), "< OK "), 1);
    host.slow = false;
    while !host.unanswered.is_empty() {
        host.answer();
    }
    assert_eq!(count(&host.take(), "< "), 0);
}

#[test]
fn a_short_suspend_changes_no_pace() {
    // Shorter than what was left of every interval: each still comes at its time.
    let mut host = Host::with_node(&ready());
    host.load = Load::default();
    let readings = host.readings;
    let due = host.services.poll_timeout().unwrap();
    host.sleep(ms(5000));
    host.wake();
    assert!(host.take().is_empty());
    assert_eq!(host.services.poll_timeout(), Some(due));
    host.pass(due - host.now);
    assert_eq!(host.readings, readings + 1);
}
