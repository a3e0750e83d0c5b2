//! What holds for every sequence of events.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use vmx::codec::nic_info::NicInfo;

use super::host::{machine_at, ms, node};
use crate::facts::{Facts, Load, Stage};
use crate::front_end::Measured;
use crate::power::{PowerOperation, PowerOutcome};
use crate::vmware::services::tests::host::machine;
use crate::vmware::services::{Output, RpciId, RpciOutcome, Services};

#[derive(Clone, Debug)]
enum Event {
    Connect,
    Lost,
    Request(Vec<u8>),
    Facts(u8, Vec<u8>),
    Away,
    Outcome(u8),
    Power(u8),
    Measured(u8),
    Pass(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let request = prop_oneof![
        Just(b"reset".to_vec()),
        Just(b"ping".to_vec()),
        Just(b"Capabilities_Register".to_vec()),
        Just(b"Set_Option broadcastIP 1".to_vec()),
        Just(b"Set_Option broadcastIP 0".to_vec()),
        Just(b"OS_Halt".to_vec()),
        Just(b"OS_Reboot".to_vec()),
        Just(b"OS_PowerOn".to_vec()),
        Just(b"OS_Resume".to_vec()),
        Just(b"OS_Suspend".to_vec()),
        vec(any::<u8>(), 0..10),
    ];
    let event = prop_oneof![
        1 => Just(Event::Connect),
        1 => Just(Event::Lost),
        6 => request.prop_map(Event::Request),
        4 => (0..3_u8, vec(0..4_u8, 0..3)).prop_map(|(name, ips)| Event::Facts(name, ips)),
        1 => Just(Event::Away),
        12 => (0..8_u8).prop_map(Event::Outcome),
        3 => (0..3_u8).prop_map(Event::Power),
        3 => (0..3_u8).prop_map(Event::Measured),
        6 => (0..200_u64).prop_map(Event::Pass),
        1 => (0..40_000_u64).prop_map(Event::Pass),
    ];
    vec(event, 0..150)
}

/// Plays the daemon and the host, and checks while it does.
struct Judge {
    services: Services,
    now: Duration,
    reply_owed: bool,
    sent: Vec<(RpciId, Vec<u8>)>,
    under_way: Vec<PowerOperation>,
    /// Last acknowledged message by command; cleared when the host forgets or asks.
    acknowledged: BTreeMap<String, Vec<u8>>,
    /// Messages of which an outcome no longer counts, because the host has forgotten since.
    stale_before: RpciId,
    statuses_due: usize,
    statuses_taken: usize,
    right_address: bool,
    /// TCLO has lost the host.
    doubtful: bool,
    /// RPCI, too.
    lost: bool,
    measuring: bool,
}

impl Judge {
    fn new() -> Self {
        Self {
            services: Services::new(machine()),
            now: ms(5000),
            reply_owed: false,
            sent: Vec::new(),
            under_way: Vec::new(),
            acknowledged: BTreeMap::new(),
            stale_before: RpciId(0),
            statuses_due: 0,
            statuses_taken: 0,
            right_address: false,
            doubtful: false,
            lost: false,
            measuring: false,
        }
    }

    fn host_forgets(&mut self) {
        self.acknowledged.clear();
        self.stale_before = RpciId(u64::MAX);
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Lost => {
                self.doubtful = true;
                self.reply_owed = false;
                self.services.handle_lost();
            }
            Event::Connect => {
                (self.doubtful, self.lost) = (false, false);
                self.reply_owed = false;
                self.host_forgets();
                self.services.handle_connected(self.now);
            }
            Event::Request(request) => {
                if self.doubtful {
                    self.play(Event::Connect);
                }
                // The host asks nothing new while it waits.
                while self.reply_owed {
                    self.play(Event::Outcome(0));
                    if self.sent.is_empty() {
                        self.play(Event::Pass(3000));
                        assert!(!self.reply_owed, "a reply does not come");
                    }
                }
                self.reply_owed = true;
                if matches!(
                    &request[..],
                    b"reset" | b"OS_Resume" | b"Capabilities_Register"
                ) || request.starts_with(b"Set_Option broadcastIP")
                {
                    self.host_forgets();
                }
                if request.starts_with(b"OS_") {
                    self.statuses_due += 1;
                }
                self.services.handle_request(&request, self.now);
            }
            Event::Facts(name, ips) => {
                let ips: Vec<String> = ips.iter().map(|last| format!("10.0.0.{last}")).collect();
                let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
                let mut facts = node(&format!("n{name}"), &ips);
                if name > 0 {
                    let machine = machine_at(Stage::Running, name == 2);
                    (facts.stage, facts.node) = (machine.stage, machine.node);
                }
                self.services.handle_facts(&facts, self.now);
            }
            Event::Away => self.services.handle_facts(&Facts::default(), self.now),
            Event::Outcome(kind) => {
                if self.sent.is_empty() {
                    return;
                }
                let (id, message) = self.sent.remove(0);
                let outcome = match kind {
                    0..5 => RpciOutcome::Accepted(Vec::new()),
                    5 => RpciOutcome::Refused(b"no".to_vec()),
                    _ => RpciOutcome::Failed,
                };
                self.note(id, message, &outcome);
                self.lost |= self.doubtful && outcome == RpciOutcome::Failed;
                self.services.handle_rpci(id, outcome, self.now);
            }
            Event::Power(kind) => {
                let Some(operation) = self.under_way.pop() else {
                    return;
                };
                let outcome = match kind {
                    0 => PowerOutcome::Accepted,
                    1 => PowerOutcome::Rejected("why".into()),
                    _ => {
                        self.services
                            .handle_power(operation, PowerOutcome::Accepted, self.now);
                        PowerOutcome::DidNotHappen("why".into())
                    }
                };
                self.services.handle_power(operation, outcome, self.now);
            }
            Event::Measured(kind) => {
                if self.measuring {
                    self.measuring = false;
                    let measured = match kind {
                        0 => Measured::Done,
                        1 => Measured::Failed,
                        _ => Measured::TimedOut,
                    };
                    self.services.handle_measured(measured, self.now);
                }
            }
            Event::Pass(millis) => {
                let end = self.now + ms(millis);
                while let Some(at) = self.services.poll_timeout().filter(|at| *at <= end) {
                    self.now = at.max(self.now);
                    self.services.handle_timeout(self.now);
                    self.look();
                    assert!(self.services.poll_timeout().is_none_or(|next| next > at));
                }
                self.now = end;
            }
        }
        self.look();
        if self.lost {
            assert_eq!(self.services.poll_timeout(), None, "woken for nobody");
        }
    }

    /// The host has taken, or not taken, a message.
    fn note(&mut self, id: RpciId, message: Vec<u8>, outcome: &RpciOutcome) {
        let stale = id <= self.stale_before;
        if message.starts_with(b"tools.os.statechange.status") && *outcome != RpciOutcome::Failed {
            self.statuses_taken += 1;
        }
        // The command with the type of guest information; the two forms of a thing are one thing.
        let text = String::from_utf8_lossy(&message).into_owned();
        let words = if text.starts_with("SetGuestInfo") {
            3
        } else {
            2
        };
        let command: String = text.split(' ').take(words).collect::<Vec<_>>().join(" ");
        // Statistics are those of the moment, even when they are the same.
        if command.starts_with("tools.os") || command == "SetGuestInfo  8" || stale {
            return;
        }
        match outcome {
            RpciOutcome::Accepted(_) => {
                let before = self.acknowledged.insert(command, message.clone());
                assert_ne!(before, Some(message), "told twice: {text}");
            }
            RpciOutcome::Refused(_) => {}
            RpciOutcome::Failed => {
                self.acknowledged.remove(&command);
            }
        }
    }

    /// Looks at everything that comes out.
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
                    assert!(!self.under_way.contains(&operation), "asked for twice");
                    self.under_way.push(operation);
                }
                Output::MeasureSpace => {
                    assert!(!self.measuring, "measured twice at a time");
                    self.measuring = true;
                }
                Output::ReadLoad => {
                    self.services.handle_load(&Load::default(), self.now);
                }
                Output::Rpci { id, message } => {
                    assert!(!self.lost, "sent to nobody");
                    if self.stale_before == RpciId(u64::MAX) {
                        self.stale_before = RpciId(id.0 - 1);
                    }
                    self.judge(&message);
                    self.sent.push((id, message));
                }
            }
        }
    }

    fn judge(&mut self, message: &[u8]) {
        for start in [&b"SetGuestInfo  10 "[..], b"SetGuestInfo  9 "] {
            if let Some(payload) = message.strip_prefix(start) {
                let nics = NicInfo::decode(payload).unwrap().nics;
                assert!(nics.iter().any(|nic| !nic.ips.is_empty()), "no addresses");
            }
        }
        if let Some(address) = message.strip_prefix(b"info-set guestinfo.ip ") {
            let text = std::str::from_utf8(address.strip_suffix(b"\0").unwrap()).unwrap();
            assert!(text.parse::<std::net::IpAddr>().is_ok(), "{text:?}");
            self.right_address = true;
        }
        let text = String::from_utf8_lossy(message);
        assert!(
            !text.contains("unknown") && !text.contains("UNKNOWN"),
            "{text}"
        );
        assert_ne!(&text[..], "SetGuestInfo  7 0\0");
    }

    /// Everything that is still open comes to its end, and the books are closed.
    fn close(mut self) {
        if self.doubtful {
            self.play(Event::Connect);
        }
        for _ in 0..10_000 {
            if let Some(operation) = self.under_way.pop() {
                self.services
                    .handle_power(operation, PowerOutcome::Accepted, self.now);
                self.look();
            } else if !self.sent.is_empty() {
                self.play(Event::Outcome(0));
            } else if self.reply_owed || self.statuses_taken < self.statuses_due {
                self.play(Event::Pass(3000));
            } else {
                break;
            }
        }
        assert!(!self.reply_owed, "a request without a reply");
        assert_eq!(
            self.statuses_taken, self.statuses_due,
            "a status for each request"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn promises_are_kept_whatever_happens(events in events()) {
        let mut judge = Judge::new();
        judge.play(Event::Connect);
        for event in events {
            judge.play(event);
        }
        judge.close();
    }
}
