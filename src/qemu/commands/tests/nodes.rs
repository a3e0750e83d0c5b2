//! Interfaces and routes of every node of tests/layouts: the same NICs as for VMware, and `lo`.

use std::net::IpAddr;

use layouts::Layout;

use super::*;

layouts::test_each!(shows);

fn shows(name: &str) {
    let layout = Layout::named(name);
    for (number, moment) in layout.moments.iter().enumerate() {
        let Some(shown) = &moment.shown else { continue };
        let mut bench = Bench::of(&known(of_layout::facts(&moment.node)));
        bench.send(r#"{"execute": "guest-network-get-interfaces"}"#);
        bench.measured(Subject::Traffic, Measured::Failed);
        let replies = bench.replies();
        let interfaces = replies[0]["return"].as_array().unwrap();
        let place = format!("tests/layouts/{name}.yaml, moment {number}: {interfaces:#?}");
        if let Some(primary) = shown.ip_address {
            let first = &interfaces[0]["ip-addresses"][0];
            assert_eq!(first["ip-address"], primary.to_string(), "{place}");
        }
        let (last, nics) = interfaces.split_last().unwrap();
        let has_loopback = moment.node.links.iter().any(|link| link.name == "lo");
        let nics = if has_loopback {
            assert_eq!(last["name"], "lo", "{place}");
            nics
        } else {
            &interfaces[..]
        };
        // The layouts' answers are those of a host that takes ten NICs.
        assert!(nics.len() >= shown.net.len(), "{place}");
        for nic in &shown.net {
            let found = nics.iter().find(|it| it["hardware-address"] == nic.mac);
            let found = found.unwrap_or_else(|| panic!("{} is missing, {place}", nic.mac));
            assert_eq!(found["name"], nic.name, "{place}");
            let found = found["ip-addresses"].as_array().unwrap();
            let addresses: Vec<_> = found
                .iter()
                .map(|it| format!("{}/{}", it["ip-address"].as_str().unwrap(), it["prefix"]))
                .collect();
            let expected: Vec<_> = nic
                .addresses
                .iter()
                .map(|text| text.split(' ').next().unwrap())
                .collect();
            assert_eq!(addresses, expected, "{place}");
        }
        for route in bench.get("guest-network-get-route").as_array().unwrap() {
            let destination: IpAddr = route["destination"].as_str().unwrap().parse().unwrap();
            assert_eq!(route["version"], if destination.is_ipv4() { 4 } else { 6 });
            let known = |nic: &Value| nic["name"] == route["iface"];
            assert!(nics.iter().any(known), "{route}, {place}");
        }
    }
}

#[test]
fn routes_have_the_members_of_their_family() {
    let mut bench = Bench::of(&node());
    let routes = bench.get("guest-network-get-route");
    let find = |destination: &str| {
        let mut routes = routes.as_array().unwrap().iter();
        let found = routes.find(|it| it["destination"] == destination);
        found.unwrap_or_else(|| panic!("{routes:?}")).clone()
    };
    assert_eq!(
        find("0.0.0.0"),
        json!({"iface": "eth0", "destination": "0.0.0.0", "mask": "0.0.0.0", "gateway": "10.5.0.1", "metric": 1024,
            "flags": 3, "version": 4})
    );
    assert_eq!(
        find("10.5.0.0"),
        json!({"iface": "eth0", "destination": "10.5.0.0", "mask": "255.255.255.0", "gateway": "0.0.0.0",
            "metric": 0, "flags": 1, "version": 4})
    );
    assert_eq!(
        find("fe80::"),
        json!({"iface": "eth0", "destination": "fe80::", "desprefixlen": "64", "nexthop": "::", "source": "::",
            "srcprefixlen": "0", "metric": 256, "flags": 1, "version": 6})
    );
}
