//! Node layouts as they are met in the field, and all that the host is told of them: NICs, addresses, routes.

use std::collections::BTreeMap;

use super::*;
use crate::facts::{
    AddressScope, AddressSource, DhcpClient, Family, NodeAddresses, Patterns, Route,
};

/// A node that is put together link by link.
#[derive(Default)]
struct Node {
    facts: Facts,
    policy: NetworkPolicy,
}

impl Node {
    fn new() -> Self {
        let mut node = Self::default();
        node.facts.links = Some(Vec::new());
        node.facts.addresses = Some(Vec::new());
        node.facts.virtual_ips = Some(BTreeSet::new());
        node.facts.network.address_sources = Some(BTreeMap::new());
        node.link("lo", 1, "", |lo| {
            lo.arp_type = 772;
            lo.mac = None;
        });
        node.on("lo", "127.0.0.1/8").scope = AddressScope::Host;
        node
    }

    /// A link that is up; one without a kind is a NIC 00:50:56:00:00:<index>.
    fn link(&mut self, name: &str, index: u32, kind: &str, change: impl FnOnce(&mut Link)) {
        let mac = Mac([0, 0x50, 0x56, 0, 0, index as u8]);
        let mut link = Link {
            name: name.into(),
            index,
            arp_type: 1,
            kind: kind.into(),
            mac: Some(mac),
            permanent_mac: kind.is_empty().then_some(mac),
            up: true,
            ..Link::default()
        };
        change(&mut link);
        self.facts.links.as_mut().unwrap().push(link);
    }

    fn nic(&mut self, name: &str, index: u32) {
        self.link(name, index, "", |_| {});
    }

    /// A tunnel without hardware address.
    fn tunnel(&mut self, name: &str, index: u32) {
        self.link(name, index, "wireguard", |link| {
            link.arp_type = 65534;
            link.mac = None;
        });
    }

    fn on(&mut self, link: &str, prefix: &str) -> &mut Address {
        let links = self.facts.links.as_ref().unwrap();
        let link = links.iter().find(|known| known.name == link).unwrap();
        let (ip, length) = prefix.split_once('/').unwrap();
        let ip: IpAddr = ip.parse().unwrap();
        let addresses = self.facts.addresses.as_mut().unwrap();
        addresses.push(Address {
            ip,
            prefix_length: length.parse().unwrap(),
            link_name: link.name.clone(),
            link_index: link.index,
            scope: if is_link_local(ip) {
                AddressScope::Link
            } else {
                AddressScope::Global
            },
            status: AddressStatus::Preferred,
            temporary: false,
        });
        addresses.last_mut().unwrap()
    }

    fn source(&mut self, address: &str, source: AddressSource) {
        let sources = self.facts.network.address_sources.as_mut().unwrap();
        sources.insert(address.parse().unwrap(), source);
    }

    fn lease(&mut self, link: &str, address: &str, servers: &[&str]) {
        let client = DhcpClient {
            ipv6: address.contains(':'),
            link: link.into(),
        };
        let resolver = Resolver {
            servers: servers.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..Resolver::default()
        };
        let resolvers = &mut self.facts.network.lease_resolvers;
        resolvers
            .get_or_insert_default()
            .insert(client.clone(), resolver);
        self.source(address, AddressSource::Dhcp(client));
    }

    fn vip(&mut self, link: &str, address: &str) {
        self.on(link, &format!("{address}/32"));
        self.source(address, AddressSource::Vip);
        let vips = self.facts.virtual_ips.as_mut().unwrap();
        vips.insert(address.parse().unwrap());
    }

    fn route(&mut self, link: &str, destination: &str, gateway: &str, metric: u32) {
        let (destination, length) = destination.split_once('/').unwrap();
        let route = Route {
            destination: destination.parse().unwrap(),
            prefix_length: length.parse().unwrap(),
            gateway: gateway.parse().ok(),
            link_name: link.into(),
            metric,
        };
        let routes = self.facts.network.routes.take().unwrap_or_default();
        self.facts.network.routes = Some(routes.iter().cloned().chain([route]).collect());
    }

    /// Talos' lists: everything routed, and what of it is not Kubernetes'.
    fn listed(&mut self, routed: &[&str], routed_no_k8s: &[&str]) {
        let ips = |list: &[&str]| {
            list.iter()
                .map(|ip| ip.parse().unwrap())
                .collect::<Vec<_>>()
        };
        self.facts.node_addresses = Some(NodeAddresses {
            default: ips(&routed[..routed.len().min(1)]),
            current: ips(routed),
            current_no_k8s: ips(routed_no_k8s),
            routed: ips(routed),
            routed_no_k8s: ips(routed_no_k8s),
        });
    }

    fn decide(&self) -> Decision {
        let decision = decide(&self.facts, &self.policy).unwrap();
        // Whatever the layout: the primary address is the first, no hardware address is there twice, and every
        // verdict agrees with the list.
        let first = decision.nics.first().and_then(|nic| nic.addresses.first());
        if let Some(primary) = decision.primary_address {
            assert_eq!(first.unwrap().ip, primary);
        }
        let macs: BTreeSet<Mac> = decision.nics.iter().map(|nic| nic.mac).collect();
        assert_eq!(macs.len(), decision.nics.len());
        let reported: usize = decision.nics.iter().map(|nic| nic.addresses.len()).sum();
        let mut verdicts = 0;
        for address in &decision.addresses {
            if let Verdict::Reported { nic, place, .. } = address.verdict {
                verdicts += 1;
                assert_eq!(decision.nics[nic].addresses[place].ip, address.ip);
            }
        }
        assert_eq!(verdicts, reported);
        assert!(
            decision
                .routes
                .iter()
                .all(|route| route.nic < decision.nics.len())
        );
        decision
    }

    /// `name mac-byte: addresses` of every NIC.
    fn nics(&self) -> Vec<String> {
        let decision = self.decide();
        let nics = decision.nics.iter().map(|nic| {
            let ips: Vec<String> = nic
                .addresses
                .iter()
                .map(|address| address.ip.to_string())
                .collect();
            format!("{} {}: {}", nic.name, nic.mac.0[5], ips.join(" "))
        });
        nics.collect()
    }

    fn primary(&self) -> Option<String> {
        self.decide().primary_address.map(|ip| ip.to_string())
    }

    /// `destination gateway nic metric` of every route.
    fn routes(&self) -> Vec<String> {
        let routes = self.decide().routes;
        let routes = routes.iter().map(|route| {
            let gateway = route
                .gateway
                .map_or_else(|| "-".to_owned(), |ip| ip.to_string());
            let NicRoute {
                destination,
                prefix_length,
                nic,
                metric,
                ..
            } = route;
            format!("{destination}/{prefix_length} {gateway} {nic} {metric}")
        });
        routes.collect()
    }

    fn why(&self, address: &str) -> String {
        let ip: IpAddr = address.parse().unwrap();
        let addresses = self.decide().addresses;
        let found = addresses.iter().find(|address| address.ip == ip).unwrap();
        match &found.verdict {
            Verdict::Reported {
                nic,
                place,
                standing,
            } => format!("{nic} {place} {standing:?}"),
            Verdict::LeftOut(reason) => reason.to_string(),
        }
    }
}

fn patterns(list: &[&str]) -> Patterns {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn single_nic() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "10.5.0.2/24");
    node.on("eth0", "fe80::250:56ff:fe00:2/64");
    node.source("10.5.0.2", AddressSource::Configuration);
    node.route("eth0", "0.0.0.0/0", "10.5.0.1", 1024);
    node.route("eth0", "10.5.0.0/24", "", 0);
    node.route("eth0", "fe80::/64", "", 256);
    node.listed(&["10.5.0.2"], &["10.5.0.2"]);
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.2 fe80::250:56ff:fe00:2"]);
    assert_eq!(
        node.routes(),
        [
            "0.0.0.0/0 10.5.0.1 0 1024",
            "10.5.0.0/24 - 0 0",
            "fe80::/64 - 0 256"
        ]
    );
    let nic = &node.decide().nics[0];
    let origins: Vec<_> = nic.addresses.iter().map(|address| address.origin).collect();
    assert_eq!(
        origins,
        [Some(AddressOrigin::Manual), Some(AddressOrigin::LinkLayer)]
    );
    assert_eq!((nic.dhcp_v4, nic.dhcp_v6), (Some(false), None));
    assert_eq!(node.why("127.0.0.1"), "it means nothing beyond the node");
    assert_eq!(node.why("10.5.0.2"), "0 0 Primary");
}

#[test]
fn bond_with_vlan() {
    let mut node = Node::new();
    let taken = Mac([0x02, 0, 0, 0, 0, 0x99]);
    for (name, index) in [("eth0", 2), ("eth1", 3)] {
        node.link(name, index, "", |link| {
            link.mac = Some(taken);
            link.master_index = 5;
            link.slave_kind = "bond".into();
        });
    }
    node.link("bond0", 5, "bond", |link| link.mac = Some(taken));
    node.link("bond0.100", 6, "vlan", |link| {
        link.parent_index = 5;
        link.mac = Some(taken);
    });
    node.on("bond0", "172.16.0.5/24");
    node.on("bond0.100", "10.0.0.5/24");
    node.route("bond0.100", "0.0.0.0/0", "10.0.0.1", 1024);
    node.route("bond0", "172.16.0.0/24", "", 0);
    node.listed(&["10.0.0.5", "172.16.0.5"], &[]);
    // The bond has an address of its own making, by which the host would find no device.
    assert_eq!(node.nics(), ["bond0 2: 10.0.0.5 172.16.0.5"]);
    assert_eq!(
        node.routes(),
        ["0.0.0.0/0 10.0.0.1 0 1024", "172.16.0.0/24 - 0 0"]
    );
    // When the first NIC is down, the second one stands for the bond.
    node.facts.links.as_mut().unwrap()[1].up = false;
    assert_eq!(node.nics(), ["bond0 3: 10.0.0.5 172.16.0.5"]);
}

#[test]
fn bond_with_the_address_of_its_second_nic() {
    let mut node = Node::new();
    let second = Mac([0, 0x50, 0x56, 0, 0, 3]);
    for (name, index) in [("eth0", 2), ("eth1", 3)] {
        node.link(name, index, "", |link| {
            link.mac = Some(second);
            link.master_index = 5;
        });
    }
    node.link("bond0", 5, "bond", |link| link.mac = Some(second));
    node.on("bond0", "10.0.0.5/24");
    node.listed(&["10.0.0.5"], &[]);
    assert_eq!(node.nics(), ["bond0 3: 10.0.0.5"]);
}

#[test]
fn control_plane_with_virtual_ip() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.vip("eth0", "10.5.0.100");
    node.on("eth0", "10.5.0.11/24");
    node.on("eth0", "10.5.0.12/32");
    node.listed(&["10.5.0.100", "10.5.0.11", "10.5.0.12"], &[]);
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.11 10.5.0.12 10.5.0.100"]);
    assert_eq!(node.primary(), Some("10.5.0.11".into()));
    assert_eq!(node.why("10.5.0.100"), "0 2 Virtual");
    node.policy.report_vips = false;
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.11 10.5.0.12"]);
    assert_eq!(
        node.why("10.5.0.100"),
        "a virtual IP, and those are not reported"
    );
}

#[test]
fn dual_stack() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "2001:db8::250:56ff:fe00:2/64");
    node.on("eth0", "2001:db8::77/128");
    node.on("eth0", "2001:db8::aaaa/64").temporary = true;
    node.on("eth0", "2001:db8:1::5/64").status = AddressStatus::Deprecated;
    node.on("eth0", "2001:db8:2::5/64").status = AddressStatus::Tentative;
    node.on("eth0", "2001:db8:3::5/64").status = AddressStatus::Duplicate;
    node.on("eth0", "10.5.0.2/24");
    node.lease("eth0", "2001:db8::77", &[]);
    node.route("eth0", "::/0", "fe80::1", 1024);
    node.route("eth0", "0.0.0.0/0", "10.5.0.1", 1024);
    let all = [
        "2001:db8::250:56ff:fe00:2",
        "2001:db8::77",
        "2001:db8::aaaa",
        "2001:db8:1::5",
        "10.5.0.2",
    ];
    node.listed(&all, &[]);
    assert_eq!(
        node.nics(),
        [
            "eth0 2: 10.5.0.2 2001:db8::250:56ff:fe00:2 2001:db8::77 2001:db8::aaaa 2001:db8:1::5 2001:db8:2::5 \
          2001:db8:3::5"
        ]
    );
    assert_eq!(
        node.routes(),
        ["0.0.0.0/0 10.5.0.1 0 1024", "::/0 fe80::1 0 1024"]
    );
    let nic = &node.decide().nics[0];
    let told: Vec<_> = nic
        .addresses
        .iter()
        .map(|address| (address.origin, address.status))
        .collect();
    assert_eq!(
        told,
        [
            (None, AddressStatus::Preferred),
            (Some(AddressOrigin::LinkLayer), AddressStatus::Preferred),
            (Some(AddressOrigin::Dhcp), AddressStatus::Preferred),
            (Some(AddressOrigin::Random), AddressStatus::Preferred),
            (None, AddressStatus::Deprecated),
            (None, AddressStatus::Tentative),
            (None, AddressStatus::Duplicate),
        ]
    );
    assert_eq!((nic.dhcp_v4, nic.dhcp_v6), (None, Some(true)));
    node.policy.prefer = Family::Ipv6;
    assert_eq!(node.primary(), Some("2001:db8::250:56ff:fe00:2".into()));
    assert_eq!(
        node.routes()[0],
        "0.0.0.0/0 10.5.0.1 0 1024",
        "routes keep their order"
    );
}

#[test]
fn cilium_with_sixty_interfaces() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "192.168.1.20/24");
    for (name, index) in [
        ("cilium_net", 3),
        ("cilium_host", 4),
        ("cilium_vxlan", 5),
        ("lxc_health", 6),
    ] {
        node.link(name, index, "veth", |_| {});
    }
    node.on("cilium_host", "10.0.1.44/32");
    for index in 7..64 {
        let name = format!("lxc{index:012x}");
        node.link(&name, index, "veth", |link| link.parent_index = 2);
        node.on(&name, &format!("fe80::{index:x}/64"));
    }
    node.route("eth0", "0.0.0.0/0", "192.168.1.1", 1024);
    node.route("cilium_host", "10.0.0.0/24", "10.0.1.44", 0);
    // Cilium's own pool is none of Kubernetes' ranges, so its address is in both lists.
    node.listed(
        &["10.0.1.44", "192.168.1.20"],
        &["10.0.1.44", "192.168.1.20"],
    );
    assert_eq!(node.nics(), ["eth0 2: 192.168.1.20"]);
    assert_eq!(node.routes(), ["0.0.0.0/0 192.168.1.1 0 1024"]);
    assert_eq!(
        node.why("10.0.1.44"),
        "the interface is excluded by cilium*"
    );
    assert_eq!(node.decide().cut, [""; 0]);
}

#[test]
fn calico_with_routed_pods() {
    let mut node = Node::new();
    node.nic("ens192", 2);
    node.on("ens192", "192.168.1.20/24");
    node.on("ens192", "2001:db8::20/64");
    node.link("tunl0", 3, "ipip", |link| {
        link.arp_type = 768;
        link.mac = None;
    });
    node.link("vxlan.calico", 4, "vxlan", |_| {});
    node.on("tunl0", "10.244.7.1/32");
    node.on("vxlan.calico", "10.244.7.0/32");
    for index in 5..125 {
        let name = format!("cali{index:011x}");
        node.link(&name, index, "veth", |_| {});
        node.route(&name, &format!("10.244.7.{index}/32"), "", 0);
        // Other nodes' pods, over this node's NIC.
        node.route("ens192", &format!("10.244.{index}.0/26"), "192.168.1.2", 0);
    }
    node.route("ens192", "192.168.1.0/24", "", 0);
    node.route("ens192", "0.0.0.0/0", "192.168.1.1", 1024);
    node.route("ens192", "::/0", "fe80::1", 1024);
    node.listed(
        &["192.168.1.20", "10.244.7.0", "10.244.7.1", "2001:db8::20"],
        &["192.168.1.20", "2001:db8::20"],
    );
    assert_eq!(node.nics(), ["ens192 2: 192.168.1.20 2001:db8::20"]);
    let routes = node.routes();
    assert_eq!(routes.len(), 100);
    assert_eq!(routes[0], "0.0.0.0/0 192.168.1.1 0 1024");
    assert_eq!(
        routes[99], "::/0 fe80::1 0 1024",
        "no default route falls victim to pods"
    );
    node.policy.exclude_subnets = vec!["10.244.0.0/16".parse().unwrap()];
    assert_eq!(
        node.routes(),
        [
            "0.0.0.0/0 192.168.1.1 0 1024",
            "192.168.1.0/24 - 0 0",
            "::/0 fe80::1 0 1024"
        ]
    );
}

#[test]
fn kubespan_and_siderolink() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.tunnel("kubespan", 3);
    node.tunnel("siderolink", 4);
    node.on("siderolink", "fdae:41e4:649b:9303::1/64");
    node.on("kubespan", "fd7c:cafe::2/128");
    node.on("eth0", "10.5.0.2/24");
    node.route("kubespan", "10.9.0.0/16", "", 0);
    let all = ["10.5.0.2", "fd7c:cafe::2", "fdae:41e4:649b:9303::1"];
    node.listed(&all, &all);
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.2"]);
    assert_eq!(node.routes(), [""; 0]);
    assert_eq!(
        node.why("fd7c:cafe::2"),
        "the interface is excluded by kubespan*"
    );
    node.policy.exclude_nics = patterns(&["!*"]);
    assert_eq!(node.why("fd7c:cafe::2"), "the interface is no Ethernet");
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.2"]);
}

#[test]
fn dhcp_with_a_changing_lease() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "10.5.0.2/24");
    node.lease("eth0", "10.5.0.2", &["10.5.0.1"]);
    node.listed(&["10.5.0.2"], &[]);
    let told = |node: &Node| {
        let nic = node.decide().nics.remove(0);
        let servers = nic.resolver.map(|resolver| resolver.servers);
        (
            nic.addresses[0].ip.to_string(),
            nic.addresses[0].origin,
            nic.dhcp_v4,
            servers,
        )
    };
    let server = |ip: &str| Some(vec![ip.parse().unwrap()]);
    let dhcp = Some(AddressOrigin::Dhcp);
    assert_eq!(
        told(&node),
        ("10.5.0.2".into(), dhcp, Some(true), server("10.5.0.1"))
    );

    node.facts.addresses.as_mut().unwrap().pop();
    node.facts.network.address_sources = Some(BTreeMap::new());
    node.on("eth0", "10.5.0.77/24");
    node.lease("eth0", "10.5.0.77", &["10.5.0.9"]);
    // The new address is there before Talos has it in its list.
    assert_eq!(node.primary(), None);
    assert_eq!(
        told(&node),
        ("10.5.0.77".into(), dhcp, Some(true), server("10.5.0.9"))
    );
    node.listed(&["10.5.0.77"], &[]);
    assert_eq!(node.primary(), Some("10.5.0.77".into()));
}

#[test]
fn a_leases_servers_are_found_though_its_link_goes_by_an_alias() {
    let mut node = Node::new();
    node.nic("ens192", 2);
    node.on("ens192", "10.5.0.2/24");
    node.lease("net0", "10.5.0.2", &["10.5.0.1"]);
    node.listed(&["10.5.0.2"], &[]);
    assert!(node.decide().nics[0].resolver.is_some());
}

#[test]
fn two_default_routes() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.nic("eth1", 3);
    node.on("eth0", "192.168.0.5/24");
    node.on("eth1", "10.5.0.2/24");
    node.route("eth0", "0.0.0.0/0", "192.168.0.1", 2048);
    node.route("eth1", "0.0.0.0/0", "10.5.0.1", 1024);
    // One route of two ways.
    node.route("eth0", "10.99.0.0/16", "192.168.0.7", 10);
    node.route("eth1", "10.99.0.0/16", "10.5.0.7", 10);
    node.listed(&["10.5.0.2", "192.168.0.5"], &[]);
    assert_eq!(node.nics(), ["eth1 3: 10.5.0.2", "eth0 2: 192.168.0.5"]);
    assert_eq!(
        node.routes(),
        [
            "0.0.0.0/0 10.5.0.1 0 1024",
            "0.0.0.0/0 192.168.0.1 1 2048",
            "10.99.0.0/16 10.5.0.7 0 10",
            "10.99.0.0/16 192.168.0.7 1 10",
        ]
    );
    // The operator knows better.
    node.policy.primary_nics = patterns(&["eth0"]);
    assert_eq!(node.nics(), ["eth0 2: 192.168.0.5", "eth1 3: 10.5.0.2"]);
    assert_eq!(
        node.routes()[0],
        "0.0.0.0/0 10.5.0.1 1 1024",
        "indexes follow the NICs"
    );
    node.policy.primary_nics = Patterns::default();
    node.policy.low_priority_nics = patterns(&["eth1"]);
    assert_eq!(node.primary(), Some("192.168.0.5".into()));
    node.policy.exclude_nics = patterns(&["eth0"]);
    assert_eq!(node.nics(), ["eth1 3: 10.5.0.2"]);
    assert_eq!(
        node.routes(),
        ["0.0.0.0/0 10.5.0.1 0 1024", "10.99.0.0/16 10.5.0.7 0 10"]
    );
    node.policy.exclude_nics = Patterns::default();
    node.policy.exclude_subnets = vec!["10.5.0.0/24".parse().unwrap()];
    assert_eq!(node.why("10.5.0.2"), "the network 10.5.0.0/24 is excluded");
    assert_eq!(node.nics(), ["eth0 2: 192.168.0.5", "eth1 3: "]);
}

#[test]
fn a_vlan_upon_an_excluded_nic_is_told_under_the_nics_hardware_address() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.link("eth0.7", 3, "vlan", |link| link.parent_index = 2);
    node.on("eth0", "192.168.0.5/24");
    node.on("eth0.7", "10.7.0.5/24");
    node.listed(&["10.7.0.5", "192.168.0.5"], &[]);
    node.policy.exclude_nics = patterns(&["eth0"]);
    assert_eq!(node.nics(), ["eth0 2: 10.7.0.5"]);
    node.policy.exclude_nics = patterns(&["eth0*"]);
    assert_eq!(node.nics(), [""; 0]);
}

#[test]
fn ipv6_only() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "fe80::250:56ff:fe00:2/64");
    node.on("eth0", "2001:db8::5/64");
    node.source("2001:db8::5", AddressSource::Configuration);
    node.route("eth0", "::/0", "fe80::1", 1024);
    node.route("eth0", "2001:db8::/64", "", 256);
    node.listed(&["2001:db8::5"], &["2001:db8::5"]);
    assert_eq!(node.nics(), ["eth0 2: 2001:db8::5 fe80::250:56ff:fe00:2"]);
    assert_eq!(node.primary(), Some("2001:db8::5".into()));
    assert_eq!(
        node.routes(),
        ["::/0 fe80::1 0 1024", "2001:db8::/64 - 0 256"]
    );
}

#[test]
fn maintenance_mode() {
    // No Kubernetes, so none of the filtered lists; DHCP on everything.
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "10.5.0.2/24");
    node.lease("eth0", "10.5.0.2", &["10.5.0.1"]);
    node.listed(&["10.5.0.2"], &[]);
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.2"]);
    assert_eq!(node.primary(), Some("10.5.0.2".into()));
}

#[test]
fn forty_nics() {
    let mut node = Node::new();
    let mut listed = Vec::new();
    for index in 2..42 {
        let name = format!("eth{}", index - 2);
        node.nic(&name, index);
        // Every other one has an address.
        if index % 2 == 1 {
            node.on(&name, &format!("10.0.{index}.5/24"));
            node.route(&name, &format!("10.0.{index}.0/24"), "", 0);
            listed.push(format!("10.0.{index}.5"));
        }
    }
    listed.reverse();
    let list = |node: &mut Node, listed: &[String]| {
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        node.listed(&listed, &[]);
    };
    list(&mut node, &listed);
    let chosen = |node: &Node| -> BTreeSet<String> {
        node.decide()
            .nics
            .iter()
            .map(|nic| nic.name.clone())
            .collect()
    };
    let decision = node.decide();
    assert_eq!(decision.nics.len(), MOST_NICS);
    assert!(decision.nics.iter().all(|nic| !nic.addresses.is_empty()));
    assert_eq!(decision.cut.len(), 24);
    assert_eq!(decision.routes.len(), MOST_NICS);
    // The primary address is on the last one, which therefore is kept.
    assert_eq!(node.primary(), Some("10.0.41.5".into()));
    assert_eq!(decision.nics[0].name, "eth39");
    assert_eq!(
        node.why("10.0.39.5"),
        "the host takes 16 NICs, this one is too many"
    );
    let before = chosen(&node);
    // Another order of the list, or an address in trouble, changes nothing about the choice.
    listed[1..].rotate_left(7);
    list(&mut node, &listed);
    let troubled = node.facts.addresses.as_mut().unwrap();
    troubled[3].status = AddressStatus::Tentative;
    assert_eq!(chosen(&node), before);
    // The operator's choice counts.
    node.policy.primary_nics = patterns(&["eth37"]);
    assert!(chosen(&node).contains("eth37"));
    assert_eq!(node.primary(), Some("10.0.39.5".into()));
}
