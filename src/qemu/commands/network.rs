//! guest-network-get-interfaces: the NICs as every host sees them, the primary one first, and `lo`.
//!
//! The addresses of what is stacked on a NIC are shown with it, since hosts find it by its hardware address. Hosts
//! take the first address for the node's.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::NOT_AVAILABLE;
use super::known::Known;
use super::step::Step;
use crate::facts::{Mac, Traffic};
use crate::front_end::Subject;
use crate::qemu::qmp::Error;

/// See the module.
pub(super) fn interfaces(_: &Known) -> Result<Step, Error> {
    Ok(Step::Measure(Subject::Traffic, answer))
}

fn answer(known: &Known, now: Duration) -> Result<Value, Error> {
    let network = known.network();
    let network = network.ok_or_else(|| Error::Generic(NOT_AVAILABLE.to_owned()))?;
    let holds = known.traffic.holds(now);
    let traffic = known.facts.network.traffic.as_ref().filter(|_| holds);
    let statistics = |name: &str| traffic?.get(name);
    let nics = network.nics.iter().map(|nic| {
        let addresses = nic.addresses.iter();
        let addresses = addresses.map(|it| address(it.ip, it.prefix_length));
        interface(
            &nic.name,
            nic.mac,
            addresses.collect(),
            statistics(&nic.name),
        )
    });
    Ok(nics.chain(loopback(known, statistics)).collect())
}

/// What the machine says to itself.
fn loopback<'a>(known: &Known, statistics: impl Fn(&str) -> Option<&'a Traffic>) -> Option<Value> {
    let mut links = known.facts.links.iter().flatten();
    let link = links.find(|link| link.arp_type == 772)?;
    let addresses = known.facts.addresses.iter().flatten();
    let addresses = addresses
        .filter(|it| it.link_name == link.name && it.ip.is_loopback())
        .map(|it| address(it.ip, it.prefix_length));
    let mac = link.mac.unwrap_or_default();
    Some(interface(
        &link.name,
        mac,
        addresses.collect(),
        statistics(&link.name),
    ))
}

fn interface(name: &str, mac: Mac, addresses: Value, statistics: Option<&Traffic>) -> Value {
    let mut interface = Map::new();
    interface.insert("name".to_owned(), name.into());
    interface.insert("hardware-address".to_owned(), mac.to_string().into());
    interface.insert("ip-addresses".to_owned(), addresses);
    if let Some(Traffic { received, sent }) = statistics {
        let statistics = json!({
            "rx-bytes": received.bytes,
            "rx-packets": received.packets,
            "rx-errs": received.errors,
            "rx-dropped": received.dropped,
            "tx-bytes": sent.bytes,
            "tx-packets": sent.packets,
            "tx-errs": sent.errors,
            "tx-dropped": sent.dropped,
        });
        interface.insert("statistics".to_owned(), statistics);
    }
    interface.into()
}

fn address(ip: IpAddr, prefix_length: u8) -> Value {
    json!({
        "ip-address": ip,
        "ip-address-type": if ip.is_ipv4() { "ipv4" } else { "ipv6" },
        "prefix": prefix_length,
    })
}
