//! What pod networks and tunnels add to a node, and vCenter is not told.

use super::node::{KERNEL, Layout};
use super::shown::Shown;

/// The protocol that Calico's router gives its routes.
const BIRD: i32 = 12;
/// A route for what is to be dropped.
const BLACKHOLE: i32 = 6;

/// A worker with one NIC, 192.168.1.20.
fn worker() -> Layout {
    let node = Layout::new("talos-worker-1", "");
    node.nic("ens192", 2);
    node.configures("ens192", "192.168.1.20/24");
    node.has("ens192", "fe80::250:56ff:fe00:2/64");
    node.route("ens192", "0.0.0.0/0", Some("192.168.1.1"), 1024);
    node.talos.set_resolver(&["192.168.1.1"], &[]);
    node
}

/// All that is told of it.
const WORKER: &str = "
192.168.1.20
0: 00:50:56:00:00:02, DHCPv4 off
   192.168.1.20/24 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 192.168.1.1 NIC 0 metric 1024
192.168.1.0/24 NIC 0 metric 0
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 192.168.1.1
";

#[test]
fn cilium_with_sixty_interfaces() {
    let node = worker();
    // A pool of its own, which is none of the networks that Talos knows: its address is in all lists.
    node.link("cilium_net", 3, "veth", |link| link.link_index = 4);
    node.link("cilium_host", 4, "veth", |link| link.link_index = 3);
    node.link("cilium_vxlan", 5, "vxlan", |_| {});
    node.link("lxc_health", 7, "veth", |link| link.link_index = 6);
    node.has("cilium_host", "10.0.1.44/32");
    node.route("cilium_host", "10.0.0.0/24", Some("10.0.1.44"), 0);
    node.route("cilium_host", "10.0.1.0/24", Some("10.0.1.44"), 0);
    node.route_of(KERNEL, "cilium_host", "10.0.1.44/32", None, 0);
    for pod in 0..56 {
        let index = 9 + 2 * pod;
        let name = format!("lxc{:012x}", u64::from(index) * 0x9e37_79b9);
        node.link(&name, index, "veth", |link| link.link_index = index - 1);
        node.has(&name, &format!("fe80::{index:x}/64"));
    }
    let shown = Shown::of(node.settle());
    shown.is(WORKER);
    // Pods come and go.
    let told = shown.run.sent("SetGuestInfo  10 ").len();
    shown.node.link("lxc0123456789ab", 200, "veth", |_| {});
    shown.node.has("lxc0123456789ab", "fe80::200/64");
    shown.node.talos.set_hostname("talos-worker-2", "");
    shown.is(&WORKER.replace("worker-1", "worker-2"));
    // Once for the name, once for the reset.
    assert_eq!(shown.run.sent("SetGuestInfo  10 ").len(), told + 2);
}

#[test]
fn calico_with_routed_pods() {
    let node = worker();
    node.configures("ens192", "2001:db8::20/64");
    node.route("ens192", "::/0", Some("fe80::1"), 1024);
    node.tunnel("tunl0", 3, "ipip");
    node.has("tunl0", "10.244.7.1/32");
    node.link("vxlan.calico", 4, "vxlan", |_| {});
    node.has("vxlan.calico", "10.244.7.0/32");
    // This node's block, of which each pod has a route; other nodes' blocks lead over them.
    node.talos
        .set_route_with("", "10.244.7.0/26", None, 0, |route| {
            route.r#type = BLACKHOLE;
            route.protocol = BIRD;
        });
    for index in 5..65 {
        let name = format!("cali{index:011x}");
        node.link(&name, index, "veth", |link| {
            link.hardware_addr = vec![0xee; 6];
            // Its peer is the second link of the pod, which is ens192's number here.
            link.link_index = 2;
        });
        node.has(&name, "fe80::ecee:eeff:feee:eeee/64");
        node.route(&name, &format!("10.244.7.{index}/32"), None, 0);
    }
    node.route_of(BIRD, "ens192", "10.244.26.0/26", Some("192.168.1.21"), 0);
    node.route_of(BIRD, "ens192", "10.244.91.64/26", Some("192.168.1.22"), 0);
    let shown = Shown::of(node.settle());
    shown.is("
192.168.1.20
0: 00:50:56:00:00:02, DHCPv4 off, DHCPv6 off
   192.168.1.20/24 preferred manual
   2001:db8::20/64 preferred manual
   fe80::250:56ff:fe00:2/64 preferred linklayer
0.0.0.0/0 via 192.168.1.1 NIC 0 metric 1024
10.244.26.0/26 via 192.168.1.21 NIC 0 metric 0
10.244.91.64/26 via 192.168.1.22 NIC 0 metric 0
192.168.1.0/24 NIC 0 metric 0
::/0 via fe80::1 NIC 0 metric 1024
2001:db8::/64 NIC 0 metric 256
fe80::/64 NIC 0 metric 256
talos-worker-1, asks 192.168.1.1
");
    // A cluster of more nodes than a host takes routes: the default routes stay, IPv6's as well.
    for node in 0..120 {
        let block = format!("10.245.{node}.0/26");
        shown
            .node
            .route_of(BIRD, "ens192", &block, Some("192.168.1.23"), 0);
    }
    let full = |info: &vmx::codec::nic_info::NicInfo| info.routes.len() == 100;
    let view = shown.run.sees("100 routes", crate::support::SOON, |view| {
        view.nics.as_ref().is_some_and(full)
    });
    let routes = view.nics.unwrap().routes;
    assert_eq!(routes.iter().filter(|route| route.prefix == 0).count(), 2);
    assert_eq!(routes[99].next_hop, Some("fe80::1".parse().unwrap()));
}

#[test]
fn kubespan() {
    let node = worker();
    node.tunnel("kubespan", 3, "wireguard");
    node.has("kubespan", "fd7c:1a2b:3c4d:5e02:8451:9dff:feb2:7a11/64");
    // Its default routes stand in a table of their own.
    for destination in ["0.0.0.0/0", "::/0"] {
        node.talos
            .set_route_with("kubespan", destination, None, 1, |route| route.table = 180);
    }
    Shown::of(node.settle()).is(WORKER);
}

#[test]
fn siderolink() {
    let node = worker();
    node.tunnel("siderolink", 3, "wireguard");
    node.has("siderolink", "fdae:41e4:649b:9303:8451:9dff:feb2:7a11/64");
    Shown::of(node.settle()).is(WORKER);
}
