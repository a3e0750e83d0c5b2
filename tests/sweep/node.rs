//! The node: what Talos tells of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use talos_vmtoolsd::facts::{
    Address, AddressScope, AddressStatus, Facts, HostName, Link, Mac, NodeAddresses, TalosVersion,
};

pub(crate) const HOST_NAME: &str = "talos-cp-1";
pub(crate) const FIRST_ADDRESS: &str = "10.5.0.2";
pub(crate) const ADDRESS: &str = "10.5.0.3";

/// A node with one NIC that has this address.
pub(crate) fn with_address(address: &str) -> Facts {
    let ip: IpAddr = address.parse().unwrap();
    Facts {
        host_name: Some(HostName {
            host: "talos-cp-1".into(),
            domain: "example.com".into(),
        }),
        links: Some(vec![Link {
            name: "eth0".into(),
            index: 2,
            arp_type: 1,
            mac: Some(Mac([0, 0x50, 0x56, 1, 2, 3])),
            up: true,
            ..Link::default()
        }]),
        addresses: Some(vec![Address {
            ip,
            prefix_length: 24,
            link_name: "eth0".into(),
            link_index: 2,
            scope: AddressScope::Global,
            status: AddressStatus::Preferred,
            temporary: false,
            announced: false,
        }]),
        node_addresses: Some(NodeAddresses {
            routed: vec![ip],
            ..NodeAddresses::default()
        }),
        virtual_ips: Some(BTreeSet::new()),
        talos: Some(TalosVersion {
            tag: "v1.13.0".into(),
            arch: "amd64".into(),
            platform: "vmware".into(),
        }),
        ..Facts::default()
    }
}
