//! Power sequences as Talos carries them out: in phases, one at a time.
//!
//! ```text
//! shutdown            START ─ phase drain ─ phase cleanup ─ … ─ RestartEvent
//! shutdown, forced    START ─────────────── phase cleanup ─ … ─ RestartEvent
//! taken over          … STOP ─ NOOP CANCELED                       then the other one's START
//! ```
//! A Shutdown takes the place of whatever runs, a Reboot that of another Reboot; beside a Shutdown it is locked out.
//! [internal/app/machined/pkg/runtime/v1alpha1: v1alpha1_controller.go, v1alpha1_priority_lock.go, v1alpha1_sequencer.go]

use std::future::pending;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::Apid;
use crate::power::{fail, locked_out, start};
use crate::proto::common;
use crate::proto::machine::sequence_event::Action;
use crate::proto::machine::{PhaseEvent, RestartEvent, SequenceEvent, TaskEvent};
use crate::proto::machine::{phase_event, task_event};
use crate::shared::Shared;

/// How long Talos waits for a sequence to give up.
const TAKE_OVER: Duration = Duration::from_secs(60);

/// How long the parts of a sequence take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequences {
    /// The drain of a Shutdown that is not forced; `None`: until [`Apid::end_drain`], as with a PodDisruptionBudget that
    /// cannot be met.
    pub drain: Option<Duration>,
    /// All that follows the drain, up to the end of the machine; `None`: for ever.
    pub stopping: Option<Duration>,
    /// A sequence that is taken over, until it has given up.
    pub yielding: Duration,
    /// Whether the API goes away at the end, as by `stop`.
    pub dies: bool,
}

/// A sequence that runs.
#[derive(Debug)]
pub(crate) struct Running {
    sequence: &'static str,
    cancel: watch::Sender<bool>,
    /// Closed once it has ended.
    ended: watch::Receiver<()>,
}

/// Ends a drain that has no end of its own.
#[derive(Debug)]
pub(crate) struct Drain(watch::Sender<bool>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Apid {
    /// Ends the drain of [`Sequences`], now or when it comes.
    pub fn end_drain(&self) {
        self.shared().drain.0.send_replace(true);
    }
}

/// Begins a sequence, or what Talos does instead.
pub(crate) fn run(
    shared: &Arc<Shared>,
    how: Sequences,
    sequence: &'static str,
    force: bool,
    actor: &str,
) {
    let mut running = lock(shared);
    if let Some(before) = &*running
        && before.is_there()
        && sequence == "reboot"
        && before.sequence != "reboot"
    {
        return locked_out(shared, sequence);
    }
    let (cancel, cancelled) = watch::channel(false);
    let (end, ended) = watch::channel(());
    let before = running.replace(Running {
        sequence,
        cancel,
        ended,
    });
    let course = Course {
        shared: Arc::clone(shared),
        how,
        sequence,
        force,
        actor: actor.to_owned(),
        cancelled,
    };
    tokio::spawn(async move {
        let _ended_with_this = end;
        course.run(before).await;
    });
}

fn lock(shared: &Shared) -> MutexGuard<'_, Option<Running>> {
    shared
        .running
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    fn is_there(&self) -> bool {
        self.ended.has_changed().is_ok()
    }

    /// Makes it give up; whether it does in time.
    async fn give_up(mut self) -> bool {
        self.cancel.send_replace(true);
        let ended = async { while self.ended.changed().await.is_ok() {} };
        timeout(TAKE_OVER, ended).await.is_ok()
    }
}

/// One sequence.
struct Course {
    shared: Arc<Shared>,
    how: Sequences,
    sequence: &'static str,
    force: bool,
    actor: String,
    cancelled: watch::Receiver<bool>,
}

impl Course {
    async fn run(mut self, before: Option<Running>) {
        if let Some(before) = before
            && !before.give_up().await
        {
            // Only machined's log says so.
            return;
        }
        start(&self.shared, self.sequence, &self.actor);
        self.shared.changed.changed();
        if self.sequence == "shutdown" {
            // A controller does that, by the stage alone.
            self.shared.cordon();
            if !self.force {
                let ended = self.shared.drain.0.subscribe();
                let drain = drained(self.how.drain, ended);
                if !self.phase("drain", "cordonAndDrainNode", drain).await {
                    return self.cancel();
                }
            }
        }
        let stopping = take(self.how.stopping);
        if !self.phase("cleanup", "stopAllPods", stopping).await {
            return self.cancel();
        }
        self.publish(&RestartEvent { cmd: 1 });
        self.shared.changed.changed();
        if self.how.dies {
            let words = "shutting down";
            self.shared.store.end_watches(Code::Unavailable, words);
            self.shared.events.end(Code::Unavailable, words);
            self.shared.door.close_gently();
        }
        pending::<()>().await;
    }

    /// One phase of one task; whether it came to its end.
    async fn phase(&mut self, phase: &str, task: &str, work: impl Future<Output = ()>) -> bool {
        let phase = |action: phase_event::Action| PhaseEvent {
            phase: phase.to_owned(),
            action: action.into(),
        };
        let task = |action: task_event::Action| TaskEvent {
            task: task.to_owned(),
            action: action.into(),
        };
        self.publish(&phase(phase_event::Action::Start));
        self.publish(&task(task_event::Action::Start));
        self.shared.changed.changed();
        let ends = tokio::select! {
            biased;
            _ = self.cancelled.wait_for(|cancelled| *cancelled) => false,
            () = work => true,
        };
        if !ends {
            sleep(self.how.yielding).await;
        }
        self.publish(&task(task_event::Action::Stop));
        self.publish(&phase(phase_event::Action::Stop));
        ends
    }

    /// Another sequence takes its place.
    fn cancel(&self) {
        self.publish(&SequenceEvent {
            sequence: self.sequence.to_owned(),
            action: Action::Stop.into(),
            error: None,
        });
        let text = format!(
            "sequence failed: error running phase 2 in {} sequence: context canceled",
            self.sequence
        );
        let code = common::Code::Canceled;
        fail(&self.shared, self.sequence, &self.actor, code, &text);
    }

    fn publish<M: prost::Name>(&self, message: &M) {
        self.shared.events.publish(&self.actor, message);
    }
}

async fn take(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

async fn drained(time: Option<Duration>, mut ended: watch::Receiver<bool>) {
    match time {
        Some(time) => sleep(time).await,
        // An error means that the API is gone.
        None => drop(ended.wait_for(|ended| *ended).await),
    }
}
