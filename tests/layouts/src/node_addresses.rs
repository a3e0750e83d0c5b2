//! NodeAddress as Talos makes it of links and addresses.
//!
//! What counts: scope below link, no loopback, multicast or link-local address, on a link that is up. `current` is
//! all of that, `routed` without SideroLink's; the lists `-no-k8s` and `-only-k8s` exist once there is a machine
//! config. All are sorted by address, whatever the links and the states. `default` is the first address of the
//! alphabetically first link, and stays for as long as it is there.
//! [siderolabs/talos: internal/app/machined/pkg/controllers/network/node_address.go,
//! controllers/k8s/address_filter.go, pkg/machinery/resources/network/ula.go]

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::node::is_link_local;
use crate::{Node, Prefix, Scope, Stage};

/// The eighth byte of SideroLink's addresses.
const SIDEROLINK: u8 = 0x03;

impl Node {
    /// Talos' lists of the node's addresses, by id: those that the file gives, else those that follow from links
    /// and addresses.
    pub fn node_addresses(&self) -> BTreeMap<String, Vec<Prefix>> {
        if let Some(given) = &self.given_lists {
            return given.clone();
        }
        let mut current: Vec<Prefix> = self.usable().into_iter().map(|(_, it)| it).collect();
        current.sort();
        current.dedup();
        let mut routed = current.clone();
        routed.retain(|it| !is_siderolink(it.ip));

        let default = self.sticky_default().into_iter().collect();
        let mut lists = BTreeMap::from([("default".to_owned(), default)]);
        for (id, list) in [("current", current), ("routed", routed)] {
            if self.stage == Stage::Running {
                let of_kubernetes =
                    |it: &Prefix| self.kubernetes.iter().any(|net| net.contains(it.ip));
                let (only, without) = list.iter().copied().partition(of_kubernetes);
                lists.insert(format!("{id}-only-k8s"), only);
                lists.insert(format!("{id}-no-k8s"), without);
            }
            lists.insert(id.to_owned(), list);
        }
        lists
    }

    /// Gives Talos' lists by hand, and no others; `None` lets them follow again.
    pub fn give_node_addresses(&mut self, lists: Option<BTreeMap<String, Vec<Prefix>>>) {
        self.given_lists = lists;
    }

    /// Keeps the list `default` for what comes next.
    pub(crate) fn settle(&mut self) {
        self.default_address = self.sticky_default();
    }

    fn sticky_default(&self) -> Option<Prefix> {
        let usable = self.usable();
        let is_there = |old: &Prefix| usable.iter().any(|(_, it)| it == old);
        self.default_address
            .filter(is_there)
            .or_else(|| usable.iter().min().map(|&(_, it)| it))
    }

    /// What counts, each with the name of its link.
    fn usable(&self) -> Vec<(&str, Prefix)> {
        self.addresses
            .iter()
            .filter(|it| it.scope() < Scope::Link && is_routable(it.address.ip))
            .filter(|it| self.link(&it.link).is_some_and(|link| link.up))
            .map(|it| (it.link.as_str(), it.address))
            .collect()
    }
}

fn is_routable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_multicast() && !is_link_local(ip)
}

fn is_siderolink(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.octets()[0] == 0xfd && ip.octets()[7] == SIDEROLINK)
}

#[cfg(test)]
mod tests {
    use crate::{Address, Link, Mac, Node, Prefix, Stage};

    fn list(node: &Node, id: &str) -> Option<Vec<String>> {
        let list = node.node_addresses().remove(id)?;
        Some(list.iter().map(ToString::to_string).collect())
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn the_lists_follow_links_and_addresses() {
        let mut node = Node {
            stage: Stage::Maintenance,
            ..Node::default()
        };
        let mac = |last| [0, 0x50, 0x56, 0, 0, last];
        node.set_link(Link {
            mac: Some(Mac([0; 6])),
            r#type: crate::LinkType::Loopback,
            ..Link::new("lo", 1, "", [0; 6])
        });
        node.set_link(Link::new("eth0", 2, "", mac(2)));
        node.set_link(Link::new("cni0", 3, "bridge", mac(3)));
        node.set_link(Link {
            up: false,
            ..Link::new("eth1", 4, "", mac(4))
        });
        for (link, address) in [
            ("lo", "127.0.0.1/8"),
            ("eth0", "10.5.0.9/24"),
            ("eth0", "10.5.0.5/32"),
            ("eth0", "fe80::9/64"),
            ("eth0", "fdae:41e4:649b:9303::1/64"),
            ("eth1", "10.4.0.9/24"),
            ("cni0", "10.244.0.1/24"),
        ] {
            node.set_address(Address::new(link, prefix(address)));
        }
        node.settle();
        let texts = |list: &[&str]| Some(list.iter().map(|&text| text.to_owned()).collect());
        let own = ["10.5.0.5/32", "10.5.0.9/24", "10.244.0.1/24"];
        assert_eq!(list(&node, "routed"), texts(&own));
        let current = [own[0], own[1], own[2], "fdae:41e4:649b:9303::1/64"];
        assert_eq!(list(&node, "current"), texts(&current));
        assert_eq!(list(&node, "default"), texts(&["10.244.0.1/24"]), "of cni0");
        assert_eq!(list(&node, "routed-no-k8s"), None);

        let of_cni0 = node.addresses.pop().unwrap();
        node.stage = Stage::Running;
        node.kubernetes = vec![prefix("10.244.0.0/16")];
        node.settle();
        assert_eq!(list(&node, "default"), texts(&own[..1]));
        node.set_address(of_cni0);
        node.settle();
        assert_eq!(list(&node, "default"), texts(&own[..1]), "it stays");
        assert_eq!(list(&node, "routed-no-k8s"), texts(&own[..2]));
        assert_eq!(list(&node, "routed-only-k8s"), texts(&own[2..]));
    }
}
