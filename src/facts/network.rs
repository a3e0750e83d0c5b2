//! From links and addresses to the NICs that a host understands.

use std::net::IpAddr;

use super::{AddressStatus, Facts, Mac};

/// One NIC as the host shall see it, with the addresses of everything stacked on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// Name of the link, for the log.
    pub name: String,
    /// Hardware address by which the host finds the virtual device.
    pub mac: Mac,
    /// Addresses, best first.
    pub addresses: Vec<NicAddress>,
}

/// One address of a [`Nic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicAddress {
    /// IPv4 or IPv6 address.
    pub ip: IpAddr,
    /// Length of the network prefix in bits.
    pub prefix_length: u8,
    /// Usable, or why not.
    pub status: AddressStatus,
}

/// The NICs to report; `None` while links or addresses are not known yet.
pub fn nics(_facts: &Facts) -> Option<Vec<Nic>> {
    todo!()
}

/// The node's one address; `None` while there is none worth the name.
pub fn primary_address(_facts: &Facts) -> Option<IpAddr> {
    todo!()
}
