//! The network in the host's form [nicinfo.x].
//!
//! Every address carries its status, and its origin where that is known; every route the position of its NIC in
//! this very list. The resolver is the node's; a NIC has one of its own where its DHCP lease named servers.

use crate::facts::{AddressStatus, Facts, Resolver};
use crate::report::{AddressOrigin, Decision, Nic, NicAddress, NicRoute};
use crate::vmware::services::names;
use crate::vmware::wire::nic_info_v3::{
    DhcpConfig, DnsConfig, GuestNic, IpOrigin, IpStatus, NicInfoV3, NicIp, Route,
};

/// All that is reported of the network.
pub(super) fn nic_info(decision: &Decision, facts: &Facts) -> NicInfoV3 {
    NicInfoV3 {
        nics: decision.nics.iter().map(nic).collect(),
        routes: decision.routes.iter().map(route).collect(),
        dns: dns(facts),
        ..NicInfoV3::default()
    }
}

fn nic(nic: &Nic) -> GuestNic {
    GuestNic {
        mac: nic.mac.to_string(),
        addresses: nic.addresses.iter().map(address).collect(),
        dns: nic.resolver.as_ref().map(resolver),
        dhcp_v4: nic.dhcp_v4.map(dhcp),
        dhcp_v6: nic.dhcp_v6.map(dhcp),
    }
}

fn address(address: &NicAddress) -> NicIp {
    NicIp {
        ip: address.ip,
        prefix_length: address.prefix_length.into(),
        origin: address.origin.map(|origin| match origin {
            AddressOrigin::Manual => IpOrigin::Manual,
            AddressOrigin::Dhcp => IpOrigin::Dhcp,
            AddressOrigin::LinkLayer => IpOrigin::LinkLayer,
            AddressOrigin::Random => IpOrigin::Random,
        }),
        status: Some(match address.status {
            AddressStatus::Preferred => IpStatus::Preferred,
            AddressStatus::Deprecated => IpStatus::Deprecated,
            AddressStatus::Tentative => IpStatus::Tentative,
            AddressStatus::Duplicate => IpStatus::Duplicate,
        }),
    }
}

fn route(route: &NicRoute) -> Route {
    Route {
        destination: route.destination,
        prefix_length: route.prefix_length.into(),
        next_hop: route.gateway,
        nic: u32::try_from(route.nic).unwrap_or(u32::MAX),
        // As open-vm-tools leaves it.
        kind: 0,
        metric: route.metric,
    }
}

/// Talos does not report the options of a lease.
fn dhcp(enabled: bool) -> DhcpConfig {
    DhcpConfig {
        enabled,
        settings: String::new(),
    }
}

/// The node's name and resolver, as far as they are known.
fn dns(facts: &Facts) -> Option<DnsConfig> {
    let name = names::host_name(facts);
    let told = facts.network.resolver.as_ref();
    if name.is_none() && told.is_none() {
        return None;
    }
    Some(DnsConfig {
        host_name: name.as_ref().map(|name| name.host.clone()),
        domain: name
            .map(|name| name.domain)
            .filter(|domain| !domain.is_empty()),
        ..told.map(resolver).unwrap_or_default()
    })
}

fn resolver(resolver: &Resolver) -> DnsConfig {
    DnsConfig {
        servers: resolver.servers.clone(),
        suffixes: resolver
            .search_domains
            .iter()
            .map(|name| names::dns_name(name))
            .collect(),
        ..DnsConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use vmx::codec::nic_info::NicInfo;

    use super::*;
    use crate::facts::{
        Address, AddressScope, AddressSource, AddressStatus as Status, DhcpClient, HostName, Link,
        Mac, NetworkState, NodeAddresses, Route as KernelRoute,
    };
    use crate::report::{NetworkPolicy, decide};
    use crate::vmware::wire::nic_info_v3::tests::as_the_host_reads;
    use crate::vmware::wire::nic_info_v3::{MAX_ADDRESSES, MAX_NICS};

    /// See tests/vectors/README.md: made by rpcgen's routines, not by ours.
    const VECTOR: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/vectors/nic_info.bin"
    ));

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(name: &str, index: u32) -> Link {
        let mac = Mac([0, 0x50, 0x56, 0xab, 0xcd, 0xed + index as u8]);
        Link {
            name: name.into(),
            index,
            arp_type: 1,
            mac: Some(mac),
            permanent_mac: Some(mac),
            up: true,
            ..Link::default()
        }
    }

    fn on(link_index: u32, prefix: &str, status: Status) -> Address {
        let (address, length) = prefix.split_once('/').unwrap();
        Address {
            ip: ip(address),
            prefix_length: length.parse().unwrap(),
            link_name: String::new(),
            link_index,
            scope: AddressScope::Global,
            status,
            temporary: address.ends_with("aaaa"),
            announced: false,
        }
    }

    fn route(link: &str, destination: &str, gateway: &str, metric: u32) -> KernelRoute {
        let (destination, length) = destination.split_once('/').unwrap();
        KernelRoute {
            destination: ip(destination),
            prefix_length: length.parse().unwrap(),
            gateway: gateway.parse().ok(),
            link_name: link.into(),
            metric,
        }
    }

    /// The node of the vector.
    fn node() -> Facts {
        let client = DhcpClient {
            ipv6: false,
            link: "eth0".into(),
        };
        let resolver = |servers: &[&str], domains: &[&str]| Resolver {
            servers: servers.iter().map(|text| ip(text)).collect(),
            search_domains: domains.iter().map(|&name| name.to_owned()).collect(),
        };
        let listed = [
            "10.5.0.2",
            "10.5.0.100",
            "192.168.0.7",
            "2001:db8::250:56ff:feab:cdef",
            "2001:db8::aaaa",
        ];
        Facts {
            host_name: Some(HostName {
                host: "talos-cp-1".into(),
                domain: "example.com".into(),
            }),
            links: Some(vec![link("eth0", 2), link("eth1", 3), link("eth2", 4)]),
            addresses: Some(vec![
                on(2, "fe80::250:56ff:feab:cdef/64", Status::Preferred),
                on(2, "2001:db8:2::5/64", Status::Tentative),
                on(2, "2001:db8:3::5/64", Status::Duplicate),
                on(2, "2001:db8::aaaa/64", Status::Deprecated),
                on(2, "2001:db8::250:56ff:feab:cdef/64", Status::Preferred),
                on(2, "10.5.0.100/32", Status::Preferred),
                on(2, "10.5.0.2/24", Status::Preferred),
                on(3, "192.168.0.7/16", Status::Preferred),
            ]),
            node_addresses: Some(NodeAddresses {
                routed: listed.map(ip).to_vec(),
                ..NodeAddresses::default()
            }),
            virtual_ips: Some([ip("10.5.0.100")].into()),
            network: NetworkState {
                routes: Some(
                    [
                        route("eth1", "0.0.0.0/0", "192.168.0.1", 2048),
                        route("eth0", "2001:db8::/64", "", 256),
                        route("eth0", "::/0", "fe80::1", 1024),
                        route("eth0", "10.5.0.0/24", "", 0),
                        route("eth0", "0.0.0.0/0", "10.5.0.1", 1024),
                        route("cni0", "10.244.0.0/24", "", 0),
                    ]
                    .into(),
                ),
                resolver: Some(resolver(
                    &["10.5.0.1", "2001:4860:4860::8888"],
                    &["example.com", "corp.example.com"],
                )),
                address_sources: Some(
                    [
                        (ip("10.5.0.2"), AddressSource::Dhcp(client.clone())),
                        (ip("10.5.0.100"), AddressSource::Vip),
                        (ip("192.168.0.7"), AddressSource::Configuration),
                    ]
                    .into(),
                ),
                lease_resolvers: Some([(client, resolver(&["10.5.0.1"], &[]))].into()),
                ..NetworkState::default()
            },
            ..Facts::default()
        }
    }

    #[test]
    fn a_node_is_told_as_an_independent_encoder_tells_it() {
        let facts = node();
        let policy = NetworkPolicy {
            report_vips: true,
            report_link_local: true,
            ..NetworkPolicy::default()
        };
        let decision = decide(&facts, &policy, MAX_NICS).unwrap();
        let info = nic_info(&decision, &facts);
        assert_eq!(NicInfo::decode(VECTOR), Ok(as_the_host_reads(&info)));
        assert_eq!(info.encode(MAX_ADDRESSES), VECTOR);
    }

    #[test]
    fn names_are_printable() {
        let facts = Facts {
            host_name: Some(HostName {
                host: "a\0b".into(),
                domain: "\0example.com".into(),
            }),
            ..Facts::default()
        };
        let dns = dns(&facts).unwrap();
        assert_eq!(dns.host_name.as_deref(), Some("ab"));
        assert_eq!(dns.domain.as_deref(), Some("example.com"));
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        let facts = Facts {
            host_name: None,
            network: NetworkState::default(),
            ..node()
        };
        let decision = decide(&facts, &NetworkPolicy::default(), MAX_NICS).unwrap();
        let info = nic_info(&decision, &facts);
        assert_eq!((info.dns, info.routes), (None, vec![]));
        let nic = &info.nics[0];
        assert_eq!(
            (&nic.dns, &nic.dhcp_v4, &nic.dhcp_v6),
            (&None, &None, &None)
        );
        assert_eq!(nic.addresses[0].origin, None);
        assert_eq!(nic.addresses[0].status, Some(IpStatus::Preferred));
    }
}
