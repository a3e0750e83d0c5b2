//! One network layout, told twice: by Debian's vmtoolsd, which has it in a network namespace of its own, and
//! by ours, which has it from Talos. Where both speak of the same thing they say the same.
//!
//! ```text
//!   NICS, ROUTES, SERVERS ─┬─ ip -batch, resolv.conf ──► vmtoolsd ──► SetGuestInfo 10 ─┐
//!                          └─ Talos' resources ────────► ours ──────► SetGuestInfo 10 ─┴─► equal
//! ```
//! Both run with the simulated VMX, whose own decoder reads both lists.
//!
//! Known differences, which this test allows or demands:
//!
//! - Order: vmtoolsd tells NICs, addresses and routes in the kernel's order, ours the primary address first.
//! - Status: vmtoolsd has "unknown" for every IPv6 address, ours what the kernel's flags say.
//! - Origin: vmtoolsd has none, ours whether an address is configured.
//! - DHCP: vmtoolsd says nothing, ours whether the addresses are leased.
//! - IPv6 routes: vmtoolsd has those of the table `local` too (own addresses, multicast). Ours has the main
//!   table only.
//! - Host name: in the list both have the short name and the domain, each beside the other, when the kernel's
//!   host name is short. `guest.hostName` is that short name with both.
//! - Link-local addresses: vmtoolsd has them always, ours only where the NIC has no other (and here, where
//!   `network.report_link_local` is set).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use apid::{Apid, scene};
use vmx::Sandbox;
use vmx::codec::nic_info::{IpEntry, Nic, NicInfo, Route};

use crate::open_vm_tools::{installed, vmtoolsd_in};
use crate::support::{Folder, Run, SOON, Talos};

/// One Ethernet link with its addresses.
struct Link {
    name: &'static str,
    mac: [u8; 6],
    addresses: &'static [&'static str],
}

/// Two NICs, the ends of a veth pair in the namespace; a secondary address, one without a network, prefix
/// lengths off the octet, both families.
const NICS: [Link; 2] = [
    Link {
        name: "eth0",
        mac: [0x00, 0x50, 0x56, 0xab, 0xcd, 0x01],
        addresses: &[
            "10.5.0.2/24",
            "10.5.0.3/24",
            "192.0.2.7/32",
            "2001:db8:5::2/64",
            "fe80::250:56ff:feab:cd01/64",
        ],
    },
    Link {
        name: "eth1",
        mac: [0x00, 0x50, 0x56, 0xab, 0xcd, 0x02],
        addresses: &["10.6.0.2/20", "fe80::250:56ff:feab:cd02/64"],
    },
];

/// Link, destination, gateway, metric.
type Way = (&'static str, &'static str, Option<&'static str>, u32);

/// Routes that are set.
const ROUTES: [Way; 4] = [
    ("eth0", "0.0.0.0/0", Some("10.5.0.1"), 100),
    ("eth1", "0.0.0.0/0", Some("10.6.0.1"), 200),
    ("eth0", "172.16.0.0/12", Some("10.5.0.254"), 0),
    ("eth0", "::/0", Some("2001:db8:5::1"), 1024),
];

/// Routes that the kernel sets with the addresses.
const CONNECTED: [Way; 5] = [
    ("eth0", "10.5.0.0/24", None, 0),
    ("eth1", "10.6.0.0/20", None, 0),
    ("eth0", "2001:db8:5::/64", None, 256),
    ("eth0", "fe80::/64", None, 256),
    ("eth1", "fe80::/64", None, 256),
];

/// As many as the C library takes.
const SERVERS: [&str; 3] = ["10.5.0.53", "2001:db8:5::53", "10.6.0.53"];
const DOMAINS: [&str; 2] = ["example.com", "lab.example.org"];

/// Both say that this is the address of the machine.
const PRIMARY: &str = "10.5.0.2";

/// vmtoolsd has no other host name than the kernel's, which its namespaces do not change.
fn kernel_host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    name.trim().to_owned()
}

/// The layout in iproute2's words. The ends of a pair are made in this order: eth0 is the first NIC.
fn ip_batch() -> String {
    let mac = |link: &Link| link.mac.map(|byte| format!("{byte:02x}")).join(":");
    let [first, second] = &NICS;
    let mut lines = vec![format!(
        "link add {} address {} type veth peer name {} address {}",
        second.name,
        mac(second),
        first.name,
        mac(first)
    )];
    for Link {
        name, addresses, ..
    } in &NICS
    {
        // The link-local addresses are those of the layout, without a time of being tentative.
        lines.push(format!("link set {name} addrgenmode none"));
        lines.push(format!("link set {name} up"));
        lines.extend(addresses.iter().map(|address| {
            let flags = if address.contains(':') { " nodad" } else { "" };
            format!("address add {address} dev {name}{flags}")
        }));
    }
    for (link, destination, gateway, metric) in ROUTES {
        let gateway = gateway.map_or(String::new(), |ip| format!(" via {ip}"));
        lines.push(format!(
            "route add {destination}{gateway} dev {link} metric {metric}"
        ));
    }
    lines.join("\n") + "\n"
}

/// Makes the links in the network namespace of a process.
fn set_up_network(ip: PathBuf, nsenter: PathBuf, pid: i32) {
    let mut child = Command::new(nsenter)
        .args(["--target", &pid.to_string(), "--net"])
        .arg(ip)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(ip_batch().as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success(), "ip failed");
}

/// The layout as Talos has it.
fn set_up_talos(apid: &Apid) {
    scene::single_nic(apid);
    apid.remove_address("eth0", "fe80::250:56ff:feab:cdef/64");
    apid.remove_route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    apid.set_hostname(&kernel_host_name(), DOMAINS[0]);
    for (index, link) in (2..).zip(&NICS) {
        apid.set_link(link.name, scene::nic(index, link.mac));
        for address in link.addresses {
            if address.starts_with("fe80:") {
                apid.set_address(link.name, address);
            } else {
                apid.set_static_address(link.name, address);
            }
        }
    }
    for (link, destination, gateway, metric) in ROUTES.iter().chain(&CONNECTED) {
        apid.set_route(link, destination, *gateway, *metric);
    }
    apid.set_resolver(&SERVERS, &DOMAINS);
    let routable: Vec<_> = NICS
        .iter()
        .flat_map(|link| link.addresses)
        .copied()
        .filter(|address| !address.starts_with("fe80:"))
        .collect();
    apid.set_node_address("default", &routable[..1]);
    for id in ["current", "routed", "current-no-k8s", "routed-no-k8s"] {
        apid.set_node_address(id, &routable);
    }
}

/// vmtoolsd in the layout; `None` (said loudly) when something for it is not installed.
fn vmtoolsd_of_layout(folder: &Folder) -> Option<Run> {
    let (ip, nsenter) = (installed("ip")?, installed("nsenter")?);
    let servers = SERVERS.map(|ip| format!("nameserver {ip}\n")).concat();
    let resolv = format!("{servers}search {}\n", DOMAINS.join(" "));
    let target = PathBuf::from("/etc/resolv.conf").canonicalize().unwrap();
    let sandbox = Sandbox {
        net_namespace: true,
        binds: vec![(folder.write("resolv.conf", &resolv), target)],
        ..Sandbox::default()
    };
    let run = Run::start(vmtoolsd_in(sandbox)?);
    set_up_network(ip, nsenter, run.pid());
    Some(run)
}

/// A NIC: MAC, addresses with prefix lengths.
type Addresses = BTreeSet<(String, BTreeSet<String>)>;
/// Destination, gateway, MAC of the NIC, metric.
type Routes = BTreeSet<(String, Option<IpAddr>, String, u32)>;

/// What both say, without what each puts in its own way.
#[derive(Debug, PartialEq, Eq)]
struct Common {
    nics: Addresses,
    ipv4_routes: Routes,
    /// Of the main table.
    ipv6_routes: Routes,
    host: Option<String>,
    domain: Option<String>,
    servers: Vec<IpAddr>,
    search: Vec<String>,
    ip_address: Option<String>,
}

fn text(entry: &IpEntry) -> String {
    format!("{}/{}", entry.address, entry.prefix)
}

fn routes(info: &NicInfo) -> Routes {
    let route = |route: &Route| {
        let mac = info.nics[route.nic as usize].mac.clone();
        let destination = format!("{}/{}", route.destination, route.prefix);
        (destination, route.next_hop, mac, route.metric)
    };
    let all: Routes = info.routes.iter().map(route).collect();
    assert_eq!(all.len(), info.routes.len(), "a route twice: {info:#?}");
    all
}

/// Whether a route is in the kernel's table `local`: an address of the machine's own, or multicast.
fn is_local(destination: &str, info: &NicInfo) -> bool {
    let own = |entry: &IpEntry| format!("{}/128", entry.address) == destination;
    destination == "ff00::/8" || info.nics.iter().flat_map(|nic| &nic.ips).any(own)
}

impl Common {
    fn of(info: &NicInfo) -> Self {
        let (ipv4, ipv6): (Routes, Routes) = routes(info)
            .into_iter()
            .partition(|(destination, ..)| !destination.contains(':'));
        let nic = |nic: &Nic| {
            let addresses: BTreeSet<_> = nic.ips.iter().map(text).collect();
            assert_eq!(addresses.len(), nic.ips.len(), "an address twice: {nic:#?}");
            (nic.mac.clone(), addresses)
        };
        let dns = info.dns.clone().unwrap_or_default();
        Self {
            nics: info.nics.iter().map(nic).collect(),
            ipv4_routes: ipv4,
            ipv6_routes: ipv6
                .into_iter()
                .filter(|(destination, ..)| !is_local(destination, info))
                .collect(),
            host: dns.host,
            domain: dns.domain,
            servers: dns.servers,
            search: dns.suffixes,
            ip_address: info.primary().map(|ip| ip.to_string()),
        }
    }
}

/// The list once it is as wanted, or as it is when time is up.
fn settled(run: &Run, is_so: impl Fn(&NicInfo) -> bool) -> NicInfo {
    let view = run.wait_vcenter("the whole list", SOON, |view| {
        view.nics_type == Some(10) && view.nics.as_ref().is_some_and(&is_so)
    });
    // Whoever compares shows what is missing.
    view.unwrap_or_else(|_late| run.vcenter()).nics.unwrap()
}

#[test]
fn nics_routes_and_name_servers_are_those_of_vmtoolsd() {
    let folder = Folder::new();
    let Some(their_run) = vmtoolsd_of_layout(&folder) else {
        return;
    };
    let talos = Talos::with(set_up_talos);
    let config = talos
        .folder
        .write("config.yaml", "network: {report_link_local: true}\n");
    let our_run = Run::start(talos.agent().args(["--config"]).args([config]));
    our_run.informed();
    let told = ROUTES.len() + CONNECTED.len();
    let ours = settled(&our_run, |info| {
        info.nics.len() == NICS.len() && info.routes.len() == told && info.dns.is_some()
    });
    let expected = Common::of(&ours);
    // vmtoolsd may look while the links are made, and looks again every second.
    let theirs = settled(&their_run, |info| Common::of(info) == expected);
    assert_eq!(expected, Common::of(&theirs), "ours, theirs");

    // Both could be wrong in the same way.
    assert_eq!(expected.ip_address.as_deref(), Some(PRIMARY));
    for link in &NICS {
        let mac = link.mac.map(|byte| format!("{byte:02x}")).join(":");
        let addresses = link.addresses.iter().map(|&text| text.to_owned()).collect();
        assert!(expected.nics.contains(&(mac, addresses)), "{}", link.name);
    }
    assert_eq!(
        expected.ipv4_routes.len() + expected.ipv6_routes.len(),
        told
    );
    let servers = SERVERS.map(|ip| ip.parse::<IpAddr>().unwrap());
    assert_eq!(expected.servers, servers);
    assert_eq!(expected.search, DOMAINS);

    // The known differences; where one goes away, this test and its head are to be changed.
    let entries = |info: &NicInfo| -> Vec<IpEntry> {
        info.nics.iter().flat_map(|nic| nic.ips.clone()).collect()
    };
    for entry in entries(&theirs) {
        let state = if entry.address.is_ipv4() {
            "preferred"
        } else {
            "unknown"
        };
        assert_eq!((entry.state(), entry.source()), (state, None), "{entry:?}");
    }
    for entry in entries(&ours) {
        assert_eq!(entry.state(), "preferred", "{entry:?}");
        let configured = (entry.source() == Some("manual")) != text(&entry).starts_with("fe80:");
        assert!(configured, "{entry:?}");
    }
    let local = |info: &NicInfo| {
        let mut routes = routes(info).into_iter();
        routes.any(|(destination, ..)| is_local(&destination, info))
    };
    assert_eq!((local(&ours), local(&theirs)), (false, true));
    let name = kernel_host_name();
    assert_eq!(our_run.vcenter().host_name.as_ref(), Some(&name));
    assert_eq!(their_run.vcenter().host_name, Some(name));
}
