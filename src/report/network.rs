//! From links and addresses to the NICs that a host understands.
//!
//! The host knows virtual devices by their hardware address, the node has links stacked on each other:
//!
//! ```text
//! bond0.100 (vlan)  10.0.0.5     ─┐
//! bond0             fe80::…       ├─► one NIC: eth0's MAC, 10.0.0.5 first, fe80::… last
//! eth0, eth1 (slaves)            ─┘
//! ```
//!
//! [`decide`] looks at every address once and says where it is reported or why not. Links that share a device
//! form a group (`groups`). A group with a physical NIC is reported; one without only when it carries an address
//! of Talos' own list, as the veth of a containerised Talos does. The rest is ordered (`ranking`) so that the
//! first address of the first NIC is the node's primary one. Routes and name servers follow the NICs they
//! belong to (`attached`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::NetworkPolicy;
use crate::facts::{Address, AddressStatus, Facts, Link, Mac, Resolver};

mod attached;
mod decision;
mod evidence;
mod groups;
mod rank;
mod ranking;

pub use attached::NicRoute;
pub use decision::{AddressDecision, Decision, Reason, Standing, Verdict};
pub use rank::Rule;

use groups::Group;
use rank::{Place, Rank};
use ranking::{Class, Ranking};

/// One NIC to show to the host, with the addresses of everything stacked on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Name of the link, for the log.
    pub name: String,
    /// Hardware address by which the host finds the virtual device.
    pub mac: Mac,
    /// Addresses, best first.
    pub addresses: Vec<NicAddress>,
    /// Whether DHCP gave it IPv4 addresses; `None` when that is not known, or it has none.
    pub dhcp_v4: Option<bool>,
    /// Whether DHCP gave it IPv6 addresses; `None` when that is not known, or it has none.
    pub dhcp_v6: Option<bool>,
    /// The name servers in this NIC's DHCP leases.
    pub resolver: Option<Resolver>,
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
    /// Where it comes from, if that is known.
    pub origin: Option<AddressOrigin>,
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressOrigin {
    /// Configured: machine config, kernel arguments, platform, or a virtual IP.
    Manual,
    /// Leased.
    Dhcp,
    /// Made from the hardware address (EUI-64).
    LinkLayer,
    /// Random (RFC 8981 privacy address).
    Random,
}

impl NicAddress {
    /// Whether the address is valid on its link alone.
    pub fn is_link_local(&self) -> bool {
        is_link_local(self.ip)
    }
}

/// Decides what to show of the network, and why; `None` while links or addresses are not known yet. The host
/// accepts `most_nics`.
pub fn decide(facts: &Facts, policy: &NetworkPolicy, most_nics: usize) -> Option<Decision> {
    let links = facts.links.as_deref()?;
    let addresses = facts.addresses.as_deref()?;
    let groups = Group::all(links);
    let ranking = Ranking::new(facts, policy);

    let mut verdicts = Vec::with_capacity(addresses.len());
    let mut candidates: BTreeMap<usize, Vec<Candidate>> = BTreeMap::new();
    for (order, address) in addresses.iter().enumerate() {
        let link = links.iter().find(|link| is_carried(address, link));
        let judged = link
            .ok_or(Reason::NoLink)
            .and_then(|link| Ok((link, ranking.judge(address, link)?)));
        verdicts.push(Verdict::LeftOut(match judged {
            Err(reason) => reason,
            Ok((link, class)) => {
                let place = if link.leads_nowhere() {
                    uplink(&groups, ranking.uplinks(address.ip), links, policy)
                } else {
                    groups.iter().position(|group| group.contains(link))
                };
                if let Some(place) = place {
                    let device = groups.get(place).and_then(Group::device_name);
                    candidates.entry(place).or_default().push(Candidate {
                        class,
                        rank: ranking.rank(class, order, address, link, device),
                        address: ranking.report(address, link),
                    });
                }
                // Until a NIC takes it.
                Reason::NoNic
            }
        }));
    }

    let mut nics = Nics::default();
    for (place, group) in groups.iter().enumerate() {
        let carried = candidates.remove(&place).unwrap_or_default();
        nics.add(group, carried, policy);
    }
    let mut nics = nics.by_mac.into_values().collect::<Vec<_>>();
    for nic in &mut nics {
        nic.sort_addresses(&mut verdicts);
        if !policy.report_link_local {
            nic.drop_link_local(&mut verdicts);
        }
    }
    let cut = cut(&mut nics, most_nics, &mut verdicts);
    // A NIC without addresses comes behind all others; the kernel's order decides between equals.
    nics.sort_by_key(|nic| (nic.best().is_none(), nic.best(), nic.index));

    let primary = nics
        .first()
        .and_then(|nic| nic.addresses.first())
        .filter(|best| best.class.may_be_primary());
    let primary_rule = primary.map(|primary| deciding_rule(primary, &nics));
    let primary_address = primary.map(|best| best.address.ip);
    for (nic, ranked) in nics.iter().enumerate() {
        for (place, candidate) in ranked.addresses.iter().enumerate() {
            let standing = candidate.class.standing();
            if let Some(verdict) = verdicts.get_mut(candidate.rank.order) {
                let primary = nic == 0 && place == 0 && primary_address.is_some();
                *verdict = Verdict::Reported {
                    nic,
                    place,
                    standing: if primary { Standing::Primary } else { standing },
                };
            }
        }
    }
    let routes = attached::routes(facts, policy, &nics);
    Some(Decision {
        nics: nics
            .into_iter()
            .map(|nic| attached::nic(nic, facts))
            .collect(),
        primary_address,
        primary_rule,
        routes,
        addresses: addresses
            .iter()
            .zip(verdicts)
            .map(|(address, verdict)| AddressDecision {
                ip: address.ip,
                prefix_length: address.prefix_length,
                link_name: address.link_name.clone(),
                verdict,
            })
            .collect(),
        cut,
    })
}

/// An address that may be reported.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    class: Class,
    rank: Rank,
    address: NicAddress,
}

/// A [`Nic`] whose addresses still carry the rank that ordered them.
#[derive(Debug)]
struct RankedNic {
    name: String,
    mac: Mac,
    index: u32,
    /// Links that are folded into it and not excluded.
    links: BTreeSet<String>,
    addresses: Vec<Candidate>,
}

impl RankedNic {
    fn best(&self) -> Option<Rank> {
        self.addresses.first().map(|best| best.rank)
    }

    /// Best first, each address once.
    fn sort_addresses(&mut self, verdicts: &mut [Verdict]) {
        self.addresses.sort_by_key(|candidate| candidate.rank);
        let mut seen = BTreeSet::new();
        self.addresses.retain(|candidate| {
            let first = seen.insert(candidate.address.ip);
            if !first && let Some(verdict) = verdicts.get_mut(candidate.rank.order) {
                *verdict = Verdict::LeftOut(Reason::Twice);
            }
            first
        });
    }

    /// Leaves link-local addresses out where there is another: many readers take whatever is listed for an address
    /// of the node. Alone they show that the NIC is alive.
    fn drop_link_local(&mut self, verdicts: &mut [Verdict]) {
        let link_local = |candidate: &Candidate| candidate.address.is_link_local();
        if self.addresses.iter().all(link_local) {
            return;
        }
        self.addresses.retain(|candidate| {
            let stays = !link_local(candidate);
            if !stays && let Some(verdict) = verdicts.get_mut(candidate.rank.order) {
                *verdict = Verdict::LeftOut(Reason::LinkLocal);
            }
            stays
        });
    }

    /// Sort key for which NICs to keep beyond the limit. Ignores address state and list position, so the
    /// choice is stable.
    fn worth(&self) -> (u8, (Place, usize), u32) {
        let usable = self
            .addresses
            .iter()
            .filter(|candidate| candidate.class <= Class::Tentative);
        let place = usable
            .map(|candidate| (candidate.rank.nic, candidate.rank.kubelet))
            .min();
        let tier = match (place, self.addresses.is_empty()) {
            (Some(_), _) => 0,
            (None, false) => 1,
            (None, true) => 2,
        };
        (tier, place.unwrap_or_default(), self.index)
    }
}

/// NICs by hardware address, none twice.
#[derive(Debug, Default)]
struct Nics {
    by_mac: BTreeMap<Mac, RankedNic>,
}

impl Nics {
    fn add(&mut self, group: &Group<'_>, carried: Vec<Candidate>, policy: &NetworkPolicy) {
        let excluded = |link: &Link| policy.exclude_nics.find(&link.name).is_some();
        let listed = carried
            .iter()
            .any(|candidate| candidate.class.may_be_primary());
        let Some((device, mac)) = group.device(listed) else {
            return;
        };
        // An excluded device is still reported if an interface on top of it carries an address.
        if excluded(device) && carried.is_empty() {
            return;
        }
        let ports = group.other_ports(device);
        let links = group.links().filter(|link| link.up && !excluded(link));
        let mut found = vec![RankedNic {
            name: device.name.clone(),
            mac,
            index: device.index,
            links: links.map(|link| link.name.clone()).collect(),
            addresses: carried,
        }];
        found.extend(
            ports
                .filter(|(port, _)| !excluded(port))
                .map(|(port, mac)| RankedNic {
                    name: port.name.clone(),
                    mac,
                    index: port.index,
                    links: BTreeSet::new(),
                    addresses: Vec::new(),
                }),
        );
        for nic in found {
            match self.by_mac.get_mut(&nic.mac) {
                Some(known) => {
                    known.addresses.extend(nic.addresses);
                    known.links.extend(nic.links);
                }
                None => {
                    self.by_mac.insert(nic.mac, nic);
                }
            }
        }
    }
}

/// Keeps the most useful NICs up to the host's limit, always the one with the best address; returns the names of
/// the others.
fn cut(nics: &mut Vec<RankedNic>, most: usize, verdicts: &mut [Verdict]) -> Vec<String> {
    if nics.len() <= most {
        return Vec::new();
    }
    let best = nics.iter().filter_map(RankedNic::best).min();
    nics.sort_by_key(|nic| (nic.best() != best, nic.worth()));
    let mut cut = Vec::new();
    for nic in nics.split_off(most) {
        for candidate in &nic.addresses {
            if let Some(verdict) = verdicts.get_mut(candidate.rank.order) {
                *verdict = Verdict::LeftOut(Reason::TooManyNics { most });
            }
        }
        cut.push(nic.name);
    }
    cut
}

/// The group that shows an address on no NIC: that of the best default route, else the first with a NIC.
fn uplink<'a>(
    groups: &[Group<'_>],
    uplinks: impl Iterator<Item = &'a str>,
    links: &[Link],
    policy: &NetworkPolicy,
) -> Option<usize> {
    let is_shown = |group: &Group<'_>| {
        let device = group.device(false);
        device.is_some_and(|(device, _)| policy.exclude_nics.find(&device.name).is_none())
    };
    let carries = |name: &str| {
        let link = links.iter().find(|link| link.name == name)?;
        let mut groups = groups.iter();
        groups.position(|group| group.contains(link) && is_shown(group))
    };
    let mut found = uplinks.filter_map(carries);
    found.next().or_else(|| groups.iter().position(is_shown))
}

/// What puts the primary address before the next best. The kubelet's list says more than what speaks against others.
fn deciding_rule(primary: &Candidate, nics: &[RankedNic]) -> Rule {
    let others = nics.iter().flat_map(|nic| &nic.addresses);
    let next = others
        .filter(|other| other.address.ip != primary.address.ip)
        .min_by_key(|other| other.rank);
    let rule = match next {
        None => Rule::Only,
        Some(next) if next.class == Class::Floating => Rule::AskedFor,
        Some(next) => primary.rank.rule_over(&next.rank),
    };
    match rule {
        Rule::Nics | Rule::Prefer => rule,
        _ if primary.rank.kubelet != usize::MAX => Rule::Kubelet,
        _ => rule,
    }
}

fn is_carried(address: &Address, link: &Link) -> bool {
    if address.link_index == 0 {
        address.link_name == link.name
    } else {
        address.link_index == link.index
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod layout_tests;
