//! The messages that the host should hold: a service says what it wants, everything else happens here.
//!
//! ```text
//! service ──want──► Publications ──send──► RPCI ──settle──► stored, lost (again soon), refused (stand-in, or later)
//! ```
//!
//! What each publication is called, and what stands in for it, is in the table of [`Topic`]; how one is kept on
//! the host, in [`Publication`].

mod publication;

use std::collections::BTreeMap;
use std::time::Duration;

use super::outbox::Outbox;
use super::topic::Topic;
use super::{RpciId, RpciOutcome};

use publication::{Publication, Settled};

/// All of them; see the module.
#[derive(Debug, Default)]
pub(super) struct Publications {
    wanted: BTreeMap<Topic, Publication>,
    /// Only what registers this agent is sent.
    held_back: bool,
}

impl Publications {
    /// The host should hold `message`; the older forms that can stand in for it are wanted beside it. `None` means
    /// not known: what was wanted before stays wanted.
    pub(super) fn want(&mut self, topic: Topic, message: Option<Vec<u8>>) {
        if let Some(message) = message {
            self.entry(topic).want(message);
        }
    }

    /// The host should be sent `message` at once, even if it holds the same.
    pub(super) fn renew(&mut self, topic: Topic, message: Vec<u8>) {
        let publication = self.entry(topic);
        publication.forget();
        publication.want(message);
    }

    /// The host has forgotten these: what is wanted is sent again at once, in the newest form. Outcomes of what is in
    /// flight no longer matter.
    pub(super) fn forget(&mut self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            if let Some(publication) = self.wanted.get_mut(&topic) {
                publication.forget();
            }
        }
    }

    /// These are no longer wanted.
    pub(super) fn retire(&mut self, topics: impl IntoIterator<Item = Topic>) {
        for topic in topics {
            if let Some(publication) = self.wanted.get_mut(&topic) {
                publication.retire();
            }
        }
    }

    /// Whether all but what registers this agent waits.
    pub(super) fn hold_back(&mut self, held_back: bool) {
        self.held_back = held_back;
    }

    /// Whether it does.
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// Whether an outcome is awaited.
    pub(super) fn is_in_flight(&self, topic: Topic) -> bool {
        let publication = self.wanted.get(&topic);
        publication.is_some_and(Publication::is_in_flight)
    }

    /// Whether the outcome of this message is awaited.
    pub(super) fn is_sent_as(&self, id: RpciId) -> bool {
        self.wanted
            .values()
            .any(|publication| publication.is_sent_as(id))
    }

    /// Whether [`Publications::send`] would send it.
    pub(super) fn is_due(&self, topic: Topic, now: Duration) -> bool {
        let publication = self.wanted.get(&topic);
        publication.is_some_and(|publication| publication.is_due(now)) && self.is_active(topic)
    }

    /// Sends what is due, in the order of the table.
    pub(super) fn send(&mut self, outbox: &mut Outbox, now: Duration) {
        let due = |topic: &Topic| self.is_due(*topic, now);
        let due: Vec<Topic> = self.wanted.keys().copied().filter(due).collect();
        for topic in due {
            self.entry(topic).send(outbox, now);
        }
    }

    /// Takes note of an outcome; false when it is that of another's message.
    pub(super) fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, now: Duration) -> bool {
        let Some((&topic, publication)) = self
            .wanted
            .iter_mut()
            .find(|(_, publication)| publication.is_sent_as(id))
        else {
            return false;
        };
        let settled = publication.settle(outcome, now);
        if settled == Settled::Refused {
            if self.has_stand_in(topic) {
                self.entry(topic).rest();
            }
            // A host that takes no variables refuses them all; one line says so.
            let command = topic.spec().command;
            for (other, publication) in &mut self.wanted {
                if other.spec().command == command {
                    publication.refusal_is_logged();
                }
            }
        }
        if settled != Settled::Stored && !topic.spec().repeated {
            self.entry(topic).retire();
        }
        true
    }

    /// When [`Publications::send`] has something to do, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.wanted
            .iter()
            .filter(|(topic, _)| self.is_active(**topic))
            .filter_map(|(_, publication)| publication.deadline())
            .min()
    }

    fn entry(&mut self, topic: Topic) -> &mut Publication {
        self.wanted
            .entry(topic)
            .or_insert_with(|| Publication::new(topic.spec()))
    }

    /// Whether it is its turn: not while it is held back; a stand-in's comes when the host has refused the newer form.
    fn is_active(&self, topic: Topic) -> bool {
        if self.held_back && !topic.registers() {
            return false;
        }
        topic.spec().stands_in_for.is_none_or(|newer| {
            let newer = self.wanted.get(&newer);
            newer.is_some_and(Publication::is_resting)
        })
    }

    fn has_stand_in(&self, topic: Topic) -> bool {
        self.wanted.iter().any(|(other, publication)| {
            other.spec().stands_in_for == Some(topic) && publication.is_wanted()
        })
    }
}

#[cfg(test)]
mod tests;
