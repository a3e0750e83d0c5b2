//! Quiesced snapshots: vmbackup.start to vmbackup.snapshotDone [stateMachine.c, vmbackup.h].
//!
//! ```text
//! host: start ─► Announcing ─ reset taken ─► Beginning ─ frozen ─► Committed ─ snapshotDone ─► Finishing ─► over
//!                 reset         OK                    snapshotCommit  keepAlive …  thaw    OK    done
//!                                                └────────┴── abort, loss, power, end of the process ──► Ending ─► over
//! ```
//! What is frozen, and for how long, is the business of [`Quiesce`]. Here is what the host hears of it, and when it is
//! not there to hear it: an event that it refuses or that gets lost ends the run, for it would never say that it is done.
//!
//! A start is accepted once the host has taken the event `reset`; from then on the run ends with exactly one `req.done`.
//! After a lost TCLO channel the next one carries the run on, as with open-vm-tools.

mod line;
mod requests;
mod run;

pub(super) use requests::{
    handle_abort, handle_snapshot_completed, handle_snapshot_done, handle_start,
    handle_start_with_opts,
};

use std::time::Duration;

use tracing::warn;

use crate::config::{QuiesceConfig, QuiesceMode};
use crate::facts::{Etcd, Facts};
use crate::freeze::{Ended, Event, Phase, Quiesce, QuiesceOrder, Refusal, Report, Request, Why};
use crate::front_end::Order;
use crate::guest_operations::WallClock;
use crate::vmware::wire::backup_event::BackupEvent;
use crate::vmware::wire::text::{error, ok, printable};

use super::outbox::{Outbox, ReplyTo};
use super::{Context, RpciId, RpciOutcome, Service};
use line::Line;
use requests::Wish;
use run::{Ending, Run, Stage, reason};

/// How long a reply waits for the outcome of `reset` or for a thaw. Hosts give up a request after seconds.
const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a run takes at most, unless the host wants less (GUEST_QUIESCE_DEFAULT_TIMEOUT_IN_SEC of open-vm-tools).
const LONGEST_RUN: Duration = Duration::from_secs(900);

/// See the module.
#[derive(Debug)]
pub(super) struct Vmbackup {
    quiesce: Quiesce,
    mode: QuiesceMode,
    run: Option<Run>,
    runs: u32,
    line: Line,
    /// Why the last run has ended without the host, until it has heard that in answer to its snapshotDone.
    late: Option<String>,
}

impl Vmbackup {
    /// Off until it is configured.
    pub(super) fn new(wall_clock: WallClock) -> Self {
        Self {
            quiesce: Quiesce::new(wall_clock),
            mode: QuiesceMode::Off,
            run: None,
            runs: 0,
            line: Line::default(),
            late: None,
        }
    }

    /// Takes over the settings, which count from the next freeze on.
    pub(super) fn configure(&mut self, config: &QuiesceConfig, cx: &mut Context<'_>) {
        self.mode = config.mode;
        self.quiesce.configure(config);
        self.go_on(cx);
    }

    /// Whether something may be frozen, so that the host gets nothing that does not concern it.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiesce.phase() != Phase::Idle
    }

    /// Whether there is something to say.
    pub(super) fn has_events(&self) -> bool {
        !self.line.is_empty()
    }

    /// What is known of it.
    pub(super) const fn quiesce(&self) -> &Quiesce {
        &self.quiesce
    }

    /// Whether a start could be looked at; the reply is given if not.
    fn is_free(&mut self, cx: &mut Context<'_>, reply_to: ReplyTo) -> bool {
        let refusal = if self.run.is_some() {
            Some(Refusal::Busy)
        } else if self.mode == QuiesceMode::Off || self.is_quiet() {
            self.begin(Wish::default(), cx).err()
        } else {
            None
        };
        if refusal == Some(Refusal::Off) {
            warn!(
                "a quiesced snapshot is refused: quiescing is off; set quiesce.mode to freeze or sync, or take the \
                 snapshot without quiescing"
            );
        }
        if let Some(refusal) = &refusal {
            cx.outbox.reply(reply_to, error(&refusal.to_string()));
        }
        refusal.is_none()
    }

    /// Announces a run. Its reply waits for the outcome.
    fn start(&mut self, wish: Wish, cx: &mut Context<'_>, reply_to: ReplyTo) {
        self.late = None;
        self.runs = self.runs.wrapping_add(1);
        self.line.push(self.runs, BackupEvent::Reset);
        let until = cx.now.saturating_add(PATIENCE);
        self.run = Some(Run {
            number: self.runs,
            wish,
            started: cx.now,
            stage: Stage::Announcing { reply_to, until },
        });
    }

    fn begin(&mut self, wish: Wish, cx: &Context<'_>) -> Result<(), Refusal> {
        let request = Request {
            asker: "vSphere",
            mount_points: None,
            only_sync: wish.only_sync,
            most: wish.most,
        };
        self.quiesce.begin(request, cx.facts, cx.now)
    }

    /// The host has taken the announcement.
    fn announced(&mut self, reply_to: ReplyTo, wish: Wish, cx: &mut Context<'_>) {
        match self.begin(wish, cx) {
            Ok(()) => {
                self.set_stage(Stage::Beginning);
                cx.outbox.reply(reply_to, ok(b""));
            }
            Err(refusal) => self.refuse(reply_to, &refusal.to_string(), cx),
        }
    }

    /// A start is not accepted after all.
    fn refuse(&mut self, reply_to: ReplyTo, why: &str, cx: &mut Context<'_>) {
        if let Some(run) = self.run.take() {
            self.line.take_back(|sent| sent.run == run.number);
        }
        let text = format!("Error initializing quiesce operation. {why}");
        cx.outbox.reply(reply_to, error(&text));
    }

    /// snapshotDone.
    fn snapshot_done(&mut self, cx: &mut Context<'_>, reply_to: ReplyTo) {
        let Some(run) = &mut self.run else {
            let why = self.late.take();
            let idle = "Error: no quiesce operation in progress".to_owned();
            cx.outbox.reply(reply_to, error(&why.unwrap_or(idle)));
            return;
        };
        match run.stage {
            Stage::Committed { is_frozen } if self.line.has_sent(&BackupEvent::SnapshotCommit) => {
                if is_frozen {
                    let until = cx.now.saturating_add(PATIENCE);
                    run.stage = Stage::Finishing { reply_to, until };
                    self.quiesce.thaw(Why::Done, cx.now);
                    self.go_on(cx);
                } else {
                    cx.outbox.reply(reply_to, ok(b""));
                    self.close(None);
                }
            }
            _ => {
                let reply = error("Error: unexpected state for quiesce done message.");
                cx.outbox.reply(reply_to, reply);
            }
        }
    }

    /// abort.
    fn abort(&mut self, cx: &mut Context<'_>, reply_to: ReplyTo) {
        self.late = None;
        if self.run.is_none() {
            let reply = error("Error: no quiesce operation in progress");
            cx.outbox.reply(reply_to, reply);
            return;
        }
        let until = cx.now.saturating_add(PATIENCE);
        cx.outbox.reply_by(reply_to, until, ok(b""));
        self.end(Ending::Aborted(Some(reply_to)), cx);
    }

    /// A power operation comes first: what is frozen is thawed before it is ordered.
    pub(super) fn make_way(&mut self, cx: &mut Context<'_>) {
        self.end(Ending::Power, cx);
    }

    /// The process ends.
    pub(super) fn stop(&mut self, cx: &mut Context<'_>) {
        self.end(Ending::Stopping, cx);
    }

    /// Nothing reaches the host any more. Its run is over at once, for the host that comes knows nothing of it; what is
    /// frozen is thawed, and until then there is no other run.
    pub(super) fn host_gone(&mut self, cx: &mut Context<'_>) {
        self.line.clear();
        if self.run.take().is_some() {
            self.late = Some(reason(Why::HostGone, Duration::ZERO));
        }
        self.quiesce.thaw(Why::HostGone, cx.now);
        self.go_on(cx);
    }

    /// The channel of the last request is gone: a start without its reply is none.
    pub(super) fn forget_request(&mut self) {
        let is_announced = |run: &mut Run| matches!(run.stage, Stage::Announcing { .. });
        if let Some(run) = self.run.take_if(is_announced) {
            self.line.take_back(|sent| sent.run == run.number);
        }
    }

    /// TCLO has lost its channel. An event shows whether the other direction still reaches the host.
    pub(super) fn handle_lost(&mut self) {
        if let Some(run) = &self.run
            && self.line.is_empty()
        {
            self.line.push(run.number, BackupEvent::KeepAlive);
        }
    }

    /// Ends the run, if there is one, before the host has its snapshot.
    fn end(&mut self, ending: Ending, cx: &mut Context<'_>) {
        self.take_back_commits();
        let why = ending.why();
        match &mut self.run {
            Some(Run {
                stage: Stage::Announcing { reply_to, .. },
                ..
            }) => {
                let reply_to = *reply_to;
                self.refuse(reply_to, &reason(why, Duration::ZERO), cx);
            }
            None => {}
            Some(run) => run.stage = Stage::Ending(ending),
        }
        self.quiesce.thaw(why, cx.now);
        self.go_on(cx);
        if !self.is_quiet() {
            self.ended(cx);
        }
    }

    /// The run is ending, and nothing is frozen any more.
    fn ended(&mut self, cx: &mut Context<'_>) {
        let Some(Run {
            stage: Stage::Ending(ending),
            ..
        }) = &self.run
        else {
            return;
        };
        let ending = *ending;
        match ending {
            Ending::Aborted(reply_to) => {
                if let Some(reply_to) = reply_to {
                    cx.outbox.reply(reply_to, ok(b""));
                }
                self.close(Some(BackupEvent::Aborted("Quiesce canceled.".to_owned())));
            }
            Ending::HostGone => self.close(None),
            Ending::Stopping => {
                let what = "Quiesce canceled: the guest agent stops.".to_owned();
                self.close(Some(BackupEvent::Aborted(what)));
            }
            Ending::Power | Ending::ThawTooLate => {
                let why = reason(ending.why(), Duration::ZERO);
                self.close(Some(BackupEvent::Error(why)));
            }
        }
        if !matches!(ending, Ending::Aborted(Some(_)) | Ending::ThawTooLate) {
            self.late = Some(reason(ending.why(), Duration::ZERO));
        }
    }

    /// No snapshot is to be taken any more.
    fn take_back_commits(&mut self) {
        self.line
            .take_back(|sent| sent.event == BackupEvent::SnapshotCommit);
    }

    /// The run is over; `last` is what the host hears before that it is done.
    fn close(&mut self, last: Option<BackupEvent>) {
        if let Some(run) = self.run.take() {
            self.take_back_commits();
            for event in last.into_iter().chain([BackupEvent::Done]) {
                self.line.push(run.number, event);
            }
        }
    }

    /// The run has failed by itself.
    fn fail(&mut self, why: String) {
        self.close(Some(BackupEvent::Error(why.clone())));
        self.late = Some(why);
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Some(run) = &mut self.run {
            run.stage = stage;
        }
    }

    /// Hands on what is to be done, and takes what has happened.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        loop {
            while let Some(order) = self.quiesce.poll_order() {
                match order {
                    QuiesceOrder::LookAtEtcd => cx.outbox.order(Order::LookAtEtcd),
                    QuiesceOrder::Freezer(command) => cx.outbox.order(Order::Freezer(command)),
                }
            }
            let Some(event) = self.quiesce.poll_event() else {
                return;
            };
            self.happened(event, cx);
        }
    }

    fn happened(&mut self, event: Event, cx: &mut Context<'_>) {
        let Some(run) = &mut self.run else {
            return;
        };
        let number = run.number;
        match (run.stage, event) {
            (Stage::Ending(_), Event::Synced(_) | Event::Failed(_) | Event::Thawed(_)) => {
                self.ended(cx);
            }
            (Stage::Beginning, Event::Frozen(_)) => {
                run.stage = Stage::Committed { is_frozen: true };
                self.line.push(number, BackupEvent::SnapshotCommit);
            }
            (Stage::Beginning, Event::Synced(_)) => {
                run.stage = Stage::Committed { is_frozen: false };
                self.line.push(number, BackupEvent::SnapshotCommit);
            }
            (Stage::Finishing { reply_to, .. }, Event::Thawed(Ended { covered: true, .. })) => {
                cx.outbox.reply(reply_to, ok(b""));
                self.close(None);
            }
            (Stage::Finishing { reply_to, .. }, Event::Thawed(ended)) => {
                let why = reason(ended.why, ended.lasted);
                cx.outbox.reply(reply_to, error(&why));
                self.close(Some(BackupEvent::Error(why)));
            }
            (_, Event::Thawed(ended)) => self.fail(reason(ended.why, ended.lasted)),
            (_, Event::Failed(why)) => self.fail(why),
            (_, Event::Frozen(_) | Event::Synced(_)) => {}
        }
    }

    /// Takes the facts, which have changed.
    pub(super) fn handle_facts(&mut self, facts: &Facts, cx: &mut Context<'_>) {
        self.quiesce.handle_facts(facts, cx.now);
        self.go_on(cx);
    }

    /// Takes a report of the freezer.
    pub(super) fn handle_report(&mut self, report: &Report, cx: &mut Context<'_>) {
        self.quiesce.handle_report(report, cx.now);
        self.go_on(cx);
    }

    /// Takes what Talos says of etcd.
    pub(super) fn handle_etcd(&mut self, etcd: Option<Etcd>, cx: &mut Context<'_>) {
        self.quiesce.handle_etcd(etcd, cx.now);
        self.go_on(cx);
    }

    /// Does what is due, whether the host is there or not.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.quiesce.poll_timeout().is_some_and(|due| due <= cx.now) {
            self.quiesce.handle_timeout(cx.now);
        }
        self.go_on(cx);
        let Some(run) = &self.run else {
            return;
        };
        let (number, is_late) = (run.number, run.until().is_some_and(|due| due <= cx.now));
        match run.stage {
            Stage::Announcing { reply_to, .. } if is_late => {
                self.refuse(reply_to, "The host has not taken the event in time.", cx);
            }
            Stage::Finishing { reply_to, .. } if is_late => {
                let why = reason(Ending::ThawTooLate.why(), Duration::ZERO);
                cx.outbox.reply(reply_to, error(&why));
                self.set_stage(Stage::Ending(Ending::ThawTooLate));
            }
            Stage::Committed { is_frozen: false } if is_late => {
                warn!("the host has not said that its snapshot is done; the run is given up");
                self.end(Ending::Aborted(None), cx);
            }
            _ => {
                let silent_until = self.line.silent_until();
                if silent_until.is_some_and(|due| due <= cx.now) && self.is_heard() {
                    self.line.push(number, BackupEvent::KeepAlive);
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let silent_until = self.line.silent_until().filter(|_| self.is_heard());
        let run = self.run.as_ref().and_then(Run::until);
        let quiesce = self.quiesce.poll_timeout();
        [silent_until, run, quiesce].into_iter().flatten().min()
    }

    /// Whether there is a run and a host that waits for it.
    fn is_heard(&self) -> bool {
        let run = self.run.as_ref();
        run.is_some_and(|run| run.stage != Stage::Ending(Ending::HostGone))
    }

    /// Sends what is to be said. The first thing that the host hears of a run is all that is said while it is announced.
    pub(super) fn send(&mut self, outbox: &mut Outbox, now: Duration) {
        self.line.send(outbox, now);
    }

    /// An event has not reached the host, or was refused.
    fn not_taken(&mut self, event: &BackupEvent, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        let reply = match outcome {
            RpciOutcome::Refused(text) | RpciOutcome::Accepted(text) => printable(text),
            RpciOutcome::TooLong => "too long".to_owned(),
            RpciOutcome::Failed => "none".to_owned(),
        };
        let message = event.message();
        let event = printable(message.strip_suffix(b"\0").unwrap_or(&message));
        let Some(run) = &self.run else {
            tracing::debug!(event, reply, "the host has not taken the end of a snapshot");
            return;
        };
        match run.stage {
            Stage::Announcing { reply_to, .. } => {
                warn!(
                    event,
                    reply, "a quiesced snapshot is refused: the host does not take its events"
                );
                self.refuse(reply_to, "The host does not take the event.", cx);
            }
            Stage::Beginning | Stage::Committed { .. } => {
                warn!(
                    event,
                    reply, "the host does not take the events of its snapshot: thawing"
                );
                self.end(Ending::HostGone, cx);
            }
            Stage::Finishing { .. } | Stage::Ending(_) => {}
        }
    }
}

impl Service for Vmbackup {
    fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        let Some(sent) = self.line.settle(id) else {
            return;
        };
        let current = self.run.as_ref().filter(|run| run.number == sent.run);
        let announced = current.and_then(|run| match run.stage {
            Stage::Announcing { reply_to, .. } => Some((reply_to, run.wish)),
            _ => None,
        });
        match (outcome, announced) {
            (RpciOutcome::Accepted(_), Some((reply_to, wish))) => {
                self.announced(reply_to, wish, cx);
                self.go_on(cx);
            }
            (RpciOutcome::Accepted(_), None) => {}
            _ if current.is_some() || self.run.is_none() => {
                self.not_taken(&sent.event, outcome, cx)
            }
            _ => {}
        }
    }

    fn awaits(&self, id: RpciId) -> bool {
        self.line.is_sent_as(id)
    }
}
