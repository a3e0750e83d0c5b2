//! Layouts of real nodes, and what the host is told of them.

use proptest::prelude::*;

use super::*;
use crate::facts::{AddressScope, NodeAddresses};

fn nics(facts: &Facts) -> Option<Vec<Nic>> {
    decide(facts, &NetworkPolicy::default(), 16).map(|decision| decision.nics)
}

fn primary_address(facts: &Facts) -> Option<IpAddr> {
    decide(facts, &NetworkPolicy::default(), 16)?.primary_address
}

fn mac(last: u8) -> Mac {
    Mac([0x00, 0x50, 0x56, 0, 0, last])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A physical NIC that is up, with a hardware address ending in its index.
fn nic(index: u8, name: &str) -> Link {
    Link {
        name: name.into(),
        index: index.into(),
        arp_type: 1,
        mac: Some(mac(index)),
        permanent_mac: Some(mac(index)),
        up: true,
        ..Link::default()
    }
}

fn kind(index: u8, name: &str, kind: &str) -> Link {
    Link {
        kind: kind.into(),
        permanent_mac: None,
        ..nic(index, name)
    }
}

fn lo() -> Link {
    Link {
        arp_type: 772,
        mac: Some(Mac([0; 6])),
        ..nic(1, "lo")
    }
}

fn on(link: &Link, prefix: &str) -> Address {
    let (address, length) = prefix.split_once('/').unwrap();
    let address = ip(address);
    Address {
        ip: address,
        prefix_length: length.parse().unwrap(),
        link_name: link.name.clone(),
        link_index: link.index,
        scope: if is_link_local(address) {
            AddressScope::Link
        } else {
            AddressScope::Global
        },
        status: AddressStatus::Preferred,
        temporary: false,
    }
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|text| ip(text)).collect()
}

/// Facts with all views of NodeAddress: everything, and what is left without Kubernetes.
fn facts(
    links: &[&Link],
    addresses: Vec<Address>,
    routed: &[&str],
    routed_no_k8s: &[&str],
    virtual_ips: &[&str],
) -> Facts {
    Facts {
        links: Some(links.iter().map(|&link| link.clone()).collect()),
        addresses: Some(addresses),
        node_addresses: Some(NodeAddresses {
            default: ips(&routed[..routed.len().min(1)]),
            current: ips(routed),
            current_no_k8s: ips(routed_no_k8s),
            routed: ips(routed),
            routed_no_k8s: ips(routed_no_k8s),
        }),
        virtual_ips: Some(virtual_ips.iter().map(|text| ip(text)).collect()),
        ..Facts::default()
    }
}

/// `name mac-byte: addresses` of every NIC.
fn told(facts: &Facts) -> Vec<String> {
    nics(facts)
        .unwrap()
        .into_iter()
        .map(|nic| {
            let addresses: Vec<String> = nic
                .addresses
                .iter()
                .map(|address| format!("{}/{}", address.ip, address.prefix_length))
                .collect();
            format!("{} {}: {}", nic.name, nic.mac.0[5], addresses.join(" "))
        })
        .collect()
}

#[test]
fn nothing_is_said_before_links_and_addresses_are_known() {
    let eth0 = nic(2, "eth0");
    let known = facts(
        &[&eth0],
        vec![on(&eth0, "10.0.0.5/24")],
        &["10.0.0.5"],
        &[],
        &[],
    );
    let without_links = Facts {
        links: None,
        ..known.clone()
    };
    let without_addresses = Facts {
        addresses: None,
        ..known.clone()
    };
    assert_eq!(
        (nics(&without_links), primary_address(&without_links)),
        (None, None)
    );
    assert_eq!(
        (
            nics(&without_addresses),
            primary_address(&without_addresses)
        ),
        (None, None)
    );
    assert_eq!(told(&known), ["eth0 2: 10.0.0.5/24"]);
    // Without Talos' list there is no telling a pod's address from the node's.
    let without_list = Facts {
        node_addresses: None,
        ..known
    };
    assert_eq!(told(&without_list), ["eth0 2: 10.0.0.5/24"]);
    assert_eq!(primary_address(&without_list), None);
}

#[test]
fn a_worker_shows_its_nic_and_none_of_the_pod_network() {
    let eth0 = nic(2, "eth0");
    let noise = [
        kind(3, "flannel.1", "vxlan"),
        kind(4, "cni0", "bridge"),
        kind(5, "kube-ipvs0", "dummy"),
        kind(6, "cilium_host", "veth"),
        kind(7, "lxc12ab", "veth"),
        kind(8, "veth6f", "veth"),
        kind(9, "dummy0", "dummy"),
        kind(10, "nodelocaldns", "dummy"),
    ];
    let siderolink = Link {
        arp_type: 65534,
        mac: None,
        ..kind(11, "siderolink", "wireguard")
    };
    let lo = lo();
    let mut links = vec![&lo, &eth0, &siderolink];
    links.extend(&noise);
    let [flannel, cni, ipvs, cilium, lxc, veth, _, dns] = &noise;
    let addresses = vec![
        on(&lo, "127.0.0.1/8"),
        on(&lo, "169.254.116.108/32"),
        on(cni, "10.244.1.1/24"),
        on(flannel, "10.244.1.0/32"),
        on(ipvs, "10.96.0.1/32"),
        on(cilium, "10.0.1.44/32"),
        on(lxc, "fe80::1/64"),
        on(veth, "fe80::2/64"),
        on(dns, "169.254.20.10/32"),
        on(&siderolink, "fdae:41e4:649b:9303::1/64"),
        on(&eth0, "fe80::250:56ff:fe00:2/64"),
        on(&eth0, "192.168.1.20/24"),
        on(&eth0, "10.244.1.9/32"),
    ];
    let all = [
        "10.0.1.44",
        "10.96.0.1",
        "10.244.1.0",
        "10.244.1.1",
        "10.244.1.9",
        "192.168.1.20",
    ];
    // Cilium's own pool is not among the ranges that Talos knows, so its address stays in the list.
    let facts = facts(&links, addresses, &all, &["10.0.1.44", "192.168.1.20"], &[]);
    assert_eq!(
        told(&facts),
        ["eth0 2: 192.168.1.20/24 fe80::250:56ff:fe00:2/64"]
    );
    assert_eq!(primary_address(&facts), Some(ip("192.168.1.20")));
}

#[test]
fn a_bond_and_its_vlans_are_one_nic() {
    let mut eth0 = nic(2, "eth0");
    let mut eth1 = nic(3, "eth1");
    let mut bond = kind(4, "bond0", "bond");
    bond.mac = Some(mac(2));
    for slave in [&mut eth0, &mut eth1] {
        slave.master_index = 4;
        slave.slave_kind = "bond".into();
        slave.mac = Some(mac(2));
    }
    let mut vlan = kind(5, "bond0.100", "vlan");
    vlan.parent_index = 4;
    vlan.mac = Some(mac(2));
    let addresses = vec![
        on(&bond, "172.16.0.5/24"),
        on(&vlan, "10.0.0.5/24"),
        on(&vlan, "fe80::5/64"),
    ];
    let routed = ["10.0.0.5", "172.16.0.5"];
    let facts = facts(
        &[&eth0, &eth1, &bond, &vlan],
        addresses,
        &routed,
        &routed,
        &[],
    );
    assert_eq!(
        told(&facts),
        ["bond0 2: 10.0.0.5/24 172.16.0.5/24 fe80::5/64"]
    );
    assert_eq!(primary_address(&facts), Some(ip("10.0.0.5")));
}

#[test]
fn a_vlan_is_told_under_its_parents_hardware_address() {
    let eth0 = nic(2, "eth0");
    let eth1 = nic(3, "eth1");
    let mut vlan = kind(4, "eth1.7", "vlan");
    vlan.parent_index = 3;
    let addresses = vec![on(&eth0, "192.168.0.9/24"), on(&vlan, "10.7.0.9/24")];
    let routed = ["10.7.0.9", "192.168.0.9"];
    let facts = facts(&[&eth0, &eth1, &vlan], addresses, &routed, &routed, &[]);
    assert_eq!(
        told(&facts),
        ["eth1 3: 10.7.0.9/24", "eth0 2: 192.168.0.9/24"]
    );
    assert_eq!(primary_address(&facts), Some(ip("10.7.0.9")));
}

#[test]
fn a_bridge_gives_its_addresses_to_the_port_whose_hardware_address_it_has() {
    let mut eth0 = nic(2, "eth0");
    let mut eth1 = nic(3, "eth1");
    let mut br0 = kind(4, "br0", "bridge");
    br0.mac = Some(mac(3));
    let mut tap = kind(5, "vm1", "tun");
    for port in [&mut eth0, &mut eth1, &mut tap] {
        port.master_index = 4;
        port.slave_kind = "bridge".into();
    }
    let addresses = vec![on(&br0, "10.0.0.5/24")];
    let facts = facts(
        &[&eth0, &eth1, &br0, &tap],
        addresses,
        &["10.0.0.5"],
        &["10.0.0.5"],
        &[],
    );
    assert_eq!(told(&facts), ["eth1 3: 10.0.0.5/24", "eth0 2: "]);
}

#[test]
fn a_virtual_ip_comes_last_and_is_never_primary() {
    let eth0 = nic(2, "eth0");
    let addresses = vec![
        on(&eth0, "10.0.0.2/32"),
        on(&eth0, "10.0.0.5/24"),
        on(&eth0, "fe80::5/64"),
    ];
    let routed = ["10.0.0.2", "10.0.0.5"];
    let mut known = facts(&[&eth0], addresses, &routed, &routed, &["10.0.0.2"]);
    assert_eq!(told(&known), ["eth0 2: 10.0.0.5/24 fe80::5/64 10.0.0.2/32"]);
    assert_eq!(primary_address(&known), Some(ip("10.0.0.5")));

    // While the virtual IPs are not known, what looks like one gives way.
    known.virtual_ips = None;
    assert_eq!(primary_address(&known), Some(ip("10.0.0.5")));

    let alone = facts(
        &[&eth0],
        vec![on(&eth0, "10.0.0.2/32")],
        &["10.0.0.2"],
        &[],
        &["10.0.0.2"],
    );
    assert_eq!(told(&alone), ["eth0 2: 10.0.0.2/32"]);
    assert_eq!(primary_address(&alone), None);
}

#[test]
fn both_families_are_told_and_ipv4_comes_first() {
    let eth0 = nic(2, "eth0");
    let mut privacy = on(&eth0, "2001:db8::aaaa/64");
    privacy.temporary = true;
    let mut old = on(&eth0, "2001:db8:1::5/64");
    old.status = AddressStatus::Deprecated;
    let mut new = on(&eth0, "2001:db8:2::5/64");
    new.status = AddressStatus::Tentative;
    let addresses = vec![
        on(&eth0, "fe80::5/64"),
        new,
        old,
        privacy,
        on(&eth0, "2001:db8::5/64"),
        on(&eth0, "10.0.0.5/24"),
    ];
    let routed = [
        "2001:db8:2::5",
        "2001:db8:1::5",
        "2001:db8::aaaa",
        "2001:db8::5",
        "10.0.0.5",
    ];
    let facts = facts(&[&eth0], addresses, &routed, &routed, &[]);
    assert_eq!(
        told(&facts),
        [
            "eth0 2: 10.0.0.5/24 2001:db8::5/64 2001:db8::aaaa/64 2001:db8:1::5/64 2001:db8:2::5/64 fe80::5/64"
        ]
    );
    assert_eq!(primary_address(&facts), Some(ip("10.0.0.5")));
}

#[test]
fn an_ipv6_node_has_an_ipv6_primary_address() {
    let eth0 = nic(2, "eth0");
    let addresses = vec![on(&eth0, "fe80::5/64"), on(&eth0, "2001:db8::5/64")];
    let facts = facts(&[&eth0], addresses, &["2001:db8::5"], &["2001:db8::5"], &[]);
    assert_eq!(told(&facts), ["eth0 2: 2001:db8::5/64 fe80::5/64"]);
    assert_eq!(primary_address(&facts), Some(ip("2001:db8::5")));
}

#[test]
fn a_containers_veth_counts_because_talos_routes_its_address() {
    let lo = lo();
    let mut eth0 = kind(35, "eth0", "veth");
    // The peer's index belongs to another network namespace, where 1 may be anything.
    eth0.parent_index = 1;
    let addresses = vec![on(&lo, "127.0.0.1/8"), on(&eth0, "172.17.0.2/16")];
    let facts = facts(
        &[&lo, &eth0],
        addresses,
        &["172.17.0.2"],
        &["172.17.0.2"],
        &[],
    );
    assert_eq!(told(&facts), ["eth0 35: 172.17.0.2/16"]);
    assert_eq!(primary_address(&facts), Some(ip("172.17.0.2")));
}

#[test]
fn links_that_are_down_are_left_out_with_their_addresses() {
    let eth0 = nic(2, "eth0");
    let mut eth1 = nic(3, "eth1");
    eth1.up = false;
    let mut vlan = kind(4, "eth0.9", "vlan");
    vlan.parent_index = 2;
    vlan.up = false;
    let addresses = vec![
        on(&eth1, "192.168.0.1/24"),
        on(&vlan, "10.9.0.1/24"),
        on(&eth0, "10.0.0.5/24"),
    ];
    let facts = facts(&[&eth0, &eth1, &vlan], addresses, &["10.0.0.5"], &[], &[]);
    assert_eq!(told(&facts), ["eth0 2: 10.0.0.5/24"]);
}

#[test]
fn links_that_refer_to_each_other_in_a_circle_are_one_nic() {
    let mut eth0 = nic(2, "eth0");
    eth0.master_index = 3;
    let mut bridge = kind(3, "br0", "bridge");
    bridge.master_index = 4;
    let mut other = kind(4, "br1", "bridge");
    other.master_index = 3;
    let facts = facts(
        &[&eth0, &bridge, &other],
        vec![on(&other, "10.0.0.5/24")],
        &["10.0.0.5"],
        &[],
        &[],
    );
    assert_eq!(told(&facts), ["eth0 2: 10.0.0.5/24"]);
}

proptest! {
    #[test]
    fn whatever_the_links_the_first_address_is_the_primary_one(
        links in proptest::collection::vec(
            (1..8_u8, 0..8_u32, 0..8_u32, 0..6_usize, any::<bool>(), 0..4_u8), 0..8),
        addresses in proptest::collection::vec((0..8_u32, 0..6_u8, any::<bool>()), 0..12),
        listed in proptest::collection::vec((0..6_u8, any::<bool>()), 0..6),
        virtual_ip: Option<u8>,
    ) {
        let address = |last: u8, v6: bool| if v6 { ip(&format!("fd00::{last}")) } else { ip(&format!("10.0.0.{last}")) };
        let kinds = ["", "bond", "vlan", "bridge", "veth", "dummy"];
        let facts = Facts {
            links: Some(links.iter().map(|&(index, parent, master, of, up, last)| Link {
                parent_index: parent, master_index: master, up, mac: Some(mac(last)),
                ..kind(index, &format!("eth{index}"), kinds[of])
            }).collect()),
            addresses: Some(addresses.iter().map(|&(link_index, last, v6)| Address {
                ip: address(last, v6), link_index, ..on(&lo(), "10.0.0.1/24")
            }).collect()),
            node_addresses: Some(NodeAddresses {
                routed: listed.iter().map(|&(last, v6)| address(last, v6)).collect(),
                ..NodeAddresses::default()
            }),
            virtual_ips: Some(virtual_ip.map(|last| address(last % 6, false)).into_iter().collect()),
            ..Facts::default()
        };
        let nics = nics(&facts).unwrap();
        let macs: BTreeSet<Mac> = nics.iter().map(|nic| nic.mac).collect();
        prop_assert_eq!(macs.len(), nics.len());
        if let Some(primary) = primary_address(&facts) {
            prop_assert_eq!(nics[0].addresses[0].ip, primary);
            prop_assert!(facts.node_addresses.unwrap().routed.contains(&primary));
            prop_assert!(!facts.virtual_ips.unwrap().contains(&primary));
        }
    }
}
