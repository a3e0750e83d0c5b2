//! What vCenter shows, kept for `make readers` (tests/readers): a file of JSON for each moment, in the folder that
//! `SEEN` names.

use std::path::PathBuf;
use std::time::Duration;

use layouts::{LinkType, Moment, Node, Parent, Prefix};
use serde_json::{Value, json};

use crate::support::Run;

/// Long enough for a name that comes after the addresses.
const NAMED: Duration = Duration::from_secs(2);

/// Writes what is shown now, with what there is on the node and what its operator wants.
pub(super) fn keep(name: &str, number: usize, moment: &Moment, run: &Run) {
    let Some(folder) = std::env::var_os("SEEN").map(PathBuf::from) else {
        return;
    };
    let Some(wanted) = &moment.wanted else {
        panic!(
            "tests/layouts/{name}.yaml: the key `wanted` is missing: what must readers of vCenter find of this node?"
        );
    };
    // A name that does not come is for the readers to complain of.
    let is_named = |view: &vmx::Vcenter| view.host_name.as_ref() == Some(&wanted.name);
    drop(run.wait_vcenter("the name", NAMED, is_named));
    let node = &moment.node;
    let seen = json!({
        "layout": name,
        "moment": number,
        "wanted": wanted,
        "first": wanted.first(node),
        "kubelet": node.kubelet_node_ips.clone().unwrap_or_default(),
        "devices": devices(node),
        "addresses": addresses(node),
        "gateways": gateways(node),
        "vcenter": run.vcenter(),
    });
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.{number}.json"));
    std::fs::write(path, serde_json::to_vec_pretty(&seen).unwrap()).unwrap();
}

/// The virtual machine's NICs, in its order, and whether the node has given each an address. Talos in a container
/// has none, and its links stand for them.
fn devices(node: &Node) -> Vec<Value> {
    let is_there = node.links.iter().any(layouts::Link::is_physical);
    let nics = node
        .links
        .iter()
        .filter(|link| link.is_physical() || (!is_there && matches!(link.r#type, LinkType::Ether)));
    nics.map(|link| {
        let mac = link.permanent_mac().or(link.mac).unwrap().0;
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        json!({
            "mac": mac.join(":"),
            "bare": !link.up || link.master.is_some() || !is_used(node, &link.name),
        })
    })
    .collect()
}

/// Whether an address that works is on the link, or on one that stands upon it.
fn is_used(node: &Node, link: &str) -> bool {
    let carries = |name: &str| {
        let mut there = node.addresses.iter().filter(|it| it.link == name);
        there.any(|it| it.flags() & layouts::Flag::DadFailed as u32 == 0)
    };
    let mut above = node
        .links
        .iter()
        .filter(|upper| upper.up && upper.parent == Some(Parent::Name(link.to_owned())));
    carries(link) || above.any(|upper| carries(&upper.name))
}

/// The node's addresses: which are virtual ones, and which are pods', services' or a tunnel's.
fn addresses(node: &Node) -> Vec<Value> {
    node.addresses
        .iter()
        .map(|it| {
            let kind = node.link(&it.link).map_or("", |link| &link.kind);
            let is_tunnel = matches!(kind, "veth" | "vxlan" | "ipip" | "wireguard");
            let of_kubernetes = |net: &Prefix| net.contains(it.address.ip);
            let spec = it.spec.as_deref().unwrap_or_default();
            json!({
                "address": it.address.to_string(),
                "virtual": spec.starts_with("vip/"),
                "pods": is_tunnel || node.kubernetes.iter().any(of_kubernetes),
            })
        })
        .collect()
}

/// The gateways of the default routes that count.
fn gateways(node: &Node) -> Vec<Value> {
    let routes = node
        .routes
        .iter()
        .filter(|route| route.table == layouts::Route::MAIN && route.destination().length == 0);
    routes
        .filter_map(|route| route.gateway.map(|gateway| json!(gateway)))
        .collect()
}
