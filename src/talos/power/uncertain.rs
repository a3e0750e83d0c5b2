//! A call of which we do not know whether Talos got it, or what became of it: nothing is sent until Talos has shown that.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::Code;

use super::events::{Events, seconds_since};
use super::follow::SEQUENCE_WINDOW;
use super::{Attempt, method, stage};
use crate::facts::Stage;
use crate::power::PowerOperation;
use crate::talos::error::Error;
use crate::talos::sequence::Verdict;

/// How long we listen to Talos' events before we believe that it did not get the call.
const SETTLE: Duration = Duration::from_secs(1);

/// How long we listen where the call takes an earlier Shutdown over. That one makes way once its drain notices: between two tries
/// to evict a pod it sleeps for 5 s (Talos' `pkg/kubernetes`, 1.14.1).
const YIELD: Duration = Duration::from_secs(8);

/// How old a call of an earlier request must be before a machine that does something else shows that nothing comes of
/// it.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How often Talos is asked meanwhile what the machine is doing.
pub(super) const POLL: Duration = Duration::from_millis(500);

impl Attempt<'_> {
    /// Whether Talos may have accepted a call that failed like this.
    pub(super) fn is_doubtful(&self, error: &Error) -> bool {
        match error {
            // machined's own word; but apid says so too when its connection to machined breaks.
            Error::Talos {
                code: Code::Unavailable,
                ..
            } => self.client.is_proxied(),
            other => other.is_ambiguous(),
        }
    }

    /// Whether Talos is carrying out what an earlier request asked for. A machine that does something else shows that
    /// it is not, once the call is old enough to have begun.
    ///
    /// # Errors
    /// When Talos does not say, so that nothing must be sent.
    pub(super) async fn is_under_way(&mut self, since: Instant) -> Result<bool, Error> {
        let grace = GRACE.min(self.how.deadline / 2);
        let until = (since + grace).max(Instant::now() + SETTLE.min(grace));
        loop {
            match self.client.stage().await {
                Ok(now) if self.is_sign_of_earlier(now) => return Ok(true),
                Ok(_) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Ok(false);
                    }
                    sleep(left.min(POLL)).await;
                }
                Err(error) if error.is_connection() => return Err(error),
                // Not allowed or not known here; the events may say it.
                Err(_) => break,
            }
        }
        if self.events.is_over() {
            self.events = Events::open(self.client, seconds_since(since));
        }
        self.head_start().await?;
        match self.did_talos_get_it(since).await {
            Ok(got) => Ok(got && !matches!(self.verdict, Verdict::DidNotHappen(_))),
            // A node that answers after so long has not gone down.
            Err(error) if !error.is_connection() && since.elapsed() > SEQUENCE_WINDOW => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the machine does what an earlier request asked for. Up to Talos 1.13 a Shutdown ends in the stage of a
    /// Reboot.
    fn is_sign_of_earlier(&self, now: Stage) -> bool {
        let ends_so = self.operation == PowerOperation::Shutdown && now == Stage::Rebooting;
        now == stage(self.operation) || ends_so
    }

    /// Whether Talos got the doubtful call, which was sent then.
    ///
    /// # Errors
    /// When Talos does not say, so that nothing must be sent.
    pub(super) async fn did_talos_get_it(&mut self, sent: Instant) -> Result<bool, Error> {
        let mut until = Instant::now() + SETTLE;
        if self.how.takes_over {
            until = until.max(sent + YIELD);
        }
        while let Ok(Some(sighting)) = timeout_at(until, self.events.next(self.client)).await {
            self.verdict = self.outlook.see(&sighting);
            let outlook = &self.outlook;
            if outlook.has_started() || outlook.has_room() || self.verdict != Verdict::Open {
                return Ok(true);
            }
        }
        let heard = self.events.is_open();
        match self.client.stage().await {
            // The stage is that of the earlier one.
            Ok(_) if self.how.takes_over => heard.then_some(false).ok_or(Error::Deadline {
                call: method(self.operation),
            }),
            Ok(now) => Ok(now == stage(self.operation)),
            Err(error) if error.is_connection() || !heard => Err(error),
            // Not allowed or not known here; the events have been heard.
            Err(_) => Ok(false),
        }
    }
}
