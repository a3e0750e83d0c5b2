//! What holds for every sequence of events.

use proptest::collection::vec;
use proptest::prelude::*;

use super::host::{machine_at, ms, node};
use crate::facts::Stage;
use crate::fuzz::Choices;
use crate::vmware::services::judge::{Event, Judge};
use crate::vmware::services::plays;

fn events() -> impl Strategy<Value = Vec<Event>> {
    let request = prop_oneof![
        Just(b"reset".to_vec()),
        Just(b"ping".to_vec()),
        Just(b"Capabilities_Register".to_vec()),
        Just(b"Set_Option broadcastIP 1".to_vec()),
        Just(b"Set_Option broadcastIP 0".to_vec()),
        Just(b"Set_Option enableAppInfo 0".to_vec()),
        Just(b"Set_Option enableAppInfo 1".to_vec()),
        Just(b"OS_Halt".to_vec()),
        Just(b"OS_Reboot".to_vec()),
        Just(b"OS_PowerOn".to_vec()),
        Just(b"OS_Resume".to_vec()),
        Just(b"OS_Suspend".to_vec()),
        vec(any::<u8>(), 0..10),
    ];
    let event = prop_oneof![
        1 => Just(Event::Connect),
        1 => Just(Event::Lost),
        6 => request.prop_map(Event::Request),
        4 => (0..3_u8, vec(0..4_u8, 0..3)).prop_map(|(name, ips)| facts(name, &ips)),
        1 => Just(Event::Facts(Box::default())),
        12 => (0..8_u8).prop_map(Event::Outcome),
        3 => (0..3_u8).prop_map(Event::Power),
        3 => (0..3_u8).prop_map(Event::Measured),
        6 => (0..200_u64).prop_map(|millis| Event::Pass(ms(millis))),
        1 => (0..3_u8).prop_map(Event::GuestOperations),
        8 => vec(any::<u8>(), 0..40).prop_map(|bytes| Event::Request(plays::request(&mut Choices::new(&bytes)))),
        8 => (any::<u8>(), 0..12_u8).prop_map(|(which, number)| Event::Answer(which, number)),
        1 => Just(Event::Checked),
        1 => (0..4_u8).prop_map(Event::Quiesce),
        9 => vec(any::<u8>(), 0..4).prop_map(|bytes| Event::Request(plays::backup_request(&mut Choices::new(&bytes)))),
        9 => (0..8_u8).prop_map(Event::Freezer),
        1 => (0..5_u8).prop_map(Event::Etcd),
        2 => (0..4_u8).prop_map(Event::Inventory),
        1 => (0..3_u8).prop_map(Event::Vmware),
        3 => (0..4_u8).prop_map(Event::HandedOver),
        1 => (0..3_u8).prop_map(Event::Ha),
        4 => (0..3_u8).prop_map(Event::Life),
        1 => (0..4_u8).prop_map(Event::Phase),
        1 => (0..40_000_u64).prop_map(|millis| Event::Pass(ms(millis))),
    ];
    vec(event, 0..150)
}

/// A node that says more or less of itself.
fn facts(name: u8, ips: &[u8]) -> Event {
    let ips: Vec<String> = ips.iter().map(|last| format!("10.0.0.{last}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    let mut facts = node(&format!("n{name}"), &ips);
    if name > 0 {
        let machine = machine_at(Stage::Running, name == 2);
        (facts.stage, facts.node) = (machine.stage, machine.node);
    }
    Event::Facts(Box::new(facts))
}

/// Plays these on a node that has everything, and closes the books.
fn judge(events: Vec<Event>) {
    let mut judge = Judge::new();
    judge.play(Event::Connect);
    judge.play(Event::GuestOperations(2));
    judge.play(Event::Quiesce(3));
    judge.play(Event::Inventory(3));
    judge.play(Event::Vmware(2));
    judge.play(Event::Ha(1));
    judge.play(facts(1, &[1]));
    for event in events {
        judge.play(event);
    }
    judge.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_whatever_happens(events in events()) {
        judge(events);
    }
}

/// What has broken a promise once, at its shortest.
#[test]
fn promises_that_were_broken_once_are_kept() {
    let start = || Event::Request(b"vmbackup.start 1".to_vec());
    // The host goes while a run is synced, and its channel is lost again before that is done.
    judge(vec![
        Event::Quiesce(1),
        start(),
        start(),
        Event::Lost,
        Event::Outcome(7),
        Event::Connect,
        Event::Lost,
    ]);
    // As before, but the last message is lost before the channel.
    judge(vec![
        Event::Connect,
        Event::Quiesce(1),
        Event::Request(b"OS_Halt".to_vec()),
        start(),
        Event::Power(0),
        start(),
        Event::Outcome(7),
        Event::Lost,
        start(),
        Event::Lost,
    ]);
    // The host that comes gives up a run that it does not have.
    judge(vec![
        Event::Quiesce(1),
        start(),
        start(),
        Event::Lost,
        Event::Outcome(7),
        Event::Request(b"vmbackup.abort".to_vec()),
    ]);
}
