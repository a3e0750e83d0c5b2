//! The facts of a layout (tests/layouts): what Talos would show of that node.

use std::collections::BTreeMap;

use layouts::{LinkType, Node, Prefix, RouteType, Scope, Stage};

use super::{
    Address, AddressScope, AddressSource, AddressStatus, DhcpClient, Facts, HostName, Link, Mac,
    NetworkState, NodeAddresses, Resolver, Route,
};

/// The kernel's flags of addresses.
const TEMPORARY: u32 = 0x01;
const DAD_FAILED: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;
const PERMANENT: u32 = 0x80;
const MANAGED: u32 = 0x100;

/// What is known of the node once every watch has begun.
pub(crate) fn facts(node: &Node) -> Facts {
    let sources = sources(node);
    let vips = sources
        .iter()
        .filter(|(_, source)| **source == AddressSource::Vip);
    Facts {
        host_name: Some(HostName {
            host: node.hostname.hostname.clone(),
            domain: node.hostname.domainname.clone(),
        }),
        links: Some(links(node)),
        addresses: Some(addresses(node)),
        node_addresses: Some(node_addresses(node)),
        kubelet_addresses: Some(node.kubelet_node_ips.clone().unwrap_or_default()),
        virtual_ips: Some(vips.map(|(&ip, _)| ip).collect()),
        network: NetworkState {
            routes: Some(routes(node).into()),
            resolver: node.resolver.as_ref().map(|resolver| Resolver {
                servers: resolver.servers.clone(),
                search_domains: resolver.search.clone(),
            }),
            address_sources: Some(sources),
            lease_resolvers: Some(lease_resolvers(node)),
            traffic: None,
        },
        stage: Some(match node.stage {
            Stage::Running => super::Stage::Running,
            Stage::Maintenance => super::Stage::Maintenance,
        }),
        ..Facts::default()
    }
}

/// In the kernel's order.
fn links(node: &Node) -> Vec<Link> {
    let mac = |mac: Option<layouts::Mac>| mac.map(|layouts::Mac(bytes)| Mac(bytes));
    let mut links: Vec<Link> = node
        .links
        .iter()
        .map(|link| Link {
            name: link.name.clone(),
            index: link.index,
            arp_type: match link.r#type {
                LinkType::Ether => 1,
                LinkType::Loopback => 772,
                LinkType::None => 65534,
            },
            kind: link.kind.clone(),
            slave_kind: node.slave_kind(link).to_owned(),
            mac: mac(link.mac),
            permanent_mac: mac(link.permanent_mac()),
            master_index: node.master_index(link),
            parent_index: node.parent_index(link),
            up: link.up,
        })
        .collect();
    links.sort_by_key(|link| link.index);
    links
}

/// In the kernel's order, those of one link as they have come.
fn addresses(node: &Node) -> Vec<Address> {
    let mut addresses: Vec<&layouts::Address> = node.addresses.iter().collect();
    addresses.sort_by_key(|it| node.index_of(&it.link));
    let address = |it: &layouts::Address| Address {
        ip: it.address.ip,
        prefix_length: it.address.length,
        link_name: it.link.clone(),
        link_index: node.index_of(&it.link),
        scope: match it.scope() {
            Scope::Global => AddressScope::Global,
            Scope::Link => AddressScope::Link,
            Scope::Host => AddressScope::Host,
        },
        status: match it.flags() {
            flags if flags & DAD_FAILED != 0 => AddressStatus::Duplicate,
            flags if flags & TENTATIVE != 0 => AddressStatus::Tentative,
            flags if flags & DEPRECATED != 0 => AddressStatus::Deprecated,
            _ => AddressStatus::Preferred,
        },
        temporary: it.flags() & TEMPORARY != 0,
        announced: it.address.ip.is_ipv6()
            && (it.flags() & PERMANENT == 0 || it.flags() & MANAGED != 0),
    };
    addresses.into_iter().map(address).collect()
}

fn node_addresses(node: &Node) -> NodeAddresses {
    let mut lists = node.node_addresses();
    let mut list = |id: &str| {
        let list: Vec<Prefix> = lists.remove(id).unwrap_or_default();
        list.iter().map(|it| it.ip).collect()
    };
    NodeAddresses {
        default: list("default"),
        current: list("current"),
        current_no_k8s: list("current-no-k8s"),
        routed: list("routed"),
        routed_no_k8s: list("routed-no-k8s"),
    }
}

fn sources(node: &Node) -> BTreeMap<std::net::IpAddr, AddressSource> {
    let source = |spec: &str| match dhcp_client(spec) {
        Some(client) => AddressSource::Dhcp(client),
        None if spec.starts_with("vip/") => AddressSource::Vip,
        None => AddressSource::Configuration,
    };
    let wanted = node.addresses.iter();
    wanted
        .filter_map(|it| Some((it.address.ip, source(it.spec.as_deref()?))))
        .collect()
}

fn lease_resolvers(node: &Node) -> BTreeMap<DhcpClient, Resolver> {
    let leases = node.leases.iter();
    leases
        .filter_map(|lease| {
            let resolver = Resolver {
                servers: lease.servers.clone(),
                ..Resolver::default()
            };
            Some((dhcp_client(&lease.client)?, resolver))
        })
        .collect()
}

fn dhcp_client(spec: &str) -> Option<DhcpClient> {
    let (operator, link) = spec.split_once('/')?;
    let ipv6 = match operator {
        "dhcp4" => false,
        "dhcp6" => true,
        _ => return None,
    };
    let link = link.to_owned();
    Some(DhcpClient { ipv6, link })
}

/// Unicast routes of the main table, each way of its own.
fn routes(node: &Node) -> Vec<Route> {
    let mut routes = Vec::new();
    for route in node.all_routes() {
        if route.table != layouts::Route::MAIN || route.r#type != RouteType::Unicast {
            continue;
        }
        let Prefix { ip, length } = route.destination();
        let mut way = |gateway, link: &str| {
            routes.push(Route {
                destination: ip,
                prefix_length: length,
                gateway,
                link_name: link.into(),
                metric: route.priority,
            });
        };
        if route.next_hops.is_empty() {
            way(route.gateway, &route.link);
        }
        for hop in &route.next_hops {
            way(Some(hop.gateway), &hop.link);
        }
    }
    routes
}
