//! One NIC, two, a bond, and more than a host takes.

use apid::proto::common::NetIp;
use apid::proto::definitions::network::{RouteNextHop, VlanSpec};

use super::node::Layout;
use super::shown::Shown;
use crate::support::SOON;

#[test]
fn a_single_nic() {
    let node = Layout::new("talos-worker-1", "example.com");
    node.nic("eth0", 2);
    node.configures("eth0", "10.5.0.2/24");
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    // What is routed by source stands in a table of its own.
    node.talos
        .set_route_with("eth0", "0.0.0.0/0", Some("10.5.0.254"), 512, |route| {
            route.table = 100;
        });
    node.talos
        .set_resolver(&["10.5.0.1", "10.5.0.53"], &["example.com"]);
    Shown::of(node.settle()).is("
10.5.0.2
0: 00:50:56:00:00:02, DHCPv4 off
   10.5.0.2/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1 in example.com, asks 10.5.0.1 10.5.0.53, searches example.com
");
}

#[test]
fn a_bond_with_a_vlan_on_it() {
    let node = Layout::new("talos-worker-1", "");
    // An active-backup bond has taken the hardware address of its first slave, and all others have it, too.
    let taken = vec![0x00, 0x50, 0x56, 0x00, 0x00, 0x02];
    for (name, index) in [("eth0", 2), ("eth1", 3)] {
        node.link(name, index, "", |slave| {
            slave.hardware_addr.clone_from(&taken);
            slave.master_index = 5;
            slave.slave_kind = "bond".to_owned();
        });
    }
    node.link("bond0", 5, "bond", |bond| {
        bond.hardware_addr.clone_from(&taken)
    });
    node.link("bond0.100", 6, "vlan", |vlan| {
        vlan.hardware_addr.clone_from(&taken);
        vlan.link_index = 5;
        vlan.vlan = Some(VlanSpec { protocol: 0x8100 });
    });
    node.configures("bond0", "172.16.0.5/24");
    node.configures("bond0.100", "10.0.0.5/24");
    for link in ["bond0", "bond0.100"] {
        node.has(link, "fe80::250:56ff:fe00:2/64");
    }
    node.route("bond0.100", "0.0.0.0/0", Some("10.0.0.1"), 1024);
    node.talos.set_resolver(&["10.0.0.1"], &[]);
    let shown = Shown::of(node.settle());
    shown.is("
10.0.0.5
0: 00:50:56:00:00:02, DHCPv4 off
   10.0.0.5/24 preferred manual
   172.16.0.5/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.0.0.1 NIC 0 metric 1024
10.0.0.0/24 NIC 0 metric 0
172.16.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 10.0.0.1
");
    // The second slave takes over: the device stays the one that vCenter knows. A bond without address is none
    // the less there.
    shown.node.goes_down("eth0");
    shown.node.talos.remove_address("bond0", "172.16.0.5/24");
    shown
        .node
        .talos
        .remove_route("bond0", "172.16.0.0/24", None, 0);
    shown.node.resettle();
    shown.is("
10.0.0.5
0: 00:50:56:00:00:02, DHCPv4 off
   10.0.0.5/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.0.0.1 NIC 0 metric 1024
10.0.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 10.0.0.1
");
}

/// Storage on eth0, everything else on eth1; one more network over both.
fn two_gateways() -> Layout {
    let node = Layout::new("talos-worker-1", "");
    node.nic("eth0", 2);
    node.nic("eth1", 3);
    node.configures("eth0", "192.168.0.5/24");
    node.configures("eth1", "10.5.0.2/24");
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.has("eth1", "fe80::250:56ff:fe00:3/64");
    node.route("eth0", "0.0.0.0/0", Some("192.168.0.1"), 2048);
    node.route("eth1", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    let hop = |link: &str, ip: [u8; 4]| RouteNextHop {
        gateway: Some(NetIp { ip: ip.to_vec() }),
        out_link_name: link.to_owned(),
        weight: 1,
    };
    node.talos
        .set_route_with("", "10.99.0.0/16", None, 10, |route| {
            route.next_hops = vec![hop("eth0", [192, 168, 0, 7]), hop("eth1", [10, 5, 0, 7])];
        });
    node.talos.set_resolver(&["10.5.0.1"], &[]);
    node.settle()
}

#[test]
fn two_default_routes() {
    Shown::of(two_gateways()).is("
10.5.0.2
0: 00:50:56:00:00:03, DHCPv4 off
   10.5.0.2/24 preferred manual
   fe80::250:56ff:fe00:3/64 preferred linklayer
1: 00:50:56:00:00:02, DHCPv4 off
   192.168.0.5/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
0.0.0.0/0 via 192.168.0.1 NIC 1 metric 2048
10.5.0.0/24 NIC 0 metric 0
10.99.0.0/16 via 10.5.0.7 NIC 0 metric 10
10.99.0.0/16 via 192.168.0.7 NIC 1 metric 10
192.168.0.0/24 NIC 1 metric 0
fe80::/64 NIC 0 metric 256
fe80::/64 NIC 1 metric 256
talos-worker-1, asks 10.5.0.1
");
}

#[test]
fn two_default_routes_and_an_operator_who_knows_better() {
    let network = "network:\n  primary_nics: [eth0]\n  exclude_subnets: [10.99.0.0/16]\n";
    Shown::with_config(two_gateways(), network).is("
192.168.0.5
0: 00:50:56:00:00:02, DHCPv4 off
   192.168.0.5/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
1: 00:50:56:00:00:03, DHCPv4 off
   10.5.0.2/24 preferred manual
   fe80::250:56ff:fe00:3/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 1 metric 1024
0.0.0.0/0 via 192.168.0.1 NIC 0 metric 2048
10.5.0.0/24 NIC 1 metric 0
192.168.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
fe80::/64 NIC 1 metric 256
talos-worker-1, asks 10.5.0.1
");
}

#[test]
fn forty_nics() {
    // Without IPv6 (ipv6.disable=1); every other NIC has an address.
    let node = Layout::new("talos-worker-1", "");
    for number in 0..40 {
        node.nic(&format!("eth{number}"), number + 2);
    }
    for number in (0..40).step_by(2) {
        node.configures(&format!("eth{number}"), &format!("10.0.{number}.5/24"));
    }
    node.route("eth38", "0.0.0.0/0", Some("10.0.38.1"), 1024);
    node.route("eth0", "0.0.0.0/0", Some("10.0.0.1"), 2048);
    let shown = Shown::of(node.settle());
    shown.is("
10.0.0.5
0: 00:50:56:00:00:02, DHCPv4 off
   10.0.0.5/24 preferred manual
1: 00:50:56:00:00:04, DHCPv4 off
   10.0.2.5/24 preferred manual
2: 00:50:56:00:00:06, DHCPv4 off
   10.0.4.5/24 preferred manual
3: 00:50:56:00:00:08, DHCPv4 off
   10.0.6.5/24 preferred manual
4: 00:50:56:00:00:0a, DHCPv4 off
   10.0.8.5/24 preferred manual
5: 00:50:56:00:00:0c, DHCPv4 off
   10.0.10.5/24 preferred manual
6: 00:50:56:00:00:0e, DHCPv4 off
   10.0.12.5/24 preferred manual
7: 00:50:56:00:00:10, DHCPv4 off
   10.0.14.5/24 preferred manual
8: 00:50:56:00:00:12, DHCPv4 off
   10.0.16.5/24 preferred manual
9: 00:50:56:00:00:14, DHCPv4 off
   10.0.18.5/24 preferred manual
10: 00:50:56:00:00:16, DHCPv4 off
   10.0.20.5/24 preferred manual
11: 00:50:56:00:00:18, DHCPv4 off
   10.0.22.5/24 preferred manual
12: 00:50:56:00:00:1a, DHCPv4 off
   10.0.24.5/24 preferred manual
13: 00:50:56:00:00:1c, DHCPv4 off
   10.0.26.5/24 preferred manual
14: 00:50:56:00:00:1e, DHCPv4 off
   10.0.28.5/24 preferred manual
15: 00:50:56:00:00:20, DHCPv4 off
   10.0.30.5/24 preferred manual
0.0.0.0/0 via 10.0.0.1 NIC 0 metric 2048
10.0.0.0/24 NIC 0 metric 0
10.0.2.0/24 NIC 1 metric 0
10.0.4.0/24 NIC 2 metric 0
10.0.6.0/24 NIC 3 metric 0
10.0.8.0/24 NIC 4 metric 0
10.0.10.0/24 NIC 5 metric 0
10.0.12.0/24 NIC 6 metric 0
10.0.14.0/24 NIC 7 metric 0
10.0.16.0/24 NIC 8 metric 0
10.0.18.0/24 NIC 9 metric 0
10.0.20.0/24 NIC 10 metric 0
10.0.22.0/24 NIC 11 metric 0
10.0.24.0/24 NIC 12 metric 0
10.0.26.0/24 NIC 13 metric 0
10.0.28.0/24 NIC 14 metric 0
10.0.30.0/24 NIC 15 metric 0
talos-worker-1
");
    let line = shown.run.logs(&["more NICs than a host takes"], SOON);
    for name in ["eth32", "eth34", "eth36", "eth38", "eth1", "eth39"] {
        assert!(line.contains(name), "{name} is missing: {line}");
    }
    // A NIC that goes makes place for one; all others stay, and so does the line.
    shown.node.goes_down("eth2");
    shown.node.resettle();
    let view = shown.run.sees("eth32", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "10.0.32.5")
    });
    let kept = [
        "10.0.0.5",
        "10.0.4.5",
        "10.0.6.5",
        "10.0.8.5",
        "10.0.10.5",
        "10.0.12.5",
        "10.0.14.5",
        "10.0.16.5",
        "10.0.18.5",
        "10.0.20.5",
        "10.0.22.5",
        "10.0.24.5",
        "10.0.26.5",
        "10.0.28.5",
        "10.0.30.5",
        "10.0.32.5",
    ];
    assert_eq!(view.addresses(), kept);
}
