use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use vmx::codec::nic_info::{self as host, NicInfo};

use super::*;

/// Made by the XDR routines that rpcgen compiles from nicinfo.x; the part up to the routes agrees with the
/// encoder of the Go daemon (protocol reference, guest information, worked example).
const GOLDEN: &str = "
    00000003 00000001
    00000001
    00000011 30303a35 303a3536 3a61623a 63643a65 66000000
    00000002
    00000001 00000004 0a050002 00000018 00000000 00000001 00000001
    00000002 00000010 20010db8 00000000 00000000 00000002 00000040 00000000 00000001 00000005
    00000000 00000000 00000000 00000000
    00000001
    00000001 00000004 00000000 00000000
    00000001 00000001 00000004 0a050001
    00000000 00000000 00000400
    00000001
    00000001 0000000a 74616c6f 732d6370 2d310000
    00000001 0000000b 6578616d 706c652e 636f6d00
    00000001 00000001 00000004 0a050001
    00000001 0000000b 6578616d 706c652e 636f6d00
    00000000 00000000 00000000";

fn golden_bytes() -> Vec<u8> {
    let digits: Vec<u32> = GOLDEN.chars().filter_map(|c| c.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

fn golden() -> NicInfoV3 {
    let address = |ip: &str, prefix_length, status| NicIp {
        ip: ip.parse().unwrap(),
        prefix_length,
        origin: None,
        status: Some(status),
    };
    NicInfoV3 {
        nics: vec![GuestNic {
            mac: "00:50:56:ab:cd:ef".into(),
            addresses: vec![
                address("10.5.0.2", 24, IpStatus::Preferred),
                address("2001:db8::2", 64, IpStatus::Unknown),
            ],
            ..GuestNic::default()
        }],
        routes: vec![Route {
            destination: "0.0.0.0".parse().unwrap(),
            prefix_length: 0,
            next_hop: Some("10.5.0.1".parse().unwrap()),
            nic: 0,
            kind: 0,
            metric: 1024,
        }],
        dns: Some(DnsConfig {
            host_name: Some("talos-cp-1".into()),
            domain: Some("example.com".into()),
            servers: vec!["10.5.0.1".parse().unwrap()],
            suffixes: vec!["example.com".into()],
        }),
        ..NicInfoV3::default()
    }
}

#[test]
fn the_golden_message_is_written_and_read() {
    assert_eq!(golden_bytes().len(), 264);
    assert_eq!(golden().encode(MAX_ADDRESSES), golden_bytes());
    assert_eq!(
        NicInfo::decode(&golden_bytes()),
        Ok(as_the_host_reads(&golden()))
    );
}

#[test]
fn an_empty_message_is_32_bytes() {
    let bytes = NicInfoV3::default().encode(MAX_ADDRESSES);
    assert_eq!(bytes.len(), 32);
    assert_eq!(bytes[..8], [0, 0, 0, 3, 0, 0, 0, 1]);
    assert!(bytes[8..].iter().all(|&byte| byte == 0));
}

#[test]
fn lists_are_cut_to_the_limits_of_nicinfo_x() {
    let ip = NicIp {
        ip: "10.0.0.1".parse().unwrap(),
        prefix_length: 8,
        origin: None,
        status: None,
    };
    let nic = GuestNic {
        mac: "00:50:56:00:00:01".into(),
        addresses: vec![ip; 3000],
        ..GuestNic::default()
    };
    let info = NicInfoV3 {
        nics: vec![nic; 20],
        routes: vec![golden().routes[0]; 200],
        dns: Some(DnsConfig {
            host_name: Some("x".repeat(300)),
            servers: vec![ip.ip; 20],
            suffixes: vec!["a".into(); 20],
            ..DnsConfig::default()
        }),
        ..NicInfoV3::default()
    };
    let decoded = NicInfo::decode(&info.encode(usize::MAX)).unwrap();
    assert_eq!(decoded.nics.len(), 16);
    assert_eq!(decoded.nics[0].ips.len(), 2048);
    assert_eq!(decoded.routes.len(), 100);
    let dns = decoded.dns.unwrap();
    assert_eq!(dns.host.unwrap().len(), 255);
    assert_eq!((dns.servers.len(), dns.suffixes.len()), (16, 10));
    let decoded = NicInfo::decode(&info.encode(MAX_ADDRESSES_V2)).unwrap();
    assert!(decoded.nics.iter().all(|nic| nic.ips.len() == 64));
}

fn dns() -> impl Strategy<Value = DnsConfig> {
    (
        option::of("[a-z.-]{0,60}"),
        option::of("[a-z.-]{0,60}"),
        vec(any::<IpAddr>(), 0..=MAX_DNS_SERVERS),
        vec("[a-z.-]{0,60}", 0..=MAX_DNS_SUFFIXES),
    )
        .prop_map(|(host_name, domain, servers, suffixes)| DnsConfig {
            host_name,
            domain,
            servers,
            suffixes,
        })
}

fn dhcp() -> impl Strategy<Value = Option<DhcpConfig>> {
    option::of(
        (any::<bool>(), "[^\0]{0,30}")
            .prop_map(|(enabled, settings)| DhcpConfig { enabled, settings }),
    )
}

/// An address and a length that a prefix of it may have: the host refuses others.
fn network() -> impl Strategy<Value = (IpAddr, u32)> {
    (any::<IpAddr>(), any::<u32>()).prop_map(|(ip, length)| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        (ip, length % (bits + 1))
    })
}

fn nic_ip() -> impl Strategy<Value = NicIp> {
    (
        network(),
        option::of(prop_oneof![
            Just(IpOrigin::Manual),
            Just(IpOrigin::Dhcp),
            Just(IpOrigin::LinkLayer),
            Just(IpOrigin::Random)
        ]),
        option::of(prop_oneof![
            Just(IpStatus::Preferred),
            Just(IpStatus::Deprecated),
            Just(IpStatus::Tentative),
            Just(IpStatus::Duplicate),
            Just(IpStatus::Unknown)
        ]),
    )
        .prop_map(|((ip, prefix_length), origin, status)| NicIp {
            ip,
            prefix_length,
            origin,
            status,
        })
}

fn nic_info() -> impl Strategy<Value = NicInfoV3> {
    let nic = (
        "([0-9a-f]{2}:){5}[0-9a-f]{2}",
        vec(nic_ip(), 0..5),
        option::of(dns()),
        dhcp(),
        dhcp(),
    )
        .prop_map(|(mac, addresses, dns, dhcp_v4, dhcp_v6)| GuestNic {
            mac,
            addresses,
            dns,
            dhcp_v4,
            dhcp_v6,
        });
    let route = (network(), option::of(any::<IpAddr>()), any::<[u32; 3]>()).prop_map(
        |((destination, prefix_length), next_hop, [nic, kind, metric])| Route {
            destination,
            prefix_length,
            next_hop,
            nic,
            kind,
            metric,
        },
    );
    (
        vec(nic, 0..4),
        vec(route, 0..4),
        option::of(dns()),
        dhcp(),
        dhcp(),
    )
        .prop_map(|(nics, mut routes, dns, dhcp_v4, dhcp_v6)| {
            // A route is that of a NIC in the list.
            routes.retain(|_| !nics.is_empty());
            for route in &mut routes {
                route.nic %= nics.len() as u32;
            }
            NicInfoV3 {
                nics,
                routes,
                dns,
                dhcp_v4,
                dhcp_v6,
            }
        })
}

proptest! {
    #[test]
    fn the_host_reads_what_is_written(info in nic_info()) {
        let read = NicInfo::decode(&info.encode(MAX_ADDRESSES));
        prop_assert_eq!(read, Ok(as_the_host_reads(&info)));
    }
}

/// What the simulated host, which has a reader of its own, makes of a message that says `info`.
pub(crate) fn as_the_host_reads(info: &NicInfoV3) -> NicInfo {
    let dns = |dns: &DnsConfig| host::Dns {
        host: dns.host_name.clone(),
        domain: dns.domain.clone(),
        servers: dns.servers.clone(),
        suffixes: dns.suffixes.clone(),
    };
    let dhcp = |dhcp: &DhcpConfig| host::Dhcp {
        enabled: dhcp.enabled,
        settings: dhcp.settings.clone(),
    };
    let address = |address: &NicIp| host::IpEntry {
        address: address.ip,
        prefix: address.prefix_length,
        origin: address.origin.map(|origin| origin as u32),
        status: address.status.map(|status| status as u32),
    };
    let nic = |nic: &GuestNic| host::Nic {
        mac: nic.mac.clone(),
        ips: nic.addresses.iter().map(address).collect(),
        dns: nic.dns.as_ref().map(dns),
        wins: None,
        dhcp4: nic.dhcp_v4.as_ref().map(dhcp),
        dhcp6: nic.dhcp_v6.as_ref().map(dhcp),
    };
    let route = |route: &Route| host::Route {
        destination: route.destination,
        prefix: route.prefix_length,
        next_hop: route.next_hop,
        nic: route.nic,
        kind: route.kind,
        metric: route.metric,
    };
    NicInfo {
        version: VERSION,
        nics: info.nics.iter().map(nic).collect(),
        routes: info.routes.iter().map(route).collect(),
        dns: info.dns.as_ref().map(dns),
        wins: None,
        dhcp4: info.dhcp_v4.as_ref().map(dhcp),
        dhcp6: info.dhcp_v6.as_ref().map(dhcp),
    }
}
