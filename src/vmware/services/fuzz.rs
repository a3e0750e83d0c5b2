//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Output, RpciId, RpciOutcome, Services};
use crate::facts::Machine;
use crate::facts::{
    Address, AddressScope, AddressStatus, Facts, HostName, Link, Load, Mac, NodeAddresses,
    TalosVersion,
};
use crate::front_end::Measured;
use crate::fuzz::Choices;
use crate::power::{PowerOperation, PowerOutcome};

/// One TCLO request to a host that accepts everything: one reply, and Talos is asked for nothing that the
/// request did not name.
pub fn fuzz_tclo_request(bytes: &[u8]) {
    let mut judge = Judge::new();
    judge.services.handle_connected(judge.now);
    judge.look();
    judge.sent.clear();
    judge.request(bytes);
    while let Some((id, _)) = judge.sent.pop_front() {
        let outcome = RpciOutcome::Accepted(Vec::new());
        judge.services.handle_rpci(id, outcome, judge.now);
        judge.look();
    }
    assert!(!judge.reply_owed, "a request without a reply");
    if let Some(operation) = judge.under_way {
        let name: &[u8] = match operation {
            PowerOperation::Shutdown => b"OS_Halt",
            PowerOperation::Reboot => b"OS_Reboot",
        };
        assert!(bytes.trim_ascii_start().starts_with(name));
    }
}

/// Any order of connections, requests, outcomes, facts and time: each request has one reply, Talos is asked for
/// one operation at a time, every operation is answered by its status, and no time-out stands still.
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
        match choices.below(10) {
            0 => judge.connect(),
            1 | 2 => {
                judge.finish_reply();
                let request = usize::from(choices.below(16));
                judge.request(REQUESTS.get(request).copied().unwrap_or_default());
            }
            3 | 4 => judge.outcome(choices.below(8)),
            5 => {
                let facts = facts(&mut choices);
                judge.services.handle_facts(&facts, judge.now);
                judge.look();
            }
            6 => judge.power(choices.below(3)),
            8 => judge.measured(choices.below(3)),
            9 => {
                judge.reply_owed = false;
                judge.connected = false;
                judge.services.handle_lost();
                judge.look();
            }
            _ => {
                let millis = match choices.below(4) {
                    0 => u64::from(choices.word() % 100_000),
                    _ => choices.byte().into(),
                };
                judge.pass(Duration::from_millis(millis));
            }
        }
    }
    judge.close();
}

struct Judge {
    services: Services,
    now: Duration,
    connected: bool,
    reply_owed: bool,
    measuring: bool,
    sent: VecDeque<(RpciId, bool)>,
    under_way: Option<PowerOperation>,
    statuses_due: usize,
    statuses_taken: usize,
}

impl Judge {
    fn new() -> Self {
        Self {
            services: Services::new(Machine {
                kernel_release: "6.18.1-talos".to_owned(),
                machine: "x86_64".to_owned(),
            }),
            now: Duration::from_secs(5),
            connected: false,
            reply_owed: false,
            measuring: false,
            sent: VecDeque::new(),
            under_way: None,
            statuses_due: 0,
            statuses_taken: 0,
        }
    }

    fn connect(&mut self) {
        self.connected = true;
        self.reply_owed = false;
        self.services.handle_connected(self.now);
        self.look();
    }

    fn measured(&mut self, kind: u8) {
        if !std::mem::take(&mut self.measuring) {
            return;
        }
        let outcome = match kind {
            0 => Measured::Done,
            1 => Measured::Failed,
            _ => Measured::TimedOut,
        };
        self.services.handle_measured(outcome, self.now);
        self.look();
    }

    fn request(&mut self, request: &[u8]) {
        if !self.connected {
            self.connect();
        }
        self.reply_owed = true;
        let name = request.split(|&byte| byte == b' ' || byte == 0).next();
        let known: [&[u8]; 5] = [
            b"OS_Halt",
            b"OS_Reboot",
            b"OS_PowerOn",
            b"OS_Resume",
            b"OS_Suspend",
        ];
        if name.is_some_and(|name| known.contains(&name)) {
            self.statuses_due += 1;
        }
        self.services.handle_request(request, self.now);
        self.look();
    }

    /// The host asks nothing new while it waits for a reply.
    fn finish_reply(&mut self) {
        // Every message that is under way may be lost and sent again.
        for _ in 0..1000 + 4 * self.sent.len() {
            if !self.reply_owed {
                return;
            }
            if self.sent.is_empty() {
                self.pass(Duration::from_secs(3));
            } else {
                self.outcome(0);
            }
        }
        panic!("a reply does not come");
    }

    fn outcome(&mut self, kind: u8) {
        let Some((id, status)) = self.sent.pop_front() else {
            return;
        };
        let outcome = match kind {
            0..5 => RpciOutcome::Accepted(Vec::new()),
            5 => RpciOutcome::Refused(b"no".to_vec()),
            _ => RpciOutcome::Failed,
        };
        if status && outcome != RpciOutcome::Failed {
            self.statuses_taken += 1;
        }
        self.services.handle_rpci(id, outcome, self.now);
        self.look();
    }

    fn power(&mut self, kind: u8) {
        let Some(operation) = self.under_way.take() else {
            return;
        };
        let why = || "why".to_owned();
        let outcome = match kind {
            0 => PowerOutcome::Accepted,
            1 => PowerOutcome::Rejected(why()),
            _ => {
                let accepted = PowerOutcome::Accepted;
                self.services.handle_power(operation, accepted, self.now);
                self.look();
                PowerOutcome::DidNotHappen(why())
            }
        };
        self.services.handle_power(operation, outcome, self.now);
        self.look();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.services.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.services.handle_timeout(self.now);
            self.look();
            let next = self.services.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a time-out stands still"
            );
        }
        self.now = end;
    }

    fn look(&mut self) {
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Reply(reply) => {
                    assert!(self.reply_owed, "a reply that nobody asked for");
                    assert!(reply.starts_with(b"OK ") || reply.starts_with(b"ERROR "));
                    self.reply_owed = false;
                    if reply == b"ERROR State change already in progress" {
                        self.statuses_due -= 1;
                    }
                }
                Output::Power(operation) => {
                    assert_eq!(self.under_way, None, "two operations at a time");
                    self.under_way = Some(operation);
                }
                Output::MeasureSpace => {
                    assert!(!self.measuring, "two measurements at a time");
                    self.measuring = true;
                }
                Output::ReadLoad => {
                    self.services.handle_load(&Load::default(), self.now);
                }
                Output::Rpci { id, message, .. } => {
                    assert!(!message.is_empty());
                    let status = message.starts_with(b"tools.os.statechange.status ");
                    self.sent.push_back((id, status));
                }
            }
        }
    }

    /// All that is open comes to its end.
    fn close(&mut self) {
        if !self.connected {
            self.connect();
        }
        self.measured(0);
        for _ in 0..2000 + 4 * self.sent.len() {
            if self.under_way.is_some() {
                self.power(0);
            } else if !self.sent.is_empty() {
                self.outcome(0);
            } else if self.reply_owed || self.statuses_taken < self.statuses_due {
                self.pass(Duration::from_secs(3));
            } else {
                return;
            }
        }
        panic!(
            "reply owed: {}, {} of {} statuses",
            self.reply_owed, self.statuses_taken, self.statuses_due
        );
    }
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
