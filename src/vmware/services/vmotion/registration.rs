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

mod answers;

use std::time::Duration;

use crate::backoff::Backoff;
use crate::config::VmotionConfig;
use crate::diagnosis::Outcome;
use crate::vmware::wire::vm_operation_notification::{Event, Token};

use super::refusal::Refusal;
use super::step::Step;

/// First delay after a lost message; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay after a lost message.
const LOST_DELAY: Duration = Duration::from_secs(10);
/// Events fetched without a pause. A host runs one operation on a machine at a time, which is two or three events.
const AT_ONCE: u8 = 8;

/// The shortest pause between two polls, whatever the host says of its patience.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

/// Between two polls: what is configured, or a quarter of what the host waits if that is less, so that most of its time is
/// left when an event is heard.
fn pause(period: Duration, timeout: Option<Duration>) -> Duration {
    let most = timeout.map_or(period, |timeout| (timeout / 4).max(SHORTEST_PAUSE));
    period.min(most)
}

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
    /// The last such line, and when it was written.
    last_line: Option<(Refusal, Duration)>,
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
            last_line: None,
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
            let pause = pause(self.period, self.timeout);
            held.next_poll = held.next_poll.min(now.saturating_add(pause));
        }
    }

    /// Between two polls.
    fn pause(&self) -> Duration {
        pause(self.period, self.timeout)
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
        self.last_line = None;
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
}
