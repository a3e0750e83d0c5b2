//! Whether the machine lives, by what Talos says and by its silence.
//!
//! ```text
//!               unready, silent                   as long as the settings allow
//! Alive ────────────────────────► Failing ───────────────────────────────────────► Dead
//!   ▲  ◄──ready, Talos answers──────┘                                               │
//!   └───────────────────────────────────────────────────────────────────────────────┘
//! Leaving: a stage that ends by itself.   Unseen: there is nothing to judge by.
//! ```
//! Pure: looks at facts and the time, and at what comes of asking Talos for a sign of life.

use std::time::Duration;

use crate::config::{HaConfig, HaMonitor};
use crate::facts::{Facts, Life, Stage};

/// If two looks are further apart than this, the machine slept or the host was away; the grace starts over.
const GAP: Duration = Duration::from_secs(25);

/// What speaks against the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Talos does not answer.
    Silent,
    /// Talos says that the machine is not ready.
    Unready,
}

impl Cause {
    /// In one phrase.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Silent => "Talos does not answer",
            Self::Unready => "Talos says that it is not ready",
        }
    }
}

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It lives.
    Alive,
    /// It counts as alive until then.
    Failing { cause: Cause, until: Duration },
    /// It has been so for too long.
    Dead(Cause),
    /// It is at a stage that must not be interrupted, or ends.
    Leaving(Stage),
    /// It has not been seen alive yet, and counts as alive where it did before.
    Unseen,
    /// For too long nothing could be seen.
    Blind,
}

/// What came of the last question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There was an answer.
    Answers,
    /// There has been none since.
    Silent(Duration),
    /// What there was says nothing, since then.
    Unclear(Duration),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Health {
    /// `None` before the first question.
    answer: Option<Answer>,
    /// When the question went that has no answer yet.
    asked: Option<Duration>,
    unready_since: Option<Duration>,
    last_look: Option<Duration>,
}

impl Health {
    /// Talos is asked now.
    pub(super) fn ask(&mut self, now: Duration) {
        self.asked = Some(now);
    }

    /// Whether Talos may be asked: the last question has its answer.
    pub(super) const fn may_ask(&self) -> bool {
        self.asked.is_none()
    }

    /// What came of the question. Silence counts from the question on.
    pub(super) fn answered(&mut self, life: &Life, now: Duration) {
        let asked = self.asked.take().unwrap_or(now);
        self.answer = Some(match (life, self.answer) {
            (Life::Answers, _) => Answer::Answers,
            (Life::Silent, Some(before @ Answer::Silent(_)))
            | (Life::Unclear(_), Some(before @ Answer::Unclear(_))) => before,
            (Life::Silent, _) => Answer::Silent(asked),
            (Life::Unclear(_), _) => Answer::Unclear(asked),
        });
    }

    /// Nothing of before counts: what is seen from here on does.
    pub(super) fn forget(&mut self) {
        *self = Self {
            asked: self.asked,
            ..Self::default()
        };
    }

    /// Notes the passing of time. Whether the machine has slept since the last look.
    pub(super) fn wake(&mut self, now: Duration) -> bool {
        let before = self.last_look.replace(now);
        let slept = before.is_some_and(|before| now.saturating_sub(before) > GAP);
        if slept {
            self.unready_since = self.unready_since.map(|_| now);
            self.asked = self.asked.map(|_| now);
            self.answer = self.answer.map(|answer| match answer {
                Answer::Answers => answer,
                Answer::Silent(_) => Answer::Silent(now),
                Answer::Unclear(_) => Answer::Unclear(now),
            });
        }
        slept
    }

    /// How the machine does.
    pub(super) fn look(&mut self, config: &HaConfig, facts: &Facts, now: Duration) -> Verdict {
        let is_leaving =
            |stage: &Stage| !matches!(stage, Stage::Booting | Stage::Running | Stage::Unknown);
        if let Some(stage) = facts.stage.filter(is_leaving) {
            self.unready_since = None;
            // A new stage is judged by new answers.
            self.answer = None;
            return Verdict::Leaving(stage);
        }
        let answer = *self.answer.get_or_insert(Answer::Unclear(now));
        let readiness = facts.node.readiness.as_ref();
        let is_unready = config.monitor == HaMonitor::Ready
            && readiness.is_some_and(|readiness| !readiness.ready);
        // What was known before Talos could no longer be asked may be long over.
        let is_known = !matches!(answer, Answer::Unclear(_));
        let unready_since = self.unready_since.unwrap_or(now);
        self.unready_since = (is_unready && is_known).then_some(unready_since);
        let limit = match (answer, self.unready_since) {
            (Answer::Silent(since), _) => Some((Cause::Silent, since, config.silent_for)),
            (Answer::Answers, Some(since)) => Some((Cause::Unready, since, config.unready_for)),
            (Answer::Answers, None) | (Answer::Unclear(_), _) => None,
        };
        if let Some((cause, since, grace)) = limit {
            let until = since.saturating_add(grace);
            return if until <= now {
                Verdict::Dead(cause)
            } else {
                Verdict::Failing { cause, until }
            };
        }
        match answer {
            Answer::Unclear(since) if now.saturating_sub(since) >= config.silent_for => {
                Verdict::Blind
            }
            Answer::Answers if seems_well(config, facts) => Verdict::Alive,
            _ => Verdict::Unseen,
        }
    }

    /// When a look may come to something else, if nothing happens.
    pub(super) fn deadline(&self, config: &HaConfig) -> Option<Duration> {
        match (self.answer, self.unready_since) {
            (Some(Answer::Silent(since) | Answer::Unclear(since)), _) => {
                Some(since.saturating_add(config.silent_for))
            }
            (Some(Answer::Answers), Some(since)) => Some(since.saturating_add(config.unready_for)),
            (Some(Answer::Answers), None) | (None, _) => None,
        }
    }
}

/// Whether the facts, as old as they may be, say that the machine lives.
pub(super) fn seems_well(config: &HaConfig, facts: &Facts) -> bool {
    let is_on = matches!(facts.stage, Some(Stage::Booting | Stage::Running));
    let readiness = facts.node.readiness.as_ref();
    let is_ready = readiness.is_some_and(|readiness| readiness.ready);
    is_on && (config.monitor != HaMonitor::Ready || is_ready)
}
