//! The routes that the kernel makes with addresses: the network, the address itself, broadcasts, multicast.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Family, Node, Prefix, Protocol, Route, RouteType};

impl Route {
    /// The number of the table `main`.
    pub const MAIN: u8 = 254;
    const LOCAL: u8 = 255;

    pub(crate) fn main() -> u8 {
        Self::MAIN
    }

    /// Where it leads: `0.0.0.0/0` or `::/0` for a default route.
    pub fn destination(&self) -> Prefix {
        let everything = |ip| Prefix { ip, length: 0 };
        self.dst.unwrap_or(match self.family {
            Family::Inet4 => everything(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            Family::Inet6 => everything(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        })
    }
}

impl Node {
    /// All routes of all tables: the kernel's own and those that are set, none twice.
    pub fn all_routes(&self) -> Vec<Route> {
        let mut all = self.routes.clone();
        for address in &self.addresses {
            for route in of_address(&address.link, address.address) {
                let same = |known: &Route| {
                    let key = |route: &Route| (route.table, route.destination(), route.priority);
                    key(known) == key(&route) && known.link == route.link
                };
                if !all.iter().any(same) {
                    all.push(route);
                }
            }
        }
        all
    }
}

fn of_address(link: &str, address: Prefix) -> Vec<Route> {
    let kernels = |dst: Prefix| Route {
        dst: Some(dst),
        link: link.to_owned(),
        table: Route::MAIN,
        protocol: Protocol::Kernel,
        ..Route::default()
    };
    let local = |dst: Prefix, kind: RouteType| Route {
        table: Route::LOCAL,
        r#type: kind,
        ..kernels(dst)
    };
    let itself = Prefix::host(address.ip);
    let mut routes = vec![local(itself, RouteType::Local)];
    if address.length < itself.length {
        routes.push(Route {
            priority: if address.ip.is_ipv4() { 0 } else { 256 },
            ..kernels(address.network())
        });
    }
    match address.broadcast() {
        Some(last) if address.length < 31 => {
            routes.push(local(Prefix::host(last), RouteType::Broadcast));
        }
        Some(_) => {}
        None => {
            let ip = IpAddr::V6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0));
            routes.push(local(Prefix { ip, length: 8 }, RouteType::Multicast));
        }
    }
    routes
}
