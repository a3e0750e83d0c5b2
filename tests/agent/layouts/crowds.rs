//! Nodes with as many pods, routes and NICs as there are in the field: the answers are those of the layouts, however
//! many there are.

use layouts::{Address, Layout, Link, Node, Parent, Protocol, Route};

use super::shown::Showing;
use crate::support::SOON;

/// A pod's veth with its link-local address; the peer has its number in the pod's network namespace.
fn add_pod(node: &mut Node, name: &str, index: u32, peer: u32, address: &str) {
    let mut veth = Link::new(name, index, "veth", [0xee; 6]);
    veth.parent = Some(Parent::Index(peer));
    node.set_link(veth);
    node.set_address(Address::new(name, address.parse().unwrap()));
}

#[test]
fn cilium_with_sixty_interfaces() {
    let layout = Layout::named("cilium");
    let answer = layout.first().shown.clone().unwrap();
    let mut moment = layout.first().clone();
    for pod in 0..56 {
        let index = 11 + 2 * pod;
        let name = format!("lxc{:012x}", u64::from(index) * 0x9e37_79b9);
        add_pod(
            &mut moment.node,
            &name,
            index,
            index - 1,
            &format!("fe80::{index:x}/64"),
        );
    }
    let showing = Showing::of(&moment);
    showing.is(&answer);
    // Pods come and go.
    let sent = showing.run.sent("SetGuestInfo  10 ").len();
    add_pod(
        &mut moment.node,
        "lxc0123456789ab",
        200,
        199,
        "fe80::200/64",
    );
    "talos-worker-2".clone_into(&mut moment.node.hostname.hostname);
    showing.talos.lay(&moment.node);
    let mut renamed = answer;
    renamed.dns.host = Some("talos-worker-2".to_owned());
    showing.is(&renamed);
    // Once for the name, once for the reset.
    assert_eq!(showing.run.sent("SetGuestInfo  10 ").len(), sent + 2);
}

#[test]
fn calico_with_sixty_pods_and_more_routes_than_a_host_takes() {
    let layout = Layout::named("calico");
    let mut moment = layout.first().clone();
    for index in 7..65 {
        let name = format!("cali{index:011x}");
        add_pod(
            &mut moment.node,
            &name,
            index,
            2,
            "fe80::ecee:eeff:feee:eeee/64",
        );
        moment.node.routes.push(Route {
            dst: Some(format!("10.244.7.{index}/32").parse().unwrap()),
            ..main_route(&name)
        });
    }
    let showing = Showing::of(&moment);
    showing.is(layout.first().shown.as_ref().unwrap());
    // A cluster of more nodes than a host takes routes: the default routes stay, IPv6's as well.
    for node in 0..120 {
        moment.node.routes.push(Route {
            dst: Some(format!("10.245.{node}.0/26").parse().unwrap()),
            gateway: Some([192, 168, 1, 23].into()),
            protocol: Protocol::Bird,
            ..main_route("ens192")
        });
    }
    showing.talos.lay(&moment.node);
    let full = |info: &vmx::codec::nic_info::NicInfo| info.routes.len() == 100;
    let view = showing.run.sees("100 routes", SOON, |view| {
        view.nics.as_ref().is_some_and(full)
    });
    let routes = view.nics.unwrap().routes;
    assert_eq!(routes.iter().filter(|route| route.prefix == 0).count(), 2);
    assert_eq!(routes[99].next_hop, Some("fe80::1".parse().unwrap()));
}

fn main_route(link: &str) -> Route {
    Route {
        link: link.to_owned(),
        table: Route::MAIN,
        ..Route::default()
    }
}

#[test]
fn the_log_names_the_nics_that_are_too_many() {
    let layout = Layout::named("forty-nics");
    let answer = layout.first().shown.as_ref().unwrap();
    assert!(!answer.cut.is_empty());
    let showing = Showing::of(layout.first());
    let line = showing.run.logs(&["more NICs than a host takes"], SOON);
    for name in &answer.cut {
        assert!(line.contains(name.as_str()), "{name} is missing: {line}");
    }
}
