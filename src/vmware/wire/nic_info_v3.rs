//! GuestNicProto version 3: NICs with their addresses, routes, and DNS [nicinfo.x].
//!
//! ```text
//! 00000003 00000001                          version, pointer present
//! nics<16>  routes<100>  *DNS  *WINS  *DHCPv4  *DHCPv6
//! nic     = string mac, addresses<2048>, *DNS, *WINS, *DHCPv4, *DHCPv6
//! address = typed address, prefix length, *origin, *status
//! ```
//!
//! WINS is never written. Lists beyond their limit are cut when written, so an encoded message always decodes
//! on the host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::xdr::{XdrDecoder, XdrEncoder, XdrError};

/// NIC_INFO_V3.
const VERSION: u32 = 3;
/// NICINFO_MAX_NICS: the NICs of a message.
pub const MAX_NICS: usize = 16;
/// NICINFO_MAX_IPS: the addresses of a NIC in message type 10.
pub const MAX_ADDRESSES: usize = 2048;
/// NICINFO_MAX_IPS before version 3: the addresses of a NIC in message type 9.
pub const MAX_ADDRESSES_V2: usize = 64;
/// NICINFO_MAX_ROUTES: the routes of a message.
pub const MAX_ROUTES: usize = 100;
/// DNSINFO_MAX_SERVERS: the name servers of a resolver.
pub const MAX_DNS_SERVERS: usize = 16;
/// DNSINFO_MAX_SUFFIXES: the search domains of a resolver.
pub const MAX_DNS_SUFFIXES: usize = 10;
/// DNSINFO_MAX_ADDRLEN: bytes of a host name.
const MAX_HOST_NAME: usize = 255;
/// NICINFO_MAC_LEN: bytes of a hardware address in text form.
const MAX_MAC: usize = 18;
/// INET_ADDRESS_MAX_LEN: bytes of an address.
const MAX_ADDRESS: usize = 255;
/// DHCP_MAX_CONFIG_SIZE: bytes of DHCP settings.
const MAX_DHCP_SETTINGS: usize = 16384;
/// InetAddressType IAT_IPV4.
const IPV4: u32 = 1;
/// InetAddressType IAT_IPV6.
const IPV6: u32 = 2;

/// The network as the host is told (GuestNicProto with NicInfoV3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NicInfoV3 {
    /// The NICs, most important first; the first [`MAX_NICS`] are written.
    pub nics: Vec<GuestNic>,
    /// Routes; the first [`MAX_ROUTES`] are written.
    pub routes: Vec<Route>,
    /// The resolver.
    pub dns: Option<DnsConfig>,
    /// DHCP for IPv4.
    pub dhcp_v4: Option<DhcpConfig>,
    /// DHCP for IPv6.
    pub dhcp_v6: Option<DhcpConfig>,
}

/// One NIC (GuestNicV3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestNic {
    /// Hardware address, lower case with colons.
    pub mac: String,
    /// Addresses, best first; the first [`MAX_ADDRESSES`] are written.
    pub addresses: Vec<NicIp>,
    /// The NIC's own resolver.
    pub dns: Option<DnsConfig>,
    /// The NIC's own DHCP for IPv4.
    pub dhcp_v4: Option<DhcpConfig>,
    /// The NIC's own DHCP for IPv6.
    pub dhcp_v6: Option<DhcpConfig>,
}

/// One address (IpAddressEntry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicIp {
    /// The address.
    pub ip: IpAddr,
    /// Length of the prefix in bits.
    pub prefix_length: u32,
    /// Where it comes from.
    pub origin: Option<IpOrigin>,
    /// Whether it can be used.
    pub status: Option<IpStatus>,
}

/// One route (InetCidrRouteEntry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub destination: IpAddr,
    /// Length of its prefix in bits.
    pub prefix_length: u32,
    /// The gateway, if there is one.
    pub next_hop: Option<IpAddr>,
    /// Position of the NIC in [`NicInfoV3::nics`], not the kernel's index.
    pub nic: u32,
    /// InetCidrRouteType; open-vm-tools leaves it 0.
    pub kind: u32,
    /// Metric; 0xFFFFFFFF when unused.
    pub metric: u32,
}

/// A resolver (DnsConfigInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// Host name.
    pub host_name: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Name servers; the first [`MAX_DNS_SERVERS`] are written.
    pub servers: Vec<IpAddr>,
    /// Search domains; the first [`MAX_DNS_SUFFIXES`] are written.
    pub suffixes: Vec<String>,
}

/// DHCP (DhcpConfigInfo).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhcpConfig {
    /// Whether it is in use.
    pub enabled: bool,
    /// Settings as text.
    pub settings: String,
}

/// Declares an enum of wire values with both directions.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The number on the wire.
            fn wire(self) -> u32 {
                match self { $(Self::$variant => $value,)* }
            }

            fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
                let offset = decoder.offset();
                match decoder.u32()? {
                    $($value => Ok(Self::$variant),)*
                    value => Err(XdrError::Invalid { offset, value }),
                }
            }
        }
    };
}

wire_enum! {
    /// Where an address comes from (IpAddressOrigin, RFC 4293).
    IpOrigin {
        /// IAO_OTHER
        Other = 1,
        /// IAO_MANUAL
        Manual = 2,
        /// IAO_DHCP
        Dhcp = 4,
        /// IAO_LINKLAYER
        LinkLayer = 5,
        /// IAO_RANDOM
        Random = 6,
    }
}

wire_enum! {
    /// Whether an address can be used (IpAddressStatus, RFC 4293).
    IpStatus {
        /// IAS_PREFERRED
        Preferred = 1,
        /// IAS_DEPRECATED
        Deprecated = 2,
        /// IAS_INVALID
        Invalid = 3,
        /// IAS_INACCESSIBLE
        Inaccessible = 4,
        /// IAS_UNKNOWN
        Unknown = 5,
        /// IAS_TENTATIVE
        Tentative = 6,
        /// IAS_DUPLICATE
        Duplicate = 7,
        /// IAS_OPTIMISTIC
        Optimistic = 8,
    }
}

impl NicInfoV3 {
    /// The XDR bytes, with at most `max_addresses` addresses a NIC ([`MAX_ADDRESSES`] for message type 10,
    /// [`MAX_ADDRESSES_V2`] for type 9).
    pub fn encode(&self, max_addresses: usize) -> Vec<u8> {
        let max_addresses = max_addresses.min(MAX_ADDRESSES);
        let mut encoder = XdrEncoder::new();
        encoder.u32(VERSION);
        encoder.bool(true);
        encoder.list(&self.nics, MAX_NICS, |encoder, nic| {
            nic.encode(encoder, max_addresses);
        });
        encoder.list(&self.routes, MAX_ROUTES, Route::encode);
        encoder.optional(self.dns.as_ref(), DnsConfig::encode);
        encoder.bool(false);
        encoder.optional(self.dhcp_v4.as_ref(), DhcpConfig::encode);
        encoder.optional(self.dhcp_v6.as_ref(), DhcpConfig::encode);
        encoder.into_bytes()
    }

    /// Reads a whole message.
    pub fn decode(bytes: &[u8]) -> Result<Self, XdrError> {
        let mut decoder = XdrDecoder::new(bytes);
        decoder.checked(|version| version == VERSION)?;
        decoder.checked(|present| present == 1)?;
        let info = Self {
            nics: decoder.list(MAX_NICS, GuestNic::decode)?,
            routes: decoder.list(MAX_ROUTES, Route::decode)?,
            dns: decoder.optional(DnsConfig::decode)?,
            dhcp_v4: {
                skip_wins(&mut decoder)?;
                decoder.optional(DhcpConfig::decode)?
            },
            dhcp_v6: decoder.optional(DhcpConfig::decode)?,
        };
        decoder.finish()?;
        Ok(info)
    }
}

impl GuestNic {
    fn encode(&self, encoder: &mut XdrEncoder, max_addresses: usize) {
        encoder.string(&self.mac, MAX_MAC);
        encoder.list(&self.addresses, max_addresses, NicIp::encode);
        encoder.optional(self.dns.as_ref(), DnsConfig::encode);
        encoder.bool(false);
        encoder.optional(self.dhcp_v4.as_ref(), DhcpConfig::encode);
        encoder.optional(self.dhcp_v6.as_ref(), DhcpConfig::encode);
    }

    fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            mac: decoder.string(MAX_MAC)?,
            addresses: decoder.list(MAX_ADDRESSES, NicIp::decode)?,
            dns: decoder.optional(DnsConfig::decode)?,
            dhcp_v4: {
                skip_wins(decoder)?;
                decoder.optional(DhcpConfig::decode)?
            },
            dhcp_v6: decoder.optional(DhcpConfig::decode)?,
        })
    }
}

impl NicIp {
    fn encode(encoder: &mut XdrEncoder, address: &Self) {
        encode_ip(encoder, &address.ip);
        encoder.u32(address.prefix_length);
        encoder.optional(address.origin.as_ref(), |encoder, origin| {
            encoder.u32(origin.wire());
        });
        encoder.optional(address.status.as_ref(), |encoder, status| {
            encoder.u32(status.wire());
        });
    }

    fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            ip: decode_ip(decoder)?,
            prefix_length: decoder.u32()?,
            origin: decoder.optional(IpOrigin::decode)?,
            status: decoder.optional(IpStatus::decode)?,
        })
    }
}

impl Route {
    fn encode(encoder: &mut XdrEncoder, route: &Self) {
        encode_ip(encoder, &route.destination);
        encoder.u32(route.prefix_length);
        encoder.optional(route.next_hop.as_ref(), encode_ip);
        encoder.u32(route.nic);
        encoder.u32(route.kind);
        encoder.u32(route.metric);
    }

    fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            destination: decode_ip(decoder)?,
            prefix_length: decoder.u32()?,
            next_hop: decoder.optional(decode_ip)?,
            nic: decoder.u32()?,
            kind: decoder.u32()?,
            metric: decoder.u32()?,
        })
    }
}

impl DnsConfig {
    fn encode(encoder: &mut XdrEncoder, dns: &Self) {
        let name = |encoder: &mut XdrEncoder, name: &String| encoder.string(name, MAX_HOST_NAME);
        encoder.optional(dns.host_name.as_ref(), name);
        encoder.optional(dns.domain.as_ref(), name);
        encoder.list(&dns.servers, MAX_DNS_SERVERS, encode_ip);
        encoder.list(&dns.suffixes, MAX_DNS_SUFFIXES, name);
    }

    fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            host_name: decoder.optional(|decoder| decoder.string(MAX_HOST_NAME))?,
            domain: decoder.optional(|decoder| decoder.string(MAX_HOST_NAME))?,
            servers: decoder.list(MAX_DNS_SERVERS, decode_ip)?,
            suffixes: decoder.list(MAX_DNS_SUFFIXES, |decoder| decoder.string(MAX_HOST_NAME))?,
        })
    }
}

impl DhcpConfig {
    fn encode(encoder: &mut XdrEncoder, dhcp: &Self) {
        encoder.bool(dhcp.enabled);
        encoder.string(&dhcp.settings, MAX_DHCP_SETTINGS);
    }

    fn decode(decoder: &mut XdrDecoder<'_>) -> Result<Self, XdrError> {
        Ok(Self {
            enabled: decoder.bool()?,
            settings: decoder.string(MAX_DHCP_SETTINGS)?,
        })
    }
}

/// TypedIpAddress.
fn encode_ip(encoder: &mut XdrEncoder, ip: &IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            encoder.u32(IPV4);
            encoder.opaque(&ip.octets(), MAX_ADDRESS);
        }
        IpAddr::V6(ip) => {
            encoder.u32(IPV6);
            encoder.opaque(&ip.octets(), MAX_ADDRESS);
        }
    }
}

fn decode_ip(decoder: &mut XdrDecoder<'_>) -> Result<IpAddr, XdrError> {
    let kind = decoder.checked(|kind| matches!(kind, IPV4 | IPV6))?;
    let offset = decoder.offset();
    let bytes = decoder.opaque(MAX_ADDRESS)?;
    let ip = if kind == IPV4 {
        <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into())
    } else {
        <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())
    };
    ip.map_err(|_| XdrError::Invalid {
        offset,
        value: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    })
}

/// WinsConfigInfo, which no Linux guest has: two addresses, read and forgotten.
fn skip_wins(decoder: &mut XdrDecoder<'_>) -> Result<(), XdrError> {
    decoder
        .optional(|decoder| Ok((decode_ip(decoder)?, decode_ip(decoder)?)))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

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
        assert_eq!(NicInfoV3::decode(&golden_bytes()), Ok(golden()));
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
        let decoded = NicInfoV3::decode(&info.encode(usize::MAX)).unwrap();
        assert_eq!(decoded.nics.len(), 16);
        assert_eq!(decoded.nics[0].addresses.len(), 2048);
        assert_eq!(decoded.routes.len(), 100);
        let dns = decoded.dns.unwrap();
        assert_eq!(dns.host_name.unwrap().len(), 255);
        assert_eq!((dns.servers.len(), dns.suffixes.len()), (16, 10));
        let decoded = NicInfoV3::decode(&info.encode(MAX_ADDRESSES_V2)).unwrap();
        assert!(decoded.nics.iter().all(|nic| nic.addresses.len() == 64));
    }

    #[test]
    fn truncation_at_every_offset_is_an_error() {
        let bytes = golden_bytes();
        for end in 0..bytes.len() {
            assert!(NicInfoV3::decode(&bytes[..end]).is_err(), "{end}");
        }
        let longer = [&bytes[..], &[0; 4]].concat();
        assert_eq!(
            NicInfoV3::decode(&longer),
            Err(XdrError::Trailing {
                offset: 264,
                len: 4
            })
        );
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
            (any::<bool>(), ".{0,30}")
                .prop_map(|(enabled, settings)| DhcpConfig { enabled, settings }),
        )
    }

    fn nic_ip() -> impl Strategy<Value = NicIp> {
        (
            any::<IpAddr>(),
            0..=128_u32,
            option::of(prop_oneof![
                Just(IpOrigin::Other),
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
                Just(IpStatus::Optimistic)
            ]),
        )
            .prop_map(|(ip, prefix_length, origin, status)| NicIp {
                ip,
                prefix_length,
                origin,
                status,
            })
    }

    fn nic_info() -> impl Strategy<Value = NicInfoV3> {
        let nic = (
            "[0-9a-f:]{0,18}",
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
        let route = (
            any::<IpAddr>(),
            any::<u32>(),
            option::of(any::<IpAddr>()),
            any::<[u32; 3]>(),
        )
            .prop_map(
                |(destination, prefix_length, next_hop, [nic, kind, metric])| Route {
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
            .prop_map(|(nics, routes, dns, dhcp_v4, dhcp_v6)| NicInfoV3 {
                nics,
                routes,
                dns,
                dhcp_v4,
                dhcp_v6,
            })
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(info in nic_info()) {
            let bytes = info.encode(MAX_ADDRESSES);
            prop_assert_eq!(NicInfoV3::decode(&bytes), Ok(info));
        }

        #[test]
        fn any_bytes_decode_to_themselves_or_an_error(bytes in vec(0..4_u8, 0..400)) {
            let bytes = [&[0, 0, 0, 3, 0, 0, 0, 1], &bytes[..]].concat();
            let _ = NicInfoV3::decode(&bytes);
        }

        #[test]
        fn a_changed_message_never_panics(at in 0..264_usize, byte: u8) {
            let mut bytes = golden_bytes();
            bytes[at] = byte;
            if let Ok(info) = NicInfoV3::decode(&bytes) {
                prop_assert_eq!(NicInfoV3::decode(&info.encode(MAX_ADDRESSES)), Ok(info));
            }
        }
    }
}
