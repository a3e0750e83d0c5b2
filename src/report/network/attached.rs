//! What goes with the NICs: routes, DHCP, name servers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{AddressOrigin, Nic, NicAddress, RankedNic};
use crate::facts::{AddressSource, DhcpClient, Facts, NetworkState, Resolver, Route};
use crate::report::NetworkPolicy;

/// How many routes a host accepts.
const MOST_ROUTES: usize = 100;

/// A route through one of the reported NICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicRoute {
    /// Destination network.
    pub destination: IpAddr,
    /// Length of its prefix in bits.
    pub prefix_length: u8,
    /// The next hop, unless the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// Position of the NIC in [`super::Decision::nics`].
    pub nic: usize,
    /// The kernel's priority: lower is better.
    pub metric: u32,
}

/// The routes through the NICs: IPv4 first, default routes first, then by destination. When there are too many,
/// the default routes of both families stay, then those with a gateway.
///
/// Of the default routes of a family the best comes last, behind halves of the address space (`0.0.0.0/1`): Terraform's
/// wait_for_guest_net goes through all routes whose network is `0.0.0.0` or `::`, keeps the gateway of the last one,
/// and waits for an address in its network (WaitForGuestNet in hashicorp/terraform-provider-vsphere,
/// vsphere/internal/helper/virtualmachine).
pub(super) fn routes(facts: &Facts, policy: &NetworkPolicy, nics: &[RankedNic]) -> Vec<NicRoute> {
    let position: BTreeMap<&str, usize> = nics
        .iter()
        .enumerate()
        .flat_map(|(position, nic)| nic.links.iter().map(move |link| (link.as_str(), position)))
        .collect();
    let of_nic = |route: &Route| {
        Some(NicRoute {
            destination: route.destination,
            prefix_length: route.prefix_length,
            gateway: route.gateway,
            nic: *position.get(&*route.link_name)?,
            metric: route.metric,
        })
    };
    let all = facts.network.routes.as_deref().unwrap_or_default();
    let mut routes: Vec<NicRoute> = all
        .iter()
        .filter_map(of_nic)
        .filter(|route| is_default(route) || policy.excluding_subnet(route.destination).is_none())
        .collect();
    let goodness = |route: &NicRoute| (route.prefix_length, route.metric, route.gateway, route.nic);
    if routes.len() > MOST_ROUTES {
        routes.sort_by_key(|route| {
            let worth = (!is_default(route), route.gateway.is_none());
            let ipv6 = route.destination.is_ipv6();
            (worth, ipv6, route.destination, goodness(route))
        });
        routes.truncate(MOST_ROUTES);
    }
    routes.sort_by_key(|route| {
        let best_last = route.destination.is_unspecified();
        // Between equals the NIC of the primary address counts.
        let worst_first = Reverse((route.prefix_length, route.metric, route.nic));
        (
            route.destination.is_ipv6(),
            route.destination,
            best_last.then_some(worst_first),
            goodness(route),
        )
    });
    // Several links of one NIC may have the same route.
    routes.dedup();
    routes
}

fn is_default(route: &NicRoute) -> bool {
    route.prefix_length == 0
}

/// The NIC with what Talos knows of its DHCP clients.
pub(super) fn nic(nic: RankedNic, facts: &Facts) -> Nic {
    let addresses: Vec<NicAddress> = nic
        .addresses
        .iter()
        .map(|candidate| candidate.address)
        .collect();
    let dhcp = |ipv6: bool| {
        let mut family = addresses
            .iter()
            .filter(|address| address.ip.is_ipv6() == ipv6)
            .filter_map(|address| address.origin)
            .filter(|origin| matches!(origin, AddressOrigin::Dhcp | AddressOrigin::Manual))
            .peekable();
        family.peek()?;
        Some(family.any(|origin| origin == AddressOrigin::Dhcp))
    };
    Nic {
        name: nic.name,
        mac: nic.mac,
        dhcp_v4: dhcp(false),
        dhcp_v6: dhcp(true),
        resolver: leased_resolver(&addresses, &facts.network),
        addresses,
    }
}

/// Merges the name servers that the NIC's DHCP clients were given. The clients are found by their
/// leases: their own name of the link may be an alias.
fn leased_resolver(addresses: &[NicAddress], network: &NetworkState) -> Option<Resolver> {
    let sources = network.address_sources.as_ref()?;
    let resolvers = network.lease_resolvers.as_ref()?;
    let clients: BTreeSet<&DhcpClient> = addresses
        .iter()
        .filter_map(|address| match sources.get(&address.ip) {
            Some(AddressSource::Dhcp(client)) => Some(client),
            _ => None,
        })
        .collect();
    let mut merged = Resolver::default();
    for resolver in clients
        .into_iter()
        .filter_map(|client| resolvers.get(client))
    {
        for &server in &resolver.servers {
            if !merged.servers.contains(&server) {
                merged.servers.push(server);
            }
        }
        for domain in &resolver.search_domains {
            if !merged.search_domains.contains(domain) {
                merged.search_domains.push(domain.clone());
            }
        }
    }
    (merged != Resolver::default()).then_some(merged)
}
