//! guest-network-get-route: the routes through the interfaces that are reported.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value, json};

use super::NOT_AVAILABLE;
use super::known::Known;
use super::step::Step;
use crate::qemu::qmp::Error;
use crate::report::NicRoute;

/// RTF_UP
const UP: u32 = 1;
/// RTF_GATEWAY
const GATEWAY: u32 = 2;

/// See the module.
pub(super) fn routes(known: &Known) -> Result<Step, Error> {
    let network = known.network();
    let network = network.ok_or_else(|| Error::Generic(NOT_AVAILABLE.to_owned()))?;
    let routes = network.routes.iter();
    let routes = routes.filter_map(|route| Some(row(route, &network.nics.get(route.nic)?.name)));
    Ok(Step::Reply(routes.collect()))
}

/// A route as the kernel's tables have it, in text.
fn row(route: &NicRoute, interface: &str) -> Value {
    let flags = UP | route.gateway.map_or(0, |_| GATEWAY);
    let mut row = Map::new();
    let mut set = |member: &str, value: Value| row.insert(member.to_owned(), value);
    set("iface", interface.into());
    set("destination", json!(route.destination));
    set("metric", route.metric.into());
    set("flags", flags.into());
    match route.destination {
        IpAddr::V4(_) => {
            set("version", 4.into());
            set("mask", json!(mask(route.prefix_length)));
            match route.gateway {
                None => set("gateway", json!(Ipv4Addr::UNSPECIFIED)),
                Some(IpAddr::V4(gateway)) => set("gateway", json!(gateway)),
                // There is no place for one of the other family.
                Some(IpAddr::V6(_)) => None,
            };
        }
        IpAddr::V6(_) => {
            set("version", 6.into());
            set("desprefixlen", route.prefix_length.to_string().into());
            set(
                "nexthop",
                json!(route.gateway.map_or("::".to_owned(), |ip| ip.to_string())),
            );
            set("source", "::".into());
            set("srcprefixlen", "0".into());
        }
    }
    row.into()
}

fn mask(length: u8) -> Ipv4Addr {
    let host = u32::MAX.checked_shr(length.into()).unwrap_or(0);
    Ipv4Addr::from_bits(!host)
}
