//! What the host is asked for, so that it resets the machine when it is dead, and only then.
//!
//! ```text
//! session ─► IsEnabled ─false─► waits for settle, and until the machine lives ─► Enable
//!               │ true: an earlier run of the agent has enabled it                  │
//!               └──────────────────────────────────────────────────► MarkActive, every 8 s
//! a planned end, SIGTERM, off, or nothing can be seen ─► Disable
//! dead ─► no mark: the host resets the machine 30 s later
//! ```
//! Pure. What is wanted of the host follows from the verdict on the machine; what is sent, from that and from what the
//! host is known to do. A mark goes at its time whatever became of the one before.

mod answers;

use std::time::Duration;

use super::health::{Health, Verdict, seems_well};
use super::words;
use crate::config::{HaConfig, HaMonitor};
use crate::diagnosis::Outcome;
use crate::facts::{Facts, Life};
use crate::vmware::services::RpciOutcome;
use crate::vmware::wire::app_monitor::Command;

/// Between two marks: the host wants one every 30 s. One that is lost, by a host that takes 7 s to lose it, is made up
/// for in time.
const MARK_EVERY: Duration = Duration::from_secs(8);
/// How long after a mark the host resets the machine, unless another one comes.
const WINDOW: Duration = Duration::from_secs(30);
// Two marks in a row may be lost.
const _: () = assert!(WINDOW.as_secs() > 3 * MARK_EVERY.as_secs());
/// Between a lost command and the next try.
const RETRY: Duration = Duration::from_millis(500);
/// Between two questions of what the host thinks. A host that has forgotten us does no harm.
const STATUS_EVERY: Duration = Duration::from_secs(60);
/// Between two questions for a sign of life of Talos.
const LIFE_EVERY: Duration = Duration::from_secs(10);
/// How long before the last mark the log says so, if it is known by then.
const WARN_BEFORE: Duration = Duration::from_secs(30);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Send this to the host.
    Send(Command),
    /// Ask Talos for a sign of life.
    LookForLife,
}

/// Whether the host counts marks, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Counts {
    /// It was not asked to, or has forgotten.
    #[default]
    No,
    /// It was asked to and may do so.
    Maybe,
    /// It has said so.
    Yes,
}

/// What is wanted of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// That it does not count.
    Nothing,
    /// That it counts.
    Marks,
    /// That it resets the machine.
    Silence,
}

/// A command whose outcome is awaited.
#[derive(Clone, Copy, Debug)]
struct Flight {
    command: Command,
    since: Duration,
}

/// The host takes no such command.
#[derive(Debug)]
struct Refusal {
    words: Vec<u8>,
    /// When it is asked again, if neither a session nor a reload comes before.
    until: Option<Duration>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    config: HaConfig,
    health: Health,
    counts: Counts,
    /// The host has forgotten us, as after a migration, although it was not asked to.
    is_forgotten: bool,
    /// The host has not said in this session whether it counts.
    is_new: bool,
    /// The host takes no such command.
    refusal: Option<Refusal>,
    /// When the process was configured first.
    start: Option<Duration>,
    /// Nothing is waited for after the start any more.
    settled: bool,
    /// The process ends.
    stops: bool,
    flight: Option<Flight>,
    /// No command before then.
    not_before: Duration,
    /// No Enable before then.
    enable_at: Duration,
    mark_at: Duration,
    /// When the host has taken a mark last, or has said that it counts.
    taken: Duration,
    status_at: Duration,
    life_at: Duration,
    /// When something is to be done, if nothing happens.
    wake: Option<Duration>,
    said: words::Said,
}

impl Monitor {
    /// What is monitored from here on.
    pub(super) fn configure(&mut self, config: HaConfig, now: Duration) {
        self.start.get_or_insert(now);
        if self.config.monitor != config.monitor {
            self.health.forget();
            self.is_new = true;
        }
        // What the operator has mended shows at a reload.
        self.refusal = None;
        self.config = config;
    }

    /// A session begins: the host may have forgotten us, or may count what an earlier run of the agent began.
    pub(super) fn session(&mut self, is_new_channel: bool, now: Duration) {
        let is_asked = self
            .flight
            .is_some_and(|flight| flight.command == Command::IsEnabled);
        if is_new_channel || !is_asked {
            self.flight = None;
            self.is_new = true;
        }
        self.refusal = None;
        (self.not_before, self.enable_at) = (now, now);
        (self.mark_at, self.life_at) = (now, now);
    }

    /// The process ends.
    pub(super) const fn stop(&mut self) {
        self.stops = true;
    }

    /// Whether the host must hear something before the process ends.
    pub(super) fn is_owing(&self) -> bool {
        self.stops && self.counts != Counts::No
    }

    /// What came of [`Act::LookForLife`].
    pub(super) fn handle_life(&mut self, life: &Life, now: Duration) {
        self.said.life(life);
        self.health.answered(life, now);
    }

    /// What came of the command in flight.
    pub(super) fn handle_outcome(&mut self, outcome: &RpciOutcome, now: Duration) {
        let Some(Flight { command, .. }) = self.flight.take() else {
            return;
        };
        match outcome {
            RpciOutcome::Accepted(text) => self.accepted(command, text, now),
            RpciOutcome::Refused(text) => self.refused(command, text, now),
            RpciOutcome::TooLong => self.accepted(command, b"?", now),
            RpciOutcome::Failed => self.lost(command, now),
        }
    }

    /// Whether the host counts, or is to be asked to again.
    fn is_monitored(&self) -> bool {
        self.counts != Counts::No || self.is_forgotten
    }

    /// What is to be done now; called until `None`. `is_end`: a power operation was asked for, or is under way.
    pub(super) fn poll(&mut self, facts: &Facts, is_end: bool, now: Duration) -> Option<Act> {
        self.wake = None;
        let is_off = self.config.monitor == HaMonitor::Off;
        if is_off && self.counts == Counts::No {
            return None;
        }
        let is_over = |refusal: &mut Refusal| refusal.until.is_some_and(|until| until <= now);
        self.refusal.take_if(is_over);
        if let Some(refusal) = &self.refusal {
            self.wake = refusal.until;
            return None;
        }
        if self.health.wake(now) && self.is_monitored() {
            self.is_new = true;
            self.mark_at = now;
        }
        let settled_at = self
            .start
            .map(|start| start.saturating_add(self.config.settle));
        self.settled |= settled_at.is_some_and(|at| at <= now);
        let verdict = self.health.look(&self.config, facts, now);
        let is_end = is_end || self.stops || is_off;
        let want = self.want(verdict, is_end);
        self.is_forgotten &= want != Want::Nothing;
        self.say(verdict, is_end, now);
        self.flight = self
            .flight
            .filter(|flight| flight.since.saturating_add(MARK_EVERY) > now);
        if let Some(command) = self.command(want, now) {
            self.flight = Some(Flight {
                command,
                since: now,
            });
            return Some(Act::Send(command));
        }
        let looks =
            !is_end && self.settled && (self.is_monitored() || seems_well(&self.config, facts));
        if looks && self.life_at <= now && self.health.may_ask() {
            self.health.ask(now);
            self.life_at = now.saturating_add(LIFE_EVERY);
            return Some(Act::LookForLife);
        }
        self.wake = self.next(want, verdict, looks, settled_at, now);
        None
    }

    fn want(&self, verdict: Verdict, is_end: bool) -> Want {
        if is_end || !self.settled {
            return Want::Nothing;
        }
        match verdict {
            Verdict::Alive => Want::Marks,
            Verdict::Failing { .. } | Verdict::Unseen if self.is_monitored() => Want::Marks,
            Verdict::Dead(_) if self.is_monitored() => Want::Silence,
            _ => Want::Nothing,
        }
    }

    /// Says what is to be known of the verdict, while it matters.
    fn say(&mut self, verdict: Verdict, is_end: bool, now: Duration) {
        if !self.is_monitored() || is_end || !self.settled {
            return self.said.nothing_to_fear();
        }
        match verdict {
            Verdict::Failing { cause, until } if until <= now.saturating_add(WARN_BEFORE) => {
                let left = until.saturating_sub(now).saturating_add(WINDOW);
                self.said.will_reset(cause, left);
            }
            Verdict::Dead(cause) => self.said.dead(cause),
            Verdict::Blind => self.said.blind(),
            Verdict::Alive => self.said.alive(),
            // Of a grace that has begun again.
            Verdict::Failing { .. } | Verdict::Unseen => self.said.nothing_to_fear(),
            Verdict::Leaving(stage) => self.said.leaving(stage),
        }
    }

    /// The command that is due, if one may go.
    fn command(&mut self, want: Want, now: Duration) -> Option<Command> {
        let flies = self.flight.map(|flight| flight.command);
        if want == Want::Nothing && self.counts != Counts::No {
            // Nothing is waited for: what was sent before goes before.
            let may_go = flies != Some(Command::Disable) && (self.stops || self.not_before <= now);
            return may_go.then_some(Command::Disable);
        }
        if flies.is_some() || self.not_before > now {
            return None;
        }
        if self.is_new && self.config.monitor != HaMonitor::Off && !self.stops {
            return Some(Command::IsEnabled);
        }
        if want == Want::Nothing {
            return None;
        }
        if self.counts != Counts::Yes && self.enable_at <= now {
            self.counts = Counts::Maybe;
            self.is_forgotten = false;
            self.enable_at = now.saturating_add(MARK_EVERY);
            return Some(Command::Enable);
        }
        if want != Want::Marks || self.counts == Counts::No {
            return None;
        }
        if self.mark_at <= now {
            self.mark_at = now.saturating_add(MARK_EVERY);
            return Some(Command::MarkActive);
        }
        if self.status_at <= now {
            self.status_at = now.saturating_add(STATUS_EVERY);
            return Some(Command::GetAppStatus);
        }
        None
    }

    /// When something is to be done that is not to be done now.
    fn next(
        &self,
        want: Want,
        verdict: Verdict,
        looks: bool,
        settled_at: Option<Duration>,
        now: Duration,
    ) -> Option<Duration> {
        let marks = want == Want::Marks && self.counts != Counts::No;
        let warning = match verdict {
            Verdict::Failing { until, .. } => Some(until.saturating_sub(WARN_BEFORE)),
            _ => None,
        };
        let times = [
            self.flight
                .map(|flight| flight.since.saturating_add(MARK_EVERY)),
            Some(self.not_before),
            (want != Want::Nothing).then_some(self.enable_at),
            marks.then_some(self.mark_at),
            marks.then_some(self.status_at),
            looks.then_some(self.life_at),
            settled_at,
            warning,
            self.health.deadline(&self.config),
        ];
        times.into_iter().flatten().filter(|at| *at > now).min()
    }

    /// When [`Self::poll`] has something to do, if nothing happens.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.wake
    }

    /// How it stands, for `check`; none while it is off.
    pub(super) fn check(&self) -> Option<Outcome> {
        if self.config.monitor == HaMonitor::Off {
            return None;
        }
        Some(match (&self.refusal, self.counts) {
            (Some(refusal), _) => words::not_supported(&refusal.words),
            (None, Counts::No) if !self.settled => Outcome::Works(
                "not monitored yet: waiting for vmware.ha.settle after the start".to_owned(),
            ),
            (None, counts) => self.said.check(counts != Counts::No),
        })
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
