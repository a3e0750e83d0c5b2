//! Which addresses may be reported, and in which order.
//!
//! Loopback and Kubernetes' own are left out, what another machine has as well, and what the policy says. The
//! rest: Talos' list, then deprecated, too new and tentative ones, then what others put on a NIC, then link-local, and
//! virtual IPs at the very end. Within each of these the policy counts first, then the evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::evidence::{Evidence, is_eui_64, is_single};
use super::groups::is_ethernet;
use super::rank::Rank;
use super::{AddressOrigin, NicAddress, Reason, Standing, is_link_local};
use crate::facts::{
    Address, AddressScope, AddressSource, AddressStatus, Facts, Link, Mac, NodeAddresses,
};
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
    /// In Talos' list, but a single address that neither Talos nor the kubelet asked for: it may be on another node
    /// tomorrow.
    Floating,
    /// Valid on its link alone.
    LinkLocal,
    /// Shared with other nodes.
    Virtual,
}

impl Class {
    /// Whether it can be the primary address: one of these is only the best where no better one is about to come.
    pub(super) fn may_be_primary(self) -> bool {
        self <= Self::Deprecated || self == Self::Floating
    }

    pub(super) fn standing(self) -> Standing {
        match self {
            Self::Listed | Self::MaybeVirtual => Standing::Listed,
            Self::Temporary => Standing::Temporary,
            Self::Deprecated => Standing::Deprecated,
            Self::Unlisted => Standing::Unlisted,
            Self::Tentative => Standing::Tentative,
            Self::Floating => Standing::Floating,
            Self::LinkLocal => Standing::LinkLocal,
            Self::Virtual => Standing::Virtual,
        }
    }

    /// Between classes of one tier the policy and the evidence decide.
    fn tier(self) -> u8 {
        match self {
            Self::Listed | Self::Temporary => 0,
            Self::MaybeVirtual => 1,
            Self::Deprecated => 2,
            Self::Unlisted => 3,
            Self::Tentative => 4,
            Self::Floating => 5,
            Self::LinkLocal => 6,
            Self::Virtual => 7,
        }
    }
}

/// What the addresses are judged by.
pub(super) struct Ranking<'a> {
    policy: &'a NetworkPolicy,
    evidence: Evidence<'a>,
    node_addresses: Option<&'a NodeAddresses>,
    virtual_ips: Option<&'a BTreeSet<IpAddr>>,
    sources: Option<&'a BTreeMap<IpAddr, AddressSource>>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(facts: &'a Facts, policy: &'a NetworkPolicy) -> Self {
        Self {
            policy,
            evidence: Evidence::new(facts),
            node_addresses: facts.node_addresses.as_ref(),
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
        if link.leads_nowhere() && !is_link_local(ip) {
            if !self.evidence.is_own_without_a_nic(address) {
                return Err(Reason::NotOwn);
            }
        } else if link.leads_nowhere() || !is_ethernet(link) {
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
        match self.class(address, link.mac) {
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
        let (ip, mac, evidence) = (address.ip, link.mac, &self.evidence);
        let priority = |name: &str| self.policy.priority(name);
        let is_of = |family: Family| ip.is_ipv6() == (family == Family::Ipv6);
        // A privacy address does not fulfil the operator's wish for a family: tomorrow it is another one.
        let fleeting = class == Class::Temporary && !evidence.is_kubelets(ip);
        Rank {
            tier: class.tier(),
            // A VLAN that no pattern knows goes with its NIC.
            nic: priority(&link.name)
                .or_else(|| device.and_then(priority))
                .unwrap_or_default(),
            not_preferred: self
                .policy
                .prefer
                .is_some_and(|family| !is_of(family) || fleeting),
            kubelet: evidence.kubelet_place(ip),
            second_family: ip.is_ipv6() != evidence.prefers_ipv6(),
            gateway: evidence.gateway(address, link),
            foreign: evidence.is_foreign(address, mac),
            inside: evidence.is_inside_another(address),
            making: evidence.making(address, mac),
            not_sticky: !evidence.is_sticky(ip),
            link: link.index,
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
        if address.temporary && address.ip.is_ipv6() {
            Some(AddressOrigin::Random)
        } else if is_eui_64(address.ip, mac) {
            Some(AddressOrigin::LinkLayer)
        } else {
            None
        }
    }

    /// Names of the links by which routers reach an address that is on no NIC, best first.
    pub(super) fn uplinks(&self, ip: IpAddr) -> impl Iterator<Item = &'a str> {
        self.evidence.uplinks(ip.is_ipv6())
    }

    fn class(&self, address: &Address, mac: Option<Mac>) -> Class {
        let ip = address.ip;
        if self.virtual_ips.is_some_and(|ips| ips.contains(&ip)) {
            return Class::Virtual;
        }
        if is_link_local(ip) || address.scope == AddressScope::Link {
            return Class::LinkLocal;
        }
        match address.status {
            AddressStatus::Tentative | AddressStatus::Duplicate => Class::Tentative,
            _ if !self.evidence.is_listed(ip) => Class::Unlisted,
            _ if self.evidence.is_floating(address, mac) => Class::Floating,
            AddressStatus::Deprecated => Class::Deprecated,
            // The kernel uses the same flag for further IPv4 addresses of a network, which are as good.
            AddressStatus::Preferred if address.temporary && ip.is_ipv6() => Class::Temporary,
            AddressStatus::Preferred
                if self.virtual_ips.is_none()
                    && ip.is_ipv4()
                    && is_single(address)
                    && !self.evidence.is_kubelets(ip) =>
            {
                Class::MaybeVirtual
            }
            AddressStatus::Preferred => Class::Listed,
        }
    }
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
