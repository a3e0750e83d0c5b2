//! The operator's wishes: what of the network to report, and what comes first.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Glob;

/// Interfaces that are never the node's own. open-vm-tools and Bottlerocket exclude the pod networks' by these
/// names, too; they also exclude `br*`, which on Talos may be the bridge that carries the node's address.
const BUILT_IN_EXCLUDES: [&str; 32] = [
    // Antrea and Open vSwitch, with their tunnels
    "antrea-*",
    "ovs-system",
    "ovn-*",
    "br-int",
    "vxlan_sys_*",
    "genev_sys_*",
    "gre_sys_*",
    "stt_sys_*",
    // Calico
    "cali*",
    "*.cali",
    "*.calico",
    "tunl*",
    // Cilium; Linux containers use the second one as well
    "cilium*",
    "lxc*",
    "lxdbr*",
    // Flannel, and the bridges of the reference plugins
    "flannel*",
    "cni*",
    // kube-proxy, kube-router, the node-local name server
    "kube-*",
    "nodelocaldns*",
    // Weave
    "weave*",
    "vethwe*",
    "datapath",
    // Azure
    "azv*",
    // Container engines and virtual machines
    "docker*",
    "nerdctl*",
    "podman*",
    "veth*",
    "virbr*",
    // KubeSpan and other WireGuard links, SideroLink
    "kubespan*",
    "wg*",
    "wireguard*",
    "siderolink*",
];

/// What is reported of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Interfaces whose addresses are left out.
    pub exclude_nics: Patterns,
    /// Interfaces that come before all others.
    pub primary_nics: Patterns,
    /// Interfaces that come behind all others.
    pub low_priority_nics: Patterns,
    /// Networks whose addresses and routes are left out.
    pub exclude_subnets: Vec<Subnet>,
    /// Which family the primary address has where the node has both; `None` leaves that to the kubelet, and before
    /// there is one takes IPv4.
    pub prefer: Option<Family>,
    /// Whether virtual IPs are reported (last) while this node holds them.
    pub report_vips: bool,
    /// Whether link-local addresses are reported although their NIC has another address.
    pub report_link_local: bool,
}

impl Default for NetworkPolicy {
    /// No wishes: the evidence decides. Nothing of the pod network, and no virtual IPs.
    fn default() -> Self {
        Self {
            exclude_nics: Patterns::built_in_excludes(),
            primary_nics: Patterns::default(),
            low_priority_nics: Patterns::default(),
            exclude_subnets: Vec::new(),
            prefer: None,
            report_vips: false,
            report_link_local: false,
        }
    }
}

/// The place of an interface's addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Priority {
    /// One of [`NetworkPolicy::primary_nics`].
    Primary,
    /// No pattern matches it.
    #[default]
    Normal,
    /// One of [`NetworkPolicy::low_priority_nics`].
    Low,
}

impl NetworkPolicy {
    /// The place that the patterns give a name; `None` when none matches.
    pub(super) fn priority(&self, name: &str) -> Option<Priority> {
        if self.primary_nics.find(name).is_some() {
            Some(Priority::Primary)
        } else if self.low_priority_nics.find(name).is_some() {
            Some(Priority::Low)
        } else {
            None
        }
    }

    /// The excluded network that an address belongs to.
    pub(super) fn excluding_subnet(&self, ip: IpAddr) -> Option<Subnet> {
        let mut subnets = self.exclude_subnets.iter();
        subnets.find(|subnet| subnet.contains(ip)).copied()
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 before IPv6.
    #[default]
    Ipv4,
    /// IPv6 before IPv4.
    Ipv6,
}

/// Patterns of interface names. The last one that matches decides; a pattern with `!` in front takes out names that
/// an earlier one let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Pattern>);

/// One item of [`Patterns`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    takes_out: bool,
    glob: Glob,
}

impl Patterns {
    /// The pod networks' and tunnels' interfaces.
    pub fn built_in_excludes() -> Self {
        Self(
            BUILT_IN_EXCLUDES
                .map(|glob| Pattern {
                    takes_out: false,
                    glob: Glob::new(glob),
                })
                .into(),
        )
    }

    /// These patterns, then those.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = Pattern>) -> Self {
        self.0.extend(more);
        self
    }

    /// The pattern that lets a name in.
    pub fn find(&self, name: &str) -> Option<&Glob> {
        let decisive = self.0.iter().rev().find(|item| item.glob.matches(name))?;
        (!decisive.takes_out).then_some(&decisive.glob)
    }
}

impl FromIterator<Pattern> for Patterns {
    fn from_iter<I: IntoIterator<Item = Pattern>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

/// A setting cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A pattern has no text.
    EmptyPattern,
    /// A network has no address, or a length that the address does not allow.
    Subnet,
    /// A family is neither of the two.
    Family,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyPattern => {
                "an interface pattern is empty; write a name such as eth0 or eth*"
            }
            Self::Subnet => "not a network; write it as 10.0.0.0/8 or fd00::/8",
            Self::Family => "not an address family; write ipv4 or ipv6",
        })
    }
}

impl std::error::Error for Unreadable {}

impl FromStr for Pattern {
    type Err = Unreadable;

    /// A glob, `!` in front when it takes names out.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let glob = text.strip_prefix('!').unwrap_or(text);
        if glob.is_empty() {
            return Err(Unreadable::EmptyPattern);
        }
        Ok(Self {
            takes_out: glob.len() < text.len(),
            glob: Glob::new(glob),
        })
    }
}

impl FromStr for Family {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        match text.to_ascii_lowercase().as_str() {
            "ipv4" => Ok(Self::Ipv4),
            "ipv6" => Ok(Self::Ipv6),
            _ => Err(Unreadable::Family),
        }
    }
}

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    ip: IpAddr,
    length: u8,
}

impl Subnet {
    /// Whether an address of the same family agrees in all bits that count.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let differing = network.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= self.length.into()
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let differing = network.to_bits() ^ ip.to_bits();
                differing.leading_zeros() >= self.length.into()
            }
            _ => false,
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

impl FromStr for Subnet {
    type Err = Unreadable;

    /// `address/length`; an address alone is a network of one.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (ip, length) = text.split_once('/').unzip();
        let ip: IpAddr = ip.unwrap_or(text).parse().map_err(|_| Unreadable::Subnet)?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(longest), |length| {
            length.parse().map_err(|_| Unreadable::Subnet)
        })?;
        if length > longest {
            return Err(Unreadable::Subnet);
        }
        Ok(Self { ip, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(list: &[&str]) -> Patterns {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_interfaces_of_pod_networks_and_tunnels_are_excluded() {
        let excludes = Patterns::built_in_excludes();
        for name in [
            "cilium_host",
            "cilium_net",
            "cilium_vxlan",
            "lxc_health",
            "lxc12ab34cd56ef",
            "cali0123456789a",
            "vxlan.calico",
            "vxlan-v6.calico",
            "wireguard.cali",
            "bpfout.cali",
            "tunl0",
            "flannel.1",
            "flannel-v6.1",
            "cni0",
            "kube-ipvs0",
            "kube-bridge",
            "nodelocaldns",
            "kubespan",
            "siderolink",
            "wg0",
            "docker0",
            "veth0a1b2c3d",
            "virbr0",
            "antrea-gw0",
            "ovs-system",
            "genev_sys_6081",
            "weave",
            "vxlan_sys_4789",
            "azv12ab",
        ] {
            assert!(excludes.find(name).is_some(), "{name}");
        }
        for name in [
            "eth0",
            "ens192",
            "enp11s0",
            "bond0",
            "bond0.100",
            "br0",
            "team0",
            "vlan5",
            "enx005056abcdef",
            "net0",
            "br-ex",
        ] {
            assert!(excludes.find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let list = patterns(&["eth*", "!eth1", "eth1?"]);
        assert_eq!(list.find("eth0"), Some(&Glob::new("eth*")));
        assert_eq!(list.find("eth1"), None);
        assert_eq!(list.find("eth10"), Some(&Glob::new("eth1?")));
        let none = Patterns::built_in_excludes().and(["!*".parse().unwrap()]);
        assert_eq!(none.find("cilium_host"), None);
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (subnet, ip, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "fd00::1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe80::1", false),
        ] {
            let subnet: Subnet = subnet.parse().unwrap();
            assert_eq!(
                subnet.contains(ip.parse().unwrap()),
                inside,
                "{subnet} {ip}"
            );
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "fd00::/129",
            "ten/8",
            "10.0.0.0/",
        ] {
            assert_eq!(text.parse::<Subnet>(), Err(Unreadable::Subnet), "{text}");
        }
        for text in ["", "!"] {
            assert_eq!(text.parse::<Pattern>(), Err(Unreadable::EmptyPattern));
        }
        assert_eq!("ipx".parse::<Family>(), Err(Unreadable::Family));
        assert_eq!("IPv6".parse(), Ok(Family::Ipv6));
    }
}
