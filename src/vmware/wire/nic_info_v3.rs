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

use std::net::IpAddr;

use super::xdr::XdrEncoder;

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

/// The network as reported to the host (GuestNicProto with NicInfoV3).
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
    /// Its origin.
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

/// Where an address comes from (IpAddressOrigin, RFC 4293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IpOrigin {
    /// IAO_MANUAL
    Manual = 2,
    /// IAO_DHCP
    Dhcp = 4,
    /// IAO_LINKLAYER
    LinkLayer = 5,
    /// IAO_RANDOM
    Random = 6,
}

/// Whether an address can be used (IpAddressStatus, RFC 4293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum IpStatus {
    /// IAS_PREFERRED
    Preferred = 1,
    /// IAS_DEPRECATED
    Deprecated = 2,
    /// IAS_UNKNOWN
    Unknown = 5,
    /// IAS_TENTATIVE
    Tentative = 6,
    /// IAS_DUPLICATE
    Duplicate = 7,
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
}

impl NicIp {
    fn encode(encoder: &mut XdrEncoder, address: &Self) {
        encode_ip(encoder, &address.ip);
        encoder.u32(address.prefix_length);
        encoder.optional(address.origin.as_ref(), |encoder, origin| {
            encoder.u32(*origin as u32);
        });
        encoder.optional(address.status.as_ref(), |encoder, status| {
            encoder.u32(*status as u32);
        });
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
}

impl DnsConfig {
    fn encode(encoder: &mut XdrEncoder, dns: &Self) {
        let name = |encoder: &mut XdrEncoder, name: &String| encoder.string(name, MAX_HOST_NAME);
        encoder.optional(dns.host_name.as_ref(), name);
        encoder.optional(dns.domain.as_ref(), name);
        encoder.list(&dns.servers, MAX_DNS_SERVERS, encode_ip);
        encoder.list(&dns.suffixes, MAX_DNS_SUFFIXES, name);
    }
}

impl DhcpConfig {
    fn encode(encoder: &mut XdrEncoder, dhcp: &Self) {
        encoder.bool(dhcp.enabled);
        encoder.string(&dhcp.settings, MAX_DHCP_SETTINGS);
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

#[cfg(test)]
pub(crate) mod tests;
