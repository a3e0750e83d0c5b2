//! vSphere 8 vMotion notifications: the host says that it is about to migrate the machine, and waits a while.
//!
//! ```text
//! host                         this service                        Talos
//!   ◄── register, then check-for-event every period ──┤
//!   ──── start ──────────────────►├── HandOver ───────────────────►  (if this node may lead etcd)
//!   ◄── ack-event ────────────────┤◄── moved, kept, failed ───────┤  or no later than `latest_ack`
//!   ──── end ────────────────────►├ how long it took
//! ```
//!
//! There is no push, so the host is asked again and again; one request is under way at a time, ahead of all that is not
//! urgent. The acknowledgement never waits for Talos longer than `latest_ack`: a migration is not held up by a node
//! that is slow.
//!
//! `registration` keeps the registration and its token, `migrations` what is under way and who is owed an
//! acknowledgement. Neither sends anything: what is next is asked of them, here.

mod migrations;
mod refusal;
mod registration;
mod step;

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::config::{Forfeit, VmotionConfig};
use crate::diagnosis::Check;
use crate::facts::{EtcdPart, Facts};
use crate::front_end::Order;
use crate::power::HandOver;
use crate::vmware::wire::text::info_set;

use super::topic::Topic;
use super::{Context, RpciId, RpciOutcome, Service};
use migrations::Migrations;
pub use refusal::notice_of_migrations;
use registration::Registration;
use step::{Answer, Step};

/// The guest variable that shows what is known of migrations, below `guestinfo.`.
pub const VARIABLE: &str = "vmtools.talos.vmotion";

/// See the module.
#[derive(Debug)]
pub(super) struct Vmotion {
    registration: Registration,
    migrations: Migrations,
    /// What the host has been asked and has not answered.
    in_flight: Option<(RpciId, Step)>,
    /// Leadership of etcd is handed over before a migration.
    hands_over: bool,
    /// A host has reset us, or has let us be for a while: it may be asked.
    is_greeted: bool,
    /// What the guest variable says; empty as long as there was nothing to say.
    shown: String,
}

impl Vmotion {
    /// Off until it is configured.
    pub(super) fn new() -> Self {
        Self {
            registration: Registration::new(),
            migrations: Migrations::new(),
            in_flight: None,
            hands_over: false,
            is_greeted: false,
            shown: String::new(),
        }
    }

    /// Whether the host is asked from here on, and what is done before a migration.
    pub(super) fn configure(
        &mut self,
        config: VmotionConfig,
        forfeit: Forfeit,
        cx: &mut Context<'_>,
    ) {
        self.hands_over = forfeit.vmotion;
        self.registration.configure(config, cx.now);
        if !config.notify {
            self.migrations.hurry();
        }
        self.show(cx);
    }

    /// What became of handing over the leadership of etcd.
    pub(super) fn handed_over(&mut self, outcome: &HandOver, cx: &mut Context<'_>) {
        let Some(in_time) = self.migrations.handed_over(cx.now) else {
            return;
        };
        match outcome {
            HandOver::Moved(leader) => {
                info!(
                    leader,
                    in_time, "leadership of etcd handed over before a migration"
                );
            }
            HandOver::NotLeader => debug!("nothing to hand over before a migration"),
            HandOver::Kept(reason) | HandOver::Failed(reason) => warn!(
                reason,
                "etcd leadership was not handed over before a migration; the migration continues"
            ),
        }
    }

    /// The process ends: what is owed goes at once, and the registration ends.
    pub(super) fn stop(&mut self) {
        self.migrations.hurry();
        self.registration.stop();
    }

    /// Whether the host is still to hear something before the process ends: that its registration ends, one that is
    /// just being made included.
    pub(super) fn is_leaving(&self) -> bool {
        let is_registering = matches!(self.in_flight, Some((_, Step::Register)));
        is_registering || self.registration.is_leaving()
    }

    /// What the host makes of it, if it is switched on.
    pub(super) fn check(&self) -> Option<Check> {
        let outcome = self.registration.check()?;
        Some(Check::new("vmotion", outcome))
    }

    /// What is sent next, if anything is due.
    fn next(&mut self, now: Duration) -> Option<Step> {
        if let Some(token) = self.registration.token()
            && let Some(operation) = self.migrations.next_ack(now)
        {
            return Some(Step::Ack(operation, token.clone()));
        }
        self.registration.next(now)
    }

    /// Takes an event, and has leadership handed over if a migration begins.
    fn happened(&mut self, answer: Answer, cx: &mut Context<'_>) {
        let Some(event) = answer.event else { return };
        let timeout = self.registration.timeout();
        // A machine that goes hands over by itself.
        let is_going = cx.phase.is_an_end() || self.registration.is_leaving();
        let hands_over = self.hands_over && may_lead(cx.facts) && !is_going;
        if self.migrations.heard(&event, hands_over, timeout, cx.now) {
            cx.outbox.order(Order::HandOver);
        }
    }

    /// Says what is known, if that is something else than before.
    fn show(&mut self, cx: &mut Context<'_>) {
        let shown = match self.registration.shown() {
            Some(shown) => shown,
            None if self.registration.is_registered() => self.migrations.shown(),
            None => return,
        };
        if self.shown != shown {
            self.shown = shown;
            self.publish(cx);
        }
    }

    fn publish(&self, cx: &mut Context<'_>) {
        if cx.variables && !self.shown.is_empty() {
            let message = info_set(VARIABLE, &self.shown);
            cx.publications.want(Topic::Vmotion, Some(message));
        }
    }
}

/// Whether this node may lead etcd. What is known of its part is as old as the last look, so a voter may lead by now,
/// and Talos looks once more before it hands anything over.
fn may_lead(facts: &Facts) -> bool {
    facts.may_be_control_plane()
        && !matches!(
            facts.etcd_part,
            Some(EtcdPart::NotMember | EtcdPart::Learner)
        )
}

impl Service for Vmotion {
    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.is_greeted = true;
        self.registration.new_session(cx.now);
        self.migrations.new_session();
        self.publish(cx);
    }

    fn variables_wanted(&mut self, cx: &mut Context<'_>) {
        self.publish(cx);
    }

    fn urgent(&mut self, cx: &mut Context<'_>) {
        if !self.is_greeted || self.in_flight.is_some() {
            return;
        }
        if let Some(step) = self.next(cx.now) {
            let id = step.send(cx.outbox);
            self.in_flight = Some((id, step));
        }
    }

    fn urgent_deadline(&self) -> Option<Duration> {
        if !self.is_greeted || self.in_flight.is_some() {
            return None;
        }
        let acks = self.registration.token().and(self.migrations.deadline());
        acks.into_iter().chain(self.registration.deadline()).min()
    }

    fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        let Some((_, step)) = self.in_flight.take_if(|(sent, _)| *sent == id) else {
            return;
        };
        if let Step::Ack(operation, _) = step {
            self.migrations.answered(operation, outcome, cx.now);
        } else {
            let answer = self.registration.answered(step, outcome, cx.now);
            if answer.is_new_registration {
                self.migrations.forget();
            }
            self.happened(answer, cx);
        }
        self.show(cx);
    }

    fn awaits(&self, id: RpciId) -> bool {
        self.in_flight.as_ref().is_some_and(|(sent, _)| *sent == id)
    }
}
