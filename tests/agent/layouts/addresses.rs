//! Addresses that are shared, that come and go, of both families or of one.

use super::node::{DEPRECATED, Layout, MANAGED, RA, TEMPORARY, TENTATIVE};
use super::shown::Shown;

/// A control plane node of a Flannel cluster, which contends for the virtual IP 10.5.0.5.
fn control_plane() -> Layout {
    let node = Layout::new("talos-cp-1", "example.com");
    node.nic("eth0", 2);
    node.configures("eth0", "10.5.0.11/24");
    // Not every address without a network is a virtual one.
    node.configures("eth0", "10.5.0.12/32");
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    node.talos.set_resolver(&["10.5.0.1"], &[]);
    node.link("flannel.1", 3, "vxlan", |_| {});
    node.has("flannel.1", "10.244.0.0/32");
    node.link("cni0", 4, "bridge", |_| {});
    node.has("cni0", "10.244.0.1/24");
    for index in 5..9 {
        let name = format!("veth{index:08x}");
        node.link(&name, index, "veth", |veth| {
            // Its peer is the second link of the pod, which is eth0's number here.
            veth.link_index = 2;
            veth.master_index = 4;
            veth.slave_kind = "bridge".to_owned();
        });
        node.has(&name, &format!("fe80::{index:x}/64"));
    }
    node
}

#[test]
fn a_control_plane_with_a_virtual_ip() {
    let without = "
10.5.0.11
0: 00:50:56:00:00:02, DHCPv4 off
   10.5.0.11/24 preferred manual
   10.5.0.12/32 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-cp-1 in example.com, asks 10.5.0.1
";
    let with = "
10.5.0.11
0: 00:50:56:00:00:02, DHCPv4 off
   10.5.0.11/24 preferred manual
   10.5.0.12/32 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
   10.5.0.5/32 preferred manual
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-cp-1 in example.com, asks 10.5.0.1
";
    // Talos' lists have the virtual IP first, for it is the smaller number.
    let node = control_plane();
    node.talos.set_vip("eth0", "10.5.0.5");
    let shown = Shown::of(node.settle());
    shown.is(with);
    shown.node.talos.lose_vip("eth0", "10.5.0.5");
    shown.node.resettle();
    shown.is(without);
    shown.node.talos.set_vip("eth0", "10.5.0.5");
    shown.node.resettle();
    shown.is(with);
}

#[test]
fn a_virtual_ip_that_is_not_to_be_told() {
    let node = control_plane();
    node.talos.set_vip("eth0", "10.5.0.5");
    Shown::with_config(node.settle(), "network:\n  report_vips: false\n").is("
10.5.0.11
0: 00:50:56:00:00:02, DHCPv4 off
   10.5.0.11/24 preferred manual
   10.5.0.12/32 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-cp-1 in example.com, asks 10.5.0.1
");
}

/// IPv4 from the machine config, IPv6 in all ways that there are.
fn both_families() -> Layout {
    let node = Layout::new("talos-worker-1", "example.com");
    node.nic("eth0", 2);
    node.configures("eth0", "10.5.0.2/24");
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    // From announcements: of today's network, of yesterday's, of one that has just begun; and a privacy address.
    node.has_flagged("eth0", "2001:db8::250:56ff:fe00:2/64", MANAGED);
    node.has_flagged(
        "eth0",
        "2001:db8:1::250:56ff:fe00:2/64",
        MANAGED | DEPRECATED,
    );
    node.has_flagged(
        "eth0",
        "2001:db8:2::250:56ff:fe00:2/64",
        MANAGED | TENTATIVE,
    );
    node.has_flagged("eth0", "2001:db8::aaaa/64", TEMPORARY);
    node.talos
        .set_lease("eth0", "2001:db8::77/128", &["2001:db8::53"]);
    node.has_in_vain("eth0", "2001:db8::5/64");
    node.route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    node.route_of(RA, "eth0", "::/0", Some("fe80::1"), 1024);
    node.talos.set_resolver(
        &["10.5.0.1", "2001:db8::53"],
        &["example.com", "example.org"],
    );
    node.settle()
}

#[test]
fn dual_stack() {
    Shown::of(both_families()).is("
10.5.0.2
0: 00:50:56:00:00:02, DHCPv4 off, DHCPv6 on, asks 2001:db8::53
   10.5.0.2/24 preferred manual
   2001:db8::77/128 preferred dhcp
   2001:db8::250:56ff:fe00:2/64 preferred linklayer
   2001:db8::aaaa/64 preferred random
   2001:db8:1:0:250:56ff:fe00:2/64 deprecated linklayer
   2001:db8:2:0:250:56ff:fe00:2/64 tentative linklayer
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
::/0 via fe80::1 NIC 0 metric 1024
2001:db8::/64 NIC 0 metric 256
2001:db8:1::/64 NIC 0 metric 256
2001:db8:2::/64 NIC 0 metric 256
fe80::/64 NIC 0 metric 256
talos-worker-1 in example.com, asks 10.5.0.1 2001:db8::53, searches example.com example.org
");
}

#[test]
fn dual_stack_with_ipv6_in_front() {
    Shown::with_config(both_families(), "network:\n  prefer: ipv6\n").is("
2001:db8::77
0: 00:50:56:00:00:02, DHCPv4 off, DHCPv6 on, asks 2001:db8::53
   2001:db8::77/128 preferred dhcp
   2001:db8::250:56ff:fe00:2/64 preferred linklayer
   10.5.0.2/24 preferred manual
   2001:db8::aaaa/64 preferred random
   2001:db8:1:0:250:56ff:fe00:2/64 deprecated linklayer
   2001:db8:2:0:250:56ff:fe00:2/64 tentative linklayer
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
::/0 via fe80::1 NIC 0 metric 1024
2001:db8::/64 NIC 0 metric 256
2001:db8:1::/64 NIC 0 metric 256
2001:db8:2::/64 NIC 0 metric 256
fe80::/64 NIC 0 metric 256
talos-worker-1 in example.com, asks 10.5.0.1 2001:db8::53, searches example.com example.org
");
}

#[test]
fn a_duplicate_address_is_left_out_until_it_is_no_duplicate() {
    let node = Layout::new("talos-worker-1", "");
    node.nic("eth0", 2);
    // It sorts before the one that works.
    node.has_in_vain("eth0", "2001:db8::5/64");
    node.configures("eth0", "2001:db8::7/64");
    let shown = Shown::of(node.settle());
    shown.is("
2001:db8::7
0: 00:50:56:00:00:02, DHCPv6 off
   2001:db8::7/64 preferred manual
2001:db8::/64 NIC 0 metric 256
talos-worker-1
");
    // Set anew after the other machine has gone: first tentative, then as good as the other.
    shown.node.has_flagged("eth0", "2001:db8::5/64", TENTATIVE);
    shown.is("
2001:db8::7
0: 00:50:56:00:00:02, DHCPv6 off
   2001:db8::7/64 preferred manual
   2001:db8::5/64 tentative manual
2001:db8::/64 NIC 0 metric 256
talos-worker-1
");
    shown.node.configures("eth0", "2001:db8::5/64");
    shown.is("
2001:db8::5
0: 00:50:56:00:00:02, DHCPv6 off
   2001:db8::5/64 preferred manual
   2001:db8::7/64 preferred manual
2001:db8::/64 NIC 0 metric 256
talos-worker-1
");
}

#[test]
fn dhcp_with_a_changing_lease() {
    let node = Layout::new("talos-worker-1", "");
    node.nic("eth0", 2);
    node.leases("eth0", "10.5.0.2/24", "10.5.0.1", &["10.5.0.1"]);
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.talos.set_resolver(&["10.5.0.1"], &[]);
    let shown = Shown::of(node.settle());
    let before = "
10.5.0.2
0: 00:50:56:00:00:02, DHCPv4 on, asks 10.5.0.1
   10.5.0.2/24 preferred dhcp
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 10.5.0.1
";
    shown.is(before);
    // Another server in another network gives the next lease.
    shown.node.loses_lease("eth0", "10.5.0.2/24", "10.5.0.1");
    shown.node.leases(
        "eth0",
        "10.6.1.77/23",
        "10.6.0.1",
        &["10.6.0.53", "10.6.0.54"],
    );
    shown
        .node
        .talos
        .set_resolver(&["10.6.0.53", "10.6.0.54"], &[]);
    shown.node.resettle();
    shown.is("
10.6.1.77
0: 00:50:56:00:00:02, DHCPv4 on, asks 10.6.0.53 10.6.0.54
   10.6.1.77/23 preferred dhcp
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.6.0.1 NIC 0 metric 1024
10.6.0.0/23 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 10.6.0.53 10.6.0.54
");
    // And the first one again.
    shown.node.loses_lease("eth0", "10.6.1.77/23", "10.6.0.1");
    shown
        .node
        .leases("eth0", "10.5.0.2/24", "10.5.0.1", &["10.5.0.1"]);
    shown.node.talos.set_resolver(&["10.5.0.1"], &[]);
    shown.node.resettle();
    shown.is(before);
}

#[test]
fn ipv6_only() {
    let node = Layout::new("talos-worker-1", "example.com");
    node.nic("eth0", 2);
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.has_flagged("eth0", "2001:db8::250:56ff:fe00:2/64", MANAGED);
    node.configures("eth0", "2001:db8::5/64");
    node.route_of(RA, "eth0", "::/0", Some("fe80::1"), 1024);
    node.talos.set_resolver(&["2001:db8::53"], &["example.com"]);
    Shown::of(node.settle()).is("
2001:db8::5
0: 00:50:56:00:00:02, DHCPv6 off
   2001:db8::5/64 preferred manual
   2001:db8::250:56ff:fe00:2/64 preferred linklayer
   fe80::250:56ff:fe00:2/64 preferred linklayer
::/0 via fe80::1 NIC 0 metric 1024
2001:db8::/64 NIC 0 metric 256
fe80::/64 NIC 0 metric 256
talos-worker-1 in example.com, asks 2001:db8::53, searches example.com
");
}

#[test]
fn maintenance_mode() {
    // DHCP on every NIC, of which one has no carrier; no lists without Kubernetes, no node name.
    let node = Layout::unconfigured("talos-4mf-7qx");
    node.nic("eth0", 2);
    node.nic("eth1", 3);
    node.goes_down("eth1");
    node.leases("eth0", "10.5.0.2/24", "10.5.0.1", &["10.5.0.1"]);
    node.has("eth0", "fe80::250:56ff:fe00:2/64");
    node.talos.set_resolver(&["10.5.0.1"], &[]);
    Shown::of(node.settle()).is("
10.5.0.2
0: 00:50:56:00:00:02, DHCPv4 on, asks 10.5.0.1
   10.5.0.2/24 preferred dhcp
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 10.5.0.1 NIC 0 metric 1024
10.5.0.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-4mf-7qx, asks 10.5.0.1
");
}
