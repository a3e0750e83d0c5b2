//! The registration with the host, one for each virtual machine, and its token, which the host gives once.
//!
//! ```text
//! Off ──on──► Looking ── a token was left ─────────► Registered ──off, stop──► Leaving ──► Clearing ──► Off
//!                │ none                              │  ▲     │
//!                └──► Registering ───────────────────┼──┘     └── the token is not known ──► Registering
//!                         └── refused ──► Refused ◄──┘ not enabled, not known to the host
//!                                            └── ten minutes, or a new session ──► Looking
//! ```
//!
//! A token that was left is proven by the first poll with it. The variable with the token is not cleared before the
//! registration has ended: an agent that is killed anywhere in here can be followed by another.

use std::time::Duration;

use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::config::VmotionConfig;
use crate::diagnosis::Outcome;
use crate::vmware::services::RpciOutcome;
use crate::vmware::wire::text::{printable, text};
use crate::vmware::wire::vm_operation_notification::{
    Event, EventKind, Registered, ReplyError, Token, parse_done,
};

use super::refusal::Refusal;
use super::step::{Answer, Step};

/// How long after a refusal the host is asked again.
const REFUSED_DELAY: Duration = Duration::from_secs(600);
/// First delay after a lost message; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay after a lost message.
const LOST_DELAY: Duration = Duration::from_secs(10);
/// Events fetched without a pause. A host runs one operation on a machine at a time, which is two or three events.
const AT_ONCE: u8 = 8;

#[derive(Debug)]
enum State {
    Off,
    Looking,
    Registering,
    Registered(Held),
    /// Until then, or until the next session.
    Refused(Refusal, Option<Duration>),
    Leaving(Token),
    Clearing,
}

/// A registration.
#[derive(Debug)]
struct Held {
    token: Token,
    /// The guest variable has the token, or does not take it.
    is_kept: bool,
    /// The host has answered a poll with this token, or has given it to us.
    is_proven: bool,
    next_poll: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registration {
    state: State,
    is_wanted: bool,
    is_stopping: bool,
    period: Duration,
    /// After lost messages.
    backoff: Backoff,
    /// How long the host waits, as it said last.
    timeout: Option<Duration>,
    /// The event before: a host that gives it again and again is not asked again at once.
    last_event: Option<Event>,
    /// How many more are asked for without a pause.
    at_once: u8,
    /// What has been logged and still is so.
    logged: Option<Refusal>,
    /// That the token is not kept has been logged.
    loss_is_logged: bool,
}

impl Registration {
    /// None, and none wanted.
    pub(super) const fn new() -> Self {
        Self {
            state: State::Off,
            is_wanted: false,
            is_stopping: false,
            period: Duration::from_secs(2),
            backoff: Backoff::new(FIRST_DELAY, LOST_DELAY),
            timeout: None,
            last_event: None,
            at_once: AT_ONCE,
            logged: None,
            loss_is_logged: false,
        }
    }

    /// Whether there should be one, and how often the host is asked.
    pub(super) fn configure(&mut self, config: VmotionConfig, now: Duration) {
        self.is_wanted = config.notify;
        self.period = config.period;
        if !self.is_wanted {
            self.leave();
        } else if let State::Off | State::Refused(..) = self.state {
            self.look();
        } else if let State::Registered(held) = &mut self.state {
            held.next_poll = held.next_poll.min(now.saturating_add(config.period));
        }
    }

    /// The process ends.
    pub(super) fn stop(&mut self) {
        self.is_wanted = false;
        self.is_stopping = true;
        self.leave();
    }

    fn leave(&mut self) {
        self.backoff.reset();
        self.logged = None;
        match std::mem::replace(&mut self.state, State::Off) {
            State::Registered(held) => self.state = State::Leaving(held.token),
            state @ (State::Leaving(_) | State::Clearing) => self.state = state,
            // What is in flight brings a registration that has to end: see `registered`.
            State::Off | State::Looking | State::Registering | State::Refused(..) => {}
        }
    }

    fn look(&mut self) {
        self.state = State::Looking;
        self.backoff.reset();
    }

    /// The host may have forgotten everything, or may be another one.
    pub(super) fn new_session(&mut self, now: Duration) {
        self.backoff.reset();
        match &mut self.state {
            State::Registered(held) => held.next_poll = now,
            State::Refused(..) => self.look(),
            _ => {}
        }
    }

    /// The token of a registration that has not ended.
    pub(super) const fn token(&self) -> Option<&Token> {
        match &self.state {
            State::Registered(held) => Some(&held.token),
            State::Leaving(token) => Some(token),
            _ => None,
        }
    }

    /// How long the host waits for an acknowledgement, as far as it has said so.
    pub(super) const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether the host has confirmed it.
    pub(super) const fn is_registered(&self) -> bool {
        matches!(&self.state, State::Registered(held) if held.is_proven)
    }

    /// Whether the end of a registration is under way.
    pub(super) const fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving(_) | State::Clearing)
    }

    /// What the guest variable says where there is no registration; `None` where there is one, or may be one soon.
    pub(super) fn shown(&self) -> Option<String> {
        match self.state {
            State::Leaving(_) | State::Clearing => Some("off".to_owned()),
            State::Refused(refusal, _) => Some(format!("unavailable: {}", refusal.problem())),
            State::Off | State::Looking | State::Registering | State::Registered(_) => None,
        }
    }

    /// In the words of `check`; `None` where none is wanted.
    pub(super) fn check(&self) -> Option<Outcome> {
        let outcome = match &self.state {
            State::Refused(refusal, _) => refusal.check(),
            State::Registered(held) if held.is_proven && self.logged.is_none() => {
                Outcome::Works("the host gives notice of migrations".to_owned())
            }
            _ => self.logged.map_or_else(
                || Outcome::NotChecked("the host has not answered yet".to_owned()),
                Refusal::check,
            ),
        };
        self.is_wanted.then_some(outcome)
    }

    /// What is to be sent, if it is time.
    pub(super) fn next(&mut self, now: Duration) -> Option<Step> {
        if let State::Refused(_, until) = self.state
            && until.is_some_and(|until| until <= now)
        {
            self.look();
        }
        let is_held = self.backoff.is_held(now);
        match &self.state {
            State::Registered(held) if held.is_kept || is_held => {
                (held.next_poll <= now).then(|| Step::Poll(held.token.clone()))
            }
            _ if is_held => None,
            State::Off | State::Refused(..) => None,
            State::Looking => Some(Step::Look),
            State::Registering => Some(Step::Register),
            State::Registered(held) => Some(Step::Keep(held.token.clone())),
            State::Leaving(token) => Some(Step::Unregister(token.clone())),
            State::Clearing => Some(Step::Clear),
        }
    }

    /// When [`Registration::next`] has something, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let own = match &self.state {
            State::Registered(held) => Some(held.next_poll),
            State::Refused(_, until) => *until,
            _ => None,
        };
        own.into_iter().chain(self.backoff.deadline()).min()
    }

    /// Takes the outcome of a step of [`Registration::next`].
    pub(super) fn answered(&mut self, step: Step, outcome: &RpciOutcome, now: Duration) -> Answer {
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
        match (&mut self.state, step) {
            (State::Registered(held), Step::Poll(_)) => {
                held.next_poll = now.saturating_add(self.period);
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
        let until = (refusal != Refusal::Unsupported).then(|| now.saturating_add(REFUSED_DELAY));
        self.state = State::Refused(refusal, until);
        self.log_once(refusal, error, outcome);
    }

    fn log_once(&mut self, refusal: Refusal, error: &ReplyError, outcome: &RpciOutcome) {
        if self.logged.replace(refusal) != Some(refusal) {
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
        if let State::Registered(held) = &mut self.state {
            if !std::mem::replace(&mut held.is_proven, true) {
                info!(
                    "the registration of an earlier agent is taken over: the host gives notice of migrations"
                );
            }
            let is_fresh = event.is_some() && event != self.last_event;
            (held.next_poll, self.at_once) = match self.at_once.checked_sub(1) {
                Some(left) if is_fresh => (now, left),
                _ => (now.saturating_add(self.period), AT_ONCE),
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
        let State::Registered(held) = &mut self.state else {
            return;
        };
        held.next_poll = now.saturating_add(self.period);
        match refusal {
            Refusal::NoSuchToken => self.state = State::Registering,
            Refusal::Other if !held.is_proven => self.state = State::Registering,
            Refusal::NotEnabled | Refusal::Unsupported => self.refused(error, outcome, now),
            Refusal::Limit | Refusal::Other | Refusal::Garbage => {
                self.log_once(refusal, error, outcome)
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
