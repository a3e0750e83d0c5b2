//! What one resource type contributes to the facts, and the same with its type of value hidden.
//!
//! ```text
//! Source<T>: kind, decode, publish ──as──▶ dyn Watched ──values()──▶ dyn Values: Resources<T>, of one watch
//! ```
//! What watches a resource need not know what its values are, so it is compiled once and not once for each `T`.

use std::collections::BTreeMap;

use crate::facts::{Facts, replace};
use crate::talos::purpose::Purpose;

/// A resource type in its namespace.
#[derive(Clone, Copy, Debug)]
pub(in crate::talos) struct Kind {
    pub(in crate::talos) namespace: &'static str,
    /// Exact spelling of the type.
    pub(in crate::talos) kind: &'static str,
}

/// When Talos created a resource: seconds since 1970 and nanoseconds. A change of the resource leaves it as it is.
pub(in crate::talos) type Created = (i64, i32);

/// How one resource type contributes to the facts.
#[derive(Debug)]
pub(in crate::talos) struct Source<T> {
    pub(in crate::talos) kind: Kind,
    /// Makes a value of an id and a spec; `None` for resources that say nothing of interest.
    pub(in crate::talos) decode: fn(&str, &[u8]) -> Result<Option<T>, Malformed>,
    /// Puts all values into the facts; whether they changed by that.
    pub(in crate::talos) publish: fn(&mut Facts, &Resources<T>) -> bool,
    /// Whether a set that is empty from the start only means that Talos has not looked yet. A Linux machine
    /// always has a loopback link with an address.
    pub(in crate::talos) never_empty: bool,
    /// What it is there for.
    pub(in crate::talos) purpose: Purpose,
}

/// What the resources of one type say, by id.
#[derive(Debug)]
pub(in crate::talos) struct Resources<T>(BTreeMap<String, (Created, T)>);

impl<T> Resources<T> {
    /// In the order of the ids.
    pub(in crate::talos) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values().map(|(_, value)| value)
    }

    /// What was there first comes first; of the same moment in the order of the ids.
    ///
    /// Talos sorts ids as text, so an address with a lower number that comes later would come first. The time of creation
    /// stays the same when this agent starts again and when the host forgets us.
    pub(in crate::talos) fn oldest_first(&self) -> impl Iterator<Item = &T> {
        let mut dated: Vec<_> = self.0.values().collect();
        dated.sort_by_key(|(created, _)| *created);
        dated.into_iter().map(|(_, value)| value)
    }

    pub(in crate::talos) fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id).map(|(_, value)| value)
    }
}

#[cfg(test)]
impl<T, const N: usize> From<[(String, T); N]> for Resources<T> {
    /// All of one moment.
    fn from(resources: [(String, T); N]) -> Self {
        let dated = resources.map(|(id, value)| (id, (Created::default(), value)));
        Self(dated.into())
    }
}

/// A spec cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::talos) enum Malformed {
    #[error("not protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    #[error("an address of {0} bytes")]
    AddressLength(usize),
    #[error("a prefix of {0} bits")]
    PrefixLength(i32),
    #[error("an empty name")]
    NoName,
}

/// A [`Source`] of any type of value.
pub(in crate::talos) trait Watched: Sync {
    /// Which resources.
    fn kind(&self) -> &Kind;
    /// See [`Source::never_empty`].
    fn never_empty(&self) -> bool;
    /// What it is there for.
    fn purpose(&self) -> Purpose;
    /// The values of a watch that has reported nothing yet.
    fn values(&'static self) -> Box<dyn Values + Send>;
}

/// The values of one resource type by id.
pub(in crate::talos) trait Values {
    /// A resource has come or changed; whether that changes the values. A malformed one leaves its former value.
    fn set(&mut self, id: &str, created: Created, spec: &[u8]) -> Result<bool, Malformed>;
    /// A resource has gone; whether that changes the values.
    fn remove(&mut self, id: &str) -> bool;
    /// Whether there are none.
    fn is_empty(&self) -> bool;
    /// Puts them into the facts; whether those changed by that.
    fn publish(&self, facts: &mut Facts) -> bool;
}

/// [`Values`] that know their type.
struct Typed<T: 'static> {
    source: &'static Source<T>,
    resources: Resources<T>,
}

impl<T: PartialEq + Send + 'static> Watched for Source<T> {
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn never_empty(&self) -> bool {
        self.never_empty
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn values(&'static self) -> Box<dyn Values + Send> {
        Box::new(Typed {
            source: self,
            resources: Resources(BTreeMap::new()),
        })
    }
}

impl<T: PartialEq> Values for Typed<T> {
    fn set(&mut self, id: &str, created: Created, spec: &[u8]) -> Result<bool, Malformed> {
        let Some(value) = (self.source.decode)(id, spec)? else {
            return Ok(self.remove(id));
        };
        let dated = (created, value);
        let Resources(all) = &mut self.resources;
        let changed = all.get(id) != Some(&dated);
        if changed {
            all.insert(id.to_owned(), dated);
        }
        Ok(changed)
    }

    fn remove(&mut self, id: &str) -> bool {
        self.resources.0.remove(id).is_some()
    }

    fn is_empty(&self) -> bool {
        self.resources.0.is_empty()
    }

    fn publish(&self, facts: &mut Facts) -> bool {
        (self.source.publish)(facts, &self.resources)
    }
}

/// Sets a fact of which there is one resource; whether it is a new one. When the resource goes away, the last
/// known value stays.
pub(super) fn keep<T: Clone + PartialEq>(fact: &mut Option<T>, resources: &Resources<T>) -> bool {
    match resources.values().next() {
        Some(value) => replace(fact, value.clone()),
        None => false,
    }
}
