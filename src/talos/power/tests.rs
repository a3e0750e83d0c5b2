//! The rare ends of a power operation, with the embedded Talos API in this process and on virtual time;
//! `tests/talos_client.rs` has the common ends.

use std::path::PathBuf;

use apid::proto::common;
use apid::proto::machine::SequenceEvent;
use apid::proto::machine::sequence_event::Action;
use apid::{
    Apid, MachineType as TalosType, Method, PowerBehaviour, Sequences, Stage as TalosStage, Status,
    Step, Trouble,
};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};
use tokio::task::JoinHandle;

use super::follow::{FIRST_WORD, SEQUENCE_WINDOW};
use super::uncertain::{GRACE, POLL};
use super::*;
use crate::config::RebootMode;
use crate::facts::MachineType;

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(10);

const REBOOT: PowerOperation = PowerOperation::Reboot;
const SHUTDOWN: PowerOperation = PowerOperation::Shutdown;

/// tokio's timers count milliseconds, and a call takes some turns of the runtime.
const TICKS: Duration = Duration::from_millis(5);

#[tokio::test(start_paused = true)]
async fn a_doubt_is_that_of_its_own_method_and_is_asked_about_once() {
    let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
    let sent = Instant::now();
    let (shutdown, reboot) = (About::First(SHUTDOWN), About::First(REBOOT));
    client.leave_doubt(reboot, sent);
    assert_eq!(client.take_doubt(shutdown), None);
    assert_eq!(client.take_doubt(reboot), Some(sent));
    assert_eq!(client.take_doubt(reboot), None);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_does_not_begin_within_75_s_did_not_happen() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    pass(74).await;
    assert_eq!(power.reports.try_recv(), Err(TryRecvError::Empty));
    pass(2).await;
    let why = "Talos began no sequence within 75 s".to_owned();
    assert_eq!(power.next().await, Some(PowerOutcome::DidNotHappen(why)));
    assert_eq!(power.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_whose_events_are_lost_shows_in_the_stage() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    pass(76).await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_has_begun_is_followed_for_ten_minutes() {
    let node = Node::new();
    let mut power = node.accepted().await;
    pass(599).await;
    assert_eq!(power.reports.try_recv(), Err(TryRecvError::Empty));
    // It began, so without a word of its end nobody may say that it did not happen.
    node.api.set_stage(TalosStage::MachineStageRunning, true);
    pass(2).await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn events_that_break_off_are_listened_to_again() {
    let node = Node::new();
    let mut power = node.accepted().await;
    node.api.drop_connections();
    let again = node.api.until_calls(Method::Events, 2, LONG).await;
    again.unwrap();
    node.publish(Action::Noop, Some((common::Code::Fatal, "task failed")));
    let why = "task failed".to_owned();
    assert_eq!(power.next().await, Some(PowerOutcome::DidNotHappen(why)));
}

#[tokio::test(start_paused = true)]
async fn events_that_cannot_be_had_are_asked_for_ever_more_slowly() {
    let node = Node::new();
    let _power = node.accepted().await;
    let broken = Status::unavailable("busy");
    node.api
        .fail_next(Method::Events, &broken, usize::from(u8::MAX));
    node.api.drop_connections();
    for _ in 0..60 {
        pass(1).await;
    }
    let times = node.api.calls_of(Method::Events).len();
    assert!((8..30).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn without_leave_to_listen_an_acceptance_is_the_last_word() {
    let node = Node::new();
    node.deny(Method::Events);
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.next().await, None);
}

/// Nobody has heard of the call, so nothing is sent: not even a call that may fail.
#[tokio::test(start_paused = true)]
async fn nothing_is_called_before_talos_can_be_reached() {
    let node = Node::new();
    let away = Status::unavailable("no connection to machined");
    node.api.fail_next(Method::Events, &away, 3);
    let _power = node.accepted().await;
    assert_eq!(node.api.calls_of(Method::Events).len(), 4);
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn machineds_own_refusal_leaves_no_doubt() {
    let node = Node::new();
    let busy = Status::unavailable("busy");
    node.api
        .fail_next(Method::Reboot, &busy, usize::from(u8::MAX));
    let why = node.begin(Duration::from_millis(500)).rejected().await;
    let start = "not accepted within the deadline: ";
    assert!(why.starts_with(start), "{why}");
    assert!(node.api.calls_of(Method::Reboot).len() > 1);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_seen_is_the_answer_to_a_call_that_has_none() {
    let node = Node::new();
    let mut power = node.cut_off(LONG).await;
    let again = node.api.until_calls(Method::Events, 2, LONG).await;
    again.unwrap();
    // Its stage comes later.
    node.publish(Action::Start, None);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_still_runs_did_not_get_the_call() {
    let node = Node::new();
    let mut power = node.cut_off(LONG).await;
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_down_got_the_call() {
    let node = Node::new();
    node.api.delay(Method::Events, LONG);
    let mut power = node.cut_off(LONG).await;
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_of_the_events_alone_is_believed() {
    let node = Node::new();
    let denied = Status::permission_denied("not authorized");
    node.api
        .fail_next(Method::Get, &denied, usize::from(u8::MAX));
    let mut power = node.cut_off(LONG).await;
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_events_and_stage_nothing_is_sent_twice() {
    let node = Node::new();
    let (absent, denied) = (
        Status::unimplemented("no"),
        Status::permission_denied("not authorized"),
    );
    node.api
        .fail_next(Method::Events, &absent, usize::from(u8::MAX));
    node.api
        .fail_next(Method::Get, &denied, usize::from(u8::MAX));
    let mut power = node.cut_off(Duration::from_secs(2)).await;
    let why = power.rejected().await;
    assert!(why.contains("Talos may have got the call"), "{why}");
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_is_locked_out_is_no_acceptance() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptLocked);
    let why = node.begin(LONG).rejected().await;
    assert!(why.contains("busy with another sequence"), "{why}");
    // And nothing is left of it.
    node.api.set_power(PowerBehaviour::Accept);
    let began = Instant::now();
    node.accepted().await;
    assert!(began.elapsed() < HEAD_START, "{:?}", began.elapsed());
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_word_about_a_sequence_is_waited_for_half_a_second() {
    for (behaviour, wait) in [
        (PowerBehaviour::Accept, Duration::ZERO),
        (PowerBehaviour::AcceptSilently, FIRST_WORD),
    ] {
        let node = Node::new();
        node.api.set_power(behaviour);
        let began = Instant::now();
        let _power = node.accepted().await;
        let off = began.elapsed().abs_diff(wait);
        assert!(off < TICKS, "{behaviour:?}: {off:?}");
    }
}

/// A host waits no longer for what has become of its press.
#[tokio::test(start_paused = true)]
async fn the_first_word_is_waited_for_no_longer_than_the_deadline() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptSilently);
    node.api.delay(Method::Reboot, Duration::from_millis(900));
    let (began, deadline) = (Instant::now(), Duration::from_secs(1));
    let mut power = node.begin(deadline);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    let off = began.elapsed().abs_diff(deadline);
    assert!(off < TICKS, "{off:?}");
}

#[tokio::test(start_paused = true)]
async fn without_leave_to_listen_an_acceptance_waits_for_no_word() {
    let node = Node::new();
    node.deny(Method::Events);
    let began = Instant::now();
    node.accepted().await;
    assert!(began.elapsed() < TICKS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_forced_where_nothing_can_be_drained() {
    let running = (TalosStage::MachineStageRunning, TalosType::Worker);
    for ((stage, machine_type), force) in [
        (running, false),
        ((TalosStage::MachineStageBooting, TalosType::Worker), false),
        (
            (TalosStage::MachineStageMaintenance, TalosType::Worker),
            true,
        ),
        ((TalosStage::MachineStageUnknown, TalosType::Worker), true),
        ((TalosStage::MachineStageRunning, TalosType::Unknown), true),
    ] {
        let node = Node::new();
        node.api.set_stage(stage, true);
        node.api.set_machine_type(machine_type);
        let mut power = node.request(SHUTDOWN, LONG);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        let asked = [format!("force={force}")];
        assert_eq!(node.shutdowns(), asked, "{stage:?} {machine_type:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_talos_does_not_say_what_the_machine_does_its_last_word_counts() {
    let running = LastWord {
        stage: Some(Stage::Running),
        machine_type: Some(MachineType::Worker),
    };
    let maintenance = LastWord {
        stage: Some(Stage::Maintenance),
        ..running
    };
    for (known, force) in [
        (running, false),
        (maintenance, true),
        (LastWord::default(), true),
    ] {
        for hangs in [false, true] {
            let mut node = Node::new();
            node.known = known;
            if hangs {
                node.api.delay(Method::Get, LONG);
            } else {
                node.deny(Method::Get);
            }
            let began = Instant::now();
            let mut power = node.request(SHUTDOWN, LONG);
            assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
            assert_eq!(node.shutdowns(), [format!("force={force}")], "{known:?}");
            let wait = Duration::from_secs(u64::from(hangs));
            let off = began.elapsed().abs_diff(wait);
            assert!(off < TICKS, "{off:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_installs_upgrades_or_resets_itself_is_not_interrupted() {
    for (stage, name) in [
        (TalosStage::MachineStageInstalling, "installing"),
        (TalosStage::MachineStageUpgrading, "upgrading"),
        (TalosStage::MachineStageResetting, "resetting"),
    ] {
        for (operation, method) in [(SHUTDOWN, Method::Shutdown), (REBOOT, Method::Reboot)] {
            let mut node = Node::new();
            node.api.set_stage(stage, false);
            let why = node.request(operation, LONG).rejected().await;
            assert!(why.contains(name) && why.contains("power.busy"), "{why}");
            assert_eq!(node.api.calls_of(method).len(), 0);

            node.busy = BusyPolicy::Pass;
            let mut power = node.request(operation, LONG);
            assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
            assert_eq!(node.api.calls_of(method).len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_nobody_followed_and_of_which_nothing_came_is_called_again() {
    let node = Node::new();
    node.deny(Method::Events);
    node.api.set_power(PowerBehaviour::AcceptSilently);
    for calls in 1..=3 {
        let mut power = node.accepted().await;
        assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
        assert_eq!(node.api.calls_of(Method::Reboot).len(), calls);
        pass(6).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_nobody_followed_and_that_goes_on_is_not_called_again() {
    for (operation, method) in [(SHUTDOWN, Method::Shutdown), (REBOOT, Method::Reboot)] {
        let node = Node::new();
        node.deny(Method::Events);
        for _ in 0..3 {
            let mut power = node.request(operation, LONG);
            assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
            assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
            assert_eq!(node.api.calls_of(method).len(), 1);
            pass(6).await;
        }
    }
}

/// Up to Talos 1.13.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_ends_in_the_stage_of_a_reboot_is_not_called_again() {
    let node = Node::new();
    node.deny(Method::Events);
    let mut power = node.request(SHUTDOWN, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    pass(30).await;
    let mut power = node.request(SHUTDOWN, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.shutdowns().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_press_gives_the_first_five_seconds_to_show() {
    let node = Node::new();
    node.deny(Method::Events);
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    // Nothing shows of it for the time being.
    let mut again = node.begin(LONG);
    pass(4).await;
    assert_eq!(again.reports.try_recv(), Err(TryRecvError::Empty));
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    assert_eq!(again.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);

    // And here nothing ever does.
    let node = Node::new();
    node.deny(Method::Events);
    node.api.set_power(PowerBehaviour::AcceptSilently);
    node.accepted().await.next().await;
    let began = Instant::now();
    node.accepted().await;
    let off = began.elapsed().abs_diff(GRACE);
    assert!(off < POLL, "{off:?}");
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

/// Its start is in the events of the last ten minutes, and proves nothing.
#[tokio::test(start_paused = true)]
async fn a_machine_that_runs_on_after_ten_minutes_is_called_again() {
    let node = Node::new();
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    node.api.set_stage(TalosStage::MachineStageRunning, true);
    node.accepted().await;
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_said_it_goes_down_and_is_still_there_is_called_again() {
    let node = Node::new();
    let mut power = node.accepted().await;
    let last = "task rebootMachine: unix.Reboot(LINUX_REBOOT_CMD_RESTART) failed";
    node.publish(Action::Noop, Some((common::Code::Fatal, last)));
    pass(599).await;
    assert_eq!(power.reports.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.next().await, None);
}

/// Without events and stage the outcome is unknown; but what is still there after ten minutes has not gone down.
#[tokio::test(start_paused = true)]
async fn where_talos_says_nothing_at_all_a_second_call_waits_for_ten_minutes() {
    let node = Node::new();
    node.deny(Method::Events);
    node.deny(Method::Get);
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    pass(60).await;
    node.begin(LONG).rejected().await;
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
    pass(600).await;
    node.accepted().await;
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_an_earlier_call_is_not_held_against_the_next() {
    let node = Node::new();
    node.deny(Method::Get);
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    let locked = "sequence not started: locked";
    node.publish(Action::Noop, Some((common::Code::Locked, locked)));
    node.api.set_power(PowerBehaviour::Accept);
    node.accepted().await;
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_not_wait_for_a_stream_that_has_nothing_to_say() {
    for mute in [false, true] {
        let node = Node::new();
        if mute {
            node.api.mute_events();
        }
        let began = Instant::now();
        let mut power = node.begin(LONG);
        let called = node.api.until_calls(Method::Reboot, 1, LONG).await;
        called.unwrap();
        let wait = Duration::from_millis(if mute { 100 } else { 0 });
        let off = began.elapsed().abs_diff(wait);
        assert!(off < TICKS, "{off:?}");
        // What the call leads to is heard all the same.
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert!(began.elapsed() < wait + TICKS, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_nothing_to_say_says_that_a_reboot_is_locked_out() {
    let node = Node::new();
    node.api.mute_events();
    node.api.set_power(PowerBehaviour::AcceptLocked);
    let why = node.begin(LONG).rejected().await;
    assert!(why.contains("busy with another sequence"), "{why}");
}

/// Talos has whole seconds, cut off, in the ids of its events.
#[tokio::test(start_paused = true)]
async fn the_events_that_are_asked_for_again_begin_before_the_call() {
    let called = Instant::now();
    for (millis, tail) in [(0, 2), (999, 2), (1000, 3), (2500, 4)] {
        let now = called + Duration::from_millis(millis);
        tokio::time::advance(now - Instant::now()).await;
        assert_eq!(seconds_since(called), tail, "{millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_reported_when_it_begins_and_when_it_ends_each_once() {
    let node = Node::with(Sequences {
        drain: Some(Duration::from_secs(90)),
        ..Sequences::default()
    });
    let begun = Instant::now();
    let mut power = node.request(SHUTDOWN, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(power.drain().await, Some(Heard::Draining));
    assert!(begun.elapsed() < TICKS, "{:?}", begun.elapsed());
    // What is heard again counts once.
    for breaks in 1..=3 {
        pass(20).await;
        node.api.drop_connections();
        let again = node.api.until_calls(Method::Events, 1 + breaks, LONG).await;
        again.unwrap();
    }
    assert_eq!(power.drain().await, Some(Heard::Drained));
    let off = begun.elapsed().abs_diff(Duration::from_secs(90));
    assert!(off < TICKS, "{off:?}");
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.drain().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_drain_reports_none() {
    let ends = Sequences {
        stopping: Some(Duration::from_secs(1)),
        ..Sequences::default()
    };
    let node = Node::with(ends);
    let mut power = node.request(REBOOT, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.drain().await, None);

    // No wish to.
    let forced = Manner {
        force_shutdown: true,
        ..node.manner(LONG)
    };
    let node = Node::with(ends);
    let mut forced = node.carry_out(SHUTDOWN, forced);
    assert_eq!(forced.next().await, Some(PowerOutcome::Accepted));
    pass(5).await;
    assert_eq!(forced.drains.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_drained_the_end_of_the_drain_comes_with_the_acceptance() {
    let node = Node::with(Sequences {
        stopping: Some(Duration::from_secs(1)),
        ..Sequences::default()
    });
    node.api
        .set_stage(TalosStage::MachineStageMaintenance, true);
    let mut power = node.request(SHUTDOWN, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(power.drains.try_recv(), Ok(Heard::Drained), "before it");
    assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
    assert_eq!(power.drain().await, None, "once");
    // Nothing comes of a call that Talos refuses.
    let node = Node::with(Sequences::default());
    node.api
        .set_stage(TalosStage::MachineStageMaintenance, true);
    node.deny(Method::Shutdown);
    let mut power = node.request(SHUTDOWN, Duration::from_millis(300));
    power.rejected().await;
    assert_eq!(power.drain().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_is_not_ours_is_not_reported() {
    let node = Node::new();
    let mut power = node.request(SHUTDOWN, LONG);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    let drain = apid::proto::machine::PhaseEvent {
        phase: "drain".to_owned(),
        action: apid::proto::machine::phase_event::Action::Start.into(),
    };
    node.api.publish("another", &drain);
    pass(5).await;
    assert_eq!(power.drains.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_does_not_end_is_taken_over_by_a_forced_shutdown() {
    let node = Node::with(Sequences {
        stopping: Some(Duration::from_secs(20)),
        yielding: Duration::from_secs(7),
        ..Sequences::default()
    });
    let mut first = node.request(SHUTDOWN, LONG);
    assert_eq!(first.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(first.drain().await, Some(Heard::Draining));
    pass(60).await;
    let begun = Instant::now();
    let mut second = node.take_over(LONG);
    assert_eq!(second.next().await, Some(PowerOutcome::Accepted));
    let off = begun.elapsed().abs_diff(FIRST_WORD);
    assert!(off < TICKS, "{off:?}");
    // Talos publishes it under the first one's actor id.
    let Some(PowerOutcome::DidNotHappen(why)) = first.next().await else {
        panic!("the first goes on");
    };
    assert!(why.contains("took its place"), "{why}");
    assert_eq!(node.shutdowns(), ["force=false", "force=true"]);
    assert_eq!(node.api.sequences(), ["shutdown", "shutdown"]);
    // Nothing is held against the second, which goes on to its end.
    assert_eq!(second.next().await, Some(PowerOutcome::NotFollowed));
    assert!(begun.elapsed() >= SEQUENCE_WINDOW);
    assert_eq!(second.drain().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_take_over_asks_nothing_of_the_first_call() {
    let node = Node::with(Sequences::default());
    node.deny(Method::Events);
    let mut first = node.request(SHUTDOWN, LONG);
    assert_eq!(first.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(first.next().await, Some(PowerOutcome::NotFollowed));
    let begun = Instant::now();
    let mut second = node.take_over(LONG);
    assert_eq!(second.next().await, Some(PowerOutcome::Accepted));
    assert!(begun.elapsed() < TICKS, "{:?}", begun.elapsed());
    assert_eq!(node.shutdowns(), ["force=false", "force=true"]);
}

#[tokio::test(start_paused = true)]
async fn a_take_over_that_is_refused_leaves_the_doubt_of_the_first() {
    let node = Node::with(Sequences::default());
    let sent = Instant::now();
    let about = About::First(SHUTDOWN);
    node.client.leave_doubt(about, sent);
    node.deny(Method::Shutdown);
    node.take_over(Duration::from_millis(300)).rejected().await;
    assert_eq!(node.client.take_doubt(about), Some(sent));
}

/// The first one's events and its stage prove nothing of the second.
#[tokio::test(start_paused = true)]
async fn a_take_over_whose_call_was_lost_is_called_again() {
    let node = Node::with(Sequences::default());
    let mut first = node.request(SHUTDOWN, LONG);
    assert_eq!(first.drain().await, Some(Heard::Draining));
    node.api.delay(Method::Shutdown, LONG);
    let mut second = node.take_over(LONG);
    let called = node.api.until_calls(Method::Shutdown, 2, LONG).await;
    called.unwrap();
    node.api.drop_connections();
    node.api.delay(Method::Shutdown, Duration::ZERO);
    assert_eq!(second.next().await, Some(PowerOutcome::Accepted));
    let forced = "force=true";
    assert_eq!(node.shutdowns(), ["force=false", forced, forced]);
}

/// The drain of a pod that must not be evicted notices after 5 s that another sequence takes its place.
#[tokio::test(start_paused = true)]
async fn a_take_over_whose_answer_was_lost_is_not_called_again() {
    for yielding in [Duration::ZERO, Duration::from_secs(5)] {
        let node = Node::with(Sequences {
            yielding,
            ..Sequences::default()
        });
        let mut first = node.request(SHUTDOWN, LONG);
        assert_eq!(first.drain().await, Some(Heard::Draining));
        node.lose_an_answer(Method::Shutdown);
        let mut second = node.take_over(LONG);
        assert_eq!(second.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(node.shutdowns(), ["force=false", "force=true"]);
        assert_eq!(node.api.sequences(), ["shutdown", "shutdown"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_take_over_in_doubt_is_not_called_again_by_the_next_attempt() {
    for listens in [true, false] {
        let node = Node::with(Sequences {
            yielding: Duration::from_secs(5),
            ..Sequences::default()
        });
        let mut first = node.request(SHUTDOWN, LONG);
        assert_eq!(first.drain().await, Some(Heard::Draining));
        if !listens {
            node.deny(Method::Events);
        }
        node.lose_an_answer(Method::Shutdown);
        let brief = Duration::from_secs(2);
        let why = node.take_over(brief).rejected().await;
        assert!(why.contains("Talos may have got the call"), "{why}");
        // Where Talos does not say what became of it, nothing is sent.
        let mut second = node.take_over(LONG);
        match second.next().await {
            Some(PowerOutcome::Accepted) if listens => {}
            Some(PowerOutcome::Rejected(_)) if !listens => {}
            other => panic!("{listens}: {other:?}"),
        }
        assert_eq!(node.shutdowns(), ["force=false", "force=true"]);
    }
}

/// Talos gives the earlier sequence a minute to make way.
#[tokio::test(start_paused = true)]
async fn a_take_over_in_doubt_that_was_locked_out_is_called_again_by_the_next_attempt() {
    let node = Node::with(Sequences::default());
    let mut first = node.request(SHUTDOWN, LONG);
    assert_eq!(first.drain().await, Some(Heard::Draining));
    node.api.delay(Method::Shutdown, LONG);
    let brief = Duration::from_secs(2);
    let mut second = node.take_over(LONG);
    let called = node.api.until_calls(Method::Shutdown, 2, LONG).await;
    called.unwrap();
    node.api.drop_connections();
    node.api.delay(Method::Shutdown, Duration::ZERO);
    let locked = Some((common::Code::Locked, "failed to acquire lock: timeout"));
    node.publish_of("shutdown", Action::Noop, locked);
    let why = second.rejected().await;
    assert!(why.contains("failed to acquire lock"), "{why}");
    let mut third = node.take_over(brief);
    assert_eq!(third.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.shutdowns().len(), 3);
}

/// A running node.
struct Node {
    api: Apid,
    client: Client,
    known: LastWord,
    busy: BusyPolicy,
}

impl Node {
    fn new() -> Self {
        let api = Apid::in_process();
        api.set_stage(TalosStage::MachineStageRunning, true);
        api.set_machine_type(TalosType::Worker);
        let socket = PathBuf::from("/machine.sock");
        let client = Client::machined_with_dialer(api.clone(), socket, "os:operator");
        Self {
            api,
            client,
            known: LastWord::default(),
            busy: BusyPolicy::Refuse,
        }
    }

    /// A reboot has been asked for.
    fn begin(&self, deadline: Duration) -> Power {
        self.request(REBOOT, deadline)
    }

    /// An operation has been asked for.
    fn request(&self, operation: PowerOperation, deadline: Duration) -> Power {
        self.carry_out(operation, self.manner(deadline))
    }

    /// A forced Shutdown has been asked for, which takes an earlier one over.
    fn take_over(&self, deadline: Duration) -> Power {
        let how = Manner {
            force_shutdown: true,
            takes_over: true,
            ..self.manner(deadline)
        };
        self.carry_out(SHUTDOWN, how)
    }

    fn manner(&self, deadline: Duration) -> Manner {
        Manner {
            deadline,
            force_shutdown: false,
            takes_over: false,
            reboot_mode: RebootMode::Default,
            busy: self.busy,
        }
    }

    fn carry_out(&self, operation: PowerOperation, how: Manner) -> Power {
        let (sender, reports) = unbounded_channel();
        let (drain_sender, drains) = unbounded_channel();
        let (client, known) = (self.client.clone(), self.known);
        let task = tokio::spawn(async move {
            carry_out(&client, operation, how, known, |heard| {
                let _ = match heard {
                    Heard::Outcome(outcome) => sender.send(outcome).is_ok(),
                    drain => drain_sender.send(drain).is_ok(),
                };
            })
            .await;
        });
        Power {
            reports,
            drains,
            task,
        }
    }

    /// A node whose sequences take this long.
    fn with(how: Sequences) -> Self {
        let node = Self::new();
        node.api.set_power(PowerBehaviour::Sequences(how));
        node
    }

    /// A reboot has been asked for and accepted.
    async fn accepted(&self) -> Power {
        let mut power = self.begin(LONG);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        power
    }

    /// A reboot has been asked for; the connection broke before Talos did anything, and is there again.
    async fn cut_off(&self, deadline: Duration) -> Power {
        self.api.delay(Method::Reboot, LONG);
        let power = self.begin(deadline);
        let called = self.api.until_calls(Method::Reboot, 1, LONG).await;
        called.unwrap();
        self.api.drop_connections();
        self.api.delay(Method::Reboot, Duration::ZERO);
        power
    }

    /// What the Shutdown calls asked for.
    fn shutdowns(&self) -> Vec<String> {
        let calls = self.api.calls_of(Method::Shutdown).into_iter();
        calls.map(|call| call.request).collect()
    }

    /// Talos does not let us call this method.
    fn deny(&self, method: Method) {
        self.api.allow(method, &[]);
    }

    /// The next call of this method is carried out, and its answer is lost.
    fn lose_an_answer(&self, method: Method) {
        let mut calls = 0;
        self.api.on_step(move |step| {
            let is_it = matches!(step, Step::Call(called, _) if *called == method);
            calls += usize::from(is_it);
            (is_it && calls == 1).then_some(Trouble::DoneThenReset)
        });
    }

    fn publish(&self, action: Action, error: Option<(common::Code, &str)>) {
        self.publish_of("reboot", action, error);
    }

    fn publish_of(&self, sequence: &str, action: Action, error: Option<(common::Code, &str)>) {
        let error = error.map(|(code, message)| common::Error {
            code: code.into(),
            message: message.to_owned(),
            details: Vec::new(),
        });
        let event = SequenceEvent {
            sequence: sequence.to_owned(),
            action: action.into(),
            error,
        };
        self.api.publish("", &event);
    }
}

/// Time passes.
async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

/// A power operation under way.
struct Power {
    reports: UnboundedReceiver<PowerOutcome>,
    /// What is not an outcome.
    drains: UnboundedReceiver<Heard>,
    task: JoinHandle<()>,
}

impl Power {
    /// The next report; `None` when there is none any more.
    async fn next(&mut self) -> Option<PowerOutcome> {
        timeout(SEQUENCE_WINDOW * 2, self.reports.recv())
            .await
            .expect("in time")
    }

    /// What is heard next of the drain.
    async fn drain(&mut self) -> Option<Heard> {
        timeout(SEQUENCE_WINDOW * 2, self.drains.recv())
            .await
            .expect("in time")
    }

    async fn rejected(&mut self) -> String {
        match self.next().await {
            Some(PowerOutcome::Rejected(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        self.task.abort();
    }
}
