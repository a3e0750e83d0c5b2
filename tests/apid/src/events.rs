//! The event stream of MachineService: sequences, stages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use prost::Name;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::proto::google::protobuf::Any;
use crate::proto::machine::{Event, EventsRequest};
use crate::subscriber::Subscriber;

/// All events since the start, and who listens.
#[derive(Debug, Default)]
pub(crate) struct EventLog {
    state: Mutex<State>,
    /// Whether a stream begins with the first event, header included, and not with a greeting.
    mute: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    past: Vec<Event>,
    /// Whole seconds since the first event, as the ids of Talos' events have them.
    seconds: Vec<u64>,
    first: Option<Instant>,
    listeners: Vec<Listener>,
    held: bool,
}

#[derive(Debug)]
struct Listener {
    /// Only this actor's events, unless empty. Talos' LOCKED event has no actor and is not among them.
    actor_id: String,
    subscriber: Subscriber<Event>,
}

impl EventLog {
    /// Publishes an event under an actor id, or an empty one.
    pub(crate) fn publish<M: Name>(&self, actor_id: &str, message: &M) {
        let mut state = self.lock();
        let event = Event {
            metadata: None,
            data: Some(Any {
                type_url: format!("talos/runtime/{}", M::full_name()),
                value: message.encode_to_vec(),
            }),
            id: event_id(state.past.len()),
            actor_id: actor_id.to_owned(),
        };
        let now = Instant::now();
        let first = *state.first.get_or_insert(now);
        state.past.push(event.clone());
        state.seconds.push((now - first).as_secs());
        state
            .listeners
            .retain(|listener| listener.subscriber.is_open());
        for listener in &mut state.listeners {
            if listener.wants(&event) {
                listener.subscriber.send(event.clone());
            }
        }
    }

    /// Streams do not begin before there is something to say.
    pub(crate) fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_mute(&self) -> bool {
        self.mute.load(Ordering::Relaxed)
    }

    /// Starts a stream: the greeting, the past that was asked for, then what comes.
    pub(crate) fn listen(
        &self,
        request: &EventsRequest,
    ) -> UnboundedReceiver<Result<Event, Status>> {
        let mut state = self.lock();
        let (sender, stream) = unbounded_channel();
        let mut listener = Listener {
            actor_id: request.with_actor_id.clone(),
            subscriber: Subscriber::new(sender),
        };
        if !self.is_mute() {
            listener.subscriber.send(Event {
                metadata: None,
                data: Some(Any::default()),
                id: event_id(state.past.len()),
                actor_id: request.with_actor_id.clone(),
            });
        }
        // Talos: later than now less so many seconds.
        let since = state.first.zip(u64::try_from(request.tail_seconds).ok());
        let recent = since.map_or(0, |(first, tail)| {
            let begin = first.elapsed().as_secs().checked_sub(tail);
            let is_recent = |at: &&u64| begin.is_none_or(|begin| **at > begin);
            state.seconds.iter().rev().take_while(is_recent).count()
        });
        let tail = match usize::try_from(request.tail_events) {
            Ok(0) if request.tail_seconds > 0 => recent,
            Ok(tail) => tail,
            Err(_) => state.past.len(),
        };
        let after = state
            .past
            .iter()
            .position(|event| event.id == request.tail_id);
        let skip = match after {
            Some(place) => place + 1,
            None => state.past.len().saturating_sub(tail),
        };
        for event in state.past.iter().skip(skip) {
            if listener.wants(event) {
                listener.subscriber.send(event.clone());
            }
        }
        if state.held {
            listener.subscriber.hold();
        }
        state.listeners.push(listener);
        stream
    }

    /// How many listen.
    pub(crate) fn listener_count(&self) -> usize {
        let mut state = self.lock();
        state
            .listeners
            .retain(|listener| listener.subscriber.is_open());
        state.listeners.len()
    }

    pub(crate) fn hold(&self, held: bool) {
        let mut state = self.lock();
        state.held = held;
        for listener in &mut state.listeners {
            if held {
                listener.subscriber.hold();
            } else {
                listener.subscriber.release();
            }
        }
    }

    pub(crate) fn end(&self, code: Code, text: &str) {
        for listener in self.lock().listeners.drain(..) {
            listener.subscriber.end(Status::new(code, text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener {
    fn wants(&self, event: &Event) -> bool {
        self.actor_id.is_empty() || self.actor_id == event.actor_id
    }
}

/// Twenty characters that sort by time, as Talos' ids do.
fn event_id(number: usize) -> String {
    format!("c0ffee{number:014}")
}
