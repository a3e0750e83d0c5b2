//! What of links and addresses is told where it takes a rare node to show it. Common nodes, and all that vCenter
//! shows of them: tests/agent/layouts.

use std::collections::BTreeMap;

use super::*;
use crate::facts::{AddressScope, AddressSource, DhcpClient, NodeAddresses, Route};
use crate::report::Patterns;

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

    /// Talos' list of what is routed.
    fn listed(&mut self, routed: &[&str]) {
        self.facts.node_addresses = Some(NodeAddresses {
            routed: routed.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..NodeAddresses::default()
        });
    }

    fn decide(&self) -> Decision {
        let decision = decide(&self.facts, &self.policy, 16).unwrap();
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
fn a_bond_with_an_address_of_its_own_making_has_that_of_a_nic_that_is_up() {
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
    node.on("bond0", "10.0.0.5/24");
    node.listed(&["10.0.0.5"]);
    assert_eq!(node.nics(), ["bond0 2: 10.0.0.5"]);
    node.facts.links.as_mut().unwrap()[1].up = false;
    assert_eq!(node.nics(), ["bond0 3: 10.0.0.5"]);
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
    node.listed(&["10.0.0.5"]);
    assert_eq!(node.nics(), ["bond0 3: 10.0.0.5"]);
}

#[test]
fn a_tunnel_is_no_ethernet_though_no_pattern_excludes_it() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.link("kubespan", 3, "wireguard", |link| {
        link.arp_type = 65534;
        link.mac = None;
    });
    node.on("kubespan", "fd7c:cafe::2/128");
    node.on("eth0", "10.5.0.2/24");
    node.listed(&["10.5.0.2", "fd7c:cafe::2"]);
    assert_eq!(
        node.why("fd7c:cafe::2"),
        "the interface is excluded by kubespan*"
    );
    node.policy.exclude_nics = patterns(&["!*"]);
    assert_eq!(node.why("fd7c:cafe::2"), "the interface is no Ethernet");
    assert_eq!(node.why("127.0.0.1"), "it means nothing beyond the node");
    assert_eq!(node.why("10.5.0.2"), "0 0 Primary");
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.2"]);
}

#[test]
fn an_address_that_is_not_in_talos_list_yet_is_told_and_not_primary() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "10.5.0.77/24");
    node.listed(&["10.5.0.2"]);
    assert_eq!(node.nics(), ["eth0 2: 10.5.0.77"]);
    assert_eq!(node.primary(), None);
    node.listed(&["10.5.0.77"]);
    assert_eq!(node.primary(), Some("10.5.0.77".into()));
}

#[test]
fn an_address_that_another_machine_has_is_left_out() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.on("eth0", "2001:db8::5/64").status = AddressStatus::Duplicate;
    node.on("eth0", "fe80::5/64").status = AddressStatus::Duplicate;
    node.listed(&["2001:db8::5"]);
    assert_eq!(node.nics(), ["eth0 2: "]);
    for address in ["2001:db8::5", "fe80::5"] {
        let why = "duplicate detection failed: another machine has it";
        assert_eq!(node.why(address), why);
    }
}

#[test]
fn a_leases_servers_are_found_though_its_link_goes_by_an_alias() {
    let mut node = Node::new();
    node.nic("ens192", 2);
    node.on("ens192", "10.5.0.2/24");
    node.lease("net0", "10.5.0.2", &["10.5.0.1"]);
    node.listed(&["10.5.0.2"]);
    assert!(node.decide().nics[0].resolver.is_some());
}

#[test]
fn nics_and_their_routes_follow_the_operators_patterns() {
    let mut node = Node::new();
    node.nic("eth0", 2);
    node.nic("eth1", 3);
    node.on("eth0", "192.168.0.5/24");
    node.on("eth1", "10.5.0.2/24");
    node.route("eth0", "0.0.0.0/0", "192.168.0.1", 2048);
    node.route("eth1", "0.0.0.0/0", "10.5.0.1", 1024);
    node.listed(&["10.5.0.2", "192.168.0.5"]);
    node.policy.low_priority_nics = patterns(&["eth1"]);
    assert_eq!(node.nics(), ["eth0 2: 192.168.0.5", "eth1 3: 10.5.0.2"]);
    assert_eq!(
        node.routes(),
        ["0.0.0.0/0 10.5.0.1 1 1024", "0.0.0.0/0 192.168.0.1 0 2048"]
    );
    node.policy.exclude_nics = patterns(&["eth0"]);
    assert_eq!(node.nics(), ["eth1 3: 10.5.0.2"]);
    assert_eq!(node.routes(), ["0.0.0.0/0 10.5.0.1 0 1024"]);
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
    node.listed(&["10.7.0.5", "192.168.0.5"]);
    node.policy.exclude_nics = patterns(&["eth0"]);
    assert_eq!(node.nics(), ["eth0 2: 10.7.0.5"]);
    node.policy.exclude_nics = patterns(&["eth0*"]);
    assert_eq!(node.nics(), [""; 0]);
}

#[test]
fn the_choice_among_too_many_nics_is_stable_and_has_the_primary_address() {
    let mut node = Node::new();
    let mut listed = Vec::new();
    for index in 2..42 {
        let name = format!("eth{}", index - 2);
        node.nic(&name, index);
        // Every other one has an address.
        if index % 2 == 1 {
            node.on(&name, &format!("10.0.{index}.5/24"));
            listed.push(format!("10.0.{index}.5"));
        }
    }
    listed.reverse();
    let list = |node: &mut Node, listed: &[String]| {
        let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
        node.listed(&listed);
    };
    list(&mut node, &listed);
    let chosen = |node: &Node| -> BTreeSet<String> {
        let nics = node.decide().nics.into_iter();
        nics.map(|nic| nic.name).collect()
    };
    // The primary address is on the last one, which therefore is kept.
    assert_eq!(node.primary(), Some("10.0.41.5".into()));
    assert_eq!(node.decide().nics[0].name, "eth39");
    assert_eq!(
        node.why("10.0.39.5"),
        "the host takes 16 NICs, this one is too many"
    );
    let before = chosen(&node);
    assert_eq!(before.len(), 16);
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
