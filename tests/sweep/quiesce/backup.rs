//! A backup product at a host: it asks for a quiesced snapshot until one has come to a good end, then shuts the machine
//! down; and it judges.

use std::time::Duration;

use tokio::time::Instant;
use vmx::codec::rpci::Command;
use vmx::{Exchange, ExchangeId, Host, Protocol};

use super::node::ControlPlane;
use super::{Disturbance, LIMIT};
use crate::report::Outcome;
use crate::session::{greet_again, is_error};
use talos_vmtoolsd::power::PowerOperation;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long a snapshot takes.
pub(super) const SNAPSHOT: Duration = Duration::from_millis(400);
/// How long it waits for an answer, and for the commit.
const PATIENCE: Duration = Duration::from_secs(5);
const COMMIT_PATIENCE: Duration = Duration::from_secs(30);
/// Between a snapshot that has failed and the next.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a power operation waits for a thaw; then it goes whatever is frozen.
const THAW_PATIENCE: Duration = Duration::from_secs(2);
/// When a session without an end is given up.
const GIVE_UP: Duration = Duration::from_secs(180);

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For the guest to be there.
    Waiting { from: Instant },
    /// It has asked for a start.
    Starting(ExchangeId),
    /// For the commit; since when, and how much of the log had been seen.
    Started { since: Instant, seen: usize },
    /// The snapshot is taken, from then on.
    Taking { since: Instant },
    /// It has said that it is done.
    Finishing {
        id: ExchangeId,
        since: Instant,
        asked: Instant,
    },
    /// It has given the snapshot up.
    Aborting { id: ExchangeId },
    /// It has asked for the power operation.
    Halting { id: ExchangeId, asked: Instant },
}

/// See the module.
pub(super) struct Backup {
    start: Instant,
    pub(super) next_look: Instant,
    stage: Stage,
    /// How long the first snapshot takes; those after one that has failed take [`SNAPSHOT`].
    takes: Duration,
    /// What happens on this side, so long after the first start was accepted or asked for.
    disturbance: Option<(Duration, Disturbance)>,
    /// When the first start was asked for.
    first: Option<Instant>,
    /// Accesses that had been made by then, for who chooses where faults are.
    pub(super) first_access: Option<usize>,
    /// Whether it gives a snapshot up as soon as the guest has; else its snapshotDone finds that out. Who has started
    /// another run must, or that one's end would be taken for this one's.
    heeds_ends: bool,
    /// Whether the power operation is asked for once a snapshot is there, or was asked for before.
    halted: bool,
    spoiled: usize,
    successes: usize,
    /// Snapshots that have come to no good end.
    pub(super) failures: usize,
    /// Broken promises, as they are noticed.
    wrong: Vec<String>,
}

/// What the session around has to do.
#[derive(Debug)]
pub(super) enum Wanted {
    Nothing,
    /// The agent is stopped and started again.
    Stop,
    Over(Outcome),
}

impl Backup {
    pub(super) fn new(takes: Duration, disturbance: Option<(Duration, Disturbance)>) -> Self {
        let start = Instant::now();
        Self {
            start,
            next_look: start + LOOK,
            stage: Stage::Waiting { from: start },
            takes,
            disturbance,
            first: None,
            first_access: None,
            heeds_ends: false,
            halted: false,
            spoiled: 0,
            successes: 0,
            failures: 0,
            wrong: Vec::new(),
        }
    }

    /// One look.
    pub(super) fn look(&mut self, host: &mut Host, node: &ControlPlane) -> Wanted {
        self.next_look += LOOK;
        let now = Instant::now();
        greet_again(host, &mut self.spoiled, now.into_std());
        if let Some(wanted) = self.disturb(host, now) {
            return wanted;
        }
        // Its log asks for it: a freezer that has ended while nothing was frozen is not started again by itself.
        if self.failures > 1 && node.is_gone() {
            return Wanted::Stop;
        }
        self.go_on(host, node, now);
        if self.start.elapsed() > GIVE_UP {
            self.wrong.push(format!("no end: {:?}", self.stage));
            return Wanted::Over(self.judge(host, node));
        }
        if self.is_over(host, node) {
            return Wanted::Over(self.judge(host, node));
        }
        Wanted::Nothing
    }

    fn disturb(&mut self, host: &mut Host, now: Instant) -> Option<Wanted> {
        let first = self.first?;
        let (_, disturbance) = self
            .disturbance
            .take_if(|(after, _)| now >= first + *after)?;
        let std_now = now.into_std();
        match disturbance {
            Disturbance::Abort => {
                let id = host.ask("vmbackup.abort", std_now);
                self.stage = Stage::Aborting { id };
            }
            Disturbance::Halt => {
                self.halted = true;
                let id = host.ask("OS_Halt", std_now);
                self.stage = Stage::Halting { id, asked: now };
            }
            Disturbance::Stop => return Some(Wanted::Stop),
            Disturbance::CloseTclo => host.close_channels(Some(Protocol::Tclo), std_now),
            Disturbance::CloseRpci => host.close_channels(Some(Protocol::Rpci), std_now),
            Disturbance::Moved => host.resume_elsewhere(std_now),
            Disturbance::RefusesEvents => {
                host.answer(
                    "vmbackup.eventSet",
                    *b"0 Unknown command",
                    vmx::Times::Count(1),
                );
            }
            Disturbance::Forgets => {
                self.stage = Stage::Waiting {
                    from: now + PATIENCE,
                }
            }
            Disturbance::StartsTwice => {
                self.heeds_ends = true;
                host.ask("vmbackup.start 1", std_now);
            }
        }
        None
    }

    fn go_on(&mut self, host: &mut Host, node: &ControlPlane, now: Instant) {
        let std_now = now.into_std();
        match self.stage {
            Stage::Waiting { from } => {
                let view = host.vcenter(std_now);
                let is_ready = view.is_green() && host.greeting_done() && view.host_name.is_some();
                if !is_ready || now < from {
                    return;
                }
                if self.successes > 0 {
                    self.halted = true;
                    let id = host.ask("OS_Halt", std_now);
                    self.stage = Stage::Halting { id, asked: now };
                    return;
                }
                self.first.get_or_insert(now);
                self.first_access.get_or_insert(crate::backdoor::accesses());
                self.stage = Stage::Starting(host.ask("vmbackup.start 1", std_now));
            }
            Stage::Starting(id) => match reply(host, id, now) {
                Reply::None => {}
                Reply::Ok => {
                    let exchange = host.exchange_of(id).unwrap();
                    let seen = log_before(host, exchange);
                    self.stage = Stage::Started { since: now, seen };
                }
                Reply::Error | Reply::Lost => self.failed(now),
            },
            Stage::Started { since, seen } => match news(host, seen) {
                Some((event, at)) if event == "prov.snapshotCommit" => {
                    self.stage = Stage::Taking { since: at };
                }
                Some(_) => self.failed(now),
                None if now > since + COMMIT_PATIENCE => self.failed(now),
                None => {}
            },
            Stage::Taking { since } if self.heeds_ends && has_ended(host, since) => {
                self.failed(now)
            }
            Stage::Taking { since } if now >= since + self.takes => {
                let id = host.ask("vmbackup.snapshotDone", std_now);
                self.stage = Stage::Finishing {
                    id,
                    since,
                    asked: now,
                };
            }
            Stage::Taking { .. } => {}
            Stage::Finishing { id, since, asked } => match reply(host, id, now) {
                Reply::None => {}
                Reply::Ok => {
                    if node.covers(since, asked) {
                        self.successes += 1;
                        self.stage = Stage::Waiting { from: now };
                    } else {
                        self.wrong
                            .push("OK for a snapshot that was not covered".into());
                        self.failed(now);
                    }
                }
                Reply::Error | Reply::Lost => self.failed(now),
            },
            Stage::Aborting { id } => {
                if reply(host, id, now) != Reply::None {
                    self.failed(now);
                }
            }
            Stage::Halting { id, asked } => match reply(host, id, now) {
                Reply::Error | Reply::Lost if host.vcenter(std_now).power.is_empty() => {
                    let id = host.ask("OS_Halt", std_now);
                    self.stage = Stage::Halting { id, asked };
                }
                _ => {}
            },
        }
    }

    fn failed(&mut self, now: Instant) {
        self.failures += 1;
        self.takes = SNAPSHOT;
        self.stage = Stage::Waiting { from: now + PAUSE };
    }

    fn is_over(&self, host: &Host, node: &ControlPlane) -> bool {
        let now = Instant::now().into_std();
        let view = host.vcenter(now);
        self.halted && !view.power.is_empty() && view.is_green() && !node.is_frozen()
    }

    fn judge(&mut self, host: &Host, node: &ControlPlane) -> Outcome {
        let now = Instant::now().into_std();
        let mut wrong = std::mem::take(&mut self.wrong);
        if node.is_frozen() {
            wrong.push("something is frozen at the end".into());
        }
        let state = node.0.borrow();
        let longest = LIMIT + Duration::from_millis(500);
        for (since, until) in &state.spans {
            let lasted = until.map_or(since.elapsed(), |until| until - *since);
            if lasted > longest + state.late {
                wrong.push(format!("frozen for {lasted:?}"));
            }
        }
        match state.asked[..] {
            [(PowerOperation::Shutdown, is_frozen)]
                if !is_frozen || state.late >= THAW_PATIENCE => {}
            ref asked => wrong.push(format!("Talos was asked {asked:?}")),
        }
        let power = host.vcenter(now).power;
        let statuses = power
            .iter()
            .map(|status| status.success)
            .collect::<Vec<_>>();
        let mut distinct = statuses.clone();
        distinct.dedup();
        if distinct != [!state.refuses] {
            wrong.push(format!("power status {statuses:?}"));
        }
        wrong.extend(commits_after_abort(host));
        let violations = host.violations().iter();
        wrong.extend(violations.filter(|text| is_about_a_run(text)).cloned());
        Outcome {
            wrong,
            silence: host.longest_silence(now),
            took: self.start.elapsed(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    None,
    Ok,
    Error,
    Lost,
}

fn reply(host: &Host, id: ExchangeId, now: Instant) -> Reply {
    let exchange = host.exchange_of(id).unwrap();
    let waited = now.into_std().saturating_duration_since(exchange.queued);
    match exchange.reply.as_deref() {
        Some(text) if is_error(Some(text)) => Reply::Error,
        Some(_) => Reply::Ok,
        None if exchange.lost || waited > PATIENCE => Reply::Lost,
        None => Reply::None,
    }
}

/// How much of the log is older than this request.
fn log_before(host: &Host, exchange: &Exchange) -> usize {
    let log = host.rpci_log().iter();
    log.take_while(|entry| entry.instant < exchange.queued)
        .count()
}

/// The first event after that which has been seen that the backup waits for: the commit, or an end; and when it came.
fn news(host: &Host, seen: usize) -> Option<(String, Instant)> {
    let entries = host.rpci_log().iter().skip(seen);
    entries.filter(|entry| entry.accepted()).find_map(|entry| {
        let Ok(Command::BackupEvent { event, .. }) = &entry.command else {
            return None;
        };
        let is_news = matches!(
            event.as_str(),
            "prov.snapshotCommit" | "req.error" | "req.aborted" | "req.done"
        );
        is_news.then(|| (event.clone(), Instant::from_std(entry.instant)))
    })
}

/// Whether the guest has given the run up since its commit.
fn has_ended(host: &Host, commit: Instant) -> bool {
    let mut entries = host.rpci_log().iter();
    entries.any(|entry| {
        let is_end =
            entry.is("vmbackup.eventSet req.") && !entry.is("vmbackup.eventSet req.keepAlive");
        is_end && Instant::from_std(entry.instant) >= commit
    })
}

/// A commit after the reply to an abort and before the next start.
fn commits_after_abort(host: &Host) -> Vec<String> {
    let exchanges = host.exchanges();
    let is = |exchange: &&Exchange, text: &[u8]| exchange.request.starts_with(text);
    let mut wrong = Vec::new();
    for abort in exchanges.iter().filter(|it| is(it, b"vmbackup.abort")) {
        let Some(replied) = abort.replied else {
            continue;
        };
        let next = exchanges
            .iter()
            .filter(|it| is(it, b"vmbackup.start") && it.queued > replied)
            .map(|it| it.queued)
            .min();
        let late = host.rpci_log().iter().any(|entry| {
            entry.is("vmbackup.eventSet prov.snapshotCommit")
                && entry.instant > replied
                && next.is_none_or(|next| entry.instant < next)
        });
        if late {
            wrong.push("a commit after an abort".to_owned());
        }
    }
    wrong
}

/// Whether a violation is one of events. What had no reply is sent again on the next channel, so an end may come twice.
fn is_about_a_run(violation: &str) -> bool {
    ["after the end", "with code"]
        .iter()
        .any(|words| violation.contains(words))
}
