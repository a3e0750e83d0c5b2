//! One thing the host shall know, and what it is known to know of it.
//!
//! A publication remembers the message that is wanted on the host and the one that the host acknowledged last.
//! Whenever they differ, and nothing is in flight, the wanted one is sent; so of many changes the host sees the
//! last, and nothing twice. A lost message is repeated with a growing delay, a refused one at the pace of
//! open-vm-tools' gather loop, since the host may have been busy.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::vmware::wire::message::MAX_TO_HOST;
use crate::vmware::wire::text::printable;

use super::outbox::Outbox;
use super::{RpciId, RpciOutcome};

/// First delay after a lost message; doubled with each further loss.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay after a lost message.
const MAX_DELAY: Duration = Duration::from_secs(4);
/// Delay after a refused message (guestinfo.poll-interval).
const REFUSED_DELAY: Duration = Duration::from_secs(30);

/// Which answers mean that the host has stored the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// `1 ` with whatever text.
    Status,
    /// `1 ` without text: key and value messages, where a text means "not updated" [guestInfoServer.c].
    EmptyText,
}

/// What an RPCI outcome meant to a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// It was another's.
    NotOurs,
    /// The host has the message.
    Stored,
    /// The host does not want it.
    Refused,
    /// It got lost.
    Lost,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Publication {
    /// The command, for the log.
    command: &'static str,
    /// What happens instead when the host refuses, for the log.
    fallback: &'static str,
    acceptance: Acceptance,
    wanted: Option<Vec<u8>>,
    /// What the host acknowledged last; `None` when nothing, or not known.
    acknowledged: Option<Vec<u8>>,
    in_flight: Option<(RpciId, Vec<u8>)>,
    /// After messages that were lost or refused.
    backoff: Backoff,
    /// The latest message was too long for the host.
    oversize: bool,
    /// Commands whose refusal has been logged and that have not been acknowledged since.
    refused: BTreeSet<&'static str>,
}

impl Publication {
    /// Nothing wanted, nothing known.
    pub(super) fn new(
        command: &'static str,
        fallback: &'static str,
        acceptance: Acceptance,
    ) -> Self {
        Self {
            command,
            fallback,
            acceptance,
            wanted: None,
            acknowledged: None,
            in_flight: None,
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
            oversize: false,
            refused: BTreeSet::new(),
        }
    }

    /// What is wanted from here on goes under another command, with another fallback.
    pub(super) fn rename(&mut self, command: &'static str, fallback: &'static str) {
        self.command = command;
        self.fallback = fallback;
    }

    /// The host shall have `message`. `None` means not known: what was wanted before stays wanted, as it does
    /// when the message is longer than the host takes (64 KiB).
    pub(super) fn want(&mut self, message: Option<Vec<u8>>) {
        if message.is_none() || message == self.wanted {
            return;
        }
        let bytes = message.as_ref().map_or(0, Vec::len);
        if bytes > MAX_TO_HOST {
            // No channel carries it, however often it is tried.
            if !std::mem::replace(&mut self.oversize, true) {
                let command = self.command;
                warn!(
                    command,
                    bytes,
                    max = MAX_TO_HOST,
                    "too long for the host, not sent"
                );
            }
            return;
        }
        self.oversize = false;
        // A new message deserves a new hearing; a broken channel is no better for it.
        if !self.backoff.has_failed() {
            self.backoff.release();
        }
        self.wanted = message;
    }

    /// The host has forgotten everything: what is wanted is to be sent again at once. The outcome of what is in
    /// flight no longer matters.
    pub(super) fn forget(&mut self) {
        self.acknowledged = None;
        self.in_flight = None;
        self.backoff.reset();
    }

    /// Nothing is wanted any more.
    pub(super) fn retire(&mut self) {
        self.forget();
        self.wanted = None;
    }

    /// Whether [`Publication::publish`] would send.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.in_flight.is_none()
            && self.wanted.is_some()
            && self.wanted != self.acknowledged
            && self.backoff.deadline().is_none_or(|until| until <= now)
    }

    /// Sends what is wanted if it is due; the id of what was sent.
    pub(super) fn publish(&mut self, outbox: &mut Outbox, now: Duration) -> Option<RpciId> {
        if !self.is_due(now) {
            return None;
        }
        let message = self.wanted.clone()?;
        self.backoff.release();
        let id = outbox.rpci(message.clone());
        self.in_flight = Some((id, message));
        Some(id)
    }

    /// Whether an outcome is awaited.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When [`Publication::publish`] has something to do, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.backoff
            .deadline()
            .filter(|_| self.in_flight.is_none() && self.wanted != self.acknowledged)
    }

    /// Takes note of an outcome.
    pub(super) fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, now: Duration) -> Settled {
        let Some((_, message)) = self.in_flight.take_if(|(sent, _)| *sent == id) else {
            return Settled::NotOurs;
        };
        let refusal = match outcome {
            RpciOutcome::Accepted(text) if self.is_success(text) => {
                debug!(command = self.command, "the host has it");
                self.acknowledged = Some(message);
                self.backoff.reset();
                self.refused.remove(self.command);
                return Settled::Stored;
            }
            RpciOutcome::Accepted(text) | RpciOutcome::Refused(text) => text,
            RpciOutcome::Failed => {
                // It may have arrived all the same.
                self.acknowledged = None;
                self.backoff.hold(now);
                debug!(command = self.command, "message lost, it will be repeated");
                return Settled::Lost;
            }
        };
        self.backoff.reset();
        if self.wanted.as_ref() == Some(&message) {
            self.backoff.hold_for(REFUSED_DELAY, now);
        }
        if self.refused.insert(self.command) {
            warn!(
                command = self.command,
                reply = printable(refusal),
                fallback = self.fallback,
                "the host refused a message"
            );
        } else {
            debug!(command = self.command, "refused again");
        }
        Settled::Refused
    }

    /// Another publication's refusal under the same command has been logged, which is enough.
    pub(super) fn refusal_is_told(&mut self) {
        self.refused.insert(self.command);
    }

    fn is_success(&self, text: &[u8]) -> bool {
        match self.acceptance {
            Acceptance::Status => true,
            Acceptance::EmptyText => text.iter().all(|&byte| byte == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::services::Output;

    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        publication: Publication,
        outbox: Outbox,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                publication: Publication::new("test", "none", Acceptance::EmptyText),
                outbox: Outbox::default(),
                now: SECOND,
            }
        }

        fn want(&mut self, message: &[u8]) {
            self.publication.want(Some(message.to_vec()));
        }

        /// What is sent at this moment.
        fn sent(&mut self) -> Option<Vec<u8>> {
            self.publication.publish(&mut self.outbox, self.now);
            match self.outbox.pop() {
                Some(Output::Rpci { message, .. }) => Some(message),
                _ => None,
            }
        }

        fn settle(&mut self, outcome: &RpciOutcome) -> Settled {
            let id = self.publication.in_flight.as_ref().unwrap().0;
            self.publication.settle(id, outcome, self.now)
        }

        fn accept(&mut self) -> Settled {
            self.settle(&RpciOutcome::Accepted(Vec::new()))
        }
    }

    #[test]
    fn what_no_channel_carries_is_not_tried_and_what_was_wanted_stays() {
        let mut bench = Bench::new();
        bench.want(b"short");
        assert_eq!(bench.sent().unwrap(), b"short");
        bench.accept();
        bench.want(&vec![b'x'; MAX_TO_HOST + 1]);
        assert_eq!(bench.sent(), None);
        bench.publication.forget();
        assert_eq!(bench.sent().unwrap(), b"short");
        bench.accept();
        let longest = vec![b'x'; MAX_TO_HOST];
        bench.want(&longest);
        assert_eq!(bench.sent().unwrap(), longest);
    }

    #[test]
    fn what_the_host_has_is_not_sent_again() {
        let mut bench = Bench::new();
        assert_eq!(bench.sent(), None);
        bench.want(b"a");
        assert_eq!(bench.sent(), Some(b"a".to_vec()));
        assert_eq!(bench.sent(), None, "one at a time");
        assert_eq!(bench.accept(), Settled::Stored);
        bench.want(b"a");
        bench.publication.want(None);
        assert_eq!(bench.sent(), None);
        assert_eq!(bench.publication.deadline(), None);
        bench.publication.forget();
        assert_eq!(bench.sent(), Some(b"a".to_vec()));
    }

    #[test]
    fn of_many_changes_the_last_is_sent() {
        let mut bench = Bench::new();
        bench.want(b"a");
        assert_eq!(bench.sent(), Some(b"a".to_vec()));
        bench.want(b"b");
        bench.want(b"c");
        assert_eq!(bench.sent(), None);
        bench.accept();
        assert_eq!(bench.sent(), Some(b"c".to_vec()));
        bench.accept();
        assert_eq!(bench.sent(), None);
    }

    #[test]
    fn a_lost_message_is_repeated_ever_more_slowly() {
        let mut bench = Bench::new();
        bench.want(b"a");
        for delay in [250, 500, 1000, 2000, 4000, 4000] {
            assert!(bench.sent().is_some());
            assert_eq!(bench.settle(&RpciOutcome::Failed), Settled::Lost);
            let due = bench.now + Duration::from_millis(delay);
            assert_eq!(bench.publication.deadline(), Some(due));
            bench.want(b"b");
            bench.want(b"a");
            bench.now = due - Duration::from_millis(1);
            assert_eq!(bench.sent(), None);
            bench.now = due;
        }
        assert!(bench.sent().is_some());
        bench.accept();
        bench.want(b"b");
        assert!(bench.sent().is_some());
    }

    #[test]
    fn a_lost_message_may_have_arrived() {
        let mut bench = Bench::new();
        bench.want(b"a");
        bench.sent();
        bench.accept();
        bench.want(b"b");
        bench.sent();
        bench.settle(&RpciOutcome::Failed);
        bench.want(b"a");
        bench.now += SECOND;
        assert_eq!(bench.sent(), Some(b"a".to_vec()), "the host may have b");
    }

    #[test]
    fn a_refused_message_waits_unless_it_changes() {
        let mut bench = Bench::new();
        bench.want(b"a");
        bench.sent();
        assert_eq!(
            bench.settle(&RpciOutcome::Refused(b"no".to_vec())),
            Settled::Refused
        );
        assert_eq!(bench.sent(), None);
        assert_eq!(bench.publication.deadline(), Some(bench.now + 30 * SECOND));
        bench.want(b"b");
        assert_eq!(bench.sent(), Some(b"b".to_vec()));
        assert_eq!(
            bench.settle(&RpciOutcome::Accepted(b"not updated".to_vec())),
            Settled::Refused
        );
        bench.now += 30 * SECOND;
        assert_eq!(bench.sent(), Some(b"b".to_vec()));
    }

    #[test]
    fn after_forgetting_an_old_outcome_means_nothing() {
        let mut bench = Bench::new();
        bench.want(b"a");
        bench.sent();
        let old = bench.publication.in_flight.as_ref().unwrap().0;
        bench.publication.forget();
        assert_eq!(bench.sent(), Some(b"a".to_vec()));
        assert_eq!(
            bench
                .publication
                .settle(old, &RpciOutcome::Failed, bench.now),
            Settled::NotOurs
        );
        bench.accept();
        assert_eq!(bench.sent(), None);
    }
}
