//! Forms that stand in for others, and refusals that are logged once.

use super::*;
use crate::log::logged::Logged;
use crate::vmware::services::Output;

const NOW: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(31);

#[derive(Default)]
struct Bench {
    publications: Publications,
    outbox: Outbox,
}

impl Bench {
    fn want(&mut self, topic: Topic, message: &[u8]) {
        self.publications.want(topic, Some(message.to_vec()));
    }

    /// What is sent at this moment.
    fn sent(&mut self, now: Duration) -> Vec<(RpciId, Vec<u8>)> {
        self.publications.send(&mut self.outbox, now);
        let outputs = std::iter::from_fn(|| self.outbox.pop());
        let sent = outputs.filter_map(|output| match output {
            Output::Rpci { id, message, .. } => Some((id, message)),
            _ => None,
        });
        sent.collect()
    }

    /// Gives all messages that are sent at this moment the same outcome; their bytes.
    fn settle(&mut self, outcome: &RpciOutcome, now: Duration) -> Vec<Vec<u8>> {
        let sent = self.sent(now);
        for (id, _) in &sent {
            assert!(self.publications.settle(*id, outcome, now));
        }
        sent.into_iter().map(|(_, message)| message).collect()
    }
}

fn refused() -> RpciOutcome {
    RpciOutcome::Refused(b"no".to_vec())
}

fn accepted() -> RpciOutcome {
    RpciOutcome::Accepted(Vec::new())
}

#[test]
fn an_older_form_rests_until_the_newer_one_is_refused() {
    let mut bench = Bench::default();
    bench.want(Topic::Nics, b"new");
    bench.want(Topic::NicsV2, b"old");
    assert_eq!(bench.settle(&accepted(), NOW), [b"new"]);
    bench.want(Topic::Nics, b"new2");
    bench.want(Topic::NicsV2, b"old2");
    assert_eq!(bench.settle(&refused(), NOW), [b"new2"]);
    assert_eq!(bench.settle(&accepted(), NOW), [b"old2"]);
    bench.want(Topic::Nics, b"new3");
    bench.want(Topic::NicsV2, b"old3");
    assert_eq!(bench.settle(&accepted(), NOW), [b"old3"]);
    assert_eq!(bench.publications.deadline(), None);
    bench.publications.forget([Topic::Nics, Topic::NicsV2]);
    assert_eq!(bench.settle(&accepted(), NOW), [b"new3"]);
    assert_eq!(bench.sent(LATER), []);
}

#[test]
fn when_every_form_is_refused_the_oldest_is_tried_again_and_again() {
    let mut bench = Bench::default();
    bench.want(Topic::Disks, b"new");
    bench.want(Topic::DisksV0, b"old");
    assert_eq!(bench.settle(&refused(), NOW), [b"new"]);
    assert_eq!(bench.settle(&refused(), NOW), [b"old"]);
    assert_eq!(bench.sent(NOW), []);
    assert_eq!(bench.publications.deadline(), Some(LATER));
    assert_eq!(bench.settle(&accepted(), LATER), [b"old"]);
}

#[test]
fn without_a_message_to_stand_in_the_newer_form_is_repeated() {
    let mut bench = Bench::default();
    bench.want(Topic::Nics, b"new");
    assert_eq!(bench.settle(&refused(), NOW), [b"new"]);
    assert_eq!(bench.settle(&accepted(), LATER), [b"new"]);
}

#[test]
fn two_messages_can_stand_in_for_one() {
    let mut bench = Bench::default();
    bench.want(Topic::OsShortName, b"short");
    bench.want(Topic::OsFullName, b"full");
    bench.want(Topic::OsDetailed, b"all");
    assert_eq!(bench.settle(&refused(), NOW), [b"all"]);
    assert_eq!(
        bench.settle(&accepted(), NOW),
        [&b"full"[..], &b"short"[..]]
    );
}

#[test]
fn what_is_not_repeated_is_gone_when_it_got_lost_or_was_refused() {
    for outcome in [refused(), RpciOutcome::Failed] {
        let mut bench = Bench::default();
        bench.want(Topic::Statistics, b"now");
        assert_eq!(bench.settle(&outcome, NOW), [b"now"]);
        assert_eq!(bench.publications.deadline(), None);
        assert_eq!(bench.sent(LATER), []);
    }
}

#[test]
fn one_line_says_that_a_command_is_refused_until_it_is_accepted() {
    let logged = Logged::new();
    let mut bench = Bench::default();
    for variable in 0..3 {
        bench.want(Topic::Variable(variable), b"a");
    }
    bench.settle(&refused(), NOW);
    bench.settle(&refused(), LATER);
    assert_eq!(logged.warnings().len(), 1);
    bench.settle(&accepted(), LATER + LATER);
    bench.want(Topic::Variable(1), b"b");
    bench.settle(&refused(), LATER + LATER);
    assert_eq!(logged.warnings().len(), 1);
}

#[test]
fn outcomes_of_other_messages_are_left_alone() {
    let mut bench = Bench::default();
    bench.want(Topic::HostName, b"a");
    let sent = bench.sent(NOW);
    let other = RpciId(sent[0].0.0 + 1);
    assert!(!bench.publications.settle(other, &accepted(), NOW));
    assert!(bench.publications.is_in_flight(Topic::HostName));
}
