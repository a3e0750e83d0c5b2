//! TCLO: what the host asks of the guest, one request at a time (rpcin.c, tclodefs.h).
//!
//! A new channel is greeted: `reset`, then `Capabilities_Register`, then the `Set_Option`s. After that
//! come pings when they are due, and what the test asks for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Host;
use super::event::{By, EventKind, Link, Protocol};
use crate::codec::printable;

/// The number of a TCLO request, in order of queueing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub usize);

/// Why the host asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The greeting of a new channel.
    Greeting,
    /// The periodic ping.
    Ping,
    /// The test.
    Script,
}

/// One TCLO request and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its number.
    pub id: ExchangeId,
    /// Why.
    pub origin: Origin,
    /// The bytes of the request.
    pub request: Vec<u8>,
    /// When it was queued.
    pub queued: Instant,
    /// When the guest was first told of it (RECVSIZE, or written to the socket).
    pub offered: Option<Instant>,
    /// When the guest had all of it (RECVSTATUS, or written to the socket).
    pub picked_up: Option<Instant>,
    /// When the guest began to answer (SENDSIZE, or the packet).
    pub reply_started: Option<Instant>,
    /// When the whole reply was there.
    pub replied: Option<Instant>,
    /// The bytes of the reply.
    pub reply: Option<Vec<u8>>,
    /// The channel went away before the reply.
    pub lost: bool,
}

impl Exchange {
    /// From pick-up to the whole reply.
    pub fn latency(&self) -> Option<Duration> {
        Some(self.replied?.saturating_duration_since(self.picked_up?))
    }

    /// From pick-up to the first call of the answer: the guest's own time.
    pub fn thinking(&self) -> Option<Duration> {
        Some(
            self.reply_started?
                .saturating_duration_since(self.picked_up?),
        )
    }

    /// From queueing to pick-up.
    pub fn pick_up(&self) -> Option<Duration> {
        Some(self.picked_up?.saturating_duration_since(self.queued))
    }

    /// The reply as text.
    pub fn reply_text(&self) -> Option<String> {
        Some(String::from_utf8_lossy(self.reply.as_ref()?).into_owned())
    }

    fn is(&self, text: &[u8]) -> bool {
        self.request.strip_suffix(b"\0").unwrap_or(&self.request) == text
    }
}

/// One TCLO channel of either transport.
#[derive(Debug)]
pub(super) struct Session {
    link: Link,
    greeting: VecDeque<ExchangeId>,
    outstanding: Option<ExchangeId>,
    greeted: bool,
    greeted_at: Option<Instant>,
    last_alive: Instant,
    next_ping: Option<Instant>,
}

impl Host {
    /// Asks the guest; the request goes out when a greeted channel is free.
    pub fn ask(&mut self, request: impl Into<Vec<u8>>, now: Instant) -> ExchangeId {
        let id = self.exchange(request.into(), Origin::Script, now);
        self.script.push_back(id);
        id
    }

    /// One request by its number.
    pub fn exchange_of(&self, id: ExchangeId) -> Option<&Exchange> {
        self.exchanges.get(id.0)
    }

    /// Whether a TCLO channel has answered `reset` and is still open.
    pub fn is_greeted(&self) -> bool {
        self.sessions.iter().any(|session| session.greeted)
    }

    /// Whether nothing of a greeting is left to be sent or answered.
    pub fn greeting_done(&self) -> bool {
        self.sessions
            .iter()
            .all(|session| session.greeting.is_empty())
            && self.exchanges.iter().all(|exchange| {
                exchange.origin != Origin::Greeting || exchange.replied.is_some() || exchange.lost
            })
    }

    /// The program is gone, and its channels with it.
    pub(crate) fn guest_ended(&mut self, now: Instant) {
        for session in std::mem::take(&mut self.sessions) {
            for id in session.outstanding.into_iter().chain(session.greeting) {
                self.lose(id, now);
            }
        }
        self.channels.clear();
    }

    /// The channel that serves TCLO now.
    pub fn tclo_link(&self) -> Option<Link> {
        self.sessions
            .iter()
            .rev()
            .find(|session| session.greeted)
            .map(|session| session.link)
    }

    /// When the guest last gave a sign of life on a channel that is still open and greeted.
    pub(super) fn newest_life(&self) -> Option<Instant> {
        self.sessions
            .iter()
            .filter(|session| session.greeted)
            .map(|s| s.last_alive)
            .max()
    }

    /// The longest time without a sign of life since the guest was first greeted (or since
    /// [`Host::forget_silence`]), including the time since the last one.
    pub fn longest_silence(&self, now: Instant) -> Duration {
        let current = self
            .last_alive
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.longest_silence.max(current)
    }

    /// Starts the measurement of [`Host::longest_silence`] anew.
    pub fn forget_silence(&mut self) {
        self.longest_silence = Duration::ZERO;
    }

    fn exchange(&mut self, request: Vec<u8>, origin: Origin, now: Instant) -> ExchangeId {
        let id = ExchangeId(self.exchanges.len());
        self.exchanges.push(Exchange {
            id,
            origin,
            request,
            queued: now,
            offered: None,
            picked_up: None,
            reply_started: None,
            replied: None,
            reply: None,
            lost: false,
        });
        id
    }

    pub(crate) fn opened(&mut self, link: Link, protocol: Protocol, now: Instant) {
        self.event(now, EventKind::Opened { link, protocol });
        if protocol == Protocol::Rpci {
            return;
        }
        self.session_book.opened(now);
        let mut greeting = VecDeque::new();
        if self.config.greeting {
            let mut texts = vec!["reset".to_owned(), "Capabilities_Register".to_owned()];
            texts.extend(
                self.config
                    .options
                    .iter()
                    .map(|option| format!("Set_Option {option}")),
            );
            if self.config.power_on {
                texts.push("OS_PowerOn".to_owned());
            }
            for text in texts {
                greeting.push_back(self.exchange(text.into_bytes(), Origin::Greeting, now));
            }
        }
        self.sessions.push(Session {
            link,
            greeting,
            outstanding: None,
            greeted: false,
            greeted_at: None,
            last_alive: now,
            next_ping: self.config.ping_every.map(|every| now + every),
        });
    }

    pub(crate) fn gone(&mut self, link: Link, protocol: Protocol, by: By, now: Instant) {
        self.event(now, EventKind::Closed { link, protocol, by });
        let Some(at) = self
            .sessions
            .iter()
            .position(|session| session.link == link)
        else {
            return;
        };
        let session = self.sessions.remove(at);
        for id in session.outstanding.into_iter().chain(session.greeting) {
            self.lose(id, now);
        }
    }

    fn lose(&mut self, id: ExchangeId, now: Instant) {
        let exchange = &mut self.exchanges[id.0];
        exchange.lost = true;
        if exchange.picked_up.is_some() || exchange.origin == Origin::Script {
            self.event(now, EventKind::RequestLost(id));
        }
    }

    fn session(&mut self, link: Link) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.link == link)
    }

    /// A sign of life: a poll, a PING, a reply.
    pub(crate) fn alive(&mut self, link: Link, now: Instant) {
        self.stats.liveness += 1;
        let Some(session) = self.session(link) else {
            return;
        };
        session.last_alive = now;
        let greeted = session.greeted;
        if let Some(last) = self.last_alive {
            self.longest_silence = self
                .longest_silence
                .max(now.saturating_duration_since(last));
            self.last_alive = Some(now);
        } else if greeted {
            self.last_alive = Some(now);
        }
    }

    /// The request to send next on this channel, if there is one.
    pub(crate) fn next_request(&mut self, link: Link, now: Instant) -> Option<ExchangeId> {
        if self.faults.silent {
            return None;
        }
        let greeting_wanted = self.config.greeting;
        let every = self.config.ping_every;
        let newest = self
            .sessions
            .last()
            .is_some_and(|session| session.link == link);
        let session = self.session(link)?;
        if session.outstanding.is_some() {
            return None;
        }
        let may_ask = session.greeted || !greeting_wanted;
        let id = if let Some(id) = session.greeting.pop_front() {
            id
        } else if !may_ask {
            return None;
        } else if let Some(id) = newest.then(|| self.script.pop_front()).flatten() {
            id
        } else {
            let session = self.session(link)?;
            let every = every?;
            let due = session.next_ping.get_or_insert(now);
            if *due > now {
                return None;
            }
            *due = now + every;
            self.exchange(b"ping".to_vec(), Origin::Ping, now)
        };
        if let Some(session) = self.session(link) {
            session.outstanding = Some(id);
        }
        Some(id)
    }

    /// When a second agent takes the channel of a session.
    fn doom(&self, session: &Session) -> Option<Instant> {
        Some(session.greeted_at? + self.faults.rival?)
    }

    /// The sessions that a second agent has taken by now.
    pub(super) fn doomed_sessions(&self, now: Instant) -> Vec<Link> {
        let sessions = self.sessions.iter();
        sessions
            .filter(|session| self.doom(session).is_some_and(|doom| doom <= now))
            .map(|session| session.link)
            .collect()
    }

    /// When the next session of either transport goes to a second agent.
    pub(crate) fn next_doom(&self) -> Option<Instant> {
        self.sessions
            .iter()
            .filter_map(|session| self.doom(session))
            .min()
    }

    /// When [`Host::next_request`] may have something new by itself.
    pub(crate) fn next_ping(&self, link: Link) -> Option<Instant> {
        let session = self.sessions.iter().find(|session| session.link == link)?;
        self.config.ping_every?;
        (session.outstanding.is_none() && session.greeted).then_some(session.next_ping)?
    }

    /// The bytes of a request that is now shown to the guest.
    pub(crate) fn offer(&mut self, id: ExchangeId, now: Instant) -> Vec<u8> {
        let exchange = &mut self.exchanges[id.0];
        exchange.offered.get_or_insert(now);
        exchange.request.clone()
    }

    /// The guest has all of a request.
    pub fn picked_up(&mut self, id: ExchangeId, now: Instant) {
        let exchange = &mut self.exchanges[id.0];
        exchange.picked_up = Some(now);
        self.session_book.asked(&exchange.request, now);
        let text = printable(&exchange.request, 120);
        self.event(now, EventKind::Request { id, text });
    }

    pub(crate) fn reply_started(&mut self, link: Link, now: Instant) {
        let outstanding = self.session(link).and_then(|session| session.outstanding);
        if let Some(id) = outstanding {
            self.exchanges[id.0].reply_started = Some(now);
        }
    }

    /// The guest could not use the request it was offered.
    pub(super) fn withdraw(&mut self, link: Link, now: Instant) {
        let outstanding = self
            .session(link)
            .and_then(|session| session.outstanding.take());
        if let Some(id) = outstanding {
            self.lose(id, now);
        }
    }

    /// A whole message on a TCLO channel; empty is a poll.
    pub(crate) fn tclo_sent(&mut self, link: Link, message: Vec<u8>, now: Instant) {
        let outstanding = self.session(link).and_then(|session| session.outstanding);
        let owed = outstanding.filter(|id| self.exchanges[id.0].picked_up.is_some());
        let Some(id) = owed else {
            if !message.is_empty() {
                let text = printable(&message, 80);
                self.violation(now, format!("{link}: a reply nobody asked for: {text}"));
            }
            return;
        };
        if let Some(session) = self.session(link) {
            session.outstanding = None;
        }
        let deadline = self.config.reply_deadline;
        let vix_deadline = self.config.vix_reply_deadline.max(deadline);
        let exchange = &mut self.exchanges[id.0];
        exchange.replied = Some(now);
        exchange.reply_started.get_or_insert(now);
        exchange.reply = Some(message.clone());
        let latency = exchange.latency().unwrap_or_default();
        let request = printable(&exchange.request, 60);
        let is_reset = exchange.is(b"reset");
        let is_vix = exchange.request.starts_with(b"Vix_");
        let text = printable(&message, 120);
        self.event(
            now,
            EventKind::Reply {
                id,
                text: text.clone(),
                latency,
            },
        );
        if !message.starts_with(b"OK ") && !message.starts_with(b"ERROR ") {
            self.violation(now, format!("{link}: reply to {request}: {text:?}"));
        }
        if message.ends_with(b"\0") && !is_vix {
            self.violation(now, format!("{link}: reply to {request} ends in NUL"));
        }
        if message.len() > self.config.longest_message {
            let len = message.len();
            self.violation(now, format!("{link}: reply to {request}: {len} bytes"));
        }
        if latency > if is_vix { vix_deadline } else { deadline } {
            self.violation(now, format!("{link}: reply to {request} took {latency:?}"));
        }
        if !is_reset {
            return;
        }
        if message == b"OK ATR toolbox" {
            let already = self.session(link).is_none_or(|session| {
                session.last_alive = now;
                session.greeted_at.get_or_insert(now);
                std::mem::replace(&mut session.greeted, true)
            });
            self.last_alive.get_or_insert(now);
            if !already {
                self.event(now, EventKind::Greeted(link));
            }
        } else {
            self.violation(now, format!("{link}: reply to reset: {text}"));
        }
    }
}
