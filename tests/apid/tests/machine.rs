//! MachineService: answers, roles, power, events.

mod client;

use std::time::Duration;

use apid::proto::common;
use apid::proto::machine::sequence_event::Action;
use apid::proto::machine::{
    Event, EventsRequest, MachineStatusEvent, RebootRequest, SequenceEvent, ShutdownRequest,
};
use apid::resources::MACHINE_STATUS;
use apid::{Apid, Method, PowerBehaviour, Stage};
use client::{SOON, as_operator, claiming, machine, machined, message, state};
use prost::{Message, Name};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

#[tokio::test]
async fn the_node_says_what_it_runs_and_what_it_has_mounted() {
    let (_directory, _apid, channel) = machined().await;
    let mut machine = machine(&channel);

    let version = machine.version(as_operator(())).await.unwrap().into_inner();
    let [version] = &version.messages[..] else {
        panic!("one message")
    };
    assert_eq!(version.metadata, None, "a direct answer has no metadata");
    assert_eq!(version.version.as_ref().unwrap().tag, "v1.13.0");
    assert_eq!(version.version.as_ref().unwrap().arch, "amd64");
    assert_eq!(version.platform.as_ref().unwrap().name, "vmware");

    let mounts = machine.mounts(as_operator(())).await.unwrap();
    assert_eq!(mounts.get_ref().messages[0].stats[0].mounted_on, "/var");
}

#[tokio::test]
async fn the_counters_are_this_machines_or_those_of_another_one() {
    let (_directory, apid, channel) = machined().await;
    let mut machine = machine(&channel);
    let own = || {
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim().parse().unwrap()
        };
        (field("btime "), field("ctxt "))
    };
    let mut ask = async || {
        let stat = machine.system_stat(as_operator(())).await.unwrap();
        stat.into_inner().messages.remove(0)
    };
    let (boot_time, before) = own();
    let stat = ask().await;
    let (_, after) = own();
    assert_eq!(stat.boot_time, boot_time);
    assert!((before..=after).contains(&stat.context_switches));

    apid.update_node(|node| node.stat = apid::another_machine);
    assert_eq!(ask().await.boot_time, boot_time - 3600);
    apid.update_node(|node| node.stat = apid::twin);
    let twin = ask().await;
    assert_eq!(twin.boot_time, boot_time);
    assert!(twin.context_switches < before);

    let refused = claiming("os:etcd:backup", ());
    let refused = self::machine(&channel).system_stat(refused).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn roles_decide_who_may_call_what() {
    let (_directory, apid, channel) = machined().await;
    let mut machine = machine(&channel);
    for (role, reads, reboots) in [
        ("", false, false),
        ("os:nobody", false, false),
        ("os:reader", true, false),
        ("os:operator", true, true),
        ("os:admin", true, true),
    ] {
        let read = machine.version(claiming(role, ())).await;
        assert_eq!(read.is_ok(), reads, "{role} reads");
        let reboot = claiming(role, RebootRequest::default());
        let reboot = machine.reboot(reboot).await;
        assert_eq!(reboot.is_ok(), reboots, "{role} reboots");
        for refused in [read.err(), reboot.err()].into_iter().flatten() {
            assert_eq!(refused.code(), Code::PermissionDenied);
            assert_eq!(refused.message(), "not authorized");
        }
    }
    let calls = apid.calls();
    assert_eq!(calls.len(), 10);
    assert_eq!(calls[0].answer, Some(Code::PermissionDenied));
    assert_eq!(calls[4].roles, ["os:reader"]);
    assert_eq!(calls[4].metadata("talos-role"), ["os:reader"]);
    assert_eq!(calls[5].request, "mode=DEFAULT");
    assert_eq!(calls[6].answer, Some(Code::Ok));
    assert!(calls[4].when < calls[5].when);
}

#[tokio::test]
async fn an_older_talos_lets_only_admins_reboot() {
    let (_directory, apid, channel) = machined().await;
    apid.allow(Method::Reboot, &[apid::ADMIN]);
    let mut machine = machine(&channel);
    let request = as_operator(RebootRequest::default());
    let refused = machine.reboot(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = claiming("os:admin", RebootRequest::default());
    machine.reboot(request).await.unwrap();
}

#[tokio::test]
async fn a_method_that_is_not_served_is_refused_and_recorded() {
    let (_directory, apid, channel) = machined().await;
    for (role, code) in [
        ("os:operator", Code::PermissionDenied),
        ("os:admin", Code::Unimplemented),
    ] {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let path = "/cosi.resource.State/Update".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<(), ()>::default();
        let refused = grpc.unary(claiming(role, ()), path, codec).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    let calls = apid.calls();
    assert_eq!(calls[0].method, None);
    assert_eq!(calls[0].path, "/cosi.resource.State/Update");
    assert_eq!(calls[0].answer, Some(Code::PermissionDenied));
}

#[tokio::test]
async fn a_reboot_is_accepted_and_its_sequence_seen() {
    let (_directory, apid, channel) = machined().await;
    let mut events = listen(&channel, EventsRequest::default()).await;

    let actor = reboot(&channel).await;
    let started = message(&mut events).await;
    assert_eq!(started.actor_id, actor);
    let sequence: SequenceEvent = open(&started);
    assert_eq!(sequence.sequence, "reboot");
    assert_eq!(sequence.action(), Action::Start);
    let stage: MachineStatusEvent = open(&message(&mut events).await);
    assert_eq!(stage.stage().as_str_name(), "REBOOTING");
    assert_eq!(stage_of(&channel).await, Stage::MachineStageRebooting);
    assert_eq!(apid.calls_of(Method::Reboot)[0].answer, Some(Code::Ok));
}

#[tokio::test]
async fn a_forced_shutdown_says_so() {
    let (_directory, apid, channel) = machined().await;
    let request = as_operator(ShutdownRequest { force: true });
    machine(&channel).shutdown(request).await.unwrap();
    let calls = apid.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    assert_eq!(calls[0].request, "force=true");
    assert_eq!(stage_of(&channel).await, Stage::MachineStageShuttingDown);
}

#[tokio::test]
async fn a_locked_reboot_is_accepted_and_shows_only_as_an_event_of_nobody() {
    let (_directory, apid, channel) = machined().await;
    apid.set_power(PowerBehaviour::AcceptLocked);
    let mut events = listen(&channel, EventsRequest::default()).await;
    let actor = reboot(&channel).await;

    let event = message(&mut events).await;
    assert_eq!(event.actor_id, "");
    let sequence: SequenceEvent = open(&event);
    assert_eq!(sequence.action(), Action::Noop);
    let error = sequence.error.unwrap();
    assert_eq!(error.code(), common::Code::Locked);
    assert_eq!(error.message, "sequence not started: locked");
    assert_eq!(stage_of(&channel).await, Stage::MachineStageRunning);

    // So a listener to this actor never hears of it.
    let by_actor = EventsRequest {
        tail_events: -1,
        with_actor_id: actor.clone(),
        ..EventsRequest::default()
    };
    let mut events = listen(&channel, by_actor).await;
    let mark = SequenceEvent {
        sequence: "mark".to_owned(),
        ..SequenceEvent::default()
    };
    apid.publish(&actor, &mark);
    assert_eq!(open::<SequenceEvent>(&message(&mut events).await), mark);
}

#[tokio::test]
async fn a_failing_sequence_ends_with_a_fatal_event() {
    let (_directory, apid, channel) = machined().await;
    apid.set_power(PowerBehaviour::AcceptFail);
    let actor = reboot(&channel).await;
    let by_actor = EventsRequest {
        tail_events: -1,
        with_actor_id: actor,
        ..EventsRequest::default()
    };
    let mut events = listen(&channel, by_actor).await;
    let start: SequenceEvent = open(&message(&mut events).await);
    assert_eq!(start.action(), Action::Start);
    let failed: SequenceEvent = open(&message(&mut events).await);
    assert_eq!(failed.error.unwrap().code(), common::Code::Fatal);
    assert_eq!(stage_of(&channel).await, Stage::MachineStageRunning);
}

#[tokio::test]
async fn in_a_container_power_is_refused() {
    let (_directory, apid, channel) = machined().await;
    apid.set_power(PowerBehaviour::ContainerMode);
    let request = as_operator(RebootRequest::default());
    let refused = machine(&channel).reboot(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn the_answer_is_out_before_the_api_dies() {
    let (directory, apid, channel) = machined().await;
    apid.set_power(PowerBehaviour::AcceptThenDie);
    let mut stages = client::everything(MACHINE_STATUS);
    "runtime".clone_into(&mut stages.namespace);
    let mut stages = client::watch(&channel, stages).await;
    let mut events = listen(&channel, EventsRequest::default()).await;
    reboot(&channel).await;
    loop {
        match tokio::time::timeout(SOON, events.message()).await.unwrap() {
            Ok(event) => assert!(event.is_some(), "a dying stream does not end well"),
            Err(status) => break assert_eq!(status.code(), Code::Unavailable),
        }
    }
    // The contents, their end, the stage that changed, and then no more.
    for _ in 0..3 {
        message(&mut stages).await;
    }
    let ended = tokio::time::timeout(SOON, stages.message()).await;
    assert_eq!(ended.unwrap().unwrap_err().code(), Code::Unavailable);
    assert!(!directory.join("machine.sock").exists());
    let gone = apid.until(SOON, |apid| (apid.connection_count() == 0).then_some(()));
    assert!(gone.await.is_some());

    apid.restart().unwrap();
    let channel = client::connect(apid.socket().unwrap()).await.unwrap();
    machine(&channel).version(as_operator(())).await.unwrap();
}

#[tokio::test]
async fn the_api_dies_before_the_answer_is_out() {
    let (_directory, apid, channel) = machined().await;
    apid.set_power(PowerBehaviour::DieBeforeReply);
    let request = as_operator(RebootRequest::default());
    let lost = machine(&channel).reboot(request).await.unwrap_err();
    assert_ne!(lost.code(), Code::Ok);
    assert_eq!(apid.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test]
async fn failures_are_used_up_and_delays_are_kept() {
    let (_directory, apid, channel) = machined().await;
    let mut machine = machine(&channel);
    let away = tonic::Status::unavailable("not yet");
    apid.fail_next(Method::Version, &away, 2);
    for code in [Code::Unavailable, Code::Unavailable, Code::Ok] {
        let answer = machine.version(as_operator(())).await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            code
        );
    }

    apid.delay(Method::Version, Duration::from_secs(3600));
    let mut slow = machine.clone();
    let slow = tokio::spawn(async move { slow.version(as_operator(())).await });
    let calls = apid.until_calls(Method::Version, 4, SOON).await.unwrap();
    assert_eq!(calls[3].answer, None, "recorded while it is held");
    machine.mounts(as_operator(())).await.unwrap();
    assert!(!slow.is_finished());
    slow.abort();
}

/// Opens an event stream and takes its greeting.
async fn listen(channel: &Channel, request: EventsRequest) -> Streaming<Event> {
    let stream = machine(channel).events(as_operator(request)).await;
    let mut stream = stream.unwrap().into_inner();
    let greeting = message(&mut stream).await;
    assert_eq!(greeting.data.unwrap().type_url, "");
    stream
}

fn open<M: Message + Name + Default>(event: &Event) -> M {
    let data = event.data.as_ref().unwrap();
    assert_eq!(data.type_url, format!("talos/runtime/{}", M::full_name()));
    M::decode(data.value.as_slice()).unwrap()
}

async fn reboot(channel: &Channel) -> String {
    let request = as_operator(RebootRequest::default());
    let answer = machine(channel).reboot(request).await.unwrap().into_inner();
    let [reboot] = &answer.messages[..] else {
        panic!("one message")
    };
    assert_ne!(reboot.actor_id, "");
    reboot.actor_id.clone()
}

async fn stage_of(channel: &Channel) -> Stage {
    use apid::proto::cosi::resource::GetRequest;
    use apid::proto::definitions::runtime::MachineStatusSpec;
    let request = GetRequest {
        namespace: "runtime".to_owned(),
        r#type: MACHINE_STATUS.to_owned(),
        id: "machine".to_owned(),
        options: None,
    };
    let got = state(channel).get(as_operator(request)).await.unwrap();
    let spec = got.into_inner().resource.unwrap().spec.unwrap();
    MachineStatusSpec::decode(spec.proto_spec.as_slice())
        .unwrap()
        .stage()
}

#[allow(dead_code)]
fn is_a_handle(apid: Apid) -> impl Send + Sync + Clone + 'static {
    apid
}
