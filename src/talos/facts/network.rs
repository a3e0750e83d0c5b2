//! Routes, resolvers, and where an address comes from.
//!
//! Of DHCP os:operator may read what its clients ask for: the ids of specs in the namespace `network-config` start
//! with `dhcp4/<link>/` or `dhcp6/<link>/` for as long as there is a lease. We cannot see a client without a
//! lease, since OperatorSpecs are sensitive.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost::Message;

use super::{Kind, Malformed, NETWORK, Source, ip, keep, own_ip, prefix};
use crate::facts::{AddressSource, DhcpClient, Direction, Resolver, Route, Traffic, replace};
use crate::talos::proto::common::NetIp;
use crate::talos::proto::definitions::enums::{
    NethelpersFamily as Family, NethelpersRouteType as RouteType,
    NethelpersRoutingTable as RoutingTable,
};
use crate::talos::proto::definitions::network::{
    AddressSpecSpec, NameServerSpec, ResolverSpecSpec, ResolverStatusSpec, RouteStatusSpec,
};
use crate::talos::proto::machine::NetDev;
use crate::talos::purpose::Purpose;

const NETWORK_CONFIG: &str = "network-config";

/// An address that something asks for; of several requests, the one of the highest layer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressWish {
    ip: IpAddr,
    layer: i32,
    source: AddressSource,
}

/// What asks for an address, by the id of the spec: `vip/<link>/<link>/<prefix>`, `dhcp4/…` and so on.
pub(super) const ADDRESS_SPECS: Source<AddressWish> = Source {
    kind: Kind {
        namespace: NETWORK_CONFIG,
        kind: "AddressSpecs.net.talos.dev",
    },
    decode: address_wish,
    publish: |facts, wishes| {
        let vips: BTreeSet<IpAddr> = wishes
            .values()
            .filter(|wish| wish.source == AddressSource::Vip)
            .map(|wish| wish.ip)
            .collect();
        let mut highest: BTreeMap<IpAddr, &AddressWish> = BTreeMap::new();
        for wish in wishes.values() {
            let best = highest.entry(wish.ip).or_insert(wish);
            if best.layer < wish.layer {
                *best = wish;
            }
        }
        let sources = highest
            .into_iter()
            .map(|(ip, wish)| (ip, wish.source.clone()))
            .collect();
        // Not `||`: both must be set.
        replace(&mut facts.virtual_ips, vips) | replace(&mut facts.network.address_sources, sources)
    },
    never_empty: false,
    purpose: Purpose::new("virtual IPs and where addresses come from"),
};

pub(super) const ROUTES: Source<Vec<Route>> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "RouteStatuses.net.talos.dev",
    },
    decode: |_, spec| routes(spec),
    publish: |facts, routes| {
        let routes = routes.values().flatten().cloned().collect();
        replace(&mut facts.network.routes, routes)
    },
    never_empty: false,
    purpose: Purpose::new("routes"),
};

pub(super) const RESOLVER: Source<Resolver> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "ResolverStatuses.net.talos.dev",
    },
    decode: |id, spec| match id {
        "resolvers" => {
            let spec = ResolverStatusSpec::decode(spec)?;
            resolver(&spec.dns_servers, &spec.name_servers, spec.search_domains).map(Some)
        }
        _ => Ok(None),
    },
    publish: |facts, resolvers| keep(&mut facts.network.resolver, resolvers),
    never_empty: false,
    purpose: Purpose::new("name servers"),
};

/// Name servers of DHCP leases, by the id of the spec: `dhcp4/<link>/resolvers` and so on.
pub(super) const LEASE_RESOLVERS: Source<(DhcpClient, Resolver)> = Source {
    kind: Kind {
        namespace: NETWORK_CONFIG,
        kind: "ResolverSpecs.net.talos.dev",
    },
    decode: |id, spec| {
        let Some(client) = dhcp_client(id) else {
            return Ok(None);
        };
        let spec = ResolverSpecSpec::decode(spec)?;
        let decoded = resolver(&spec.dns_servers, &spec.name_servers, spec.search_domains)?;
        Ok(Some((client, decoded)))
    },
    publish: |facts, resolvers| {
        let resolvers = resolvers.values().cloned().collect();
        replace(&mut facts.network.lease_resolvers, resolvers)
    },
    never_empty: false,
    purpose: Purpose::new("DHCP's name servers"),
};

fn address_wish(id: &str, spec: &[u8]) -> Result<Option<AddressWish>, Malformed> {
    let spec = AddressSpecSpec::decode(spec)?;
    let Some((ip, _)) = prefix(spec.address.as_ref())? else {
        return Ok(None);
    };
    let source = if id.starts_with("vip/") {
        AddressSource::Vip
    } else {
        dhcp_client(id).map_or(AddressSource::Configuration, AddressSource::Dhcp)
    };
    Ok(Some(AddressWish {
        ip,
        layer: spec.config_layer,
        source,
    }))
}

/// The DHCP client that this id names.
fn dhcp_client(id: &str) -> Option<DhcpClient> {
    let mut parts = id.split('/');
    let ipv6 = match parts.next() {
        Some("dhcp4") => false,
        Some("dhcp6") => true,
        _ => return None,
    };
    let link = parts.next()?.to_owned();
    Some(DhcpClient { ipv6, link })
}

/// The ways of one route; `None` for a route of another table than the main one, or one that forwards nothing.
fn routes(spec: &[u8]) -> Result<Option<Vec<Route>>, Malformed> {
    /// RTM_F_CLONED: a cache entry of the kernel.
    const CLONED: u32 = 0x200;
    let spec = RouteStatusSpec::decode(spec)?;
    let unicast = matches!(
        RouteType::try_from(spec.r#type),
        Ok(RouteType::TypeUnspec | RouteType::TypeUnicast)
    );
    if spec.table != i32::from(RoutingTable::TableMain) || !unicast || spec.flags & CLONED != 0 {
        return Ok(None);
    }
    let default = match Family::try_from(spec.family) {
        Ok(Family::FamilyInet4) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Ok(Family::FamilyInet6) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let (destination, prefix_length) = prefix(spec.destination.as_ref())?.unwrap_or((default, 0));
    let way = |gateway: Option<&NetIp>, link_name: &str| {
        Ok(Route {
            destination,
            prefix_length,
            gateway: own_ip(gateway)?.filter(|ip| !ip.is_unspecified()),
            link_name: link_name.into(),
            metric: spec.priority,
        })
    };
    if spec.next_hops.is_empty() {
        return Ok(Some(vec![way(spec.gateway.as_ref(), &spec.out_link_name)?]));
    }
    spec.next_hops
        .iter()
        .map(|hop| way(hop.gateway.as_ref(), &hop.out_link_name))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Newer releases list servers in two fields, of which all releases fill the older one.
fn resolver(
    servers: &[NetIp],
    name_servers: &[NameServerSpec],
    search_domains: Vec<String>,
) -> Result<Resolver, Malformed> {
    let newer = name_servers
        .iter()
        .filter_map(|server| server.addr.as_ref());
    let servers: Vec<&NetIp> = if servers.is_empty() {
        newer.collect()
    } else {
        servers.iter().collect()
    };
    Ok(Resolver {
        servers: servers
            .into_iter()
            .filter_map(|server| ip(&server.ip).transpose())
            .collect::<Result<_, _>>()?,
        search_domains,
    })
}

/// A line of the NetworkDeviceStats call: the link's name, and what has gone over it.
pub(in crate::talos) fn traffic(device: NetDev) -> (String, Traffic) {
    let traffic = Traffic {
        received: Direction {
            bytes: device.rx_bytes,
            packets: device.rx_packets,
            errors: device.rx_errors,
            dropped: device.rx_dropped,
        },
        sent: Direction {
            bytes: device.tx_bytes,
            packets: device.tx_packets,
            errors: device.tx_errors,
            dropped: device.tx_dropped,
        },
    };
    (device.name, traffic)
}

#[cfg(test)]
mod tests {
    use super::super::Resources;
    use super::super::tests::decode_all;
    use super::*;
    use crate::facts::Facts;
    use crate::talos::proto::common::NetIpPrefix;
    use crate::talos::proto::definitions::network::RouteNextHop;

    /// `default via 10.0.0.1 dev eth0 metric 1024`, as Talos 1.13 serialises it.
    const DEFAULT_ROUTE: &[u8] =
        b"\x08\x02\x22\x06\x0a\x04\x0a\x00\x00\x01\x28\x02\x32\x04eth0\x38\xfe\x01\x40\x80\x08";
    /// Servers 1.1.1.1 and 2606:4700::1111, search example.org, as Talos 1.13 serialises them.
    const RESOLVERS: &[u8] = b"\x0a\x06\x0a\x04\x01\x01\x01\x01\
        \x0a\x12\x0a\x10\x26\x06\x47\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11\x11\
        \x12\x0bexample.org";

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn net_ip(text: &str) -> NetIp {
        let ip = match addr(text) {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        NetIp { ip }
    }

    fn spec(ip: &str, layer: i32) -> Vec<u8> {
        AddressSpecSpec {
            address: Some(NetIpPrefix {
                ip: net_ip(ip).ip,
                prefix_length: 24,
            }),
            config_layer: layer,
            ..AddressSpecSpec::default()
        }
        .encode_to_vec()
    }

    #[test]
    fn the_default_route() {
        let decoded = (ROUTES.decode)("inet4/10.0.0.1//1024", DEFAULT_ROUTE);
        assert_eq!(
            decoded,
            Ok(Some(vec![Route {
                destination: addr("0.0.0.0"),
                prefix_length: 0,
                gateway: Some(addr("10.0.0.1")),
                link_name: "eth0".into(),
                metric: 1024,
            }]))
        );
    }

    #[test]
    fn only_unicast_routes_of_the_main_table_count() {
        let route = RouteStatusSpec::decode(DEFAULT_ROUTE).unwrap();
        let decoded = |change: fn(&mut RouteStatusSpec)| {
            let mut route = route.clone();
            change(&mut route);
            routes(&route.encode_to_vec()).unwrap().is_some()
        };
        assert!(decoded(|route| route.r#type = 1));
        assert!(!decoded(|route| route.r#type = 6));
        assert!(!decoded(|route| route.table = 255));
        assert!(!decoded(|route| route.flags = 0x200));
        assert!(!decoded(|route| route.family = 0));
    }

    #[test]
    fn a_route_of_several_hops_is_several_ways() {
        let hop = |gateway: &str, link: &str| RouteNextHop {
            gateway: Some(net_ip(gateway)),
            out_link_name: link.into(),
            weight: 1,
        };
        let route = RouteStatusSpec {
            gateway: None,
            out_link_name: String::new(),
            next_hops: vec![hop("10.0.0.1", "eth0"), hop("fe80::1", "eth1")],
            ..RouteStatusSpec::decode(DEFAULT_ROUTE).unwrap()
        };
        let decoded = routes(&route.encode_to_vec()).unwrap().unwrap();
        let decoded: Vec<_> = decoded
            .iter()
            .map(|way| (way.gateway.unwrap(), &*way.link_name, way.metric))
            .collect();
        assert_eq!(
            decoded,
            [
                (addr("10.0.0.1"), "eth0", 1024),
                (addr("fe80::1"), "eth1", 1024)
            ]
        );
    }

    #[test]
    fn resolvers_are_read_from_either_field() {
        let decoded = (RESOLVER.decode)("resolvers", RESOLVERS).unwrap().unwrap();
        assert_eq!(decoded.servers, [addr("1.1.1.1"), addr("2606:4700::1111")]);
        assert_eq!(decoded.search_domains, ["example.org"]);
        let newer = NameServerSpec {
            addr: Some(net_ip("9.9.9.9")),
        };
        let decoded = resolver(&[], &[newer], Vec::new()).unwrap();
        assert_eq!(decoded.servers, [addr("9.9.9.9")]);
    }

    #[test]
    fn leases_and_configuration_are_told_apart() {
        let decoded = |id: &str, ip: &str, layer| {
            let wish = (ADDRESS_SPECS.decode)(id, &spec(ip, layer));
            (id.to_owned(), wish.unwrap().unwrap())
        };
        let wishes = Resources::from([
            decoded("dhcp4/eth0/eth0/10.0.0.5/24", "10.0.0.5", 3),
            decoded("dhcp4/eth0/eth0/10.0.0.6/24", "10.0.0.6", 3),
            decoded("configuration/eth0/10.0.0.6/24", "10.0.0.6", 4),
            decoded("vip/eth0/eth0/10.0.0.9/32", "10.0.0.9", 3),
        ]);
        let mut facts = Facts::default();
        assert!((ADDRESS_SPECS.publish)(&mut facts, &wishes));
        assert!(!(ADDRESS_SPECS.publish)(&mut facts, &wishes));
        assert_eq!(facts.virtual_ips, Some([addr("10.0.0.9")].into()));
        let eth0 = DhcpClient {
            ipv6: false,
            link: "eth0".into(),
        };
        assert_eq!(
            facts.network.address_sources,
            Some(BTreeMap::from([
                (addr("10.0.0.5"), AddressSource::Dhcp(eth0.clone())),
                (addr("10.0.0.6"), AddressSource::Configuration),
                (addr("10.0.0.9"), AddressSource::Vip),
            ]))
        );
        let servers = ResolverSpecSpec {
            dns_servers: vec![net_ip("10.0.0.1")],
            config_layer: 3,
            ..ResolverSpecSpec::default()
        }
        .encode_to_vec();
        let lease = (LEASE_RESOLVERS.decode)("dhcp4/eth0/resolvers", &servers);
        let (client, decoded) = lease.unwrap().unwrap();
        assert_eq!((client, decoded.servers), (eth0, vec![addr("10.0.0.1")]));
        let configured = (LEASE_RESOLVERS.decode)("configuration/resolvers", &servers);
        assert_eq!(configured, Ok(None));
    }

    #[test]
    fn truncated_specs_never_panic() {
        for vector in [DEFAULT_ROUTE, RESOLVERS, &spec("10.0.0.5", 4)] {
            for length in 0..vector.len() {
                decode_all(&vector[..length]);
            }
        }
    }
}
