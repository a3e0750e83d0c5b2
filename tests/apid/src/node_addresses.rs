//! NodeAddress as Talos makes it of links and addresses.
//!
//! What counts: scope below link, no loopback, multicast or link-local address, on a link that is up. `current` is
//! all of that, `routed` without SideroLink's; the lists `-no-k8s` and `-only-k8s` exist once there is a machine
//! config. All are sorted by address, whatever the links and the states. `default` is the first address of the
//! alphabetically first link, and stays for as long as it is there.
//! [siderolabs/talos: internal/app/machined/pkg/controllers/network/node_address.go,
//! controllers/k8s/address_filter.go, pkg/machinery/resources/network/ula.go]

use std::collections::BTreeSet;
use std::net::IpAddr;

use prost::Message as _;

use crate::Apid;
use crate::proto::common::NetIpPrefix;
use crate::proto::definitions::enums::{NethelpersOperationalState, NethelpersScope};
use crate::proto::definitions::network::{AddressStatusSpec, LinkStatusSpec, NodeAddressSpec};
use crate::resources::{
    ADDRESS_STATUS, LINK_STATUS, NETWORK, NODE_ADDRESS, prefix, set_node_address,
};

/// The eighth byte of SideroLink's addresses.
const SIDEROLINK: u8 = 0x03;

/// Derived lists.
impl Apid {
    /// Sets the NodeAddress lists to what follows from links and addresses as they are. `kubernetes` are the
    /// pods' and services' networks of the machine config; `None` for a node without config.
    ///
    /// # Panics
    /// When a network is no prefix.
    pub fn derive_node_addresses(&self, kubernetes: Option<&[&str]>) {
        let specs = |kind: &str| {
            let listed = self.shared().store.list(NETWORK, kind).into_iter();
            listed.filter_map(|resource| resource.spec)
        };
        let links = specs(LINK_STATUS)
            .filter_map(|spec| LinkStatusSpec::decode(spec.proto_spec.as_slice()).ok());
        let up: BTreeSet<u32> = links.filter(is_up).map(|link| link.index).collect();
        let mut all: Vec<(String, IpAddr, u8)> = specs(ADDRESS_STATUS)
            .filter_map(|spec| AddressStatusSpec::decode(spec.proto_spec.as_slice()).ok())
            .filter(|status| status.scope < i32::from(NethelpersScope::ScopeLink))
            .filter(|status| up.contains(&status.link_index))
            .filter_map(|status| {
                let (ip, length) = parts(status.address.as_ref()?)?;
                is_routable(ip).then_some((status.link_name, ip, length))
            })
            .collect();
        all.sort();
        let default = all.first().map(|(_, ip, length)| (*ip, *length));
        let mut current: Vec<(IpAddr, u8)> = all
            .into_iter()
            .map(|(_, ip, length)| (ip, length))
            .collect();
        current.sort();
        current.dedup();
        let mut routed = current.clone();
        routed.retain(|(ip, _)| !is_siderolink(*ip));

        let sticky = self.default_address().filter(|old| current.contains(old));
        let default: Vec<_> = sticky.or(default).into_iter().collect();
        let lists = [("current", &current), ("routed", &routed)];
        let set = |id: &str, list: &[(IpAddr, u8)]| {
            let texts: Vec<String> = list
                .iter()
                .map(|(ip, length)| format!("{ip}/{length}"))
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            set_node_address(self.shared(), id, &texts);
        };
        set("default", &default);
        for (id, list) in lists {
            set(id, list);
            if let Some(networks) = kubernetes {
                let networks: Vec<_> = networks.iter().map(|text| prefix(text)).collect();
                let of_kubernetes = |ip| networks.iter().any(|&network| contains(network, ip));
                let (only, without): (Vec<_>, Vec<_>) =
                    list.iter().partition(|(ip, _)| of_kubernetes(*ip));
                set(&format!("{id}-no-k8s"), &without);
                set(&format!("{id}-only-k8s"), &only);
            }
        }
    }

    fn default_address(&self) -> Option<(IpAddr, u8)> {
        let resource = self.shared().store.get(NETWORK, NODE_ADDRESS, "default");
        let spec = resource.ok()?.spec?.proto_spec;
        let list = NodeAddressSpec::decode(spec.as_slice()).ok()?;
        parts(list.addresses.first()?)
    }
}

fn is_up(link: &LinkStatusSpec) -> bool {
    let physical = link.r#type == 1 && link.kind.is_empty();
    let state = NethelpersOperationalState::try_from(link.operational_state);
    matches!(
        state,
        Ok(NethelpersOperationalState::OperStateUp | NethelpersOperationalState::OperStateUnknown)
    ) && (link.link_state || !physical)
}

fn parts(prefix: &NetIpPrefix) -> Option<(IpAddr, u8)> {
    let ip = match prefix.ip.as_slice() {
        bytes if bytes.len() == 4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        bytes => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some((ip, u8::try_from(prefix.prefix_length).ok()?))
}

fn is_routable(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !ip.is_multicast() && !link_local
}

fn is_siderolink(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.octets()[0] == 0xfd && ip.octets()[7] == SIDEROLINK)
}

fn contains((network, length): (IpAddr, u8), ip: IpAddr) -> bool {
    match (network, ip) {
        (IpAddr::V4(network), IpAddr::V4(ip)) => {
            (network.to_bits() ^ ip.to_bits()).leading_zeros() >= length.into()
        }
        (IpAddr::V6(network), IpAddr::V6(ip)) => {
            (network.to_bits() ^ ip.to_bits()).leading_zeros() >= length.into()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene;

    fn list(apid: &Apid, id: &str) -> Option<Vec<String>> {
        let resource = apid.shared().store.get(NETWORK, NODE_ADDRESS, id).ok()?;
        let spec = NodeAddressSpec::decode(resource.spec?.proto_spec.as_slice()).ok()?;
        let texts = spec.addresses.iter().filter_map(parts);
        Some(texts.map(|(ip, length)| format!("{ip}/{length}")).collect())
    }

    #[test]
    fn the_lists_follow_links_and_addresses() {
        let path = std::env::temp_dir().join(format!("apid-lists-{}.sock", std::process::id()));
        let apid = Apid::machined(&path).unwrap();
        apid.set_link("lo", scene::loopback());
        apid.set_address("lo", "127.0.0.1/8");
        apid.set_link("eth0", scene::nic(2, scene::MAC));
        apid.set_link("cni0", scene::virtual_link(3, "bridge", [2, 0, 0, 0, 0, 3]));
        apid.set_link("eth1", scene::down(scene::nic(4, scene::MAC)));
        apid.set_address("eth0", "10.5.0.9/24");
        apid.set_address("eth0", "10.5.0.5/32");
        apid.set_address("eth0", "fe80::9/64");
        apid.set_address("eth0", "fdae:41e4:649b:9303::1/64");
        apid.set_address("eth1", "10.4.0.9/24");
        apid.set_address("cni0", "10.244.0.1/24");
        apid.derive_node_addresses(None);
        let texts = |list: &[&str]| Some(list.iter().map(|&text| text.to_owned()).collect());
        let own = ["10.5.0.5/32", "10.5.0.9/24", "10.244.0.1/24"];
        assert_eq!(list(&apid, "routed"), texts(&own));
        let current = [own[0], own[1], own[2], "fdae:41e4:649b:9303::1/64"];
        assert_eq!(list(&apid, "current"), texts(&current));
        assert_eq!(list(&apid, "default"), texts(&["10.244.0.1/24"]), "of cni0");
        assert_eq!(list(&apid, "routed-no-k8s"), None);
        apid.remove_address("cni0", "10.244.0.1/24");
        apid.derive_node_addresses(Some(&["10.244.0.0/16"]));
        assert_eq!(list(&apid, "default"), texts(&own[..1]));
        apid.set_address("cni0", "10.244.0.1/24");
        apid.derive_node_addresses(Some(&["10.244.0.0/16"]));
        assert_eq!(list(&apid, "default"), texts(&own[..1]), "it stays");
        assert_eq!(list(&apid, "routed-no-k8s"), texts(&own[..2]));
        assert_eq!(list(&apid, "routed-only-k8s"), texts(&own[2..]));
        drop(std::fs::remove_file(path));
    }
}
