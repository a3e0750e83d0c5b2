//! Routes, resolvers and DHCP leases of the node.
//!
//! A lease shows as it does on Talos: what its client wants stands in the namespace `network-config` under ids
//! that begin with `dhcp4/<link>/` or `dhcp6/<link>/`; the operator itself is a sensitive resource.

use std::net::IpAddr;

use crate::Apid;
use crate::proto::common::NetIp;
use crate::proto::definitions::enums::{
    NethelpersRouteProtocol, NethelpersRouteType, NethelpersRoutingTable, NetworkConfigLayer,
};
use crate::proto::definitions::network::{
    AddressSpecSpec, ResolverSpecSpec, ResolverStatusSpec, RouteStatusSpec,
};
use crate::resources::{
    ADDRESS_SPEC, NETWORK, NETWORK_CONFIG, bytes, family, net_ip_prefix, prefix, spec,
};

/// Type of RouteStatus; namespace `network`.
pub const ROUTE_STATUS: &str = "RouteStatuses.net.talos.dev";
/// Type of ResolverStatus; namespace `network`, id `resolvers`.
pub const RESOLVER_STATUS: &str = "ResolverStatuses.net.talos.dev";
/// Type of ResolverSpec; namespaces `network` and `network-config`.
pub const RESOLVER_SPEC: &str = "ResolverSpecs.net.talos.dev";

fn net_ip(text: &str) -> NetIp {
    let ip: IpAddr = text.parse().expect("an IP address");
    NetIp { ip: bytes(ip) }
}

fn net_ips(texts: &[&str]) -> Vec<NetIp> {
    texts.iter().map(|text| net_ip(text)).collect()
}

/// A unicast route of the main table; a default route has the destination `0.0.0.0/0` or `::/0`.
fn route(on: &str, destination: &str, gateway: Option<&str>, metric: u32) -> RouteStatusSpec {
    let destination = prefix(destination);
    RouteStatusSpec {
        family: family(destination.0),
        // Talos leaves a default destination unset.
        destination: (destination.1 > 0).then(|| net_ip_prefix(destination)),
        gateway: gateway.map(net_ip),
        out_link_name: on.to_owned(),
        table: NethelpersRoutingTable::TableMain.into(),
        priority: metric,
        r#type: NethelpersRouteType::TypeUnicast.into(),
        protocol: NethelpersRouteProtocol::ProtocolStatic.into(),
        ..RouteStatusSpec::default()
    }
}

/// The id that Talos gives a route: the table in front, but for the main one.
pub(crate) fn route_id(
    table: i32,
    on: &str,
    destination: &str,
    gateway: Option<&str>,
    metric: u32,
) -> String {
    let table = match NethelpersRoutingTable::try_from(table) {
        Ok(NethelpersRoutingTable::TableMain) => String::new(),
        Ok(NethelpersRoutingTable::TableLocal) => "local/".to_owned(),
        _ => format!("{table}/"),
    };
    let ipv6 = prefix(destination).0.is_ipv6();
    let gateway = gateway.unwrap_or_default();
    let destination = if destination.ends_with("/0") {
        ""
    } else {
        destination
    };
    if ipv6 {
        format!("{table}{on}/inet6/{gateway}/{destination}/{metric}")
    } else {
        format!("{table}inet4/{gateway}/{destination}/{metric}")
    }
}

/// The network beside links and addresses.
impl Apid {
    /// Sets a unicast route of the main table; `0.0.0.0/0` and `::/0` are default routes.
    ///
    /// # Panics
    /// When a text is no address or prefix.
    pub fn set_route(&self, link: &str, destination: &str, gateway: Option<&str>, metric: u32) {
        self.set_route_with(link, destination, gateway, metric, |_| {});
    }

    /// As [`Self::set_route`], with a change to table, type, flags or next hops.
    ///
    /// # Panics
    /// When a text is no address or prefix.
    pub fn set_route_with(
        &self,
        link: &str,
        destination: &str,
        gateway: Option<&str>,
        metric: u32,
        change: impl FnOnce(&mut RouteStatusSpec),
    ) {
        let mut message = route(link, destination, gateway, metric);
        change(&mut message);
        let id = route_id(message.table, link, destination, gateway, metric);
        let yaml = format!("dst: {destination:?}\noutLinkName: {link}\npriority: {metric}\n");
        let spec = spec(&message, yaml);
        self.shared().store.put(NETWORK, ROUTE_STATUS, &id, spec);
    }

    /// Removes a route of the main table.
    ///
    /// # Panics
    /// When the destination is no prefix.
    pub fn remove_route(&self, link: &str, destination: &str, gateway: Option<&str>, metric: u32) {
        let table = NethelpersRoutingTable::TableMain.into();
        let id = route_id(table, link, destination, gateway, metric);
        self.destroy(ROUTE_STATUS, NETWORK, &id);
    }

    /// Sets the name servers and search domains in use.
    ///
    /// # Panics
    /// When a server is no address.
    pub fn set_resolver(&self, servers: &[&str], search_domains: &[&str]) {
        let message = ResolverStatusSpec {
            dns_servers: net_ips(servers),
            search_domains: search_domains.iter().map(|&name| name.to_owned()).collect(),
            ..ResolverStatusSpec::default()
        };
        let spec = spec(&message, format!("dnsServers: {servers:?}\n"));
        self.shared()
            .store
            .put(NETWORK, RESOLVER_STATUS, "resolvers", spec);
    }

    /// Configures an address in the machine config and puts it on the link.
    ///
    /// # Panics
    /// When the text is no address with a prefix length.
    pub fn set_static_address(&self, link: &str, address: &str) {
        self.want_address("configuration", link, address);
        self.set_address(link, address);
    }

    /// Leases an address to the DHCP client of a link and puts it on the link; the lease names these servers.
    ///
    /// # Panics
    /// When a text is no address.
    pub fn set_lease(&self, link: &str, address: &str, servers: &[&str]) {
        let client = dhcp_client(link, address);
        self.want_address(&client, link, address);
        self.set_lease_servers(&client, servers);
        self.set_address(link, address);
    }

    /// Sets the name servers that a DHCP client was given.
    pub(crate) fn set_lease_servers(&self, client: &str, servers: &[&str]) {
        let message = ResolverSpecSpec {
            dns_servers: net_ips(servers),
            config_layer: NetworkConfigLayer::ConfigOperator.into(),
            ..ResolverSpecSpec::default()
        };
        let spec = spec(
            &message,
            format!("dnsServers: {servers:?}\nlayer: operator\n"),
        );
        let id = format!("{client}/resolvers");
        self.shared()
            .store
            .put(NETWORK_CONFIG, RESOLVER_SPEC, &id, spec);
    }

    /// Ends a lease: its address and its servers are gone.
    ///
    /// # Panics
    /// When the text is no address with a prefix length.
    pub fn lose_lease(&self, link: &str, address: &str) {
        let client = dhcp_client(link, address);
        let id = format!("{client}/{link}/{address}");
        self.destroy(ADDRESS_SPEC, NETWORK_CONFIG, &id);
        self.destroy(
            RESOLVER_SPEC,
            NETWORK_CONFIG,
            &format!("{client}/resolvers"),
        );
        self.remove_address(link, address);
    }

    /// Writes the AddressSpec of who wants an address: `configuration`, or a DHCP client.
    pub(crate) fn want_address(&self, who: &str, link: &str, address: &str) {
        let layer = match who.split_once('/') {
            Some(_client) => NetworkConfigLayer::ConfigOperator,
            None => NetworkConfigLayer::ConfigMachineConfiguration,
        };
        let parsed = prefix(address);
        let message = AddressSpecSpec {
            address: Some(net_ip_prefix(parsed)),
            link_name: link.to_owned(),
            family: family(parsed.0),
            config_layer: layer.into(),
            ..AddressSpecSpec::default()
        };
        let spec = spec(&message, format!("address: {address}\nlinkName: {link}\n"));
        let id = format!("{who}/{link}/{address}");
        self.shared()
            .store
            .put(NETWORK_CONFIG, ADDRESS_SPEC, &id, spec);
    }
}

fn dhcp_client(link: &str, address: &str) -> String {
    let version = if prefix(address).0.is_ipv4() { 4 } else { 6 };
    format!("dhcp{version}/{link}")
}
