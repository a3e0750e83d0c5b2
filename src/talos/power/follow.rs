//! After the acceptance: the first word about the sequence, and what becomes of it.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::events::{Events, seconds_since};
use super::{Acceptance, Attempt, RETRY, stage};
use crate::backoff::Backoff;
use crate::power::{Heard, PowerOutcome};
use crate::talos::sequence::{Drain, Verdict};

/// How long an acceptance waits for the first word about its sequence, within the deadline. A sequence that cannot
/// start says LOCKED at once after the OK.
pub(super) const FIRST_WORD: Duration = Duration::from_millis(500);

/// A sequence starts at once, or after the one that it replaces has given up, for which Talos waits a minute.
const START_WINDOW: Duration = Duration::from_secs(75);

/// How long we follow a sequence that has started; draining a node alone may take five minutes.
pub(super) const SEQUENCE_WINDOW: Duration = Duration::from_secs(600);

impl Attempt<'_> {
    /// Waits for the first word about an accepted sequence while time is left; why nothing comes of it, if that is so.
    pub(super) async fn first_word(
        &mut self,
        acceptance: Acceptance,
        left: Duration,
    ) -> Option<String> {
        let until = Instant::now() + FIRST_WORD.min(left);
        let waits = acceptance == Acceptance::Answered;
        while waits && self.verdict == Verdict::Open && !self.outlook.has_started() {
            match timeout_at(until, self.events.next(self.client)).await {
                Ok(Some(sighting)) => self.verdict = self.outlook.see(&sighting),
                Ok(None) | Err(_) => break,
            }
        }
        match &self.verdict {
            Verdict::DidNotHappen(why) => Some(why.clone()),
            Verdict::Happens | Verdict::Open => None,
        }
    }

    /// Reports what has not been reported of the drain.
    fn report_drain(&mut self, heard: &mut impl FnMut(Heard)) {
        let is_over = matches!(self.verdict, Verdict::Happens);
        let now = match self.outlook.drain() {
            Drain::UnderWay if is_over => Drain::Over,
            now => now,
        };
        if self.how.force_shutdown || self.is_undrained || now == self.drain {
            return;
        }
        if self.drain == Drain::None {
            heard(Heard::Draining);
        }
        if now == Drain::Over {
            heard(Heard::Drained);
        }
        self.drain = now;
    }

    /// Follows the accepted sequence until it did not happen or its news end.
    pub(super) async fn watch_sequence(&mut self, heard: &mut impl FnMut(Heard)) -> PowerOutcome {
        let accepted = Instant::now();
        let mut backoff = Backoff::jittered(RETRY.0, RETRY.1 * 5);
        loop {
            self.report_drain(heard);
            match std::mem::replace(&mut self.verdict, Verdict::Open) {
                Verdict::DidNotHappen(why) => return PowerOutcome::DidNotHappen(why),
                Verdict::Happens => {
                    // Nothing else will be said. If we are still here then, it did not.
                    self.events = Events::Closed;
                    tokio::time::sleep_until(accepted + SEQUENCE_WINDOW).await;
                    return PowerOutcome::NotFollowed;
                }
                Verdict::Open => {}
            }
            let window = if self.outlook.has_started() {
                SEQUENCE_WINDOW
            } else {
                START_WINDOW
            };
            match timeout_at(accepted + window, self.events.next(self.client)).await {
                Ok(Some(sighting)) => self.verdict = self.outlook.see(&sighting),
                Ok(None) if self.events.is_refused() => return PowerOutcome::NotFollowed,
                Ok(None) => {
                    let delay = backoff.next_delay();
                    if accepted.elapsed() + delay >= window {
                        return PowerOutcome::NotFollowed;
                    }
                    sleep(delay).await;
                    self.outlook.rewind();
                    self.events = Events::open(self.client, seconds_since(self.began));
                }
                Err(_) if self.outlook.has_started() || !self.events.is_open() => {
                    return PowerOutcome::NotFollowed;
                }
                // We listened all the time, and nothing started. The stage has the last word.
                Err(_) => {
                    return match self.client.stage().await {
                        Ok(now) if now != stage(self.operation) => {
                            PowerOutcome::DidNotHappen(format!(
                                "Talos began no sequence within {} s",
                                START_WINDOW.as_secs()
                            ))
                        }
                        Ok(_) | Err(_) => PowerOutcome::NotFollowed,
                    };
                }
            }
        }
    }
}
