//! Entries for fuzzing, see [`crate::fuzz`]: the engine of the commands between a host and a node.
//!
//! The judge plays both and checks all along what must always hold: each request of a client that stays has one
//! reply, in its order and in time; a client gets no reply to what another one asked; Talos is asked for a power
//! operation at most once for each request of it, not again while it is under way or accepted, and not before what is
//! frozen is thawed; what is said of a freeze is what the freezer has done; and a client that comes after all that is
//! served, and finds nothing frozen.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::commands::Agent;
use super::qmp::fuzz::assert_one_object;
use super::qmp::{Id, Parser, Received, Request, delimited, reply};
use crate::config::{EtcdGuard, QuiesceConfig, QuiesceMode};
use crate::facts::{
    Etcd, Facts, KernelPart, Load, Machine, Mount, Reading, Stage, TalosVersion, Volume,
};
use crate::freeze::message::Outcome;
use crate::freeze::model::FreezerModel;
use crate::front_end::{Debt, Measured, NoWork, Order, Subject};
use crate::fuzz::{Choices, facts};
use crate::power::{Obstacle, PowerOperation, PowerOutcome, Press};

/// The longest that a request may wait once those before it are answered.
const IN_TIME: Duration = Duration::from_secs(5);
/// The same for guest-fsfreeze-thaw.
const THAW_IN_TIME: Duration = Duration::from_secs(10);
/// The same for guest-fsfreeze-freeze: Talos is asked for etcd, what was written goes to the disks, and a freezer that
/// hangs is given up.
const FREEZE_IN_TIME: Duration = Duration::from_secs(40);

/// What an honest host asks, and some of what it may not.
const COMMANDS: [&str; 27] = [
    "guest-shutdown",
    "guest-ping",
    "guest-sync",
    "guest-sync-delimited",
    "guest-info",
    "guest-network-get-interfaces",
    "guest-network-get-route",
    "guest-get-host-name",
    "guest-get-osinfo",
    "guest-get-users",
    "guest-get-time",
    "guest-get-timezone",
    "guest-get-fsinfo",
    "guest-get-disks",
    "guest-get-diskstats",
    "guest-get-vcpus",
    "guest-get-cpustats",
    "guest-get-load",
    "guest-get-memory-blocks",
    "guest-get-memory-block-info",
    "guest-fsfreeze-status",
    "guest-fsfreeze-freeze",
    "guest-fsfreeze-freeze-list",
    "guest-fsfreeze-thaw",
    "guest-exec",
    "guest-set-time",
    "guest-nope",
];

/// Any order of requests, garbage, comings and goings, facts, outcomes and time.
pub fn fuzz_guest_agent(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut judge = Judge::new();
    while !choices.is_empty() {
        match choices.below(20) {
            0..=4 => {
                let request = request(&mut choices);
                let (first, second) = request.split_at(usize::from(choices.byte()) % request.len());
                judge.send(first);
                judge.send(second);
            }
            5 => judge.send(choices.bytes()),
            6 => judge.send(b"\xFF"),
            7 => judge.leave(),
            8 => {
                let facts = facts(&mut choices);
                judge.agent.handle_facts(&facts, judge.now);
            }
            9 => {
                let way = choices.flag().then_some(());
                let way = way.ok_or_else(|| Obstacle::Refused("no role".to_owned()));
                judge.agent.handle_power_way(way, judge.now);
            }
            10 => judge.power(choices.flag()),
            11 => judge.measured(match choices.below(3) {
                0 => Measured::Done,
                1 => Measured::Failed,
                _ => Measured::TimedOut,
            }),
            12 => judge.read(choices.flag()),
            13 => judge.configure(&mut choices),
            14 => judge.agent.handle_facts(&running(), judge.now),
            15 => judge.freeze(choices.flag()),
            16 => judge.etcd(&mut choices),
            17 => judge.unplug_or_kill(choices.below(8)),
            18 => judge.pass(Duration::from_secs(choices.byte().into())),
            _ => judge.pass(Duration::from_millis(u64::from(choices.byte()) * 20)),
        }
        judge.run();
    }
    judge.close(choices.flag());
}

/// A request, more or less as it should be.
fn request(choices: &mut Choices<'_>) -> Vec<u8> {
    let command = COMMANDS.get(usize::from(choices.below(27)));
    let command = command.copied().unwrap_or_default();
    let arguments = match choices.below(8) {
        0 => "{}".into(),
        1 => r#"{"mode":"powerdown"}"#.into(),
        2 => r#"{"mode":"reboot"}"#.into(),
        3 => r#"{"mountpoints":["/var"]}"#.into(),
        4 => String::from_utf8_lossy(choices.bytes()),
        _ if command.starts_with("guest-sync") => r#"{"id":-9223372036854775808}"#.into(),
        _ => return format!("{{\"execute\":\"{command}\"}}\n").into_bytes(),
    };
    let id = choices.word();
    format!("{{\"execute\":\"{command}\",\"arguments\":{arguments},\"id\":{id}}}\n").into_bytes()
}

/// See the module.
struct Judge {
    agent: Agent,
    now: Duration,
    /// Reads what the agent reads.
    parser: Parser,
    owed: VecDeque<Owed>,
    /// Since when the first of them waits.
    since: Duration,
    /// The client takes the replies.
    reads: bool,
    shutdown: Power,
    reboot: Power,
    measuring: Vec<Subject>,
    freezer: FreezerModel,
    /// The freezer is dead: the daemon would end, and the next one thaws.
    is_killed: bool,
    /// How often Talos has been asked for etcd, less how often it has answered.
    etcd: usize,
    /// No reply waits to be taken that was made before the last change.
    is_fresh: bool,
    is_stopped: bool,
}

/// A reply that the client waits for.
struct Owed {
    id: Option<Id>,
    /// The line, where we know it.
    line: Option<Vec<u8>>,
    /// What is asked for.
    command: String,
}

impl Owed {
    /// How long it may wait.
    fn in_time(&self) -> Duration {
        match self.command.as_str() {
            "guest-fsfreeze-freeze" | "guest-fsfreeze-freeze-list" => FREEZE_IN_TIME,
            "guest-fsfreeze-thaw" => THAW_IN_TIME,
            _ => IN_TIME,
        }
    }
}

/// A power operation as Talos sees it.
#[derive(Default)]
struct Power {
    /// How often the host has asked, less how often Talos was asked.
    requests: usize,
    is_under_way: bool,
    is_accepted: bool,
}

impl Judge {
    fn new() -> Self {
        Self {
            agent: Agent::new(Machine::default(), Duration::default),
            now: Duration::from_secs(100),
            parser: Parser::default(),
            owed: VecDeque::new(),
            since: Duration::ZERO,
            reads: true,
            shutdown: Power::default(),
            reboot: Power::default(),
            measuring: Vec::new(),
            freezer: FreezerModel::default(),
            is_killed: false,
            etcd: 0,
            is_fresh: true,
            is_stopped: false,
        }
    }

    const fn operation(&mut self, operation: PowerOperation) -> &mut Power {
        match operation {
            PowerOperation::Shutdown => &mut self.shutdown,
            PowerOperation::Reboot => &mut self.reboot,
        }
    }

    /// The client sends this.
    fn send(&mut self, bytes: &[u8]) {
        self.parser.feed(bytes);
        while let Some(received) = self.parser.next() {
            if self.owed.is_empty() {
                self.since = self.now;
            }
            let owed = match received {
                Received::Request(request) => {
                    if let Some(operation) = wanted(&request) {
                        self.operation(operation).requests += 1;
                    }
                    let line = line(&request);
                    Owed {
                        id: request.id,
                        line,
                        command: request.command,
                    }
                }
                Received::Malformed { error, id } => Owed {
                    line: Some(reply(&Err(error), id.as_ref())),
                    id,
                    command: String::new(),
                },
            };
            self.owed.push_back(owed);
        }
        self.agent.handle_bytes(bytes, self.now);
        self.run();
    }

    /// The client leaves: what it has asked for is answered to nobody.
    fn leave(&mut self) {
        self.agent.handle_left(self.now);
        assert_eq!(self.agent.poll_reply(), None, "a reply for nobody");
        self.client_is_gone();
    }

    fn client_is_gone(&mut self) {
        self.parser.reset();
        self.owed.clear();
        self.reads = true;
        self.is_fresh = true;
    }

    /// The port is unplugged, or the freezer dies.
    fn unplug_or_kill(&mut self, choice: u8) {
        if choice == 0 {
            self.freezer.kill();
            self.is_killed = true;
        } else {
            self.agent.handle_unplugged(self.now);
            assert_eq!(self.agent.poll_reply(), None, "a reply for nobody");
            self.client_is_gone();
            self.run();
            assert!(!self.freezer.is_frozen() || self.is_killed);
        }
    }

    /// The operator has other wishes.
    fn configure(&mut self, choices: &mut Choices<'_>) {
        let mode = match choices.below(4) {
            0 => QuiesceMode::Off,
            1 => QuiesceMode::Sync,
            _ => QuiesceMode::Freeze,
        };
        let etcd = match choices.flag() {
            true => EtcdGuard::Refuse,
            false => EtcdGuard::Warn,
        };
        self.agent.configure_quiesce(&QuiesceConfig {
            mode,
            etcd,
            max_freeze: Duration::from_secs(8),
            ..QuiesceConfig::default()
        });
    }

    /// The freeze that is under way comes to its end.
    fn freeze(&mut self, is_good: bool) {
        self.freezer.outcome = match is_good {
            true => Outcome::Done,
            false => Outcome::Failed(5),
        };
        self.freezer.finish(self.now);
    }

    /// Talos says what it knows of etcd.
    fn etcd(&mut self, choices: &mut Choices<'_>) {
        if self.etcd > 0 {
            self.etcd -= 1;
            let (voters, live) = (choices.below(6).into(), choices.below(6).into());
            let etcd = choices.flag().then_some(Etcd { voters, live });
            self.agent.handle_etcd(etcd, self.now);
        }
    }

    /// The client takes replies from here on, or none.
    fn read(&mut self, reads: bool) {
        self.reads = reads;
        self.is_fresh &= reads;
        self.since = self.now;
    }

    /// Talos says what becomes of an operation.
    fn power(&mut self, is_good: bool) {
        let now = self.now;
        for operation in [PowerOperation::Shutdown, PowerOperation::Reboot] {
            let power = self.operation(operation);
            let why = "why".to_owned();
            let outcome = match (power.is_under_way, power.is_accepted) {
                (true, _) if is_good => PowerOutcome::Accepted,
                (true, _) => PowerOutcome::Rejected(why),
                (false, true) if is_good => PowerOutcome::NotFollowed,
                (false, true) => PowerOutcome::DidNotHappen(why),
                (false, false) => continue,
            };
            power.is_under_way = false;
            power.is_accepted = outcome == PowerOutcome::Accepted;
            self.agent.handle_power(operation, outcome, now);
            return;
        }
    }

    /// The oldest measurement comes to its end.
    fn measured(&mut self, measured: Measured) {
        if !self.measuring.is_empty() {
            let subject = self.measuring.remove(0);
            self.agent.handle_measured(subject, measured, self.now);
        }
    }

    /// Time passes.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.run();
        while let Some(due) = self.due().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.freezer.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
        self.look();
    }

    /// When something happens by itself.
    fn due(&self) -> Option<Duration> {
        let agent = self.agent.poll_timeout().into_iter();
        agent.chain(self.freezer.poll_timeout()).min()
    }

    /// Carries out what is due, and what the agent wants done.
    fn run(&mut self) {
        for _ in 0..1000 {
            while let Some(order) = self.agent.poll_order() {
                self.carry_out(&order);
            }
            while let Some(report) = self.freezer.poll_report() {
                self.agent.handle_freezer(&report, self.now);
            }
            while self.reads
                && let Some(line) = self.agent.poll_reply()
            {
                self.check(&line);
            }
            self.look();
            if self.agent.poll_timeout().is_none_or(|due| due > self.now) {
                return;
            }
            self.agent.handle_timeout(self.now);
        }
        panic!("a time-out stands still");
    }

    /// Whether the first request has waited too long.
    fn look(&self) {
        let waits = self.now.saturating_sub(self.since);
        let in_time = self.owed.front().map_or(Duration::MAX, Owed::in_time);
        let is_fine = !self.reads || waits <= in_time;
        assert!(is_fine || self.is_stopped, "a request waits for {waits:?}");
    }

    fn carry_out(&mut self, order: &Order<NoWork>) {
        let is_thaw = matches!(order, Order::Freezer(_));
        assert!(
            !self.is_stopped || is_thaw,
            "{order:?} while the process ends"
        );
        match *order {
            // A press that repeats another asks for nothing new.
            Order::Power(Press { is_again: true, .. }) => {}
            Order::Power(Press { operation, .. }) => {
                let is_frozen = self.freezer.is_frozen() && !self.is_killed;
                assert!(!is_frozen, "{operation:?} while file systems are frozen");
                let power = self.operation(operation);
                assert!(!power.is_under_way, "{operation:?} asked for twice");
                assert!(!power.is_accepted, "{operation:?} asked for again");
                power.requests = power.requests.checked_sub(1).expect("a request for it");
                power.is_under_way = true;
            }
            Order::Measure(subject) => {
                assert!(!self.measuring.contains(&subject), "{subject:?} twice");
                self.measuring.push(subject);
            }
            Order::Read(part) => self.agent.handle_reading(&reading(part), self.now),
            Order::Inquiry(..) => panic!("no guest operations on QEMU"),
            Order::LookAtEtcd => self.etcd += 1,
            Order::HandOver | Order::LookForLife => panic!("neither migrations nor HA on QEMU"),
            Order::FollowEtcd(_) => panic!("no guest variables on QEMU"),
            Order::Freezer(command) => self.freezer.handle(&command, self.now),
            Order::Work(work) => match work {},
        }
    }

    /// The client gets this.
    fn check(&mut self, line: &[u8]) {
        let owed = self.owed.pop_front().expect("a request for this reply");
        self.since = self.now;
        let text = String::from_utf8_lossy(line);
        if text.contains("too many requests at once") {
            return;
        }
        match owed.line {
            Some(expected) => assert_eq!(text, String::from_utf8_lossy(&expected)),
            None => assert_one_object(line, owed.id.as_ref()),
        }
        if owed.command == "guest-fsfreeze-status" && self.is_fresh && !self.is_killed {
            let says = |status: &str| text.contains(&format!("\"return\": \"{status}\""));
            let is_frozen = self.freezer.is_frozen();
            assert!(!says("frozen") || is_frozen, "{text} but thawed");
            assert!(!says("thawed") || !is_frozen, "{text} but frozen");
        }
        self.is_fresh |= self.reads && self.owed.is_empty();
    }

    /// All that is owed is answered, and a further request, too; or the process ends before.
    fn close(mut self, stops: bool) {
        self.read(true);
        self.run();
        if stops {
            return self.stop();
        }
        while !self.owed.is_empty() {
            let due = self.due();
            self.now = self.now.max(due.expect("a time-out for what is owed"));
            self.freezer.handle_timeout(self.now);
            self.run();
        }
        self.send(b"\xFF{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}\n");
        assert!(self.owed.is_empty(), "a healthy client is not served");
        self.pass(FREEZE_IN_TIME);
        assert!(!self.freezer.is_frozen() || self.is_killed);
    }

    /// The process ends: Talos is asked for nothing more, and who waits for a power operation gets its outcome.
    fn stop(mut self) {
        self.agent.stop(self.now);
        self.is_stopped = true;
        let owed = self.owed.len();
        let debt = self.agent.debt();
        self.power(true);
        self.power(true);
        self.run();
        if debt == Debt::Outcome {
            assert!(self.owed.len() < owed, "the outcome of a power operation");
        }
        assert_eq!(self.agent.debt(), Debt::None);
        assert!(!self.freezer.is_frozen() || self.is_killed);
    }
}

/// A node that runs, with two volumes.
fn running() -> Facts {
    let volume = |id: &str, location: &str| Volume {
        id: id.to_owned(),
        location: location.to_owned(),
        mount_location: location.to_owned(),
        file_system: "xfs",
        ..Volume::default()
    };
    let mount = |id: &str, source: &str, target: &str| Mount {
        volume: id.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Mount::default()
    };
    let mut facts = Facts {
        talos: Some(TalosVersion {
            tag: "v1.13.0".to_owned(),
            arch: "amd64".to_owned(),
            platform: "nocloud".to_owned(),
        }),
        stage: Some(Stage::Running),
        ..Facts::default()
    };
    facts.storage.volumes = Some(vec![
        volume("EPHEMERAL", "/dev/sda6"),
        volume("u-data", "/dev/sdb1"),
    ]);
    let mounts = [
        mount("EPHEMERAL", "/dev/sda6", "/var"),
        mount("u-data", "/dev/sdb1", "/var/mnt/data"),
    ];
    facts.storage.mounts = Some(mounts.into());
    facts
}

/// The operation that a request is for.
fn wanted(request: &Request) -> Option<PowerOperation> {
    if request.command != "guest-shutdown" {
        return None;
    }
    match request.arguments.get("mode").and_then(Value::as_str) {
        Some("reboot") => Some(PowerOperation::Reboot),
        _ => Some(PowerOperation::Shutdown),
    }
}

/// The reply to a request, where nothing but the request decides it.
fn line(request: &Request) -> Option<Vec<u8>> {
    let number = request.arguments.get("id")?.as_i64()?;
    if request.arguments.len() > 1 {
        return None;
    }
    let (result, id) = (Ok(json!(number)), request.id.as_ref());
    match request.command.as_str() {
        "guest-sync" => Some(reply(&result, id)),
        "guest-sync-delimited" => Some(delimited(&result, id)),
        _ => None,
    }
}

/// What a bare kernel says.
fn reading(part: KernelPart) -> Reading {
    match part {
        KernelPart::Load => Reading::Load(Load::default()),
        KernelPart::Time => Reading::Time(Duration::from_secs(1_700_000_000)),
        KernelPart::LoadAverage => Reading::LoadAverage(Some([0.0, 0.5, 1.0])),
        KernelPart::Processors => Reading::Processors(Vec::new()),
        KernelPart::ProcessorTimes => Reading::ProcessorTimes(Vec::new()),
        KernelPart::DiskCounters => Reading::DiskCounters(Vec::new()),
        KernelPart::MemoryBlocks => Reading::MemoryBlocks(None),
    }
}
