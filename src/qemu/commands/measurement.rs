//! What Talos says only when asked: when it is asked, and for how long its word holds.
//!
//! ```text
//! request ── the last word is young ──────────────────────► answer
//!         ── it is old ──► Measure ──► the outcome ───────► answer
//!                                  └─► the budget is spent ► answer with what there is
//! ```
//! Nobody is asked while no host asks.

use std::time::Duration;

use crate::backoff::doubled;
use crate::front_end::{Measured, Subject};

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// First pause after a call that hangs: each may leave a thread of Talos hanging.
const FIRST_LONG_PAUSE: Duration = Duration::from_secs(300);
/// Longest pause after calls that hang.
const LONGEST_LONG_PAUSE: Duration = Duration::from_secs(3600);

/// See the module.
#[derive(Debug)]
pub(super) struct Measurement {
    subject: Subject,
    /// When Talos last answered.
    measured_at: Option<Duration>,
    is_under_way: bool,
    /// Failures in a row.
    failures: u32,
    /// Before then Talos is not asked again.
    pause_until: Duration,
}

/// What is to be done before an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing.
    Nothing,
    /// Wait for a measurement under way.
    Wait,
    /// Order one, and wait for it.
    Order,
}

impl Measurement {
    /// Nothing measured yet.
    pub(super) const fn new(subject: Subject) -> Self {
        Self {
            subject,
            measured_at: None,
            is_under_way: false,
            failures: 0,
            pause_until: Duration::ZERO,
        }
    }

    /// How old a word may be that is answered with at once.
    const fn natural_age(&self) -> Duration {
        match self.subject {
            Subject::Space => Duration::from_secs(30),
            Subject::Traffic => Duration::from_secs(10),
        }
    }

    /// How old a word may be when there is no newer one: two polls of a patient host.
    const fn longest_age(&self) -> Duration {
        match self.subject {
            Subject::Space | Subject::Traffic => Duration::from_secs(600),
        }
    }

    /// How long a request waits.
    pub(super) const fn budget(&self) -> Duration {
        match self.subject {
            Subject::Space => Duration::from_millis(1900),
            // Its answer has other parts that are worth more.
            Subject::Traffic => Duration::from_millis(900),
        }
    }

    /// A host asks.
    pub(super) fn request(&mut self, now: Duration) -> Before {
        if self.is_younger(self.natural_age(), now) {
            return Before::Nothing;
        }
        if self.is_under_way {
            return Before::Wait;
        }
        if now < self.pause_until {
            return Before::Nothing;
        }
        self.is_under_way = true;
        Before::Order
    }

    /// An order has come to its end.
    pub(super) fn finished(&mut self, measured: Measured, now: Duration) {
        self.is_under_way = false;
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        let pause = match measured {
            Measured::Done => {
                self.failures = 0;
                self.measured_at = Some(now);
                Duration::ZERO
            }
            Measured::Failed => doubled(FIRST_PAUSE, failures, LONGEST_PAUSE),
            Measured::TimedOut => doubled(FIRST_LONG_PAUSE, failures, LONGEST_LONG_PAUSE),
        };
        self.pause_until = now.saturating_add(pause);
    }

    /// Whether the last word may still be answered with.
    pub(super) fn holds(&self, now: Duration) -> bool {
        self.is_younger(self.longest_age(), now)
    }

    fn is_younger(&self, age: Duration, now: Duration) -> bool {
        self.measured_at
            .is_some_and(|at| now.saturating_sub(at) < age)
    }
}
