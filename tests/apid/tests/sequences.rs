//! Power sequences in phases, one at a time, on virtual time.

mod client;

use std::time::Duration;

use apid::proto::common;
use apid::proto::machine::sequence_event::Action;
use apid::proto::machine::{
    Event, EventsRequest, MachineStatusEvent, PhaseEvent, RebootRequest, RestartEvent,
    SequenceEvent, ShutdownRequest, TaskEvent, phase_event,
};
use apid::{Apid, PowerBehaviour, Sequences, scene};
use client::{SOON, as_operator, in_process, machine};
use prost::{Message, Name};
use tonic::Streaming;
use tonic::transport::Channel;

#[tokio::test(start_paused = true)]
async fn a_shutdown_drains_for_as_long_as_it_is_meant_to() {
    let how = Sequences {
        drain: Some(Duration::from_secs(90)),
        stopping: Some(Duration::from_secs(5)),
        ..Sequences::default()
    };
    let (apid, channel) = node(how).await;
    let mut events = listen(&channel).await;
    let begun = tokio::time::Instant::now();
    let actor = shutdown(&channel, false).await;
    let seen = until(&mut events, "restart").await;
    assert_eq!(begun.elapsed().as_secs(), 95);
    let ours = |what: &str| format!("{what} {actor}");
    assert_eq!(
        seen,
        [
            ours("shutdown start"),
            "stage ".to_owned(),
            ours("drain start"),
            ours("cordonAndDrainNode"),
            ours("cordonAndDrainNode"),
            ours("drain stop"),
            ours("cleanup start"),
            ours("stopAllPods"),
            ours("stopAllPods"),
            ours("cleanup stop"),
            ours("restart"),
        ]
    );
    assert_eq!(apid.sequences(), ["shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_forced_shutdown_does_not_drain_and_takes_over_one_that_does() {
    let how = Sequences {
        yielding: Duration::from_secs(7),
        ..Sequences::default()
    };
    let (_apid, channel) = node(how).await;
    let mut events = listen(&channel).await;
    let first = shutdown(&channel, false).await;
    until(&mut events, "cordonAndDrainNode").await;
    let begun = tokio::time::Instant::now();
    let second = shutdown(&channel, true).await;
    assert_ne!(first, second);
    let seen = until(&mut events, "stopAllPods").await;
    assert_eq!(begun.elapsed().as_secs(), 7);
    let by = |what: &str, actor: &str| format!("{what} {actor}");
    assert_eq!(
        seen,
        [
            by("cordonAndDrainNode", &first),
            by("drain stop", &first),
            by("shutdown stop", &first),
            by("shutdown canceled", &first),
            by("shutdown start", &second),
            "stage ".to_owned(),
            by("cleanup start", &second),
            by("stopAllPods", &second),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_does_not_give_up_within_a_minute_goes_on() {
    let how = Sequences {
        yielding: Duration::from_secs(61),
        ..Sequences::default()
    };
    let (apid, channel) = node(how).await;
    let mut events = listen(&channel).await;
    shutdown(&channel, false).await;
    shutdown(&channel, true).await;
    until(&mut events, "shutdown canceled").await;
    tokio::time::sleep(SOON).await;
    assert_eq!(apid.sequences(), ["shutdown"]);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_locked_out_by_a_shutdown_and_takes_over_a_reboot() {
    let (apid, channel) = node(Sequences::default()).await;
    let mut events = listen(&channel).await;
    let mut machine = machine(&channel);
    for _ in 0..2 {
        let reboot = as_operator(RebootRequest::default());
        machine.reboot(reboot).await.unwrap();
        until(&mut events, "reboot start").await;
    }
    shutdown(&channel, false).await;
    until(&mut events, "drain start").await;
    let reboot = as_operator(RebootRequest::default());
    machine.reboot(reboot).await.unwrap();
    let seen = until(&mut events, "reboot locked").await;
    assert_eq!(seen.last().map(String::as_str), Some("reboot locked "));
    assert_eq!(apid.sequences(), ["reboot", "reboot", "shutdown"]);
    apid.end_drain();
    until(&mut events, "cleanup start").await;
}

async fn node(how: Sequences) -> (Apid, Channel) {
    let (apid, channel) = in_process().await;
    scene::single_nic(&apid);
    apid.set_power(PowerBehaviour::Sequences(how));
    (apid, channel)
}

async fn listen(channel: &Channel) -> Streaming<Event> {
    let request = as_operator(EventsRequest::default());
    let mut events = machine(channel).events(request).await.unwrap().into_inner();
    events.message().await.unwrap();
    events
}

async fn shutdown(channel: &Channel, force: bool) -> String {
    let request = as_operator(ShutdownRequest { force });
    let answer = machine(channel).shutdown(request).await.unwrap();
    answer.into_inner().messages.remove(0).actor_id
}

/// What is seen up to an event that begins so.
async fn until(events: &mut Streaming<Event>, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(600), events.message()).await;
        let event = event.expect("in time").unwrap().unwrap();
        let words = format!("{} {}", words(&event), event.actor_id);
        let is_last = words.starts_with(last);
        seen.push(words);
        if is_last {
            return seen;
        }
    }
}

fn words(event: &Event) -> String {
    let data = event.data.clone().unwrap_or_default();
    let name = data.type_url.strip_prefix("talos/runtime/");
    let name = name.unwrap_or_default();
    let value = &*data.value;
    if name == SequenceEvent::full_name() {
        let event = SequenceEvent::decode(value).unwrap();
        let code = event.error.as_ref().map(common::Error::code);
        let what = match (code, event.action()) {
            (Some(common::Code::Canceled), _) => "canceled",
            (Some(common::Code::Locked), _) => "locked",
            (Some(_), _) => "fatal",
            (None, Action::Start) => "start",
            (None, _) => "stop",
        };
        format!("{} {what}", event.sequence)
    } else if name == PhaseEvent::full_name() {
        let event = PhaseEvent::decode(value).unwrap();
        let what = match event.action() {
            phase_event::Action::Start => "start",
            phase_event::Action::Stop => "stop",
        };
        format!("{} {what}", event.phase)
    } else if name == TaskEvent::full_name() {
        TaskEvent::decode(value).unwrap().task
    } else if name == MachineStatusEvent::full_name() {
        "stage".to_owned()
    } else if name == RestartEvent::full_name() {
        "restart".to_owned()
    } else {
        panic!("{name}")
    }
}
