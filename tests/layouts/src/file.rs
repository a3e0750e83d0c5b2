//! The form of a file: a node, the answer, other settings, and changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::node::replace;
use crate::{
    Address, HostName, Lease, Link, Moment, Network, Node, Prefix, Resolver, Route, Shown, Stage,
    Wanted,
};

/// Pods and services of Talos' default configuration.
const KUBERNETES: [&str; 2] = ["10.244.0.0/16", "10.96.0.0/12"];

/// A file, and each of its changes: what is there or becomes so, what goes, and the answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    hostname: Option<HostName>,
    nodename: Option<String>,
    stage: Option<Stage>,
    #[serde(default)]
    links: Vec<Link>,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    routes: Vec<Route>,
    resolver: Option<Resolver>,
    #[serde(default)]
    leases: Vec<Lease>,
    kubernetes: Option<Vec<Prefix>>,
    kubelet_node_ips: Option<Vec<IpAddr>>,
    node_addresses: Option<BTreeMap<String, Vec<Prefix>>>,
    #[serde(default)]
    remove: Remove,
    wanted: Option<Wanted>,
    shown: Option<Shown>,
    #[serde(default)]
    under: Vec<Under>,
    #[serde(default)]
    then: Vec<Self>,
}

/// What goes.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    #[serde(default)]
    links: Vec<String>,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    leases: Vec<String>,
}

/// Other settings, and the answer under them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Under {
    network: Network,
    shown: Shown,
}

/// What a file says, moment by moment.
pub(crate) fn moments(text: &str) -> Result<Vec<Moment>, String> {
    let mut first: Change = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    if first.shown.is_none() {
        return Err("the key `shown` is missing: a layout without an answer shows nothing".into());
    }
    let mut node = Node {
        kubernetes: KUBERNETES.iter().filter_map(|it| it.parse().ok()).collect(),
        ..Node::default()
    };
    let then = std::mem::take(&mut first.then);
    let (mut moments, mut wanted) = (Vec::new(), None);
    for mut change in std::iter::once(first).chain(then) {
        if !change.then.is_empty() {
            return Err("`then` within `then`".into());
        }
        change.wanted = change.wanted.or_else(|| wanted.take());
        wanted.clone_from(&change.wanted);
        moments.push(change.make(&mut node)?);
    }
    Ok(moments)
}

impl Change {
    fn make(self, node: &mut Node) -> Result<Moment, String> {
        self.remove.make(node)?;
        node.hostname = self.hostname.unwrap_or_else(|| node.hostname.clone());
        node.nodename = self.nodename.or_else(|| node.nodename.take());
        node.stage = self.stage.unwrap_or(node.stage);
        node.resolver = self.resolver.or_else(|| node.resolver.take());
        node.kubernetes = self.kubernetes.unwrap_or_else(|| node.kubernetes.clone());
        node.kubelet_node_ips = self
            .kubelet_node_ips
            .or_else(|| node.kubelet_node_ips.take());
        node.given_lists = self.node_addresses.or_else(|| node.given_lists.take());
        for link in self.links {
            node.set_link(link);
        }
        for address in self.addresses {
            if node.link(&address.link).is_none() {
                return Err(format!(
                    "{}: there is no link {}",
                    address.address, address.link
                ));
            }
            node.set_address(address);
        }
        for route in self.routes {
            replace(&mut node.routes, route, Route::key);
        }
        for lease in self.leases {
            replace(&mut node.leases, lease, |lease| lease.client.clone());
        }
        node.settle();
        Ok(Moment {
            node: node.clone(),
            shown: self.shown,
            wanted: self.wanted,
            under: self
                .under
                .into_iter()
                .map(|Under { network, shown }| (network, shown))
                .collect(),
        })
    }
}

impl Remove {
    fn make(self, node: &mut Node) -> Result<(), String> {
        for name in self.links {
            take(&mut node.links, |link| link.name == name)?;
        }
        for gone in self.addresses {
            let same = |it: &Address| (&it.link, it.address) == (&gone.link, gone.address);
            take(&mut node.addresses, same)?;
        }
        for gone in self.routes {
            take(&mut node.routes, |route| route.key() == gone.key())?;
        }
        for client in self.leases {
            take(&mut node.leases, |lease| lease.client == client)?;
        }
        Ok(())
    }
}

fn take<T: std::fmt::Debug>(all: &mut Vec<T>, is: impl Fn(&T) -> bool) -> Result<(), String> {
    let before = all.len();
    all.retain(|it| !is(it));
    if all.len() == before {
        return Err(format!(
            "`remove` names what is not there; there is {all:?}"
        ));
    }
    Ok(())
}

impl Route {
    /// What tells routes apart.
    fn key(&self) -> (u8, Prefix, u32, String, Option<IpAddr>) {
        (
            self.table,
            self.destination(),
            self.priority,
            self.link.clone(),
            self.gateway,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::moments;
    use crate::Moment;

    fn trouble(text: &str) -> String {
        moments(text).unwrap_err()
    }

    #[test]
    fn what_is_misspelt_or_missing_is_named_with_its_line() {
        let unknown = trouble("links:\n  - {name: eth0, index: 2, colour: red}\nshown: {}\n");
        assert!(unknown.contains("unknown field `colour`") && unknown.contains("line 2"));
        let answer = trouble("links: []\nshown: {ip_addres: 10.0.0.5}\n");
        assert!(answer.contains("unknown field `ip_addres`"), "{answer}");
        let prefix = trouble("addresses: [{link: eth0, address: 10.0.0.5}]\nshown: {}\n");
        assert!(
            prefix.contains("\"10.0.0.5\" is not an address"),
            "{prefix}"
        );
        assert!(trouble("links: []\n").contains("`shown` is missing"));
        let link = trouble("addresses: [{link: eth9, address: 10.0.0.5/24}]\nshown: {}\n");
        assert!(link.contains("there is no link eth9"), "{link}");
        let gone = trouble("shown: {}\nthen: [{remove: {links: [eth9]}}]\n");
        assert!(gone.contains("not there"), "{gone}");
    }

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let text = "
links:
  - {name: eth0, index: 2, mac: \"00:50:56:00:00:02\"}
addresses:
  - {link: eth0, address: 10.0.0.5/24}
shown: {ip_address: 10.0.0.5}
then:
  - links: [{name: eth0, index: 2, mac: \"00:50:56:00:00:02\", up: false}]
  - remove: {addresses: [{link: eth0, address: 10.0.0.5/24}]}
";
        let moments = moments(text).unwrap();
        let seen: Vec<_> = moments
            .iter()
            .map(|it| {
                (
                    it.node.links[0].up,
                    it.node.addresses.len(),
                    it.shown.is_some(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [(true, 1, true), (false, 1, false), (false, 0, false)]
        );
    }

    #[test]
    fn what_is_wanted_stays_until_a_change_names_all_of_it() {
        let text = "
links: []
wanted: {name: w-7, ipv4: 10.0.0.5, ipv6: \"2001:db8::5\"}
shown: {}
then:
  - kubelet_node_ips: [\"2001:db8::5\", 10.0.0.5]
  - wanted: {name: w-7}
";
        let moments = moments(text).unwrap();
        let first = |it: &Moment| it.wanted.as_ref().unwrap().first(&it.node);
        let firsts: Vec<_> = moments.iter().map(first).collect();
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(firsts, [ip("10.0.0.5"), ip("2001:db8::5"), None]);

        let unknown = trouble("wanted: {name: w-7, ip: 10.0.0.5}\nshown: {}\n");
        assert!(unknown.contains("unknown field `ip`"), "{unknown}");
    }
}
