//! When the host gets a list of NICs: with the first address of a family goes its default route, and that addresses
//! are gone is said, though not at once.

use super::host::{Host, default_route, ms, node};
use crate::facts::Facts;

const NICS: &str = "> SetGuestInfo  10 00:50:56:01:02:03=";
const GOOD: &[&str] = &["10.0.0.5"];
/// How long an address waits for its default route.
const ROUTE_WAIT: u64 = 1500;
/// How long the host keeps addresses that are gone.
const GRACE: u64 = 20_000;

fn nics(heard: Vec<String>) -> Vec<String> {
    let list = |line: &String| line.strip_prefix(NICS).map(str::to_owned);
    heard.iter().filter_map(list).collect()
}

/// The values that guestinfo.ip was set to.
fn ips(heard: &[String]) -> Vec<String> {
    let value = |line: &String| {
        let value = line.strip_prefix("> info-set guestinfo.ip ")?;
        Some(value.replace(r"\x00", ""))
    };
    heard.iter().filter_map(value).collect()
}

fn without_routes(addresses: &[&str]) -> Facts {
    let mut facts = node("cp1", addresses);
    facts.network.routes = Some([].into());
    facts
}

/// A host that has heard nothing of the network yet.
fn host_without_nics() -> Host {
    let mut host = Host::new();
    host.connect();
    host.facts(&Facts {
        addresses: None,
        ..node("cp1", &[])
    });
    host.pass(ms(1000));
    host.take();
    host
}

#[test]
fn a_nic_is_shown_before_it_has_an_address() {
    let mut host = host_without_nics();
    host.request(b"Set_Option broadcastIP 1");
    host.facts(&node("cp1", &[]));
    host.pass(ms(100));
    assert_eq!(nics(host.take()), [""]);
    host.facts(&node("cp1", &["fe80::1"]));
    host.pass(ms(100));
    assert_eq!(nics(host.take()), ["fe80::1"]);
    host.facts(&node("cp1", &["10.0.0.5", "fe80::1"]));
    host.pass(ms(100));
    let heard = host.take();
    assert_eq!(ips(&heard), ["10.0.0.5"]);
    assert_eq!(nics(heard), ["10.0.0.5"]);
}

#[test]
fn addresses_that_are_gone_leave_the_host_within_30_s_and_never_at_once() {
    let mut unplugged = node("cp1", GOOD);
    unplugged.links.as_mut().unwrap()[0].up = false;
    for (bare, shown) in [
        (unplugged, None),
        (node("cp1", &[]), Some("")),
        (node("cp1", &["fe80::1"]), Some("fe80::1")),
    ] {
        let mut host = Host::with_node(&node("cp1", GOOD));
        host.request(b"Set_Option broadcastIP 1");
        host.take();
        host.facts(&bare);
        host.pass(ms(GRACE - 100));
        let heard = host.take();
        assert_eq!((nics(heard.clone()).len(), ips(&heard).len()), (0, 0));
        host.pass(ms(30_000 - GRACE + 100));
        let heard = host.take();
        assert_eq!(ips(&heard), [" "], "no host takes an empty value");
        if let Some(shown) = shown {
            assert_eq!(nics(heard), [shown]);
        } else {
            assert!(
                heard.contains(&"> SetGuestInfo  10 ".to_owned()),
                "{heard:?}"
            );
        }
        host.facts(&node("cp1", GOOD));
        host.pass(ms(100));
        let heard = host.take();
        assert_eq!(ips(&heard), GOOD);
        assert_eq!(nics(heard), GOOD, "at once, it had been there");
    }
}

#[test]
fn addresses_that_come_back_in_time_have_never_been_gone() {
    let mut host = Host::with_node(&node("cp1", GOOD));
    host.request(b"Set_Option broadcastIP 1");
    host.take();
    for _ in 0..3 {
        host.facts(&node("cp1", &[]));
        host.pass(ms(GRACE - 100));
        // Not quiet yet when the time is up.
        host.facts(&node("cp1", GOOD));
        host.pass(ms(150));
    }
    host.facts(&node("cp1", &[]));
    host.pass(ms(GRACE + 20));
    host.facts(&node("cp1", GOOD));
    host.pass(ms(60_000));
    let heard = host.take();
    assert_eq!((nics(heard.clone()).len(), ips(&heard).len()), (0, 0));
}

#[test]
fn a_host_that_has_forgotten_is_never_shown_what_is_known_to_be_wrong() {
    for request in [b"reset".as_slice(), b"OS_Resume"] {
        let mut host = Host::with_node(&node("cp1", GOOD));
        host.request(b"Set_Option broadcastIP 1");
        host.facts(&node("cp1", &["fe80::1"]));
        host.pass(ms(100));
        let heard = host.ask(request);
        assert_eq!(ips(&heard), [" "]);
        assert_eq!(nics(heard), ["fe80::1"]);
        host.pass(ms(60_000));
        assert!(nics(host.take()).is_empty());
    }
    let mut host = Host::with_node(&node("cp1", GOOD));
    host.facts(&node("cp1", &[]));
    host.pass(ms(100));
    host.lose();
    host.take();
    host.pass(ms(600_000));
    host.take();
    host.connect();
    assert_eq!(nics(host.take()), [""]);
}

#[test]
fn what_is_not_known_any_more_takes_nothing_back() {
    let mut host = Host::with_node(&node("cp1", GOOD));
    host.request(b"Set_Option broadcastIP 1");
    host.take();
    host.facts(&Facts::default());
    host.pass(ms(60_000));
    let heard = host.take();
    assert_eq!((nics(heard.clone()).len(), ips(&heard).len()), (0, 0));
    assert_eq!(nics(host.ask(b"reset")), GOOD);
}

#[test]
fn what_becomes_unknown_in_a_wait_is_waited_for_no_longer() {
    let mut host = Host::with_node(&node("cp1", GOOD));
    host.facts(&node("cp1", &[]));
    host.pass(ms(1000));
    host.facts(&Facts::default());
    host.pass(ms(60_000));
    let mut host = host_without_nics();
    host.facts(&without_routes(GOOD));
    host.pass(ms(1000));
    host.facts(&Facts::default());
    host.pass(ms(60_000));
    assert!(nics(host.take()).is_empty());
}

#[test]
fn the_first_address_waits_for_its_default_route_and_guestinfo_ip_does_not() {
    let mut host = host_without_nics();
    host.request(b"Set_Option broadcastIP 1");
    host.facts(&without_routes(GOOD));
    host.pass(ms(1000));
    let heard = host.take();
    assert_eq!(ips(&heard), GOOD);
    assert!(nics(heard).is_empty());
    host.facts(&node("cp1", GOOD));
    host.pass(ms(50));
    assert_eq!(nics(host.take()), GOOD);
    host.pass(ms(60_000));
    assert!(nics(host.take()).is_empty());
}

#[test]
fn a_default_route_that_never_comes_costs_one_and_a_half_seconds_once() {
    let mut host = host_without_nics();
    host.facts(&without_routes(GOOD));
    host.pass(ms(ROUTE_WAIT));
    assert!(nics(host.take()).is_empty());
    host.pass(ms(100));
    assert_eq!(nics(host.take()), GOOD);
    host.facts(&without_routes(&["10.0.0.6"]));
    host.pass(ms(50));
    assert_eq!(nics(host.take()), ["10.0.0.6"]);
    // Changes meanwhile do not make the wait longer.
    let mut host = host_without_nics();
    for last in 0..16 {
        host.facts(&without_routes(&[&format!("10.0.0.{last}")]));
        host.pass(ms(100));
    }
    host.pass(ms(100));
    assert_eq!(nics(host.take()).last().unwrap(), "10.0.0.15");
}

#[test]
fn a_family_without_a_default_route_does_not_hold_up_the_other() {
    let mut host = host_without_nics();
    host.facts(&node("cp1", &["10.0.0.5", "fd00::5"]));
    host.pass(ms(50));
    assert_eq!(nics(host.take()), ["10.0.0.5"]);
    host.facts(&node("cp1", &["10.0.0.5", "10.0.0.6", "fd00::5"]));
    host.pass(ms(50));
    assert_eq!(nics(host.take()), ["10.0.0.5,10.0.0.6"]);
    let mut routed = node("cp1", &["10.0.0.5", "10.0.0.6", "fd00::5"]);
    routed.network.routes = Some(
        [
            default_route("0.0.0.0", "10.0.0.1"),
            default_route("::", "fd00::1"),
        ]
        .into(),
    );
    host.facts(&routed);
    host.pass(ms(50));
    assert_eq!(nics(host.take()), ["10.0.0.5,10.0.0.6,fd00::5"]);
    // Without its route it comes after the wait.
    let mut host = host_without_nics();
    host.facts(&node("cp1", &["10.0.0.5", "fd00::5"]));
    host.pass(ms(ROUTE_WAIT + 100));
    assert_eq!(nics(host.take()), ["10.0.0.5", "10.0.0.5,fd00::5"]);
}

#[test]
fn with_the_default_route_there_nothing_waits() {
    let mut host = host_without_nics();
    host.facts(&node("cp1", GOOD));
    host.pass(ms(50));
    assert_eq!(nics(host.take()), GOOD);
}

#[test]
fn an_address_of_which_half_is_known_is_not_gone() {
    let mut on_a_bridge_not_shown_yet = node("cp1", GOOD);
    for address in on_a_bridge_not_shown_yet.addresses.as_mut().unwrap() {
        (address.link_index, address.link_name) = (77, "br0".into());
    }
    let mut in_one_list_of_two = node("cp1", &["10.0.0.9"]);
    let lists = in_one_list_of_two.node_addresses.as_mut().unwrap();
    lists.current = vec!["10.0.0.9".parse().unwrap()];
    lists.current_no_k8s = vec!["10.0.0.5".parse().unwrap()];
    for half in [on_a_bridge_not_shown_yet, in_one_list_of_two] {
        let mut host = Host::with_node(&node("cp1", GOOD));
        host.request(b"Set_Option broadcastIP 1");
        host.take();
        host.facts(&half);
        host.pass(ms(10 * GRACE));
        let heard = host.take();
        assert_eq!((ips(&heard).len(), nics(heard).len()), (0, 0));
    }
}

#[test]
fn a_list_without_any_nic_is_no_first_word() {
    let mut host = host_without_nics();
    let none = Facts {
        links: Some(Vec::new()),
        ..node("cp1", &[])
    };
    host.facts(&none);
    host.pass(ms(4900));
    assert!(
        !host
            .take()
            .iter()
            .any(|line| line.contains("SetGuestInfo  10"))
    );
    host.pass(ms(200));
    assert!(
        host.take()
            .iter()
            .any(|line| line.contains("SetGuestInfo  10"))
    );
}
