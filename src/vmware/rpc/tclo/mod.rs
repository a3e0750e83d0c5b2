//! TCLO: the host asks, the guest answers, and a connection that breaks is opened again, without end.
//!
//! ```text
//!            ┌──────────── other transport, at once ───────────┐
//! waiting ──►│ opening ──► backdoor (polls) or vsock (listens) ─┤ broken
//!    ▲       └─────────────────────────────────────────────────┘
//!    └── 0.1, 0.2, 0.4 … 5 s ◄── no transport left, or it had worked ──
//! ```
//!
//! The first attempt after a loss comes soon, because the host shows the node as not running until then. The pauses
//! grow while attempts fail, and by a count of their own while sessions are short, as they are where another agent
//! of this guest takes the channel from us, and we from it. Unlike open-vm-tools (60 attempts, then exit) we never give up.
//!
//! A connection counts as made once the host has responded: a poll that went through, a packet. If a vsock
//! connection is accepted but stays silent, or is closed without a word, we change to the backdoor.
//!
//! The caller does what [`Tclo::poll_output`] says, reports outcomes, and decides nothing.
//! Source: rpcin.c, rpcChannel.c.

mod polling;
mod streaming;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::route::{OpenFailure, Policy, Route, Transport};
use crate::backoff::{Backoff, doubled};
use crate::vmware::wire::guest_rpc_packet::PacketError;
use polling::Polling;
use streaming::{Incoming, Streaming};

/// Pause before the first attempt after a loss: time for the host to remove the old channel.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A session that lives shorter than this does not shorten the pauses again.
const SHORT: Duration = Duration::from_secs(60);
/// A vsock connection that lives shorter than this may have nobody behind it.
const YOUNG: Duration = Duration::from_secs(1);
/// How many vsock connections in a row may die young before the backdoor is preferred.
const MAX_YOUNG_DEATHS: u8 = 2;
/// How long an accepted vsock connection may be silent while the backdoor could serve instead. Doubled each time
/// it runs out, because the backdoor may not work either and the host may be slow.
const SHORTEST_SILENCE: Duration = Duration::from_millis(900);
/// The longest such time.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Close the connection.
    Close,
    /// Open a connection, then [`Tclo::handle_opened`] or [`Tclo::handle_open_failed`].
    Open(Transport),
    /// Backdoor: send this (nothing is sent as a message of length zero), receive, then
    /// [`Tclo::handle_polled`] or [`Tclo::handle_broken`].
    Poll(Vec<u8>),
    /// vsock: write these bytes; [`Tclo::handle_broken`] when that fails.
    Write(Vec<u8>),
    /// The host has responded.
    Connected(Transport),
    /// A request of the host; [`Tclo::reply`] must follow.
    Request(Vec<u8>),
    /// The connection to the host is lost. A request without a reply is void.
    Lost(Transport),
}

/// Why a connection was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GivenUp {
    /// The host accepted a vsock connection and then said nothing, while the backdoor could serve instead.
    #[error("the host accepted the connection but sent nothing for {} ms", .silent.as_millis())]
    Silent {
        /// How long it was silent.
        silent: Duration,
    },
    /// The host does not read what is written to it.
    #[error("the host has read nothing for {} ms", .unread.as_millis())]
    Unread {
        /// For how long.
        unread: Duration,
    },
}

/// An open connection.
#[derive(Debug)]
struct Session {
    line: Line,
    opened: Duration,
    /// The host has responded, and [`Output::Connected`] was put out.
    heard: bool,
    /// The other transport was tried before this one and failed.
    switched: bool,
}

#[derive(Debug)]
enum Line {
    Backdoor(Polling),
    Vsock {
        streaming: Streaming,
        /// When the host must have responded, if there is a limit.
        silent_until: Option<Duration>,
    },
}

impl Line {
    const fn transport(&self) -> Transport {
        match self {
            Self::Backdoor(_) => Transport::Backdoor,
            Self::Vsock { .. } => Transport::Vsock,
        }
    }
}

#[derive(Debug)]
enum State {
    /// Nothing is open; the next attempt is at `until`.
    Waiting { until: Duration },
    /// Waiting for the outcome of [`Output::Open`].
    Opening {
        transport: Transport,
        switched: bool,
    },
    /// Open.
    Open(Session),
    /// Closed for good.
    Closed,
}

/// The TCLO side of one guest.
#[derive(Debug)]
pub struct Tclo {
    route: Route,
    state: State,
    /// Between attempts that fail; the host's first sign of life ends it.
    pause: Backoff,
    silence: Backoff,
    young_deaths: u8,
    /// Sessions in a row that the host ended soon.
    short_sessions: u32,
    outputs: VecDeque<Output>,
}

impl Tclo {
    /// Opens its first connection at the first [`Tclo::handle_timeout`].
    pub const fn new(policy: Policy) -> Self {
        Self {
            route: Route::new(policy),
            state: State::Waiting {
                until: Duration::ZERO,
            },
            pause: Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE),
            silence: Backoff::new(SHORTEST_SILENCE, LONGEST_SILENCE),
            young_deaths: 0,
            short_sessions: 0,
            outputs: VecDeque::new(),
        }
    }

    /// The connection is open.
    pub fn handle_opened(&mut self, now: Duration) {
        let State::Opening {
            transport,
            switched,
        } = self.state
        else {
            return;
        };
        let line = match transport {
            Transport::Backdoor => Line::Backdoor(Polling::new(now)),
            Transport::Vsock => Line::Vsock {
                streaming: Streaming::new(),
                silent_until: self
                    .route
                    .other(Transport::Vsock)
                    .map(|_| now.saturating_add(self.silence.next_delay())),
            },
        };
        self.state = State::Open(Session {
            line,
            opened: now,
            heard: false,
            switched,
        });
        self.pump();
    }

    /// The connection could not be opened.
    pub fn handle_open_failed(&mut self, failure: OpenFailure, now: Duration) {
        let State::Opening {
            transport,
            switched,
        } = self.state
        else {
            return;
        };
        if transport == Transport::Vsock {
            self.route.vsock_failed(failure, now);
        }
        self.open_other_or_wait(transport, switched, now);
    }

    /// The poll went through; what was received, `None` for nothing.
    pub fn handle_polled(&mut self, message: Option<Vec<u8>>, now: Duration) {
        let State::Open(session) = &mut self.state else {
            return;
        };
        let Line::Backdoor(polling) = &mut session.line else {
            return;
        };
        let request = polling.handle_received(message, now);
        self.hear();
        self.outputs.extend(request.map(Output::Request));
    }

    /// Whether to read from the vsock connection now.
    pub const fn wants_bytes(&self) -> bool {
        match &self.state {
            State::Open(Session {
                line: Line::Vsock { streaming, .. },
                ..
            }) => streaming.wants_bytes(),
            State::Open(_) | State::Waiting { .. } | State::Opening { .. } | State::Closed => false,
        }
    }

    /// Bytes have come from the vsock connection.
    ///
    /// # Errors
    /// [`PacketError`], for the log: the connection has been given up as [`Tclo::handle_broken`] does.
    pub fn handle_bytes(&mut self, bytes: &[u8], now: Duration) -> Result<(), PacketError> {
        if let State::Open(Session {
            line: Line::Vsock { streaming, .. },
            ..
        }) = &mut self.state
        {
            streaming.push(bytes);
        }
        self.take_packets(now)
    }

    /// The connection broke.
    pub fn handle_broken(&mut self, now: Duration) {
        let State::Open(session) = &self.state else {
            return;
        };
        let transport = session.line.transport();
        let (heard, switched) = (session.heard, session.switched);
        let lived = now.saturating_sub(session.opened);
        let young = lived < YOUNG;
        self.outputs.push_back(Output::Close);
        if heard {
            self.outputs.push_back(Output::Lost(transport));
        }
        if heard {
            self.short_sessions = self.short_sessions.saturating_add(1);
            self.forgive(lived);
        }
        if !young && heard {
            self.young_deaths = 0;
        }
        match transport {
            Transport::Vsock if !heard => {
                self.route.vsock_failed(OpenFailure::Failed, now);
                return self.open_other_or_wait(transport, switched, now);
            }
            Transport::Vsock if young => {
                self.young_deaths = self.young_deaths.saturating_add(1);
                if self.young_deaths >= MAX_YOUNG_DEATHS {
                    self.young_deaths = 0;
                    self.route.vsock_failed(OpenFailure::Failed, now);
                }
            }
            Transport::Vsock | Transport::Backdoor => {}
        }
        if heard {
            let earlier = self.short_sessions.saturating_sub(1);
            self.wait(doubled(SHORTEST_PAUSE, earlier, LONGEST_PAUSE), now);
        } else {
            self.wait_longer(now);
        }
    }

    /// The reply to the last [`Output::Request`]; false when there is none to reply to, because the
    /// connection was lost meanwhile.
    ///
    /// # Errors
    /// [`PacketError`], for the log: the reply has been taken, but what the host sent after its request was
    /// no packet and the connection is given up.
    pub fn reply(&mut self, bytes: Vec<u8>, now: Duration) -> Result<bool, PacketError> {
        let State::Open(session) = &mut self.state else {
            return Ok(false);
        };
        match &mut session.line {
            Line::Backdoor(polling) => {
                let owed = polling.reply(bytes);
                self.pump();
                Ok(owed)
            }
            Line::Vsock { streaming, .. } => {
                let Some(packet) = streaming.reply(&bytes, now) else {
                    return Ok(false);
                };
                self.outputs.push_back(Output::Write(packet));
                self.take_packets(now).map(|()| true)
            }
        }
    }

    /// The time of [`Tclo::poll_timeout`] has come. Call it once at the start, too.
    ///
    /// # Errors
    /// [`GivenUp`], for the log: the connection has been closed.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), GivenUp> {
        if let State::Open(Session {
            opened,
            heard: true,
            ..
        }) = self.state
        {
            self.forgive(now.saturating_sub(opened));
        }
        match &mut self.state {
            State::Waiting { until } if now >= *until => {
                let transport = self.route.choose(now);
                self.start_opening(transport, false);
            }
            State::Open(session) => match &mut session.line {
                Line::Backdoor(polling) => {
                    polling.handle_timeout(now);
                    self.pump();
                }
                Line::Vsock {
                    silent_until: Some(until),
                    ..
                } if now >= *until => {
                    let silent = now.saturating_sub(session.opened);
                    self.handle_broken(now);
                    return Err(GivenUp::Silent { silent });
                }
                Line::Vsock { streaming, .. } => {
                    if let Some(unread) = streaming.is_unread(now) {
                        self.handle_broken(now);
                        return Err(GivenUp::Unread { unread });
                    }
                    let ping = streaming.handle_timeout(now);
                    self.outputs.extend(ping.map(Output::Write));
                }
            },
            State::Waiting { .. } | State::Opening { .. } | State::Closed => {}
        }
        Ok(())
    }

    /// How many sessions in a row the host has ended soon. Zero again once one has lasted.
    pub const fn short_sessions(&self) -> u32 {
        self.short_sessions
    }

    /// So many bytes are left that the vsock connection has not taken; to be called after each attempt to write.
    ///
    /// # Errors
    /// [`PacketError`], as [`Tclo::handle_bytes`].
    pub fn handle_unwritten(&mut self, bytes: usize, now: Duration) -> Result<(), PacketError> {
        if let State::Open(Session {
            line: Line::Vsock { streaming, .. },
            ..
        }) = &mut self.state
        {
            streaming.handle_unwritten(bytes, now);
        }
        self.take_packets(now)
    }

    /// Closes what is open, for good.
    pub fn close(&mut self) {
        self.outputs.clear();
        if let State::Open(_) | State::Opening { .. } = self.state {
            self.outputs.push_back(Output::Close);
        }
        self.state = State::Closed;
    }

    /// The next thing to do; call until `None` after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Tclo::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Duration> {
        match &self.state {
            State::Waiting { until } => Some(*until),
            State::Open(Session { line, .. }) => match line {
                Line::Backdoor(polling) => polling.poll_timeout(),
                Line::Vsock {
                    streaming,
                    silent_until,
                } => match (*silent_until, streaming.poll_timeout()) {
                    (Some(silence), Some(ping)) => Some(silence.min(ping)),
                    (silence, ping) => silence.or(ping),
                },
            },
            State::Opening { .. } | State::Closed => None,
        }
    }

    /// A session that has lasted makes up for those before it.
    fn forgive(&mut self, lived: Duration) {
        if lived >= SHORT {
            self.short_sessions = 0;
        }
    }

    fn start_opening(&mut self, transport: Transport, switched: bool) {
        self.state = State::Opening {
            transport,
            switched,
        };
        self.outputs.push_back(Output::Open(transport));
    }

    fn open_other_or_wait(&mut self, failed: Transport, switched: bool, now: Duration) {
        match self.route.other(failed) {
            Some(other) if !switched => self.start_opening(other, true),
            Some(_) | None => self.wait_longer(now),
        }
    }

    /// After an attempt that failed, each time longer.
    fn wait_longer(&mut self, now: Duration) {
        let pause = self.pause.next_delay();
        self.wait(pause, now);
    }

    fn wait(&mut self, pause: Duration, now: Duration) {
        self.state = State::Waiting {
            until: now.saturating_add(pause),
        };
    }

    /// Puts out the poll that is due.
    fn pump(&mut self) {
        if let State::Open(Session {
            line: Line::Backdoor(polling),
            ..
        }) = &mut self.state
        {
            self.outputs.extend(polling.take_due().map(Output::Poll));
        }
    }

    /// Puts out the next request in the buffer.
    fn take_packets(&mut self, now: Duration) -> Result<(), PacketError> {
        loop {
            let State::Open(Session {
                line: Line::Vsock { streaming, .. },
                ..
            }) = &mut self.state
            else {
                return Ok(());
            };
            match streaming.next_incoming() {
                Ok(Incoming::Nothing) => return Ok(()),
                Ok(Incoming::Sign) => self.hear(),
                Ok(Incoming::Request(request)) => {
                    self.hear();
                    self.outputs.push_back(Output::Request(request));
                }
                Err(error) => {
                    self.handle_broken(now);
                    return Err(error);
                }
            }
        }
    }

    /// The host has responded.
    fn hear(&mut self) {
        let State::Open(session) = &mut self.state else {
            return;
        };
        if session.heard {
            return;
        }
        session.heard = true;
        self.pause.reset();
        if let Line::Vsock { silent_until, .. } = &mut session.line {
            *silent_until = None;
            self.route.vsock_worked();
            self.silence.reset();
        }
        self.outputs
            .push_back(Output::Connected(session.line.transport()));
    }
}
