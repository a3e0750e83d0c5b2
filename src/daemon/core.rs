//! The heart of the daemon: a front end and the node, joined by one step.
//!
//! ```text
//!   host ◄──► FrontEnd ◄── facts, outcomes, time ──┐ Core::step ┌── facts, outcomes ◄── Node ◄──► Talos
//!                      ─── orders ────────────────►┘            └── power, space, load ─►
//! ```
//! The process around it (signals, configuration, sandbox) is [`super::event_loop`]'s; the fault sweep
//! (`tests/sweep`) drives this very code on a paused clock, and `tests/front_end.rs` does with another front end.

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::facts::{Facts, Load};
use crate::front_end::{FrontEnd, Measured, Order, Work};
use crate::power::{PowerOperation, PowerOutcome};

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

/// What [`Core::step`] leaves to the process around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The talosconfig has new contents.
    Talosconfig,
}

/// See the module.
#[derive(Debug)]
pub struct Core<F: FrontEnd, N, C> {
    front_end: F,
    node: N,
    clock: C,
    /// Work off the loop, each on a thread of its own.
    work: JoinSet<<F::Work as Work>::Result>,
}

impl<F: FrontEnd, N: Node, C: Clock> Core<F, N, C> {
    /// Puts the parts together.
    pub fn new(front_end: F, node: N, clock: C) -> Self {
        Self {
            front_end,
            node,
            clock,
            work: JoinSet::new(),
        }
    }

    /// The node.
    pub const fn node(&mut self) -> &mut N {
        &mut self.node
    }

    /// Has the front end take over what the operator may change.
    pub fn configure(&mut self, config: &crate::config::Config) {
        self.front_end.configure(config, self.clock.now());
    }

    /// Does what is to be done, then waits for one event and hands it on; cancel-safe. The host comes first.
    pub async fn step(&mut self) -> Left {
        self.carry_out();
        let deadline = self.front_end.poll_timeout();
        tokio::select! {
            biased;
            event = self.front_end.next() => self.front_end.handle(event, self.clock.now()),
            Some(result) = self.work.join_next() => match result {
                Ok(result) => self.front_end.handle_work(result, self.clock.now()),
                // A panic ends the shipped process at once.
                Err(error) => tracing::error!(%error, "work off the loop ended without a result"),
            },
            news = self.node.next() => return self.handle_news(news),
            () = self.clock.sleep_until(deadline) => {
                self.front_end.handle_timeout(self.clock.now());
            }
        }
        Left::Nothing
    }

    /// Ends the front end. Work under way is not waited for.
    pub async fn close(self) {
        self.front_end.close().await;
    }

    fn handle_news(&mut self, news: News) -> Left {
        let now = self.clock.now();
        match news {
            News::Facts => self.front_end.handle_facts(&self.node.facts(), now),
            News::Power(operation, outcome) => {
                self.front_end.handle_power(operation, outcome, now);
            }
            News::Measured(measured) => self.front_end.handle_measured(measured, now),
            News::Talosconfig => return Left::Talosconfig,
        }
        Left::Nothing
    }

    fn carry_out(&mut self) {
        while let Some(order) = self.front_end.poll_order() {
            match order {
                Order::Power(operation) => self.node.power(operation),
                Order::MeasureSpace => self.node.measure_space(),
                Order::ReadLoad => {
                    let load = self.node.load();
                    self.front_end.handle_load(&load, self.clock.now());
                }
                Order::Work(work) => {
                    self.work.spawn_blocking(move || work.run());
                }
            }
        }
    }
}
