//! TCLO on the backdoor: the guest asks again and again whether the host wants something.
//!
//! One poll is a send and a receive. The send carries the reply that is owed, or nothing, which shows the host
//! that we are alive. The VMX takes the next send for the reply to its request, so we do not poll while a reply is
//! owed; when it is ready we send it at once, and that poll fetches the next request. While the host has nothing
//! to say the pauses grow: 10, 20, 40, 80, 100 ms [rpcin.c: RPCIN_MAX_DELAY].
//!
//! open-vm-tools stays at 100 ms. Polls are nearly the whole cost of an idle daemon, and the host talks in bursts:
//! after two seconds without a request the pause is 350 ms. That is less than a third of the polls, delays the first
//! request of the next burst by 125 ms on average, and still gives nearly three signs of life a second, where one is
//! enough on vsock. A lone request out of silence is no burst: hosts ping every 15 s. It gets a few quick polls, and a
//! second one makes the burst.

use std::time::Duration;

use crate::backoff::Backoff;

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Silence after which a burst of the host counts as over.
const QUIET_AFTER: Duration = Duration::from_secs(2);
const QUIET_PAUSE: Duration = Duration::from_millis(350);
/// Quick polls after a request out of silence: those after 10, 20 and 40 ms.
const LONE_POLLS: u8 = 3;

#[derive(Debug)]
enum State {
    /// Bytes to send at once: a reply, or nothing.
    Due(Vec<u8>),
    /// Sent; waiting to hear what was received.
    Polling,
    /// The host waits for our reply.
    Owed,
    /// The host has nothing to say.
    Resting { until: Duration },
}

/// How long the pauses are short.
#[derive(Clone, Copy, Debug)]
enum Quick {
    /// The host talks, or is new.
    Until(Duration),
    /// For so many polls more.
    Polls(u8),
}

/// The polls of one connection.
#[derive(Debug)]
pub(super) struct Polling {
    state: State,
    pause: Backoff,
    /// When the host last asked something, or the connection was made.
    asked: Duration,
    quick: Quick,
}

impl Polling {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            state: State::Due(Vec::new()),
            pause: Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE),
            asked: now,
            quick: Quick::Until(now.saturating_add(QUIET_AFTER)),
        }
    }

    /// The bytes to send now, maybe none at all; [`Polling::handle_received`] must follow.
    pub(super) fn take_due(&mut self) -> Option<Vec<u8>> {
        match std::mem::replace(&mut self.state, State::Polling) {
            State::Due(bytes) => Some(bytes),
            state => {
                self.state = state;
                None
            }
        }
    }

    /// Takes the result of the poll; returns the request if there is one.
    pub(super) fn handle_received(
        &mut self,
        message: Option<Vec<u8>>,
        now: Duration,
    ) -> Option<Vec<u8>> {
        match message {
            Some(request) if !request.is_empty() => {
                self.pause.reset();
                let is_burst = now.saturating_sub(self.asked) < QUIET_AFTER;
                self.quick = if is_burst {
                    Quick::Until(now.saturating_add(QUIET_AFTER))
                } else {
                    Quick::Polls(LONE_POLLS)
                };
                self.asked = now;
                self.state = State::Owed;
                Some(request)
            }
            Some(_) | None => {
                let pause = if self.is_quick(now) {
                    self.pause.next_delay()
                } else {
                    QUIET_PAUSE
                };
                let until = now.saturating_add(pause);
                self.state = State::Resting { until };
                None
            }
        }
    }

    /// Whether the pause after this poll is a short one.
    fn is_quick(&mut self, now: Duration) -> bool {
        match &mut self.quick {
            Quick::Until(until) => now < *until,
            Quick::Polls(0) => false,
            Quick::Polls(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Takes the reply that is owed; false when none is.
    pub(super) fn reply(&mut self, bytes: Vec<u8>) -> bool {
        let owed = matches!(self.state, State::Owed);
        if owed {
            self.state = State::Due(bytes);
        }
        owed
    }

    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if matches!(self.state, State::Resting { until } if now >= until) {
            self.state = State::Due(Vec::new());
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        match self.state {
            State::Resting { until } => Some(until),
            State::Due(_) | State::Polling | State::Owed => None,
        }
    }
}
