//! One message the host should hold, and the copy it last acknowledged.
//!
//! Whenever the two differ, and nothing is in flight, the wanted one is sent; so of many changes the host sees the
//! last, and nothing twice. A lost message is repeated with a growing delay, a refused one at the pace of
//! open-vm-tools' gather loop, since the host may have been busy.

use std::time::Duration;

use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::vmware::services::outbox::Outbox;
use crate::vmware::services::{RpciId, RpciOutcome};
use crate::vmware::wire::message::MAX_MESSAGE;

use crate::vmware::services::topic::{Acceptance, Spec};

/// First delay after a lost message; doubled with each further loss.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest delay after a lost message.
const MAX_DELAY: Duration = Duration::from_secs(4);
/// Delay after a refused message (guestinfo.poll-interval).
const REFUSED_DELAY: Duration = Duration::from_secs(30);

/// What an RPCI outcome meant to a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
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
    spec: Spec,
    wanted: Option<Vec<u8>>,
    /// What the host acknowledged last; `None` when nothing, or not known.
    acknowledged: Option<Vec<u8>>,
    in_flight: Option<(RpciId, Vec<u8>)>,
    /// After messages that were lost or refused.
    backoff: Backoff,
    /// The host has refused it, and something stands in for it until the host forgets.
    resting: bool,
    /// The latest message was too long for the host; nothing goes until one is not.
    oversize: bool,
    /// The host has refused it, and has acknowledged nothing since.
    refused: bool,
    /// It was asked for while a session opens, and goes although others are held.
    renewed: bool,
}

impl Publication {
    /// Nothing wanted, nothing known.
    pub(super) const fn new(spec: Spec) -> Self {
        Self {
            spec,
            wanted: None,
            acknowledged: None,
            in_flight: None,
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
            resting: false,
            oversize: false,
            refused: false,
            renewed: false,
        }
    }

    /// The host should hold `message`. One longer than [`MAX_MESSAGE`] rests, and what stands in for it goes;
    /// true when that begins.
    pub(super) fn want(&mut self, message: Vec<u8>) -> bool {
        let bytes = message.len();
        if bytes > MAX_MESSAGE {
            // No channel carries it, however often it is tried.
            let begins = !std::mem::replace(&mut self.oversize, true);
            if begins {
                let Spec {
                    command, fallback, ..
                } = self.spec;
                warn!(
                    command,
                    bytes,
                    max = MAX_MESSAGE,
                    fallback,
                    "too long for the host, not sent"
                );
            }
            return begins;
        }
        if std::mem::take(&mut self.oversize) {
            // What stood in for it is what the host holds now.
            self.acknowledged = None;
        }
        if self.wanted.as_ref() == Some(&message) {
            return false;
        }
        // A new message deserves a new hearing; a broken channel is no better for it.
        if !self.backoff.has_failed() {
            self.backoff.release();
        }
        self.wanted = Some(message);
        false
    }

    /// The host has forgotten everything: what is wanted is to be sent again at once. The outcome of what is in
    /// flight no longer matters.
    pub(super) fn forget(&mut self) {
        self.acknowledged = None;
        self.in_flight = None;
        self.resting = false;
        self.backoff.reset();
    }

    /// It is to be sent at once, whatever the host holds and although others are held.
    pub(super) fn renew(&mut self) {
        self.forget();
        self.renewed = true;
    }

    /// From now on it goes only when it is renewed, as long as others are held.
    pub(super) fn hold(&mut self) {
        self.renewed = false;
    }

    /// Whether it was renewed since a session has begun to open.
    pub(super) fn is_renewed(&self) -> bool {
        self.renewed
    }

    /// Nothing is wanted any more.
    pub(super) fn retire(&mut self) {
        self.forget();
        self.wanted = None;
    }

    /// Something else stands in for it until the host forgets.
    pub(super) fn rest(&mut self) {
        self.resting = true;
    }

    /// Whether something else stands in for it.
    pub(super) fn is_resting(&self) -> bool {
        self.resting || self.oversize
    }

    /// Whether there is a message that the host should hold.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether the host has acknowledged a message.
    pub(super) fn is_held(&self) -> bool {
        self.acknowledged.is_some()
    }

    /// Whether [`Publication::send`] would send.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.is_outstanding() && self.backoff.deadline().is_none_or(|until| until <= now)
    }

    /// Sends what is wanted if it is due.
    pub(super) fn send(&mut self, outbox: &mut Outbox, now: Duration) {
        if !self.is_due(now) {
            return;
        }
        if let Some(message) = self.wanted.clone() {
            self.backoff.release();
            self.in_flight = Some((outbox.rpci(message.clone()), message));
        }
    }

    /// Whether an outcome is awaited.
    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether the outcome of this message is awaited.
    pub(super) fn is_sent_as(&self, id: RpciId) -> bool {
        matches!(self.in_flight, Some((sent, _)) if sent == id)
    }

    /// When [`Publication::send`] has something to do, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.backoff.deadline().filter(|_| self.is_outstanding())
    }

    fn is_outstanding(&self) -> bool {
        !self.is_resting()
            && self.in_flight.is_none()
            && self.wanted.is_some()
            && self.wanted != self.acknowledged
    }

    /// Takes note of the outcome of the message in flight.
    pub(super) fn settle(&mut self, outcome: &RpciOutcome, now: Duration) -> Settled {
        let sent = self.in_flight.take().map(|(_, message)| message);
        let command = self.spec.command;
        match outcome {
            RpciOutcome::Accepted(text) if self.is_success(text) => {
                debug!(command, "the host has it");
                self.acknowledged = sent;
                self.backoff.reset();
                self.refused = false;
                return Settled::Stored;
            }
            RpciOutcome::Accepted(_) | RpciOutcome::Refused(_) => {}
            RpciOutcome::TooLong | RpciOutcome::Failed => {
                // It may have arrived all the same.
                self.acknowledged = None;
                self.backoff.hold(now);
                debug!(command, "message lost");
                return Settled::Lost;
            }
        }
        self.backoff.reset();
        if self.wanted == sent {
            self.backoff.hold_for(REFUSED_DELAY, now);
        }
        self.refused = true;
        Settled::Refused
    }

    /// Whether the host has refused it and has acknowledged nothing since.
    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    fn is_success(&self, text: &[u8]) -> bool {
        match self.spec.acceptance {
            Acceptance::Status => true,
            Acceptance::EmptyText => text.iter().all(|&byte| byte == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::services::Output;
    use crate::vmware::services::topic::Topic;

    const SECOND: Duration = Duration::from_secs(1);

    struct Bench {
        publication: Publication,
        outbox: Outbox,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                publication: Publication::new(Topic::HostName.spec()),
                outbox: Outbox::default(),
                now: SECOND,
            }
        }

        fn want(&mut self, message: &[u8]) {
            self.publication.want(message.to_vec());
        }

        /// What is sent at this moment.
        fn sent(&mut self) -> Option<Vec<u8>> {
            self.publication.send(&mut self.outbox, self.now);
            match self.outbox.pop() {
                Some(Output::Rpci { message, .. }) => Some(message),
                _ => None,
            }
        }

        fn settle(&mut self, outcome: &RpciOutcome) -> Settled {
            self.publication.settle(outcome, self.now)
        }

        fn accept(&mut self) -> Settled {
            self.settle(&RpciOutcome::Accepted(Vec::new()))
        }
    }

    #[test]
    fn what_no_channel_carries_is_not_tried_until_it_is_shorter() {
        let mut bench = Bench::new();
        bench.want(b"short");
        assert_eq!(bench.sent().unwrap(), b"short");
        bench.accept();
        bench.want(&vec![b'x'; MAX_MESSAGE + 1]);
        assert!(bench.publication.is_resting(), "what stands in for it goes");
        assert_eq!(bench.sent(), None);
        bench.publication.forget();
        assert_eq!(bench.sent(), None, "nor what was true before");
        bench.want(b"short");
        assert_eq!(bench.sent().unwrap(), b"short");
        bench.accept();
        let longest = vec![b'x'; MAX_MESSAGE];
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
        assert!(!bench.publication.is_sent_as(old));
        bench.accept();
        assert_eq!(bench.sent(), None);
    }
}
