//! What the host must show of a node, and the settings that change it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the host must show. It is the whole of it: a NIC, an address or a route that is not here must not be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// The node's primary address: `guest.ipAddress` and the variable `guestinfo.ip`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<IpAddr>,
    /// `guest.ipAddress` of a node without a primary address: the host takes the first that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest_ip_address: Option<IpAddr>,
    /// `guest.hostName`; looked at where it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// `guest.net`, in order.
    #[serde(default)]
    pub net: Vec<Nic>,
    /// The routes of `guest.ipStack`, in order: `10.0.0.0/8 via 10.5.0.1 NIC 0 metric 1024`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// The name servers of `guest.ipStack`.
    #[serde(default, skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    /// Addresses that must not be shown, with the reason that `talosquery` gives; the others are not looked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<IpAddr, String>,
    /// Names of NICs that are too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

impl fmt::Display for Shown {
    /// As it is written in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_yaml::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

/// One NIC of `guest.net`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// The link's name, which the log and `talosquery` have; the host knows none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The hardware address.
    pub mac: String,
    /// Whether DHCP gave it IPv4 addresses; nothing when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp4: Option<bool>,
    /// Whether DHCP gave it IPv6 addresses; nothing when it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp6: Option<bool>,
    /// Addresses with state and origin, in order: `10.5.0.2/24 preferred manual`; `-` for no origin.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Name servers of its leases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
}

/// Names and name servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// The host name, first label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Its domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
    /// Search domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
}

impl Dns {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The group `network` of our settings, where a layout sets them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// `ipv4` or `ipv6`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefer: Option<String>,
    /// Patterns of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_nics: Option<Vec<String>>,
    /// Patterns of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_priority_nics: Option<Vec<String>>,
    /// Patterns of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_nics: Option<Vec<String>>,
    /// Networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_subnets: Option<Vec<String>>,
    /// Whether virtual IPs are shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_vips: Option<bool>,
    /// Whether link-local addresses are shown although their NIC has another address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report_link_local: Option<bool>,
}

impl Network {
    /// Our configuration file with these settings.
    ///
    /// # Panics
    /// Never: plain text and lists can be written.
    pub fn config_file(&self) -> String {
        let file = BTreeMap::from([("network", self)]);
        serde_yaml::to_string(&file).expect("lists of texts")
    }
}
