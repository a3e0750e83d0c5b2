//! The commands: what the host may ask, and what it gets.

use std::collections::VecDeque;
use std::time::Duration;

use crate::facts::{Facts, Machine, Reading};
use crate::front_end::{Debt, Measured, NoWork, Order, Subject};
use crate::power::{PowerOperation, PowerOutcome};
use crate::report::NetworkPolicy;

use super::qmp::Parser;

/// How long a host waits for the outcome of guest-shutdown.
pub const PATIENCE: Duration = Duration::from_millis(4500);

/// All commands behind one port: bytes, facts and the time go in, replies and orders come out.
#[derive(Debug)]
pub struct Agent {
    parser: Parser,
    machine: Machine,
    policy: NetworkPolicy,
    replies: VecDeque<Vec<u8>>,
    orders: VecDeque<Order<NoWork>>,
}

impl Agent {
    /// An agent that knows nothing of the node.
    pub fn new(machine: Machine) -> Self {
        Self {
            parser: Parser::default(),
            machine,
            policy: NetworkPolicy::default(),
            replies: VecDeque::new(),
            orders: VecDeque::new(),
        }
    }

    /// What of the network is reported from here on.
    pub fn set_network_policy(&mut self, policy: NetworkPolicy) {
        self.policy = policy;
    }

    /// Whether enough is known to answer: only then is the port opened.
    pub fn is_ready(&self) -> bool {
        false
    }

    /// Takes bytes of the host.
    pub fn handle_bytes(&mut self, bytes: &[u8], _now: Duration) {
        self.parser.feed(bytes);
    }

    /// The client has gone: a request that has not come whole is none, replies are for nobody; what was asked for of
    /// Talos goes on.
    pub fn handle_left(&mut self) {
        self.parser.reset();
        self.replies.clear();
    }

    /// Takes the facts, which have changed.
    pub fn handle_facts(&mut self, _facts: &Facts, _now: Duration) {}

    /// See [`crate::front_end::FrontEnd::handle_power_way`].
    pub fn handle_power_way(&mut self, _way: Result<(), String>) {}

    /// Takes what became of a power operation.
    pub fn handle_power(&mut self, _: PowerOperation, _: PowerOutcome, _now: Duration) {}

    /// Takes what became of a measurement.
    pub fn handle_measured(&mut self, _: Subject, _: Measured, _now: Duration) {}

    /// Takes what the kernel says.
    pub fn handle_reading(&mut self, _: &Reading, _now: Duration) {}

    /// Does what is due.
    pub fn handle_timeout(&mut self, _now: Duration) {}

    /// When [`Agent::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// The next order.
    pub fn poll_order(&mut self) -> Option<Order<NoWork>> {
        self.orders.pop_front()
    }

    /// The next reply, a line with its end.
    pub fn poll_reply(&mut self) -> Option<Vec<u8>> {
        self.replies.pop_front()
    }

    /// The process ends: nothing is asked of the node any more; what waits for the outcome of a power operation is
    /// still answered.
    pub fn stop(&mut self) {
        self.orders.clear();
    }

    /// What the host waits for after [`Agent::stop`].
    pub fn debt(&self) -> Debt {
        let _ = &self.machine;
        Debt::None
    }
}
