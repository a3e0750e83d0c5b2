//! What one resource type contributes to the facts, and the same with its type of value hidden.
//!
//! ```text
//! Source<T>: kind, decode, publish ──as──▶ dyn Watched ──values()──▶ dyn Values: id → T, of one watch
//! ```
//! What watches a resource need not know what its values are, so it is compiled once and not once for each `T`.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::talos::served::Purpose;

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
    pub(in crate::talos) publish: fn(&mut Facts, &BTreeMap<String, T>) -> bool,
    /// Whether a set that is empty from the start only means that Talos has not looked yet. A Linux machine
    /// always has a loopback link with an address.
    pub(in crate::talos) never_empty: bool,
    /// What it is there for.
    pub(in crate::talos) purpose: Purpose,
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
    values: BTreeMap<String, T>,
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
            values: BTreeMap::new(),
        })
    }
}

impl<T: PartialEq> Values for Typed<T> {
    fn set(&mut self, id: &str, _created: Created, spec: &[u8]) -> Result<bool, Malformed> {
        let Some(value) = (self.source.decode)(id, spec)? else {
            return Ok(self.remove(id));
        };
        let changed = self.values.get(id) != Some(&value);
        if changed {
            self.values.insert(id.to_owned(), value);
        }
        Ok(changed)
    }

    fn remove(&mut self, id: &str) -> bool {
        self.values.remove(id).is_some()
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn publish(&self, facts: &mut Facts) -> bool {
        (self.source.publish)(facts, &self.values)
    }
}

/// Sets a fact; whether it is a new one.
pub(in crate::talos) fn replace<T: PartialEq>(fact: &mut Option<T>, value: T) -> bool {
    let changed = fact.as_ref() != Some(&value);
    *fact = Some(value);
    changed
}

/// Sets a fact of which there is one resource; whether it is a new one. When the resource goes away, the last
/// known value stays.
pub(super) fn keep<T: Clone + PartialEq>(
    fact: &mut Option<T>,
    values: &BTreeMap<String, T>,
) -> bool {
    match values.values().next() {
        Some(value) => replace(fact, value.clone()),
        None => false,
    }
}
