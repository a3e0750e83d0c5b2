//! What Talos reports of the network beside links and addresses: routes, resolvers, and where addresses come from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Each part is `None` until Talos has reported it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkState {
    /// Unicast routes of the main table, from RouteStatus; shared, because a node of a routed pod network has
    /// thousands.
    pub routes: Option<Arc<[Route]>>,
    /// The resolver in use, from ResolverStatus.
    pub resolver: Option<Resolver>,
    /// Where addresses come from, from AddressSpec.
    pub address_sources: Option<BTreeMap<IpAddr, AddressSource>>,
    /// The name servers that each DHCP client was given, from its ResolverSpec.
    pub lease_resolvers: Option<BTreeMap<DhcpClient, Resolver>>,
    /// What has gone over each link, by its name, when it was last measured (the NetworkDeviceStats call).
    pub traffic: Option<BTreeMap<String, Traffic>>,
}

/// One path to a destination; a route with several next hops becomes several of these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Destination network; unspecified, with no prefix, for the default route.
    pub destination: IpAddr,
    /// Length of its prefix in bits.
    pub prefix_length: u8,
    /// The next hop; `None` when the destination is on the link. May be of the other family.
    pub gateway: Option<IpAddr>,
    /// Name of the link that it leads through.
    pub link_name: Box<str>,
    /// The kernel's priority: lower is better.
    pub metric: u32,
}

/// What has gone over a link since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub received: Direction,
    /// Sent.
    pub sent: Direction,
}

/// One direction of [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

/// A resolver's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers, in order.
    pub servers: Vec<IpAddr>,
    /// Search domains, in order.
    pub search_domains: Vec<String>,
}

/// Where an address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// Machine config, kernel arguments or platform.
    Configuration,
    /// A DHCP client with a lease.
    Dhcp(DhcpClient),
    /// The virtual IP operator, while this node holds the address.
    Vip,
}

/// A DHCP client: the operator `dhcp4` or `dhcp6` on a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DhcpClient {
    /// Whether it is the one for IPv6.
    pub ipv6: bool,
    /// The link as the operator calls it, which may be an alias.
    pub link: String,
}
