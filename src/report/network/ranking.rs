//! Which addresses may be reported, and in which order.
//!
//! Loopback and Kubernetes' own are left out, what another machine has as well, and what the policy says. The
//! rest: Talos' list, by the policy's order of interfaces, preferred family first, then temporary, deprecated and
//! tentative ones, then link-local, and virtual IPs at the very end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::groups::is_ethernet;
use super::{AddressOrigin, NicAddress, Reason, Standing, is_link_local};
use crate::facts::{
    Address, AddressScope, AddressSource, AddressStatus, Facts, Link, Mac, NodeAddresses,
};
use crate::report::policy::Priority;
use crate::report::{Family, NetworkPolicy};

/// How good an address is as the name of the node; the order of the variants is the order of reporting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// In Talos' list.
    Listed,
    /// In Talos' list, but a single IPv4 address without a network while the virtual IPs are not known yet:
    /// it looks like one.
    MaybeVirtual,
    /// In Talos' list, a privacy address.
    Temporary,
    /// In Talos' list, on its way out.
    Deprecated,
    /// Not in Talos' list: too new, or Talos has none.
    Unlisted,
    /// Duplicate detection still runs.
    Tentative,
    /// Valid on its link alone.
    LinkLocal,
    /// Shared with other nodes.
    Virtual,
}

impl Class {
    pub(super) fn standing(self) -> Standing {
        match self {
            Self::Listed | Self::MaybeVirtual => Standing::Listed,
            Self::Temporary => Standing::Temporary,
            Self::Deprecated => Standing::Deprecated,
            Self::Unlisted => Standing::Unlisted,
            Self::Tentative => Standing::Tentative,
            Self::LinkLocal => Standing::LinkLocal,
            Self::Virtual => Standing::Virtual,
        }
    }

    /// Between classes of one tier the operator's order of interfaces counts more than the class.
    fn tier(self) -> u8 {
        match self {
            Self::Listed | Self::Temporary => 0,
            Self::MaybeVirtual | Self::Deprecated => 1,
            Self::Unlisted => 2,
            Self::Tentative => 3,
            Self::LinkLocal => 4,
            Self::Virtual => 5,
        }
    }
}

/// The place that the policy gives an interface.
pub(super) type Place = Priority;

/// Order of addresses: class and interface, family, place in Talos' list, kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    tier: u8,
    pub(super) nic: Place,
    pub(super) class: Class,
    other_family: bool,
    place: usize,
    /// Position among all addresses of the node.
    pub(super) order: usize,
}

/// What the addresses are judged by.
pub(super) struct Ranking<'a> {
    policy: &'a NetworkPolicy,
    node_addresses: Option<&'a NodeAddresses>,
    listed: &'a [IpAddr],
    virtual_ips: Option<&'a BTreeSet<IpAddr>>,
    sources: Option<&'a BTreeMap<IpAddr, AddressSource>>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(facts: &'a Facts, policy: &'a NetworkPolicy) -> Self {
        let node_addresses = facts.node_addresses.as_ref();
        Self {
            policy,
            node_addresses,
            listed: node_addresses.map_or(&[], NodeAddresses::best),
            virtual_ips: facts.virtual_ips.as_ref(),
            sources: facts.network.address_sources.as_ref(),
        }
    }

    /// What an address is, or why it is not reported.
    pub(super) fn judge(&self, address: &Address, link: &Link) -> Result<Class, Reason> {
        let ip = address.ip;
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
            return Err(Reason::Loopback);
        }
        if let Some(glob) = self.policy.exclude_nics.find(&link.name) {
            return Err(Reason::ExcludedNic(glob.clone()));
        }
        if matches!(address.scope, AddressScope::Host | AddressScope::Nowhere) {
            return Err(Reason::Loopback);
        }
        if !is_ethernet(link) {
            return Err(Reason::NotEthernet);
        }
        if !link.up {
            return Err(Reason::LinkDown);
        }
        if let Some(subnet) = self.policy.excluding_subnet(ip) {
            return Err(Reason::ExcludedSubnet(subnet));
        }
        // The kernel does not use it, and most readers of vCenter's addresses ignore their states.
        if address.status == AddressStatus::Duplicate {
            return Err(Reason::Duplicate);
        }
        if self
            .node_addresses
            .is_some_and(|lists| is_kubernetes(lists, ip))
        {
            return Err(Reason::Kubernetes);
        }
        match self.class(address) {
            Class::Virtual if !self.policy.report_vips => Err(Reason::Virtual),
            class => Ok(class),
        }
    }

    /// The sort key of an address.
    pub(super) fn rank(
        &self,
        class: Class,
        order: usize,
        address: &Address,
        link: &Link,
        device: Option<&str>,
    ) -> Rank {
        let place = self.listed.iter().position(|&ip| ip == address.ip);
        let priority = |name: &str| self.policy.priority(name);
        Rank {
            tier: class.tier(),
            // A VLAN that no pattern knows goes with its NIC.
            nic: priority(&link.name)
                .or_else(|| device.and_then(priority))
                .unwrap_or_default(),
            class,
            other_family: address.ip.is_ipv6() != (self.policy.prefer == Family::Ipv6),
            place: place.unwrap_or(usize::MAX),
            order,
        }
    }

    /// The address as it is reported.
    pub(super) fn report(&self, address: &Address, link: &Link) -> NicAddress {
        NicAddress {
            ip: address.ip,
            prefix_length: address.prefix_length,
            status: address.status,
            origin: self.origin(address, link.mac),
        }
    }

    /// An address in Talos' specs has the origin that they name. The kernel made the others, and the address itself
    /// shows how.
    fn origin(&self, address: &Address, mac: Option<Mac>) -> Option<AddressOrigin> {
        match self.sources.and_then(|sources| sources.get(&address.ip)) {
            Some(AddressSource::Dhcp(_)) => return Some(AddressOrigin::Dhcp),
            Some(AddressSource::Configuration | AddressSource::Vip) => {
                return Some(AddressOrigin::Manual);
            }
            None => {}
        }
        let IpAddr::V6(ip) = address.ip else {
            return None;
        };
        let [.., a, b, c, d, e, f, g, h] = ip.octets();
        if address.temporary {
            Some(AddressOrigin::Random)
        } else if mac.map(eui_64) == Some([a, b, c, d, e, f, g, h]) {
            Some(AddressOrigin::LinkLayer)
        } else {
            None
        }
    }

    fn class(&self, address: &Address) -> Class {
        let ip = address.ip;
        if self.virtual_ips.is_some_and(|ips| ips.contains(&ip)) {
            return Class::Virtual;
        }
        if is_link_local(ip) || address.scope == AddressScope::Link {
            return Class::LinkLocal;
        }
        match address.status {
            AddressStatus::Tentative | AddressStatus::Duplicate => Class::Tentative,
            _ if !self.listed.contains(&ip) => Class::Unlisted,
            AddressStatus::Deprecated => Class::Deprecated,
            // The kernel uses the same flag for further IPv4 addresses of a network, which are as good.
            AddressStatus::Preferred if address.temporary && ip.is_ipv6() => Class::Temporary,
            AddressStatus::Preferred
                if self.virtual_ips.is_none() && ip.is_ipv4() && address.prefix_length == 32 =>
            {
                Class::MaybeVirtual
            }
            AddressStatus::Preferred => Class::Listed,
        }
    }
}

/// The lower half of an address that is made from a hardware address (RFC 4291, appendix A).
fn eui_64(Mac([a, b, c, d, e, f]): Mac) -> [u8; 8] {
    [a ^ 2, b, c, 0xff, 0xfe, d, e, f]
}

/// Whether Talos says that an address is a pod's or a service's: in a list, but not in the same list without
/// Kubernetes. An address in neither is only too new to be in them.
fn is_kubernetes(lists: &NodeAddresses, ip: IpAddr) -> bool {
    [
        (&lists.current, &lists.current_no_k8s),
        (&lists.routed, &lists.routed_no_k8s),
    ]
    .into_iter()
    .any(|(all, without)| !without.is_empty() && all.contains(&ip) && !without.contains(&ip))
}
