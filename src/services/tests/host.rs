//! A host on virtual time, and a node to report.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::facts::{
    Address, AddressScope, AddressStatus, Facts, HostName, Link, Mac, NetworkState, NodeAddresses,
    TalosVersion,
};
use crate::services::{
    Machine, Output, PowerOperation, PowerOutcome, RpciId, RpciOutcome, Services,
};

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn machine() -> Machine {
    Machine {
        kernel_release: "6.18.1-talos".into(),
        machine: "x86_64".into(),
    }
}

/// A node with one NIC that carries these addresses, all of them in Talos' list.
pub(super) fn node(name: &str, addresses: &[&str]) -> Facts {
    let ips: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
    Facts {
        host_name: Some(HostName {
            host: name.into(),
            domain: "example.com".into(),
        }),
        links: Some(vec![Link {
            name: "eth0".into(),
            index: 2,
            arp_type: 1,
            mac: Some(Mac([0, 0x50, 0x56, 1, 2, 3])),
            up: true,
            ..Link::default()
        }]),
        addresses: Some(
            ips.iter()
                .map(|&ip| Address {
                    ip,
                    prefix_length: 24,
                    link_name: "eth0".into(),
                    link_index: 2,
                    scope: AddressScope::Global,
                    status: AddressStatus::Preferred,
                    temporary: false,
                })
                .collect(),
        ),
        node_addresses: Some(NodeAddresses {
            routed: ips,
            ..NodeAddresses::default()
        }),
        virtual_ips: Some(BTreeSet::new()),
        network: NetworkState::default(),
        talos: Some(TalosVersion {
            tag: "v1.13.0".into(),
            arch: "amd64".into(),
            platform: "vmware".into(),
        }),
        stage: None,
    }
}

/// Drives the services, answers their RPCI messages and keeps what they said.
pub(super) struct Host {
    pub(super) services: Services,
    pub(super) now: Duration,
    /// Starts of messages that are refused.
    pub(super) refuses: Vec<&'static str>,
    /// Whether RPCI messages get no answer.
    pub(super) deaf: bool,
    /// Whether RPCI messages wait for [`Host::answer`].
    pub(super) slow: bool,
    pub(super) unanswered: VecDeque<(RpciId, Vec<u8>)>,
    /// Everything that came out since it was last taken, in order and readable.
    pub(super) heard: Vec<String>,
}

impl Host {
    /// A host that accepts everything, ten seconds after boot, not connected.
    pub(super) fn new() -> Self {
        Self {
            services: Services::new(machine()),
            now: Duration::from_secs(10),
            refuses: Vec::new(),
            deaf: false,
            slow: false,
            unanswered: VecDeque::new(),
            heard: Vec::new(),
        }
    }

    /// A host that has heard a node's first report.
    pub(super) fn with_node(facts: &Facts) -> Self {
        let mut host = Self::new();
        host.connect();
        host.facts(facts);
        host.pass(ms(1000));
        host.take();
        host
    }

    pub(super) fn connect(&mut self) {
        self.services.handle_connected(self.now);
        self.drain();
    }

    pub(super) fn request(&mut self, request: &[u8]) {
        self.services.handle_request(request, self.now);
        self.drain();
    }

    pub(super) fn facts(&mut self, facts: &Facts) {
        self.services.handle_facts(facts, self.now);
        self.drain();
    }

    pub(super) fn power(&mut self, operation: PowerOperation, outcome: PowerOutcome) {
        self.services.handle_power(operation, outcome, self.now);
        self.drain();
    }

    /// Lets time pass, with every time-out at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.services.poll_timeout().filter(|at| *at <= end) {
            assert!(at >= self.now, "a time-out lies in the past");
            self.now = at;
            self.services.handle_timeout(self.now);
            self.drain();
            assert!(
                self.services.poll_timeout().is_none_or(|next| next > at),
                "a time-out does not move on"
            );
        }
        self.now = end;
    }

    /// Gives the outcome that a message deserves.
    fn outcome(&self, message: &[u8]) -> RpciOutcome {
        let refused = self
            .refuses
            .iter()
            .any(|start| message.starts_with(start.as_bytes()));
        match (self.deaf, refused) {
            (true, _) => RpciOutcome::Failed,
            (_, true) => RpciOutcome::Refused(b"Unknown command".to_vec()),
            _ => RpciOutcome::Accepted(Vec::new()),
        }
    }

    /// Answers the oldest message of a slow host.
    pub(super) fn answer(&mut self) {
        if let Some((id, message)) = self.unanswered.pop_front() {
            self.services
                .handle_rpci(id, self.outcome(&message), self.now);
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            while let Some(output) = self.services.poll_output() {
                match output {
                    Output::Rpci { id, message } => {
                        self.heard.push(format!("> {}", readable(&message)));
                        self.unanswered.push_back((id, message));
                    }
                    Output::Reply(reply) => self.heard.push(format!("< {}", readable(&reply))),
                    Output::Power(operation) => self.heard.push(format!("! {operation:?}")),
                }
            }
            if self.slow || self.unanswered.is_empty() {
                return;
            }
            let (id, message) = self.unanswered.pop_front().unwrap();
            self.services
                .handle_rpci(id, self.outcome(&message), self.now);
        }
    }

    /// What was said since the last time.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard)
    }

    /// What is said in answer to a request.
    pub(super) fn ask(&mut self, request: &[u8]) -> Vec<String> {
        self.take();
        self.request(request);
        self.take()
    }
}

/// Text as it is with its NUL; of binary guest information the type and what can be read of the addresses.
fn readable(message: &[u8]) -> String {
    use crate::wire::nic_info_v3::NicInfoV3;
    for start in ["SetGuestInfo  10 ", "SetGuestInfo  9 "] {
        if let Some(payload) = message.strip_prefix(start.as_bytes()) {
            let nics = NicInfoV3::decode(payload).unwrap().nics;
            let nics: Vec<String> = nics
                .iter()
                .map(|nic| {
                    let ips: Vec<String> = nic
                        .addresses
                        .iter()
                        .map(|address| address.ip.to_string())
                        .collect();
                    format!("{}={}", nic.mac, ips.join(","))
                })
                .collect();
            return format!("{start}{}", nics.join(" "));
        }
    }
    if let Some(payload) = message.strip_prefix(b"SetGuestInfo  11 ") {
        return format!("SetGuestInfo  11 {}", payload[648..].escape_ascii());
    }
    message.escape_ascii().to_string()
}
