//! What the services want done, in order, and the reply that is owed.

use std::collections::VecDeque;
use std::time::Duration;

use tracing::error;

use crate::front_end::Order;
use crate::guest_operations::logins::PasswordCheck;
use crate::vmware::wire::message::MAX_REPLY;
use crate::vmware::wire::text;

use super::topic::Topic;
use super::{Lane, Output, RpciId};

/// Names a request, so that a late answer cannot reach the request after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo(u64);

/// A reply that waits for outcomes, so that the host knows all when it goes on.
#[derive(Debug)]
pub(super) struct Later {
    /// None of these may be in flight.
    pub(super) after: &'static [Topic],
    /// The reply when the outcomes are there, whatever they are.
    pub(super) reply: Vec<u8>,
    /// No longer than until then: a host must not wait for ever.
    pub(super) until: Duration,
    /// The reply when they have not come by then.
    pub(super) otherwise: Vec<u8>,
}

/// A reply that goes when its time has come, if no other went before.
#[derive(Debug)]
struct Waiting {
    until: Duration,
    otherwise: Vec<u8>,
    /// What the earlier reply waits for, and that reply; none where [`Outbox::reply`] brings it.
    settled: Option<(&'static [Topic], Vec<u8>)>,
}

/// The queue behind [`super::Services::poll_output`].
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outputs: VecDeque<Output>,
    last_id: u64,
    last_request: u64,
    owed: Option<ReplyTo>,
    waiting: Option<Waiting>,
}

impl Outbox {
    /// A request has come in and wants one reply. An older one that has none yet came over a channel that is
    /// gone: the host asks nothing new while it waits.
    pub(super) fn owe_reply(&mut self) -> ReplyTo {
        self.last_request += 1;
        let request = ReplyTo(self.last_request);
        self.waiting = None;
        self.owed = Some(request);
        request
    }

    /// Nobody waits for a reply any more.
    pub(super) fn forget_reply(&mut self) {
        self.owed = None;
        self.waiting = None;
    }

    /// Answers a request, unless it has its answer or nobody waits for it. A reply that no channel carries would
    /// break the one it came over: an error goes in its place.
    pub(super) fn reply(&mut self, request: ReplyTo, bytes: Vec<u8>) {
        if self.owed.take_if(|owed| *owed == request).is_none() {
            return;
        }
        self.waiting = None;
        let bytes = if bytes.len() > MAX_REPLY {
            error!(
                bytes = bytes.len(),
                max = MAX_REPLY,
                "a reply is too long for the host, it gets an error"
            );
            text::error("Reply too long")
        } else {
            bytes
        };
        self.outputs.push_back(Output::Reply(bytes));
    }

    /// Whether this request waits for its reply.
    pub(super) fn owes(&self, request: ReplyTo) -> bool {
        self.owed == Some(request)
    }

    /// Answers a request later, unless nobody waits for it.
    pub(super) fn reply_when(&mut self, request: ReplyTo, later: Later) {
        let Later {
            after,
            reply,
            until,
            otherwise,
        } = later;
        self.wait(
            request,
            Waiting {
                until,
                otherwise,
                settled: Some((after, reply)),
            },
        );
    }

    /// Answers a request with this when the time has come, unless [`Self::reply`] has done so before.
    pub(super) fn reply_by(&mut self, request: ReplyTo, until: Duration, otherwise: Vec<u8>) {
        self.wait(
            request,
            Waiting {
                until,
                otherwise,
                settled: None,
            },
        );
    }

    fn wait(&mut self, request: ReplyTo, waiting: Waiting) {
        if self.owes(request) {
            self.waiting = Some(waiting);
        }
    }

    /// Gives the reply that has waited, if it is time.
    pub(super) fn reply_if_settled(&mut self, is_in_flight: impl Fn(Topic) -> bool, now: Duration) {
        let is_settled = |after: &[Topic]| !after.iter().any(|topic| is_in_flight(*topic));
        let Some(waiting) = &mut self.waiting else {
            return;
        };
        let settled = waiting.settled.take_if(|(after, _)| is_settled(after));
        if let Some((_, reply)) = settled {
            self.answer(reply);
        } else if waiting.until <= now {
            let otherwise = std::mem::take(&mut waiting.otherwise);
            self.answer(otherwise);
        }
    }

    fn answer(&mut self, bytes: Vec<u8>) {
        if let Some(request) = self.owed {
            self.reply(request, bytes);
        }
    }

    /// When [`Outbox::reply_if_settled`] has something to do, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }

    /// Sends an RPCI message behind all earlier ones.
    pub(super) fn rpci(&mut self, message: Vec<u8>) -> RpciId {
        self.send(Lane::Normal, message)
    }

    /// Sends an RPCI message ahead of those that are not urgent.
    pub(super) fn urgent_rpci(&mut self, message: Vec<u8>) -> RpciId {
        self.send(Lane::Urgent, message)
    }

    /// Sends an RPCI message with those that are urgent, which the host must not get twice.
    pub(super) fn rpci_once(&mut self, message: Vec<u8>) -> RpciId {
        self.send(Lane::Once, message)
    }

    fn send(&mut self, lane: Lane, message: Vec<u8>) -> RpciId {
        self.last_id += 1;
        let id = RpciId(self.last_id);
        self.outputs.push_back(Output::Rpci { id, lane, message });
        id
    }

    /// Has the daemon do this.
    pub(super) fn order(&mut self, order: Order<PasswordCheck>) {
        self.outputs.push_back(Output::Order(order));
    }

    /// The next thing to do.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::services::publications::Publications;

    const NOW: Duration = Duration::from_secs(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn replies(outbox: &mut Outbox) -> Vec<Vec<u8>> {
        let outputs = std::iter::from_fn(|| outbox.pop());
        let replies = outputs.filter_map(|output| match output {
            Output::Reply(bytes) => Some(bytes),
            _ => None,
        });
        replies.collect()
    }

    #[test]
    fn a_reply_that_no_channel_carries_becomes_an_error() {
        let logged = crate::log::logged::Logged::new();
        let mut outbox = Outbox::default();
        let request = outbox.owe_reply();
        let longest = vec![b'x'; MAX_REPLY];
        outbox.reply(request, longest.clone());
        assert_eq!(replies(&mut outbox), [longest]);
        assert!(logged.take().is_empty());
        let request = outbox.owe_reply();
        outbox.reply(request, vec![b'x'; MAX_REPLY + 1]);
        assert_eq!(replies(&mut outbox), [b"ERROR Reply too long"]);
        assert_eq!(logged.take().len(), 1);
    }

    /// A request whose reply waits for the host name, which is in flight.
    fn waiting() -> (Outbox, Publications, ReplyTo, RpciId) {
        let mut outbox = Outbox::default();
        let mut publications = Publications::default();
        let request = outbox.owe_reply();
        publications.want(Topic::HostName, Some(b"a".to_vec()));
        publications.send(&mut outbox, NOW);
        let Some(Output::Rpci { id, .. }) = outbox.pop() else {
            panic!("nothing sent")
        };
        let later = Later {
            after: &[Topic::HostName, Topic::Nics],
            reply: b"there".to_vec(),
            until: NOW + SECOND,
            otherwise: b"late".to_vec(),
        };
        outbox.reply_when(request, later);
        outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW);
        assert!(outbox.pop().is_none());
        assert_eq!(outbox.deadline(), Some(NOW + SECOND));
        (outbox, publications, request, id)
    }

    #[test]
    fn a_reply_waits_for_outcomes_whatever_they_are() {
        use crate::vmware::services::RpciOutcome;
        for outcome in [RpciOutcome::Accepted(Vec::new()), RpciOutcome::Failed] {
            let (mut outbox, mut publications, _, id) = waiting();
            publications.settle(id, &outcome, NOW);
            outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW);
            assert_eq!(replies(&mut outbox), [b"there"]);
            outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW + SECOND);
            assert!(outbox.pop().is_none() && outbox.deadline().is_none());
        }
    }

    #[test]
    fn a_reply_waits_no_longer_than_it_may() {
        let (mut outbox, publications, _, _) = waiting();
        outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW + SECOND / 2);
        assert!(outbox.pop().is_none());
        outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW + SECOND);
        assert_eq!(replies(&mut outbox), [b"late"]);
    }

    #[test]
    fn a_reply_by_a_time_gives_way_to_an_earlier_one() {
        let mut outbox = Outbox::default();
        for reply in [None, Some(&b"there"[..])] {
            let request = outbox.owe_reply();
            outbox.reply_by(request, NOW + SECOND, b"late".to_vec());
            assert!(outbox.owes(request));
            outbox.reply_if_settled(|_| false, NOW);
            assert!(outbox.pop().is_none());
            assert_eq!(outbox.deadline(), Some(NOW + SECOND));
            if let Some(reply) = reply {
                outbox.reply(request, reply.to_vec());
            }
            outbox.reply_if_settled(|_| false, NOW + SECOND);
            assert_eq!(replies(&mut outbox), [reply.unwrap_or(b"late")]);
            assert!(!outbox.owes(request));
            assert_eq!(outbox.deadline(), None);
        }
    }

    #[test]
    fn a_reply_that_waits_is_void_with_its_request() {
        let (mut outbox, publications, old, _) = waiting();
        let new = outbox.owe_reply();
        assert_eq!(outbox.deadline(), None);
        let later = Later {
            after: &[],
            reply: b"old".to_vec(),
            until: NOW,
            otherwise: Vec::new(),
        };
        outbox.reply_when(old, later);
        outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW + SECOND);
        assert!(outbox.pop().is_none());
        outbox.reply(new, b"new".to_vec());
        assert_eq!(replies(&mut outbox), [b"new"]);
        let (mut outbox, publications, _, _) = waiting();
        outbox.forget_reply();
        outbox.reply_if_settled(|topic| publications.is_in_flight(topic), NOW + SECOND);
        assert!(outbox.pop().is_none() && outbox.deadline().is_none());
    }
}
