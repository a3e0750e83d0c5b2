//! QEMU's front end: the commands on their port.
//!
//! ```text
//!   host ── bytes ──► Port ──► Agent (no I/O, no clock) ──► Order ──► node
//!   host ◄─ replies ─ Port ◄──                          ◄── facts ── node
//! ```

use std::time::Duration;

use super::commands::{Agent, PATIENCE};
use super::port::{Port, PortEvent};
use crate::config::Config;
use crate::diagnosis::Check;
use crate::facts::{Etcd, Facts, Machine, Reading};
use crate::freeze::Report;
use crate::front_end::{Debt, FrontEnd, Measured, NoWork, Order, Subject};
use crate::power::{Obstacle, Phase, PowerOperation, PowerOutcome};

/// See the module.
#[derive(Debug)]
pub struct Qemu {
    agent: Agent,
    port: Port,
}

impl Qemu {
    /// A front end on this port, which it opens once there is something to answer. `wall_clock` is the time since 1970.
    pub fn new(port: Port, machine: Machine, wall_clock: fn() -> Duration) -> Self {
        Self {
            agent: Agent::new(machine, wall_clock),
            port,
        }
    }

    /// Opens the port as soon as there are answers.
    fn open(&mut self) {
        if self.agent.is_ready() {
            self.port.open();
        }
    }
}

impl FrontEnd for Qemu {
    type Event = PortEvent;
    type Work = NoWork;

    fn configure(&mut self, config: &Config, _now: Duration) {
        self.agent.set_network_policy(config.network.clone());
        self.agent.configure_quiesce(&config.quiesce);
    }

    async fn next(&mut self) -> PortEvent {
        self.port.next().await
    }

    fn handle(&mut self, event: PortEvent, now: Duration) {
        match event {
            PortEvent::Bytes(bytes) => self.agent.handle_bytes(&bytes, now),
            PortEvent::Left => self.agent.handle_left(now),
            PortEvent::Unplugged => self.agent.handle_unplugged(now),
            // More replies may be made now.
            PortEvent::Written => self.agent.handle_timeout(now),
        }
    }

    fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        self.agent.handle_facts(facts, now);
        self.open();
    }

    fn handle_power(&mut self, operation: PowerOperation, outcome: PowerOutcome, now: Duration) {
        self.agent.handle_power(operation, outcome, now);
    }

    fn make_way(&mut self, now: Duration) {
        self.agent.make_way(now);
    }

    fn handle_phase(&mut self, phase: &Phase, _now: Duration) {
        self.agent.handle_phase(phase);
    }

    fn handle_measured(&mut self, subject: Subject, measured: Measured, now: Duration) {
        self.agent.handle_measured(subject, measured, now);
    }

    fn handle_reading(&mut self, reading: &Reading, now: Duration) {
        self.agent.handle_reading(reading, now);
    }

    fn handle_freezer(&mut self, report: &Report, now: Duration) {
        self.agent.handle_freezer(report, now);
    }

    fn handle_etcd(&mut self, etcd: Option<Etcd>, now: Duration) {
        self.agent.handle_etcd(etcd, now);
    }

    fn handle_work(&mut self, result: NoWork, _now: Duration) {
        match result {}
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn handle_power_way(&mut self, way: Result<(), Obstacle>, now: Duration) {
        self.agent.handle_power_way(way, now);
        self.open();
    }

    fn checks(&self) -> Vec<Check> {
        vec![
            Check::new("transport", self.port.check()),
            Check::new("quiesce", self.agent.check_quiesce()),
        ]
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.agent.handle_timeout(now);
        self.open();
    }

    fn poll_order(&mut self) -> Option<Order<NoWork>> {
        // What the client does not take yet is not made yet either.
        while !self.port.is_writing()
            && let Some(reply) = self.agent.poll_reply()
        {
            self.port.send(reply);
        }
        self.agent.poll_order()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.agent.poll_timeout()
    }

    fn stop(&mut self, now: Duration) {
        self.port.stop();
        self.agent.stop(now);
    }

    fn debt(&self) -> Debt {
        match self.agent.debt() {
            Debt::None if self.port.is_writing() => Debt::Message,
            debt => debt,
        }
    }

    async fn close(self) {}
}
