//! When things are told, and that silence costs nothing.

use std::time::Duration;

use super::host::{Host, machine_at, ms, node};
use crate::facts::Stage;

#[test]
fn while_the_host_is_away_nothing_is_sent_and_nobody_is_woken() {
    let mut host = Host::with_node(&machine_at(Stage::Booting, false));
    host.lose();
    host.deaf = true;
    host.heard.clear();
    host.pass(Duration::from_secs(30));
    let [try_of_statistics] = &host.heard[..] else {
        panic!("one try: {:?}", host.heard)
    };
    assert!(try_of_statistics.starts_with("> SetGuestInfo  8 "));
    host.take();
    assert_eq!(host.services.poll_timeout(), None);
    host.facts(&machine_at(Stage::Running, true));
    assert_eq!(host.services.poll_timeout(), None);
    host.pass(Duration::from_secs(86_400));
    assert!(host.take().is_empty());
    host.deaf = false;
    host.connect();
    host.request(b"Capabilities_Register");
    let told = host.take();
    assert!(told.contains(&r"> info-set guestinfo.vmtools.talos.ready true\x00".to_owned()));
    assert!(told.contains(&r"> SetGuestInfo  7 8644100\x00".to_owned()));
}

#[test]
fn a_host_that_tclo_alone_has_lost_is_still_told() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.lose();
    host.facts(&node("cp2", &["10.0.0.5"]));
    host.pass(ms(100));
    assert_eq!(
        host.take(),
        [
            r"> SetGuestInfo  1 cp2\x00",
            "> SetGuestInfo  10 00:50:56:01:02:03=10.0.0.5",
        ],
        "the name stands in the NIC list's DNS part, too"
    );
}

#[test]
fn a_host_lost_in_the_middle_of_everything_leaves_nothing_to_do() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.slow = true;
    host.facts(&node("cp2", &["10.0.0.6"]));
    host.pass(ms(50));
    host.request(b"Capabilities_Register");
    host.request(b"OS_Halt");
    host.facts(&node("cp3", &["10.0.0.7"]));
    host.lose();
    host.deaf = true;
    host.take();
    while !host.unanswered.is_empty() {
        host.answer();
        assert_eq!(host.services.poll_timeout(), None);
    }
    assert!(host.take().is_empty());
    host.pass(ms(600_000));
    assert!(host.take().is_empty());
    host.slow = false;
    host.deaf = false;
    host.connect();
    let told = host.take();
    assert!(
        told.contains(&r"> SetGuestInfo  1 cp3\x00".to_owned()),
        "{told:?}"
    );
}

#[test]
fn the_outcome_of_a_power_operation_waits_for_the_host() {
    use crate::power::{PowerOperation, PowerOutcome};
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.request(b"OS_Reboot");
    host.take();
    host.lose();
    host.deaf = true;
    host.power(PowerOperation::Reboot, PowerOutcome::Accepted);
    let status = r"> tools.os.statechange.status 1 2\x00".to_owned();
    assert_eq!(host.take(), std::slice::from_ref(&status), "one try");
    host.pass(ms(9000));
    assert!(host.take().is_empty());
    host.deaf = false;
    host.connect();
    let told = host.take();
    assert_eq!(told.iter().filter(|line| **line == status).count(), 1);
}

#[test]
fn of_a_burst_over_50_ms_the_host_sees_the_end_alone_within_200_ms() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    for last in 0..20 {
        host.facts(&node("cp1", &[&format!("10.0.0.{}", 100 + last)]));
        host.pass(Duration::from_micros(2500));
    }
    host.pass(ms(200));
    assert_eq!(
        host.take(),
        ["> SetGuestInfo  10 00:50:56:01:02:03=10.0.0.119"]
    );
}

#[test]
fn when_nothing_changes_uptime_alone_is_told() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.facts(&machine_at(Stage::Running, true));
    host.pass(Duration::from_secs(3600));
    let told = host.take();
    assert_eq!(told.len(), 120);
    assert!(
        told.iter()
            .all(|line| line.starts_with("> SetGuestInfo  7 "))
    );
}
