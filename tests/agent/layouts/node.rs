//! A node's network as its configuration leads to it: with each address the routes that the kernel makes, with
//! every change the address lists that Talos derives.

use std::net::IpAddr;

use apid::proto::definitions::enums::{NethelpersLinkType, NethelpersOperationalState};
use apid::proto::definitions::network::{AddressStatusSpec, LinkStatusSpec, RouteStatusSpec};
use apid::{Apid, Stage, machine, scene};

use crate::support::Talos;

/// Protocols and types of routes in the kernel's numbers.
pub(super) const KERNEL: i32 = 2;
pub(super) const BOOT: i32 = 3;
pub(super) const RA: i32 = 9;
const LOCAL: i32 = 2;
const BROADCAST: i32 = 3;
const MULTICAST: i32 = 5;
const TABLE_LOCAL: i32 = 255;

/// Flags of addresses.
pub(super) const TEMPORARY: u32 = 0x01;
pub(super) const DAD_FAILED: u32 = 0x08;
pub(super) const DEPRECATED: u32 = 0x20;
pub(super) const TENTATIVE: u32 = 0x40;
const PERMANENT: u32 = 0x80;
/// Of an address that a router's announcement led to.
pub(super) const MANAGED: u32 = 0x100;

/// Pods and services of Talos' default configuration.
const KUBERNETES: [&str; 2] = ["10.244.0.0/16", "10.96.0.0/12"];

/// A node that is put together link by link.
pub(super) struct Layout {
    pub(super) talos: Talos,
    configured: bool,
}

impl Layout {
    /// A node that runs, with its loopback, where Talos' own name server listens, too.
    pub(super) fn new(host: &str, domain: &str) -> Self {
        let talos = Talos::with(|_| {});
        scene::machine(&talos, host, domain);
        talos.set_address_with("lo", "169.254.116.108/32", |status| status.scope = 254);
        Self {
            talos,
            configured: true,
        }
    }

    /// A node that waits for its configuration.
    pub(super) fn unconfigured(host: &str) -> Self {
        let mut node = Self::new(host, "");
        node.configured = false;
        node.talos.set_stage(Stage::MachineStageMaintenance, true);
        node.talos.destroy(machine::NODENAME, "k8s", "nodename");
        node.talos
            .destroy(machine::MACHINE_TYPE, "config", "machine-type");
        node
    }

    /// A virtual NIC that is up, 00:50:56:00:00:<index>.
    pub(super) fn nic(&self, name: &str, index: u32) {
        self.link(name, index, "", |_| {});
    }

    /// A link that is up, with a hardware address of VMware's range that ends in its index.
    pub(super) fn link(
        &self,
        name: &str,
        index: u32,
        kind: &str,
        change: impl FnOnce(&mut LinkStatusSpec),
    ) {
        let mac = [0x00, 0x50, 0x56, 0x00, 0x00, index as u8];
        let mut link = if kind.is_empty() {
            scene::nic(index, mac)
        } else {
            scene::virtual_link(index, kind, mac)
        };
        change(&mut link);
        self.talos.set_link(name, link);
    }

    /// A tunnel: no hardware address, and no operational state that anybody has asked for.
    pub(super) fn tunnel(&self, name: &str, index: u32, kind: &str) {
        self.link(name, index, kind, |link| {
            link.r#type = NethelpersLinkType::LinkNone.into();
            link.operational_state = NethelpersOperationalState::OperStateUnknown.into();
            // UP, POINTOPOINT, RUNNING, NOARP
            link.flags = 0x1 | 0x10 | 0x40 | 0x80;
            link.hardware_addr.clear();
        });
    }

    /// The link loses its carrier.
    pub(super) fn goes_down(&self, name: &str) {
        let link = self.talos.link(name).unwrap();
        self.talos.set_link(name, scene::down(link));
    }

    /// An address of the machine config.
    pub(super) fn configures(&self, link: &str, address: &str) {
        self.talos.set_static_address(link, address);
        self.attach(link, address);
    }

    /// An address that comes from elsewhere: pod network, kernel, router.
    pub(super) fn has(&self, link: &str, address: &str) {
        self.has_with(link, address, |_| {});
    }

    /// The same with these flags.
    pub(super) fn has_flagged(&self, link: &str, address: &str, flags: u32) {
        self.has_with(link, address, |status| status.flags = flags);
    }

    fn has_with(&self, link: &str, address: &str, change: impl FnOnce(&mut AddressStatusSpec)) {
        self.talos.set_address_with(link, address, change);
        self.attach(link, address);
    }

    /// A configured address that another machine has as well: the kernel keeps it and does not use it.
    pub(super) fn has_in_vain(&self, link: &str, address: &str) {
        self.configures(link, address);
        self.has_flagged(link, address, PERMANENT | TENTATIVE | DAD_FAILED);
    }

    /// A lease, with a router and name servers.
    pub(super) fn leases(&self, link: &str, address: &str, router: &str, servers: &[&str]) {
        self.talos.set_lease(link, address, servers);
        self.attach(link, address);
        self.route_of(BOOT, link, "0.0.0.0/0", Some(router), 1024);
    }

    /// The lease has run out.
    pub(super) fn loses_lease(&self, link: &str, address: &str, router: &str) {
        self.talos.lose_lease(link, address);
        let (ip, length) = address.split_once('/').unwrap();
        let network = network(ip.parse().unwrap(), length.parse().unwrap());
        self.talos
            .remove_route(link, &format!("{network}/{length}"), None, 0);
        self.talos
            .remove_route(link, "0.0.0.0/0", Some(router), 1024);
    }

    /// A route of the machine config.
    pub(super) fn route(&self, link: &str, destination: &str, gateway: Option<&str>, metric: u32) {
        self.talos.set_route(link, destination, gateway, metric);
    }

    /// A route that another has set.
    pub(super) fn route_of(
        &self,
        protocol: i32,
        link: &str,
        destination: &str,
        gateway: Option<&str>,
        metric: u32,
    ) {
        let change = |route: &mut RouteStatusSpec| route.protocol = protocol;
        self.talos
            .set_route_with(link, destination, gateway, metric, change);
    }

    /// Brings Talos' lists up to date.
    pub(super) fn settle(self) -> Self {
        self.resettle();
        self
    }

    /// Brings Talos' lists up to date.
    pub(super) fn resettle(&self) {
        let kubernetes = self.configured.then_some(&KUBERNETES[..]);
        self.talos.derive_node_addresses(kubernetes);
    }

    /// The kernel's routes for an address: its network, itself, broadcasts, multicast.
    fn attach(&self, link: &str, address: &str) {
        let (ip, length) = address.split_once('/').unwrap();
        let (ip, length): (IpAddr, u8) = (ip.parse().unwrap(), length.parse().unwrap());
        let (all, metric) = if ip.is_ipv4() { (32, 0) } else { (128, 256) };
        if length < all {
            let network = format!("{}/{length}", network(ip, length));
            self.route_of(KERNEL, link, &network, None, metric);
        }
        kernel_route(&self.talos, link, &format!("{ip}/{all}"), LOCAL);
        match ip {
            IpAddr::V4(_) if length < 31 => {
                let last = broadcast(ip, length);
                kernel_route(&self.talos, link, &format!("{last}/32"), BROADCAST);
            }
            IpAddr::V4(_) => {}
            IpAddr::V6(_) => kernel_route(&self.talos, link, "ff00::/8", MULTICAST),
        }
    }
}

fn kernel_route(talos: &Apid, link: &str, destination: &str, kind: i32) {
    talos.set_route_with(link, destination, None, 0, |route| {
        route.table = TABLE_LOCAL;
        route.protocol = KERNEL;
        route.r#type = kind;
    });
}

fn network(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::from((ip.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::from((ip.to_bits() & mask).to_be_bytes())
        }
    }
}

fn broadcast(ip: IpAddr, length: u8) -> IpAddr {
    let IpAddr::V4(ip) = ip else {
        return ip;
    };
    let hosts = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    IpAddr::from((ip.to_bits() | hosts).to_be_bytes())
}
