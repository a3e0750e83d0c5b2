//! What a node is: the resources that Talos has of its network, as a file names them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::{Mac, Prefix};

/// A node, whole.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// The host name.
    pub hostname: HostName,
    /// The name of the Kubernetes node; the host name's first label when a file gives none.
    pub nodename: Option<String>,
    /// What the machine is doing.
    pub stage: Stage,
    /// All links, in the file's order.
    pub links: Vec<Link>,
    /// All addresses on links, in the file's order.
    pub addresses: Vec<Address>,
    /// The routes that somebody has set; [`Node::all_routes`] has the kernel's own, too.
    pub routes: Vec<Route>,
    /// Name servers in use, once there are any.
    pub resolver: Option<Resolver>,
    /// What DHCP clients were given.
    pub leases: Vec<Lease>,
    /// The networks of pods and services in the machine config.
    pub kubernetes: Vec<Prefix>,
    /// The kubelet's addresses, once it has any.
    pub kubelet_node_ips: Option<Vec<IpAddr>>,
    /// Talos' lists of the node's addresses, where a file gives them.
    pub(crate) given_lists: Option<BTreeMap<String, Vec<Prefix>>>,
    /// Talos' list `default`, which stays for as long as its address is there.
    pub(crate) default_address: Option<Prefix>,
}

/// HostnameStatus.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostName {
    /// The first label.
    pub hostname: String,
    /// The domain; empty when there is none.
    #[serde(default)]
    pub domainname: String,
}

impl Default for HostName {
    fn default() -> Self {
        Self {
            hostname: "talos-worker-1".to_owned(),
            domainname: String::new(),
        }
    }
}

/// What the machine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It runs, with a machine config.
    #[default]
    Running,
    /// It waits for a machine config: no lists without Kubernetes, no node name.
    Maintenance,
}

/// LinkStatus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Unique.
    pub name: String,
    /// The kernel's number, unique.
    pub index: u32,
    /// Ethernet by default.
    #[serde(default)]
    pub r#type: LinkType,
    /// The hardware address in use.
    #[serde(default)]
    pub mac: Option<Mac>,
    /// The hardware address that the host gave; that of a NIC is `mac` by default.
    #[serde(default)]
    pub permanent_mac: Option<Mac>,
    /// The kernel's driver.
    #[serde(default)]
    pub driver: String,
    /// `bond`, `vlan`, `bridge`, `veth` …; empty for a NIC.
    #[serde(default)]
    pub kind: String,
    /// Name of the bond or bridge that it has joined.
    #[serde(default)]
    pub master: Option<String>,
    /// The link that it stands upon, or the peer of a veth.
    #[serde(default)]
    pub parent: Option<Parent>,
    /// Whether it is up and has a carrier.
    #[serde(default = "yes")]
    pub up: bool,
}

fn yes() -> bool {
    true
}

impl Link {
    /// A link of this kind that is up; a NIC when the kind is empty.
    pub fn new(name: &str, index: u32, kind: &str, mac: [u8; 6]) -> Self {
        Self {
            name: name.to_owned(),
            index,
            mac: Some(Mac(mac)),
            kind: kind.to_owned(),
            up: true,
            ..Self::default()
        }
    }

    /// Whether this is a NIC of the machine: Talos' rule.
    pub fn is_physical(&self) -> bool {
        self.r#type == LinkType::Ether && self.kind.is_empty()
    }

    /// The hardware address that the host gave.
    pub fn permanent_mac(&self) -> Option<Mac> {
        self.permanent_mac
            .or(self.mac.filter(|_| self.is_physical()))
    }
}

/// The kernel's type of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkType {
    /// With Ethernet's hardware addresses.
    #[default]
    Ether,
    /// `lo`.
    Loopback,
    /// A tunnel without hardware addresses.
    None,
}

/// The link below.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Parent {
    /// A link in another network namespace, by its number there.
    Index(u32),
    /// A link of the node, by name.
    Name(String),
}

/// AddressStatus, with the AddressSpec that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Name of the link that carries it.
    pub link: String,
    /// The address.
    pub address: Prefix,
    /// Who wanted it: `configuration`, `dhcp4/eth0`, `vip/eth0` …, the front of the id of an AddressSpec in the
    /// namespace `network-config`. Without it there is no AddressSpec: the kernel, a router or a pod network
    /// made it.
    #[serde(default)]
    pub spec: Option<String>,
    /// Where it is valid; what the kernel makes of the address by default.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// The kernel's flags; `permanent` by default.
    #[serde(default)]
    pub flags: Option<Vec<Flag>>,
}

impl Address {
    /// An address that nobody in Talos wanted.
    pub fn new(link: &str, address: Prefix) -> Self {
        Self {
            link: link.to_owned(),
            address,
            spec: None,
            scope: None,
            flags: None,
        }
    }

    /// Where it is valid.
    pub fn scope(&self) -> Scope {
        let ip = self.address.ip;
        self.scope.unwrap_or(if ip.is_loopback() {
            Scope::Host
        } else if is_link_local(ip) {
            Scope::Link
        } else {
            Scope::Global
        })
    }

    /// The kernel's flags, as bits.
    pub fn flags(&self) -> u32 {
        let permanent = [Flag::Permanent];
        let flags = self.flags.as_deref().unwrap_or(&permanent);
        flags.iter().map(|flag| *flag as u32).sum()
    }
}

pub(crate) fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Where an address is valid, in the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everywhere.
    Global = 0,
    /// On its link.
    Link = 253,
    /// On the node.
    Host = 254,
}

/// A flag of an address, in the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flag {
    /// A privacy address, or a second IPv4 address of a network.
    Temporary = 0x01,
    /// Another machine has it.
    DadFailed = 0x08,
    /// Not for new connections.
    Deprecated = 0x20,
    /// Duplicate detection still runs.
    Tentative = 0x40,
    /// It has no end.
    Permanent = 0x80,
    /// Made of a router's announcement.
    Managed = 0x100,
}

/// RouteStatus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The destination; without it this is a default route.
    #[serde(default)]
    pub dst: Option<Prefix>,
    /// Which default route.
    #[serde(default)]
    pub family: Family,
    /// The next hop, unless the destination is on the link.
    #[serde(default)]
    pub gateway: Option<IpAddr>,
    /// Name of the link that it leads through; empty when there are next hops, or none.
    #[serde(default)]
    pub link: String,
    /// The metric.
    #[serde(default)]
    pub priority: u32,
    /// The routing table; main by default.
    #[serde(default = "Route::main")]
    pub table: u8,
    /// Who has set it.
    #[serde(default)]
    pub protocol: Protocol,
    /// What becomes of packets.
    #[serde(default)]
    pub r#type: RouteType,
    /// Several ways at once.
    #[serde(default)]
    pub next_hops: Vec<NextHop>,
}

/// One of several ways.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextHop {
    /// Name of the link.
    pub link: String,
    /// The next hop.
    pub gateway: IpAddr,
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    #[default]
    Inet4,
    /// IPv6.
    Inet6,
}

/// Who has set a route, in the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// The kernel, with an address.
    Kernel = 2,
    /// A DHCP client.
    Boot = 3,
    /// The machine config.
    #[default]
    Static = 4,
    /// A router's announcement.
    Ra = 9,
    /// Calico's router.
    Bird = 12,
}

/// What becomes of packets, in the kernel's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteType {
    /// They go to the next hop or onto the link.
    #[default]
    Unicast = 1,
    /// They are the node's own.
    Local = 2,
    /// They go to all on the link.
    Broadcast = 3,
    /// They go to those who listen.
    Multicast = 5,
    /// They are dropped.
    Blackhole = 6,
}

/// ResolverStatus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Name servers, in order.
    #[serde(default)]
    pub servers: Vec<IpAddr>,
    /// Search domains, in order.
    #[serde(default)]
    pub search: Vec<String>,
}

/// ResolverSpec of a DHCP client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// `dhcp4/eth0` or `dhcp6/eth0`; the link may go by an alias.
    pub client: String,
    /// Name servers, in order.
    pub servers: Vec<IpAddr>,
}

impl Node {
    /// The link of this name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The index of the link of this name; 0 when there is none, as in the kernel.
    pub fn index_of(&self, name: &str) -> u32 {
        self.link(name).map_or(0, |link| link.index)
    }

    /// The index of the bond or bridge that a link has joined; 0 for none.
    pub fn master_index(&self, link: &Link) -> u32 {
        link.master.as_deref().map_or(0, |name| self.index_of(name))
    }

    /// The index of the link below, or of a veth's peer; 0 for none.
    pub fn parent_index(&self, link: &Link) -> u32 {
        match &link.parent {
            None => 0,
            Some(Parent::Index(index)) => *index,
            Some(Parent::Name(name)) => self.index_of(name),
        }
    }

    /// The kind of the bond or bridge that a link has joined; empty for none.
    pub fn slave_kind(&self, link: &Link) -> &str {
        let master = link.master.as_deref().and_then(|name| self.link(name));
        master.map_or("", |master| master.kind.as_str())
    }

    /// Puts a link there, in the place of one of that name.
    pub fn set_link(&mut self, link: Link) {
        replace(&mut self.links, link, |link| link.name.clone());
    }

    /// Puts an address on its link, in the place of the same one.
    pub fn set_address(&mut self, address: Address) {
        replace(&mut self.addresses, address, |it| {
            (it.link.clone(), it.address)
        });
    }
}

/// Puts an element in the place of that with the same key, else at the end.
pub(crate) fn replace<T, K: PartialEq>(all: &mut Vec<T>, new: T, key: impl Fn(&T) -> K) {
    match all.iter_mut().find(|old| key(old) == key(&new)) {
        Some(old) => *old = new,
        None => all.push(new),
    }
}
