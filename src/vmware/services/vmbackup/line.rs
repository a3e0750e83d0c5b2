//! The events of snapshots on their way to the host: in order, one at a time, each sent once.
//!
//! One that gets lost is not repeated: the host must not see a commit twice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::vmware::services::RpciId;
use crate::vmware::services::outbox::Outbox;
use crate::vmware::wire::backup_event::BackupEvent;

/// How long the host hears nothing at most while a run is under way (half of VMBACKUP_KEEP_ALIVE_PERIOD).
const SILENCE: Duration = Duration::from_millis(2500);

/// An event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// The run.
    pub(super) run: u32,
    /// What was said.
    pub(super) event: BackupEvent,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Sent>,
    in_flight: Option<(RpciId, Sent)>,
    /// When the last one was sent.
    last: Duration,
}

impl Line {
    /// Sends an event after all earlier ones.
    pub(super) fn push(&mut self, run: u32, event: BackupEvent) {
        self.waiting.push_back(Sent { run, event });
    }

    /// Whether nothing waits to be sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_none()
    }

    /// Sends the next event, unless one is on its way.
    pub(super) fn send(&mut self, outbox: &mut Outbox, now: Duration) {
        if self.in_flight.is_some() {
            return;
        }
        if let Some(sent) = self.waiting.pop_front() {
            self.in_flight = Some((outbox.rpci_once(sent.event.message()), sent));
            self.last = now;
        }
    }

    /// Whether the outcome of this message is awaited.
    pub(super) fn is_sent_as(&self, id: RpciId) -> bool {
        matches!(self.in_flight, Some((sent, _)) if sent == id)
    }

    /// What this outcome is of, if it is awaited.
    pub(super) fn settle(&mut self, id: RpciId) -> Option<Sent> {
        let (_, sent) = self.in_flight.take_if(|(sent, _)| *sent == id)?;
        Some(sent)
    }

    /// Whether this event was handed out.
    pub(super) fn has_sent(&self, event: &BackupEvent) -> bool {
        !self.waiting.iter().any(|waiting| waiting.event == *event)
    }

    /// Takes back these events. One that was handed out is not awaited any more, so it is dropped if it still waits for
    /// the channel.
    pub(super) fn take_back(&mut self, is_meant: impl Fn(&Sent) -> bool) {
        self.waiting.retain(|sent| !is_meant(sent));
        self.in_flight.take_if(|(_, sent)| is_meant(sent));
    }

    /// The host hears nothing of this any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.in_flight = None;
    }

    /// When the host must hear something, if nothing is on its way.
    pub(super) fn silent_until(&self) -> Option<Duration> {
        self.is_empty().then(|| self.last.saturating_add(SILENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::services::{Lane, Output};

    const NOW: Duration = Duration::from_secs(1);

    fn sent(line: &mut Line, outbox: &mut Outbox) -> Option<RpciId> {
        line.send(outbox, NOW);
        match outbox.pop()? {
            Output::Rpci { id, lane, .. } => {
                assert_eq!(lane, Lane::Once);
                Some(id)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn events_go_one_at_a_time_in_order_and_once() {
        let (mut line, mut outbox) = (Line::default(), Outbox::default());
        line.push(1, BackupEvent::Reset);
        line.push(1, BackupEvent::SnapshotCommit);
        let reset = sent(&mut line, &mut outbox).unwrap();
        assert_eq!(sent(&mut line, &mut outbox), None);
        assert!(!line.has_sent(&BackupEvent::SnapshotCommit));
        assert_eq!(line.settle(RpciId(reset.0 + 1)), None);
        assert_eq!(line.settle(reset).unwrap().event, BackupEvent::Reset);
        assert_eq!(line.settle(reset), None);
        let commit = sent(&mut line, &mut outbox).unwrap();
        assert!(line.is_sent_as(commit) && line.silent_until().is_none());
        line.settle(commit);
        assert_eq!(line.silent_until(), Some(NOW + SILENCE));
        assert!(sent(&mut line, &mut outbox).is_none() && line.is_empty());
    }

    #[test]
    fn a_commit_can_be_taken_back_until_the_channel_has_it() {
        for is_in_flight in [false, true] {
            let (mut line, mut outbox) = (Line::default(), Outbox::default());
            line.push(1, BackupEvent::SnapshotCommit);
            let id = is_in_flight.then(|| sent(&mut line, &mut outbox).unwrap());
            line.push(1, BackupEvent::Done);
            line.take_back(|sent| sent.event == BackupEvent::SnapshotCommit);
            assert!(!id.is_some_and(|id| line.is_sent_as(id)));
            let done = sent(&mut line, &mut outbox).unwrap();
            assert_eq!(line.settle(done).unwrap().event, BackupEvent::Done);
        }
    }
}
