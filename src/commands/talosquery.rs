//! `talosquery`: what the daemon sees of Talos, as a table or as JSON.

use std::fmt::{Display, Write as _};

use serde_json::{Value, json};

use super::shown::Shown;
use crate::facts::{Address, AddressScope, AddressStatus, Facts, Link, NodeAddresses, Stage};
use crate::report::{NetworkPolicy, Report};
use crate::vmware::wire::nic_info_v3::MAX_NICS;

mod network;
mod storage;

/// Shown for everything that Talos has not said.
const UNKNOWN: &str = "not known";

/// What is shown: the facts, and what the host would get of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Everything that Talos said.
    pub facts: Facts,
    /// What the host would get of them, and why.
    pub report: Report,
    /// What the running agent shows on the host.
    pub shown: Shown,
}

impl View {
    /// What a daemon with this policy would report.
    pub fn new(facts: Facts, policy: &NetworkPolicy) -> Self {
        Self {
            report: Report::new(&facts, policy, MAX_NICS),
            facts,
            shown: Shown::default(),
        }
    }
}

/// The view as a table of names and values and one of NICs, for people.
pub fn table(view: &View) -> String {
    let facts = &view.facts;
    let rows = [
        (
            "host name",
            facts.host_name.as_ref().map(|name| name.fqdn()),
        ),
        (
            "Talos",
            facts
                .talos
                .as_ref()
                .map(|talos| format!("{} {} on {}", talos.tag, talos.arch, talos.platform)),
        ),
        ("stage", facts.stage.map(|stage| stage.name().to_owned())),
        (
            "primary address",
            view.report
                .network
                .as_ref()
                .and_then(|decision| decision.primary_address)
                .map(|ip| ip.to_string()),
        ),
        (
            "chosen because",
            view.report
                .network
                .as_ref()
                .and_then(|decision| decision.primary_rule)
                .map(|rule| rule.to_string()),
        ),
        ("kubelet has", facts.kubelet_addresses.as_ref().map(list)),
        (
            "node addresses",
            facts.node_addresses.as_ref().map(|all| list(all.best())),
        ),
        ("virtual IPs", facts.virtual_ips.as_ref().map(list)),
        (
            "name servers",
            facts.network.resolver.as_ref().map(network::resolver_text),
        ),
    ];
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let cluster = [
        ("etcd", super::etcd::row(facts)),
        ("cordoned", facts.cordoned.map(yes_or_no)),
    ];
    let rows = rows.into_iter().chain(super::node::rows(&facts.node));
    let rows = rows.chain(cluster);
    let shown = [
        ("power", &view.shown.power),
        ("vmotion", &view.shown.vmotion),
    ];
    let shown = shown.into_iter().filter(|(_, value)| value.is_some());
    let rows = rows.chain(shown.map(|(name, value)| (name, value.clone())));
    let rows: Vec<_> = rows
        .map(|(name, value)| [name.to_owned(), value.unwrap_or_else(|| UNKNOWN.to_owned())])
        .collect();
    let mut text = columns(&rows);
    text.push('\n');
    match &view.report.network {
        None => {
            let _ = writeln!(text, "NICs {UNKNOWN}");
        }
        Some(decision) => text.push_str(&network::tables(decision)),
    }
    text.push('\n');
    match &view.report.file_systems {
        None => {
            let _ = writeln!(text, "file systems {UNKNOWN}");
        }
        Some(systems) => text.push_str(&storage::table(systems)),
    }
    text
}

/// The view as JSON, for programs; `null` is what Talos has not said.
pub fn json(view: &View) -> Value {
    let facts = &view.facts;
    let decision = view.report.network.as_ref();
    json!({
        "host_name": facts.host_name.as_ref().map(|name| json!({
            "host": name.host,
            "domain": name.domain,
            "fqdn": name.fqdn(),
        })),
        "talos": facts.talos.as_ref().map(|talos| json!({
            "tag": talos.tag,
            "arch": talos.arch,
            "platform": talos.platform,
        })),
        "stage": facts.stage.map(Stage::name),
        "node": super::node::json(&facts.node),
        "etcd": super::etcd::json(facts),
        "cordoned": facts.cordoned,
        "power": view.shown.power,
        "vmotion": view.shown.vmotion,
        "primary_address": decision
            .and_then(|decision| decision.primary_address)
            .map(|ip| ip.to_string()),
        "primary_address_rule": decision
            .and_then(|decision| decision.primary_rule)
            .map(network::rule),
        "kubelet_addresses": facts.kubelet_addresses.as_ref().map(texts),
        "node_addresses": facts.node_addresses.as_ref().map(node_addresses),
        "virtual_ips": facts.virtual_ips.as_ref().map(texts),
        "resolver": facts.network.resolver.as_ref().map(network::resolver),
        "nics": decision.map(|decision| decision.nics.iter().map(network::nic).collect::<Vec<_>>()),
        "routes": decision.map(|decision| {
            let routes = decision.routes.iter();
            routes.map(|route| network::route(decision, route)).collect::<Vec<_>>()
        }),
        "decisions": decision.map(|decision| {
            let addresses = decision.addresses.iter();
            addresses.map(|address| network::decided(decision, address)).collect::<Vec<_>>()
        }),
        "file_systems": view.report.file_systems
            .as_ref()
            .map(|systems| systems.iter().map(storage::json).collect::<Vec<_>>()),
        "links": facts.links.as_ref().map(|links| links.iter().map(link).collect::<Vec<_>>()),
        "addresses": facts
            .addresses
            .as_ref()
            .map(|addresses| addresses.iter().map(address).collect::<Vec<_>>()),
    })
}

fn node_addresses(addresses: &NodeAddresses) -> Value {
    json!({
        "default": texts(&addresses.default),
        "current": texts(&addresses.current),
        "current_no_k8s": texts(&addresses.current_no_k8s),
        "routed": texts(&addresses.routed),
        "routed_no_k8s": texts(&addresses.routed_no_k8s),
    })
}

fn link(link: &Link) -> Value {
    json!({
        "name": link.name,
        "index": link.index,
        "kind": link.kind,
        "physical": link.is_physical(),
        "mac": link.mac.map(|mac| mac.to_string()),
        "up": link.up,
        "master_index": link.master_index,
        "parent_index": link.parent_index,
    })
}

fn address(address: &Address) -> Value {
    json!({
        "ip": address.ip.to_string(),
        "prefix_length": address.prefix_length,
        "link": address.link_name,
        "scope": scope_name(address.scope),
        "status": status_name(address.status),
        "temporary": address.temporary,
    })
}

fn texts<T: Display>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

/// Comma-separated; `none` for nothing.
fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items = texts(items);
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}

/// Left-aligned columns, two spaces apart, nothing at the ends of lines. Control characters are escaped.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = rows
        .iter()
        .map(|row| row.each_ref().map(|cell| printable(cell)))
        .collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn scope_name(scope: AddressScope) -> &'static str {
    match scope {
        AddressScope::Global => "global",
        AddressScope::Site => "site",
        AddressScope::Link => "link",
        AddressScope::Host => "host",
        AddressScope::Nowhere => "nowhere",
    }
}

fn status_name(status: AddressStatus) -> &'static str {
    match status {
        AddressStatus::Preferred => "preferred",
        AddressStatus::Deprecated => "deprecated",
        AddressStatus::Tentative => "tentative",
        AddressStatus::Duplicate => "duplicate",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Etcd, EtcdPart, HostName, Mac, NetworkState, Resolver, TalosVersion};
    use crate::report::{
        AddressDecision, AddressOrigin, Decision, FileSystem, Nic, NicAddress, NicRoute, Reason,
        Rule, Standing, Verdict,
    };
    use std::net::IpAddr;

    fn node() -> View {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        View {
            facts: Facts {
                host_name: Some(HostName {
                    host: "cp-1".into(),
                    domain: "example.org".into(),
                }),
                links: Some(vec![Link {
                    name: "eth0".into(),
                    index: 2,
                    arp_type: 1,
                    mac: Some(Mac([0, 0x50, 0x56, 1, 2, 3])),
                    up: true,
                    ..Link::default()
                }]),
                addresses: Some(vec![Address {
                    ip: ip("10.5.0.2"),
                    prefix_length: 24,
                    link_name: "eth0".into(),
                    link_index: 2,
                    scope: AddressScope::Global,
                    status: AddressStatus::Preferred,
                    temporary: false,
                    announced: false,
                }]),
                node_addresses: Some(NodeAddresses {
                    routed: vec![ip("10.5.0.2"), ip("2001:db8::2")],
                    ..NodeAddresses::default()
                }),
                kubelet_addresses: Some(vec![ip("10.5.0.2")]),
                virtual_ips: Some([ip("10.5.0.100")].into()),
                network: NetworkState {
                    resolver: Some(Resolver {
                        servers: vec![ip("10.5.0.1")],
                        search_domains: vec!["example.org".into()],
                    }),
                    ..NetworkState::default()
                },
                talos: Some(TalosVersion {
                    tag: "v1.13.0".into(),
                    arch: "amd64".into(),
                    platform: "vmware".into(),
                }),
                stage: Some(Stage::Running),
                etcd_part: Some(EtcdPart::Leader),
                etcd: Some(Etcd { voters: 3, live: 3 }),
                cordoned: Some(false),
                ..Facts::default()
            },
            report: Report {
                network: Some(Decision {
                    nics: vec![
                        Nic {
                            name: "eth0".into(),
                            mac: Mac([0, 0x50, 0x56, 1, 2, 3]),
                            addresses: vec![
                                NicAddress {
                                    ip: ip("10.5.0.2"),
                                    prefix_length: 24,
                                    status: AddressStatus::Preferred,
                                    origin: Some(AddressOrigin::Dhcp),
                                },
                                NicAddress {
                                    ip: ip("2001:db8::2"),
                                    prefix_length: 64,
                                    status: AddressStatus::Tentative,
                                    origin: None,
                                },
                            ],
                            dhcp_v4: Some(true),
                            ..Nic::default()
                        },
                        Nic {
                            name: "eth10".into(),
                            mac: Mac([0, 0x50, 0x56, 1, 2, 4]),
                            ..Nic::default()
                        },
                    ],
                    primary_address: Some(ip("10.5.0.2")),
                    primary_rule: Some(Rule::Kubelet),
                    routes: vec![NicRoute {
                        destination: ip("0.0.0.0"),
                        prefix_length: 0,
                        gateway: Some(ip("10.5.0.1")),
                        nic: 0,
                        metric: 1024,
                    }],
                    addresses: vec![
                        AddressDecision {
                            ip: ip("10.5.0.2"),
                            prefix_length: 24,
                            link_name: "eth0".into(),
                            verdict: Verdict::Reported {
                                nic: 0,
                                place: 0,
                                standing: Standing::Primary,
                            },
                        },
                        AddressDecision {
                            ip: ip("10.244.0.1"),
                            prefix_length: 24,
                            link_name: "cni0".into(),
                            verdict: Verdict::LeftOut(Reason::Kubernetes),
                        },
                    ],
                    cut: Vec::new(),
                }),
                file_systems: Some(vec![FileSystem {
                    mount_point: "/var".into(),
                    total: 8 << 30,
                    free: 5 << 30,
                    file_system: "xfs",
                    devices: vec!["scsi0:0".into()],
                    ..FileSystem::default()
                }]),
            },
            shown: Shown {
                power: Some("idle".into()),
                vmotion: None,
            },
        }
    }

    #[test]
    fn the_table_of_a_node() {
        assert_eq!(
            table(&node()),
            "\
host name        cp-1.example.org
Talos            v1.13.0 amd64 on vmware
stage            running
primary address  10.5.0.2
chosen because   the kubelet registers it
kubelet has      10.5.0.2
node addresses   10.5.0.2, 2001:db8::2
virtual IPs      10.5.0.100
name servers     10.5.0.1 (search example.org)
ready            not known
machine type     not known
node name        not known
extensions       not known
schematic        not known
secure boot      not known
UUID             not known
etcd             leader, 3 of 3 members of etcd are there
cordoned         no
power            idle

NIC    MAC                ADDRESSES
eth0   00:50:56:01:02:03  10.5.0.2/24, 2001:db8::2/64 (tentative)
eth10  00:50:56:01:02:04  none

ROUTE      GATEWAY   METRIC  NIC
0.0.0.0/0  10.5.0.1  1024    eth0

ADDRESS        LINK  REPORTED    WHY
10.5.0.2/24    eth0  eth0 no. 1  the primary address
10.244.0.1/24  cni0  no          Talos counts it to Kubernetes' pods and services

FILE SYSTEM  FREE      SIZE      TYPE  DISKS
/var         5120 MiB  8192 MiB  xfs   scsi0:0
"
        );
    }

    #[test]
    fn the_table_of_nothing() {
        let text = table(&View::default());
        assert_eq!(text.matches(UNKNOWN).count(), 20, "{text}");
        assert!(!text.contains("none"), "{text}");
    }

    #[test]
    fn a_name_from_outside_cannot_paint_the_terminal() {
        let mut view = node();
        view.facts.host_name.as_mut().unwrap().host = "a\x1b[2J\nb".into();
        let text = table(&view);
        assert!(!text.contains('\x1b'), "{text:?}");
        assert!(text.contains("a\\u{1b}[2J\\nb"), "{text:?}");
    }

    #[test]
    fn json_of_a_node() {
        let value = json(&node());
        assert_eq!(value["host_name"]["fqdn"], "cp-1.example.org");
        assert_eq!(value["talos"]["tag"], "v1.13.0");
        assert_eq!(value["stage"], "running");
        assert_eq!(
            value["etcd"],
            json!({"part": "leader", "voters": 3, "live": 3})
        );
        assert_eq!(value["cordoned"], false);
        assert_eq!(
            (&value["power"], &value["vmotion"]),
            (&json!("idle"), &Value::Null)
        );
        assert_eq!(value["primary_address"], "10.5.0.2");
        assert_eq!(
            value["primary_address_rule"],
            json!({"name": "kubelet", "why": "the kubelet registers it"})
        );
        assert_eq!(value["kubelet_addresses"], json!(["10.5.0.2"]));
        assert_eq!(
            value["node_addresses"]["routed"],
            json!(["10.5.0.2", "2001:db8::2"])
        );
        assert_eq!(value["virtual_ips"], json!(["10.5.0.100"]));
        assert_eq!(
            value["nics"][0],
            json!({
                "name": "eth0",
                "mac": "00:50:56:01:02:03",
                "addresses": [
                    {"ip": "10.5.0.2", "prefix_length": 24, "status": "preferred", "origin": "dhcp"},
                    {"ip": "2001:db8::2", "prefix_length": 64, "status": "tentative", "origin": null},
                ],
                "dhcp4": true,
                "dhcp6": null,
                "resolver": null,
            })
        );
        assert_eq!(
            value["routes"],
            json!([{"destination": "0.0.0.0/0", "gateway": "10.5.0.1", "metric": 1024, "nic": "eth0"}])
        );
        assert_eq!(value["resolver"]["servers"], json!(["10.5.0.1"]));
        assert_eq!(
            value["decisions"][0],
            json!({
                "address": "10.5.0.2/24", "link": "eth0", "reported": true, "nic": "eth0", "place": 0,
                "primary": true, "why": "the primary address",
            })
        );
        assert_eq!(value["decisions"][1]["reported"], false);
        assert_eq!(
            value["file_systems"],
            json!([{"mount_point": "/var", "free": 5_u64 << 30, "total": 8_u64 << 30, "type": "xfs", "disks": ["scsi0:0"]}])
        );
        assert_eq!(value["links"][0]["physical"], true);
        assert_eq!(value["addresses"][0]["scope"], "global");
    }

    #[test]
    fn json_of_nothing_is_null_under_every_key() {
        let value = json(&View::default());
        let object = value.as_object().unwrap();
        assert_eq!(object.len(), 20);
        let known = object.iter().filter(|(_, value)| !value.is_null());
        let known: Vec<_> = known.map(|(key, _)| key.as_str()).collect();
        assert_eq!(known, ["node"], "an object of its own: {value}");
    }
}
