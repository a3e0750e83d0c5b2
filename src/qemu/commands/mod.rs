//! The commands: what the host may ask, and what it gets.
//!
//! ```text
//! bytes ─► Parser ─► backlog ─► table: a handler ─┬─► reply                      known already
//!                                                 ├─► Measure, Read ─► reply     once the outcome is there
//!                                                 ├─► Power ─────────► reply     or an error after five seconds
//!                                                 └─► Freezer ───────► reply     once all is frozen, or thawed
//! ```
//! Requests are carried out one after the other: one that waits holds up those behind it. Each is answered in
//! time whatever Talos does. What was asked for of Talos goes on when the client has gone.

mod arguments;
mod backlog;
mod clock;
mod disks;
mod file_systems;
mod freeze;
mod known;
mod measurement;
mod memory;
mod network;
mod os;
mod power;
mod processors;
mod routes;
mod step;
mod sync;
mod table;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::QuiesceConfig;
use crate::diagnosis::Outcome;
use crate::facts::{Etcd, Facts, Machine, Reading};
use crate::freeze::{QuiesceOrder, Report, Why};
use crate::front_end::{Debt, Measured, NoWork, Order, Subject};
use crate::power::{Decision, Obstacle, Once, Phase, PowerOperation, PowerOutcome, Press};
use crate::report::NetworkPolicy;

use super::qmp::{Error, Id, Parser, Received, Request, delimited, reply};
use arguments::Arguments;
use backlog::{Backlog, Turn};
use freeze::Wanted;
use known::Known;
use measurement::Before;
use step::{MeasuredAnswer, ReadAnswer, Step};

/// How long the outcome of guest-shutdown may take, whatever it waits for: etcd, a thaw, Talos.
pub const PATIENCE: Duration = Duration::from_millis(4500);

/// After which guest-shutdown is answered with an error.
const POWER_BUDGET: Duration = Duration::from_secs(5);
/// Replies are made while fewer bytes than this wait to be taken.
const MOST_REPLY_BYTES: usize = 64 << 10;
/// After which guest-fsfreeze-thaw is answered with an error. A thaw takes milliseconds.
const THAW_BUDGET: Duration = Duration::from_secs(10);
/// The answer where Talos would have to be asked.
const NOT_AVAILABLE: &str = "Talos API is not available";

/// All commands behind one port: bytes, facts and the time go in, replies and orders come out.
#[derive(Debug)]
pub struct Agent {
    parser: Parser,
    backlog: Backlog,
    waiting: Option<Waiting>,
    known: Known,
    once: Once,
    /// Whether a power operation is on its way, also one that was answered and is held.
    is_ending: bool,
    replies: VecDeque<Vec<u8>>,
    orders: VecDeque<Order<NoWork>>,
    is_stopping: bool,
}

/// A request whose answer waits for something.
#[derive(Debug)]
struct Waiting {
    id: Option<Id>,
    on: On,
    /// When it is answered at the latest. [`Quiesce`](crate::freeze::Quiesce) keeps the time of a freeze.
    until: Option<Duration>,
}

/// What an answer waits for.
#[derive(Debug)]
enum On {
    /// The outcome of a power operation.
    Outcome(PowerOperation),
    /// That of a measurement.
    Measured(Subject, MeasuredAnswer),
    /// What the kernel says, which comes at once.
    Reading(ReadAnswer),
    /// What becomes of a freeze.
    Freeze(Wanted),
}

impl Agent {
    /// An agent that knows nothing of the node. `wall_clock` is the time since 1970.
    pub fn new(machine: Machine, wall_clock: fn() -> Duration) -> Self {
        Self {
            parser: Parser::default(),
            backlog: Backlog::default(),
            waiting: None,
            known: Known::new(machine, wall_clock),
            once: Once::default(),
            is_ending: false,
            replies: VecDeque::new(),
            orders: VecDeque::new(),
            is_stopping: false,
        }
    }

    /// What of the network is reported from here on.
    pub fn set_network_policy(&mut self, policy: NetworkPolicy) {
        self.known.policy = policy;
    }

    /// What is done from here on for a host that wants to freeze.
    pub fn configure_quiesce(&mut self, config: &QuiesceConfig) {
        self.known.freeze.quiesce.configure(config);
    }

    /// What `check` says of freezing.
    pub fn check_quiesce(&self) -> Outcome {
        self.known.freeze.quiesce.check()
    }

    /// Whether enough is known to answer: only then is the port opened.
    pub fn is_ready(&self) -> bool {
        self.known.is_ready()
    }

    /// Takes bytes of the host.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Duration) {
        if self.is_stopping {
            return;
        }
        self.backlog.count(bytes.len());
        self.parser.feed(bytes);
        while let Some(received) = self.parser.next() {
            self.backlog.push(received);
            self.work(now);
        }
    }

    /// The client has gone: a request that has not come whole is none, replies are for nobody. A shutdown or a thaw that it
    /// has asked for is still meant, and goes on; and so does a freeze, which the next client may end.
    pub fn handle_left(&mut self, now: Duration) {
        self.parser.reset();
        self.waiting = None;
        self.orders.retain(|order| !matches!(order, Order::Read(_)));
        while let Some(turn) = self.backlog.pop() {
            if let Turn::Of(Received::Request(request)) = turn {
                match self.step(&request) {
                    Ok(Step::Power(operation)) => drop(self.request_power(operation, now)),
                    Ok(Step::Thaw) => self.known.freeze.give_up(now),
                    _ => {}
                }
            }
        }
        self.settle();
        self.replies.clear();
    }

    /// The port was unplugged: with the client everybody has gone who could end a freeze.
    pub fn handle_unplugged(&mut self, now: Duration) {
        self.handle_left(now);
        self.known.freeze.quiesce.thaw(Why::HostGone, now);
        self.settle();
    }

    /// Takes a report of the freezer.
    pub fn handle_freezer(&mut self, report: &Report, now: Duration) {
        self.known.freeze.quiesce.handle_report(report, now);
        self.settle();
        self.work(now);
    }

    /// Takes what Talos says of etcd; `None` when it does not answer.
    pub fn handle_etcd(&mut self, etcd: Option<Etcd>, now: Duration) {
        self.known.freeze.quiesce.handle_etcd(etcd, now);
        self.settle();
        self.work(now);
    }

    /// Takes the facts, which have changed.
    pub fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        self.known.facts.clone_from(facts);
        self.known.freeze.quiesce.handle_facts(facts, now);
        self.settle();
        self.look(now);
    }

    /// See [`crate::front_end::FrontEnd::handle_power_way`].
    pub fn handle_power_way(&mut self, way: Result<(), Obstacle>, now: Duration) {
        self.known.power_way = Some(way);
        self.look(now);
    }

    /// Takes what became of a power operation.
    pub fn handle_power(
        &mut self,
        operation: PowerOperation,
        outcome: PowerOutcome,
        now: Duration,
    ) {
        let result = match &outcome {
            PowerOutcome::Accepted => Some(Ok(json!({}))),
            PowerOutcome::Rejected(why) => Some(Err(Error::Generic(why.clone()))),
            PowerOutcome::DidNotHappen(_) | PowerOutcome::NotFollowed => None,
        };
        self.once.finished(operation, outcome);
        if let Some(result) = result
            && let Some(Waiting { id, .. }) = self
                .waiting
                .take_if(|it| matches!(it.on, On::Outcome(wanted) if wanted == operation))
        {
            self.reply(&result, id.as_ref());
            self.work(now);
        }
    }

    /// Talos is about to be called for a power operation: what is frozen is thawed.
    pub fn make_way(&mut self, now: Duration) {
        self.known.freeze.quiesce.thaw(Why::Power, now);
        self.settle();
    }

    /// Takes how far a power operation has come.
    pub const fn handle_phase(&mut self, phase: &Phase) {
        self.is_ending = phase.is_an_end();
    }

    /// Takes what became of a measurement.
    pub fn handle_measured(&mut self, subject: Subject, measured: Measured, now: Duration) {
        self.known.measurement(subject).finished(measured, now);
        if let Some(waiting) = self
            .waiting
            .take_if(|it| matches!(it.on, On::Measured(wanted, _) if wanted == subject))
        {
            self.end(waiting, now);
            self.work(now);
        }
    }

    /// Takes what the kernel says.
    pub fn handle_reading(&mut self, reading: &Reading, now: Duration) {
        if let Some(Waiting {
            on: On::Reading(answer),
            id,
            ..
        }) = self.waiting.take_if(|it| matches!(it.on, On::Reading(_)))
        {
            self.reply(&answer(&self.known, reading), id.as_ref());
            self.work(now);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.look(now);
        self.known.freeze.quiesce.handle_timeout(now);
        self.settle();
        if let Some(waiting) = self
            .waiting
            .take_if(|it| it.until.is_some_and(|until| until <= now))
        {
            self.end(waiting, now);
        }
        self.work(now);
    }

    /// When [`Agent::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let goes_on = self.may_work() && !self.backlog.is_empty();
        let goes_on = goes_on.then_some(Duration::ZERO);
        let waiting = self.waiting.as_ref().and_then(|waiting| waiting.until);
        goes_on
            .into_iter()
            .chain(waiting)
            .chain(self.known.deadline())
            .chain(self.known.freeze.quiesce.poll_timeout())
            .min()
    }

    /// The next order.
    pub fn poll_order(&mut self) -> Option<Order<NoWork>> {
        self.orders.pop_front()
    }

    /// The next reply, a line with its end. While replies are left where they are, no more are made.
    pub fn poll_reply(&mut self) -> Option<Vec<u8>> {
        self.replies.pop_front()
    }

    /// The process ends: what is frozen is thawed, and of the node only a power operation is still asked for that the host
    /// has asked for before; what waits for the outcome of one is still answered.
    pub fn stop(&mut self, now: Duration) {
        self.is_stopping = true;
        self.known.freeze.quiesce.thaw(Why::Stopping, now);
        self.settle();
        self.orders
            .retain(|order| matches!(order, Order::Power(_) | Order::Freezer(_)));
    }

    /// What the host waits for after [`Agent::stop`].
    pub fn debt(&self) -> Debt {
        let waits = |it: &Waiting| matches!(it.on, On::Outcome(_));
        if !self.replies.is_empty() || !self.known.freeze.is_idle() {
            Debt::Message
        } else if self.waiting.as_ref().is_some_and(waits) {
            Debt::Outcome
        } else {
            Debt::None
        }
    }

    /// Whether we have become ready; then the space is measured, so that the first answer is there when it is asked
    /// for.
    fn look(&mut self, now: Duration) {
        let was_ready = self.known.is_ready();
        self.known.look(now);
        if !was_ready && self.known.is_ready() {
            self.measure(Subject::Space, now);
        }
    }

    /// Has this measured unless that is known; whether its outcome is to be waited for.
    fn measure(&mut self, subject: Subject, now: Duration) -> bool {
        let before = self.known.measurement(subject).request(now);
        if before == Before::Order {
            self.orders.push_back(Order::Measure(subject));
        }
        before != Before::Nothing
    }

    fn may_work(&self) -> bool {
        let bytes: usize = self.replies.iter().map(Vec::len).sum();
        self.waiting.is_none() && !self.is_stopping && bytes < MOST_REPLY_BYTES
    }

    /// Carries out requests for as long as nothing holds them up.
    fn work(&mut self, now: Duration) {
        while self.may_work()
            && let Some(turn) = self.backlog.pop()
        {
            match turn {
                Turn::Of(Received::Request(request)) => self.carry_out(request, now),
                Turn::Of(Received::Malformed { error, id }) => {
                    self.reply(&Err(error), id.as_ref());
                }
                Turn::Refused => {
                    let error = Error::Generic("too many requests at once".to_owned());
                    self.reply(&Err(error), None);
                }
            }
        }
    }

    fn step(&self, request: &Request) -> Result<Step, Error> {
        let handler = table::handler(&request.command, self.known.freeze.is_idle())?;
        handler.call(&self.known, Arguments::new(&request.arguments))
    }

    fn carry_out(&mut self, request: Request, now: Duration) {
        let step = self.step(&request);
        let id = request.id;
        let (on, budget) = match step {
            Err(error) => return self.reply(&Err(error), id.as_ref()),
            Ok(Step::Reply(value)) => return self.reply(&Ok(value), id.as_ref()),
            Ok(Step::Delimited(value)) => {
                return self.replies.push_back(delimited(&Ok(value), id.as_ref()));
            }
            Ok(Step::Power(operation)) => match self.request_power(operation, now) {
                Decision::Ask | Decision::Wait => (On::Outcome(operation), Some(POWER_BUDGET)),
                Decision::Accepted => return self.reply(&Ok(json!({})), id.as_ref()),
                Decision::Busy => {
                    let error = "another power operation is under way".to_owned();
                    return self.reply(&Err(Error::Generic(error)), id.as_ref());
                }
            },
            Ok(Step::Measure(subject, answer)) => {
                if !self.measure(subject, now) {
                    return self.reply(&answer(&self.known, now), id.as_ref());
                }
                let budget = self.known.measurement(subject).budget();
                (On::Measured(subject, answer), Some(budget))
            }
            Ok(Step::Read(part, answer)) => {
                self.orders.push_back(Order::Read(part));
                (On::Reading(answer), Some(Duration::from_secs(1)))
            }
            Ok(Step::Freeze(mount_points)) => match self.begin_freeze(mount_points, now) {
                Ok(true) => (On::Freeze(Wanted::Freeze), None),
                Ok(false) => return self.reply(&Ok(json!(0)), id.as_ref()),
                Err(error) => return self.reply(&Err(error), id.as_ref()),
            },
            Ok(Step::Thaw) => match self.known.freeze.thaw(now) {
                Ok(true) => (On::Freeze(Wanted::Thaw), Some(THAW_BUDGET)),
                Ok(false) => return self.reply(&Ok(json!(0)), id.as_ref()),
                Err(error) => return self.reply(&Err(error), id.as_ref()),
            },
        };
        let until = budget.map(|budget| now.saturating_add(budget));
        self.waiting = Some(Waiting { id, on, until });
        self.settle();
    }

    /// Begins a freeze, unless the node is about to go down; whether there is something to wait for.
    fn begin_freeze(
        &mut self,
        mount_points: Option<Vec<String>>,
        now: Duration,
    ) -> Result<bool, Error> {
        if self.once.is_under_way() || self.is_ending {
            let error = "a power operation is under way".to_owned();
            return Err(Error::Generic(error));
        }
        let Known { freeze, facts, .. } = &mut self.known;
        freeze.begin(mount_points, facts, now)
    }

    /// Takes what a freeze orders, and what has happened in it.
    fn settle(&mut self) {
        loop {
            let quiesce = &mut self.known.freeze.quiesce;
            if let Some(order) = quiesce.poll_order() {
                self.orders.push_back(match order {
                    QuiesceOrder::LookAtEtcd => Order::LookAtEtcd,
                    QuiesceOrder::Freezer(command) => Order::Freezer(command),
                });
            } else if let Some(event) = quiesce.poll_event() {
                let wanted = self.waiting.as_ref().and_then(|it| match it.on {
                    On::Freeze(wanted) => Some(wanted),
                    On::Outcome(_) | On::Measured(..) | On::Reading(_) => None,
                });
                if let Some(result) = self.known.freeze.handle(event, wanted)
                    && let Some(Waiting { id, .. }) = self.waiting.take()
                {
                    self.reply(&result, id.as_ref());
                }
            } else {
                return;
            }
        }
    }

    /// Orders a power operation, or passes on that it was asked for again; before it what is frozen is thawed.
    fn request_power(&mut self, operation: PowerOperation, now: Duration) -> Decision {
        let decision = self.once.request(operation);
        if decision != Decision::Busy {
            self.make_way(now);
            self.orders.push_back(Order::Power(Press {
                is_again: decision != Decision::Ask,
                ..Press::usual(operation, now)
            }));
        }
        decision
    }

    /// Answers with what there is.
    fn end(&mut self, waiting: Waiting, now: Duration) {
        let result = match waiting.on {
            On::Outcome(_) => Err(Error::Generic(format!(
                "{NOT_AVAILABLE}: it has not accepted the call in time"
            ))),
            On::Measured(_, answer) => answer(&self.known, now),
            On::Reading(_) => Err(unreadable()),
            On::Freeze(_) => Err(Error::Generic(
                "the file systems are not thawed yet".to_owned(),
            )),
        };
        self.reply(&result, waiting.id.as_ref());
    }

    fn reply(&mut self, result: &Result<Value, Error>, id: Option<&Id>) {
        self.replies.push_back(reply(result, id));
    }
}

/// The kernel does not show it.
fn unreadable() -> Error {
    Error::Generic("the kernel does not show this".to_owned())
}
