//! What must be shown of the nodes of tests/layouts: the answers of their files, one test a file.

use layouts::{Layout, Network, Nic as ShownNic, Shown};

use super::*;
use crate::facts::of_layout::facts;

layouts::test_each!(decides);

fn decides(name: &str) {
    let layout = Layout::named(name);
    for (number, moment) in layout.moments.iter().enumerate() {
        let default = moment.shown.iter().map(|shown| (Network::default(), shown));
        let under = moment.under.iter().map(|(it, shown)| (it.clone(), shown));
        for (network, answer) in default.chain(under) {
            let decision =
                decide(&facts(&moment.node), &policy(&network), tests::MOST_NICS).unwrap();
            tests::assert_sound(&decision);
            let answer = Shown {
                // Not decided here.
                dns: layouts::Dns::default(),
                guest_ip_address: None,
                host_name: None,
                ..answer.clone()
            };
            let found = shown(&decision, &answer);
            assert!(
                found == answer,
                "tests/layouts/{name}.yaml, moment {number}, {network:?}: this is shown\n\n{found}\nand must be\n\n{answer}",
            );
        }
    }
}

/// The policy of these settings.
pub(super) fn policy(network: &Network) -> NetworkPolicy {
    let default = NetworkPolicy::default();
    let patterns = |list: &Option<Vec<String>>| -> Vec<crate::report::Pattern> {
        let list = list.iter().flatten();
        list.map(|text| text.parse().unwrap()).collect()
    };
    NetworkPolicy {
        exclude_nics: default.exclude_nics.and(patterns(&network.exclude_nics)),
        primary_nics: patterns(&network.primary_nics).into_iter().collect(),
        low_priority_nics: patterns(&network.low_priority_nics).into_iter().collect(),
        exclude_subnets: network
            .exclude_subnets
            .iter()
            .flatten()
            .map(|text| text.parse().unwrap())
            .collect(),
        prefer: network.prefer.as_ref().map(|text| text.parse().unwrap()),
        report_vips: network.report_vips.unwrap_or(default.report_vips),
        report_link_local: network
            .report_link_local
            .unwrap_or(default.report_link_local),
    }
}

/// A decision in the words of the files, with the reasons that the answer asks for.
fn shown(decision: &Decision, answer: &Shown) -> Shown {
    let reason = |&ip: &IpAddr| {
        let found = decision.addresses.iter().find(|address| address.ip == ip);
        let reason = match &found?.verdict {
            Verdict::LeftOut(reason) => reason.to_string(),
            Verdict::Reported { .. } => "it is shown".to_owned(),
        };
        Some((ip, reason))
    };
    Shown {
        ip_address: decision.primary_address,
        net: decision.nics.iter().map(shown_nic).collect(),
        routes: decision.routes.iter().map(shown_route).collect(),
        left_out: answer.left_out.keys().filter_map(reason).collect(),
        cut: decision.cut.clone(),
        ..Shown::default()
    }
}

fn shown_nic(nic: &Nic) -> ShownNic {
    let address = |address: &NicAddress| {
        let status = format!("{:?}", address.status).to_lowercase();
        let origin = address.origin.map(|origin| format!("{origin:?}"));
        let origin = origin.map_or("-".to_owned(), |origin| origin.to_lowercase());
        format!("{}/{} {status} {origin}", address.ip, address.prefix_length)
    };
    ShownNic {
        name: nic.name.clone(),
        mac: nic.mac.to_string(),
        dhcp4: nic.dhcp_v4,
        dhcp6: nic.dhcp_v6,
        addresses: nic.addresses.iter().map(address).collect(),
        servers: nic
            .resolver
            .as_ref()
            .map_or(Vec::new(), |resolver| resolver.servers.clone()),
    }
}

fn shown_route(route: &NicRoute) -> String {
    let via = route
        .gateway
        .map_or(String::new(), |ip| format!(" via {ip}"));
    let NicRoute {
        destination,
        prefix_length,
        nic,
        metric,
        ..
    } = route;
    format!("{destination}/{prefix_length}{via} NIC {nic} metric {metric}")
}
