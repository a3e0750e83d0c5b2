//! From links and addresses to the NICs that a host understands.
//!
//! The host knows virtual devices by their hardware address, the node has links stacked on each other:
//!
//! ```text
//! bond0.100 (vlan)  10.0.0.5     ─┐
//! bond0             fe80::…       ├─► one NIC: bond0's MAC, 10.0.0.5 first, fe80::… last
//! eth0, eth1 (slaves)            ─┘
//! ```
//!
//! Links that share a device form a group: VLANs and MAC-VLANs with their parent, slaves with their bond or
//! bridge. A group with a physical NIC is reported; one without only when it carries an address of Talos' own
//! list, as the veth of a containerised Talos does. Links of the pod network never are. Of the addresses,
//! loopback and Kubernetes' own are left out; the rest is ordered so that the first address of the first NIC is
//! the node's primary one: Talos' order, IPv4 first, then temporary, deprecated and unusable ones, then
//! link-local, and virtual IPs at the very end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Address, AddressScope, AddressStatus, Facts, Link, Mac, NodeAddresses};

/// Kinds of link that exist upon another one and share its device.
const STACKED_KINDS: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];
/// Kinds of link that join the devices of their slaves. A VRF only groups routes and is not one of them.
const JOINING_KINDS: [&str; 3] = ["bond", "team", "bridge"];
/// Starts of the names that pod networks give to their links. Some carry an address outside Kubernetes' own
/// ranges (Cilium's default pool), so the names are needed beside Talos' lists.
const POD_NETWORK_NAMES: [&str; 18] = [
    "antrea-",
    "azv",
    "cali",
    "cilium",
    "cni",
    "docker",
    "flannel",
    "kube-",
    "lxc",
    "lxdbr",
    "nodelocaldns",
    "ovn-",
    "podman",
    "tunl",
    "veth",
    "virbr",
    "vxlan.calico",
    "weave",
];

/// One NIC as the host shall see it, with the addresses of everything stacked on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Name of the link, for the log.
    pub name: String,
    /// Hardware address by which the host finds the virtual device.
    pub mac: Mac,
    /// Addresses, best first.
    pub addresses: Vec<NicAddress>,
}

/// One address of a [`Nic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicAddress {
    /// IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_length: u8,
    /// Usable, or why not.
    pub status: AddressStatus,
}

impl NicAddress {
    /// Whether the address means nothing beyond its link.
    pub fn is_link_local(&self) -> bool {
        is_link_local(self.ip)
    }
}

/// The NICs to report, the one with the primary address first, no hardware address twice; `None` while links
/// or addresses are not known yet.
pub fn nics(facts: &Facts) -> Option<Vec<Nic>> {
    let ranked = ranked_nics(facts)?;
    Some(ranked.into_iter().map(RankedNic::into_nic).collect())
}

/// The node's one address, which is the first address of the first of [`nics`]; `None` while Talos' own list
/// of addresses has none that is usable, on a reported NIC, and the node's alone (no virtual IP).
pub fn primary_address(facts: &Facts) -> Option<IpAddr> {
    let ranked = ranked_nics(facts)?;
    let (rank, address) = ranked.first()?.addresses.first()?;
    (rank.class <= Class::Deprecated).then_some(address.ip)
}

/// How good an address is as the name of the node; the order of the variants is the order of reporting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
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
    /// Duplicate detection runs or has failed.
    Unusable,
    /// Valid on its link alone.
    LinkLocal,
    /// Shared with other nodes.
    Virtual,
}

/// Order of addresses: class, IPv4 before IPv6, place in Talos' list, kernel's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: Class,
    ipv6: bool,
    place: usize,
    order: usize,
}

/// A [`Nic`] whose addresses still know why they stand where they stand.
struct RankedNic {
    name: String,
    mac: Mac,
    index: u32,
    addresses: Vec<(Rank, NicAddress)>,
}

impl RankedNic {
    fn into_nic(self) -> Nic {
        Nic {
            name: self.name,
            mac: self.mac,
            addresses: self
                .addresses
                .into_iter()
                .map(|(_, address)| address)
                .collect(),
        }
    }

    fn sort_addresses(&mut self) {
        self.addresses.sort_by_key(|(rank, _)| *rank);
        let mut seen = BTreeSet::new();
        self.addresses
            .retain(|(_, address)| seen.insert(address.ip));
    }
}

fn ranked_nics(facts: &Facts) -> Option<Vec<RankedNic>> {
    let links = facts.links.as_deref()?;
    let addresses = facts.addresses.as_deref()?;
    let ranking = Ranking::new(facts);

    let mut by_mac: BTreeMap<Mac, RankedNic> = BTreeMap::new();
    for group in groups(links) {
        let carried: Vec<(Rank, NicAddress)> = addresses
            .iter()
            .enumerate()
            .filter(|(_, address)| {
                group
                    .iter()
                    .any(|link| link.up && is_carried(address, link))
            })
            .filter_map(|(order, address)| ranking.rank(order, address))
            .collect();
        let talos_knows = carried
            .iter()
            .any(|(rank, _)| rank.class <= Class::Deprecated);
        let Some((device, mac)) = device(&group, talos_knows) else {
            continue;
        };
        let mut found = vec![RankedNic {
            name: device.name.clone(),
            mac,
            index: device.index,
            addresses: carried,
        }];
        found.extend(other_ports(&group, device));
        for nic in found {
            match by_mac.get_mut(&nic.mac) {
                Some(known) => known.addresses.extend(nic.addresses),
                None => {
                    by_mac.insert(nic.mac, nic);
                }
            }
        }
    }

    let mut nics: Vec<RankedNic> = by_mac.into_values().collect();
    for nic in &mut nics {
        nic.sort_addresses();
    }
    // A NIC without addresses comes behind all others; the kernel's order decides between equals.
    nics.sort_by_key(|nic| {
        let best = nic.addresses.first().map(|(rank, _)| *rank);
        (best.is_none(), best, nic.index)
    });
    Some(nics)
}

/// Links that share a device, each group in the kernel's order.
fn groups(links: &[Link]) -> Vec<Vec<&Link>> {
    let eligible: Vec<&Link> = links.iter().filter(|link| is_eligible(link)).collect();
    let find = |index: u32| eligible.iter().find(|link| link.index == index);

    // A forest over link indexes: every link points to one it shares a device with, roots to nothing.
    let mut above: BTreeMap<u32, u32> = BTreeMap::new();
    for link in &eligible {
        let parent = STACKED_KINDS
            .contains(&link.kind.as_str())
            .then(|| find(link.parent_index))
            .flatten();
        let master =
            find(link.master_index).filter(|master| JOINING_KINDS.contains(&master.kind.as_str()));
        for other in [parent, master].into_iter().flatten() {
            let (from, to) = (root(&above, link.index), root(&above, other.index));
            if from != to {
                above.insert(from, to);
            }
        }
    }

    let mut groups: BTreeMap<u32, Vec<&Link>> = BTreeMap::new();
    for link in eligible {
        groups
            .entry(root(&above, link.index))
            .or_default()
            .push(link);
    }
    let mut groups: Vec<Vec<&Link>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|link| link.index);
    }
    groups
}

fn root(above: &BTreeMap<u32, u32>, mut index: u32) -> u32 {
    while let Some(&next) = above.get(&index) {
        index = next;
    }
    index
}

/// Ethernet with a hardware address, and not of the pod network.
fn is_eligible(link: &Link) -> bool {
    let of_pods = POD_NETWORK_NAMES
        .iter()
        .any(|name| link.name.starts_with(name));
    link.arp_type == 1
        && link.mac.is_some_and(|mac| mac != Mac([0; 6]))
        && (link.is_physical() || !of_pods)
}

/// The link that stands for its group, if the group is to be reported: the bond; else the physical NIC whose
/// address the bridge has taken, or the first one; else, when Talos lists an address on it, the lowest link.
fn device<'a>(group: &[&'a Link], talos_knows: bool) -> Option<(&'a Link, Mac)> {
    let physical = || group.iter().filter(|link| link.is_physical() && link.up);
    let has_physical = group.iter().any(|link| link.is_physical());
    if !has_physical && !talos_knows {
        return None;
    }
    let bond = group
        .iter()
        .find(|link| link.kind == "bond" || link.kind == "team");
    let device = if let Some(bond) = bond {
        Some(bond)
    } else if has_physical {
        let bridge = group
            .iter()
            .find(|link| link.kind == "bridge" && link.up)
            .and_then(|link| link.mac);
        physical()
            .find(|link| bridge.is_some() && link.mac == bridge)
            .or_else(|| physical().next())
    } else {
        group.iter().find(|link| link.up)
    }?;
    (device.up).then_some((*device, device.mac?))
}

/// Physical ports of a bridge other than its device: NICs of the machine, but without addresses. A bond's
/// slaves are no NICs of their own.
fn other_ports(group: &[&Link], device: &Link) -> Vec<RankedNic> {
    let bonded = |link: &Link| {
        group
            .iter()
            .any(|master| master.index == link.master_index && master.kind != "bridge")
    };
    group
        .iter()
        .filter(|link| link.is_physical() && link.up && link.index != device.index && !bonded(link))
        .filter_map(|link| {
            Some(RankedNic {
                name: link.name.clone(),
                mac: link.mac?,
                index: link.index,
                addresses: Vec::new(),
            })
        })
        .collect()
}

fn is_carried(address: &Address, link: &Link) -> bool {
    if address.link_index == 0 {
        address.link_name == link.name
    } else {
        address.link_index == link.index
    }
}

/// What the addresses are judged by.
struct Ranking<'a> {
    node_addresses: Option<&'a NodeAddresses>,
    listed: &'a [IpAddr],
    virtual_ips: Option<&'a BTreeSet<IpAddr>>,
}

impl<'a> Ranking<'a> {
    fn new(facts: &'a Facts) -> Self {
        let node_addresses = facts.node_addresses.as_ref();
        Self {
            node_addresses,
            listed: node_addresses.map_or(&[], NodeAddresses::best),
            virtual_ips: facts.virtual_ips.as_ref(),
        }
    }

    /// Where an address stands; `None` when it is not to be reported.
    fn rank(&self, order: usize, address: &Address) -> Option<(Rank, NicAddress)> {
        let ip = address.ip;
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
            return None;
        }
        if matches!(address.scope, AddressScope::Host | AddressScope::Nowhere) {
            return None;
        }
        if self
            .node_addresses
            .is_some_and(|lists| is_kubernetes(lists, ip))
        {
            return None;
        }
        let place = self.listed.iter().position(|&listed| listed == ip);
        let class = self.class(address, place.is_some());
        let rank = Rank {
            class,
            ipv6: ip.is_ipv6(),
            place: place.unwrap_or(usize::MAX),
            order,
        };
        let reported = NicAddress {
            ip,
            prefix_length: address.prefix_length,
            status: address.status,
        };
        Some((rank, reported))
    }

    fn class(&self, address: &Address, listed: bool) -> Class {
        let ip = address.ip;
        if self.virtual_ips.is_some_and(|ips| ips.contains(&ip)) {
            return Class::Virtual;
        }
        if is_link_local(ip) || address.scope == AddressScope::Link {
            return Class::LinkLocal;
        }
        match address.status {
            AddressStatus::Tentative | AddressStatus::Duplicate => Class::Unusable,
            _ if !listed => Class::Unlisted,
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

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
