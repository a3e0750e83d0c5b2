//! Messages that go once and in order, ahead of the publications: what the host waits for, such as the status of a
//! power operation.
//!
//! One is under way at a time. A lost one is repeated until the channel took it, before any that came later; a
//! refused one is logged and not repeated. A message belongs to its session: what the host asked before a suspend
//! must not be answered after the resume, see [`Lasts`].

use std::collections::VecDeque;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::backoff::Backoff;
use crate::vmware::wire::text::printable;

use super::outbox::Outbox;
use super::{RpciId, RpciOutcome};

/// First delay after a lost message; doubled with each further loss.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay after a lost message.
const MAX_DELAY: Duration = Duration::from_secs(2);
/// Messages that may wait for a channel. A host asks for a handful at most.
const MAX_WAITING: usize = 256;

/// How long a message stays true when a new session begins before it got out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// As long as its session. A host that reads "ready to suspend" behind a resume may suspend once more.
    ThisSession,
    /// Some seconds longer: what Talos does goes on when a channel breaks.
    Longer,
}

/// How old a message that lasts longer may be when a new session begins.
const MAX_AGE: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Event {
    /// The command, for the log.
    command: &'static str,
    message: Vec<u8>,
    lasts: Lasts,
    since: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct EventLine {
    /// In order; the first may be in flight.
    waiting: VecDeque<Event>,
    in_flight: Option<RpciId>,
    backoff: Backoff,
}

impl EventLine {
    /// Nothing to send.
    pub(super) const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: None,
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
        }
    }

    /// Sends a message after all earlier ones.
    pub(super) fn push(
        &mut self,
        command: &'static str,
        message: Vec<u8>,
        lasts: Lasts,
        now: Duration,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            error!(command, "a message is lost: too many wait for the channel");
            return;
        }
        self.waiting.push_back(Event {
            command,
            message,
            lasts,
            since: now,
        });
    }

    /// Whether nothing waits to be sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the outcome of this message is awaited.
    pub(super) fn is_sent_as(&self, id: RpciId) -> bool {
        self.in_flight == Some(id)
    }

    /// What was lost is sent again at once, whatever the pause.
    pub(super) const fn hurry(&mut self) {
        self.backoff.reset();
    }

    /// A session begins: a new channel, a reset, a resume. What is still true goes at once, the rest never.
    pub(super) fn new_session(&mut self, now: Duration) {
        self.backoff.reset();
        let is_true = |event: &Event| {
            event.lasts == Lasts::Longer && now.saturating_sub(event.since) <= MAX_AGE
        };
        if !self.waiting.front().is_some_and(is_true) {
            // Its outcome no longer matters.
            self.in_flight = None;
        }
        self.waiting.retain(|event| {
            let keep = is_true(event);
            if !keep {
                let (command, message) = (event.command, printable(&event.message));
                info!(
                    command,
                    message, "not sent: the session it belongs to is over"
                );
            }
            keep
        });
    }

    /// Sends the next message, if it is time.
    pub(super) fn send(&mut self, outbox: &mut Outbox, now: Duration) {
        if self.in_flight.is_some() || self.backoff.is_held(now) {
            return;
        }
        if let Some(event) = self.waiting.front() {
            self.in_flight = Some(outbox.urgent_rpci(event.message.clone()));
        }
    }

    /// Takes note of an outcome; false when it is that of another's message.
    pub(super) fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, now: Duration) -> bool {
        if self.in_flight.take_if(|sent| *sent == id).is_none() {
            return false;
        }
        match outcome {
            RpciOutcome::TooLong | RpciOutcome::Failed => {
                self.backoff.hold(now);
                return true;
            }
            RpciOutcome::Accepted(_) => {}
            RpciOutcome::Refused(reply) => warn!(
                command = self.waiting.front().map(|event| event.command),
                reply = printable(reply),
                fallback = "none",
                "the host refused a message"
            ),
        }
        self.backoff.reset();
        self.waiting.pop_front();
        true
    }

    /// When [`EventLine::send`] has something to do, if nothing else happens.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.backoff.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::services::{Lane, Output};

    const NOW: Duration = Duration::from_secs(1);

    struct Bench {
        line: EventLine,
        outbox: Outbox,
    }

    impl Bench {
        fn with(messages: &[&[u8]]) -> Self {
            let mut line = EventLine::new();
            for message in messages {
                line.push("test", message.to_vec(), Lasts::Longer, NOW);
            }
            Self {
                line,
                outbox: Outbox::default(),
            }
        }

        /// The message that is sent at this moment.
        fn sent(&mut self, now: Duration) -> Option<(RpciId, Vec<u8>)> {
            self.line.send(&mut self.outbox, now);
            match self.outbox.pop()? {
                Output::Rpci { id, lane, message } => {
                    assert_eq!(lane, Lane::Urgent);
                    Some((id, message))
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn messages_go_one_at_a_time_and_in_order() {
        let mut bench = Bench::with(&[b"a", b"b"]);
        let (id, message) = bench.sent(NOW).unwrap();
        assert_eq!(message, b"a");
        assert_eq!(bench.sent(NOW), None);
        let outcome = RpciOutcome::Accepted(Vec::new());
        assert!(!bench.line.settle(RpciId(id.0 + 1), &outcome, NOW));
        assert!(bench.line.settle(id, &outcome, NOW));
        let (id, message) = bench.sent(NOW).unwrap();
        assert_eq!(message, b"b");
        assert!(
            bench
                .line
                .settle(id, &RpciOutcome::Refused(Vec::new()), NOW)
        );
        assert_eq!(bench.sent(NOW), None);
    }

    #[test]
    fn a_lost_message_is_repeated_before_later_ones() {
        let mut bench = Bench::with(&[b"a"]);
        for delay in [100, 200, 400, 800, 1600, 2000, 2000] {
            let (id, message) = bench.sent(NOW).unwrap();
            assert_eq!(message, b"a");
            bench.line.settle(id, &RpciOutcome::Failed, NOW);
            bench.line.push("test", b"b".to_vec(), Lasts::Longer, NOW);
            let due = NOW + Duration::from_millis(delay);
            assert_eq!(bench.line.deadline(), Some(due));
            assert_eq!(bench.sent(due - Duration::from_millis(1)), None);
            bench.line.backoff.release();
        }
        bench.line.new_session(NOW);
        let (id, _) = bench.sent(NOW).unwrap();
        bench.line.settle(id, &RpciOutcome::Failed, NOW);
        assert!(bench.line.deadline() < Some(NOW + Duration::from_secs(1)));
        bench.line.new_session(NOW);
        assert!(bench.sent(NOW).is_some(), "a new channel is tried at once");
    }

    #[test]
    fn a_new_session_hears_only_what_is_still_true() {
        for (lasts, age, sent) in [
            (Lasts::ThisSession, 0, false),
            (Lasts::Longer, 10, true),
            (Lasts::Longer, 11, false),
        ] {
            for in_flight in [false, true] {
                let mut bench = Bench::with(&[]);
                bench.line.push("test", b"a".to_vec(), lasts, NOW);
                let id = in_flight.then(|| bench.sent(NOW).unwrap().0);
                let later = NOW + Duration::from_secs(age);
                bench.line.push("test", b"b".to_vec(), Lasts::Longer, later);
                bench.line.new_session(later);
                if let Some(id) = id {
                    let settled = bench.line.settle(id, &RpciOutcome::Failed, later);
                    assert_eq!(settled, sent, "{lasts:?}");
                    bench.line.backoff.release();
                }
                let expected: &[u8] = if sent { b"a" } else { b"b" };
                assert_eq!(bench.sent(later).unwrap().1, expected, "{lasts:?} {age}");
            }
        }
    }

    #[test]
    fn a_host_that_is_away_for_ever_fills_no_memory() {
        let logged = crate::log::logged::Logged::new();
        let mut bench = Bench::with(&[&b"a"[..]; MAX_WAITING + 1]);
        assert_eq!(bench.line.waiting.len(), MAX_WAITING);
        assert_eq!(logged.take().len(), 1);
        assert!(bench.sent(NOW).is_some());
    }
}
