//! The rare ends of a power operation, with the embedded Talos API. Where Talos takes minutes, our clock is
//! turned forward; `tests/talos_client.rs` has the common ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use apid::proto::common;
use apid::proto::machine::SequenceEvent;
use apid::proto::machine::sequence_event::Action;
use apid::{Apid, Method, PowerBehaviour, Stage as TalosStage, Status};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};
use tokio::task::JoinHandle;

use super::*;
use crate::config::RebootMode;

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(10);

const REBOOT: PowerOperation = PowerOperation::Reboot;

#[tokio::test]
async fn a_doubt_is_that_of_its_own_method_and_is_asked_about_once() {
    let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
    let sent = Instant::now();
    client.leave_doubt(REBOOT, sent);
    assert_eq!(client.take_doubt(PowerOperation::Shutdown), None);
    assert_eq!(client.take_doubt(REBOOT), Some(sent));
    assert_eq!(client.take_doubt(REBOOT), None);
}

#[tokio::test]
async fn a_sequence_that_does_not_begin_within_75_s_did_not_happen() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    node.pass(74).await;
    assert_eq!(power.reports.try_recv(), Err(TryRecvError::Empty));
    node.pass(2).await;
    let why = "Talos began no sequence within 75 s".to_owned();
    assert_eq!(power.next().await, Some(PowerOutcome::DidNotHappen(why)));
    assert_eq!(power.next().await, None);
}

#[tokio::test]
async fn a_sequence_whose_events_are_lost_shows_in_the_stage() {
    let node = Node::new();
    node.api.set_power(PowerBehaviour::AcceptSilently);
    let mut power = node.accepted().await;
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    node.pass(76).await;
    assert_eq!(power.next().await, None);
}

#[tokio::test]
async fn a_sequence_that_has_begun_is_followed_for_ten_minutes() {
    let node = Node::new();
    let mut power = node.accepted().await;
    node.pass(599).await;
    assert_eq!(power.reports.try_recv(), Err(TryRecvError::Empty));
    // It began, so without a word of its end nobody may say that it did not happen.
    node.api.set_stage(TalosStage::MachineStageRunning, true);
    node.pass(2).await;
    assert_eq!(power.next().await, None);
}

#[tokio::test]
async fn events_that_break_off_are_listened_to_again() {
    let node = Node::new();
    let mut power = node.accepted().await;
    node.api.drop_connections();
    let again = node.api.until_calls(Method::Events, 2, LONG).await;
    again.unwrap();
    node.told().await;
    node.publish(Action::Noop, Some((common::Code::Fatal, "task failed")));
    let why = "task failed".to_owned();
    assert_eq!(power.next().await, Some(PowerOutcome::DidNotHappen(why)));
}

#[tokio::test]
async fn events_that_cannot_be_had_are_asked_for_ever_more_slowly() {
    let node = Node::new();
    let _power = node.accepted().await;
    let broken = Status::unavailable("busy");
    node.api
        .fail_next(Method::Events, &broken, usize::from(u8::MAX));
    node.api.drop_connections();
    for _ in 0..60 {
        node.pass(1).await;
    }
    let times = node.api.calls_of(Method::Events).len();
    assert!((8..30).contains(&times), "{times}");
}

#[tokio::test]
async fn without_leave_to_listen_an_acceptance_is_the_last_word() {
    let node = Node::new();
    let denied = Status::permission_denied("not authorized");
    node.api
        .fail_next(Method::Events, &denied, usize::from(u8::MAX));
    let mut power = node.accepted().await;
    assert_eq!(power.next().await, None);
}

/// Nobody has heard of the call, so nothing is sent: not even a call that may fail.
#[tokio::test]
async fn nothing_is_called_before_talos_can_be_reached() {
    let node = Node::new();
    let away = Status::unavailable("no connection to machined");
    node.api.fail_next(Method::Events, &away, 3);
    let _power = node.accepted().await;
    assert_eq!(node.api.calls_of(Method::Events).len(), 4);
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test]
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

#[tokio::test]
async fn a_start_that_is_seen_is_the_answer_to_a_call_that_has_none() {
    let node = Node::new();
    let mut power = node.cut_off(LONG).await;
    let again = node.api.until_calls(Method::Events, 2, LONG).await;
    again.unwrap();
    node.told().await;
    // Its stage comes later.
    node.publish(Action::Start, None);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test]
async fn a_machine_that_still_runs_did_not_get_the_call() {
    let node = Node::new();
    let mut power = node.cut_off(LONG).await;
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test]
async fn a_machine_that_goes_down_got_the_call() {
    let node = Node::new();
    node.api.delay(Method::Events, LONG);
    let mut power = node.cut_off(LONG).await;
    node.api.set_stage(TalosStage::MachineStageRebooting, false);
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 1);
}

#[tokio::test]
async fn silence_of_the_events_alone_is_believed() {
    let node = Node::new();
    let denied = Status::permission_denied("not authorized");
    node.api
        .fail_next(Method::Get, &denied, usize::from(u8::MAX));
    let mut power = node.cut_off(LONG).await;
    assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
    assert_eq!(node.api.calls_of(Method::Reboot).len(), 2);
}

#[tokio::test]
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

/// A running node.
struct Node {
    api: Apid,
    client: Client,
    folder: PathBuf,
}

impl Node {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talos-power-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("machine.sock");
        let api = Apid::machined(&socket).unwrap();
        api.set_stage(TalosStage::MachineStageRunning, true);
        let client = Client::machined(socket, "os:operator");
        Self {
            api,
            client,
            folder,
        }
    }

    /// A reboot has been asked for.
    fn begin(&self, deadline: Duration) -> Power {
        let (sender, reports) = unbounded_channel();
        let client = self.client.clone();
        let task = tokio::spawn(async move {
            let how = PowerConfig {
                deadline,
                force_shutdown: false,
                reboot_mode: RebootMode::Default,
            };
            carry_out(&client, REBOOT, how, |outcome| {
                let _ = sender.send(outcome);
            })
            .await;
        });
        Power { reports, task }
    }

    /// A reboot has been asked for and accepted.
    async fn accepted(&self) -> Power {
        let mut power = self.begin(LONG);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        self.told().await;
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

    /// Everything that Talos has said has been heard: on one connection nothing overtakes.
    async fn told(&self) {
        for _ in 0..2 {
            timeout(LONG, async {
                while self.client.version().await.is_err() {}
            })
            .await
            .unwrap();
        }
    }

    /// Turns our clock forward.
    async fn pass(&self, seconds: u64) {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
        self.told().await;
    }

    fn publish(&self, action: Action, error: Option<(common::Code, &str)>) {
        let error = error.map(|(code, message)| common::Error {
            code: code.into(),
            message: message.to_owned(),
            details: Vec::new(),
        });
        let event = SequenceEvent {
            sequence: "reboot".to_owned(),
            action: action.into(),
            error,
        };
        self.api.publish("", &event);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A power operation under way.
struct Power {
    reports: UnboundedReceiver<PowerOutcome>,
    task: JoinHandle<()>,
}

impl Power {
    /// The next report; `None` when there is none any more.
    async fn next(&mut self) -> Option<PowerOutcome> {
        timeout(LONG, self.reports.recv()).await.expect("in time")
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
