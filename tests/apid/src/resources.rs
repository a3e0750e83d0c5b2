//! The resources by their meaning: type, namespace, id and spec of each.

use std::net::IpAddr;

use prost::Message;

use crate::proto::common::{NetIp, NetIpPrefix};
use crate::proto::cosi::resource::Spec;
use crate::proto::definitions::enums::{
    NethelpersFamily, NethelpersScope, NetworkConfigLayer, NetworkOperator, RuntimeMachineStage,
};
use crate::proto::definitions::network::{
    AddressSpecSpec, AddressStatusSpec, HostnameStatusSpec, LinkStatusSpec, NodeAddressSpec,
    OperatorSpecSpec, VipOperatorSpec,
};
use crate::proto::definitions::runtime::{MachineStatusSpec, MachineStatusStatus};
use crate::shared::Shared;

/// Type of HostnameStatus; namespace `network`, id `hostname`.
pub const HOSTNAME_STATUS: &str = "HostnameStatuses.net.talos.dev";
/// Type of AddressStatus; namespace `network`, id `<link>/<prefix>`.
pub const ADDRESS_STATUS: &str = "AddressStatuses.net.talos.dev";
/// Type of AddressSpec; namespaces `network` and `network-config`.
pub const ADDRESS_SPEC: &str = "AddressSpecs.net.talos.dev";
/// Type of LinkStatus; namespace `network`, id is the link's name.
pub const LINK_STATUS: &str = "LinkStatuses.net.talos.dev";
/// Type of NodeAddress; namespace `network`, ids `default`, `current`, `routed` …
pub const NODE_ADDRESS: &str = "NodeAddresses.net.talos.dev";
/// Type of OperatorSpec; namespace `network`; os:admin only.
pub const OPERATOR_SPEC: &str = "OperatorSpecs.net.talos.dev";
/// Type of MachineStatus; namespace `runtime`, id `machine`.
pub const MACHINE_STATUS: &str = "MachineStatuses.runtime.talos.dev";

pub(crate) const NETWORK: &str = "network";
pub(crate) const NETWORK_CONFIG: &str = "network-config";

/// An address with the length of its network prefix, such as `10.5.0.2/24`.
pub(crate) fn prefix(text: &str) -> (IpAddr, u8) {
    let parsed = text.split_once('/').and_then(|(ip, length)| {
        let (ip, length) = (ip.parse().ok()?, length.parse().ok()?);
        Some((ip, length))
    });
    parsed.unwrap_or_else(|| panic!("{text:?} is not an address with a prefix length"))
}

pub(crate) fn bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

pub(crate) fn net_ip_prefix((ip, length): (IpAddr, u8)) -> NetIpPrefix {
    NetIpPrefix {
        ip: bytes(ip),
        prefix_length: length.into(),
    }
}

pub(crate) fn family(ip: IpAddr) -> i32 {
    match ip {
        IpAddr::V4(_) => NethelpersFamily::FamilyInet4.into(),
        IpAddr::V6(_) => NethelpersFamily::FamilyInet6.into(),
    }
}

/// The scope that the kernel gives an address.
fn scope(ip: IpAddr) -> NethelpersScope {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if ip.is_loopback() {
        NethelpersScope::ScopeHost
    } else if link_local {
        NethelpersScope::ScopeLink
    } else {
        NethelpersScope::ScopeGlobal
    }
}

pub(crate) fn spec(message: &impl Message, yaml: String) -> Spec {
    Spec {
        proto_spec: message.encode_to_vec(),
        yaml_spec: yaml,
    }
}

/// Writes HostnameStatus.
pub(crate) fn set_hostname(shared: &Shared, host: &str, domain: &str) {
    let message = HostnameStatusSpec {
        hostname: host.to_owned(),
        domainname: domain.to_owned(),
    };
    let yaml = format!("hostname: {host}\ndomainname: {domain:?}\n");
    let spec = spec(&message, yaml);
    shared.store.put(NETWORK, HOSTNAME_STATUS, "hostname", spec);
}

/// Writes LinkStatus.
pub(crate) fn set_link(shared: &Shared, name: &str, link: &LinkStatusSpec) {
    let yaml = format!(
        "index: {}\nmtu: {}\nkind: {:?}\nlinkState: {}\nhardwareAddr: {}\n",
        link.index,
        link.mtu,
        link.kind,
        link.link_state,
        hardware_address(&link.hardware_addr)
    );
    shared
        .store
        .put(NETWORK, LINK_STATUS, name, spec(link, yaml));
}

fn hardware_address(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

/// The LinkStatus that is there now.
pub(crate) fn link(shared: &Shared, name: &str) -> Option<LinkStatusSpec> {
    let resource = shared.store.get(NETWORK, LINK_STATUS, name).ok()?;
    LinkStatusSpec::decode(resource.spec?.proto_spec.as_slice()).ok()
}

/// An AddressStatus as the kernel would have it: permanent, scope by kind of address.
pub(crate) fn address_status(shared: &Shared, on: &str, text: &str) -> AddressStatusSpec {
    let address = prefix(text);
    AddressStatusSpec {
        address: Some(net_ip_prefix(address)),
        // IPv6 addresses have no separate local part.
        local: address.0.is_ipv4().then(|| NetIp {
            ip: bytes(address.0),
        }),
        link_index: link(shared, on).map_or(0, |link| link.index),
        link_name: on.to_owned(),
        family: family(address.0),
        scope: scope(address.0).into(),
        flags: 0x80,
        ..AddressStatusSpec::default()
    }
}

/// Writes AddressStatus under the id that Talos gives it.
pub(crate) fn set_address(shared: &Shared, on: &str, text: &str, status: &AddressStatusSpec) {
    let id = format!("{on}/{text}");
    let yaml = format!(
        "address: {text}\nlinkIndex: {}\nlinkName: {on}\nscope: {}\n",
        status.link_index, status.scope
    );
    shared
        .store
        .put(NETWORK, ADDRESS_STATUS, &id, spec(status, yaml));
}

/// Writes one NodeAddress list.
pub(crate) fn set_node_address(shared: &Shared, id: &str, addresses: &[&str]) {
    let mut yaml = "addresses:\n".to_owned();
    for address in addresses {
        yaml.push_str(&format!("    - {address}\n"));
    }
    yaml.push_str("sortAlgorithm: v1\n");
    let message = NodeAddressSpec {
        addresses: addresses
            .iter()
            .map(|text| net_ip_prefix(prefix(text)))
            .collect(),
        ..NodeAddressSpec::default()
    };
    let spec = spec(&message, yaml);
    shared.store.put(NETWORK, NODE_ADDRESS, id, spec);
}

/// The prefix that a virtual IP has: all bits.
pub(crate) fn host_prefix(ip: IpAddr) -> String {
    format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })
}

/// Writes the OperatorSpec of a virtual IP, which stands on every node that may hold it.
pub(crate) fn set_vip_operator(shared: &Shared, on: &str, ip: IpAddr) {
    let message = OperatorSpecSpec {
        operator: NetworkOperator::OperatorVip.into(),
        link_name: on.to_owned(),
        require_up: true,
        vip: Some(VipOperatorSpec {
            ip: Some(NetIp { ip: bytes(ip) }),
            gratuitous_arp: true,
        }),
        config_layer: NetworkConfigLayer::ConfigMachineConfiguration.into(),
    };
    let yaml = format!("operator: vip\nlinkName: {on}\nrequireUp: true\nvip:\n    ip: {ip}\n");
    let id = format!("vip/{on}/{ip}");
    let spec = spec(&message, yaml);
    shared.store.put(NETWORK, OPERATOR_SPEC, &id, spec);
}

/// Writes the AddressSpecs of a virtual IP that this node holds: the operator's and the merged one.
pub(crate) fn set_vip_address(shared: &Shared, on: &str, ip: IpAddr) {
    let text = host_prefix(ip);
    let message = AddressSpecSpec {
        address: Some(net_ip_prefix(prefix(&text))),
        link_name: on.to_owned(),
        family: family(ip),
        scope: NethelpersScope::ScopeGlobal.into(),
        flags: 0x80,
        announce_with_arp: ip.is_ipv4(),
        config_layer: NetworkConfigLayer::ConfigOperator.into(),
        priority: 0,
    };
    let yaml = format!("address: {text}\nlinkName: {on}\nlayer: operator\n");
    let spec = spec(&message, yaml);
    let id = vip_address_id(on, ip);
    let store = &shared.store;
    store.put(NETWORK_CONFIG, ADDRESS_SPEC, &id, spec.clone());
    store.put(NETWORK, ADDRESS_SPEC, &format!("{on}/{text}"), spec);
}

/// The id of a held virtual IP in the namespace `network-config`.
pub(crate) fn vip_address_id(on: &str, ip: IpAddr) -> String {
    format!("vip/{on}/{on}/{}", host_prefix(ip))
}

/// Writes MachineStatus.
pub(crate) fn set_stage(shared: &Shared, stage: RuntimeMachineStage, ready: bool) {
    let message = MachineStatusSpec {
        stage: stage.into(),
        status: Some(MachineStatusStatus {
            ready,
            unmet_conditions: Vec::new(),
        }),
    };
    let name = stage.as_str_name().trim_start_matches("MACHINE_STAGE_");
    let name = name.to_lowercase().replace('_', "-");
    let yaml = format!("stage: {name}\nstatus:\n    ready: {ready}\n    unmetConditions: []\n");
    let spec = spec(&message, yaml);
    shared.store.put("runtime", MACHINE_STATUS, "machine", spec);
}
