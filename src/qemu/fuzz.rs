//! Entries for fuzzing, see [`crate::fuzz`]: the engine of the commands between a host and a node.
//!
//! The judge plays both and checks all along what must always hold: each request of a client that stays has one
//! reply, in its order and in time; a client gets no reply to what another one asked; Talos is asked for a power
//! operation at most once for each request of it, and not again while it is under way or accepted; and a client that
//! comes after all that is served.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::commands::Agent;
use super::qmp::fuzz::assert_one_object;
use super::qmp::{Id, Parser, Received, Request, delimited, reply};
use crate::facts::{KernelPart, Load, Machine, Reading};
use crate::front_end::{Debt, Measured, NoWork, Order, Subject};
use crate::fuzz::{Choices, facts};
use crate::power::{Obstacle, PowerOperation, PowerOutcome};

/// The longest that a request may wait once those before it are answered.
const IN_TIME: Duration = Duration::from_secs(5);

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
        match choices.below(16) {
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
            13 => judge.pass(Duration::from_secs(choices.byte().into())),
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
    is_stopped: bool,
}

/// A reply that the client waits for.
struct Owed {
    id: Option<Id>,
    /// The line, where we know it.
    line: Option<Vec<u8>>,
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
            agent: Agent::new(Machine::default()),
            now: Duration::from_secs(100),
            parser: Parser::default(),
            owed: VecDeque::new(),
            since: Duration::ZERO,
            reads: true,
            shutdown: Power::default(),
            reboot: Power::default(),
            measuring: Vec::new(),
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
                    let id = request.id;
                    Owed { id, line }
                }
                Received::Malformed { error, id } => Owed {
                    line: Some(reply(&Err(error), id.as_ref())),
                    id,
                },
            };
            self.owed.push_back(owed);
        }
        self.agent.handle_bytes(bytes, self.now);
        self.run();
    }

    /// The client leaves: what it has asked for is answered to nobody.
    fn leave(&mut self) {
        self.agent.handle_left();
        assert_eq!(self.agent.poll_reply(), None, "a reply for nobody");
        self.parser.reset();
        self.owed.clear();
        self.reads = true;
    }

    /// The client takes replies from here on, or none.
    fn read(&mut self, reads: bool) {
        self.reads = reads;
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
        while let Some(due) = self.agent.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.run();
        }
        self.now = end;
        self.look();
    }

    /// Carries out what is due, and what the agent wants done.
    fn run(&mut self) {
        for _ in 0..1000 {
            while let Some(order) = self.agent.poll_order() {
                self.carry_out(&order);
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
        let is_fine = self.owed.is_empty() || !self.reads || waits <= IN_TIME;
        assert!(is_fine || self.is_stopped, "a request waits for {waits:?}");
    }

    fn carry_out(&mut self, order: &Order<NoWork>) {
        assert!(!self.is_stopped, "{order:?} while the process ends");
        match *order {
            Order::Power(operation) => {
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
            Order::LookAtEtcd | Order::Freezer(_) => {}
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
    }

    /// All that is owed is answered, and a further request, too; or the process ends before.
    fn close(mut self, stops: bool) {
        self.read(true);
        self.run();
        if stops {
            return self.stop();
        }
        while !self.owed.is_empty() {
            let due = self.agent.poll_timeout();
            self.now = self.now.max(due.expect("a time-out for what is owed"));
            self.run();
        }
        self.send(b"\xFF{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}\n");
        assert!(self.owed.is_empty(), "a healthy client is not served");
    }

    /// The process ends: Talos is asked for nothing more, and who waits for a power operation gets its outcome.
    fn stop(mut self) {
        self.agent.stop();
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
    }
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
