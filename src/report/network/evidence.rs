//! What speaks for an address: the kubelet, the default routes, what Talos asked for.
//!
//! A fact that is not known speaks neither for nor against: its rule is skipped.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::is_link_local;
use crate::facts::{Address, AddressScope, AddressSource, AddressStatus, Facts, Link, Mac, Route};

/// The facts by which addresses are compared.
pub(super) struct Evidence<'a> {
    kubelet: &'a [IpAddr],
    /// Talos' best list of the node's addresses.
    listed: &'a [IpAddr],
    /// The address that Talos' list `default` sticks to.
    sticky: Option<IpAddr>,
    sources: Option<&'a BTreeMap<IpAddr, AddressSource>>,
    addresses: &'a [Address],
    /// The best metric of the default routes of IPv4 and IPv6, by link.
    gateways: [BTreeMap<&'a str, u32>; 2],
}

/// How the default routes of its family speak for an address; best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gateway {
    /// They lead to the node, wherever they begin: the address is on no NIC.
    Routed,
    /// The link has one of this metric.
    Metric(u32),
    /// The link has none.
    None,
}

/// How an address came to be; best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Making {
    /// Somebody chose it: configuration, a lease, an operator.
    Chosen,
    /// From a router's announcement.
    Announced,
    /// A privacy address.
    Temporary,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        let lists = facts.node_addresses.as_ref();
        let routes = facts.network.routes.as_deref().unwrap_or_default();
        Self {
            kubelet: facts.kubelet_addresses.as_deref().unwrap_or_default(),
            listed: lists.map_or(&[], |lists| lists.best()),
            sticky: lists.and_then(|lists| lists.default.first().copied()),
            sources: facts.network.address_sources.as_ref(),
            addresses: facts.addresses.as_deref().unwrap_or_default(),
            gateways: [gateways(routes, false), gateways(routes, true)],
        }
    }

    /// Whether Talos lists it as one of the node's.
    pub(super) fn is_listed(&self, ip: IpAddr) -> bool {
        self.listed.contains(&ip)
    }

    /// Whether the kubelet registers it.
    pub(super) fn is_kubelets(&self, ip: IpAddr) -> bool {
        self.kubelet.contains(&ip)
    }

    /// The place in the kubelet's list; the same for all that are not in it.
    pub(super) fn kubelet_place(&self, ip: IpAddr) -> usize {
        let place = self.kubelet.iter().position(|&other| other == ip);
        place.unwrap_or(usize::MAX)
    }

    /// Whether Talos' list `default` sticks to it.
    pub(super) fn is_sticky(&self, ip: IpAddr) -> bool {
        self.sticky == Some(ip)
    }

    /// Whether IPv6 comes first where the operator has no wish: the kubelet's first address has it; or, before
    /// there is a kubelet, the node has no use for IPv4.
    pub(super) fn prefers_ipv6(&self) -> bool {
        if let Some(first) = self.kubelet.first() {
            return first.is_ipv6();
        }
        let [ipv4, ipv6] = &self.gateways;
        let asked_for = |of_family: fn(&IpAddr) -> bool| {
            let mut ips = self.sources.into_iter().flat_map(BTreeMap::keys);
            ips.any(of_family)
        };
        let uses_ipv4 = !ipv4.is_empty() || asked_for(IpAddr::is_ipv4);
        !uses_ipv4 && (!ipv6.is_empty() || asked_for(IpAddr::is_ipv6))
    }

    /// What the default routes of its family say.
    pub(super) fn gateway(&self, address: &Address, link: &Link) -> Gateway {
        if link.leads_nowhere() {
            return match self.is_foreign(address, link.mac) {
                true => Gateway::None,
                false => Gateway::Routed,
            };
        }
        let ip = address.ip;
        let [ipv4, ipv6] = &self.gateways;
        let gateways = if ip.is_ipv6() { ipv6 } else { ipv4 };
        let metric = gateways.get(link.name.as_str());
        metric.map_or(Gateway::None, |&metric| Gateway::Metric(metric))
    }

    /// Names of the links with a default route, the best first: those of this family before the other.
    pub(super) fn uplinks(&self, ipv6: bool) -> impl Iterator<Item = &'a str> {
        let [of_ipv4, of_ipv6] = self.gateways.each_ref().map(|gateways| {
            let mut links: Vec<_> = gateways
                .iter()
                .map(|(link, metric)| (*metric, *link))
                .collect();
            links.sort_unstable();
            links
        });
        let order = if ipv6 {
            [of_ipv6, of_ipv4]
        } else {
            [of_ipv4, of_ipv6]
        };
        order.into_iter().flatten().map(|(_, link)| link)
    }

    /// Whether an address on a link that leads nowhere is the node's own: the kubelet or Talos has it for it. Before
    /// there is a kubelet, Talos' list will do; later the others are what a load balancer announces.
    pub(super) fn is_own_without_a_nic(&self, address: &Address) -> bool {
        let ip = address.ip;
        let reachable = matches!(address.scope, AddressScope::Global | AddressScope::Site);
        let asked_for = self
            .sources
            .is_some_and(|sources| sources.contains_key(&ip));
        reachable
            && !is_link_local(ip)
            && (self.is_kubelets(ip) || asked_for || self.kubelet.is_empty() && self.is_listed(ip))
    }

    /// Whether nobody asked for the address who speaks for the node: neither the kubelet nor Talos, and no router
    /// announced its network.
    pub(super) fn is_foreign(&self, address: &Address, mac: Option<Mac>) -> bool {
        let Some(sources) = self.sources else {
            return false;
        };
        let ip = address.ip;
        !sources.contains_key(&ip) && !self.is_kubelets(ip) && !is_kernels(address, mac)
    }

    /// Whether it is foreign and has no network of its own, as load balancers and egress gateways put them on a NIC.
    pub(super) fn is_floating(&self, address: &Address, mac: Option<Mac>) -> bool {
        is_single(address) && self.is_foreign(address, mac)
    }

    /// Whether it is a single address in the network of another one of its link, and no lease.
    pub(super) fn is_inside_another(&self, address: &Address) -> bool {
        let source = self.sources.and_then(|sources| sources.get(&address.ip));
        let leased = matches!(source, Some(AddressSource::Dhcp(client)) if client.ipv6);
        let contains = |other: &Address| {
            other.link_index == address.link_index
                && other.link_name == address.link_name
                && other.status == AddressStatus::Preferred
                && !is_single(other)
                && same_network(other, address.ip)
        };
        is_single(address) && !leased && self.addresses.iter().any(contains)
    }

    /// How it came to be.
    pub(super) fn making(&self, address: &Address, mac: Option<Mac>) -> Making {
        let asked_for = self
            .sources
            .is_some_and(|all| all.contains_key(&address.ip));
        match is_kernels(address, mac) && !asked_for {
            // The kernel uses the same flag for further IPv4 addresses of a network, which are as good.
            true if address.temporary => Making::Temporary,
            true => Making::Announced,
            false => Making::Chosen,
        }
    }
}

/// The best metric of the default routes of a family, by link.
fn gateways(routes: &[Route], ipv6: bool) -> BTreeMap<&str, u32> {
    let mut gateways = BTreeMap::new();
    for route in routes {
        if route.prefix_length == 0 && route.destination.is_ipv6() == ipv6 {
            let best = gateways.entry(&*route.link_name).or_insert(route.metric);
            *best = route.metric.min(*best);
        }
    }
    gateways
}

/// Whether the kernel made an IPv6 address of a network that a router announces. It never makes single addresses.
fn is_kernels(address: &Address, mac: Option<Mac>) -> bool {
    let made_by_itself = address.temporary || address.announced || is_eui_64(address.ip, mac);
    address.ip.is_ipv6() && !is_single(address) && made_by_itself
}

/// Whether the lower half is made from the link's hardware address (RFC 4291, appendix A).
pub(super) fn is_eui_64(ip: IpAddr, mac: Option<Mac>) -> bool {
    let (IpAddr::V6(ip), Some(Mac([a, b, c, d, e, f]))) = (ip, mac) else {
        return false;
    };
    ip.octets().ends_with(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// Whether its network is the address alone.
pub(super) fn is_single(address: &Address) -> bool {
    address.prefix_length == if address.ip.is_ipv4() { 32 } else { 128 }
}

/// Whether an address is in the network of another one.
fn same_network(of: &Address, ip: IpAddr) -> bool {
    let leading_zeros = match (of.ip, ip) {
        (IpAddr::V4(of), IpAddr::V4(ip)) => (of.to_bits() ^ ip.to_bits()).leading_zeros(),
        (IpAddr::V6(of), IpAddr::V6(ip)) => (of.to_bits() ^ ip.to_bits()).leading_zeros(),
        _ => return false,
    };
    leading_zeros >= u32::from(of.prefix_length)
}
