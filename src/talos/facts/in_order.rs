//! A source for which it counts what was there first.
//!
//! Talos lists resources by id, and ids of addresses are sorted as text: a lower number that comes later would come
//! first. The time of a resource's creation does not change, neither when this agent starts again nor when the host
//! forgets us.

use std::collections::BTreeMap;

use super::source::{Created, Kind, Malformed, Values, Watched};
use crate::facts::Facts;
use crate::talos::served::Purpose;

/// As [`super::Source`], but the values are published in the order in which Talos created their resources.
#[derive(Debug)]
pub(in crate::talos) struct InOrder<T> {
    pub(in crate::talos) kind: Kind,
    /// As [`super::Source::purpose`].
    pub(in crate::talos) purpose: Purpose,
    /// As [`super::Source::decode`].
    pub(in crate::talos) decode: fn(&str, &[u8]) -> Result<Option<T>, Malformed>,
    /// Puts all values into the facts, the oldest first; whether they changed by that.
    pub(in crate::talos) publish: fn(&mut Facts, Vec<&T>) -> bool,
    /// As [`super::Source::never_empty`].
    pub(in crate::talos) never_empty: bool,
}

/// The values of an [`InOrder`], by id.
struct Dated<T: 'static> {
    source: &'static InOrder<T>,
    values: BTreeMap<String, (Created, T)>,
}

impl<T: PartialEq + Send + 'static> Watched for InOrder<T> {
    fn kind(&self) -> &Kind {
        &self.kind
    }

    fn purpose(&self) -> Purpose {
        self.purpose
    }

    fn never_empty(&self) -> bool {
        self.never_empty
    }

    fn values(&'static self) -> Box<dyn Values + Send> {
        Box::new(Dated {
            source: self,
            values: BTreeMap::new(),
        })
    }
}

impl<T: PartialEq> Values for Dated<T> {
    fn set(&mut self, id: &str, created: Created, spec: &[u8]) -> Result<bool, Malformed> {
        let Some(value) = (self.source.decode)(id, spec)? else {
            return Ok(self.remove(id));
        };
        let dated = (created, value);
        let changed = self.values.get(id) != Some(&dated);
        if changed {
            self.values.insert(id.to_owned(), dated);
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
        let mut values: Vec<_> = self.values.values().collect();
        // Of the same moment: by id.
        values.sort_by_key(|(created, _)| *created);
        let values = values.into_iter().map(|(_, value)| value).collect();
        (self.source.publish)(facts, values)
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::ADDRESSES;
    use super::*;
    use crate::talos::proto::common::NetIpPrefix;
    use crate::talos::proto::definitions::network::AddressStatusSpec;

    fn spec(last: u8, flags: u32) -> Vec<u8> {
        AddressStatusSpec {
            address: Some(NetIpPrefix {
                ip: vec![10, 0, 0, last],
                prefix_length: 24,
            }),
            link_index: 2,
            flags,
            ..AddressStatusSpec::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn addresses_of_a_link_come_in_the_order_in_which_they_have_come() {
        static SOURCE: InOrder<crate::facts::Address> = ADDRESSES;
        let mut values = SOURCE.values();
        let mut facts = Facts::default();
        assert_eq!(
            values.set("eth0/10.0.0.9/24", (7, 1), &spec(9, 0)),
            Ok(true)
        );
        assert_eq!(
            values.set("eth0/10.0.0.5/24", (7, 2), &spec(5, 0)),
            Ok(true)
        );
        let mut order = |values: &dyn Values| {
            values.publish(&mut facts);
            let addresses = facts.addresses.iter().flatten();
            addresses.map(|it| it.ip.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(&*values), ["10.0.0.9", "10.0.0.5"]);
        // A change of state leaves it where it is; who comes again comes last.
        assert_eq!(
            values.set("eth0/10.0.0.9/24", (7, 1), &spec(9, 0x20)),
            Ok(true)
        );
        assert_eq!(order(&*values), ["10.0.0.9", "10.0.0.5"]);
        assert!(values.remove("eth0/10.0.0.9/24"));
        assert_eq!(
            values.set("eth0/10.0.0.9/24", (8, 0), &spec(9, 0)),
            Ok(true)
        );
        assert_eq!(order(&*values), ["10.0.0.5", "10.0.0.9"]);
    }
}
