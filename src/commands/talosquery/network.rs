//! The network of [`super::View`]: NICs, routes, and what became of each address.

use std::fmt::{self, Display};

use serde_json::{Value, json};

use super::{columns, list, status_name, texts};
use crate::facts::{AddressStatus, Resolver};
use crate::report::{
    AddressDecision, AddressOrigin, Decision, Nic, NicAddress, NicRoute, Rule, Standing, Verdict,
};

/// NICs, routes, and why each address is where it is.
pub(super) fn tables(decision: &Decision) -> String {
    let mut nics = vec![["NIC", "MAC", "ADDRESSES"].map(str::to_owned)];
    nics.extend(decision.nics.iter().map(|nic| {
        [
            nic.name.clone(),
            nic.mac.to_string(),
            list(nic.addresses.iter().map(Cidr)),
        ]
    }));
    let mut tables = vec![columns(&nics)];
    if !decision.routes.is_empty() {
        let mut routes = vec![["ROUTE", "GATEWAY", "METRIC", "NIC"].map(str::to_owned)];
        routes.extend(decision.routes.iter().map(|route| {
            [
                format!("{}/{}", route.destination, route.prefix_length),
                list(route.gateway),
                route.metric.to_string(),
                nic_name(decision, route.nic),
            ]
        }));
        tables.push(columns(&routes));
    }
    if !decision.addresses.is_empty() {
        let mut addresses = vec![["ADDRESS", "LINK", "REPORTED", "WHY"].map(str::to_owned)];
        addresses.extend(decision.addresses.iter().map(|address| {
            let (place, why) = match &address.verdict {
                Verdict::Reported {
                    nic,
                    place,
                    standing,
                } => (
                    format!("{} no. {}", nic_name(decision, *nic), place + 1),
                    standing.to_string(),
                ),
                Verdict::LeftOut(reason) => ("no".to_owned(), reason.to_string()),
            };
            [
                format!("{}/{}", address.ip, address.prefix_length),
                address.link_name.clone(),
                place,
                why,
            ]
        }));
        tables.push(columns(&addresses));
    }
    if !decision.cut.is_empty() {
        tables.push(format!("too many NICs  {}\n", list(&decision.cut)));
    }
    tables.join("\n")
}

/// Servers, and where they search.
pub(super) fn resolver_text(resolver: &Resolver) -> String {
    let servers = list(&resolver.servers);
    if resolver.search_domains.is_empty() {
        servers
    } else {
        format!("{servers} (search {})", list(&resolver.search_domains))
    }
}

pub(super) fn resolver(resolver: &Resolver) -> Value {
    json!({
        "servers": texts(&resolver.servers),
        "search_domains": resolver.search_domains,
    })
}

/// What decided about the primary address.
pub(super) fn rule(rule: Rule) -> Value {
    json!({"name": rule.name(), "why": rule.to_string()})
}

pub(super) fn nic(nic: &Nic) -> Value {
    json!({
        "name": nic.name,
        "mac": nic.mac.to_string(),
        "addresses": nic.addresses.iter().map(|address| json!({
            "ip": address.ip.to_string(),
            "prefix_length": address.prefix_length,
            "status": status_name(address.status),
            "origin": address.origin.map(origin_name),
        })).collect::<Vec<_>>(),
        "dhcp4": nic.dhcp_v4,
        "dhcp6": nic.dhcp_v6,
        "resolver": nic.resolver.as_ref().map(resolver),
    })
}

pub(super) fn route(decision: &Decision, route: &NicRoute) -> Value {
    json!({
        "destination": format!("{}/{}", route.destination, route.prefix_length),
        "gateway": route.gateway.map(|ip| ip.to_string()),
        "metric": route.metric,
        "nic": nic_name(decision, route.nic),
    })
}

/// What became of an address: `nic` and `place` (from 0) where it is reported, and always `why`.
pub(super) fn decided(decision: &Decision, address: &AddressDecision) -> Value {
    let (reported, nic, place, primary, why) = match &address.verdict {
        Verdict::Reported {
            nic,
            place,
            standing,
        } => (
            true,
            Some(nic_name(decision, *nic)),
            Some(*place),
            *standing == Standing::Primary,
            standing.to_string(),
        ),
        Verdict::LeftOut(reason) => (false, None, None, false, reason.to_string()),
    };
    json!({
        "address": format!("{}/{}", address.ip, address.prefix_length),
        "link": address.link_name,
        "reported": reported,
        "nic": nic,
        "place": place,
        "primary": primary,
        "why": why,
    })
}

fn nic_name(decision: &Decision, position: usize) -> String {
    let nic = decision.nics.get(position);
    nic.map_or_else(String::new, |nic| nic.name.clone())
}

fn origin_name(origin: AddressOrigin) -> &'static str {
    match origin {
        AddressOrigin::Manual => "manual",
        AddressOrigin::Dhcp => "dhcp",
        AddressOrigin::LinkLayer => "linklayer",
        AddressOrigin::Random => "random",
    }
}

/// `10.0.0.1/24`, with the status where there is something to say about it.
struct Cidr<'a>(&'a NicAddress);

impl Display for Cidr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0.ip, self.0.prefix_length)?;
        if self.0.status != AddressStatus::Preferred {
            write!(f, " ({})", status_name(self.0.status))?;
        }
        Ok(())
    }
}
