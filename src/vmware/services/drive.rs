//! Sends what is due, the most urgent first, and finds when the next thing is.

use std::time::Duration;

use super::Services;
use super::coalescing::Changes;
use crate::freeze::Phase;

impl Services {
    /// See the module. Called after whatever has happened.
    pub(super) fn drive(&mut self, now: Duration) {
        if self.presence.is_away() {
            return;
        }
        self.show_quiesce(now);
        let quiet = self.members.vmbackup.is_quiet();
        self.publications.set_quiet(quiet);
        if quiet {
            self.drive_quietly(now);
            return;
        }
        if self.publications.release_if_due(now) {
            self.refresh_report();
            self.each(now, |service, cx| service.released(cx));
        }
        let opening = self.publications.held_until();
        if opening.is_none() {
            let due = |changes: &mut Changes| changes.deadline() <= now;
            if self.changes.take_if(due).is_some() {
                self.refresh_report();
                self.each(now, |service, cx| service.facts_changed(cx));
            }
            if self.deadline.is_some_and(|at| at <= now) {
                // What falls due is decided by what is true now, although its changes may not be quiet yet.
                self.refresh_report();
            }
            self.each(now, |service, cx| service.due(cx));
        }
        self.send(now);
        let mut deadline = [
            opening,
            self.changes
                .map(Changes::deadline)
                .filter(|_| opening.is_none()),
            self.events.deadline(),
            self.publications.deadline(),
        ]
        .into_iter()
        .flatten()
        .min();
        if opening.is_none() {
            self.each(now, |service, cx| {
                service.ask(cx);
                deadline = deadline.into_iter().chain(service.deadline()).min();
            });
        }
        self.settle(deadline, now);
    }

    /// Shows what is known of quiesced snapshots, but not that one begins or ends: that would go before what the host
    /// waits for.
    fn show_quiesce(&mut self, now: Duration) {
        let quiesce = self.members.vmbackup.quiesce();
        if matches!(quiesce.phase(), Phase::Beginning | Phase::Thawing) {
            return;
        }
        let shown = quiesce.shown();
        if self.quiesce != shown {
            self.quiesce = shown;
            self.with(now, |members, cx| members.variables.quiesce_changed(cx));
        }
    }

    /// While file systems may be frozen: what only looks at the node rests, and what it would find counts afterwards.
    fn drive_quietly(&mut self, now: Duration) {
        self.send(now);
        let deadlines = [self.events.deadline(), self.publications.deadline()];
        self.settle(deadlines.into_iter().flatten().min(), now);
    }

    /// Sends what is due: first what cannot wait, then what the host waits for.
    fn send(&mut self, now: Duration) {
        self.each(now, |service, cx| service.urgent(cx));
        self.events.send(&mut self.outbox, now);
        self.members.vmbackup.send(&mut self.outbox, now);
        self.publications.send(&mut self.outbox, now);
    }

    /// Gives the reply that waits, if it is time. `deadline` is when all else falls due.
    fn settle(&mut self, deadline: Option<Duration>, now: Duration) {
        let is_in_flight = |topic| self.publications.is_in_flight(topic);
        self.outbox.reply_if_settled(is_in_flight, now);
        let members = self.members.each().into_iter();
        let urgent = members.filter_map(|service| service.urgent_deadline());
        let deadlines = deadline.into_iter().chain(self.outbox.deadline());
        self.deadline = deadlines.chain(urgent).min();
    }
}
