//! Which resources we watch, and how their specs become [`Facts`](crate::facts::Facts).
//!
//! [`ALL`] lists them. To watch one more: its [`Source`], a row in [`ALL`], and the field of [`crate::facts`]
//! that it fills.
//!
//! The VIP operators themselves (OperatorSpecs) are sensitive, so only os:admin may read them; the address that
//! such an operator assigns while this node holds it is not. We decode specs from their protobuf form
//! (`talos.resource.definitions`), which is the stable one.

mod network;
mod node;
mod source;
mod storage;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use prost::Message;

use super::proto::common::{NetIp, NetIpPrefix};
use super::proto::definitions::enums::{
    NethelpersOperationalState as OperationalState, NethelpersScope as Scope,
    RuntimeMachineStage as MachineStage,
};
use super::proto::definitions::network::{
    AddressStatusSpec, HostnameStatusSpec, LinkStatusSpec, NodeAddressSpec,
};
use super::purpose::Purpose;
use crate::facts::{
    Address, AddressScope, AddressStatus, HostName, Link, Mac, NodeAddresses, Stage, replace,
};

pub(super) use network::traffic;
pub(super) use node::{
    API_SERVERS_ID, ENDPOINTS, MACHINE_STATUS, MACHINE_STATUS_ID, MACHINE_TYPE, MACHINE_TYPE_ID,
    api_servers, machine_type, stage,
};
pub(super) use source::{Kind, Malformed, Source, Values, Watched};
pub(super) use storage::space;

#[cfg(test)]
use source::Resources;
use source::keep;

/// Everything that is watched, first what an administrator looks for: the watches are opened in this order.
pub(super) const ALL: &[&dyn Watched] = &[
    &HOST_NAME,
    &LINKS,
    &ADDRESSES,
    &network::ADDRESS_SPECS,
    &network::ROUTES,
    &node::KUBELET_ADDRESSES,
    &NODE_ADDRESSES,
    &network::RESOLVER,
    &network::LEASE_RESOLVERS,
    &node::STAGE,
    &node::TYPE,
    &node::NODE_NAME,
    &node::CORDONED,
    &node::API_SERVERS,
    &node::EXTENSIONS,
    &node::SECURE_BOOT,
    &node::SYSTEM_UUID,
    &storage::VOLUMES,
    &storage::MOUNTS,
    &storage::DISKS,
];

const NETWORK: &str = "network";

pub(super) const HOST_NAME: Source<HostName> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "HostnameStatuses.net.talos.dev",
    },
    decode: |id, spec| match id {
        "hostname" => host_name(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, names| keep(&mut facts.host_name, names),
    never_empty: false,
    purpose: Purpose::new("host name"),
};

pub(super) const LINKS: Source<Link> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "LinkStatuses.net.talos.dev",
    },
    decode: |id, spec| link(id, spec).map(Some),
    publish: |facts, links| {
        let mut links: Vec<_> = links.values().cloned().collect();
        links.sort_by_key(|link| link.index);
        replace(&mut facts.links, links)
    },
    never_empty: true,
    purpose: Purpose::new("NICs and their addresses"),
};

pub(super) const ADDRESSES: Source<Address> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "AddressStatuses.net.talos.dev",
    },
    decode: |_, spec| address(spec),
    publish: |facts, addresses| {
        let mut addresses: Vec<_> = addresses.oldest_first().cloned().collect();
        // Those of one link stay in the order in which they have come.
        addresses.sort_by_key(|address| address.link_index);
        replace(&mut facts.addresses, addresses)
    },
    never_empty: true,
    purpose: Purpose::new("addresses"),
};

pub(super) const NODE_ADDRESSES: Source<Vec<IpAddr>> = Source {
    kind: Kind {
        namespace: NETWORK,
        kind: "NodeAddresses.net.talos.dev",
    },
    decode: |_, spec| node_addresses(spec).map(Some),
    publish: |facts, lists| {
        let list = |id: &str| lists.get(id).cloned().unwrap_or_default();
        replace(
            &mut facts.node_addresses,
            NodeAddresses {
                default: list("default"),
                current: list("current"),
                current_no_k8s: list("current-no-k8s"),
                routed: list("routed"),
                routed_no_k8s: list("routed-no-k8s"),
            },
        )
    },
    never_empty: true,
    purpose: Purpose::new("which address is primary"),
};

pub(super) fn host_name(spec: &[u8]) -> Result<HostName, Malformed> {
    let spec = HostnameStatusSpec::decode(spec)?;
    if spec.hostname.is_empty() {
        return Err(Malformed::NoName);
    }
    Ok(HostName {
        host: spec.hostname,
        domain: spec.domainname.trim_matches('.').to_owned(),
    })
}

fn link(id: &str, spec: &[u8]) -> Result<Link, Malformed> {
    /// IFF_UP
    const UP: u32 = 0x1;
    let spec = LinkStatusSpec::decode(spec)?;
    if id.is_empty() {
        return Err(Malformed::NoName);
    }
    let mut link = Link {
        name: id.to_owned(),
        index: spec.index,
        arp_type: u16::try_from(spec.r#type).unwrap_or(u16::MAX),
        mac: mac(&spec.hardware_addr),
        permanent_mac: mac(&spec.permanent_addr),
        kind: spec.kind,
        slave_kind: spec.slave_kind,
        master_index: spec.master_index,
        parent_index: spec.link_index,
        up: false,
    };
    // Talos' own rule: up or unknown, and a real NIC must have its carrier.
    link.up = match OperationalState::try_from(spec.operational_state) {
        Ok(OperationalState::OperStateUp) => true,
        Ok(OperationalState::OperStateUnknown) => {
            let switched_off = spec.flags != 0 && spec.flags & UP == 0;
            !switched_off && (spec.link_state || !link.is_physical())
        }
        _ => false,
    };
    Ok(link)
}

/// A 6-byte address that is not all zeros; we do not use those of other links.
fn mac(bytes: &[u8]) -> Option<Mac> {
    <[u8; 6]>::try_from(bytes)
        .ok()
        .filter(|mac| mac != &[0; 6])
        .map(Mac)
}

fn address(spec: &[u8]) -> Result<Option<Address>, Malformed> {
    // IFA_F_*
    const TEMPORARY: u32 = 0x01;
    const DAD_FAILED: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;
    const PERMANENT: u32 = 0x80;
    const MANAGE_TEMPORARY: u32 = 0x100;
    const STABLE_PRIVACY: u32 = 0x800;
    let spec = AddressStatusSpec::decode(spec)?;
    let Some((address, prefix_length)) = prefix(spec.address.as_ref())? else {
        return Ok(None);
    };
    // On a point-to-point link `address` is that of the other side.
    let ip = own_ip(spec.local.as_ref())?.unwrap_or(address);
    Ok(Some(Address {
        ip,
        prefix_length,
        link_name: spec.link_name,
        link_index: spec.link_index,
        scope: match Scope::try_from(spec.scope) {
            Ok(Scope::ScopeGlobal) => AddressScope::Global,
            Ok(Scope::ScopeSite) => AddressScope::Site,
            Ok(Scope::ScopeLink) => AddressScope::Link,
            Ok(Scope::ScopeHost) => AddressScope::Host,
            Ok(Scope::ScopeNowhere) | Err(_) => AddressScope::Nowhere,
        },
        status: match spec.flags {
            flags if flags & DAD_FAILED != 0 => AddressStatus::Duplicate,
            flags if flags & TENTATIVE != 0 => AddressStatus::Tentative,
            flags if flags & DEPRECATED != 0 => AddressStatus::Deprecated,
            _ => AddressStatus::Preferred,
        },
        temporary: spec.flags & TEMPORARY != 0,
        announced: ip.is_ipv6()
            && (spec.flags & PERMANENT == 0
                || spec.flags & (MANAGE_TEMPORARY | STABLE_PRIVACY) != 0),
    }))
}

fn node_addresses(spec: &[u8]) -> Result<Vec<IpAddr>, Malformed> {
    NodeAddressSpec::decode(spec)?
        .addresses
        .iter()
        .filter_map(|address| prefix(Some(address)).transpose())
        .map(|address| address.map(|(ip, _)| ip))
        .collect()
}

/// The stage with this number, which is the same in the resource and in MachineStatusEvent.
pub(super) fn stage_of(number: i32) -> Stage {
    match MachineStage::try_from(number) {
        Ok(MachineStage::MachineStageBooting) => Stage::Booting,
        Ok(MachineStage::MachineStageInstalling) => Stage::Installing,
        Ok(MachineStage::MachineStageMaintenance) => Stage::Maintenance,
        Ok(MachineStage::MachineStageRunning) => Stage::Running,
        Ok(MachineStage::MachineStageRebooting) => Stage::Rebooting,
        Ok(MachineStage::MachineStageShuttingDown) => Stage::ShuttingDown,
        Ok(MachineStage::MachineStageResetting) => Stage::Resetting,
        Ok(MachineStage::MachineStageUpgrading) => Stage::Upgrading,
        Ok(MachineStage::MachineStageUnknown) | Err(_) => Stage::Unknown,
    }
}

/// An address with its prefix length; `None` when it is not set.
fn prefix(prefix: Option<&NetIpPrefix>) -> Result<Option<(IpAddr, u8)>, Malformed> {
    let Some(prefix) = prefix else {
        return Ok(None);
    };
    let Some(ip) = ip(&prefix.ip)? else {
        return Ok(None);
    };
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    match u8::try_from(prefix.prefix_length) {
        Ok(length) if length <= longest => Ok(Some((ip, length))),
        _ => Err(Malformed::PrefixLength(prefix.prefix_length)),
    }
}

fn own_ip(address: Option<&NetIp>) -> Result<Option<IpAddr>, Malformed> {
    address.map_or(Ok(None), |address| ip(&address.ip))
}

/// All that are set.
fn ips(addresses: &[NetIp]) -> Result<Vec<IpAddr>, Malformed> {
    let addresses = addresses.iter();
    addresses
        .filter_map(|address| ip(&address.ip).transpose())
        .collect()
}

/// 4 bytes, or 16 with an optional zone behind them; no bytes mean no address.
fn ip(bytes: &[u8]) -> Result<Option<IpAddr>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(Some(Ipv4Addr::from(v4).into()));
    }
    match bytes.first_chunk::<16>() {
        Some(v6) => Ok(Some(Ipv6Addr::from(*v6).into())),
        None => Err(Malformed::AddressLength(bytes.len())),
    }
}

#[cfg(test)]
mod tests;
