//! The state machine of a freeze, which both front ends hold.
//!
//! Each [`Quiesce::begin`] that is `Ok` ends with one event: Synced, Failed, or Thawed after Frozen.
//!
//! ```text
//! Idle ─ begin ─► Beginning: etcd is looked at, file systems are frozen ─► Frozen ─ thaw, limit ─► Thawing ─► Idle
//!                     └─ failed ────────────────────────────────────────────────────────────────────────► Idle
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::etcd::{self, Verdict};
use super::message::{Cause, Command, How, Outcomes, Report};
use super::readiness::Readiness;
use super::run::{Run, Step};
use super::shown::{Last, millis, names, word};
use super::terms::{Ended, Event, Phase, QuiesceOrder, Refusal, Request, Why};
use super::volumes::{devices, volumes};
use crate::config::{QuiesceConfig, QuiesceMode};
use crate::diagnosis::Outcome;
use crate::facts::{Etcd, Facts, Stage};

/// How long Talos has to say what it knows of etcd.
const ETCD_PATIENCE: Duration = Duration::from_millis(500);
/// How long what was written may take to reach the disks, before the limit of a freeze begins to count.
const SYNC_PATIENCE: Duration = Duration::from_secs(20);
/// How long the freezer has for a thaw, and for what its own timer has to do.
const THAW_PATIENCE: Duration = Duration::from_secs(5);
/// What a freeze has come to that never was one.
const FAILED: &str = "failed";

/// See the module.
#[derive(Debug)]
pub struct Quiesce {
    config: QuiesceConfig,
    wall_clock: fn() -> Duration,
    readiness: Readiness,
    run: Option<Run>,
    /// Number of the last run.
    number: u32,
    last: Option<Last>,
    orders: VecDeque<QuiesceOrder>,
    events: VecDeque<Event>,
}

impl Quiesce {
    /// Off until it is configured. `wall_clock` is the time since 1970, for what is shown of the last freeze.
    pub fn new(wall_clock: fn() -> Duration) -> Self {
        Self {
            config: QuiesceConfig::default(),
            wall_clock,
            readiness: Readiness::new(),
            run: None,
            number: 0,
            last: None,
            orders: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// What counts from the next freeze on.
    pub fn configure(&mut self, config: &QuiesceConfig) {
        self.config = config.clone();
        self.look();
    }

    /// Takes the facts, which have changed: the first that name volumes have a predecessor's freeze ended.
    pub fn handle_facts(&mut self, facts: &Facts, now: Duration) {
        self.readiness.handle_facts(facts);
        if facts.stage.is_some_and(|stage| stage != Stage::Running) {
            self.thaw(Why::Power, now);
        }
        self.look();
    }

    /// Begins a freeze; [`Event::Frozen`], [`Event::Synced`] or [`Event::Failed`] follows.
    ///
    /// # Errors
    /// It does not begin.
    pub fn begin(&mut self, request: Request, facts: &Facts, now: Duration) -> Result<(), Refusal> {
        let asker = request.asker;
        let refused = self.admit(request, facts, now);
        if let Err(reason @ (Refusal::Busy | Refusal::Other(_))) = &refused {
            tracing::warn!(
                asker,
                %reason,
                "a host asks for a quiesced snapshot and is refused"
            );
        }
        refused
    }

    fn admit(&mut self, request: Request, facts: &Facts, now: Duration) -> Result<(), Refusal> {
        if self.config.mode == QuiesceMode::Off {
            return Err(Refusal::Off);
        }
        if self.run.is_some() {
            return Err(Refusal::Busy);
        }
        let other = |reason: String| Err(Refusal::Other(reason));
        if self.config.is_refused_in_pod() {
            return other(QuiesceConfig::POD_PROBLEM.to_owned());
        }
        if facts.stage != Some(Stage::Running) {
            let stage = facts.stage.map_or("not known", Stage::name);
            return other(format!(
                "the stage of the machine is {stage}, and not running"
            ));
        }
        let mut meant = volumes(facts, &self.config.exclude)
            .map_err(|reason| Refusal::Other(reason.to_string()))?;
        if let Some(mount_points) = &request.mount_points {
            meant.retain(|volume| mount_points.contains(&volume.mount_point));
        }
        let devices = devices(&meant).map_err(|reason| Refusal::Other(reason.to_string()))?;
        if let Some(reason) = self.readiness.obstacle(self.config.mode) {
            return other(reason);
        }
        if meant.is_empty() {
            if request.mount_points.is_none() {
                return other("there is no file system to freeze".to_owned());
            }
            self.events.push_back(Event::Synced(0));
            return Ok(());
        }
        self.number = self.number.wrapping_add(1);
        let is_sync = request.only_sync || self.config.mode == QuiesceMode::Sync;
        let limit = self.config.max_freeze;
        let mut run = Run {
            number: self.number,
            asker: request.asker,
            how: if is_sync { How::Sync } else { How::Freeze },
            limit: request.most.map_or(limit, |most| limit.min(most)),
            volumes: meant,
            devices,
            step: Step::Etcd {
                until: now.saturating_add(ETCD_PATIENCE),
            },
        };
        if run.how == How::Freeze && facts.node.is_control_plane() {
            self.orders.push_back(QuiesceOrder::LookAtEtcd);
        } else {
            self.order_freeze(&mut run, now);
        }
        self.run = Some(run);
        Ok(())
    }

    fn order_freeze(&mut self, run: &mut Run, now: Duration) {
        let patience = run.limit.saturating_add(SYNC_PATIENCE);
        run.step = Step::Freezing {
            since: now,
            until: now.saturating_add(patience),
        };
        self.freezer(Command::Freeze {
            run: run.number,
            how: run.how,
            limit: run.limit,
            devices: run.devices,
        });
    }

    fn freezer(&mut self, command: Command) {
        self.orders.push_back(QuiesceOrder::Freezer(command));
    }

    /// Ends the freeze, if there is one; [`Event::Thawed`] follows, or [`Event::Failed`] if it had only begun.
    pub fn thaw(&mut self, why: Why, now: Duration) {
        let Some(run) = &mut self.run else {
            return;
        };
        let until = now.saturating_add(THAW_PATIENCE);
        match run.step {
            Step::Etcd { .. } => {
                self.fail(ended_early(why), word(why));
                return;
            }
            Step::Freezing { .. } => {
                run.step = Step::GivingUp {
                    until: Some(until),
                    reason: ended_early(why),
                    result: word(why),
                };
            }
            Step::Frozen {
                since, is_whole, ..
            } => {
                run.step = Step::Thawing {
                    why,
                    since,
                    is_whole,
                    until: Some(until),
                };
            }
            Step::GivingUp { .. } | Step::Thawing { .. } => return,
        }
        self.freezer(Command::Thaw);
    }

    /// Takes what Talos says after [`QuiesceOrder::LookAtEtcd`]; `None` when it does not answer.
    pub fn handle_etcd(&mut self, etcd: Option<Etcd>, now: Duration) {
        let Some(mut run) = self
            .run
            .take_if(|run| matches!(run.step, Step::Etcd { .. }))
        else {
            return;
        };
        match etcd::verdict(etcd, self.config.etcd) {
            Verdict::Refuse(reason) => {
                self.run = Some(run);
                self.fail(format!("{reason} (quiesce.etcd)"), FAILED);
                return;
            }
            Verdict::Warn(reason) => tracing::warn!(
                reason,
                "file systems are frozen although etcd may stand still meanwhile (quiesce.etcd)"
            ),
            Verdict::Freeze => {}
        }
        self.order_freeze(&mut run, now);
        self.run = Some(run);
    }

    /// Takes a report of the freezer.
    pub fn handle_report(&mut self, report: &Report, now: Duration) {
        let number = self.run.as_ref().map(|run| run.number);
        match report {
            Report::Ready(_) | Report::Rescued(_) | Report::Probed(_) => {
                self.readiness.handle_report(report);
            }
            Report::Gone => {
                self.readiness.handle_report(report);
                self.lose_freezer(now);
            }
            Report::Synced { run, outcomes } if Some(*run) == number => self.synced(outcomes),
            Report::Frozen { run, outcomes } if Some(*run) == number => self.frozen(outcomes, now),
            Report::Failed { run, outcomes } if Some(*run) == number => self.failed(outcomes),
            Report::Thawed { run, cause, lasted } if Some(*run) == number => {
                self.thawed(*cause, *lasted);
            }
            Report::Synced { .. }
            | Report::Frozen { .. }
            | Report::Failed { .. }
            | Report::Thawed { .. } => {}
        }
        self.look();
    }

    fn synced(&mut self, outcomes: &Outcomes) {
        let Some(run) = self.run.as_ref() else {
            return;
        };
        if let Step::Freezing { .. } = run.step {
            tracing::info!(
                asker = run.asker,
                file_systems = names(&run.volumes),
                "file systems are synced and not frozen: the snapshot is crash-consistent only"
            );
            run.warn_of_left(outcomes);
            self.end(None, "synced", Event::Synced(outcomes.done()));
        } else {
            self.give_up();
        }
    }

    fn frozen(&mut self, outcomes: &Outcomes, now: Duration) {
        let Some(run) = &mut self.run else {
            return;
        };
        let Step::Freezing { since, .. } = run.step else {
            // It is late, and a thaw is on its way already.
            return;
        };
        if outcomes.done() == 0 {
            let reason = format!("no file system can be frozen: {}", run.troubles(outcomes));
            run.step = Step::GivingUp {
                until: Some(now.saturating_add(THAW_PATIENCE)),
                reason,
                result: FAILED,
            };
            self.freezer(Command::Thaw);
            return;
        }
        let took = now.saturating_sub(since);
        tracing::info!(
            asker = run.asker,
            file_systems = names(&run.volumes),
            took_ms = millis(took),
            limit_ms = millis(run.limit),
            "file systems are frozen for a snapshot"
        );
        run.warn_of_left(outcomes);
        let limit = run.limit.saturating_add(THAW_PATIENCE);
        run.step = Step::Frozen {
            since: now,
            until: now.saturating_add(limit),
            is_whole: run.is_whole(outcomes),
        };
        self.events.push_back(Event::Frozen(outcomes.done()));
    }

    fn failed(&mut self, outcomes: &Outcomes) {
        let Some(run) = &self.run else {
            return;
        };
        match &run.step {
            Step::Freezing { .. } => {
                let reason = run.failure(outcomes);
                self.fail(reason, FAILED);
            }
            Step::GivingUp { .. } => self.give_up(),
            // Not of this freezer, which had reported them frozen.
            Step::Etcd { .. } | Step::Frozen { .. } | Step::Thawing { .. } => {}
        }
    }

    fn thawed(&mut self, cause: Cause, lasted: Duration) {
        let Some(run) = &self.run else {
            return;
        };
        let (ordered, is_whole, is_ended) = match run.step {
            Step::Etcd { .. } => return,
            Step::Freezing { .. } => {
                let reason = "the file systems were thawed before all were frozen";
                self.fail(reason.to_owned(), FAILED);
                return;
            }
            Step::GivingUp { .. } => {
                self.give_up();
                return;
            }
            Step::Frozen { is_whole, .. } => (None, is_whole, false),
            Step::Thawing {
                why,
                is_whole,
                until,
                ..
            } => (Some(why), is_whole, until.is_none()),
        };
        let why = match (cause, ordered) {
            (Cause::Limit, _) => Why::Limit,
            (Cause::Terminated, _) | (Cause::Asked, None) => Why::Stopping,
            (Cause::Asked, Some(why)) => why,
        };
        let ended = Ended {
            why,
            lasted,
            covered: why == Why::Done && is_whole && !is_ended,
        };
        self.finish(ended, is_ended);
    }

    /// Says how the freeze has ended, and forgets it.
    fn finish(&mut self, ended: Ended, is_ended: bool) {
        let Some(run) = &self.run else {
            return;
        };
        let lasted_ms = millis(ended.lasted);
        let (asker, reason) = (run.asker, word(ended.why));
        if ended.why == Why::Limit {
            tracing::warn!(
                asker,
                lasted_ms,
                remedy = "look why the host takes so long, or raise quiesce.max_freeze",
                "file systems are thawed before the host has its snapshot: the limit is reached"
            );
        } else if ended.why != Why::FreezerGone {
            // That it is gone is the daemon's to say, and nothing is thawed by it.
            tracing::info!(asker, lasted_ms, reason, "file systems are thawed");
        }
        if is_ended {
            self.forget(Some(ended.lasted), "late");
        } else {
            self.end(Some(ended.lasted), reason, Event::Thawed(ended));
        }
    }

    /// The run is over: the freezer has nothing frozen for it, although it was to.
    fn give_up(&mut self) {
        let Some(run) = &self.run else {
            return;
        };
        if let Step::GivingUp {
            until,
            reason,
            result,
        } = &run.step
        {
            match (until, *result) {
                (Some(_), result) => {
                    let reason = reason.clone();
                    self.fail(reason, result);
                }
                (None, result) => self.forget(None, result),
            }
        }
    }

    fn lose_freezer(&mut self, now: Duration) {
        let Some(run) = &self.run else {
            return;
        };
        match run.step {
            Step::Etcd { .. } | Step::Freezing { .. } => {
                self.fail(ended_early(Why::FreezerGone), word(Why::FreezerGone));
            }
            Step::GivingUp { .. } => self.give_up(),
            Step::Frozen { since, .. } | Step::Thawing { since, .. } => {
                let is_ended = matches!(run.step, Step::Thawing { until: None, .. });
                let ended = Ended {
                    why: Why::FreezerGone,
                    lasted: now.saturating_sub(since),
                    covered: false,
                };
                self.finish(ended, is_ended);
            }
        }
    }

    fn fail(&mut self, reason: String, result: &'static str) {
        let asker = self.run.as_ref().map(|run| run.asker);
        tracing::warn!(asker, reason, "no file system is frozen for a snapshot");
        self.end(None, result, Event::Failed(reason));
    }

    fn end(&mut self, lasted: Option<Duration>, result: &'static str, event: Event) {
        self.forget(lasted, result);
        self.events.push_back(event);
    }

    fn forget(&mut self, lasted: Option<Duration>, result: &'static str) {
        self.run = None;
        self.last = Some(Last {
            at: (self.wall_clock)(),
            lasted,
            result,
        });
    }

    /// Has the freezer rescue and probe, as far as that is due.
    fn look(&mut self) {
        if self.run.is_none()
            && let Some(command) = self.readiness.poll(&self.config)
        {
            self.freezer(command);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        let Some(run) = &mut self.run else {
            return;
        };
        match &mut run.step {
            Step::Etcd { .. } => self.handle_etcd(None, now),
            // The freezer's own timer should have done it.
            Step::Frozen { .. } => self.thaw(Why::Limit, now),
            Step::Freezing { .. } => {
                let reason = "the file systems take too long to be frozen".to_owned();
                run.step = Step::GivingUp {
                    until: None,
                    reason: reason.clone(),
                    result: FAILED,
                };
                self.freezer(Command::Thaw);
                self.say_unanswered(Event::Failed(reason));
            }
            Step::GivingUp { until, reason, .. } => {
                *until = None;
                let event = Event::Failed(reason.clone());
                self.say_unanswered(event);
            }
            Step::Thawing {
                why, since, until, ..
            } => {
                *until = None;
                let ended = Ended {
                    why: *why,
                    lasted: now.saturating_sub(*since),
                    covered: false,
                };
                self.say_unanswered(Event::Thawed(ended));
            }
        }
    }

    /// The host does not wait any longer; the run stays until the freezer has reported.
    fn say_unanswered(&mut self, event: Event) {
        tracing::warn!(
            remedy = "look for storage that hangs; no other freeze begins before it has answered",
            "the freezer does not answer in time"
        );
        self.events.push_back(event);
    }

    /// When [`Quiesce::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.run.as_ref()?.deadline()
    }

    /// What to do next.
    pub fn poll_order(&mut self) -> Option<QuiesceOrder> {
        self.orders.pop_front()
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.run.as_ref().map_or(Phase::Idle, Run::phase)
    }

    /// For the guest variable: `off`, `ready`, `frozen`, or what is wrong, and what the last freeze came to.
    pub fn shown(&self) -> String {
        let state = match self.phase() {
            Phase::Beginning => "freezing".to_owned(),
            Phase::Frozen => "frozen".to_owned(),
            Phase::Thawing => "thawing".to_owned(),
            Phase::Idle => self.readiness.shown(&self.config),
        };
        match &self.last {
            Some(last) => format!("{state}; {last}"),
            None => state,
        }
    }

    /// What `check` and the log say of it.
    pub fn check(&self) -> Outcome {
        self.readiness.check(&self.config)
    }
}

/// Why nothing is frozen for a host that has asked for it.
fn ended_early(why: Why) -> String {
    match why {
        Why::Done => "the host says that its snapshot is done before anything was frozen",
        Why::Aborted => "the host has given the snapshot up",
        Why::HostGone => "the host is gone",
        Why::Power => "the machine is to be shut down or restarted",
        Why::Stopping => "the agent is stopping",
        Why::Limit => "the limit is reached",
        Why::FreezerGone => "the freezer has ended",
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
