//! What was decided, address by address.

use std::fmt;
use std::net::IpAddr;

use super::{Nic, NicRoute, Rule};
use crate::report::{Glob, Subnet};

/// What to show of the network, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The NICs to report, the one with the primary address first, no hardware address twice.
    pub nics: Vec<Nic>,
    /// The node's one address, which is the first address of the first NIC; `None` while Talos' own list has
    /// none that is usable, on a reported NIC, and the node's alone (no virtual IP).
    pub primary_address: Option<IpAddr>,
    /// What decided that it is this one; there with the primary address.
    pub primary_rule: Option<Rule>,
    /// The routes through these NICs.
    pub routes: Vec<NicRoute>,
    /// Every address of the node, in the kernel's order.
    pub addresses: Vec<AddressDecision>,
    /// Names of the NICs that are too many.
    pub cut: Vec<String>,
}

impl Decision {
    /// Whether what is left out is certain. Links, addresses and Talos' lists come apart: while Talos refuses one of
    /// them, or is slow with it, an address can be there without its link, or on a NIC and in one list of two, as a
    /// pod's would be.
    pub fn is_whole(&self) -> bool {
        let is_nic = |name: &str| self.nics.iter().any(|nic| nic.name == name);
        self.addresses.iter().all(|address| match address.verdict {
            Verdict::LeftOut(Reason::NoLink) => false,
            Verdict::LeftOut(Reason::Kubernetes) => !is_nic(&address.link_name),
            Verdict::LeftOut(_) | Verdict::Reported { .. } => true,
        })
    }
}

/// What became of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressDecision {
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_length: u8,
    /// Name of the link that carries it.
    pub link_name: String,
    /// Where it is reported, or why not.
    pub verdict: Verdict,
}

/// Whether an address is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Reported {
        /// Position of its NIC in [`Decision::nics`].
        nic: usize,
        /// Position among the NIC's addresses.
        place: usize,
        /// What gave it this place.
        standing: Standing,
    },
    /// It is not.
    LeftOut(Reason),
}

/// What gives an address its place; best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The best of all.
    Primary,
    /// In Talos' list of the node's addresses.
    Listed,
    /// A privacy address.
    Temporary,
    /// Not for new connections.
    Deprecated,
    /// Talos does not list it (yet).
    Unlisted,
    /// Duplicate detection still runs.
    Tentative,
    /// A single address that neither Talos nor the kubelet asked for.
    Floating,
    /// Valid on its link alone.
    LinkLocal,
    /// Shared with other nodes.
    Virtual,
}

/// Why an address is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Loopback, multicast, unspecified, or valid on the node alone.
    Loopback,
    /// The interface is excluded, by this pattern.
    ExcludedNic(Glob),
    /// The address is in an excluded network.
    ExcludedSubnet(Subnet),
    /// Duplicate detection has failed: another machine has it.
    Duplicate,
    /// On lo or a dummy link, and neither Talos nor the kubelet has it for the node's.
    NotOwn,
    /// A tunnel or another link that is no Ethernet.
    NotEthernet,
    /// The interface is down.
    LinkDown,
    /// Talos does not know the link (any more).
    NoLink,
    /// A pod's or a service's.
    Kubernetes,
    /// A virtual IP, and those are not wanted.
    Virtual,
    /// No NIC of the machine is below the interface, and Talos does not list the address.
    NoNic,
    /// The NIC has it already.
    Twice,
    /// Valid on its link alone, on a NIC that has an address which means more.
    LinkLocal,
    /// Its NIC is one too many.
    TooManyNics {
        /// The host takes so many.
        most: usize,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "the primary address",
            Self::Listed => "one of the node's addresses",
            Self::Temporary => "a privacy address",
            Self::Deprecated => "deprecated, behind the usable ones",
            Self::Unlisted => "not in Talos' list of node addresses, behind those that are",
            Self::Tentative => "duplicate detection runs, behind the usable ones",
            Self::Floating => {
                "neither Talos nor the kubelet asked for it, behind those that they did"
            }
            Self::LinkLocal => "link-local, behind all that mean more",
            Self::Virtual => "a virtual IP, last and never primary",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("it means nothing beyond the node"),
            Self::ExcludedNic(glob) => write!(f, "the interface is excluded by {glob}"),
            Self::ExcludedSubnet(subnet) => write!(f, "the network {subnet} is excluded"),
            Self::Duplicate => f.write_str("duplicate detection failed: another machine has it"),
            Self::NotOwn => f.write_str(
                "on no NIC, and neither Talos nor the kubelet has it for the node's own",
            ),
            Self::NotEthernet => f.write_str("the interface is no Ethernet"),
            Self::LinkDown => f.write_str("the interface is down"),
            Self::NoLink => f.write_str("its interface is not known"),
            Self::Kubernetes => f.write_str("Talos counts it to Kubernetes' pods and services"),
            Self::Virtual => f.write_str("a virtual IP, and those are not reported"),
            Self::NoNic => f.write_str(
                "no NIC of the machine below the interface, and not in Talos' list of node addresses",
            ),
            Self::Twice => f.write_str("the NIC has it already"),
            Self::LinkLocal => f.write_str("link-local, and the NIC has another address"),
            Self::TooManyNics { most } => write!(f, "the host takes {most} NICs, this one is too many"),
        }
    }
}
