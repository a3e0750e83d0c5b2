//! Entries for fuzzing: one per parser of foreign bytes, one per state machine.
//!
//! Each entry stands beside what it tries (`vmware::wire::fuzz`, `talos::fuzz` …), takes any bytes, and panics when
//! something is wrong. The targets of `fuzz/` call them with libFuzzer; the tests below replay the corpora of
//! `fuzz/corpus/` and throw random bytes at them, so that they run wherever the tests do. Nothing of this is
//! in the daemon: it is compiled for tests and with `--cfg fuzzing` alone.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::facts::{
    Address, AddressScope, AddressStatus, Facts, HostName, Link, Mac, NodeAddresses, TalosVersion,
};

/// Bytes as a source of choices: values are cut off the front, and zeros follow for ever.
#[derive(Clone, Debug)]
pub struct Choices<'a> {
    bytes: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Choices out of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether the bytes are used up.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u8) -> u8 {
        self.byte() % bound.max(1)
    }

    /// Heads or tails.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// 32 bits.
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// So many bytes.
    pub fn array<const LEN: usize>(&mut self) -> [u8; LEN] {
        let mut array = [0; LEN];
        for (to, from) in array.iter_mut().zip(self.bytes) {
            *to = *from;
        }
        self.bytes = self.bytes.get(LEN..).unwrap_or_default();
        array
    }

    /// Up to 255 bytes, their number in front.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        taken
    }

    /// All that is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Up to `bound` - 1 values.
    pub fn list<T>(&mut self, bound: u8, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(bound)).map(|_| value(self)).collect()
    }

    /// A value or none.
    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }
}

/// A node, more or less known.
pub fn facts(choices: &mut Choices<'_>) -> Facts {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use crate::freeze;
    use crate::guest_operations::programs;
    use crate::interruption;
    use crate::qemu::{self, qmp};
    use crate::vmware::{rpc, services, wire};
    use crate::{config, guest_operations::logins, talos};

    /// What a target calls.
    type Entry = fn(&[u8]);

    /// Name of the target and of its corpus, and the entry.
    const TARGETS: [(&str, Entry); 30] = [
        ("data_map", wire::fuzz::fuzz_data_map),
        ("guest_rpc_packet", wire::fuzz::fuzz_guest_rpc_packet),
        ("hgfs", wire::fuzz::fuzz_hgfs),
        ("hypervisor", wire::fuzz::fuzz_hypervisor),
        ("ovf_env", wire::fuzz::fuzz_ovf_env),
        ("quiesce_params", wire::fuzz::fuzz_quiesce_params),
        ("tclo_text", wire::fuzz::fuzz_tclo_text),
        ("vix", wire::fuzz::fuzz_vix),
        ("vix_body", wire::fuzz::fuzz_vix_body),
        ("vix_credential", wire::fuzz::fuzz_vix_credential),
        (
            "vm_operation_notification",
            wire::fuzz::fuzz_vm_operation_notification,
        ),
        ("message_channel", rpc::fuzz::fuzz_message_channel),
        ("rpci_client", rpc::fuzz::fuzz_rpci_client),
        ("tclo", rpc::fuzz::fuzz_tclo),
        ("services", services::fuzz::fuzz_services),
        ("tclo_request", services::fuzz::fuzz_tclo_request),
        ("config_file", config::fuzz::fuzz_config_file),
        ("talosconfig", config::fuzz::fuzz_talosconfig),
        ("resources", talos::fuzz::fuzz_resources),
        ("sequence_events", talos::fuzz::fuzz_sequence_events),
        ("guest_agent", qemu::fuzz::fuzz_guest_agent),
        ("qmp_stream", qmp::fuzz::fuzz_qmp_stream),
        ("qmp_arguments", qmp::fuzz::fuzz_qmp_arguments),
        ("freezer_message", freeze::fuzz::fuzz_freezer_message),
        ("quiesce", freeze::fuzz::fuzz_quiesce),
        ("interruption", interruption::fuzz::fuzz_interruption),
        ("token", logins::fuzz::fuzz_token),
        ("command_line", programs::fuzz::fuzz_command_line),
        ("http", programs::fuzz::fuzz_http),
        ("programs", programs::fuzz::fuzz_programs),
    ];

    fn folder(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz")
            .join(name)
    }

    #[test]
    fn the_corpora_pass() {
        let mut replayed = 0;
        for (name, entry) in TARGETS {
            let files = std::fs::read_dir(folder("corpus").join(name)).unwrap();
            let mut seeds = 0;
            for file in files {
                let path = file.unwrap().path();
                let bytes = std::fs::read(&path).unwrap();
                if std::panic::catch_unwind(|| entry(&bytes)).is_err() {
                    panic!("{name} fails with {}", path.display());
                }
                seeds += 1;
            }
            assert!(seeds > 0, "{name} has no corpus");
            replayed += seeds;
        }
        println!(
            "{replayed} inputs of {} fuzz targets replayed",
            TARGETS.len()
        );
    }

    /// A corpus without its target, or a target that is not replayed, is a mistake.
    #[test]
    fn every_target_is_replayed() {
        for kind in ["corpus", "fuzz_targets"] {
            let mut found: Vec<String> = std::fs::read_dir(folder(kind))
                .unwrap()
                .map(|file| {
                    let path = file.unwrap().path();
                    path.file_stem().unwrap().to_str().unwrap().to_owned()
                })
                .collect();
            found.sort();
            let mut known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            known.sort_unstable();
            assert_eq!(found, known, "{kind}");
        }
    }

    #[test]
    fn random_bytes_pass() {
        let mut runner = TestRunner::default();
        // Small numbers make valid types and lengths likely.
        let byte = prop_oneof![0..8_u8, any::<u8>()];
        let bytes = proptest::collection::vec(byte, 0..400);
        for (name, entry) in TARGETS {
            let run = runner.run(&bytes, |bytes| {
                entry(&bytes);
                Ok(())
            });
            if let Err(error) = run {
                panic!("{name}: {error}");
            }
        }
    }
}
