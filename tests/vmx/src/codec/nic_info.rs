//! GuestNicProto, the NIC list of SetGuestInfo 9 and 10 (nicinfo.x), versions 2 and 3.
//!
//! ```text
//! 00000003 00000001   version 3, list present
//! 00000001            one NIC: MAC, addresses, dns?, wins?, dhcp4?, dhcp6?
//! …                   routes, dns?, wins?, dhcp4?, dhcp6?
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::Malformed;
use super::xdr::Xdr;

const MAX_NICS: usize = 16;
const MAX_IPS: usize = 2048;
const MAX_IPS_V2: usize = 64;
const MAX_ROUTES: usize = 100;
const MAX_SERVERS: usize = 16;
const MAX_SUFFIXES: usize = 10;
const MAX_NAME: usize = 255;
const MAX_ADDRESS: usize = 255;
const MAX_MAC: usize = 18;
const MAX_DHCP: usize = 16384;

/// The list as a whole (NicInfoV3, or what a V2 list says of the same).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NicInfo {
    /// GuestNicProto version: 2 or 3.
    pub version: u32,
    /// In the guest's order; the first with an address is the primary one.
    pub nics: Vec<Nic>,
    /// InetCidrRouteEntry.
    pub routes: Vec<Route>,
    /// DnsConfigInfo of the whole machine.
    pub dns: Option<Dns>,
    /// WinsConfigInfo: primary and secondary.
    pub wins: Option<(IpAddr, IpAddr)>,
    /// DhcpConfigInfo for IPv4.
    pub dhcp4: Option<Dhcp>,
    /// DhcpConfigInfo for IPv6.
    pub dhcp6: Option<Dhcp>,
}

/// GuestNicV3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// `00:50:56:ab:cd:ef`.
    pub mac: String,
    /// In the guest's order.
    pub ips: Vec<IpEntry>,
    /// DnsConfigInfo of this NIC.
    pub dns: Option<Dns>,
    /// WinsConfigInfo: primary and secondary.
    pub wins: Option<(IpAddr, IpAddr)>,
    /// DhcpConfigInfo for IPv4.
    pub dhcp4: Option<Dhcp>,
    /// DhcpConfigInfo for IPv6.
    pub dhcp6: Option<Dhcp>,
}

/// IpAddressEntry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IpEntry {
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u32,
    /// IpAddressOrigin: 1 other, 2 manual, 4 DHCP, 5 link layer, 6 random.
    pub origin: Option<u32>,
    /// IpAddressStatus: 1 preferred … 8 optimistic.
    pub status: Option<u32>,
}

impl IpEntry {
    /// vCenter's word for the status (NetIpConfigInfoIpAddressStatus).
    pub fn state(&self) -> &'static str {
        match self.status {
            Some(1) => "preferred",
            Some(2) => "deprecated",
            Some(3) => "invalid",
            Some(4) => "inaccessible",
            Some(6) => "tentative",
            Some(7) => "duplicate",
            _ => "unknown",
        }
    }

    /// vCenter's word for the origin (NetIpConfigInfoIpAddressOrigin); `None` when the guest says nothing.
    pub fn source(&self) -> Option<&'static str> {
        Some(match self.origin? {
            2 => "manual",
            4 => "dhcp",
            5 => "linklayer",
            6 => "random",
            _ => "other",
        })
    }
}

/// InetCidrRouteEntry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    /// Destination network.
    pub destination: IpAddr,
    /// Its prefix length.
    pub prefix: u32,
    /// Gateway, if there is one.
    pub next_hop: Option<IpAddr>,
    /// Index into [`NicInfo::nics`].
    pub nic: u32,
    /// InetCidrRouteType: 0 not set, 1 other, 2 reject, 3 local, 4 remote.
    pub kind: u32,
    /// Metric; `0xFFFFFFFF` is unused.
    pub metric: u32,
}

/// DnsConfigInfo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dns {
    /// Host name.
    pub host: Option<String>,
    /// Domain.
    pub domain: Option<String>,
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Search list.
    pub suffixes: Vec<String>,
}

/// DhcpConfigInfo.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dhcp {
    /// Whether DHCP is on.
    pub enabled: bool,
    /// Free text.
    pub settings: String,
}

impl NicInfo {
    /// The first address of the first NIC that has one: what vCenter shows as guest.ipAddress.
    pub fn primary(&self) -> Option<IpAddr> {
        let entry = self.nics.iter().find_map(|nic| nic.ips.first())?;
        Some(entry.address)
    }

    /// Reads the XDR after `SetGuestInfo  9 ` or `SetGuestInfo  10 `.
    ///
    /// # Errors
    /// [`Malformed`] for truncated or trailing bytes, counts above the limits of nicinfo.x, addresses
    /// whose length does not fit their type, malformed MACs and route indices beyond the list.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut xdr = Xdr::new(bytes);
        let version = xdr.u32("version")?;
        let present = xdr.boolean("list present")?;
        if !present {
            return Err(Malformed::new("nic info: the list is absent"));
        }
        let info = match version {
            2 => Self {
                version,
                nics: xdr.array(MAX_NICS, "NICs", nic_v2)?,
                ..Self::default()
            },
            3 => Self {
                version,
                nics: xdr.array(MAX_NICS, "NICs", nic_v3)?,
                routes: xdr.array(MAX_ROUTES, "routes", route)?,
                dns: xdr.option("dns", dns)?,
                wins: xdr.option("wins", wins)?,
                dhcp4: xdr.option("dhcp4", dhcp)?,
                dhcp6: xdr.option("dhcp6", dhcp)?,
            },
            other => return Err(Malformed(format!("nic info: version {other}"))),
        };
        xdr.finish()?;
        if let Some(route) = info
            .routes
            .iter()
            .find(|r| r.nic as usize >= info.nics.len())
        {
            return Err(Malformed(format!(
                "nic info: route names NIC {}",
                route.nic
            )));
        }
        Ok(info)
    }
}

fn address(xdr: &mut Xdr<'_>) -> Result<IpAddr, Malformed> {
    let kind = xdr.u32("address type")?;
    let bytes = xdr.opaque(MAX_ADDRESS, "address")?;
    if let (1, Ok(v4)) = (kind, <[u8; 4]>::try_from(bytes)) {
        Ok(IpAddr::V4(Ipv4Addr::from(v4)))
    } else if let (2, Ok(v6)) = (kind, <[u8; 16]>::try_from(bytes)) {
        Ok(IpAddr::V6(Ipv6Addr::from(v6)))
    } else {
        Err(Malformed(format!(
            "nic info: address of type {kind} with {} bytes",
            bytes.len()
        )))
    }
}

fn checked_prefix(address: IpAddr, prefix: u32) -> Result<u32, Malformed> {
    let max = if address.is_ipv4() { 32 } else { 128 };
    if prefix > max {
        return Err(Malformed(format!("nic info: {address}/{prefix}")));
    }
    Ok(prefix)
}

fn checked_mac(mac: String) -> Result<String, Malformed> {
    let well_formed = mac.len() == 17
        && mac.bytes().enumerate().all(|(at, byte)| match at % 3 {
            2 => byte == b':',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        });
    if well_formed {
        Ok(mac)
    } else {
        Err(Malformed(format!("nic info: MAC {mac:?}")))
    }
}

fn ip_entry(xdr: &mut Xdr<'_>) -> Result<IpEntry, Malformed> {
    let address = address(xdr)?;
    let prefix = checked_prefix(address, xdr.u32("prefix length")?)?;
    let origin = xdr.option("origin", |xdr| xdr.u32("origin"))?;
    let status = xdr.option("status", |xdr| xdr.u32("status"))?;
    if origin.is_some_and(|origin| !matches!(origin, 1 | 2 | 4 | 5 | 6)) {
        return Err(Malformed(format!("nic info: origin {origin:?}")));
    }
    if status.is_some_and(|status| !(1..=8).contains(&status)) {
        return Err(Malformed(format!("nic info: status {status:?}")));
    }
    Ok(IpEntry {
        address,
        prefix,
        origin,
        status,
    })
}

fn nic_v3(xdr: &mut Xdr<'_>) -> Result<Nic, Malformed> {
    Ok(Nic {
        mac: checked_mac(xdr.string(MAX_MAC, "MAC")?)?,
        ips: xdr.array(MAX_IPS, "addresses", ip_entry)?,
        dns: xdr.option("NIC dns", dns)?,
        wins: xdr.option("NIC wins", wins)?,
        dhcp4: xdr.option("NIC dhcp4", dhcp)?,
        dhcp6: xdr.option("NIC dhcp6", dhcp)?,
    })
}

fn nic_v2(xdr: &mut Xdr<'_>) -> Result<Nic, Malformed> {
    let mac = checked_mac(xdr.wide_chars(MAX_MAC, "MAC")?)?;
    let ips = xdr.array(MAX_IPS_V2, "addresses", |xdr| {
        let family = xdr.u32("address family")?;
        let text = xdr.wide_chars(64, "address")?;
        let mask = xdr.wide_chars(64, "subnet mask")?;
        let address: IpAddr = text
            .parse()
            .map_err(|_| Malformed(format!("nic info: address {text:?}")))?;
        if u32::from(address.is_ipv6()) != family {
            return Err(Malformed(format!(
                "nic info: {address} has family {family}"
            )));
        }
        let prefix = mask
            .parse()
            .map_err(|_| Malformed(format!("nic info: subnet mask {mask:?}")))?;
        Ok(IpEntry {
            address,
            prefix: checked_prefix(address, prefix)?,
            origin: None,
            status: None,
        })
    })?;
    Ok(Nic {
        mac,
        ips,
        ..Nic::default()
    })
}

fn route(xdr: &mut Xdr<'_>) -> Result<Route, Malformed> {
    let destination = address(xdr)?;
    Ok(Route {
        destination,
        prefix: checked_prefix(destination, xdr.u32("route prefix length")?)?,
        next_hop: xdr.option("next hop", address)?,
        nic: xdr.u32("route NIC")?,
        kind: xdr.u32("route type")?,
        metric: xdr.u32("route metric")?,
    })
}

fn dns(xdr: &mut Xdr<'_>) -> Result<Dns, Malformed> {
    Ok(Dns {
        host: xdr.option("dns host", |xdr| xdr.string(MAX_NAME, "dns host"))?,
        domain: xdr.option("dns domain", |xdr| xdr.string(MAX_NAME, "dns domain"))?,
        servers: xdr.array(MAX_SERVERS, "dns servers", address)?,
        suffixes: xdr.array(MAX_SUFFIXES, "dns suffixes", |xdr| {
            xdr.string(MAX_NAME, "dns suffix")
        })?,
    })
}

fn wins(xdr: &mut Xdr<'_>) -> Result<(IpAddr, IpAddr), Malformed> {
    Ok((address(xdr)?, address(xdr)?))
}

fn dhcp(xdr: &mut Xdr<'_>) -> Result<Dhcp, Malformed> {
    Ok(Dhcp {
        enabled: xdr.boolean("dhcp enabled")?,
        settings: xdr.string(MAX_DHCP, "dhcp settings")?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The list of guest-info §5.4: encoded by rpcgen's code for nicinfo.x of open-vm-tools 13.1.0.
    pub(crate) const GOLDEN: &str = "00000003 00000001 00000001 \
        00000011 30303a35 303a3536 3a61623a 63643a65 66000000 00000002 \
        00000001 00000004 0a050002 00000018 00000000 00000001 00000001 \
        00000002 00000010 20010db8 00000000 00000000 00000002 00000040 00000000 00000001 00000005 \
        00000000 00000000 00000000 00000000 \
        00000001 00000001 00000004 00000000 00000000 00000001 00000001 00000004 0a050001 \
        00000000 00000000 00000400 \
        00000001 00000001 0000000a 74616c6f 732d6370 2d310000 \
        00000001 0000000b 6578616d 706c652e 636f6d00 \
        00000001 00000001 00000004 0a050001 \
        00000001 0000000b 6578616d 706c652e 636f6d00 \
        00000000 00000000 00000000";

    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .bytes()
            .filter(|byte| byte.is_ascii_hexdigit())
            .collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn the_list_of_rpcgen_is_read() {
        let bytes = hex(GOLDEN);
        assert_eq!(bytes.len(), 264);
        let info = NicInfo::decode(&bytes).unwrap();
        assert_eq!(info.nics.len(), 1);
        assert_eq!(info.nics[0].mac, "00:50:56:ab:cd:ef");
        assert_eq!(info.nics[0].ips[0].address, IpAddr::from([10, 5, 0, 2]));
        assert_eq!(info.nics[0].ips[0].prefix, 24);
        assert_eq!(info.nics[0].ips[0].state(), "preferred");
        assert_eq!(
            info.nics[0].ips[1].address,
            "2001:db8::2".parse::<IpAddr>().unwrap()
        );
        assert_eq!(info.nics[0].ips[1].status, Some(5));
        assert_eq!(info.routes[0].next_hop, Some(IpAddr::from([10, 5, 0, 1])));
        assert_eq!(info.routes[0].metric, 1024);
        let dns = info.dns.as_ref().unwrap();
        assert_eq!(dns.host.as_deref(), Some("talos-cp-1"));
        assert_eq!(dns.suffixes, ["example.com"]);
        assert_eq!(info.primary(), Some(IpAddr::from([10, 5, 0, 2])));
    }

    #[test]
    fn truncation_and_trailing_bytes_are_refused() {
        let bytes = hex(GOLDEN);
        for len in 0..bytes.len() {
            assert!(NicInfo::decode(&bytes[..len]).is_err(), "cut to {len}");
        }
        let mut longer = bytes;
        longer.extend([0; 4]);
        assert!(NicInfo::decode(&longer).is_err());
    }

    #[test]
    fn no_byte_of_a_list_can_hurt_the_reader() {
        let mut bytes = hex(GOLDEN);
        for at in 0..bytes.len() {
            let good = bytes[at];
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                let _ = NicInfo::decode(&bytes);
            }
            bytes[at] = good;
        }
    }

    #[test]
    fn padding_and_limits_are_checked() {
        let mut padded = hex(GOLDEN);
        padded[0x23] = 1;
        assert!(NicInfo::decode(&padded).unwrap_err().0.contains("padding"));
        let mut many = hex("00000003 00000001 00000011");
        many.extend([0; 400]);
        assert!(NicInfo::decode(&many).unwrap_err().0.contains("NICs"));
    }

    #[test]
    fn the_empty_list_is_32_bytes() {
        let mut bytes = hex("00000003 00000001");
        bytes.extend([0; 24]);
        let info = NicInfo::decode(&bytes).unwrap();
        assert!(info.nics.is_empty());
        assert_eq!(info.primary(), None);
    }
}
