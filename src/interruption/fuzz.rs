//! Any order of anything, see [`crate::fuzz`]: no operation is lost, none goes beyond its budget, none is called twice but on
//! purpose, and each has one answer.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use super::course::HAND_OVER;
use super::{Call, CallId, Interruption, Output};
use crate::config::{DrainDeadline, PowerConfig, QuorumGuard, RebootMode};
use crate::facts::{Etcd, EtcdLook, Facts, MachineType, Stage};
use crate::fuzz::Choices;
use crate::power::{HandOver, Heard, Phase, PowerOperation, PowerOutcome, Press, Wish};

/// The first look at etcd, and handing over its leadership: what may come on top of the budget before the first call.
const ON_TOP: Duration = Duration::from_secs(6);

/// A sequence of anything.
pub fn fuzz_interruption(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut judge = Judge::new(&mut choices);
    while !choices.is_empty() {
        judge.step(&mut choices);
    }
    judge.finish();
}

/// What is known of one operation from outside.
#[derive(Default)]
struct Seen {
    /// Since its press.
    pressed: Option<Duration>,
    /// The settings at the press.
    config: PowerConfig,
    is_answered: bool,
    /// Since when it is held.
    held: Option<Duration>,
    /// Calls since the press, by number, whether each is forced, and what came of it.
    calls: Vec<(u64, bool, Came)>,
    /// When the first call was accepted.
    accepted: Option<Duration>,
    /// When its drain began.
    drains: Option<Duration>,
    is_drained: bool,
    /// The machine did something else at the acceptance, at a press, or when the drain was to end: no second call need come.
    is_left_to_first: bool,
}

impl Seen {
    /// When the first call is made at the latest, but for handing over the leadership of etcd.
    fn hold_ends(&self) -> Option<Duration> {
        let (pressed, held) = (self.pressed?, self.held?);
        let (hold, budget) = (self.config.etcd.hold, self.config.shutdown.budget);
        Some((held + hold).min(pressed + budget).max(held))
    }

    /// When the second call is made at the latest; `None` where none need come.
    fn drain_ends(&self) -> Option<Duration> {
        let (pressed, accepted) = (self.pressed?, self.accepted?);
        let shutdown = &self.config.shutdown;
        let DrainDeadline::After(limit) = shutdown.drain_deadline else {
            return None;
        };
        let ends = (self.drains.unwrap_or(accepted) + limit).min(pressed + shutdown.budget);
        (!self.is_left_to_first).then_some(ends.max(accepted))
    }

    /// Whether Talos drains for the first and only call, as far as is known.
    fn is_draining(&self) -> bool {
        matches!(self.calls[..], [(_, false, Came::Accepted)]) && !self.is_drained
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Nothing,
    Accepted,
    Over,
}

struct Judge {
    interruption: Interruption,
    config: PowerConfig,
    facts: Facts,
    now: Duration,
    seen: [Seen; 2],
    is_looking: bool,
    is_handing_over: bool,
}

impl Judge {
    fn new(choices: &mut Choices<'_>) -> Self {
        let mut judge = Self {
            interruption: Interruption::default(),
            config: PowerConfig::default(),
            facts: Facts::default(),
            now: Duration::from_secs(20),
            seen: [Seen::default(), Seen::default()],
            is_looking: false,
            is_handing_over: false,
        };
        judge.configure(choices);
        judge.stage(choices);
        judge
    }

    fn configure(&mut self, choices: &mut Choices<'_>) {
        let config = &mut self.config;
        let mut seconds = |bound| Duration::from_secs(choices.below(bound).into());
        config.deadline = seconds(60);
        config.etcd.hold = seconds(120);
        config.shutdown.budget = seconds(120);
        config.shutdown.escalate_after = seconds(40);
        let drain = seconds(90);
        config.shutdown.drain_deadline = match choices.below(4) {
            0 => DrainDeadline::After(Duration::ZERO),
            1 => DrainDeadline::Talos,
            _ => DrainDeadline::After(drain),
        };
        config.etcd.guard = match choices.below(4) {
            0 => QuorumGuard::Off,
            1 => QuorumGuard::Warn,
            2 => QuorumGuard::Refuse,
            _ => QuorumGuard::Hold,
        };
        config.etcd.forfeit.force_reboot = choices.flag();
        if choices.flag() {
            config.reboot_mode = RebootMode::Force;
        }
        self.interruption.set_config(&self.config);
    }

    fn stage(&mut self, choices: &mut Choices<'_>) {
        self.facts.stage = choices.maybe(|choices| match choices.below(6) {
            0 => Stage::Running,
            1 => Stage::Rebooting,
            2 => Stage::Upgrading,
            3 => Stage::Booting,
            _ => Stage::ShuttingDown,
        });
        self.facts.node.machine_type = choices.maybe(|_| MachineType::ControlPlane);
        self.interruption.handle_facts(&self.facts, self.now);
        self.look();
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(10) {
            0 | 1 => self.press(choices),
            2 => self.etcd(choices),
            3 | 4 => self.heard(choices),
            5 => self.pass(Duration::from_secs(choices.below(4).into())),
            6 => self.pass(Duration::from_secs(choices.byte().into())),
            7 => self.stage(choices),
            8 => self.handed_over(),
            _ => self.configure(choices),
        }
    }

    fn press(&mut self, choices: &mut Choices<'_>) {
        let operation = if choices.flag() {
            PowerOperation::Reboot
        } else {
            PowerOperation::Shutdown
        };
        let wish = if choices.below(6) == 0 {
            Wish::Now
        } else {
            Wish::Usual
        };
        let patience = if choices.flag() {
            Duration::MAX
        } else {
            Duration::from_millis(4500)
        };
        let is_elsewhere = self.is_elsewhere();
        let seen = &mut self.seen[operation as usize];
        let is_again = seen.pressed.is_some();
        if !is_again {
            *seen = Seen {
                pressed: Some(self.now),
                config: self.config,
                ..Seen::default()
            };
        }
        seen.is_left_to_first |= is_elsewhere;
        let press = Press {
            operation,
            wish,
            at: self.now,
            is_again,
        };
        self.interruption.handle_press(press, patience, self.now);
        self.look();
    }

    fn etcd(&mut self, choices: &mut Choices<'_>) {
        let members = choices.maybe(|choices| Etcd {
            voters: usize::from(choices.below(6)),
            live: usize::from(choices.below(6)),
        });
        self.answer_look(EtcdLook {
            part: None,
            members,
        });
    }

    fn answer_look(&mut self, look: EtcdLook) {
        self.is_looking = false;
        self.interruption.handle_etcd(look, self.now);
        self.look();
    }

    fn handed_over(&mut self) {
        self.is_handing_over = false;
        let outcome = HandOver::NotLeader;
        self.interruption.handle_handed_over(&outcome, self.now);
        self.look();
    }

    /// Something is heard of one of the calls, or of one that is over.
    fn heard(&mut self, choices: &mut Choices<'_>) {
        let operation = usize::from(choices.below(2));
        let at = usize::from(choices.below(4));
        let is_elsewhere = self.is_elsewhere();
        let seen = &mut self.seen[operation];
        let Some((number, _, came)) = seen.calls.get_mut(at) else {
            return;
        };
        let is_first = at == 0;
        let heard = match (*came, choices.below(5)) {
            (Came::Nothing, 4) => Heard::Drained,
            (Came::Nothing, 0) => {
                *came = Came::Over;
                Heard::Outcome(PowerOutcome::Rejected("why".to_owned()))
            }
            (Came::Nothing, _) => {
                *came = Came::Accepted;
                Heard::Outcome(PowerOutcome::Accepted)
            }
            (Came::Accepted, 0) => Heard::Draining,
            (Came::Accepted, 1) => Heard::Drained,
            (Came::Accepted, 2) => {
                *came = Came::Over;
                Heard::Outcome(PowerOutcome::DidNotHappen("why".to_owned()))
            }
            (Came::Accepted, _) => {
                *came = Came::Over;
                Heard::Outcome(PowerOutcome::NotFollowed)
            }
            (Came::Over, _) => return,
        };
        let call = CallId(*number);
        if is_first {
            match heard {
                Heard::Outcome(PowerOutcome::Accepted) => {
                    seen.accepted = Some(self.now);
                    seen.is_left_to_first |= is_elsewhere;
                }
                Heard::Draining => seen.drains = seen.drains.or(Some(self.now)),
                Heard::Drained => seen.is_drained = true,
                Heard::Outcome(_) => {}
            }
        }
        self.interruption.handle_heard(call, &heard, self.now);
        self.look();
    }

    /// Time passes, and every deadline on the way is met.
    fn pass(&mut self, time: Duration) {
        let end = self.now.saturating_add(time);
        let mut turns = 0;
        while let Some(due) = self.interruption.deadline().filter(|due| *due <= end) {
            assert!(due >= self.now, "a deadline in the past");
            self.now = due;
            self.interruption.handle_timeout(due);
            self.look();
            turns += 1;
            assert!(turns < 1000, "a deadline that does not move on");
        }
        self.now = end;
        self.nothing_is_late();
    }

    /// Whether the machine does something that no second call may interrupt.
    fn is_elsewhere(&self) -> bool {
        matches!(self.facts.stage, Some(Stage::Rebooting | Stage::Upgrading))
    }

    /// Every hold and every drain has ended by its time.
    fn nothing_is_late(&mut self) {
        for seen in self.seen.iter().filter(|seen| seen.calls.is_empty()) {
            let ends = seen.hold_ends().map(|end| end + HAND_OVER);
            assert!(ends.is_none_or(|end| self.now <= end), "held for too long");
        }
        let is_elsewhere = self.is_elsewhere();
        let shutdown = &mut self.seen[PowerOperation::Shutdown as usize];
        let is_due = shutdown.drain_ends().is_some_and(|end| end <= self.now);
        if shutdown.is_draining() && is_due {
            assert!(is_elsewhere, "a drain that is not ended");
            shutdown.is_left_to_first = true;
        }
    }

    /// An operation is held.
    fn held(&mut self) {
        let now = self.now;
        // One at a time has not called Talos yet.
        let waits = |seen: &&mut Seen| seen.pressed.is_some() && seen.calls.is_empty();
        if let Some(seen) = self.seen.iter_mut().find(waits) {
            assert_eq!(seen.config.etcd.guard, QuorumGuard::Hold);
            seen.held.get_or_insert(now);
        }
    }

    /// Judges what comes out.
    fn look(&mut self) {
        while let Some(output) = self.interruption.poll() {
            match output {
                Output::LookAtEtcd => self.is_looking = true,
                Output::HandOver => self.is_handing_over = true,
                Output::Call(call) => self.call(&call),
                Output::Drop(CallId(number)) => {
                    for seen in &mut self.seen {
                        for (call, _, came) in &mut seen.calls {
                            if *call == number {
                                *came = Came::Over;
                            }
                        }
                    }
                }
                Output::Outcome(operation, outcome) => self.outcome(operation, &outcome),
                Output::Phase(Phase::Holding) => self.held(),
                Output::Phase(_) => {}
            }
        }
        self.nothing_is_late();
    }

    fn call(&mut self, call: &Call) {
        let is_elsewhere = self.is_elsewhere();
        let seen = &mut self.seen[call.operation as usize];
        let pressed = seen.pressed.expect("a press before the call");
        let is_first = seen.calls.is_empty();
        assert_eq!(call.takes_over, !is_first, "a second call takes over");
        assert!(call.deadline <= seen.config.deadline);
        if is_first {
            let budget = seen.config.shutdown.budget;
            let limit = pressed + budget.max(Duration::from_secs(2)) + ON_TOP;
            assert!(self.now <= limit, "held beyond the budget");
            let limit = seen.hold_ends().map(|end| end + HAND_OVER);
            assert!(limit.is_none_or(|end| self.now <= end), "held for too long");
        } else {
            assert!(call.is_forced && call.operation == PowerOperation::Shutdown);
            let is_open =
                |(_, is_forced, came): &(u64, bool, Came)| *is_forced && *came != Came::Over;
            assert!(!seen.calls.iter().any(is_open), "one second call at a time");
            assert!(seen.calls.len() <= 6, "a few attempts");
            assert!(!is_elsewhere, "a second call while it does something else");
            if seen.calls.len() == 1 {
                assert!(!seen.is_drained, "nothing is drained any more");
                let limit = seen.drain_ends();
                assert!(
                    limit.is_none_or(|end| self.now <= end),
                    "drained beyond the budget"
                );
            }
        }
        seen.calls.push((call.id.0, call.is_forced, Came::Nothing));
    }

    fn outcome(&mut self, operation: PowerOperation, outcome: &PowerOutcome) {
        let seen = &mut self.seen[operation as usize];
        assert!(seen.pressed.is_some(), "{outcome:?} of nothing");
        match outcome {
            PowerOutcome::Accepted => {
                assert!(!seen.is_answered, "two answers");
                seen.is_answered = true;
            }
            PowerOutcome::Rejected(_) => {
                assert!(!seen.is_answered, "two answers");
                *seen = Seen::default();
            }
            PowerOutcome::DidNotHappen(_) | PowerOutcome::NotFollowed => {
                assert!(seen.is_answered, "no answer");
                *seen = Seen::default();
            }
        }
    }

    /// The next call that Talos has not answered, which it accepts now.
    fn unanswered(&mut self) -> Option<CallId> {
        let is_elsewhere = self.is_elsewhere();
        self.seen.iter_mut().find_map(|seen| {
            let is_open = |(_, _, came): &(u64, bool, Came)| *came == Came::Nothing;
            let at = seen.calls.iter().position(is_open)?;
            if at == 0 {
                seen.accepted = Some(self.now);
                seen.is_left_to_first |= is_elsewhere;
            }
            let (number, _, came) = &mut seen.calls[at];
            *came = Came::Accepted;
            Some(CallId(*number))
        })
    }

    /// In the end Talos answers: every press has its answer, and nothing is left.
    fn finish(&mut self) {
        self.interruption.stop(self.now);
        self.look();
        for _ in 0..20 {
            while let Some(call) = self.unanswered() {
                let accepted = Heard::Outcome(PowerOutcome::Accepted);
                self.interruption.handle_heard(call, &accepted, self.now);
                self.look();
            }
            self.pass(Duration::from_secs(200));
        }
        for seen in &self.seen {
            assert!(
                seen.pressed.is_none() || seen.is_answered,
                "an answer is owed"
            );
        }
        assert!(!self.interruption.is_calling());
        assert_eq!(self.interruption.deadline(), None);
    }
}
