//! A host on virtual time, and a node to report.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::config::{
    Forfeit, GuestOperationsConfig, HaConfig, InventoryConfig, QuiesceConfig, VmwareConfig,
};
use crate::facts::{
    Address, AddressScope, AddressStatus, Extension, Facts, HostName, Link, Mac, MachineType,
    NetworkState, Node, NodeAddresses, Readiness, Route, Stage, TalosVersion,
};
use crate::facts::{Etcd, EtcdPart, EtcdQuestion, Life, Load, Machine};
use crate::freeze::message::Cause;
use crate::freeze::{Command, Report};
use crate::front_end::{Measured, Order};
use crate::guest_operations::logins::PasswordCheck;
use crate::inquiry::{Answer, InquiryId, Step};
use crate::power::{HandOver, PowerOperation, PowerOutcome, Wish};
use crate::report::NetworkPolicy;
use crate::vmware::services::freezer_model::FreezerModel;
use crate::vmware::services::judge::NOON;
use crate::vmware::services::{Output, RpciId, RpciOutcome, Services};

/// Longest message that the host takes: 64 KiB, a part of which is its own.
const LONGEST: usize = 63 * 1024;
/// Longest value that we can read.
const READABLE: usize = 128 * 1024;

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn machine() -> Machine {
    Machine {
        kernel_release: "6.18.1-talos".into(),
        kernel_version: String::new(),
        machine: "x86_64".into(),
    }
}

/// A default route through the node's NIC.
pub(super) fn default_route(destination: &str, gateway: &str) -> Route {
    Route {
        destination: destination.parse().unwrap(),
        prefix_length: 0,
        gateway: Some(gateway.parse().unwrap()),
        link_name: "eth0".into(),
        metric: 1024,
    }
}

/// A node with one NIC that carries these addresses, all of them in Talos' list, and an IPv4 gateway.
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
                    announced: false,
                })
                .collect(),
        ),
        node_addresses: Some(NodeAddresses {
            routed: ips,
            ..NodeAddresses::default()
        }),
        virtual_ips: Some(BTreeSet::new()),
        network: NetworkState {
            routes: Some([default_route("0.0.0.0", "10.0.0.1")].into()),
            ..NetworkState::default()
        },
        talos: Some(TalosVersion {
            tag: "v1.13.0".into(),
            arch: "amd64".into(),
            platform: "vmware".into(),
        }),
        ..Facts::default()
    }
}

/// The same node with all that Talos says of the machine itself, at this stage and ready or not.
pub(super) fn machine_at(stage: Stage, ready: bool) -> Facts {
    let extension = |name: &str, version: &str| Extension {
        name: name.into(),
        version: version.into(),
    };
    let unmet: &[&str] = if ready {
        &[]
    } else {
        &["network", "nodeReady"]
    };
    Facts {
        stage: Some(stage),
        node: Node {
            readiness: Some(Readiness {
                ready,
                unmet_conditions: unmet.iter().map(|name| (*name).into()).collect(),
            }),
            machine_type: Some(MachineType::ControlPlane),
            node_name: Some("cp1".into()),
            extensions: Some(vec![
                extension("iscsi-tools", "v0.1.6"),
                extension("schematic", "376567988ad3"),
                extension("talos-vmtoolsd-guest-agent", "v2.0.0"),
            ]),
            secure_boot: Some(true),
            system_uuid: Some("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d".into()),
        },
        etcd_part: Some(EtcdPart::Leader),
        etcd: Some(Etcd { voters: 3, live: 3 }),
        api_servers: Some(3),
        cordoned: Some(false),
        ..node("cp1", &["10.0.0.5"])
    }
}

/// Drives the services, answers their RPCI messages and keeps what they said.
pub(super) struct Host {
    pub(super) services: Services,
    pub(super) now: Duration,
    /// Starts of messages that are refused.
    pub(super) refuses: Vec<&'static str>,
    /// Guest variables below `guestinfo.`, for info-get.
    pub(super) variables: BTreeMap<&'static str, Vec<u8>>,
    /// Whether variables stay as they are, whatever the host says.
    pub(super) stubborn: bool,
    /// Outcomes of the next messages with these starts, before all else.
    pub(super) scripted: VecDeque<(&'static str, RpciOutcome)>,
    /// Whether RPCI messages get no answer.
    pub(super) deaf: bool,
    /// Whether RPCI messages wait for [`Host::answer`].
    pub(super) slow: bool,
    pub(super) unanswered: VecDeque<(RpciId, Vec<u8>)>,
    /// The last reply, as it is.
    pub(super) replied: Option<Vec<u8>>,
    /// What the node is asked for guest operations.
    pub(super) asked: Vec<(InquiryId, Step)>,
    /// Passwords that are not checked yet; checked at once unless this is wanted.
    pub(super) unchecked: Option<Vec<PasswordCheck>>,
    /// The kernel's counters.
    pub(super) load: Load,
    /// What becomes of measuring the space; the new space comes in as a fact.
    pub(super) measured: Measured,
    /// How often the space was measured, and the counters were read.
    pub(super) measurements: usize,
    pub(super) readings: usize,
    /// What Talos was asked of etcd for the guest variables.
    pub(super) followed: Vec<EtcdQuestion>,
    /// What freezes, on [`Host::freeze`] alone if it is slow.
    pub(super) freezer: FreezerModel,
    pub(super) freezer_is_slow: bool,
    /// Everything that came out since it was last taken, in order and readable.
    pub(super) heard: Vec<String>,
}

impl Host {
    /// A host that accepts everything, ten seconds after boot, not connected.
    pub(super) fn new() -> Self {
        Self {
            services: Services::new(machine(), || NOON),
            now: Duration::from_secs(10),
            refuses: Vec::new(),
            variables: BTreeMap::new(),
            stubborn: false,
            scripted: VecDeque::new(),
            deaf: false,
            slow: false,
            unanswered: VecDeque::new(),
            replied: None,
            asked: Vec::new(),
            unchecked: None,
            load: Load::default(),
            measured: Measured::Done,
            measurements: 0,
            readings: 0,
            followed: Vec::new(),
            freezer: FreezerModel::default(),
            freezer_is_slow: false,
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

    /// TCLO opens its channel, and the host does not reset it yet.
    pub(super) fn open(&mut self) {
        self.services.handle_connected(self.now);
        self.drop_unawaited();
        self.drain();
    }

    /// TCLO opens its channel, and the host resets it, as every host does.
    pub(super) fn connect(&mut self) {
        self.open();
        self.request(b"reset");
        self.heard.retain(|line| line != "< OK ATR toolbox");
    }

    pub(super) fn lose(&mut self) {
        self.services.handle_lost(self.now);
        self.drain();
    }

    pub(super) fn scrub(&mut self) {
        self.services.set_scrub(true, self.now);
        self.drain();
    }

    pub(super) fn variables_wanted(&mut self, wanted: bool) {
        self.services.set_variables(wanted, self.now);
        self.drain();
    }

    pub(super) fn request(&mut self, request: &[u8]) {
        self.services.handle_request(request, self.now);
        self.drop_unawaited();
        self.drain();
    }

    /// Checks the passwords that have waited for it.
    pub(super) fn check_passwords(&mut self) {
        let unchecked = self.unchecked.replace(Vec::new());
        for check in unchecked.into_iter().flatten() {
            self.services.handle_checked(&check.run(), self.now);
            self.drain();
        }
    }

    pub(super) fn guest_operations(&mut self, config: &GuestOperationsConfig) {
        self.services.set_guest_operations(config, self.now);
        self.drain();
    }

    pub(super) fn inventory(&mut self, config: InventoryConfig) {
        self.services.set_inventory(config, self.now);
        self.drain();
    }

    /// An answer of the node.
    pub(super) fn inquiry_answer(&mut self, id: InquiryId, answer: Answer) {
        self.services.handle_answer(id, answer, self.now);
        self.drain();
    }

    pub(super) fn network_policy(&mut self, policy: NetworkPolicy) {
        self.services.set_network_policy(policy, self.now);
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
        loop {
            let own = self.services.poll_timeout().filter(|at| *at <= end);
            let limit = self.freezer.limit().filter(|at| *at <= end);
            if let Some(at) = limit.filter(|limit| own.is_none_or(|own| *limit <= own)) {
                self.now = at;
                let report = self.freezer.thaw(Cause::Limit, at).unwrap();
                self.freezer_reports(&report);
                continue;
            }
            let Some(at) = own else { break };
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

    /// The machine sleeps: time goes on, and nobody is woken at any time-out.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// The timer rings, whatever was due before.
    pub(super) fn wake(&mut self) {
        self.services.handle_timeout(self.now);
        self.drain();
        assert!(
            self.services.poll_timeout().is_none_or(|at| at > self.now),
            "a time-out lies in the past"
        );
    }

    /// Gives the outcome that a message deserves.
    fn outcome(&mut self, message: &[u8]) -> RpciOutcome {
        let scripted = self
            .scripted
            .iter()
            .position(|(start, _)| message.starts_with(start.as_bytes()));
        if let Some((_, outcome)) = scripted.and_then(|at| self.scripted.remove(at)) {
            return outcome;
        }
        let refused = self
            .refuses
            .iter()
            .any(|start| message.starts_with(start.as_bytes()));
        match (self.deaf, refused) {
            (true, _) => RpciOutcome::Failed,
            (_, true) => RpciOutcome::Refused(b"Unknown command".to_vec()),
            _ if message.len() > LONGEST => RpciOutcome::Refused(b"Message too long".to_vec()),
            _ => self.variable(message),
        }
    }

    /// Answers info-get, and keeps what info-set says of the variables that there are.
    fn variable(&mut self, message: &[u8]) -> RpciOutcome {
        let text = String::from_utf8_lossy(message);
        if let Some(key) = text.strip_prefix("info-get guestinfo.") {
            return match self.variables.get(key) {
                Some(value) if value.len() > READABLE => RpciOutcome::TooLong,
                Some(value) => RpciOutcome::Accepted(value.clone()),
                None => RpciOutcome::Refused(b"No value found".to_vec()),
            };
        }
        let set = text.strip_prefix("info-set guestinfo.");
        let set = set.and_then(|set| set.split_once(' '));
        if let Some((_, "" | "\0")) = set {
            return RpciOutcome::Refused(b"Invalid argument".to_vec());
        }
        if let Some((key, value)) = set
            && let Some(variable) = self.variables.get_mut(key)
            && !self.stubborn
        {
            *variable = value.trim_end_matches('\0').into();
        }
        RpciOutcome::Accepted(Vec::new())
    }

    pub(super) fn quiesce(&mut self, config: &QuiesceConfig) {
        self.services.set_quiesce(config, self.now);
        self.drain();
    }

    pub(super) fn freezer_reports(&mut self, report: &Report) {
        self.services.handle_freezer(report, self.now);
        self.drop_unawaited();
        self.drain();
    }

    /// A slow freezer does what it was ordered first; `fails` is an errno.
    pub(super) fn freeze(&mut self, fails: Option<i32>) {
        if let Some(report) = self.freezer.work(fails, self.now) {
            self.freezer_reports(&report);
        }
    }

    /// What a vSphere host is asked for.
    pub(super) fn vmware(&mut self, config: VmwareConfig, forfeit: Forfeit) {
        self.services.set_vmware(config, forfeit, self.now);
        self.drain();
    }

    pub(super) fn handed_over(&mut self, outcome: &HandOver) {
        self.services.handle_handed_over(outcome, self.now);
        self.drain();
    }

    pub(super) fn ha(&mut self, ha: HaConfig) {
        let config = VmwareConfig {
            ha,
            ..VmwareConfig::default()
        };
        self.vmware(config, Forfeit::default());
    }

    pub(super) fn life(&mut self, life: &Life) {
        self.services.handle_life(life, self.now);
        self.drain();
    }

    /// The process is about to end.
    pub(super) fn hurry(&mut self) {
        self.services.hurry(self.now);
        self.drain();
    }

    pub(super) fn etcd(&mut self, etcd: Option<Etcd>) {
        self.services.handle_etcd(etcd, self.now);
        self.drain();
    }

    /// Answers the oldest message of a slow host.
    pub(super) fn answer(&mut self) {
        if let Some((id, message)) = self.unanswered.pop_front() {
            let outcome = self.outcome(&message);
            self.services.handle_rpci(id, outcome, self.now);
            self.drain();
        }
    }

    /// As the daemon does after these two.
    fn drop_unawaited(&mut self) {
        let Self {
            services,
            unanswered,
            ..
        } = self;
        unanswered.retain(|(id, _)| services.awaits(*id));
    }

    fn drain(&mut self) {
        while let Some(inquiry) = self.services.poll_inquiry() {
            self.asked.push(inquiry);
        }
        while let Some(check) = self.services.poll_check() {
            match &mut self.unchecked {
                Some(unchecked) => unchecked.push(check),
                None => self.services.handle_checked(&check.run(), self.now),
            }
        }
        loop {
            while let Some(output) = self.services.poll_output() {
                match output {
                    Output::Rpci { id, message, .. } => {
                        self.heard.push(format!("> {}", readable(&message)));
                        self.unanswered.push_back((id, message));
                    }
                    Output::Reply(reply) => {
                        self.heard.push(format!("< {}", readable(&reply)));
                        self.replied = Some(reply);
                    }
                    Output::Order(Order::Power(press)) => {
                        let now = if press.wish == Wish::Now { " now" } else { "" };
                        let again = if press.is_again { " again" } else { "" };
                        let operation = press.operation;
                        self.heard.push(format!("! {operation:?}{now}{again}"));
                    }
                    Output::Order(Order::Measure(_)) => {
                        self.measurements += 1;
                        self.services.handle_measured(self.measured, self.now);
                    }
                    Output::Order(Order::Freezer(command)) => {
                        if let Command::Thaw = command {
                            self.heard.push("! thaw".to_owned());
                        }
                        self.freezer.order(command);
                    }
                    Output::Order(Order::LookAtEtcd) => self.heard.push("! etcd".to_owned()),
                    Output::Order(Order::FollowEtcd(what)) => self.followed.push(what),
                    Output::Order(Order::HandOver) => self.heard.push("! hand over".to_owned()),
                    Output::Order(Order::LookForLife) => self.heard.push("! life".to_owned()),
                    Output::Order(Order::Read(_)) => {
                        self.readings += 1;
                        self.services.handle_load(&self.load, self.now);
                    }
                    Output::Order(other) => panic!("{other:?} comes another way"),
                }
            }
            if !self.freezer_is_slow
                && let Some(report) = self.freezer.work(None, self.now)
            {
                self.services.handle_freezer(&report, self.now);
                continue;
            }
            if self.slow || self.unanswered.is_empty() {
                return;
            }
            let (id, message) = self.unanswered.pop_front().unwrap();
            let outcome = self.outcome(&message);
            self.services.handle_rpci(id, outcome, self.now);
        }
    }

    /// What was said since the last time, but for the statistics.
    pub(super) fn take(&mut self) -> Vec<String> {
        let mut heard = std::mem::take(&mut self.heard);
        heard.retain(|line| !line.starts_with("> SetGuestInfo  8 "));
        heard
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
    use vmx::codec::nic_info::NicInfo;
    for start in ["SetGuestInfo  10 ", "SetGuestInfo  9 "] {
        if let Some(payload) = message.strip_prefix(start.as_bytes()) {
            let nics = NicInfo::decode(payload).unwrap().nics;
            let nics: Vec<String> = nics
                .iter()
                .map(|nic| {
                    let ips: Vec<String> = nic
                        .ips
                        .iter()
                        .map(|entry| entry.address.to_string())
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
    // Statistics go every 20 s; their content has tests of its own.
    if let Some(payload) = message.strip_prefix(b"SetGuestInfo  8 ") {
        return format!("SetGuestInfo  8 {} bytes", payload.len());
    }
    message.escape_ascii().to_string()
}
