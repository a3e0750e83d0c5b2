//! A COSI watch: the resources of one type, kept as a set.
//!
//! ```text
//! (empty response)  CREATED CREATED … BOOTSTRAPPED  UPDATED DESTROYED …   or  ERRORED, then silence
//! ```
//! The set of a new watch replaces the previous one only once BOOTSTRAPPED says that it is complete, so nobody
//! ever sees a half-filled one. Sans-IO: [`Collection`] takes events and says what they did to the set.
//! Source: cosi-project/runtime `api/v1alpha1/state.proto`, `pkg/state/protobuf/server`.

use super::facts::{Malformed, Values, Watched};
use super::proto::cosi::resource::{Event, EventType};
use crate::facts::Facts;

/// The resources of one watch, after the events so far.
pub(super) struct Collection {
    values: Box<dyn Values + Send>,
    never_empty: bool,
    bootstrapped: bool,
}

/// What an event did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The values are the same, or not yet complete.
    None,
    /// The set is complete for the first time, or has changed since: publish it.
    Changed,
}

/// The event cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The server gave up on the watch (we read too slowly); it will send nothing more.
    #[error("Talos ended the watch: {0}")]
    Errored(String),
    /// One resource cannot be used; the watch goes on, and its former value stays.
    #[error("resource {id:?} is malformed")]
    Malformed {
        /// Id of the resource.
        id: String,
        /// What is wrong.
        #[source]
        source: Malformed,
    },
}

impl Collection {
    /// The set of a new watch.
    pub(super) fn new(watched: &'static dyn Watched) -> Self {
        Self {
            values: watched.values(),
            never_empty: watched.never_empty(),
            bootstrapped: false,
        }
    }

    /// Puts the values into the facts; whether those changed by that.
    pub(super) fn publish(&self, facts: &mut Facts) -> bool {
        self.values.publish(facts)
    }

    /// Takes one event of the watch.
    pub(super) fn handle_event(&mut self, event: Event) -> Result<Effect, Fault> {
        // The generated getter would return CREATED for a type that it does not know.
        let Ok(event_type) = EventType::try_from(event.event_type) else {
            return Ok(Effect::None);
        };
        let changed = match event_type {
            EventType::Created | EventType::Updated => {
                let Some(resource) = event.resource else {
                    return Ok(Effect::None);
                };
                let metadata = resource.metadata.unwrap_or_default();
                let created = metadata.created.unwrap_or_default();
                let created = (created.seconds, created.nanos);
                let id = metadata.id;
                let spec = resource.spec.unwrap_or_default().proto_spec;
                match self.values.set(&id, created, &spec) {
                    Ok(changed) => changed,
                    Err(source) => return Err(Fault::Malformed { id, source }),
                }
            }
            EventType::Destroyed => {
                let id = event
                    .resource
                    .and_then(|resource| resource.metadata)
                    .unwrap_or_default()
                    .id;
                self.values.remove(&id)
            }
            EventType::Bootstrapped => {
                self.bootstrapped = true;
                return Ok(if self.values.is_empty() && self.never_empty {
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
    use crate::facts::HostName;
    use crate::facts::replace;
    use crate::talos::facts::{Kind, Source};
    use crate::talos::proto::cosi::resource::{Metadata, Resource, Spec};
    use crate::talos::purpose::Purpose;

    /// One byte is a value, two are nothing, anything else is malformed.
    const BYTES: Source<String> = Source {
        kind: Kind {
            namespace: "n",
            kind: "Bytes",
        },
        decode: |id, spec| match spec {
            [value] => Ok(Some(format!("{id}{value}"))),
            [_, _] => Ok(None),
            other => Err(Malformed::AddressLength(other.len())),
        },
        publish: |facts, values| {
            let values: Vec<_> = values.values().map(String::as_str).collect();
            let host = values.join(" ");
            let domain = String::new();
            replace(&mut facts.host_name, HostName { host, domain })
        },
        never_empty: false,
        purpose: Purpose::new("nothing"),
    };

    /// The values as they are published.
    fn values(set: &Collection) -> String {
        let mut facts = Facts::default();
        assert!(set.publish(&mut facts));
        assert!(!set.publish(&mut facts), "nothing new");
        facts.host_name.unwrap().host
    }

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

    fn bootstrapped() -> Collection {
        let mut set = Collection::new(&BYTES);
        for (id, value) in [("a", 1), ("b", 2)] {
            let created = event(EventType::Created, id, &[value]);
            // Nothing must be published before the set is complete.
            assert_eq!(set.handle_event(created), Ok(Effect::None));
        }
        let end = event(EventType::Bootstrapped, "", &[]);
        assert_eq!(set.handle_event(end), Ok(Effect::Changed));
        set
    }

    #[test]
    fn the_set_is_published_once_complete_and_then_at_each_change() {
        let mut set = bootstrapped();
        let mut step = |kind, id, spec: &[u8]| set.handle_event(event(kind, id, spec));
        assert_eq!(step(EventType::Updated, "a", &[3]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Updated, "a", &[3]), Ok(Effect::None));
        assert_eq!(step(EventType::Created, "c", &[4]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Destroyed, "b", &[]), Ok(Effect::Changed));
        assert_eq!(step(EventType::Destroyed, "b", &[]), Ok(Effect::None));
        assert_eq!(step(EventType::Noop, "", &[]), Ok(Effect::None));
        assert_eq!(step(EventType::Updated, "c", &[0, 0]), Ok(Effect::Changed));
        assert_eq!(values(&set), "a3");
    }

    #[test]
    fn a_malformed_resource_leaves_its_former_value() {
        let mut set = bootstrapped();
        let fault = set.handle_event(event(EventType::Updated, "a", &[]));
        assert!(matches!(fault, Err(Fault::Malformed { .. })), "{fault:?}");
        assert_eq!(values(&set), "a1 b2");
    }

    #[test]
    fn errored_is_the_end() {
        let mut set = bootstrapped();
        let mut end = event(EventType::Errored, "", &[]);
        end.error = Some("buffer overrun".into());
        let fault = set.handle_event(end);
        assert_eq!(fault, Err(Fault::Errored("buffer overrun".into())));
    }

    #[test]
    fn an_empty_set_that_cannot_be_is_not_published() {
        const NEVER_EMPTY: Source<String> = Source {
            never_empty: true,
            ..BYTES
        };
        let mut set = Collection::new(&NEVER_EMPTY);
        let end = event(EventType::Bootstrapped, "", &[]);
        assert_eq!(set.handle_event(end), Ok(Effect::None));
        assert!(set.is_bootstrapped());
        let created = event(EventType::Created, "a", &[1]);
        assert_eq!(set.handle_event(created), Ok(Effect::Changed));
    }

    #[test]
    fn events_without_a_resource_do_nothing() {
        for kind in 0..7 {
            let mut set = bootstrapped();
            let bare = Event {
                event_type: kind,
                ..Event::default()
            };
            let _ = set.handle_event(bare);
            assert_eq!(values(&set), "a1 b2", "{kind}");
        }
    }
}
