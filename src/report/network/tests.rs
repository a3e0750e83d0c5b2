//! What holds for every node, and choices between many. What is shown of a certain node: tests/layouts, which
//! layout_tests.rs checks.

use layouts::{Layout, Network, Node, Prefix};
use proptest::prelude::*;

use super::layout_tests::policy;
use super::*;
use crate::facts::of_layout::facts;
use crate::facts::{AddressScope, NodeAddresses};

/// Whatever the layout: the primary address is the first, no hardware address is there twice, and every verdict
/// agrees with the list.
pub(super) fn assert_sound(decision: &Decision) {
    let first = decision.nics.first().and_then(|nic| nic.addresses.first());
    if let Some(primary) = decision.primary_address {
        assert_eq!(first.unwrap().ip, primary);
    }
    let macs: BTreeSet<Mac> = decision.nics.iter().map(|nic| nic.mac).collect();
    assert_eq!(macs.len(), decision.nics.len());
    let reported: usize = decision.nics.iter().map(|nic| nic.addresses.len()).sum();
    let mut verdicts = 0;
    for address in &decision.addresses {
        if let Verdict::Reported {
            nic,
            place,
            standing,
        } = address.verdict
        {
            verdicts += 1;
            assert_eq!(decision.nics[nic].addresses[place].ip, address.ip);
            let primary = (nic, place) == (0, 0) && decision.primary_address.is_some();
            assert_eq!(standing == Standing::Primary, primary);
        }
    }
    assert_eq!(verdicts, reported);
    assert!(
        decision
            .routes
            .iter()
            .all(|route| route.nic < decision.nics.len())
    );
}

/// How many NICs the host of these tests accepts, as VMware's does.
pub(super) const MOST_NICS: usize = 16;

fn decided(facts: &Facts) -> Option<Decision> {
    let decision = decide(facts, &NetworkPolicy::default(), MOST_NICS);
    decision.iter().for_each(assert_sound);
    decision
}

fn primary_address(facts: &Facts) -> Option<IpAddr> {
    decided(facts)?.primary_address
}

/// Every address that is shown, with its prefix length.
fn addresses(facts: &Facts) -> Vec<String> {
    let nics = decided(facts).unwrap().nics;
    let addresses = nics.iter().flat_map(|nic| &nic.addresses);
    addresses
        .map(|address| format!("{}/{}", address.ip, address.prefix_length))
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn nothing_is_said_before_links_and_addresses_are_known() {
    let known = facts(&Layout::node("links-that-are-down"));
    let without_links = Facts {
        links: None,
        ..known.clone()
    };
    let without_addresses = Facts {
        addresses: None,
        ..known.clone()
    };
    assert_eq!(decided(&without_links), None);
    assert_eq!(decided(&without_addresses), None);
    assert_eq!(addresses(&known), ["10.0.0.5/24"]);
    // Without Talos' list there is no telling a pod's address from the node's.
    let without_list = Facts {
        node_addresses: None,
        ..known
    };
    assert_eq!(addresses(&without_list), ["10.0.0.5/24"]);
    assert_eq!(primary_address(&without_list), None);
}

#[test]
fn what_looks_like_a_virtual_ip_gives_way_while_virtual_ips_are_not_known() {
    let mut known = facts(&Layout::node("control-plane-with-a-virtual-ip"));
    assert_eq!(
        known.node_addresses.as_ref().unwrap().best()[0],
        ip("10.5.0.5")
    );
    known.virtual_ips = None;
    assert_eq!(primary_address(&known), Some(ip("10.5.0.11")));
}

#[test]
fn the_rule_that_decided_is_named() {
    let rule = |name: &str, moment: usize, network: Network| {
        let layout = Layout::named(name);
        let facts = facts(&layout.moments[moment].node);
        let decision = decide(&facts, &policy(&network), MOST_NICS).unwrap();
        decision.primary_rule.map(Rule::name)
    };
    let wish = |nics: &[&str], prefer: Option<&str>| Network {
        primary_nics: Some(nics.iter().map(|&name| name.to_owned()).collect()),
        prefer: prefer.map(str::to_owned),
        ..Network::default()
    };
    let none = Network::default;
    let all = Network {
        report_link_local: Some(true),
        ..none()
    };
    for (expected, name, moment, network) in [
        ("only", "container", 0, none()),
        ("only", "single-nic", 0, none()),
        ("usable", "single-nic", 0, all),
        ("nics", "storage-network", 0, wish(&["eth1"], None)),
        (
            "prefer",
            "kubelet-with-ipv6-first",
            1,
            wish(&[], Some("ipv4")),
        ),
        ("kubelet", "kube-vip", 2, none()),
        ("family", "dual-stack", 0, none()),
        ("default_route", "storage-network", 0, none()),
        ("asked_for", "kube-vip", 1, none()),
        ("asked_for", "egress-address", 1, none()),
        ("network", "control-plane-with-a-virtual-ip", 0, none()),
        ("chosen", "ipv6-only", 0, none()),
        ("talos_default", "vlan-on-an-excluded-nic", 0, none()),
    ] {
        assert_eq!(rule(name, moment, network), Some(expected), "{name}");
    }
    assert_eq!(
        rule("links-that-are-down", 0, wish(&["eth1"], None)),
        Some("only")
    );
    assert_eq!(rule("duplicates-alone", 0, none()), None);
}

#[test]
fn an_operator_can_exclude_the_link_of_a_routed_node() {
    let facts = facts(&Layout::node("routed-node"));
    assert_eq!(primary_address(&facts), Some(ip("10.255.0.8")));
    let network = Network {
        exclude_nics: Some(vec!["dummy0".to_owned()]),
        ..Network::default()
    };
    let decision = decide(&facts, &policy(&network), MOST_NICS).unwrap();
    assert_sound(&decision);
    assert_eq!(decision.primary_address, None);
}

#[test]
fn a_rule_whose_fact_is_not_known_is_skipped() {
    let known = facts(&Layout::node("kube-vip"));
    let lower = layouts::Address::new("eth0", "10.20.15.5/24".parse().unwrap());
    let mut node = Layout::node("kube-vip");
    node.addresses.push(lower);
    let with_lower = facts(&node);
    for forget in [
        |facts: &mut Facts| facts.kubelet_addresses = None,
        |facts: &mut Facts| facts.network.routes = None,
        |facts: &mut Facts| facts.network.address_sources = None,
    ] {
        let mut alone = known.clone();
        forget(&mut alone);
        assert_eq!(primary_address(&alone), Some(ip("10.20.15.33")));
        let mut both = with_lower.clone();
        // Talos' sticky address, too.
        both.node_addresses.as_mut().unwrap().default.clear();
        forget(&mut both);
        assert_eq!(primary_address(&both), Some(ip("10.20.15.33")));
    }
}

#[test]
fn the_best_default_route_of_a_family_comes_last_of_all_that_terraform_takes_for_one() {
    let mut known = facts(&Layout::node("two-gateways"));
    let mut all = known.network.routes.as_ref().unwrap().to_vec();
    let better = all
        .iter()
        .find(|it| it.prefix_length == 0 && it.metric == 1024);
    let better = better.unwrap().clone();
    all.push(crate::facts::Route {
        prefix_length: 1,
        metric: 0,
        ..better
    });
    known.network.routes = Some(all.into());
    let routes = decided(&known).unwrap().routes;
    let (v4, rest): (Vec<&NicRoute>, Vec<&NicRoute>) = routes
        .iter()
        .partition(|route| route.destination == ip("0.0.0.0"));
    let order: Vec<_> = v4.iter().map(|it| (it.prefix_length, it.metric)).collect();
    assert_eq!(order, [(1, 0), (0, 2048), (0, 1024)]);
    assert_eq!(routes[..3].iter().collect::<Vec<_>>(), v4, "first of all");
    assert!(rest.iter().all(|route| route.prefix_length > 0));
}

#[test]
fn link_local_addresses_are_left_out_where_the_nic_has_another_unless_they_are_wanted() {
    let known = facts(&Layout::node("single-nic"));
    assert_eq!(addresses(&known), ["10.5.0.2/24"]);
    let local = ip("fe80::250:56ff:fe00:2");
    let verdict = |policy: &NetworkPolicy| {
        let decision = decide(&known, policy, MOST_NICS).unwrap();
        assert_sound(&decision);
        let found = decision.addresses.into_iter().find(|it| it.ip == local);
        found.unwrap().verdict
    };
    let left_out = Verdict::LeftOut(Reason::LinkLocal);
    assert_eq!(verdict(&NetworkPolicy::default()), left_out);
    let wanted = NetworkPolicy {
        report_link_local: true,
        ..NetworkPolicy::default()
    };
    assert!(matches!(
        verdict(&wanted),
        Verdict::Reported { place: 1, .. }
    ));
    let mut alone = known.clone();
    let all = alone.addresses.as_mut().unwrap();
    all.retain(|address| address.ip != ip("10.5.0.2"));
    assert_eq!(addresses(&alone), ["fe80::250:56ff:fe00:2/64"]);
}

#[test]
fn the_choice_among_too_many_nics_is_stable_and_has_the_primary_address() {
    // eth0 to eth39; those with an even number N have 10.0.N.5.
    let mut node = Layout::node("forty-nics");
    let mut listed: Vec<Prefix> = node.node_addresses()["routed"].clone();
    let list = |node: &mut Node, listed: &[Prefix]| {
        node.give_node_addresses(Some([("routed".to_owned(), listed.to_vec())].into()));
    };
    let names = |decision: &Decision| -> BTreeSet<String> {
        decision.nics.iter().map(|nic| nic.name.clone()).collect()
    };
    list(&mut node, &listed);
    // The primary address is on one of the last, which has the default route and therefore is kept.
    let decision = decided(&facts(&node)).unwrap();
    assert_eq!(decision.primary_address, Some(ip("10.0.38.5")));
    assert_eq!(decision.nics[0].name, "eth38");
    let other = decision
        .addresses
        .iter()
        .find(|it| it.ip == ip("10.0.36.5"));
    assert_eq!(
        other.unwrap().verdict,
        Verdict::LeftOut(Reason::TooManyNics { most: MOST_NICS })
    );
    let before = names(&decision);
    assert_eq!(before.len(), MOST_NICS);
    // Another order of the list, or an address in trouble, changes nothing about the choice.
    listed[1..].rotate_left(7);
    list(&mut node, &listed);
    let mut facts = facts(&node);
    let troubled = facts.addresses.as_mut().unwrap();
    let troubled = troubled.iter_mut().find(|it| it.ip == ip("10.0.4.5"));
    troubled.unwrap().status = AddressStatus::Tentative;
    assert_eq!(names(&decided(&facts).unwrap()), before);
    // The operator's choice counts.
    let network = Network {
        primary_nics: Some(vec!["eth36".to_owned()]),
        ..Network::default()
    };
    let decision = decide(&facts, &policy(&network), MOST_NICS).unwrap();
    assert_sound(&decision);
    assert!(names(&decision).contains("eth36"));
    assert_eq!(decision.primary_address, Some(ip("10.0.36.5")));
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
                name: format!("eth{index}"),
                index: index.into(),
                arp_type: 1,
                kind: kinds[of].into(),
                mac: Some(Mac([0, 0x50, 0x56, 0, 0, last])),
                parent_index: parent,
                master_index: master,
                up,
                ..Link::default()
            }).collect()),
            addresses: Some(addresses.iter().map(|&(link_index, last, v6)| Address {
                ip: address(last, v6),
                prefix_length: 24,
                link_name: "lo".into(),
                link_index,
                scope: AddressScope::Global,
                status: AddressStatus::Preferred,
                temporary: false,
                announced: false,
            }).collect()),
            node_addresses: Some(NodeAddresses {
                routed: listed.iter().map(|&(last, v6)| address(last, v6)).collect(),
                ..NodeAddresses::default()
            }),
            virtual_ips: Some(virtual_ip.map(|last| address(last % 6, false)).into_iter().collect()),
            ..Facts::default()
        };
        let decision = decided(&facts).unwrap();
        if let Some(primary) = decision.primary_address {
            prop_assert!(facts.node_addresses.unwrap().routed.contains(&primary));
            prop_assert!(!facts.virtual_ips.unwrap().contains(&primary));
        }
    }

    #[test]
    fn what_nobody_asked_for_never_becomes_the_primary_address(
        own in 0..OWN.len(),
        with_kubelet: bool,
        mut strangers in proptest::collection::vec((0..3_u32, 0..255_u8, any::<bool>(), 0..3_usize), 1..6),
        turn in 0..6_usize,
    ) {
        let mut node = Layout::node(OWN[own]);
        node.kubelet_node_ips = with_kubelet
            .then(|| Vec::from_iter(primary_address(&facts(&node))));
        let before = primary_address(&facts(&node));
        prop_assert!(before.is_some());
        // Whatever the order in which they come and go, before the node's own or after.
        let turn = turn % strangers.len().max(1);
        strangers.rotate_left(turn);
        let nics: Vec<String> = node.links.iter().map(|link| link.name.clone()).collect();
        for (link, last, ipv6, length) in strangers {
            let link = &nics[link as usize % nics.len()];
            let text = match ipv6 {
                true => format!("2001:db8::{last:x}/{}", [128, 128, 64][length]),
                false => format!("10.0.0.{last}/{}", [32, 32, 24][length]),
            };
            let stranger = layouts::Address::new(link, text.parse().unwrap());
            if node.addresses.iter().any(|it| it.address.ip == stranger.address.ip) {
                continue;
            }
            node.addresses.insert(last as usize % (node.addresses.len() + 1), stranger);
            prop_assert_eq!(primary_address(&facts(&node)), before, "{} on {}", text, link);
        }
    }
}

/// Nodes whose address has evidence of each kind: lease, configuration, default route, announcement.
const OWN: [&str; 6] = [
    "kube-vip",
    "changing-lease",
    "two-gateways",
    "ipv6-only",
    "floating-ipv6-address",
    "routed-node-on-lo",
];
