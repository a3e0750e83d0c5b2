//! The migration that is under way, and what the host waits for.
//!
//! An event is owed an acknowledgement: at once, or when leadership of etcd has been handed over, but no later than
//! [`latest_ack`] allows. It is sent until the host has taken it or does not wait any more.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::vmware::services::RpciOutcome;
use crate::vmware::wire::text::line;
use crate::vmware::wire::vm_operation_notification::{Event, EventKind, OperationId, parse_done};

use super::refusal::words;

/// Longest that a migration waits for Talos.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long an acknowledgement is tried where the host has not said how long it waits.
const LONGEST_TRY: Duration = Duration::from_secs(60);
/// First delay after an acknowledgement that was not taken; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay after one.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// Events that may wait for their acknowledgement. A host has one operation on a machine at a time.
const MOST_OWED: usize = 16;
/// Longest word of the host's that is repeated, in bytes.
const LONGEST_WORD: usize = 64;

/// How long an acknowledgement may wait for Talos where the host waits for `timeout`.
pub(super) fn latest_ack(timeout: Option<Duration>) -> Duration {
    timeout.map_or(LONGEST_WAIT, |timeout| (timeout / 2).min(LONGEST_WAIT))
}

/// An acknowledgement that the host waits for.
#[derive(Debug)]
struct Owed {
    operation: OperationId,
    /// Talos is asked first, until then.
    waits_until: Option<Duration>,
    /// The host waits no longer.
    is_of_use_until: Duration,
    /// After it was not taken: one that a host never takes is in no other's way.
    backoff: Backoff,
}

impl Owed {
    fn is_due(&self, now: Duration) -> bool {
        self.waits_until.is_none_or(|until| until <= now)
    }
}

/// How a migration ended.
#[derive(Clone, Copy, Debug)]
struct Last {
    took: Duration,
    has_succeeded: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Migrations {
    /// The one that has begun, and when.
    under_way: Option<(OperationId, Duration)>,
    last: Option<Last>,
    owed: VecDeque<Owed>,
    /// Leadership of etcd is being handed over.
    is_handing_over: bool,
    /// That a migration cannot be acknowledged has been logged.
    loss_is_logged: bool,
}

impl Migrations {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self {
            under_way: None,
            last: None,
            owed: VecDeque::new(),
            is_handing_over: false,
            loss_is_logged: false,
        }
    }

    /// Takes an event. `timeout` is what the host has said of its patience before. True when leadership is to be handed
    /// over, which only happens where it `hands_over`.
    pub(super) fn heard(
        &mut self,
        event: &Event,
        hands_over: bool,
        timeout: Option<Duration>,
        now: Duration,
    ) -> bool {
        let Some(operation) = event.operation else {
            self.heard_without_id(&event.kind, now);
            return false;
        };
        match &event.kind {
            EventKind::Start { timeout: named } => {
                let timeout = [timeout, *named].into_iter().flatten().min();
                return self.begins(operation, hands_over, timeout, now);
            }
            EventKind::End { status } => {
                self.ends(operation, status, now);
                return false;
            }
            EventKind::TimeoutChange { timeout } => info!(
                timeout_s = timeout.map(|timeout| timeout.as_secs()),
                "the host changed how long it waits before a migration"
            ),
            EventKind::Other(word) => debug!(
                event = line(word, LONGEST_WORD),
                "acknowledging an unknown event"
            ),
        }
        self.owe(operation, None, timeout, now);
        false
    }

    /// An event that cannot be acknowledged. A host has one operation at a time, so an end is that of the one that has
    /// begun.
    fn heard_without_id(&mut self, kind: &EventKind, now: Duration) {
        match kind {
            EventKind::Start { .. } if !std::mem::replace(&mut self.loss_is_logged, true) => {
                warn!(
                    "a migration without a readable id cannot be acknowledged: it waits for the full time-out"
                );
            }
            EventKind::End { status } => {
                self.loss_is_logged = false;
                if let Some((operation, _)) = self.under_way {
                    self.ends(operation, status, now);
                }
            }
            EventKind::Start { .. } | EventKind::TimeoutChange { .. } | EventKind::Other(_) => {
                debug!(?kind, "an event without an id cannot be acknowledged");
            }
        }
    }

    fn begins(
        &mut self,
        operation: OperationId,
        hands_over: bool,
        timeout: Option<Duration>,
        now: Duration,
    ) -> bool {
        if self.under_way.is_some_and(|(known, _)| known == operation) {
            // The host has not heard the acknowledgement.
            self.owe(operation, None, timeout, now);
            return false;
        }
        let waits = latest_ack(timeout);
        let hands_over = hands_over && !waits.is_zero();
        info!(
            %operation,
            timeout_s = timeout.map(|timeout| timeout.as_secs()),
            asks_talos = hands_over,
            "a migration begins"
        );
        self.under_way = Some((operation, now));
        let waits_until = hands_over.then(|| now.saturating_add(waits));
        self.owe(operation, waits_until, timeout, now);
        hands_over && !std::mem::replace(&mut self.is_handing_over, true)
    }

    fn ends(&mut self, operation: OperationId, status: &str, now: Duration) {
        self.owed.retain(|owed| owed.operation != operation);
        // A host that says nothing of it has not said that it failed.
        let has_succeeded = matches!(status, "success" | "");
        let status = line(status, LONGEST_WORD);
        let begun = self.under_way.take_if(|(known, _)| *known == operation);
        let took = begun.map(|(_, since)| now.saturating_sub(since));
        let elapsed_ms = took.map(|took| took.as_millis() as u64);
        if has_succeeded {
            info!(%operation, elapsed_ms, status, "the migration is over");
        } else {
            warn!(%operation, elapsed_ms, status, "the migration failed");
        }
        if let Some(took) = took {
            self.last = Some(Last {
                took,
                has_succeeded,
            });
        }
    }

    fn owe(
        &mut self,
        operation: OperationId,
        waits_until: Option<Duration>,
        timeout: Option<Duration>,
        now: Duration,
    ) {
        let is_owed = self.owed.iter().any(|owed| owed.operation == operation);
        if is_owed || self.owed.len() >= MOST_OWED {
            return;
        }
        self.owed.push_back(Owed {
            operation,
            waits_until,
            is_of_use_until: now.saturating_add(timeout.unwrap_or(LONGEST_TRY)),
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
        });
    }

    /// Talos has answered; whether the host was still waiting for that. `None` where no migration has asked, but a
    /// reboot.
    pub(super) fn handed_over(&mut self, now: Duration) -> Option<bool> {
        let has_asked = std::mem::take(&mut self.is_handing_over);
        let in_time = self.owed.iter().any(|owed| !owed.is_due(now));
        self.hurry();
        has_asked.then_some(in_time)
    }

    /// Nothing waits for Talos any more.
    pub(super) fn hurry(&mut self) {
        for owed in &mut self.owed {
            owed.waits_until = None;
            owed.backoff.reset();
        }
    }

    /// What was not taken is tried again at once.
    pub(super) fn new_session(&mut self) {
        for owed in &mut self.owed {
            owed.backoff.reset();
        }
    }

    /// The host has forgotten what was before.
    pub(super) fn forget(&mut self) {
        self.under_way = None;
        self.owed.clear();
    }

    /// The next acknowledgement, if it is time.
    pub(super) fn next_ack(&mut self, now: Duration) -> Option<OperationId> {
        self.owed.retain(|owed| {
            let is_of_use = now <= owed.is_of_use_until;
            if !is_of_use {
                let operation = owed.operation;
                warn!(
                    %operation,
                    "the host did not take an acknowledgement in time and continues without it"
                );
            }
            is_of_use
        });
        let mut owed = self.owed.iter_mut();
        owed.find_map(|owed| {
            let is_due = owed.is_due(now) && !owed.backoff.is_held(now);
            is_due.then_some(owed.operation)
        })
    }

    /// When [`Migrations::next_ack`] has something, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let owed = self.owed.iter();
        owed.filter_map(|owed| owed.backoff.deadline().or(owed.waits_until))
            .min()
    }

    /// Takes the outcome of an acknowledgement.
    pub(super) fn answered(
        &mut self,
        operation: OperationId,
        outcome: &RpciOutcome,
        now: Duration,
    ) {
        let taken = match outcome {
            RpciOutcome::Accepted(reply) | RpciOutcome::Refused(reply) => parse_done(reply)
                .inspect_err(|error| {
                    let reply = words(error, outcome);
                    debug!(%operation, reply, "an acknowledgement was not taken");
                })
                .is_ok(),
            RpciOutcome::TooLong | RpciOutcome::Failed => false,
        };
        if taken {
            self.owed.retain(|owed| owed.operation != operation);
            return;
        }
        let mut owed = self.owed.iter_mut();
        if let Some(owed) = owed.find(|owed| owed.operation == operation) {
            owed.backoff.hold(now);
        }
    }

    /// What the guest variable says.
    pub(super) fn shown(&self) -> String {
        match (self.under_way, self.last) {
            (Some(_), _) => "migrating".to_owned(),
            (None, None) => "idle".to_owned(),
            (None, Some(last)) => {
                let how = if last.has_succeeded {
                    "took"
                } else {
                    "failed after"
                };
                format!("last {how} {:.1} s", last.took.as_secs_f64())
            }
        }
    }
}
