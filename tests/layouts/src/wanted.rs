//! What the readers of the host's view must find.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::Node;

/// What the node's operator wants everybody to find who reads the host's view: not what is reported, but what has
/// to come out of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The name by which the machine is found: that of the Kubernetes node, and the short host name before there
    /// is one.
    pub name: String,
    /// The machine's IPv4 address, if it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
}

impl Wanted {
    /// The address of a reader who wants one only: of the family that the kubelet has first, else IPv4.
    pub fn first(&self, node: &Node) -> Option<IpAddr> {
        let (ipv4, ipv6) = (self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6));
        let kubelets = node.kubelet_node_ips.iter().flatten().next();
        match kubelets {
            Some(IpAddr::V6(_)) => ipv6.or(ipv4),
            Some(IpAddr::V4(_)) | None => ipv4.or(ipv6),
        }
    }
}
