//! What the host may ask and what it is sent: one file per service, joined in [`Services`].
//!
//! Sans-IO. Requests, replies, facts and the passing of time go in; [`Output`]s come out. `now` is always
//! the time since boot (CLOCK_BOOTTIME), which serves both as clock and as the uptime that is reported.
//!
//! A request finds its handler by name in `HANDLERS`. What lives longer than a request is a `Service` and
//! hears of connections, resets, facts and time. What it wants on the host it hands to `Publications`, which keeps
//! the host up to date; what must go once and in order, to `EventLine`. A service to add is a file, a field in
//! `Members` and, if the host can call it, a line in `HANDLERS`.

#[cfg(any(test, fuzzing))]
mod backup_book;
mod capabilities;
mod checks;
mod coalescing;
mod disks;
mod drive;
mod etcd;
mod events;
#[cfg(any(test, fuzzing))]
mod freezer_model;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod guest_info;
mod guest_operations;
mod ha;
mod host_policy;
mod identity;
mod inventory;
#[cfg(any(test, fuzzing))]
mod judge;
mod names;
mod outbox;
mod output;
mod ping;
#[cfg(any(test, fuzzing))]
mod plays;
mod power;
mod presence;
mod publications;
mod reset;
mod service;
mod set_option;
mod settings;
mod statistics;
mod time_synchronize;
mod topic;
mod unsafe_config;
mod variables;
mod version;
mod vmbackup;
mod vmotion;
#[cfg(any(test, fuzzing))]
mod vmotion_book;

use std::time::Duration;

use tracing::debug;

use crate::diagnosis::{Check, Outcome};
use crate::facts::{Etcd, Facts, Life, Load, Machine};
use crate::freeze::Report as FreezerReport;
use crate::front_end::{Debt, Measured};
use crate::guest_operations::WallClock;
use crate::guest_operations::logins::{Checked, PasswordCheck};
use crate::inquiry::{Answer, InquiryId, Step};
use crate::power::{HandOver, Phase, PowerOperation, PowerOutcome};
use crate::report::{HostNameForm, NetworkPolicy, Report};
use crate::vmware::wire::nic_info_v3::MAX_NICS;
use crate::vmware::wire::text::{TcloRequest, error, printable};

pub use checks::{DENIED, variables_refused, variables_unwanted};
use coalescing::Changes;
use events::EventLine;
pub use ha::application_monitoring;
use outbox::{Outbox, ReplyTo};
pub use output::{Lane, Output, RpciId, RpciOutcome};
use presence::Presence;
use publications::{Hold, Publications};
use service::{Context, Members, Service};
pub use variables::POWER as POWER_VARIABLE;
pub use vmotion::VARIABLE as VMOTION_VARIABLE;
pub use vmotion::notice_of_migrations;

/// What a handler does with a request: its arguments, and how to answer. The reply may come later.
type Handler = fn(&mut Members, &[u8], &mut Context<'_>, ReplyTo);

/// TCLO name to handler.
const HANDLERS: &[(&[u8], Handler)] = &[
    (b"reset", reset::handle),
    (b"ping", ping::handle),
    (b"Capabilities_Register", capabilities::handle),
    (b"Set_Option", set_option::handle),
    (b"OS_Halt", power::handle_halt),
    (b"OS_Reboot", power::handle_reboot),
    (b"OS_PowerOn", power::handle_power_on),
    (b"OS_Resume", power::handle_resume),
    (b"OS_Suspend", power::handle_suspend),
    (b"Time_Synchronize", time_synchronize::handle),
    (b"Vix_1_Relayed_Command", guest_operations::handle),
    (b"vmbackup.start", vmbackup::handle_start),
    (b"vmbackup.startWithOpts", vmbackup::handle_start_with_opts),
    (b"vmbackup.snapshotDone", vmbackup::handle_snapshot_done),
    (b"vmbackup.abort", vmbackup::handle_abort),
    (
        b"vmbackup.snapshotCompleted",
        vmbackup::handle_snapshot_completed,
    ),
];

/// How long a session that has just opened waits for the host's reset before everything is sent without one. The reset
/// comes at once on every host that was seen.
const WITHOUT_RESET: Duration = Duration::from_secs(1);

/// All services behind one TCLO channel.
///
/// Whoever drives it keeps three promises: a request is handed in only when the one before has been answered or
/// its channel is gone; after the channel has been opened again, [`Services::handle_connected`] comes before
/// the first request; every [`Output::Rpci`] is followed by one outcome, [`RpciOutcome::Failed`] if need be, unless
/// it is no longer awaited ([`Services::awaits`]) or the process ends.
#[derive(Debug)]
pub struct Services {
    members: Members,
    outbox: Outbox,
    publications: Publications,
    events: EventLine,
    facts: Facts,
    policy: NetworkPolicy,
    report: Report,
    /// The report is not of these facts, or not by this policy.
    report_is_stale: bool,
    machine: Machine,
    host_name: HostNameForm,
    variables: bool,
    problem: Option<String>,
    quiesce: String,
    phase: Phase,
    presence: Presence,
    /// Changes of the facts that no member has heard of.
    changes: Option<Changes>,
    /// When the next member wants to be driven.
    deadline: Option<Duration>,
    /// How long the next session must have held before it gets guest information.
    proof: Option<Duration>,
}

impl Services {
    /// Services of a fresh process.
    pub fn new(machine: Machine, wall_clock: WallClock) -> Self {
        Self {
            members: Members::new(wall_clock),
            outbox: Outbox::default(),
            publications: Publications::default(),
            events: EventLine::new(),
            facts: Facts::default(),
            policy: NetworkPolicy::default(),
            report: Report::default(),
            report_is_stale: true,
            machine,
            host_name: HostNameForm::default(),
            variables: true,
            problem: None,
            quiesce: String::new(),
            phase: Phase::default(),
            presence: Presence::Away,
            changes: None,
            deadline: None,
            proof: None,
        }
    }

    /// The channels to the host are (again) open. A request that came over the old TCLO channel is no longer
    /// answered, and everything is sent again, for the host at the other end may know nothing: at its reset, or a
    /// second later.
    pub fn handle_connected(&mut self, now: Duration) {
        self.presence.connected();
        self.changes = None;
        self.forget_request();
        self.events.new_session(now);
        let proof = self.proof.take();
        if proof.is_none() {
            self.publications.hold(Hold {
                until: now.saturating_add(WITHOUT_RESET),
                through_resets: false,
            });
        }
        self.each(now, |service, cx| service.connected(cx));
        if let Some(proof) = proof {
            // What a session begins with waits as well.
            self.publications.hold(Hold {
                until: now.saturating_add(proof),
                through_resets: true,
            });
        }
        self.drive(now);
    }

    /// The session that comes may be as short as the one before: it gets no guest information before it has held for
    /// this long, but for what the host asks for.
    pub const fn require_proof(&mut self, proof: Option<Duration>) {
        self.proof = proof;
    }

    /// The TCLO channel is gone, and with it a request without reply. RPCI may still reach the host, so things go
    /// on until the first message is lost. From then on nothing is sent and nothing is waited for: after
    /// [`Services::handle_connected`] everything is sent anyway.
    pub fn handle_lost(&mut self, now: Duration) {
        self.forget_request();
        self.presence.lost();
        self.rest_while_away(now);
        if !self.presence.is_away() {
            self.members.vmbackup.handle_lost();
            self.members.vmbackup.send(&mut self.outbox, now);
        }
    }

    /// The channel of the last request is gone.
    fn forget_request(&mut self) {
        self.outbox.forget_reply();
        self.members.guest_operations.forget_request();
        self.members.vmbackup.forget_request();
    }

    /// Whether the host is gone, so that no command reaches it.
    pub const fn host_is_away(&self) -> bool {
        self.presence.is_away()
    }

    /// Nothing is due towards a host that is gone, and nothing stays frozen for it.
    fn rest_while_away(&mut self, now: Duration) {
        if self.presence.is_away() {
            self.changes = None;
            self.deadline = None;
            self.with(now, |members, cx| members.vmbackup.host_gone(cx));
        }
    }

    /// What is worth showing of what is wrong with the agent.
    pub fn set_problem(&mut self, problem: &str, now: Duration) {
        self.problem = Some(problem.to_owned());
        if !self.presence.is_away() {
            self.each(now, |service, cx| service.problem_changed(cx));
            self.drive(now);
        }
    }

    /// What the host takes of us, and what it refuses.
    pub fn checks(&self) -> Vec<Check> {
        let variables = match self.publications.refusal(topic::VARIABLES) {
            _ if !self.variables => variables_unwanted(),
            Some((_, reply)) => variables_refused(reply),
            None if self.publications.holds_some(topic::VARIABLES) => {
                Outcome::Works("the host takes guest variables".to_owned())
            }
            None => Outcome::NotChecked("none has been written yet".to_owned()),
        };
        let mut checks = vec![Check::new("variables", variables)];
        if let Some((command, reply)) = self.publications.refusal(topic::GUEST_INFORMATION) {
            let reply = printable(reply);
            let problem = format!("the host takes no {command}: {reply}");
            let outcome = Outcome::fails(problem, topic::SET_INFO_REMEDY);
            checks.push(Check::new("host", outcome));
        }
        checks.push(self.members.guest_operations.check());
        let quiesce = self.members.vmbackup.quiesce().check();
        checks.push(Check::new("quiesce", quiesce));
        checks.extend(self.members.vmotion.check());
        checks.extend(self.members.ha.check().map(|ha| Check::new("ha", ha)));
        checks
    }

    /// One TCLO request, as received. Exactly one [`Output::Reply`] follows, maybe after RPCI outcomes.
    pub fn handle_request(&mut self, request: &[u8], now: Duration) {
        if !self.presence.is_connected() {
            self.handle_connected(now);
        }
        self.refresh_report();
        let reply_to = self.outbox.owe_reply();
        self.with(now, |members, cx| match TcloRequest::parse(request) {
            None => cx.outbox.reply(reply_to, error("Bad command")),
            Some(TcloRequest { name, args }) => {
                match HANDLERS.iter().find(|(known, _)| *known == name) {
                    Some((_, handle)) => handle(members, args, cx, reply_to),
                    None => {
                        debug!(command = printable(name), "unknown command");
                        cx.outbox.reply(reply_to, error("Unknown Command"));
                    }
                }
            }
        });
        self.drive(now);
    }

    /// The outcome of an [`Output::Rpci`].
    pub fn handle_rpci(&mut self, id: RpciId, outcome: RpciOutcome, now: Duration) {
        let settled =
            self.events.settle(id, &outcome, now) || self.publications.settle(id, &outcome, now);
        if !settled {
            self.each(now, |service, cx| service.answered(id, &outcome, cx));
        }
        self.presence.settled(outcome == RpciOutcome::Failed);
        self.rest_while_away(now);
        self.drive(now);
    }

    /// Whether anyone still waits for the outcome of an [`Output::Rpci`]. After a reset or a new connection the earlier
    /// ones mostly are of no use.
    pub fn awaits(&mut self, id: RpciId) -> bool {
        self.events.is_sent_as(id)
            || self.publications.is_sent_as(id)
            || self.members.each().iter().any(|service| service.awaits(id))
    }

    /// The process ends: what the host waits for goes at once, whatever was lost before.
    pub fn hurry(&mut self, now: Duration) {
        self.events.hurry();
        self.members.vmotion.stop();
        self.members.ha.stop();
        self.with(now, |members, cx| {
            members.power.stop(cx);
            members.vmbackup.stop(cx);
        });
        self.drive(now);
    }

    /// What the host still waits for, if it is there to be sent anything, and what is still frozen.
    pub fn debt(&self) -> Debt {
        if self.members.vmbackup.is_quiet() {
            Debt::Message
        } else if self.presence.is_away() {
            Debt::None
        } else if !self.events.is_empty()
            || self.members.vmbackup.has_events()
            || self.members.vmotion.is_leaving()
            || self.members.ha.is_owing()
        {
            Debt::Message
        } else if self.members.power.is_under_way() {
            Debt::Outcome
        } else {
            Debt::None
        }
    }

    /// A report of the freezer, which follows an [`Order::Freezer`](crate::front_end::Order::Freezer) or comes by itself.
    pub fn handle_freezer(&mut self, report: &FreezerReport, now: Duration) {
        self.with(now, |members, cx| {
            members.vmbackup.handle_report(report, cx)
        });
        self.drive(now);
    }

    /// What Talos says after [`Order::LookAtEtcd`](crate::front_end::Order::LookAtEtcd); `None` when it does not answer.
    pub fn handle_etcd(&mut self, etcd: Option<Etcd>, now: Duration) {
        self.with(now, |members, cx| members.vmbackup.handle_etcd(etcd, cx));
        self.drive(now);
    }

    /// An answer to what [`Services::poll_inquiry`] asked.
    pub fn handle_answer(&mut self, id: InquiryId, answer: Answer, now: Duration) {
        self.with(now, |members, cx| {
            if inventory::Inventory::is_its_own(id) {
                members.inventory.handle_answer(id, answer, cx);
            } else {
                members.guest_operations.handle_answer(id, answer, cx);
            }
        });
        self.drive(now);
    }

    /// What came of a [`Services::poll_check`].
    pub fn handle_checked(&mut self, checked: &Checked, now: Duration) {
        self.with(now, |members, cx| {
            members.guest_operations.handle_checked(checked, cx);
        });
        self.drive(now);
    }

    /// What to ask the node next.
    pub fn poll_inquiry(&mut self) -> Option<(InquiryId, Step)> {
        let inventory = self.members.inventory.poll_inquiry();
        inventory.or_else(|| self.members.guest_operations.poll_inquiry())
    }

    /// A password to check on a thread.
    pub fn poll_check(&mut self) -> Option<PasswordCheck> {
        self.members.guest_operations.poll_check()
    }

    /// The facts have changed.
    pub fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        if self.facts == *facts {
            return;
        }
        self.facts = facts.clone();
        self.report_is_stale = true;
        self.with(now, |members, cx| members.vmbackup.handle_facts(facts, cx));
        if !self.presence.is_away() {
            let changes = Changes::after(self.changes, now);
            self.changes = Some(changes);
            self.deadline = self.deadline.into_iter().chain([changes.deadline()]).min();
            self.members.vmbackup.send(&mut self.outbox, now);
        }
    }

    /// The outcome of an [`Order::Power`](crate::front_end::Order::Power).
    pub fn handle_power(
        &mut self,
        operation: PowerOperation,
        outcome: PowerOutcome,
        now: Duration,
    ) {
        self.members
            .power
            .finished(operation, outcome, &mut self.events, now);
        self.drive(now);
    }

    /// What came of an [`Order::LookForLife`](crate::front_end::Order::LookForLife).
    pub fn handle_life(&mut self, life: &Life, now: Duration) {
        self.members.ha.handle_life(life, now);
        self.drive(now);
    }

    /// Talos is about to be called for a power operation: what is frozen is thawed.
    pub fn make_way(&mut self, now: Duration) {
        self.with(now, |members, cx| members.vmbackup.make_way(cx));
        self.drive(now);
    }

    /// How far a power operation has come.
    pub fn handle_phase(&mut self, phase: &Phase, now: Duration) {
        if self.phase == *phase {
            return;
        }
        self.phase = phase.clone();
        if !self.presence.is_away() {
            self.each(now, |service, cx| service.phase_changed(cx));
            self.drive(now);
        }
    }

    /// The outcome of an [`Order::HandOver`](crate::front_end::Order::HandOver).
    pub fn handle_handed_over(&mut self, outcome: &HandOver, now: Duration) {
        self.with(now, |members, cx| members.vmotion.handed_over(outcome, cx));
        self.drive(now);
    }

    /// The outcome of an [`Order::Measure`](crate::front_end::Order::Measure).
    pub fn handle_measured(&mut self, measured: Measured, now: Duration) {
        self.members.disks.measured(measured, now);
        self.drive(now);
    }

    /// The counters after an [`Order::Read`](crate::front_end::Order::Read), as they are `now`.
    pub fn handle_load(&mut self, load: &Load, now: Duration) {
        self.members
            .statistics
            .read(load, &mut self.publications, now);
        self.drive(now);
    }

    /// The time of [`Services::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.with(now, |members, cx| {
            members.power.handle_timeout(cx);
            members.guest_operations.handle_timeout(cx);
            members.vmbackup.handle_timeout(cx);
        });
        self.drive(now);
    }

    /// The next thing to do; call until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When [`Services::handle_timeout`] wants to be called, as time since boot.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let guest_operations = self.members.guest_operations.poll_timeout();
        let vmbackup = self.members.vmbackup.poll_timeout();
        let power = self.members.power.poll_timeout();
        let members = guest_operations.into_iter().chain(vmbackup).chain(power);
        self.deadline.into_iter().chain(members).min()
    }

    /// Makes the report once a change, before anyone looks at it.
    fn refresh_report(&mut self) {
        if std::mem::take(&mut self.report_is_stale) {
            self.report = Report::new(&self.facts, &self.policy, MAX_NICS);
        }
    }

    fn each(&mut self, now: Duration, mut call: impl FnMut(&mut dyn Service, &mut Context<'_>)) {
        self.with(now, |members, cx| {
            for service in members.each() {
                call(service, cx);
            }
        });
    }

    fn with(&mut self, now: Duration, call: impl FnOnce(&mut Members, &mut Context<'_>)) {
        let quiet = self.members.vmbackup.is_quiet();
        let cx = &mut Context {
            outbox: &mut self.outbox,
            publications: &mut self.publications,
            events: &mut self.events,
            facts: &self.facts,
            report: &self.report,
            machine: &self.machine,
            host_name: self.host_name,
            variables: self.variables,
            problem: self.problem.as_deref(),
            quiesce: &self.quiesce,
            phase: &self.phase,
            is_going: self.phase.is_an_end() || self.members.power.may_happen(),
            quiet,
            now,
        };
        call(&mut self.members, cx);
    }
}

#[cfg(test)]
mod tests;
