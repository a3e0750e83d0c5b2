//! Nodes as they are met in the field, ready-made.
//!
//! Each function fills an [`Apid`] with one node: names, links, addresses, address lists, stage.

use crate::Apid;
use crate::proto::definitions::enums::{
    NethelpersLinkType, NethelpersOperationalState, RuntimeMachineStage,
};
use crate::proto::definitions::network::{LinkStatusSpec, VlanSpec};

/// Flags of a link that is up and running: UP, BROADCAST, RUNNING, MULTICAST.
const UP: u32 = 0x1 | 0x2 | 0x40 | 0x1000;

/// A node with one NIC: `talos-cp-1.example.com`, eth0 00:50:56:ab:cd:ef with 10.5.0.2/24.
pub fn single_nic(apid: &Apid) {
    machine(apid, "talos-cp-1", "example.com");
    apid.set_link("eth0", nic(2, MAC));
    apid.set_static_address("eth0", "10.5.0.2/24");
    apid.set_address("eth0", "fe80::250:56ff:feab:cdef/64");
    apid.set_route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    apid.set_route("eth0", "10.5.0.0/24", None, 0);
    apid.set_resolver(&["10.5.0.1"], &["example.com"]);
    node_addresses(apid, &["10.5.0.2/24"], &["10.5.0.2/24"]);
}

/// The MAC of [`single_nic`]'s NIC, in VMware's range.
pub const MAC: [u8; 6] = [0x00, 0x50, 0x56, 0xab, 0xcd, 0xef];

/// A node whose two NICs form bond0 (10.5.0.11/24) with VLAN 100 on it (10.6.0.11/24); eth2 is a third
/// NIC, down.
///
/// Both slaves have taken the bond's MAC and keep their own as the permanent one.
pub fn bond_and_vlan(apid: &Apid) {
    machine(apid, "talos-worker-1", "example.com");
    let [first, second, third] =
        [0x11, 0x12, 0x13].map(|last| [0x00, 0x50, 0x56, 0xab, 0x00, last]);
    for (name, index, permanent) in [("eth0", 2, first), ("eth1", 3, second)] {
        apid.set_link(
            name,
            LinkStatusSpec {
                master_index: 5,
                slave_kind: "bond".to_owned(),
                permanent_addr: permanent.to_vec(),
                ..nic(index, first)
            },
        );
    }
    apid.set_link("eth2", down(nic(4, third)));
    apid.set_link("bond0", virtual_link(5, "bond", first));
    apid.set_link(
        "bond0.100",
        LinkStatusSpec {
            link_index: 5,
            vlan: Some(VlanSpec { protocol: 0x8100 }),
            ..virtual_link(6, "vlan", first)
        },
    );
    apid.set_address("bond0", "10.5.0.11/24");
    apid.set_address("bond0", "fe80::250:56ff:feab:11/64");
    apid.set_address("bond0.100", "10.6.0.11/24");
    let all = ["10.5.0.11/24", "10.6.0.11/24"];
    node_addresses(apid, &all, &all[..1]);
}

/// A control plane node that holds the cluster's virtual IP 10.5.0.100 beside its own 10.5.0.11/24, and
/// runs pods: a CNI bridge and a veth of a pod, kube-ipvs with a service address, SideroLink.
pub fn control_plane(apid: &Apid) {
    machine(apid, "talos-cp-1", "example.com");
    let mac = [0x00, 0x50, 0x56, 0xab, 0x00, 0x21];
    apid.set_link("eth0", nic(2, mac));
    apid.set_link(
        "cni0",
        virtual_link(7, "bridge", [0x3a, 0x10, 0, 0, 0, 0x07]),
    );
    apid.set_link(
        "veth0a1b2c3d",
        LinkStatusSpec {
            link_index: 2,
            master_index: 7,
            slave_kind: "bridge".to_owned(),
            ..virtual_link(8, "veth", [0x3a, 0x10, 0, 0, 0, 0x08])
        },
    );
    apid.set_link(
        "kube-ipvs0",
        down(virtual_link(9, "dummy", [0x3a, 0x10, 0, 0, 0, 0x09])),
    );
    apid.set_link(
        "siderolink",
        LinkStatusSpec {
            r#type: NethelpersLinkType::LinkNone.into(),
            hardware_addr: Vec::new(),
            permanent_addr: Vec::new(),
            ..virtual_link(10, "wireguard", [0; 6])
        },
    );
    apid.set_address("eth0", "10.5.0.11/24");
    apid.set_address("eth0", "fe80::250:56ff:feab:21/64");
    apid.set_vip("eth0", "10.5.0.100");
    apid.set_address("cni0", "10.244.0.1/24");
    apid.set_address("kube-ipvs0", "10.96.0.1/32");
    apid.set_address("siderolink", "fdae:41e4:649b:9303::11/64");
    let own = ["10.5.0.11/24", "10.5.0.100/32"];
    apid.set_node_address("default", &["10.5.0.11/24"]);
    let everything = [own[0], own[1], "10.244.0.1/24", "10.96.0.1/32"];
    apid.set_node_address("current", &everything);
    apid.set_node_address("routed", &everything);
    apid.set_node_address("accumulative", &everything);
    apid.set_node_address("current-no-k8s", &own);
    apid.set_node_address("routed-no-k8s", &own);
}

/// Talos in a container: its only interface is one end of a veth pair, 10.5.0.2/24; no physical NIC.
pub fn in_container(apid: &Apid) {
    machine(apid, "talos-default-worker-1", "");
    apid.update_node(|node| {
        "container".clone_into(&mut node.platform.name);
        "container".clone_into(&mut node.platform.mode);
    });
    apid.set_link(
        "eth0",
        LinkStatusSpec {
            link_index: 42,
            ..virtual_link(2, "veth", [0x02, 0x42, 0x0a, 0x05, 0x00, 0x02])
        },
    );
    apid.set_address("eth0", "10.5.0.2/24");
    node_addresses(apid, &["10.5.0.2/24"], &["10.5.0.2/24"]);
}

/// A healthy machine with the network of a node of tests/layouts.
pub fn layout(apid: &Apid, node: &layouts::Node) {
    crate::machine::healthy(apid, &node.hostname.hostname);
    apid.lay(node);
}

/// A physical NIC as vmxnet3 shows it: up, with carrier.
pub fn nic(index: u32, mac: [u8; 6]) -> LinkStatusSpec {
    LinkStatusSpec {
        bus_path: "0000:0b:00.0".to_owned(),
        driver: "vmxnet3".to_owned(),
        speed_megabits: 10_000,
        ..virtual_link(index, "", mac)
    }
}

/// A link of this kind (`bond`, `vlan`, `bridge`, `veth` …): up, with carrier.
pub fn virtual_link(index: u32, kind: &str, mac: [u8; 6]) -> LinkStatusSpec {
    LinkStatusSpec {
        index,
        r#type: NethelpersLinkType::LinkEther.into(),
        flags: UP,
        hardware_addr: mac.to_vec(),
        mtu: 1500,
        operational_state: NethelpersOperationalState::OperStateUp.into(),
        kind: kind.to_owned(),
        link_state: true,
        speed_megabits: -1,
        permanent_addr: if kind.is_empty() {
            mac.to_vec()
        } else {
            Vec::new()
        },
        ..LinkStatusSpec::default()
    }
}

/// The loopback link.
pub fn loopback() -> LinkStatusSpec {
    LinkStatusSpec {
        index: 1,
        r#type: NethelpersLinkType::LinkLoopbck.into(),
        // UP, LOOPBACK, RUNNING
        flags: 0x1 | 0x8 | 0x40,
        hardware_addr: vec![0; 6],
        mtu: 65_536,
        link_state: true,
        speed_megabits: -1,
        ..LinkStatusSpec::default()
    }
}

/// The same link, down and without carrier.
pub fn down(link: LinkStatusSpec) -> LinkStatusSpec {
    LinkStatusSpec {
        flags: 0x2 | 0x1000,
        operational_state: NethelpersOperationalState::OperStateDown.into(),
        link_state: false,
        speed_megabits: -1,
        ..link
    }
}

/// What every node has: a name, the loopback, the stage, the machine itself.
pub fn machine(apid: &Apid, host: &str, domain: &str) {
    apid.set_hostname(host, domain);
    apid.set_link("lo", loopback());
    apid.set_address("lo", "127.0.0.1/8");
    apid.set_address("lo", "::1/128");
    apid.set_stage(RuntimeMachineStage::MachineStageRunning, true);
    crate::machine::healthy(apid, host);
}

fn node_addresses(apid: &Apid, addresses: &[&str], default: &[&str]) {
    apid.set_node_address("default", default);
    for id in [
        "current",
        "routed",
        "accumulative",
        "current-no-k8s",
        "routed-no-k8s",
    ] {
        apid.set_node_address(id, addresses);
    }
}
