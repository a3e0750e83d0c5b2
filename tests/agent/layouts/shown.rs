//! What vCenter shows of a node's network, as text.

use std::fmt::Write as _;

use vmx::Vcenter;
use vmx::codec::nic_info::{Dhcp, Dns, Nic, Route};

use super::node::Layout;
use crate::support::{Run, SOON};

/// guest.ipAddress, the variable guestinfo.ip where it is another one, guest.net, and the routes and name servers
/// of guest.ipStack. Numbers are those of the NICs, from 0.
fn text(view: &Vcenter) -> String {
    let ip = view.ip_address.as_deref().unwrap_or("none");
    let mut text = format!("{ip}\n");
    let variable = view.variables.get("ip");
    if variable.is_none_or(|variable| variable != ip) {
        let _ = writeln!(text, "guestinfo.ip {variable:?}");
    }
    let Some(info) = &view.nics else {
        return text;
    };
    for (number, nic) in info.nics.iter().enumerate() {
        write_nic(&mut text, number, nic);
    }
    for route in &info.routes {
        write_route(&mut text, route);
    }
    if let Some(dns) = &info.dns {
        let name = dns.host.as_deref().unwrap_or("no name");
        let domain = dns
            .domain
            .as_deref()
            .map_or(String::new(), |domain| format!(" in {domain}"));
        let _ = writeln!(text, "{name}{domain}{}", servers(dns));
    }
    assert_eq!((info.wins, &info.dhcp4, &info.dhcp6), (None, &None, &None));
    text
}

fn write_nic(text: &mut String, number: usize, nic: &Nic) {
    let dhcp = |version: u8, dhcp: &Option<Dhcp>| match dhcp {
        None => String::new(),
        Some(Dhcp { enabled, settings }) => {
            assert_eq!(settings, "");
            format!(", DHCPv{version} {}", if *enabled { "on" } else { "off" })
        }
    };
    let dns = nic.dns.as_ref().map_or(String::new(), servers);
    let (v4, v6) = (dhcp(4, &nic.dhcp4), dhcp(6, &nic.dhcp6));
    let _ = writeln!(text, "{number}: {}{v4}{v6}{dns}", nic.mac);
    for ip in &nic.ips {
        let origin = ip.source().unwrap_or("-");
        let _ = writeln!(
            text,
            "   {}/{} {} {origin}",
            ip.address,
            ip.prefix,
            ip.state()
        );
    }
}

fn write_route(text: &mut String, route: &Route) {
    let to = format!("{}/{}", route.destination, route.prefix);
    let via = route
        .next_hop
        .map_or(String::new(), |ip| format!(" via {ip}"));
    let _ = writeln!(text, "{to}{via} NIC {} metric {}", route.nic, route.metric);
    assert_eq!(route.kind, 0);
}

fn servers(dns: &Dns) -> String {
    let list = |items: Vec<String>| items.join(" ");
    let mut text = String::new();
    if !dns.servers.is_empty() {
        let servers = dns.servers.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", asks {}", list(servers));
    }
    if !dns.suffixes.is_empty() {
        let _ = write!(text, ", searches {}", list(dns.suffixes.clone()));
    }
    text
}

/// A node and the agent on it.
pub(super) struct Shown {
    pub(super) node: Layout,
    pub(super) run: Run,
}

impl Shown {
    /// Starts the agent on the node.
    pub(super) fn of(node: Layout) -> Self {
        let run = node.talos.run();
        Self { node, run }
    }

    /// Starts the agent on the node, with this configuration file.
    pub(super) fn with_config(node: Layout, config: &str) -> Self {
        let config = node.talos.folder.write("config.yaml", config);
        let run = Run::start(node.talos.agent().args(["--config"]).args([config]));
        run.informed();
        Self { node, run }
    }

    /// The agent tells exactly this of the node as it is now: after its changes, and to a host that has forgotten
    /// everything.
    pub(super) fn is(&self, expected: &str) {
        let expected = expected.trim_start();
        self.comes_to(expected);
        let told = self.run.sent("SetGuestInfo  10 ").len();
        self.run.asked("reset");
        self.run.until_sent("SetGuestInfo  10 ", told + 1, SOON);
        self.comes_to(expected);
    }

    fn comes_to(&self, expected: &str) {
        let so = self
            .run
            .wait_vcenter("the layout", SOON, |view| text(view) == expected);
        if so.is_err() {
            assert_eq!(text(&self.run.vcenter()), expected);
        }
    }
}
