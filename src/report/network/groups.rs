//! Links that share a device: what is one NIC to the host.
//!
//! VLANs and MAC-VLANs go with their parent, slaves with their bond or bridge. The hardware address of a group is
//! that of a virtual NIC as the host made it, which a bond or an operator may have covered with another one.

use std::collections::BTreeMap;

use crate::facts::{Link, Mac};

/// Kinds of link that sit on top of another one and share its device.
const STACKED_KINDS: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];
/// Kinds of link that join the devices of their slaves. A VRF only groups routes and is not one of them.
const JOINING_KINDS: [&str; 3] = ["bond", "team", "bridge"];

/// Links that share a device, in the kernel's order.
#[derive(Debug)]
pub(super) struct Group<'a>(Vec<&'a Link>);

impl<'a> Group<'a> {
    /// All Ethernet links, each in one group.
    pub(super) fn all(links: &'a [Link]) -> Vec<Self> {
        let ethernet: Vec<&Link> = links.iter().filter(|link| is_ethernet(link)).collect();
        let find = |index: u32| ethernet.iter().find(|link| link.index == index);

        // A forest over link indexes: every link points to one it shares a device with, roots to nothing.
        let mut above: BTreeMap<u32, u32> = BTreeMap::new();
        for link in &ethernet {
            let parent = STACKED_KINDS
                .contains(&link.kind.as_str())
                .then(|| find(link.parent_index))
                .flatten();
            let master = find(link.master_index)
                .filter(|master| JOINING_KINDS.contains(&master.kind.as_str()));
            for other in [parent, master].into_iter().flatten() {
                let (from, to) = (root(&above, link.index), root(&above, other.index));
                if from != to {
                    above.insert(from, to);
                }
            }
        }

        let mut groups: BTreeMap<u32, Vec<&Link>> = BTreeMap::new();
        for link in ethernet {
            groups
                .entry(root(&above, link.index))
                .or_default()
                .push(link);
        }
        let mut groups: Vec<Self> = groups.into_values().map(Self).collect();
        for group in &mut groups {
            group.0.sort_by_key(|link| link.index);
        }
        groups
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &'a Link> {
        self.0.iter().copied()
    }

    pub(super) fn contains(&self, link: &Link) -> bool {
        self.links().any(|member| member.index == link.index)
    }

    /// The link that represents the group, and the hardware address by which the host knows it: a bond, under
    /// the address of one of its NICs; else the physical NIC whose address the bridge has taken, or the first
    /// one; else, when Talos lists an address on it, the lowest link. `None` when the group is not to be
    /// reported.
    pub(super) fn device(&self, listed: bool) -> Option<(&'a Link, Mac)> {
        let physical = || self.links().filter(|link| link.is_physical());
        if physical().next().is_none() && !listed {
            return None;
        }
        let device = self.representative()?;
        let mac = if is_bond(device) {
            let slaves: Vec<&Link> = physical()
                .filter(|link| link.master_index == device.index)
                .collect();
            slave_mac(&slaves, device)
        } else {
            burnt_in(device)
        };
        device.up.then_some((device, mac?))
    }

    /// Name of the link that would represent the group.
    pub(super) fn device_name(&self) -> Option<&'a str> {
        self.representative().map(|link| link.name.as_str())
    }

    fn representative(&self) -> Option<&'a Link> {
        if let Some(bond) = self.links().find(|link| is_bond(link)) {
            return Some(bond);
        }
        if !self.links().any(Link::is_physical) {
            return self.links().find(|link| link.up);
        }
        let physical = || self.links().filter(|link| link.is_physical() && link.up);
        let bridge = self
            .links()
            .find(|link| link.kind == "bridge" && link.up)
            .and_then(|link| link.mac);
        physical()
            .find(|link| bridge.is_some() && link.mac == bridge)
            .or_else(|| physical().next())
    }

    /// Physical ports of a bridge other than its device: NICs of the machine, but without addresses. A bond's
    /// slaves are no NICs of their own.
    pub(super) fn other_ports(&self, device: &'a Link) -> impl Iterator<Item = (&'a Link, Mac)> {
        let bonded = |link: &Link| {
            self.links()
                .any(|master| master.index == link.master_index && master.kind != "bridge")
        };
        self.links()
            .filter(move |link| {
                link.is_physical() && link.up && link.index != device.index && !bonded(link)
            })
            .filter_map(|link| Some((link, burnt_in(link)?)))
    }
}

/// The hardware address of one of a bond's NICs: the one that the bond has taken, else the first that is up.
fn slave_mac(slaves: &[&Link], bond: &Link) -> Option<Mac> {
    let macs = || slaves.iter().filter_map(|link| burnt_in(link));
    let up = || slaves.iter().filter(|link| link.up);
    macs()
        .find(|&mac| Some(mac) == bond.mac)
        .or_else(|| up().find_map(|link| burnt_in(link)))
        .or_else(|| macs().next())
        .or(bond.mac)
}

/// The hardware address as the host made it.
fn burnt_in(link: &Link) -> Option<Mac> {
    let permanent = link.permanent_mac.filter(|_| link.is_physical());
    permanent.or(link.mac)
}

fn is_bond(link: &Link) -> bool {
    link.kind == "bond" || link.kind == "team"
}

/// Ethernet, with a hardware address.
pub(super) fn is_ethernet(link: &Link) -> bool {
    link.arp_type == 1 && link.mac.is_some_and(|mac| mac != Mac::default())
}

fn root(above: &BTreeMap<u32, u32>, mut index: u32) -> u32 {
    while let Some(&next) = above.get(&index) {
        index = next;
    }
    index
}
