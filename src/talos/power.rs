//! One power operation, from the call to the last that Talos reports about it.
//!
//! ```text
//! listen to Events ─▶ call ─▶ accepted ───────────────────▶ follow the sequence
//!        ▲             │ └──▶ refused: rejected
//!        │             └────▶ connection lost, no answer: did Talos get it?
//!        └──────── no ──────── ask Events and MachineStatus ──── yes ─▶ accepted
//! ```
//! Talos answers a call once it has accepted it; what becomes of it shows only in Events. A second Shutdown
//! restarts the sequence, so when we do not know whether Talos got a call, we send nothing until Talos has shown
//! that it did not. The doubt outlives the operation: the next one starts with the same question.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Code, Streaming};

use super::client::{CALL_TIMEOUT, Client};
use super::error::Error;
use super::proto::machine::Event;
use super::sequence::{Outlook, Sighting, Verdict};
use crate::backoff::Backoff;
use crate::config::PowerConfig;
use crate::facts::Stage;
use crate::power::{PowerOperation, PowerOutcome};

/// First and longest delay between attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How long a call waits for the Events stream to open first.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long we listen to Talos' events before we believe that it did not get the call.
const SETTLE: Duration = Duration::from_secs(1);

/// A sequence starts at once, or after the one that it replaces has given up, for which Talos waits a minute.
const START_WINDOW: Duration = Duration::from_secs(75);

/// How long we follow a sequence that has started; draining a node alone may take five minutes.
const SEQUENCE_WINDOW: Duration = Duration::from_secs(600);

/// Name of the method in MachineService.
const fn method(operation: PowerOperation) -> &'static str {
    match operation {
        PowerOperation::Shutdown => "Shutdown",
        PowerOperation::Reboot => "Reboot",
    }
}

/// The machine's stage while the sequence runs.
const fn stage(operation: PowerOperation) -> Stage {
    match operation {
        PowerOperation::Shutdown => Stage::ShuttingDown,
        PowerOperation::Reboot => Stage::Rebooting,
    }
}

fn outlook(operation: PowerOperation) -> Outlook {
    let sequence = match operation {
        PowerOperation::Shutdown => "shutdown",
        PowerOperation::Reboot => "reboot",
    };
    Outlook::new(sequence, stage(operation))
}

/// Makes the call; the actor id of the sequence.
async fn call(
    client: &Client,
    operation: PowerOperation,
    how: PowerConfig,
) -> Result<String, Error> {
    match operation {
        PowerOperation::Shutdown => client.shutdown(how.force_shutdown, CALL_TIMEOUT).await,
        PowerOperation::Reboot => client.reboot(how.reboot_mode, CALL_TIMEOUT).await,
    }
}

/// Sees one power operation through and reports what becomes of it.
///
/// The deadline is for the acceptance, retries included. The future ends when there is nothing more to report,
/// which takes up to ten minutes after an acceptance; dropping it earlier only loses that report.
pub async fn carry_out(
    client: &Client,
    operation: PowerOperation,
    how: PowerConfig,
    mut report: impl FnMut(PowerOutcome),
) {
    let mut attempt = Attempt::new(client, operation, how);
    let why = match timeout(how.deadline, attempt.until_accepted()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.with_causes()),
        Err(_) => Some(attempt.why_too_late()),
    };
    if let Some(why) = why {
        if let Some(sent) = attempt.doubtful {
            client.leave_doubt(operation, sent);
        }
        return report(PowerOutcome::Rejected(why));
    }
    report(PowerOutcome::Accepted);
    if let Some(why) = attempt.watch_sequence().await {
        report(PowerOutcome::DidNotHappen(why));
    }
}

/// The state of one operation.
struct Attempt<'a> {
    client: &'a Client,
    operation: PowerOperation,
    how: PowerConfig,
    outlook: Outlook,
    events: Events,
    /// What the events have decided before the call was known to be accepted.
    verdict: Verdict,
    /// When we sent a call without knowing whether Talos got it.
    doubtful: Option<Instant>,
    /// When the operation started, or the earlier one that it continues.
    began: Instant,
    /// The last failure.
    failure: Option<Error>,
}

impl<'a> Attempt<'a> {
    fn new(client: &'a Client, operation: PowerOperation, how: PowerConfig) -> Self {
        let doubtful = client.take_doubt(operation);
        Self {
            client,
            operation,
            how,
            outlook: outlook(operation),
            events: Events::Closed,
            verdict: Verdict::Open,
            doubtful,
            began: doubtful.unwrap_or_else(Instant::now),
            failure: None,
        }
    }

    /// Calls until Talos accepts, or refuses for good.
    async fn until_accepted(&mut self) -> Result<(), Error> {
        let mut backoff = Backoff::jittered(RETRY.0, RETRY.1);
        loop {
            let Err(error) = self.once().await else {
                return Ok(());
            };
            let retry = match &error {
                Error::Denied { .. } => self.client.denial_may_pass(),
                other => other.is_retryable(),
            };
            if !retry {
                return Err(error);
            }
            let method = method(self.operation);
            let words = error.with_causes();
            if self.failure.is_none() {
                tracing::info!(
                    call = method,
                    error = words,
                    "Talos cannot take the power operation yet; retrying"
                );
            } else {
                tracing::debug!(
                    call = method,
                    error = words,
                    "power call failed again; retrying"
                );
            }
            self.failure = Some(error);
            sleep(backoff.next_delay()).await;
        }
    }

    /// One attempt: listen, find out about the last one if necessary, call.
    async fn once(&mut self) -> Result<(), Error> {
        if let Events::Closed | Events::Refused = self.events {
            let tail = self.doubtful.map_or(0, seconds_since);
            self.events = Events::open(self.client, tail);
        }
        match timeout(HEAD_START, self.events.opened()).await {
            // The call would not arrive either; like this it is certain that it was not sent.
            Ok(Err(error)) if error.is_connection() => return Err(error),
            // Without events the outcome is less certain, but the operation comes first.
            Ok(Ok(()) | Err(_)) | Err(_) => {}
        }
        if self.doubtful.is_some() && self.did_talos_get_it().await? {
            return Ok(());
        }
        // In doubt until the answer comes: the deadline may cut this short.
        self.doubtful = Some(Instant::now());
        let answer = call(self.client, self.operation, self.how).await;
        match &answer {
            // The next stream starts early enough to show what became of this call.
            Err(error) if self.is_doubtful(error) => self.events = Events::Closed,
            Ok(_) | Err(_) => self.doubtful = None,
        }
        self.outlook.accepted_as(answer?);
        Ok(())
    }

    /// Whether Talos may have accepted a call that failed like this.
    fn is_doubtful(&self, error: &Error) -> bool {
        match error {
            // machined's own word; but apid says so too when its connection to machined breaks.
            Error::Talos {
                code: Code::Unavailable,
                ..
            } => self.client.is_proxied(),
            other => other.is_ambiguous(),
        }
    }

    /// Whether Talos got the doubtful call.
    ///
    /// # Errors
    /// When Talos does not say, so that nothing must be sent.
    async fn did_talos_get_it(&mut self) -> Result<bool, Error> {
        let until = Instant::now() + SETTLE;
        while let Ok(Some(sighting)) = timeout_at(until, self.events.next(self.client)).await {
            self.verdict = self.outlook.see(&sighting);
            if self.outlook.has_started() || self.verdict != Verdict::Open {
                return Ok(true);
            }
        }
        let heard = self.events.is_open();
        match self.client.stage().await {
            Ok(now) => Ok(now == stage(self.operation)),
            Err(error) if error.is_connection() || !heard => Err(error),
            // Not allowed or not known here; the events have been heard.
            Err(_) => Ok(false),
        }
    }

    /// Why Talos has not accepted by the deadline.
    fn why_too_late(&self) -> String {
        let words = self
            .failure
            .as_ref()
            .map_or_else(|| "Talos does not answer".to_owned(), Error::with_causes);
        if self.doubtful.is_some() {
            format!("no answer within the deadline, and Talos may have got the call: {words}")
        } else {
            format!("not accepted within the deadline: {words}")
        }
    }

    /// Follows the accepted sequence; why it did not happen, if it did not.
    async fn watch_sequence(&mut self) -> Option<String> {
        let accepted = Instant::now();
        let mut backoff = Backoff::jittered(RETRY.0, RETRY.1 * 5);
        loop {
            match std::mem::replace(&mut self.verdict, Verdict::Open) {
                Verdict::DidNotHappen(why) => return Some(why),
                Verdict::Happens => return None,
                Verdict::Open => {}
            }
            let window = if self.outlook.has_started() {
                SEQUENCE_WINDOW
            } else {
                START_WINDOW
            };
            match timeout_at(accepted + window, self.events.next(self.client)).await {
                Ok(Some(sighting)) => self.verdict = self.outlook.see(&sighting),
                Ok(None) if self.events.is_refused() => return None,
                Ok(None) => {
                    let delay = backoff.next_delay();
                    if accepted.elapsed() + delay >= window {
                        return None;
                    }
                    sleep(delay).await;
                    self.outlook.rewind();
                    self.events = Events::open(self.client, seconds_since(self.began));
                }
                Err(_) if self.outlook.has_started() || !self.events.is_open() => return None,
                // We listened all the time, and nothing started. The stage has the last word.
                Err(_) => {
                    let now = self.client.stage().await.ok()?;
                    return (now != stage(self.operation)).then(|| {
                        format!(
                            "Talos began no sequence within {} s",
                            START_WINDOW.as_secs()
                        )
                    });
                }
            }
        }
    }
}

/// Whole seconds since then, rounded up, and one more: event times have a resolution of a second.
fn seconds_since(then: Instant) -> i32 {
    i32::try_from(then.elapsed().as_secs().saturating_add(2)).unwrap_or(i32::MAX)
}

type Opening = Pin<Box<dyn Future<Output = Result<Streaming<Event>, Error>> + Send>>;

/// The Events stream, which opens while other things go on.
enum Events {
    Opening(Opening),
    Open(Box<Streaming<Event>>),
    Closed,
    /// Talos does not let us listen.
    Refused,
}

impl Events {
    fn open(client: &Client, tail_seconds: i32) -> Self {
        let client = client.clone();
        Self::Opening(Box::pin(async move { client.events(tail_seconds).await }))
    }

    fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Waits until the stream is open or has failed. May be dropped and called again.
    async fn opened(&mut self) -> Result<(), Error> {
        if let Self::Opening(opening) = self {
            match opening.await {
                Ok(stream) => *self = Self::Open(Box::new(stream)),
                Err(error) => {
                    *self = match error {
                        Error::Denied { .. } | Error::Unsupported { .. } => Self::Refused,
                        _ => Self::Closed,
                    };
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The next event; `None` when the stream cannot be opened or has ended. May be dropped and called again.
    async fn next(&mut self, client: &Client) -> Option<Sighting> {
        if let Err(error) = self.opened().await {
            tracing::debug!(
                error = error.with_causes(),
                "cannot listen to Talos' events"
            );
            return None;
        }
        let Self::Open(stream) = self else {
            return None;
        };
        match stream.message().await {
            Ok(Some(event)) => Some(Sighting::from_event(event)),
            Ok(None) => {
                *self = Self::Closed;
                None
            }
            Err(status) => {
                let error = client.error("Events", &status);
                tracing::debug!(error = error.with_causes(), "Talos' events have ended");
                *self = Self::Closed;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
