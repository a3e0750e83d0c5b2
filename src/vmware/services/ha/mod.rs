//! vSphere HA application monitoring (`vmware.ha.monitor`): the host resets the machine when its marks stop.
//!
//! ```text
//! facts, signs of life ─► health: does it live? ─► monitor: Enable, MarkActive, Disable ─► RPCI, urgent lane
//! ```
//! Marks go from [`Service::urgent`], which neither a session that is held back, nor frozen file systems, nor Talos delay.

mod health;
mod monitor;
mod words;

use std::time::Duration;

use super::{Context, RpciId, RpciOutcome, Service};
use crate::config::HaConfig;
use crate::diagnosis::Outcome;
use crate::facts::Life;
use crate::front_end::Order;
use monitor::{Act, Monitor};

pub use words::application_monitoring;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ha {
    monitor: Monitor,
    /// The command whose outcome is awaited.
    sent: Option<RpciId>,
}

impl Ha {
    /// What is monitored from here on.
    pub(super) fn configure(&mut self, config: HaConfig, cx: &mut Context<'_>) {
        self.monitor.configure(config, cx.now);
    }

    /// The process ends.
    pub(super) const fn stop(&mut self) {
        self.monitor.stop();
    }

    /// Whether the host must hear something before the process ends.
    pub(super) fn is_owing(&self) -> bool {
        self.monitor.is_owing()
    }

    /// What came of asking Talos for a sign of life.
    pub(super) fn handle_life(&mut self, life: &Life, now: Duration) {
        self.monitor.handle_life(life, now);
    }

    /// How it stands; none while it is off.
    pub(super) fn check(&self) -> Option<Outcome> {
        self.monitor.check()
    }
}

impl Service for Ha {
    fn connected(&mut self, cx: &mut Context<'_>) {
        self.sent = None;
        self.monitor.session(true, cx.now);
    }

    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.monitor.session(false, cx.now);
    }

    fn urgent(&mut self, cx: &mut Context<'_>) {
        while let Some(act) = self.monitor.poll(cx.facts, cx.is_going, cx.now) {
            match act {
                Act::Send(command) => self.sent = Some(cx.outbox.urgent_rpci(command.message())),
                Act::LookForLife => cx.outbox.order(Order::LookForLife),
            }
        }
    }

    fn urgent_deadline(&self) -> Option<Duration> {
        self.monitor.deadline()
    }

    fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        if self.sent.take_if(|sent| *sent == id).is_some() {
            self.monitor.handle_outcome(outcome, cx.now);
        }
    }

    fn awaits(&self, id: RpciId) -> bool {
        self.sent == Some(id)
    }
}
