//! The heart of the daemon: a front end and the node, joined by one step.
//!
//! ```text
//!   host ◄──► FrontEnd ◄── facts, outcomes, time ──┐ Core::step ┌── facts, outcomes ◄── Node ◄──► Talos
//!                      ─── orders ────────────────►┘            └── power, measurements ─►
//! ```
//! The process around it (signals, configuration, sandbox) is [`super::event_loop`]'s; the fault sweep
//! (`tests/sweep`) drives this very code on a paused clock, and `tests/front_end.rs` does with another front end.

mod node;

use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::task::{JoinError, JoinSet};

use crate::config::{Config, PowerConfig};
use crate::diagnosis::Check;
use crate::fairness::Turns;
use crate::freeze::Report;
use crate::front_end::{Debt, FrontEnd, Order, Work};
use crate::inquiry::{Answer, Inquiry, InquiryId, Step as InquiryStep};
use crate::interruption::{Interruption, Output};

use super::examination::Examination;
use super::thaw_first::ThawFirst;

pub use self::node::{Clock, News, Node};

/// How long after the start of [`Core::close`] the outcome of a power operation is waited for: longer than Talos
/// takes to say that it cannot carry an operation out.
const OUTCOME_WAIT: Duration = Duration::from_millis(700);
/// How long after it a message to the host may be on its way. Service managers and people expect an end within a
/// second.
const MESSAGE_WAIT: Duration = Duration::from_millis(900);

/// What [`Core::step`] leaves to the process around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// The talosconfig has new contents.
    Talosconfig,
    /// The freezer has ended and may have left file systems frozen: only the agent's next start thaws them.
    Frozen,
}

/// See the module.
#[derive(Debug)]
pub struct Core<F: FrontEnd, N, C> {
    front_end: F,
    node: N,
    clock: C,
    /// Work off the loop, each on a thread of its own.
    work: JoinSet<<F::Work as Work>::Result>,
    /// Between the host and all else.
    turns: Turns,
    /// What is wrong, if that is looked for.
    examination: Option<Examination>,
    /// Power operations, each on its course.
    interruption: Interruption,
    /// Calls for them that wait for a thaw.
    thawing: ThawFirst,
}

impl<F: FrontEnd, N: Node, C: Clock> Core<F, N, C> {
    /// Puts the parts together.
    pub fn new(front_end: F, node: N, clock: C) -> Self {
        Self {
            front_end,
            node,
            clock,
            work: JoinSet::new(),
            turns: Turns::default(),
            examination: None,
            interruption: Interruption::default(),
            thawing: ThawFirst::default(),
        }
    }

    /// Looks from here on for what is wrong, and has the front end show it. `known` are the checks that only the
    /// process around knows.
    pub fn examine(&mut self, known: Vec<Check>) {
        self.examination.get_or_insert_default().know(known);
    }

    /// Writes the lines of all checks to the log, as they are now.
    pub fn write_checks(&mut self) {
        if let Some(examination) = &mut self.examination {
            examination.write_next();
        }
    }

    /// The node.
    pub const fn node(&mut self) -> &mut N {
        &mut self.node
    }

    /// Takes over what the operator may change, and has the front end do so.
    pub fn configure(&mut self, config: &Config) {
        self.set_power(&config.power);
        self.front_end.configure(config, self.clock.now());
    }

    /// How power operations are carried out from the next press on.
    pub fn set_power(&mut self, config: &PowerConfig) {
        self.interruption.set_config(config);
    }

    /// Does what is to be done, then waits for one event and hands it on; cancel-safe. The host comes first, but
    /// however much it asks, all else that is ready has a turn after a few of its events.
    pub async fn step(&mut self) -> Left {
        self.advance(None).await
    }

    /// Ends the front end, within a second whatever hangs: what the host waits for is sent as far as that time goes,
    /// the rest is dropped. Work under way is not waited for.
    pub async fn close(mut self) {
        let start = self.clock.now();
        self.front_end.stop(start);
        // What it still wants; then nothing is held any more.
        self.carry_out();
        self.interruption.stop(start);
        let limit = start.saturating_add(MESSAGE_WAIT);
        loop {
            self.carry_out();
            let until = match self.debt() {
                Debt::None => break,
                Debt::Outcome => start.saturating_add(OUTCOME_WAIT),
                Debt::Message => limit,
            };
            if self.clock.now() >= until {
                tracing::warn!(
                    "stopping, although the host waits for what became of a power operation or a snapshot"
                );
                break;
            }
            self.advance(Some(until)).await;
        }
        tokio::select! {
            biased;
            () = self.front_end.close() => {}
            () = self.clock.sleep_until(Some(limit)) => {}
        }
    }

    /// What is waited for before the end. A call that has begun must reach Talos, whether a host waits for it or has had
    /// its answer.
    fn debt(&self) -> Debt {
        match self.front_end.debt() {
            Debt::None if self.interruption.is_calling() => Debt::Outcome,
            debt => debt,
        }
    }

    /// One step, which ends at `limit` at the latest.
    async fn advance(&mut self, limit: Option<Duration>) -> Left {
        self.look();
        self.carry_out();
        if self.turns.others_first() {
            self.turns.others_had_theirs();
            return self.serve_others().await;
        }
        let deadline = self.front_end.poll_timeout();
        let look = self.examination.as_ref().and_then(Examination::deadline);
        let thawing = self.thawing.deadline();
        let deadline = deadline
            .into_iter()
            .chain(look)
            .chain(thawing)
            .chain(self.interruption.deadline())
            .chain(limit)
            .min();
        tokio::select! {
            biased;
            event = self.front_end.next() => {
                self.turns.served();
                self.stir();
                self.front_end.handle(event, self.clock.now());
                return Left::Nothing;
            }
            Some(result) = self.work.join_next() => self.handle_work(result),
            news = self.node.next() => return self.handle_news(news),
            () = self.clock.sleep_until(deadline) => {
                self.front_end.handle_timeout(self.clock.now());
            }
        }
        Left::Nothing
    }

    /// One turn for each that has something ready and is not the host. Waits for nothing.
    async fn serve_others(&mut self) -> Left {
        let now = self.clock.now();
        if self.front_end.poll_timeout().is_some_and(|due| due <= now) {
            self.front_end.handle_timeout(now);
        }
        if let Some(result) = self.work.try_join_next() {
            self.handle_work(result);
        }
        // Whatever of its budget the task has used up for the host.
        let news = unconstrained(async {
            tokio::select! {
                biased;
                news = self.node.next() => Some(news),
                () = std::future::ready(()) => None,
            }
        });
        match news.await {
            Some(news) => self.handle_news(news),
            None => Left::Nothing,
        }
    }

    fn handle_work(&mut self, result: Result<<F::Work as Work>::Result, JoinError>) {
        match result {
            Ok(result) => self.front_end.handle_work(result, self.clock.now()),
            // A panic ends the shipped process at once.
            Err(error) => tracing::error!(%error, "work off the loop ended without a result"),
        }
    }

    fn handle_news(&mut self, news: News) -> Left {
        let now = self.clock.now();
        self.stir();
        match news {
            News::Facts => {
                let facts = self.node.facts();
                self.front_end.handle_facts(&facts, now);
                self.interruption.handle_facts(&facts, now);
            }
            News::Heard(call, heard) => self.interruption.handle_heard(call, &heard, now),
            News::Measured(subject, measured) => {
                self.front_end.handle_measured(subject, measured, now);
            }
            News::Freezer(report) => {
                let may_have_left = self.thawing.handle_report(&report);
                self.front_end.handle_freezer(&report, now);
                if may_have_left {
                    return Left::Frozen;
                }
                if report == Report::Gone {
                    tracing::error!(
                        "the freezer has ended: quiesced snapshots are refused; restart the agent to have them back"
                    );
                }
            }
            News::Etcd(look) => {
                self.front_end.handle_etcd(look.members, now);
                self.interruption.handle_etcd(look, now);
            }
            News::HandedOver(outcome) => {
                self.front_end.handle_handed_over(&outcome, now);
                self.interruption.handle_handed_over(&outcome, now);
            }
            News::Life(life) => self.front_end.handle_life(&life, now),
            News::Answer(id, answer) => self.front_end.handle_answer(id, answer, now),
            News::Talosconfig => return Left::Talosconfig,
            News::Checks => {
                if let Some(way) = self.node.power_way() {
                    self.front_end.handle_power_way(way, now);
                }
            }
        }
        Left::Nothing
    }

    /// Something has happened after which what is wrong may be something else.
    fn stir(&mut self) {
        if let Some(examination) = &mut self.examination {
            examination.stir();
        }
    }

    /// Looks for what is wrong when it is time to.
    fn look(&mut self) {
        let Some(examination) = &mut self.examination else {
            return;
        };
        let now = self.clock.now();
        let (front_end, node) = (&self.front_end, &mut self.node);
        let all = || {
            let mut checks = front_end.checks();
            checks.extend(node.checks());
            checks
        };
        if let Some(problem) = examination.look(all, now) {
            self.front_end.handle_problem(&problem, now);
        }
    }

    /// Answers with all checks, as they are now.
    fn answer_checks(&mut self, id: InquiryId) {
        let mut checks = self.front_end.checks();
        checks.extend(self.node.checks());
        if let Some(examination) = &self.examination {
            checks = examination.together(checks);
        }
        let now = self.clock.now();
        self.front_end
            .handle_answer(id, Answer::Checks(checks), now);
        self.front_end.handle_answer(id, Answer::End(Ok(())), now);
    }

    /// Does what is due and what is wanted, until nothing is.
    fn carry_out(&mut self) {
        self.interruption.handle_timeout(self.clock.now());
        loop {
            if let Some(order) = self.front_end.poll_order() {
                self.carry_out_order(order);
            } else if let Some(output) = self.interruption.poll() {
                self.carry_out_interruption(output);
            } else {
                break;
            }
        }
        while let Some(call) = self.thawing.poll(self.clock.now()) {
            self.node.power(call);
        }
    }

    fn carry_out_order(&mut self, order: Order<F::Work>) {
        match order {
            Order::Power(press) => {
                let patience = self.front_end.patience();
                self.interruption
                    .handle_press(press, patience, self.clock.now());
            }
            Order::Freezer(command) => {
                self.thawing.handle_command(&command);
                self.node.freezer(&command);
            }
            Order::LookAtEtcd => self.node.look_at_etcd(),
            Order::FollowEtcd(what) => self.node.follow_etcd(what),
            Order::HandOver => self.node.hand_over(),
            Order::LookForLife => self.node.look_for_life(),
            Order::Measure(subject) => self.node.measure(subject),
            Order::Read(part) => {
                let reading = self.node.read(part);
                self.front_end.handle_reading(&reading, self.clock.now());
            }
            Order::Inquiry(id, InquiryStep::Ask(Inquiry::Checks)) => self.answer_checks(id),
            Order::Inquiry(id, step) => self.node.inquire(id, step),
            Order::Work(work) => {
                self.work.spawn_blocking(move || work.run());
            }
        }
    }

    fn carry_out_interruption(&mut self, output: Output) {
        let now = self.clock.now();
        match output {
            Output::LookAtEtcd => self.node.look_at_etcd(),
            Output::HandOver => self.node.hand_over(),
            Output::Call(call) => {
                self.front_end.make_way(now);
                self.thawing.request(call, now);
            }
            Output::Drop(call) => self.node.forget(call),
            Output::Outcome(operation, outcome) => {
                self.front_end.handle_power(operation, outcome, now);
            }
            Output::Phase(phase) => self.front_end.handle_phase(&phase, now),
        }
    }
}

#[cfg(test)]
mod tests;
