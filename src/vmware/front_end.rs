//! VMware's front end: the services on both links to the host.
//!
//! ```text
//!   host ── TCLO ──►┐                                  ┌──► reply ── TCLO ──► host
//!   host ◄─ RPCI ──►├──► Services (no I/O, no clock) ──┼──► command ─ RPCI ─► host
//!   node ── facts ─►┘                                  └──► Order ──────────► node
//! ```

use std::time::Duration;

use tokio::task::coop::unconstrained;

use super::link::LinkSettings;
use super::link::alarm::Alarm;
use super::link::rpci::RpciLink;
use super::link::tclo::{TcloEvent, TcloLink};
use super::rpci_queue::RpciQueue;
use super::services::{Output, RpciId, RpciOutcome, Services};
use super::transport::backdoor::RegisterAccess;
use super::transport::vsock::{Dial, HostVsock};
use crate::config::{Config, GuestInfoConfig};
use crate::diagnosis::Check;
use crate::facts::{Etcd, Facts, Life, Machine, Reading};
use crate::fairness::Turns;
use crate::freeze::Report;
use crate::front_end::{Debt, FrontEnd, Measured, Order, Subject, Work};
use crate::guest_operations::WallClock;
use crate::guest_operations::logins::{Checked, PasswordCheck};
use crate::inquiry::{Answer, InquiryId};
use crate::power::{HandOver, Phase, PowerOperation, PowerOutcome};

/// How long a session must have held before guest information is sent over it, when the one before was short: a host
/// that takes the channel away again and again must not get everything each time.
const PROOF: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Vmware<A: RegisterAccess, V = HostVsock> {
    services: Services,
    tclo: TcloLink<A, V>,
    rpci: RpciQueue<A, V>,
    /// Between TCLO and RPCI.
    turns: Turns,
}

impl Work for PasswordCheck {
    type Result = Checked;

    fn run(self) -> Checked {
        Self::run(self)
    }
}

/// What happens on the host's side.
#[derive(Debug)]
pub enum Event {
    /// On the channel of the host's requests.
    Tclo(TcloEvent),
    /// A command of ours has come to its end.
    Rpci(RpciId, RpciOutcome),
}

impl<A: RegisterAccess + Clone + 'static> Vmware<A> {
    /// A front end that opens its channels with the first [`FrontEnd::next`]. To be called within a runtime.
    pub fn new(settings: LinkSettings<A>, machine: Machine, wall_clock: WallClock) -> Self {
        let services = Services::new(machine, wall_clock);
        Self::with_dialer(settings, services, HostVsock, Alarm::new())
    }
}

impl<A: RegisterAccess + Clone + 'static, V: Dial + Clone + 'static> Vmware<A, V> {
    /// A front end that makes its vsock connections elsewhere and has another timer.
    pub fn with_dialer(
        settings: LinkSettings<A>,
        services: Services,
        dialer: V,
        alarm: Alarm,
    ) -> Self {
        Self {
            services,
            rpci: RpciQueue::new(RpciLink::with_dialer(settings.clone(), dialer.clone())),
            tclo: TcloLink::with_dialer(settings, dialer, alarm),
            turns: Turns::default(),
        }
    }
}

impl<A, V> FrontEnd for Vmware<A, V>
where
    A: RegisterAccess + Clone + 'static,
    V: Dial + 'static,
{
    type Event = Event;
    type Work = PasswordCheck;

    fn configure(&mut self, config: &Config, now: Duration) {
        let GuestInfoConfig {
            host_name,
            scrub,
            variables,
            disk_interval,
            stats_interval,
        } = config.guest_info;
        self.services.set_intervals(disk_interval, stats_interval);
        self.services.set_host_name(host_name, now);
        self.services.set_variables(variables, now);
        self.services.set_scrub(scrub, now);
        self.services
            .set_network_policy(config.network.clone(), now);
        self.services
            .set_guest_operations(&config.guest_operations, now);
        self.services.set_quiesce(&config.quiesce, now);
        self.services
            .set_vmware(config.vmware, config.power.etcd.forfeit, now);
        self.services.set_host_policy(config.power.host_policy);
        self.services.set_inventory(config.inventory, now);
    }

    /// TCLO first: requests of the host are served before anything is sent to it. A host that always has one more
    /// must not keep back what it waits for, so after a few of them a command has its turn.
    async fn next(&mut self) -> Event {
        let away = self.services.host_is_away();
        if self.turns.others_first() {
            self.turns.others_had_theirs();
            let outcome = async {
                tokio::select! {
                    biased;
                    outcome = self.rpci.outcome(away) => Some(outcome),
                    () = std::future::ready(()) => None,
                }
            };
            // Whatever of its budget the task has used up for TCLO.
            if let Some((id, outcome)) = unconstrained(outcome).await {
                return Event::Rpci(id, outcome);
            }
        }
        tokio::select! {
            biased;
            event = self.tclo.next() => {
                self.turns.served();
                Event::Tclo(event)
            }
            (id, outcome) = self.rpci.outcome(away) => {
                self.turns.others_had_theirs();
                Event::Rpci(id, outcome)
            }
        }
    }

    fn handle(&mut self, event: Event, now: Duration) {
        match event {
            Event::Tclo(TcloEvent::Connected { .. }) => {
                self.rpci.forget_failures();
                let proof = self.tclo.is_doubtful().then_some(PROOF);
                self.services.require_proof(proof);
                self.services.handle_connected(now);
                self.rpci.keep(|id| self.services.awaits(id));
            }
            Event::Tclo(TcloEvent::Request(request)) => {
                self.services.handle_request(&request, now);
                self.rpci.keep(|id| self.services.awaits(id));
            }
            Event::Tclo(TcloEvent::Lost) => self.services.handle_lost(now),
            Event::Rpci(id, outcome) => self.services.handle_rpci(id, outcome, now),
        }
    }

    fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        self.services.handle_facts(facts, now);
    }

    fn handle_power(&mut self, operation: PowerOperation, outcome: PowerOutcome, now: Duration) {
        self.services.handle_power(operation, outcome, now);
    }

    fn make_way(&mut self, now: Duration) {
        self.services.make_way(now);
    }

    fn handle_phase(&mut self, phase: &Phase, now: Duration) {
        self.services.handle_phase(phase, now);
    }

    fn handle_handed_over(&mut self, outcome: &HandOver, now: Duration) {
        self.services.handle_handed_over(outcome, now);
    }

    fn handle_measured(&mut self, subject: Subject, measured: Measured, now: Duration) {
        if subject == Subject::Space {
            self.services.handle_measured(measured, now);
        }
    }

    fn handle_reading(&mut self, reading: &Reading, now: Duration) {
        if let Reading::Load(load) = reading {
            self.services.handle_load(load, now);
        }
    }

    fn handle_answer(&mut self, id: InquiryId, answer: Answer, now: Duration) {
        self.services.handle_answer(id, answer, now);
    }

    fn handle_freezer(&mut self, report: &Report, now: Duration) {
        self.services.handle_freezer(report, now);
        self.rpci.keep(|id| self.services.awaits(id));
    }

    fn handle_etcd(&mut self, etcd: Option<Etcd>, now: Duration) {
        self.services.handle_etcd(etcd, now);
    }

    fn handle_life(&mut self, life: &Life, now: Duration) {
        self.services.handle_life(life, now);
    }

    fn handle_work(&mut self, checked: Checked, now: Duration) {
        self.services.handle_checked(&checked, now);
    }

    fn checks(&self) -> Vec<Check> {
        let mut checks = vec![Check::new("transport", self.tclo.check())];
        checks.extend(self.services.checks());
        checks
    }

    fn handle_problem(&mut self, problem: &str, now: Duration) {
        self.services.set_problem(problem, now);
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.services.handle_timeout(now);
        self.rpci.keep(|id| self.services.awaits(id));
    }

    fn poll_order(&mut self) -> Option<Order<PasswordCheck>> {
        loop {
            match self.services.poll_output() {
                Some(Output::Rpci { id, lane, message }) => self.rpci.send(lane, id, message),
                Some(Output::Reply(reply)) => self.tclo.reply(reply),
                Some(Output::Order(order)) => return Some(order),
                None => break,
            }
        }
        let inquiry = self.services.poll_inquiry();
        let inquiry = inquiry.map(|(id, step)| Order::Inquiry(id, step));
        inquiry.or_else(|| self.services.poll_check().map(Order::Work))
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.services.poll_timeout()
    }

    fn stop(&mut self, now: Duration) {
        self.tclo.close();
        self.rpci.keep_urgent();
        self.services.hurry(now);
        self.rpci.keep(|id| self.services.awaits(id));
    }

    fn debt(&self) -> Debt {
        self.services.debt()
    }

    async fn close(self) {
        self.rpci.close();
    }
}
