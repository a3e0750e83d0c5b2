//! The heart of the daemon: the services, both links to the host, and the node, joined by one step.
//!
//! ```text
//!   host ── TCLO ──►┐                                  ┌──► reply ── TCLO ──► host
//!   host ◄─ RPCI ──►├──► Services (no I/O, no clock) ──┼──► command ─ RPCI ─► host
//!   node ─── facts ►┘                                  └──► power operation ─► node
//! ```
//!
//! The process around it (signals, configuration, sandbox) is [`super::event_loop`]'s; the fault sweep
//! (`tests/sweep`) drives this very code on a paused clock.

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::facts::{Facts, Load};
use crate::power::{PowerOperation, PowerOutcome};
use crate::vmware::link::rpci_queue::RpciQueue;
use crate::vmware::link::tclo::{TcloEvent, TcloLink};
use crate::vmware::services::{Measured, Output, Services};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::transport::vsock::{Dial, HostVsock};

/// What comes from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The facts have changed; see [`Node::facts`].
    Facts,
    /// What became of a power operation. One operation may have two outcomes: accepted, and later that it
    /// did not happen.
    Power(PowerOperation, PowerOutcome),
    /// What became of measuring the space on the file systems.
    Measured(Measured),
    /// The talosconfig has new contents, such as a renewed certificate.
    Talosconfig,
}

/// The node, seen from the host's side.
pub trait Node {
    /// The next news; cancel-safe.
    fn next(&mut self) -> impl Future<Output = News>;
    /// What is known of it now.
    fn facts(&mut self) -> impl Deref<Target = Facts>;
    /// Asks for a power operation, in the background.
    fn power(&mut self, operation: PowerOperation);
    /// Asks for the space on the file systems, in the background.
    fn measure_space(&mut self);
    /// The kernel's counters now.
    fn load(&mut self) -> Load;
}

/// The time since boot.
pub trait Clock {
    /// Now.
    fn now(&self) -> Duration;
    /// Returns once `deadline` is reached; never, when there is none.
    fn sleep_until(&self, deadline: Option<Duration>) -> impl Future<Output = ()>;
}

/// See the module.
#[derive(Debug)]
pub struct Core<A: RegisterAccess, N, C, V = HostVsock> {
    /// What the host may ask and what it is told.
    pub services: Services,
    /// The host asks.
    pub tclo: TcloLink<A, V>,
    /// The host is told.
    pub rpci: RpciQueue<A, V>,
    /// Talos, and the kernel.
    pub node: N,
    /// The time.
    pub clock: C,
}

impl<A, N, C, V> Core<A, N, C, V>
where
    A: RegisterAccess + Clone + 'static,
    N: Node,
    C: Clock,
    V: Dial + 'static,
{
    /// Does what is to be done, then waits for one event and hands it on; cancel-safe. Gives back what is not
    /// the services' business: that the talosconfig has changed.
    pub async fn step(&mut self) -> Option<News> {
        self.carry_out();
        let deadline = self.services.poll_timeout();
        tokio::select! {
            biased;
            event = self.tclo.next() => self.handle_tclo(event),
            (id, outcome) = self.rpci.outcome() => {
                self.services.handle_rpci(id, outcome, self.clock.now());
            }
            news = self.node.next() => match news {
                News::Facts => self.services.handle_facts(&self.node.facts(), self.clock.now()),
                News::Power(operation, outcome) => {
                    self.services.handle_power(operation, outcome, self.clock.now());
                }
                News::Measured(measured) => {
                    self.services.handle_measured(measured, self.clock.now());
                }
                News::Talosconfig => return Some(News::Talosconfig),
            },
            () = self.clock.sleep_until(deadline) => self.services.handle_timeout(self.clock.now()),
        }
        None
    }

    fn handle_tclo(&mut self, event: TcloEvent) {
        match event {
            TcloEvent::Connected { .. } => {
                self.rpci.forget_failures();
                self.services.handle_connected(self.clock.now());
            }
            TcloEvent::Request(request) => {
                self.services.handle_request(&request, self.clock.now());
            }
            TcloEvent::Lost => {
                self.rpci.host_lost();
                self.services.handle_lost();
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Rpci { id, message } => self.rpci.send(id, message),
                Output::Reply(reply) => self.tclo.reply(reply),
                Output::Power(operation) => self.node.power(operation),
                Output::MeasureSpace => self.node.measure_space(),
                Output::ReadLoad => {
                    let load = self.node.load();
                    self.services.handle_load(&load, self.clock.now());
                }
            }
        }
    }
}
