//! Addresses as they are written in the files.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;

/// An address with the length of its network prefix, such as `10.5.0.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix {
    /// IPv4 or IPv6.
    pub ip: IpAddr,
    /// In bits.
    pub length: u8,
}

impl Prefix {
    /// The network that the address is in.
    pub fn network(self) -> Self {
        let Self { ip, length } = self;
        let ip = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::from((ip.to_bits() & mask).to_be_bytes())
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::from((ip.to_bits() & mask).to_be_bytes())
            }
        };
        Self { ip, length }
    }

    /// Whether an address is in this network.
    pub fn contains(self, ip: IpAddr) -> bool {
        let length = self.length;
        self.ip.is_ipv4() == ip.is_ipv4() && Self { ip, length }.network() == self.network()
    }

    /// The last address of the network; `None` for IPv6, which has no broadcasts.
    pub(crate) fn broadcast(self) -> Option<IpAddr> {
        let IpAddr::V4(ip) = self.ip else {
            return None;
        };
        let hosts = u32::MAX.checked_shr(self.length.into()).unwrap_or(0);
        Some(IpAddr::from((ip.to_bits() | hosts).to_be_bytes()))
    }

    /// The address alone: all bits.
    pub fn host(ip: IpAddr) -> Self {
        let length = if ip.is_ipv4() { 32 } else { 128 };
        Self { ip, length }
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(ip, length)| {
            let ip: IpAddr = ip.parse().ok()?;
            let length: u8 = length.parse().ok()?;
            (length <= Self::host(ip).length).then_some(Self { ip, length })
        });
        parsed.ok_or_else(|| format!("{text:?} is not an address with a prefix length"))
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.length)
    }
}

/// A hardware address, such as `00:50:56:00:00:02`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Mac(pub [u8; 6]);

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = text
            .split(':')
            .filter_map(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes = <[u8; 6]>::try_from(bytes.collect::<Vec<_>>());
        bytes
            .map(Self)
            .map_err(|_| format!("{text:?} is not a hardware address"))
    }
}
