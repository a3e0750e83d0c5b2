//! What vCenter shows of a node's network, in the words of tests/layouts.

use std::collections::BTreeMap;

use apid::scene;
use layouts::{Dns, Moment, Network, Nic, Node, Shown};
use vmx::Vcenter;
use vmx::codec::nic_info::{self, Dhcp};

use crate::support::{Run, SOON, Talos};

/// A node and the agent on it.
pub(super) struct Showing {
    pub(super) talos: Talos,
    pub(super) run: Run,
}

impl Showing {
    /// Starts the agent on the node as it first is.
    pub(super) fn of(moment: &Moment) -> Self {
        let answer = moment.shown.clone().unwrap_or_default();
        Self::under(&moment.node, &Network::default(), &answer)
    }

    /// Starts the agent on the node with these settings, and waits for what the answer leads to expect.
    pub(super) fn under(node: &Node, network: &Network, answer: &Shown) -> Self {
        let talos = Talos::with(|apid| scene::layout(apid, node));
        let run = if *network == Network::default() {
            Run::start(talos.agent())
        } else {
            let config = talos.folder.write("config.yaml", &network.config_file());
            Run::start(talos.agent().args(["--config"]).args([config]))
        };
        run.green();
        run.sees("name and address", SOON, |view| {
            view.host_name.is_some() && view.ip_address.as_deref() == guest_ip(answer).as_deref()
        });
        Self { talos, run }
    }

    /// The agent shows exactly this of the node as it is now: after its changes, and to a host that has forgotten
    /// everything.
    pub(super) fn is(&self, answer: &Shown) {
        let answer = &of_the_host(answer);
        self.comes_to(answer);
        let sent = self.run.sent("SetGuestInfo  10 ").len();
        self.run.asked("reset");
        self.run.until_sent("SetGuestInfo  10 ", sent + 1, SOON);
        self.comes_to(answer);
    }

    fn comes_to(&self, answer: &Shown) {
        let is_it = |view: &Vcenter| shown(view, answer) == *answer;
        if self.run.wait_vcenter("the layout", SOON, is_it).is_err() {
            let found = shown(&self.run.vcenter(), answer);
            assert!(
                found == *answer,
                "this is shown\n\n{found}\nand must be\n\n{answer}"
            );
        }
    }
}

/// An answer without what only we know: the names of links, and reasons.
fn of_the_host(answer: &Shown) -> Shown {
    let mut answer = Shown {
        guest_ip_address: guest_ip(answer).and_then(|ip| ip.parse().ok()),
        left_out: BTreeMap::new(),
        cut: Vec::new(),
        ..answer.clone()
    };
    for nic in &mut answer.net {
        nic.name.clear();
    }
    answer
}

/// guest.ipAddress.
fn guest_ip(answer: &Shown) -> Option<String> {
    let ip = answer.ip_address.or(answer.guest_ip_address);
    ip.map(|ip| ip.to_string())
}

/// What vCenter shows; the host name if the answer has it.
fn shown(view: &Vcenter, answer: &Shown) -> Shown {
    let mut shown = Shown {
        ip_address: view.variables.get("ip").and_then(|ip| {
            let ip = ip.trim();
            (!ip.is_empty()).then(|| ip.parse().unwrap())
        }),
        guest_ip_address: view.ip_address.as_deref().map(|ip| ip.parse().unwrap()),
        host_name: view
            .host_name
            .clone()
            .filter(|_| answer.host_name.is_some()),
        ..Shown::default()
    };
    if let Some(info) = &view.nics {
        assert_eq!((info.wins, &info.dhcp4, &info.dhcp6), (None, &None, &None));
        shown.net = info.nics.iter().map(nic).collect();
        shown.routes = info.routes.iter().map(route).collect();
        shown.dns = info.dns.as_ref().map_or_else(Dns::default, dns);
    }
    shown
}

fn nic(nic: &nic_info::Nic) -> Nic {
    let enabled = |dhcp: &Option<Dhcp>| {
        let Dhcp { enabled, settings } = dhcp.as_ref()?;
        assert_eq!(settings, "");
        Some(*enabled)
    };
    let address = |ip: &nic_info::IpEntry| {
        let origin = ip.source().unwrap_or("-");
        format!("{}/{} {} {origin}", ip.address, ip.prefix, ip.state())
    };
    let dns = nic.dns.as_ref().map_or_else(Dns::default, dns);
    assert_eq!((dns.host, dns.domain, dns.search), (None, None, Vec::new()));
    Nic {
        name: String::new(),
        mac: nic.mac.clone(),
        dhcp4: enabled(&nic.dhcp4),
        dhcp6: enabled(&nic.dhcp6),
        addresses: nic.ips.iter().map(address).collect(),
        servers: dns.servers,
    }
}

fn route(route: &nic_info::Route) -> String {
    assert_eq!(route.kind, 0);
    let via = route
        .next_hop
        .map_or(String::new(), |ip| format!(" via {ip}"));
    let nic_info::Route {
        destination,
        prefix,
        nic,
        metric,
        ..
    } = route;
    format!("{destination}/{prefix}{via} NIC {nic} metric {metric}")
}

fn dns(dns: &nic_info::Dns) -> Dns {
    Dns {
        host: dns.host.clone(),
        domain: dns.domain.clone(),
        servers: dns.servers.clone(),
        search: dns.suffixes.clone(),
    }
}
