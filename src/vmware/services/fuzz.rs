//! Entries for fuzzing, see [`crate::fuzz`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::judge::{Event, Judge};
use crate::facts::{
    Address, AddressScope, AddressStatus, Facts, HostName, Link, Mac, NodeAddresses, TalosVersion,
};
use crate::fuzz::Choices;
use crate::power::PowerOperation;

/// One TCLO request to a host that accepts everything: one reply, and Talos is asked for nothing that the
/// request did not name.
pub fn fuzz_tclo_request(bytes: &[u8]) {
    let mut judge = Judge::new();
    judge.play(Event::Request(bytes.to_vec()));
    judge.finish_reply();
    if let Some(operation) = judge.under_way() {
        let name: &[u8] = match operation {
            PowerOperation::Shutdown => b"OS_Halt",
            PowerOperation::Reboot => b"OS_Reboot",
        };
        assert!(bytes.trim_ascii_start().starts_with(name));
    }
}

/// Any order of connections, requests, outcomes, facts and time; see [`super::judge`].
pub fn fuzz_services(bytes: &[u8]) {
    const REQUESTS: [&[u8]; 16] = [
        b"reset",
        b"ping",
        b"Capabilities_Register",
        b"Set_Option broadcastIP 1",
        b"Set_Option broadcastIP 0",
        b"Set_Option synctime 0",
        b"OS_Halt",
        b"OS_Reboot",
        b"OS_PowerOn",
        b"OS_Resume",
        b"OS_Suspend",
        b"Time_Synchronize 0",
        b"Vix_1_Relayed_Command \"x\"\0",
        b"Unknown",
        b"",
        b"\0",
    ];
    let mut choices = Choices::new(bytes);
    let mut judge = Judge::new();
    while !choices.is_empty() {
        judge.play(match choices.below(10) {
            0 => Event::Connect,
            1 | 2 => {
                let request = REQUESTS.get(usize::from(choices.below(16)));
                Event::Request(request.copied().unwrap_or_default().to_vec())
            }
            3 | 4 => Event::Outcome(choices.below(8)),
            5 => Event::Facts(Box::new(facts(&mut choices))),
            6 => Event::Power(choices.below(4)),
            8 => Event::Measured(choices.below(3)),
            9 => Event::Lost,
            _ => {
                let millis = match choices.below(4) {
                    0 => u64::from(choices.word() % 100_000),
                    _ => choices.byte().into(),
                };
                Event::Pass(Duration::from_millis(millis))
            }
        });
    }
    judge.close();
}

/// A node, more or less known.
fn facts(choices: &mut Choices<'_>) -> Facts {
    let ips: Vec<Ipv4Addr> = choices.list(4, |choices| {
        let last = choices.below(5);
        if choices.below(8) == 0 {
            Ipv4Addr::new(169, 254, 0, last)
        } else {
            Ipv4Addr::new(10, 0, 0, last)
        }
    });
    let name = choices.below(4);
    Facts {
        host_name: (name > 0).then(|| HostName {
            host: format!("n{name}"),
            domain: String::new(),
        }),
        links: choices.maybe(|choices| {
            vec![Link {
                name: "eth0".to_owned(),
                index: 2,
                arp_type: 1,
                mac: Some(Mac([0, 0x50, 0x56, 1, 2, choices.below(2)])),
                up: true,
                ..Link::default()
            }]
        }),
        addresses: choices.maybe(|_| {
            let address = |&ip: &Ipv4Addr| Address {
                ip: ip.into(),
                prefix_length: 24,
                link_name: "eth0".to_owned(),
                link_index: 2,
                scope: AddressScope::Global,
                status: AddressStatus::Preferred,
                temporary: false,
                announced: false,
            };
            ips.iter().map(address).collect()
        }),
        node_addresses: choices.maybe(|_| NodeAddresses {
            routed: ips.iter().map(|&ip| ip.into()).collect(),
            ..NodeAddresses::default()
        }),
        virtual_ips: Some(BTreeSet::new()),
        talos: choices.maybe(|_| TalosVersion {
            tag: "v1.13.0".to_owned(),
            ..TalosVersion::default()
        }),
        ..Facts::default()
    }
}
