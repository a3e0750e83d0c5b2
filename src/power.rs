//! Power operations in the words that front ends, daemon and Talos share, each carried out once per intent.
//!
//! ```text
//! host: Restart Guest ─► front end ─► Press ────────► interruption ─► Talos
//! host ◄─ status ◄────── front end ◄─ PowerOutcome ◄─┘
//! ```
//!
//! An accepted operation is not ordered again, since a second call would start its sequence again, as long as
//! it is followed: until Talos shows that it did not happen, or the news of it ends; see [`Once`]. What is done between a
//! press and the end of the machine is the business of [`crate::interruption`].

mod hand_over;
mod heard;
mod phase;
mod press;

pub use hand_over::HandOver;
pub use heard::Heard;
pub use phase::Phase;
pub use press::{Press, Wish};

use tracing::{info, warn};

/// A power operation that reaches Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerOperation {
    /// MachineService.Shutdown
    Shutdown,
    /// MachineService.Reboot
    Reboot,
}

/// What became of a power operation: first `Accepted` or `Rejected`; after `Accepted` once more, `DidNotHappen` or
/// `NotFollowed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerOutcome {
    /// Talos accepted the call; or the operation is held, and Talos will be called for a host that waits no longer.
    Accepted,
    /// Talos did not accept the call within the deadline, or said at once that nothing comes of it, or was not asked;
    /// why, in one phrase.
    Rejected(String),
    /// Talos had accepted but then showed that nothing will happen; why, in one phrase.
    DidNotHappen(String),
    /// Talos had accepted, but we no longer follow what comes of it. Talos has to be asked what it is doing before
    /// the next request is answered.
    NotFollowed,
}

/// Why Talos would take no power operation from us now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It cannot be asked; why, in one phrase.
    Unreachable(String),
    /// It would refuse; why, in one phrase.
    Refused(String),
}

/// What to do about a request of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Order it; the outcome is the answer.
    Ask,
    /// It is ordered; its outcome is the answer to this request, too. That it was pressed again is passed on.
    Wait,
    /// It was accepted already: the answer is yes. That it was pressed again is passed on.
    Accepted,
    /// Another operation is under way: the answer is no.
    Busy,
}

/// How far an operation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// Not asked for, or refused, or did not happen, or not followed any more.
    #[default]
    Idle,
    /// Talos has been asked; so many requests of the host wait for the outcome.
    UnderWay { requests: usize },
    /// Talos has accepted.
    Accepted,
}

/// Turns the requests of a host, which may repeat, into one call of Talos per intent.
#[derive(Debug, Default)]
pub struct Once {
    shutdown: Progress,
    reboot: Progress,
}

impl Once {
    /// The host asks for an operation.
    pub fn request(&mut self, operation: PowerOperation) -> Decision {
        let other = match operation {
            PowerOperation::Shutdown => self.reboot,
            PowerOperation::Reboot => self.shutdown,
        };
        if matches!(other, Progress::UnderWay { .. }) {
            return refuse();
        }
        match self.progress(operation) {
            Progress::UnderWay { requests } => {
                *requests = requests.saturating_add(1);
                info!(
                    ?operation,
                    requests, "power operation requested again, it is under way"
                );
                Decision::Wait
            }
            Progress::Accepted => {
                info!(
                    ?operation,
                    "power operation requested again, it was accepted"
                );
                Decision::Accepted
            }
            progress @ Progress::Idle => {
                *progress = Progress::UnderWay { requests: 1 };
                info!(?operation, "power operation requested");
                Decision::Ask
            }
        }
    }

    /// The host announces a change of the machine that needs nothing of Talos, such as a suspend: `Accepted` or
    /// `Busy`.
    pub fn announce(&self) -> Decision {
        if self.is_under_way() {
            return refuse();
        }
        Decision::Accepted
    }

    /// Whether Talos has been asked for an operation and its outcome is not known.
    pub fn is_under_way(&self) -> bool {
        let is_under_way = |progress| matches!(progress, Progress::UnderWay { .. });
        is_under_way(self.shutdown) || is_under_way(self.reboot)
    }

    /// Whether an operation was asked for and may still happen, as far as is known: its outcome is not known, or it was
    /// accepted and is followed.
    pub fn may_happen(&self) -> bool {
        let may_happen = |progress| progress != Progress::Idle;
        may_happen(self.shutdown) || may_happen(self.reboot)
    }

    /// What became of an operation; how many requests wait for this answer.
    pub fn finished(&mut self, operation: PowerOperation, outcome: PowerOutcome) -> usize {
        let next = match outcome {
            PowerOutcome::Accepted => Progress::Accepted,
            PowerOutcome::Rejected(_)
            | PowerOutcome::DidNotHappen(_)
            | PowerOutcome::NotFollowed => Progress::Idle,
        };
        match std::mem::replace(self.progress(operation), next) {
            Progress::UnderWay { requests } => requests,
            Progress::Idle | Progress::Accepted => 0,
        }
    }

    fn progress(&mut self, operation: PowerOperation) -> &mut Progress {
        match operation {
            PowerOperation::Shutdown => &mut self.shutdown,
            PowerOperation::Reboot => &mut self.reboot,
        }
    }
}

fn refuse() -> Decision {
    warn!("power operation refused, another one is under way");
    Decision::Busy
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PowerOperation::{Reboot, Shutdown};
    use super::*;

    fn rejected() -> PowerOutcome {
        PowerOutcome::Rejected("why".into())
    }

    fn did_not_happen() -> PowerOutcome {
        PowerOutcome::DidNotHappen("why".into())
    }

    #[test]
    fn repeated_requests_share_one_call_and_its_outcome() {
        for outcome in [PowerOutcome::Accepted, rejected()] {
            let mut once = Once::default();
            assert_eq!(once.request(Reboot), Decision::Ask);
            assert_eq!(once.request(Reboot), Decision::Wait);
            assert_eq!(once.finished(Reboot, outcome), 2);
        }
    }

    #[test]
    fn an_accepted_operation_is_not_asked_for_again_until_it_did_not_happen() {
        let mut once = Once::default();
        once.request(Shutdown);
        assert_eq!(once.finished(Shutdown, PowerOutcome::Accepted), 1);
        assert_eq!(once.request(Shutdown), Decision::Accepted);
        assert_eq!(once.finished(Shutdown, did_not_happen()), 0);
        assert_eq!(once.request(Shutdown), Decision::Ask);
        assert_eq!(once.finished(Shutdown, rejected()), 1);
        assert_eq!(once.request(Shutdown), Decision::Ask, "rejected");
    }

    #[test]
    fn an_accepted_operation_that_nobody_follows_is_asked_for_again() {
        let mut once = Once::default();
        once.request(Shutdown);
        once.finished(Shutdown, PowerOutcome::Accepted);
        assert_eq!(once.finished(Shutdown, PowerOutcome::NotFollowed), 0);
        assert_eq!(once.request(Shutdown), Decision::Ask);
    }

    #[test]
    fn while_one_is_under_way_all_else_is_refused() {
        let mut once = Once::default();
        assert_eq!(once.announce(), Decision::Accepted);
        assert!(!once.may_happen());
        once.request(Reboot);
        assert!(once.may_happen());
        assert_eq!(once.request(Shutdown), Decision::Busy);
        assert_eq!(once.announce(), Decision::Busy);
        once.finished(Reboot, PowerOutcome::Accepted);
        assert_eq!(once.announce(), Decision::Accepted);
        assert_eq!(
            once.request(Shutdown),
            Decision::Ask,
            "each has its own story"
        );
    }

    /// What may happen, by number: two requests, two announcements, four outcomes.
    fn play(steps: Vec<u8>) {
        let mut once = Once::default();
        let mut under_way = None;
        let mut accepted = Vec::new();
        let (mut requests, mut answers) = (0, 0);
        for step in steps {
            match step {
                0..4 => {
                    let operation = if step < 2 { Shutdown } else { Reboot };
                    requests += 1;
                    match once.request(operation) {
                        Decision::Ask => {
                            assert_eq!(under_way.replace(operation), None, "two calls");
                            assert!(!accepted.contains(&operation), "asked for twice");
                        }
                        Decision::Wait => assert_eq!(under_way, Some(operation)),
                        Decision::Accepted => {
                            assert!(accepted.contains(&operation));
                            answers += 1;
                        }
                        Decision::Busy => {
                            assert!(under_way.is_some_and(|other| other != operation));
                            answers += 1;
                        }
                    }
                }
                4 => assert_eq!(once.announce() == Decision::Busy, under_way.is_some()),
                5 | 6 => {
                    if let Some(operation) = under_way.take() {
                        let outcome = if step == 5 {
                            accepted.push(operation);
                            PowerOutcome::Accepted
                        } else {
                            rejected()
                        };
                        answers += once.finished(operation, outcome);
                    }
                }
                _ => {
                    if let Some(operation) = accepted.pop() {
                        let outcome = if step == 7 {
                            did_not_happen()
                        } else {
                            PowerOutcome::NotFollowed
                        };
                        assert_eq!(once.finished(operation, outcome), 0);
                    }
                }
            }
            if under_way.is_none() {
                assert_eq!(answers, requests, "one answer for each request");
            }
            let is_open = under_way.is_some() || !accepted.is_empty();
            assert_eq!(once.may_happen(), is_open);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn there_is_one_call_at_a_time_and_an_answer_for_each_request(steps in prop::collection::vec(0..9_u8, 0..60)) {
            play(steps);
        }
    }
}
