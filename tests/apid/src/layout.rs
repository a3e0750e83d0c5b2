//! A node of tests/layouts, as the resources that Talos has of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use layouts::{Address, Link, LinkType, Node, Route, Stage};
use prost::Message;

use crate::network::{RESOLVER_SPEC, ROUTE_STATUS, route_id};
use crate::proto::common::NetIp;
use crate::proto::definitions::enums::{NethelpersLinkType, NethelpersOperationalState};
use crate::proto::definitions::network::{LinkStatusSpec, RouteNextHop, VlanSpec};
use crate::resources::{
    self, ADDRESS_SPEC, ADDRESS_STATUS, LINK_STATUS, NETWORK, NETWORK_CONFIG, NODE_ADDRESS, bytes,
};
use crate::{Apid, Stage as MachineStage, machine, scene};

/// Type of NodeIP; namespace `k8s`, id `kubelet`.
pub const NODE_IP: &str = "NodeIPs.kubernetes.talos.dev";

/// What a layout has all of: resources of these kinds that it does not have are none of its node's.
const WHOLE: [(&str, &str); 7] = [
    (NETWORK, LINK_STATUS),
    (NETWORK, ADDRESS_STATUS),
    (NETWORK, ROUTE_STATUS),
    (NETWORK, NODE_ADDRESS),
    (NETWORK, ADDRESS_SPEC),
    (NETWORK_CONFIG, ADDRESS_SPEC),
    (NETWORK_CONFIG, RESOLVER_SPEC),
];

/// [siderolabs/talos: pkg/machinery/resources/k8s/node_ip.go]
#[derive(Clone, PartialEq, Message)]
struct NodeIpSpec {
    #[prost(message, repeated, tag = "1")]
    addresses: Vec<NetIp>,
}

/// Nodes of the data set.
impl Apid {
    /// Makes the network what the node's is, whatever it was: what is the same stays untouched, what the node does
    /// not have goes.
    pub fn lay(&self, node: &Node) {
        let mut laid = Laid::default();
        self.set_hostname(&node.hostname.hostname, &node.hostname.domainname);
        self.lay_machine(node);
        for link in &node.links {
            self.set_link(&link.name, link_status(node, link));
            laid.add(NETWORK, LINK_STATUS, link.name.clone());
        }
        for address in &node.addresses {
            self.lay_address(address, &mut laid);
        }
        for route in node.all_routes() {
            self.lay_route(&route, &mut laid);
        }
        for (id, list) in node.node_addresses() {
            self.set_node_address(&id, &refs(&texts(&list)));
            laid.add(NETWORK, NODE_ADDRESS, id);
        }
        for lease in &node.leases {
            self.set_lease_servers(&lease.client, &refs(&texts(&lease.servers)));
            let id = format!("{}/resolvers", lease.client);
            laid.add(NETWORK_CONFIG, RESOLVER_SPEC, id);
        }
        if let Some(resolver) = &node.resolver {
            self.set_resolver(&refs(&texts(&resolver.servers)), &refs(&resolver.search));
        }
        for (namespace, kind) in WHOLE {
            for resource in self.shared().store.list(namespace, kind) {
                let id = resource.metadata.map(|metadata| metadata.id);
                if let Some(id) = id.filter(|id| !laid.has(namespace, kind, id)) {
                    self.destroy(kind, namespace, &id);
                }
            }
        }
    }

    fn lay_machine(&self, node: &Node) {
        match node.stage {
            Stage::Running => {
                self.set_stage(MachineStage::MachineStageRunning, true);
                self.set_node_name(node.nodename.as_ref().unwrap_or(&node.hostname.hostname));
            }
            Stage::Maintenance => {
                self.set_stage(MachineStage::MachineStageMaintenance, true);
                self.destroy(machine::NODENAME, "k8s", "nodename");
                self.destroy(machine::MACHINE_TYPE, "config", "machine-type");
            }
        }
        if let Some(ips) = &node.kubelet_node_ips {
            let addresses = ips.iter().map(|&ip| NetIp { ip: bytes(ip) }).collect();
            let spec = NodeIpSpec { addresses };
            self.put(NODE_IP, "k8s", "kubelet", spec.encode_to_vec());
        }
    }

    fn lay_address(&self, address: &Address, laid: &mut Laid) {
        let text = address.address.to_string();
        let link = address.link.as_str();
        self.set_address_with(link, &text, |status| {
            status.scope = address.scope() as i32;
            status.flags = address.flags();
        });
        laid.add(NETWORK, ADDRESS_STATUS, format!("{link}/{text}"));
        let Some(spec) = &address.spec else {
            return;
        };
        let ip: IpAddr = address.address.ip;
        if spec.starts_with("vip/") {
            resources::set_vip_operator(self.shared(), link, ip);
            resources::set_vip_address(self.shared(), link, ip);
            laid.add(NETWORK, ADDRESS_SPEC, format!("{link}/{text}"));
        } else {
            self.want_address(spec, link, &text);
        }
        laid.add(
            NETWORK_CONFIG,
            ADDRESS_SPEC,
            format!("{spec}/{link}/{text}"),
        );
    }

    fn lay_route(&self, route: &Route, laid: &mut Laid) {
        let destination = route.destination().to_string();
        let gateway = route.gateway.map(|ip| ip.to_string());
        let gateway = gateway.as_deref();
        let (link, metric) = (route.link.as_str(), route.priority);
        self.set_route_with(link, &destination, gateway, metric, |status| {
            status.table = route.table.into();
            status.protocol = route.protocol as i32;
            status.r#type = route.r#type as i32;
            status.next_hops = route
                .next_hops
                .iter()
                .map(|hop| RouteNextHop {
                    gateway: Some(NetIp {
                        ip: bytes(hop.gateway),
                    }),
                    out_link_name: hop.link.clone(),
                    weight: 1,
                })
                .collect();
        });
        let id = route_id(route.table.into(), link, &destination, gateway, metric);
        laid.add(NETWORK, ROUTE_STATUS, id);
    }
}

/// Namespaces, kinds and ids of what a node has.
#[derive(Default)]
struct Laid(BTreeSet<(&'static str, &'static str, String)>);

impl Laid {
    fn add(&mut self, namespace: &'static str, kind: &'static str, id: String) {
        self.0.insert((namespace, kind, id));
    }

    fn has(&self, namespace: &'static str, kind: &'static str, id: &str) -> bool {
        self.0.contains(&(namespace, kind, id.to_owned()))
    }
}

fn link_status(node: &Node, link: &Link) -> LinkStatusSpec {
    let mac = link.mac.unwrap_or(layouts::Mac([0; 6])).0;
    let made = match link.r#type {
        LinkType::Loopback => scene::loopback(),
        LinkType::Ether if link.is_physical() => LinkStatusSpec {
            driver: link.driver.clone(),
            ..scene::nic(link.index, mac)
        },
        LinkType::Ether => scene::virtual_link(link.index, &link.kind, mac),
        LinkType::None => tunnel(link),
    };
    let made = LinkStatusSpec {
        permanent_addr: link
            .permanent_mac()
            .map_or(Vec::new(), |layouts::Mac(mac)| mac.to_vec()),
        link_index: node.parent_index(link),
        master_index: node.master_index(link),
        slave_kind: node.slave_kind(link).to_owned(),
        vlan: (link.kind == "vlan").then_some(VlanSpec { protocol: 0x8100 }),
        ..made
    };
    if link.up { made } else { scene::down(made) }
}

/// No hardware address, and no operational state that anybody has asked for.
fn tunnel(link: &Link) -> LinkStatusSpec {
    LinkStatusSpec {
        r#type: NethelpersLinkType::LinkNone.into(),
        operational_state: NethelpersOperationalState::OperStateUnknown.into(),
        // UP, POINTOPOINT, RUNNING, NOARP
        flags: 0x1 | 0x10 | 0x40 | 0x80,
        hardware_addr: Vec::new(),
        ..scene::virtual_link(link.index, &link.kind, [0; 6])
    }
}

fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
