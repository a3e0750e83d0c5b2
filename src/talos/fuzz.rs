//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use prost::Message;

use super::cosi::{Collection, Effect};
use super::facts::ALL;
use super::proto::cosi::resource::{Event, Metadata, Resource, Spec};
use super::proto::machine;
use super::sequence::{Outlook, Sighting, Verdict};
use crate::facts::{Facts, Stage};
use crate::fuzz::Choices;
use crate::report::{NetworkPolicy, decide, file_systems};

/// Watch events in any order with any specs; then the NICs, which keep their promises.
pub fn fuzz_resources(bytes: &[u8]) {
    const IDS: [&str; 14] = [
        "hostname",
        "machine",
        "routed",
        "routed-no-k8s",
        "eth0",
        "bond0.100",
        "vip/eth0/eth0/10.0.0.9/32",
        "dhcp4/eth0/resolvers",
        "resolvers",
        "machine-type",
        "nodename",
        "kubelet",
        "securitystate",
        "systeminformation",
    ];
    let mut watches: Vec<_> = ALL.iter().copied().map(Collection::new).collect();
    let kinds = u8::try_from(watches.len()).expect("there are a few dozen");
    let mut choices = Choices::new(bytes);
    let mut facts = Facts::default();
    while !choices.is_empty() {
        let watch = usize::from(choices.below(kinds));
        // One number more than there are types.
        let event_type = i32::from(choices.below(7));
        let id = usize::from(choices.below(14));
        let event = Event {
            event_type,
            resource: Some(Resource {
                metadata: Some(Metadata {
                    id: IDS.get(id).copied().unwrap_or_default().to_owned(),
                    ..Metadata::default()
                }),
                spec: Some(Spec {
                    proto_spec: choices.bytes().to_vec(),
                    ..Spec::default()
                }),
            }),
            ..Event::default()
        };
        let Some(watch) = watches.get_mut(watch) else {
            continue;
        };
        if let Ok(Effect::Changed) = watch.handle_event(event) {
            assert!(watch.is_bootstrapped());
            watch.publish(&mut facts);
        }
    }
    check(&facts);
}

/// Events of Talos in the middle of a reboot: each begins with the length of its encoding.
pub fn fuzz_sequence_events(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut outlook = Outlook::new("reboot", Stage::Rebooting);
    if choices.flag() {
        outlook.accepted_as("6b1f".to_owned());
    }
    while !choices.is_empty() {
        let Ok(event) = machine::Event::decode(choices.bytes()) else {
            continue;
        };
        if let Verdict::DidNotHappen(why) = outlook.see(&Sighting::from_event(event)) {
            let _ = why.len();
        }
        if choices.below(16) == 15 {
            outlook.rewind();
        }
    }
}

/// What the host would see.
fn check(facts: &Facts) {
    let Some(decision) = decide(facts, &NetworkPolicy::default(), 16) else {
        return;
    };
    let macs: BTreeSet<_> = decision.nics.iter().map(|nic| nic.mac).collect();
    assert_eq!(
        macs.len(),
        decision.nics.len(),
        "a hardware address is listed twice"
    );
    for address in decision.nics.iter().flat_map(|nic| &nic.addresses) {
        assert!(!address.ip.is_loopback(), "{}", address.ip);
    }
    if let Some(primary) = decision.primary_address {
        let first = decision.nics.first().and_then(|nic| nic.addresses.first());
        assert_eq!(first.map(|address| address.ip), Some(primary));
        assert!(!first.is_some_and(|address| address.is_link_local()));
        let virtual_ips = facts.virtual_ips.as_ref();
        assert!(!virtual_ips.is_some_and(|ips| ips.contains(&primary)));
    }
    let _ = file_systems(&facts.storage);
}
