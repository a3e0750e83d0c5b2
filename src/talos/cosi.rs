//! A COSI watch: the resources of one type, kept as a set.
//!
//! ```text
//! (empty response)  CREATED CREATED … BOOTSTRAPPED  UPDATED DESTROYED …   or  ERRORED, then silence
//! ```
//! The set of a new watch replaces the former one only when BOOTSTRAPPED says that it is complete, so nobody
//! ever sees a half-filled one. Sans-IO: [`Collection`] takes events and says what became of the set.
//! Source: cosi-project/runtime `api/v1alpha1/state.proto`, `pkg/state/protobuf/server`.

use std::collections::BTreeMap;

use super::facts::{Malformed, Source};
use super::proto::cosi::resource::{Event, EventType};

/// What the events so far amount to.
#[derive(Debug)]
pub(super) struct Collection<T> {
    values: BTreeMap<String, T>,
    bootstrapped: bool,
}

/// What an event did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing that concerns the values.
    None,
    /// The set is complete for the first time, or has changed since: publish it.
    Changed,
}

/// The event is out of order.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The server gave up on the watch (a reader too slow); it will send nothing more.
    #[error("Talos ended the watch: {0}")]
    Errored(String),
    /// One resource is unusable; the watch goes on, its former value stands.
    #[error("resource {id:?} is malformed")]
    Malformed {
        /// Id of the resource.
        id: String,
        /// What is wrong.
        #[source]
        source: Malformed,
    },
}

impl<T> Default for Collection<T> {
    fn default() -> Self {
        Self {
            values: BTreeMap::new(),
            bootstrapped: false,
        }
    }
}

impl<T: PartialEq> Collection<T> {
    /// The values by resource id.
    pub(super) fn values(&self) -> &BTreeMap<String, T> {
        &self.values
    }

    /// Takes one event of the watch.
    pub(super) fn handle_event(
        &mut self,
        event: Event,
        source: &Source<T>,
    ) -> Result<Effect, Fault> {
        // The generated getter would take a type that it does not know for CREATED.
        let Ok(event_type) = EventType::try_from(event.event_type) else {
            return Ok(Effect::None);
        };
        let changed = match event_type {
            EventType::Created | EventType::Updated => {
                let Some(resource) = event.resource else {
                    return Ok(Effect::None);
                };
                let id = resource.metadata.unwrap_or_default().id;
                let spec = resource.spec.unwrap_or_default().proto_spec;
                match (source.decode)(&id, &spec) {
                    Ok(Some(value)) => {
                        let same = self.values.get(&id) == Some(&value);
                        self.values.insert(id, value);
                        !same
                    }
                    Ok(None) => self.values.remove(&id).is_some(),
                    Err(source) => return Err(Fault::Malformed { id, source }),
                }
            }
            EventType::Destroyed => {
                let id = event
                    .resource
                    .and_then(|resource| resource.metadata)
                    .unwrap_or_default()
                    .id;
                self.values.remove(&id).is_some()
            }
            EventType::Bootstrapped => {
                self.bootstrapped = true;
                return Ok(if self.values.is_empty() && source.never_empty {
                    Effect::None
                } else {
                    Effect::Changed
                });
            }
            EventType::Errored => return Err(Fault::Errored(event.error.unwrap_or_default())),
            EventType::Noop => false,
        };
        Ok(if changed && self.bootstrapped {
            Effect::Changed
        } else {
            Effect::None
        })
    }

    /// Whether the initial set is complete.
    pub(super) fn is_bootstrapped(&self) -> bool {
        self.bootstrapped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::facts::Kind;
    use crate::talos::proto::cosi::resource::{Metadata, Resource, Spec};

    /// One byte is a value, two are nothing, anything else is malformed.
    const BYTES: Source<u8> = Source {
        kind: Kind {
            namespace: "n",
            kind: "Bytes",
        },
        decode: |_, spec| match spec {
            [value] => Ok(Some(*value)),
            [_, _] => Ok(None),
            other => Err(Malformed::AddressLength(other.len())),
        },
        publish: |_, _| true,
        never_empty: false,
    };

    fn event(kind: EventType, id: &str, spec: &[u8]) -> Event {
        Event {
            resource: Some(Resource {
                metadata: Some(Metadata {
                    id: id.into(),
                    ..Metadata::default()
                }),
                spec: Some(Spec {
                    proto_spec: spec.to_vec(),
                    ..Spec::default()
                }),
            }),
            event_type: kind.into(),
            ..Event::default()
        }
    }

    fn bootstrapped() -> Collection<u8> {
        let mut set = Collection::default();
        for (id, value) in [("a", 1), ("b", 2)] {
            let created = event(EventType::Created, id, &[value]);
            // Nothing is to be published before the set is complete.
            assert_eq!(set.handle_event(created, &BYTES), Ok(Effect::None));
        }
        let end = event(EventType::Bootstrapped, "", &[]);
        assert_eq!(set.handle_event(end, &BYTES), Ok(Effect::Changed));
        set
    }

    #[test]
    fn the_set_is_published_once_complete_and_then_at_each_change() {
        let mut set = bootstrapped();
        let mut step = |kind, id, spec: &[u8]| set.handle_event(event(kind, id, spec), &BYTES);
        assert_eq!(step(EventType::Updated, "a", &[3]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Updated, "a", &[3]), Ok(Effect::None));
        assert_eq!(step(EventType::Created, "c", &[4]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Destroyed, "b", &[]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Destroyed, "b", &[]), Ok(Effect::None));
        assert_eq!(step(EventType::Noop, "", &[]), Ok(Effect::None));
        assert_eq!(step(EventType::Updated, "c", &[0, 0]), Ok(Effect::Changed));
        assert_eq!(*set.values(), BTreeMap::from([("a".to_owned(), 3)]));
    }

    #[test]
    fn a_malformed_resource_leaves_its_former_value() {
        let mut set = bootstrapped();
        let fault = set.handle_event(event(EventType::Updated, "a", &[]), &BYTES);
        assert!(matches!(fault, Err(Fault::Malformed { .. })), "{fault:?}");
        assert_eq!(set.values()["a"], 1);
    }

    #[test]
    fn errored_is_the_end() {
        let mut set = bootstrapped();
        let mut end = event(EventType::Errored, "", &[]);
        end.error = Some("buffer overrun".into());
        let fault = set.handle_event(end, &BYTES);
        assert_eq!(fault, Err(Fault::Errored("buffer overrun".into())));
    }

    #[test]
    fn an_empty_set_that_cannot_be_is_not_published() {
        let source = Source {
            never_empty: true,
            ..BYTES
        };
        let mut set = Collection::default();
        let end = event(EventType::Bootstrapped, "", &[]);
        assert_eq!(set.handle_event(end, &source), Ok(Effect::None));
        assert!(set.is_bootstrapped());
        let created = event(EventType::Created, "a", &[1]);
        assert_eq!(set.handle_event(created, &source), Ok(Effect::Changed));
    }

    #[test]
    fn events_without_a_resource_do_nothing() {
        for kind in 0..7 {
            let mut set = bootstrapped();
            let bare = Event {
                event_type: kind,
                ..Event::default()
            };
            let _ = set.handle_event(bare, &BYTES);
            assert_eq!(set.values().len(), 2, "{kind}");
        }
    }
}
