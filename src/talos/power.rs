//! One power operation, from the request to the last that Talos reports about it.
//!
//! ```text
//! an earlier call of unknown outcome? ── yes ─▶ what does Talos do? ── the same ─▶ accepted
//!        │ no                                             │ something else
//!        ▼                                                ▼
//! look at the machine, listen to Events ─▶ call ─▶ OK ─▶ first word ─▶ accepted ─▶ follow the sequence
//!        ▲            │ busy: rejected      │                └─ LOCKED: rejected
//!        │                                  ├──▶ refused: rejected
//!        │                                  └──▶ connection lost, no answer: did Talos get it?
//!        └─────────────── no ──────── ask Events and MachineStatus ──── yes ─▶ accepted
//! ```
//! Talos answers a call once it has accepted it; what becomes of it shows only in Events. A second Shutdown
//! restarts the sequence, so when we do not know whether Talos got a call, or what became of one that it accepted,
//! we send nothing until Talos has shown that nothing comes of it. That doubt outlives the operation: the next one
//! starts with the question.
//!
//! A Shutdown that takes an earlier one over ([`Manner::takes_over`]) is a second call on purpose. What the earlier one
//! does, its stage included, says nothing of it: only a START that is not that one's, or the CANCELED of that one. Where
//! Talos may have got it, a further one would take its place, and restart what it has begun: that doubt is one of its own.

mod events;
mod follow;
mod look;
mod uncertain;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use self::events::{Events, seconds_since};
pub use self::look::LastWord;
use self::look::{Look, look};
use super::client::{CALL_TIMEOUT, Client, ThisMachine};
use super::doubt::About;
use super::error::Error;
use super::sequence::{Drain, Outlook, Verdict};
use crate::backoff::Backoff;
use crate::config::{BusyPolicy, RebootMode};
use crate::facts::Stage;
use crate::power::{Heard, PowerOperation, PowerOutcome};

/// First and longest delay between attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How long a call waits for the Events stream to open first. Talos' own server opens it at once; a server that sends
/// the header with the first event has it registered by then all the same.
const HEAD_START: Duration = Duration::from_millis(100);

/// How an operation is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// How long the answer may take, retries included.
    pub deadline: Duration,
    /// Shut down without cordon and drain.
    pub force_shutdown: bool,
    /// It takes the place of an earlier Shutdown of ours that drains still: it is called although that one runs, and
    /// nothing is asked of that one first.
    pub takes_over: bool,
    /// How Talos reboots.
    pub reboot_mode: RebootMode,
    /// What is done while the machine does what must not be interrupted.
    pub busy: BusyPolicy,
}

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

/// Whether the machine does what a power operation must not interrupt.
const fn is_busy(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Installing | Stage::Resetting | Stage::Upgrading
    )
}

/// Nothing is known of the sequence yet.
fn outlook(client: &Client, operation: PowerOperation, how: Manner) -> Outlook {
    let sequence = match operation {
        PowerOperation::Shutdown => "shutdown",
        PowerOperation::Reboot => "reboot",
    };
    let outlook = Outlook::new(sequence, stage(operation));
    match how.takes_over {
        true => outlook.taking_over(client.doubts().last_shutdown()),
        false => outlook,
    }
}

/// Makes the call; the actor id of the sequence. A Shutdown is forced where nothing can be drained.
async fn call(
    client: &Client,
    way: ThisMachine,
    operation: PowerOperation,
    how: Manner,
    undrainable: Option<&'static str>,
) -> Result<String, Error> {
    match operation {
        PowerOperation::Shutdown => {
            if let Some(reason) = undrainable.filter(|_| !how.force_shutdown) {
                tracing::info!(
                    reason,
                    "shutting down without cordon and drain, because nothing can be drained"
                );
            }
            let force = how.force_shutdown || undrainable.is_some();
            client.shutdown(way, force, CALL_TIMEOUT).await
        }
        PowerOperation::Reboot => client.reboot(way, how.reboot_mode, CALL_TIMEOUT).await,
    }
}

/// Sees one power operation through and reports what becomes of it.
///
/// The deadline is for the answer, retries and the first word about the sequence included. After an acceptance the future
/// goes on for up to ten minutes, until the operation did not happen or its news end; dropping it earlier only loses that
/// report. In between it reports once that the node is drained, and once that this is over; not of a sequence that does
/// not drain, nor where Talos sends no events. Of a call that was forced because nothing could be drained it reports the
/// end of the drain just before the acceptance. `known` is what counts where Talos does not say what the machine is doing.
pub async fn carry_out(
    client: &Client,
    operation: PowerOperation,
    how: Manner,
    known: LastWord,
    mut heard: impl FnMut(Heard),
) {
    let mut attempt = Attempt::new(client, operation, how, known);
    let began = Instant::now();
    let why = match timeout(how.deadline, attempt.until_accepted()).await {
        Ok(Ok(acceptance)) => {
            let left = how.deadline.saturating_sub(began.elapsed());
            attempt.first_word(acceptance, left).await
        }
        Ok(Err(refusal)) => Some(refusal.words(client)),
        Err(_) => Some(attempt.why_too_late()),
    };
    if let Some(why) = why {
        if let Some(sent) = attempt.doubt.or(attempt.earlier) {
            client.leave_doubt(attempt.about, sent);
        }
        return heard(Heard::Outcome(PowerOutcome::Rejected(why)));
    }
    if how.takes_over {
        // Whatever became of the earlier one, it is over.
        let _superseded = client.take_doubt(About::First(operation));
    }
    if attempt.is_undrained {
        heard(Heard::Drained);
    }
    heard(Heard::Outcome(PowerOutcome::Accepted));
    let outcome = attempt.watch_sequence(&mut heard).await;
    if outcome == PowerOutcome::NotFollowed {
        client.leave_doubt(attempt.about, attempt.began);
    }
    heard(Heard::Outcome(outcome));
}

/// How we know that Talos has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acceptance {
    /// It said so.
    Answered,
    /// It is carrying out what we asked for before.
    UnderWay,
}

/// Why the operation is not carried out.
#[derive(Debug)]
enum Refusal {
    /// Talos refuses, or cannot be reached.
    Talos(Error),
    /// The machine does something that must not be interrupted.
    Busy(Stage),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Talos(error)
    }
}

impl Refusal {
    fn words(&self, client: &Client) -> String {
        match self {
            Self::Talos(error @ Error::Denied { .. }) => client.in_words(error),
            Self::Talos(error) => error.with_causes(),
            Self::Busy(stage) => format!(
                "the machine is {}, and Talos was not asked to interrupt that; try again later, or set power.busy to pass",
                stage.name()
            ),
        }
    }
}

/// The state of one operation.
struct Attempt<'a> {
    client: &'a Client,
    operation: PowerOperation,
    /// Which call that is, for a doubt about it.
    about: About,
    how: Manner,
    known: LastWord,
    outlook: Outlook,
    /// What has been reported of the drain.
    drain: Drain,
    /// Whether the last call was forced because nothing could be drained.
    is_undrained: bool,
    events: Events,
    /// What the events have decided before the call was known to be accepted.
    verdict: Verdict,
    /// When an earlier request sent a call whose outcome is unknown.
    earlier: Option<Instant>,
    /// When we sent a call without knowing whether Talos got it.
    doubt: Option<Instant>,
    /// When the operation started, or the earlier one that it continues.
    began: Instant,
    /// The last failure.
    failure: Option<Error>,
}

impl<'a> Attempt<'a> {
    fn new(client: &'a Client, operation: PowerOperation, how: Manner, known: LastWord) -> Self {
        let about = match how.takes_over {
            true => About::TakeOver,
            false => About::First(operation),
        };
        let sent = client.take_doubt(about);
        // The stage says nothing of a call that takes over, so that what Talos says of it is all there is to ask for.
        let (earlier, doubt) = match how.takes_over {
            true => (None, sent),
            false => (sent, None),
        };
        Self {
            client,
            operation,
            about,
            how,
            known,
            outlook: outlook(client, operation, how),
            drain: Drain::None,
            is_undrained: false,
            events: Events::Closed,
            verdict: Verdict::Open,
            earlier,
            doubt,
            began: Instant::now(),
            failure: None,
        }
    }

    /// Calls until Talos accepts, or refuses for good.
    async fn until_accepted(&mut self) -> Result<Acceptance, Refusal> {
        let mut backoff = Backoff::jittered(RETRY.0, RETRY.1);
        loop {
            let error = match self.once().await {
                Ok(acceptance) => return Ok(acceptance),
                Err(Refusal::Talos(error)) => error,
                Err(busy @ Refusal::Busy(_)) => return Err(busy),
            };
            let retry = match &error {
                Error::Denied { .. } => self.client.denial_may_pass(),
                other => other.is_retryable(),
            };
            if !retry {
                return Err(Refusal::Talos(error));
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

    /// One attempt: find out about the last one if necessary, listen and look, call.
    async fn once(&mut self) -> Result<Acceptance, Refusal> {
        if let Some(since) = self.earlier {
            if self.is_under_way(since).await? {
                (self.began, self.earlier) = (since, None);
                return Ok(Acceptance::UnderWay);
            }
            self.earlier = None;
            self.start_over();
        }
        if self.events.is_over() {
            self.events = Events::open(self.client, self.doubt.map_or(0, seconds_since));
        }
        if let Some(sent) = self.doubt {
            self.head_start().await?;
            if self.did_talos_get_it(sent).await? {
                self.doubt = None;
                return Ok(Acceptance::UnderWay);
            }
        }
        let (client, known) = (self.client, self.known);
        // The stream is asked for first, so that it hears of what the call leads to.
        let ready = tokio::try_join!(biased; self.head_start(), look(client, known));
        let ((), Look { stage, undrainable }) = ready?;
        if self.how.busy == BusyPolicy::Refuse && is_busy(stage) {
            return Err(Refusal::Busy(stage));
        }
        self.is_undrained = self.operation == PowerOperation::Shutdown
            && !self.how.force_shutdown
            && undrainable.is_some();
        // Before this nothing is sent.
        let way = self.client.way().await?;
        // In doubt until the answer comes: the deadline may cut this short.
        self.doubt = Some(Instant::now());
        let answer = call(self.client, way, self.operation, self.how, undrainable).await;
        match &answer {
            // The next stream starts early enough to show what became of this call.
            Err(error) if self.is_doubtful(error) => self.events = Events::Closed,
            Ok(_) | Err(_) => self.doubt = None,
        }
        let actor_id = answer?;
        if self.operation == PowerOperation::Shutdown {
            self.client.doubts().accepted_shutdown(&actor_id);
        }
        self.outlook.accepted_as(actor_id);
        Ok(Acceptance::Answered)
    }

    /// Forgets what has been heard of an earlier call.
    fn start_over(&mut self) {
        self.outlook = outlook(self.client, self.operation, self.how);
        self.verdict = Verdict::Open;
        self.events = Events::Closed;
    }

    /// Waits a moment for the Events stream.
    ///
    /// # Errors
    /// When the call would not arrive either; it is certain that it was not sent.
    async fn head_start(&mut self) -> Result<(), Error> {
        match timeout(HEAD_START, self.events.opened()).await {
            Ok(Err(error)) if error.is_connection() => Err(error),
            // Without events the outcome is less certain, but the operation comes first.
            Ok(Ok(()) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// Why Talos has not accepted by the deadline.
    fn why_too_late(&self) -> String {
        let words = self.failure.as_ref().map_or_else(
            || "Talos does not answer".to_owned(),
            |error| self.client.in_words(error),
        );
        if self.doubt.or(self.earlier).is_some() {
            format!("no answer within the deadline, and Talos may have got the call: {words}")
        } else {
            format!("not accepted within the deadline: {words}")
        }
    }
}

#[cfg(test)]
mod tests;
