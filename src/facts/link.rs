//! Links and addresses as the kernel has them, reported by Talos.

use std::fmt;
use std::net::IpAddr;

/// A 6-byte hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    /// Lower-case, colon-separated, as open-vm-tools writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// One network link (LinkStatus).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Interface name, unique.
    pub name: String,
    /// Kernel interface index, unique.
    pub index: u32,
    /// ARPHRD type: 1 Ethernet, 772 loopback, 65534 none.
    pub arp_type: u16,
    /// Kernel link kind: empty for a real NIC, else `bond`, `vlan`, `bridge`, `veth`, `wireguard` …
    pub kind: String,
    /// Kind of the master this link is enslaved to, such as `bond`; empty when it is not.
    pub slave_kind: String,
    /// Hardware address in use.
    pub mac: Option<Mac>,
    /// Hardware address burnt in; differs from `mac` on a bond's slaves.
    pub permanent_mac: Option<Mac>,
    /// Index of the bond or bridge above; 0 when there is none.
    pub master_index: u32,
    /// Index of the link below (a VLAN's parent) or of a veth's peer; 0 when there is none.
    pub parent_index: u32,
    /// Whether the link can carry traffic (operational state up, or unknown with the flag UP).
    pub up: bool,
}

impl Link {
    /// Whether this is a NIC of the (virtual) machine: Ethernet without a software kind. Talos' own rule
    /// for "physical".
    pub fn is_physical(&self) -> bool {
        self.arp_type == 1 && self.kind.is_empty()
    }

    /// Whether no packet leaves the node through it: loopback or dummy. It may carry the node's address all the same,
    /// to which routers lead over the NICs.
    pub fn leads_nowhere(&self) -> bool {
        self.arp_type == 772 || self.kind == "dummy"
    }
}

/// Where an address is valid (kernel scope).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressScope {
    /// 0
    #[default]
    Global,
    /// 200
    Site,
    /// 253
    Link,
    /// 254
    Host,
    /// 255 and anything else
    Nowhere,
}

/// How far the kernel trusts an address (IFA_F flags).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressStatus {
    /// Usable.
    #[default]
    Preferred,
    /// 0x20: not for new connections.
    Deprecated,
    /// 0x40: duplicate detection still running.
    Tentative,
    /// 0x08: duplicate detection failed.
    Duplicate,
}

/// One address on a link (AddressStatus).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The node's own address (the local one on point-to-point links).
    pub ip: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_length: u8,
    /// Name of the link that carries it.
    pub link_name: String,
    /// Index of the link that carries it.
    pub link_index: u32,
    /// Where it is valid.
    pub scope: AddressScope,
    /// Usable, or why not.
    pub status: AddressStatus,
    /// Whether it is a temporary (privacy) IPv6 or secondary IPv4 address (flag 0x01).
    pub temporary: bool,
    /// Whether the kernel made it from a router's announcement (SLAAC): IPv6, and either not permanent (no flag 0x80),
    /// or a source of temporary ones (0x100), or stable and random (0x800).
    pub announced: bool,
}
