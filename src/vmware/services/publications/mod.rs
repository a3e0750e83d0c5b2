//! The messages that the host should hold: a service says what it wants, everything else happens here.
//!
//! ```text
//! service ──want──► Publications ──send──► RPCI ──settle──► stored, lost (again soon), refused (stand-in, or later)
//! ```
//!
//! While a session opens, most of them are held: a reset follows, and everything would go twice.
//!
//! What each publication is called, and what stands in for it, is in the table of [`Topic`]; how one is kept on
//! the host, in [`Publication`].

mod publication;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tracing::{debug, warn};

use super::outbox::Outbox;
use super::topic::{Spec, Topic};
use super::{RpciId, RpciOutcome};
use crate::vmware::wire::text::printable;

use publication::{Publication, Settled};

/// Only what was renewed since is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    /// Until then.
    pub(super) until: Duration,
    /// A reset of the host does not end it.
    pub(super) through_resets: bool,
}

/// All of them; see the module.
#[derive(Debug, Default)]
pub(super) struct Publications {
    wanted: BTreeMap<Topic, Publication>,
    held: Option<Hold>,
    /// Those that rest while file systems are frozen do so.
    quiet: bool,
    /// The kinds of messages of which a refusal is logged.
    refusals: BTreeSet<&'static str>,
    /// The last refusal of each kind: command and reply.
    replies: BTreeMap<&'static str, (&'static str, Vec<u8>)>,
}

impl Publications {
    /// The host should hold `message`; the older forms that can stand in for it are wanted beside it. `None` means
    /// not known: what was wanted before stays wanted.
    pub(super) fn want(&mut self, topic: Topic, message: Option<Vec<u8>>) {
        let Some(message) = message else {
            return;
        };
        if self.entry(topic).want(message) {
            // What the host holds by now is the newer form.
            for (other, publication) in &mut self.wanted {
                if other.spec().stands_in_for == Some(topic) {
                    publication.forget();
                }
            }
        }
    }

    /// A session opens: for this time only what is renewed from now on is sent.
    pub(super) fn hold(&mut self, hold: Hold) {
        self.held = Some(hold);
        for publication in self.wanted.values_mut() {
            publication.hold();
        }
    }

    /// Everything may be sent, if the time has come; whether it has come just now.
    pub(super) fn release_if_due(&mut self, now: Duration) -> bool {
        self.held.take_if(|hold| hold.until <= now).is_some()
    }

    /// The host has reset its tools: everything may be sent, unless that has to wait longer.
    pub(super) fn release_at_reset(&mut self) {
        self.held.take_if(|hold| !hold.through_resets);
    }

    /// Until when most is held.
    pub(super) fn held_until(&self) -> Option<Duration> {
        self.held.map(|hold| hold.until)
    }

    /// Whether those rest that do while file systems are frozen.
    pub(super) const fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// The host should be sent `message` at once, even if it holds the same and others are held.
    pub(super) fn renew(&mut self, topic: Topic, message: Vec<u8>) {
        let publication = self.entry(topic);
        publication.renew();
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

    /// The command of this kind that the host refuses for now, and what it answers. What goes once, like statistics,
    /// counts as little as what has another form.
    pub(super) fn refusal(&self, kind: &str) -> Option<(&'static str, &[u8])> {
        let mut all = self.wanted.iter();
        all.find(|(topic, publication)| {
            let spec = topic.spec();
            let counts = spec.kind == kind && spec.repeated && publication.is_wanted();
            counts && publication.is_refused() && self.is_active(**topic)
        })?;
        let (command, reply) = self.replies.get(kind)?;
        Some((command, reply))
    }

    /// Whether the host holds a message of this kind.
    pub(super) fn holds_some(&self, kind: &str) -> bool {
        let mut all = self.wanted.iter();
        all.any(|(topic, publication)| topic.spec().kind == kind && publication.is_held())
    }

    /// Whether the host should hold some message of this kind.
    pub(super) fn is_wanted(&self, topic: Topic) -> bool {
        self.wanted.get(&topic).is_some_and(Publication::is_wanted)
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
        publication.is_some_and(|publication| publication.is_due(now))
            && self.is_active(topic)
            && !self.rests(topic)
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
            self.log_refusal(topic, outcome);
        } else if settled == Settled::Stored {
            self.forget_refusal(topic.spec().kind);
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
            .filter(|(topic, _)| self.is_active(**topic) && !self.rests(**topic))
            .filter_map(|(_, publication)| publication.deadline())
            .min()
    }

    /// A host that takes no variables refuses them all, again and again: one line says so.
    fn log_refusal(&mut self, topic: Topic, outcome: &RpciOutcome) {
        let Spec {
            command,
            kind,
            fallback,
            remedy,
            ..
        } = topic.spec();
        let (RpciOutcome::Accepted(text) | RpciOutcome::Refused(text)) = outcome else {
            return;
        };
        let reply = printable(text);
        self.replies.insert(kind, (command, text.clone()));
        if self.refusals.insert(kind) {
            warn!(
                command,
                reply, fallback, remedy, "the host refused a message"
            );
        } else {
            debug!(command, reply, "refused as well");
        }
    }

    /// The next refusal of this kind is news again, unless the host still refuses another one.
    fn forget_refusal(&mut self, kind: &'static str) {
        let refused = |(topic, publication): (&Topic, &Publication)| {
            topic.spec().kind == kind && publication.is_refused()
        };
        if !self.wanted.iter().any(refused) {
            self.refusals.remove(kind);
        }
    }

    fn entry(&mut self, topic: Topic) -> &mut Publication {
        self.wanted
            .entry(topic)
            .or_insert_with(|| Publication::new(topic.spec()))
    }

    /// Whether it is its turn: not while it is held back; a stand-in's comes when the host has refused the newer form.
    fn is_active(&self, topic: Topic) -> bool {
        let is_held = |publication: &Publication| !publication.is_renewed();
        if self.held.is_some() && self.wanted.get(&topic).is_some_and(is_held) {
            return false;
        }
        topic.spec().stands_in_for.is_none_or(|newer| {
            let newer = self.wanted.get(&newer);
            newer.is_some_and(Publication::is_resting)
        })
    }

    /// Whether it waits for a thaw.
    const fn rests(&self, topic: Topic) -> bool {
        self.quiet && topic.rests_while_frozen()
    }

    fn has_stand_in(&self, topic: Topic) -> bool {
        self.wanted.iter().any(|(other, publication)| {
            other.spec().stands_in_for == Some(topic) && publication.is_wanted()
        })
    }
}

#[cfg(test)]
mod tests;
