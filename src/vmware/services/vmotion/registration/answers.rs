//! What the host's answer to a step says of the registration.

use std::time::Duration;

use tracing::{info, warn};

use super::super::refusal::Refusal;
use super::super::step::{Answer, Step};
use super::{AT_ONCE, Held, Registration, State};
use crate::vmware::services::RpciOutcome;
use crate::vmware::services::service::NOT_OFFERED_DELAY;
use crate::vmware::wire::text::{printable, text};
use crate::vmware::wire::vm_operation_notification::{
    Event, EventKind, Registered, ReplyError, Token, parse_done,
};

impl Registration {
    /// Takes the outcome of a step of [`Registration::next`].
    pub(in crate::vmware::services::vmotion) fn answered(
        &mut self,
        step: Step,
        outcome: &RpciOutcome,
        now: Duration,
    ) -> Answer {
        let (RpciOutcome::Accepted(reply) | RpciOutcome::Refused(reply)) = outcome else {
            return self.lost(step, outcome, now);
        };
        self.backoff.reset();
        match step {
            Step::Look => self.looked(outcome),
            Step::Register => match Registered::parse(reply) {
                Ok(registered) => return self.registered(registered, now),
                Err(error) => self.refused(&error, outcome, now),
            },
            Step::Keep(_) => self.kept(outcome),
            Step::Poll(_) => match Event::parse(reply) {
                Ok(event) => return self.polled(event, now),
                Err(error) => self.not_polled(&error, outcome, now),
            },
            Step::Unregister(_) => self.unregistered(&parse_done(reply), outcome, now),
            Step::Clear => self.cleared(),
            Step::Ack(..) => {}
        }
        Answer::default()
    }

    /// No answer that could be read: it is tried again.
    fn lost(&mut self, step: Step, outcome: &RpciOutcome, now: Duration) -> Answer {
        let pause = self.pause();
        match (&mut self.state, step) {
            (State::Registered(held), Step::Poll(_)) => {
                held.next_poll = now.saturating_add(pause);
            }
            // No token is that long.
            (State::Looking, Step::Look) if *outcome == RpciOutcome::TooLong => {
                self.state = State::Registering;
            }
            (State::Off, _) => {}
            _ => self.backoff.hold(now),
        }
        Answer::default()
    }

    fn looked(&mut self, outcome: &RpciOutcome) {
        let State::Looking = self.state else { return };
        let left = match outcome {
            RpciOutcome::Accepted(value) => std::str::from_utf8(text(value)).ok(),
            _ => None,
        };
        self.state = match left.map(str::trim).and_then(Token::new) {
            Some(token) => State::Registered(Held {
                token,
                is_kept: true,
                is_proven: false,
                next_poll: Duration::ZERO,
            }),
            None => State::Registering,
        };
    }

    fn registered(&mut self, registered: Registered, now: Duration) -> Answer {
        let Registered { token, timeout } = registered;
        self.logged = None;
        self.timeout = timeout;
        self.last_event = None;
        if !self.is_wanted {
            self.state = State::Leaving(token);
            return Answer::default();
        }
        info!(
            timeout_s = timeout.map(|timeout| timeout.as_secs()),
            "the host gives notice of migrations"
        );
        self.state = State::Registered(Held {
            token,
            is_kept: false,
            is_proven: true,
            next_poll: now,
        });
        Answer {
            event: None,
            is_new_registration: true,
        }
    }

    /// There is no registration, for now.
    fn refused(&mut self, error: &ReplyError, outcome: &RpciOutcome, now: Duration) {
        if !self.is_wanted {
            return;
        }
        let refusal = Refusal::of(error, outcome);
        let until =
            (refusal != Refusal::Unsupported).then(|| now.saturating_add(NOT_OFFERED_DELAY));
        self.state = State::Refused(refusal, until);
        self.log_once(refusal, error, outcome, now);
    }

    /// Logs it, unless it is still so, or was so not long ago: a host that answers badly every other time has one line.
    fn log_once(
        &mut self,
        refusal: Refusal,
        error: &ReplyError,
        outcome: &RpciOutcome,
        now: Duration,
    ) {
        let is_still_so = self.logged.replace(refusal) == Some(refusal);
        let is_news = self.last_line.is_none_or(|(last, at)| {
            last != refusal || at.saturating_add(NOT_OFFERED_DELAY) <= now
        });
        if !is_still_so && is_news {
            self.last_line = Some((refusal, now));
            refusal.log(error, outcome);
        }
    }

    fn kept(&mut self, outcome: &RpciOutcome) {
        if let State::Registered(held) = &mut self.state {
            held.is_kept = true;
        }
        if let RpciOutcome::Refused(reply) = outcome
            && !std::mem::replace(&mut self.loss_is_logged, true)
        {
            warn!(
                reply = printable(reply),
                "the host does not keep our token: after a crash every migration waits for the full time-out"
            );
        }
    }

    fn polled(&mut self, event: Option<Event>, now: Duration) -> Answer {
        self.logged = None;
        if let Some(Event {
            kind: EventKind::TimeoutChange {
                timeout: Some(timeout),
            },
            ..
        }) = &event
        {
            self.timeout = Some(*timeout);
        }
        let pause = self.pause();
        if let State::Registered(held) = &mut self.state {
            if !std::mem::replace(&mut held.is_proven, true) {
                info!(
                    "the registration of an earlier agent is taken over: the host gives notice of migrations"
                );
            }
            let is_fresh = event.is_some() && event != self.last_event;
            (held.next_poll, self.at_once) = match self.at_once.checked_sub(1) {
                Some(left) if is_fresh => (now, left),
                _ => (now.saturating_add(pause), AT_ONCE),
            };
        }
        if event.is_some() {
            self.last_event.clone_from(&event);
        }
        Answer {
            event,
            is_new_registration: false,
        }
    }

    fn not_polled(&mut self, error: &ReplyError, outcome: &RpciOutcome, now: Duration) {
        let refusal = Refusal::of(error, outcome);
        let pause = self.pause();
        let State::Registered(held) = &mut self.state else {
            return;
        };
        held.next_poll = now.saturating_add(pause);
        match refusal {
            Refusal::NoSuchToken => self.state = State::Registering,
            Refusal::Other if !held.is_proven => self.state = State::Registering,
            Refusal::NotEnabled | Refusal::Unsupported => self.refused(error, outcome, now),
            Refusal::Limit | Refusal::Other | Refusal::Garbage => {
                self.log_once(refusal, error, outcome, now)
            }
        }
    }

    /// The registration has ended, or is none.
    fn unregistered(
        &mut self,
        done: &Result<(), ReplyError>,
        outcome: &RpciOutcome,
        now: Duration,
    ) {
        match done.as_ref().map_err(|error| Refusal::of(error, outcome)) {
            // The token stays where the next agent finds it.
            Err(Refusal::Other | Refusal::Garbage | Refusal::Limit) if self.is_stopping => {
                self.state = State::Off;
            }
            Err(Refusal::Other | Refusal::Garbage | Refusal::Limit) => self.backoff.hold(now),
            Ok(()) | Err(_) => {
                info!("no longer registered for vMotion notifications");
                self.state = State::Clearing;
            }
        }
    }

    /// All is as it was before the registration.
    fn cleared(&mut self) {
        self.state = State::Off;
        self.timeout = None;
        if self.is_wanted {
            self.look();
        }
    }
}
