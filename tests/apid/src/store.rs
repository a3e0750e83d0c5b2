//! The resources, and the watches on them: what COSI's in-memory state does.
//!
//! All under one lock: a change and its events to every watch are one step, and so are the look at the
//! present contents and the start of a watch. [cosi-project/runtime: pkg/state/impl/inmem/collection.go,
//! pkg/state/protobuf/server/server.go]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tonic::{Code, Status};

use crate::catalog::{NAMESPACES, READABLE, SENSITIVE, namespace};
use crate::definitions::{RESOURCE_DEFINITION, definition};
use crate::method::ADMIN;
use crate::proto::cosi::resource::{
    Event, EventType, Metadata, Resource, Spec, WatchRequest, WatchResponse,
};
use crate::proto::google::protobuf::Timestamp;
use crate::subscriber::Subscriber;

/// How many events of a type can be asked for afterwards (bookmarks, tail).
const HISTORY: usize = 100;

/// Which resource: namespace, type, id. Sorts as a List does.
type Key = (String, String, String);

/// All resources of the node.
#[derive(Debug)]
pub(crate) struct Store(Mutex<State>);

#[derive(Debug)]
struct State {
    resources: BTreeMap<Key, Resource>,
    histories: BTreeMap<(String, String), History>,
    watches: Vec<Watch>,
    unsupported: BTreeSet<String>,
    /// By the type in lower case: type and namespace.
    added: BTreeMap<String, (String, String)>,
    /// Bookmarks of another epoch are expired.
    epoch: u64,
    /// Counts changes; also the clock of `created` and `updated`.
    changes: i64,
    held: bool,
}

#[derive(Debug, Default)]
struct History {
    next: u64,
    events: Vec<(u64, Event)>,
}

#[derive(Debug)]
struct Watch {
    namespace: String,
    kind: String,
    only: Option<String>,
    api_version: i32,
    aggregated: bool,
    subscriber: Subscriber<WatchResponse>,
}

/// The receiving end of a watch.
pub(crate) type WatchStream = UnboundedReceiver<Result<WatchResponse, Status>>;

impl Default for Store {
    fn default() -> Self {
        Self(Mutex::new(State {
            resources: BTreeMap::new(),
            histories: BTreeMap::new(),
            watches: Vec::new(),
            unsupported: BTreeSet::new(),
            added: BTreeMap::new(),
            epoch: 1,
            changes: 0,
            held: false,
        }))
    }
}

impl Store {
    /// What Talos' access policy says of a read.
    pub(crate) fn permit(
        &self,
        namespace: &str,
        kind: &str,
        roles: &[String],
    ) -> Result<(), Status> {
        let state = self.lock();
        let named = |types: &[&str]| types.iter().any(|known| known.eq_ignore_ascii_case(kind));
        let sensitive = named(SENSITIVE);
        let added = state.added.contains_key(&kind.to_lowercase());
        let known = named(READABLE) || sensitive || added;
        if !known || state.unsupported.contains(&kind.to_lowercase()) {
            let text = format!("resource type {kind:?} is not supported");
            return Err(Status::permission_denied(text));
        }
        if sensitive && !roles.iter().any(|role| role == ADMIN) {
            return Err(Status::permission_denied("not authorized"));
        }
        if !NAMESPACES.contains(&namespace) {
            let text = format!("namespace {namespace:?} is not supported");
            return Err(Status::permission_denied(text));
        }
        Ok(())
    }

    /// Makes a type unknown, as to a Talos that is too old.
    pub(crate) fn drop_type(&self, kind: &str) {
        self.lock().unsupported.insert(kind.to_lowercase());
    }

    /// Creates or updates a resource; an equal spec changes nothing, as in Talos' controllers.
    pub(crate) fn put(&self, namespace: &str, kind: &str, id: &str, spec: Spec) {
        let mut state = self.lock();
        state
            .added
            .entry(kind.to_lowercase())
            .or_insert_with(|| (kind.to_owned(), namespace.to_owned()));
        let key = (namespace.to_owned(), kind.to_owned(), id.to_owned());
        let old = state.resources.get(&key).cloned();
        if old
            .as_ref()
            .is_some_and(|old| old.spec.as_ref() == Some(&spec))
        {
            return;
        }
        state.replace(&key, old, "running", spec);
    }

    /// Marks a resource as about to go (phase `tearingDown`).
    pub(crate) fn tear_down(&self, namespace: &str, kind: &str, id: &str) {
        let mut state = self.lock();
        let key = (namespace.to_owned(), kind.to_owned(), id.to_owned());
        if let Some(old) = state.resources.get(&key).cloned() {
            let spec = old.spec.clone().unwrap_or_default();
            state.replace(&key, Some(old), "tearingDown", spec);
        }
    }

    /// Removes a resource, if it is there.
    pub(crate) fn destroy(&self, namespace: &str, kind: &str, id: &str) {
        let mut state = self.lock();
        let key = (namespace.to_owned(), kind.to_owned(), id.to_owned());
        if let Some(resource) = state.resources.remove(&key) {
            state.publish(&key, event(EventType::Destroyed, Some(resource), None));
        }
    }

    pub(crate) fn get(&self, namespace: &str, kind: &str, id: &str) -> Result<Resource, Status> {
        if kind == RESOURCE_DEFINITION {
            let mut all = self.lock().definitions().into_iter();
            let found = all.find(|one| one.metadata.as_ref().is_some_and(|of| of.id == id));
            let text = || format!("resource {kind}({namespace}/{id}@undefined) doesn't exist");
            return found.ok_or_else(|| Status::not_found(text()));
        }
        let key = (namespace.to_owned(), kind.to_owned(), id.to_owned());
        let found = self.lock().resources.get(&key).cloned();
        let text = || format!("resource {kind}({namespace}/{id}@undefined) doesn't exist");
        found.ok_or_else(|| Status::not_found(text()))
    }

    /// All resources of a type, by id.
    pub(crate) fn list(&self, namespace: &str, kind: &str) -> Vec<Resource> {
        if kind == RESOURCE_DEFINITION {
            return self.lock().definitions();
        }
        self.lock().of_kind(namespace, kind)
    }

    /// Starts a watch: the empty message first, then what the request asks for, then the changes.
    pub(crate) fn watch(&self, request: &WatchRequest) -> Result<WatchStream, Status> {
        let options = request.options.clone().unwrap_or_default();
        if request.id.is_some() && options.bootstrap_contents {
            return Err(Status::unimplemented(
                "bootstrap contents is not implemented for resource watch",
            ));
        }

        let mut state = self.lock();
        let mut initial = Vec::new();
        let (namespace, kind) = (&request.namespace, &request.r#type);
        let tail = usize::try_from(options.tail_events).unwrap_or(0);
        let tombstone = |id: &str| Resource {
            metadata: Some(Metadata {
                namespace: namespace.clone(),
                r#type: kind.clone(),
                id: id.to_owned(),
                version: "undefined".to_owned(),
                phase: "running".to_owned(),
                ..Metadata::default()
            }),
            spec: Some(Spec::default()),
        };
        if let Some(bookmark) = &options.start_from_bookmark {
            let mut missed = state.since(namespace, kind, bookmark)?;
            missed.retain(|event| request.id.as_deref().is_none_or(|id| id == id_of(event)));
            initial.extend(missed);
        } else if tail > 0 {
            let mut past = state.past(namespace, kind);
            past.retain(|event| request.id.as_deref().is_none_or(|id| id == id_of(event)));
            initial.extend(past.split_off(past.len().saturating_sub(tail)));
        } else if let Some(id) = &request.id {
            let key = (namespace.clone(), kind.clone(), id.clone());
            initial.push(match state.resources.get(&key) {
                Some(resource) => event(EventType::Created, Some(resource.clone()), None),
                None => event(EventType::Destroyed, Some(tombstone(id)), None),
            });
        }
        if options.bootstrap_contents {
            let present = state.of_kind(namespace, kind).into_iter();
            initial.extend(present.map(|one| event(EventType::Created, Some(one), None)));
            let mut done = event(EventType::Bootstrapped, Some(tombstone("")), None);
            done.bookmark = Some(state.bookmark(namespace, kind));
            initial.push(done);
        }
        if options.bootstrap_bookmark && request.id.is_none() {
            let mut here = event(EventType::Noop, Some(tombstone("")), None);
            here.bookmark = Some(state.bookmark(namespace, kind));
            initial.push(here);
        }

        let (sender, stream) = unbounded_channel();
        let mut watch = Watch {
            namespace: namespace.clone(),
            kind: kind.clone(),
            only: request.id.clone(),
            api_version: request.api_version,
            aggregated: options.aggregated && request.id.is_none(),
            subscriber: Subscriber::new(sender),
        };
        watch.subscriber.send(WatchResponse::default());
        watch.deliver(initial);
        if state.held {
            watch.subscriber.hold();
        }
        state.watches.push(watch);
        Ok(stream)
    }

    /// How many live watches there are on a type.
    pub(crate) fn watch_count(&self, kind: &str) -> usize {
        let mut state = self.lock();
        state.watches.retain(|watch| watch.subscriber.is_open());
        let on_kind = state.watches.iter().filter(|watch| watch.kind == kind);
        on_kind.filter(|watch| watch.subscriber.is_live()).count()
    }

    /// Sends ERRORED to every watch, which then stays open and silent.
    pub(crate) fn error_watches(&self) {
        for watch in &mut self.lock().watches {
            let mut overrun = event(EventType::Errored, None, None);
            overrun.error = Some(format!(
                "buffer overrun: namespace {:?} type {:?}, write pos {}, pos {}, capacity {HISTORY}",
                watch.namespace,
                watch.kind,
                2 * HISTORY,
                0
            ));
            watch.deliver(vec![overrun]);
            watch.subscriber.silence();
        }
    }

    /// Makes every bookmark given out so far invalid.
    pub(crate) fn expire_bookmarks(&self) {
        self.lock().epoch += 1;
    }

    /// Holds all events back, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        let mut state = self.lock();
        state.held = held;
        for watch in &mut state.watches {
            if held {
                watch.subscriber.hold();
            } else {
                watch.subscriber.release();
            }
        }
    }

    /// Ends all watches with this status.
    pub(crate) fn end_watches(&self, code: Code, text: &str) {
        for watch in self.lock().watches.drain(..) {
            watch.subscriber.end(Status::new(code, text));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What there is to know of every type that is known.
    fn definitions(&self) -> Vec<Resource> {
        let known = READABLE.iter().chain(SENSITIVE);
        let mut kinds: BTreeMap<String, (String, String)> = known
            .map(|&kind| {
                (
                    kind.to_lowercase(),
                    (kind.to_owned(), namespace(kind).to_owned()),
                )
            })
            .collect();
        for (key, value) in &self.added {
            kinds.entry(key.clone()).or_insert_with(|| value.clone());
        }
        kinds.retain(|kind, _| !self.unsupported.contains(kind));
        let kinds = kinds.into_values();
        kinds
            .map(|(kind, namespace)| {
                definition(&kind, &namespace, SENSITIVE.contains(&kind.as_str()))
            })
            .collect()
    }

    fn of_kind(&self, namespace: &str, kind: &str) -> Vec<Resource> {
        self.resources
            .iter()
            .filter(|((of, is, _), _)| of == namespace && is == kind)
            .map(|(_, resource)| resource.clone())
            .collect()
    }

    fn replace(&mut self, key: &Key, old: Option<Resource>, phase: &str, spec: Spec) {
        self.changes += 1;
        let now = Timestamp {
            seconds: 1_700_000_000 + self.changes,
            nanos: 0,
        };
        let before = old.as_ref().and_then(|old| old.metadata.clone());
        let version = before
            .as_ref()
            .and_then(|metadata| metadata.version.parse::<u64>().ok())
            .unwrap_or(0);
        let resource = Resource {
            metadata: Some(Metadata {
                namespace: key.0.clone(),
                r#type: key.1.clone(),
                id: key.2.clone(),
                version: (version + 1).to_string(),
                owner: "apid".to_owned(),
                phase: phase.to_owned(),
                created: Some(before.and_then(|metadata| metadata.created).unwrap_or(now)),
                updated: Some(now),
                ..Metadata::default()
            }),
            spec: Some(spec),
        };
        self.resources.insert(key.clone(), resource.clone());
        let kind = match old {
            Some(_) => EventType::Updated,
            None => EventType::Created,
        };
        self.publish(key, event(kind, Some(resource), old));
    }

    fn publish(&mut self, (namespace, kind, id): &Key, mut event: Event) {
        let place = (namespace.clone(), kind.clone());
        event.bookmark = Some(self.bookmark_at(self.next(&place)));
        let history = self.histories.entry(place).or_default();
        history.events.push((history.next, event.clone()));
        history.next += 1;
        if history.events.len() > HISTORY {
            history.events.remove(0);
        }
        self.watches.retain(|watch| watch.subscriber.is_open());
        for watch in &mut self.watches {
            let same = watch.namespace == *namespace && watch.kind == *kind;
            if same && watch.only.as_ref().is_none_or(|only| only == id) {
                watch.deliver(vec![event.clone()]);
            }
        }
    }

    fn next(&self, place: &(String, String)) -> u64 {
        self.histories.get(place).map_or(0, |history| history.next)
    }

    /// The bookmark of what was last: 8 bytes of epoch, 8 bytes of position.
    fn bookmark(&self, namespace: &str, kind: &str) -> Vec<u8> {
        let next = self.next(&(namespace.to_owned(), kind.to_owned()));
        self.bookmark_at(next.wrapping_sub(1))
    }

    fn bookmark_at(&self, position: u64) -> Vec<u8> {
        [self.epoch.to_be_bytes(), position.to_be_bytes()].concat()
    }

    fn past(&self, namespace: &str, kind: &str) -> Vec<Event> {
        let history = self.histories.get(&(namespace.to_owned(), kind.to_owned()));
        let events = history.map_or(&[][..], |history| &history.events);
        events.iter().map(|(_, event)| event.clone()).collect()
    }

    /// What came after a bookmark.
    fn since(&self, namespace: &str, kind: &str, bookmark: &[u8]) -> Result<Vec<Event>, Status> {
        let expired = || Status::failed_precondition("invalid watch bookmark");
        let bytes = <[u8; 16]>::try_from(bookmark).map_err(|_| expired())?;
        let number = u128::from_be_bytes(bytes);
        let (epoch, position) = ((number >> 64) as u64, number as u64);
        let next = self.next(&(namespace.to_owned(), kind.to_owned()));
        let wanted = position.wrapping_add(1);
        let past = self.past(namespace, kind);
        let missed = next.checked_sub(wanted).ok_or_else(expired)?;
        let missed = usize::try_from(missed).map_err(|_| expired())?;
        if epoch != self.epoch || missed > past.len() {
            return Err(expired());
        }
        Ok(past[past.len() - missed..].to_vec())
    }
}

impl Watch {
    /// Sends events one by one or all in one message, without those that the caller is too old for.
    fn deliver(&mut self, mut events: Vec<Event>) {
        if self.api_version < 1 {
            events.retain(|event| {
                !matches!(
                    event.event_type(),
                    EventType::Bootstrapped | EventType::Errored
                )
            });
        }
        if self.aggregated && !events.is_empty() {
            self.subscriber.send(WatchResponse { event: events });
        } else {
            for event in events {
                self.subscriber.send(WatchResponse { event: vec![event] });
            }
        }
    }
}

fn event(kind: EventType, resource: Option<Resource>, old: Option<Resource>) -> Event {
    Event {
        resource,
        event_type: kind.into(),
        old,
        ..Event::default()
    }
}

fn id_of(event: &Event) -> &str {
    let metadata = event
        .resource
        .as_ref()
        .and_then(|resource| resource.metadata.as_ref());
    metadata.map_or("", |metadata| &metadata.id)
}
