//! What Talos' events say about one power sequence. Sans-IO.
//!
//! ```text
//! Reboot/Shutdown OK ─▶ START ─▶ … ─▶ RestartEvent            it happens
//!                    │  ├─ phase drain, of a Shutdown      it takes as long as the pods want
//!                    │         └─▶ NOOP + CANCELED or FATAL    it did not
//!                    └─▶ NOOP + LOCKED                         another sequence runs, it never began
//! ```
//! Observed in siderolabs/talos `internal/app/machined/pkg/runtime/v1alpha1/v1alpha1_controller.go`:
//! * LOCKED is published without the caller's actor id, so a stream filtered by actor id would miss it;
//! * STOP comes without an error, before the NOOP event that carries it;
//! * a sequence that succeeds also ends in a FATAL event: its "error" is the final `unix.Reboot(…)`;
//! * events of phases carry the actor id of their sequence, and no name of it. The phase `drain` has one task,
//!   `cordonAndDrainNode`, from 1.4 to 1.14 (v1alpha1_sequencer.go). Up to 1.4 the task cordons; later a controller does,
//!   and the task waits for that;
//! * a sequence that takes another's place starts after that one has published CANCELED under its own actor id.

use prost::Message;

use super::facts::stage_of;
use super::proto::common::Code;
use super::proto::machine::sequence_event::Action;
use super::proto::machine::{Event, MachineStatusEvent, PhaseEvent, SequenceEvent, phase_event};
use crate::facts::Stage;

/// The phase in which a Shutdown cordons and drains the node.
const DRAIN: &str = "drain";

/// One event that may concern a power sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// SequenceEvent
    Sequence {
        /// `shutdown`, `reboot`, `boot` …
        sequence: String,
        /// Whether the sequence starts with this event.
        start: bool,
        /// Code and message of the error, if there is one.
        error: Option<(i32, String)>,
        /// Who asked for the sequence; empty when Talos does not say.
        actor_id: String,
    },
    /// PhaseEvent
    Phase {
        /// `drain`, `cleanup` …
        phase: String,
        /// Whether the phase starts with this event, or stops.
        start: bool,
        /// Who asked for the sequence; empty when Talos does not say.
        actor_id: String,
    },
    /// MachineStatusEvent
    Stage(Stage),
    /// RestartEvent: the last thing a sequence does.
    Restart,
    /// Anything else.
    Other,
}

impl Sighting {
    /// Reads an event. Events that do not decode are ignored.
    pub(super) fn from_event(event: Event) -> Self {
        let Some(data) = event.data else {
            return Self::Other;
        };
        // `talos/runtime/` and the message's full name.
        match data.type_url.rsplit('/').next() {
            Some("machine.SequenceEvent") => match SequenceEvent::decode(&*data.value) {
                Ok(message) => Self::Sequence {
                    start: message.action() == Action::Start,
                    sequence: message.sequence,
                    error: message.error.map(|error| (error.code, error.message)),
                    actor_id: event.actor_id,
                },
                Err(_) => Self::Other,
            },
            Some("machine.PhaseEvent") => match PhaseEvent::decode(&*data.value) {
                Ok(message) => Self::Phase {
                    start: message.action() == phase_event::Action::Start,
                    phase: message.phase,
                    actor_id: event.actor_id,
                },
                Err(_) => Self::Other,
            },
            Some("machine.MachineStatusEvent") => match MachineStatusEvent::decode(&*data.value) {
                Ok(message) => Self::Stage(stage_of(message.stage)),
                Err(_) => Self::Other,
            },
            Some("machine.RestartEvent") => Self::Restart,
            _ => Self::Other,
        }
    }
}

/// What we expect of a power sequence.
#[derive(Debug)]
pub(super) struct Outlook {
    /// Talos' name of the sequence.
    sequence: &'static str,
    /// The machine's stage while it runs.
    stage: Stage,
    /// Our actor id; empty when it is not known.
    actor_id: String,
    /// That of the sequence whose place ours takes.
    superseded: Option<String>,
    /// Whether that one has made way.
    has_room: bool,
    started: bool,
    drain: Drain,
    /// Whether the machine has been seen in that stage since the sequence began.
    in_stage: bool,
}

/// How far the drain of a sequence has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Drain {
    /// Nothing is known of one.
    #[default]
    None,
    /// It has begun.
    UnderWay,
    /// It has begun, and is over.
    Over,
}

/// What a sighting means for the sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is decided.
    Open,
    /// The machine goes down now.
    Happens,
    /// It did not happen; why.
    DidNotHappen(String),
}

impl Outlook {
    /// For a sequence that has just been requested.
    pub(super) fn new(sequence: &'static str, stage: Stage) -> Self {
        Self {
            sequence,
            stage,
            actor_id: String::new(),
            superseded: None,
            has_room: false,
            started: false,
            drain: Drain::None,
            in_stage: false,
        }
    }

    /// The sequence takes the place of the one with this actor id, which is heard of as well.
    pub(super) fn taking_over(self, actor_id: Option<String>) -> Self {
        Self {
            superseded: actor_id.filter(|id| !id.is_empty()),
            ..self
        }
    }

    /// The call was answered with this actor id.
    pub(super) fn accepted_as(&mut self, actor_id: String) {
        self.actor_id = actor_id;
    }

    /// Whether the sequence has started.
    pub(super) fn has_started(&self) -> bool {
        self.started
    }

    /// Whether the sequence whose place ours takes has made way.
    pub(super) fn has_room(&self) -> bool {
        self.has_room
    }

    /// How far the drain has come.
    pub(super) fn drain(&self) -> Drain {
        self.drain
    }

    /// The next events repeat some that we have seen.
    pub(super) fn rewind(&mut self) {
        self.in_stage = false;
    }

    /// Takes one event.
    pub(super) fn see(&mut self, sighting: &Sighting) -> Verdict {
        match sighting {
            Sighting::Sequence {
                error: Some((code, _)),
                actor_id,
                ..
            } if self.superseded.as_ref() == Some(actor_id) => {
                self.has_room |= Code::try_from(*code) == Ok(Code::Canceled);
                Verdict::Open
            }
            Sighting::Sequence {
                sequence,
                start,
                error,
                actor_id,
            } if sequence == self.sequence && self.concerns(actor_id) => match error {
                None => {
                    self.started |= *start;
                    Verdict::Open
                }
                Some((code, message)) => self.failed(*code, message),
            },
            Sighting::Phase {
                phase,
                start,
                actor_id,
            } if self.concerns(actor_id) => {
                self.drain = match (self.drain, phase.as_str(), *start) {
                    (Drain::None, DRAIN, true) => Drain::UnderWay,
                    // The start of a later phase counts as well, for the end may have been missed.
                    (Drain::UnderWay, DRAIN, false) => Drain::Over,
                    (Drain::UnderWay, other, true) if other != DRAIN => Drain::Over,
                    (drain, _, _) => drain,
                };
                Verdict::Open
            }
            Sighting::Stage(stage) if self.started => {
                let was = std::mem::replace(&mut self.in_stage, *stage == self.stage);
                if was && *stage == Stage::Running {
                    Verdict::DidNotHappen("the machine is running again".to_owned())
                } else {
                    Verdict::Open
                }
            }
            Sighting::Restart => Verdict::Happens,
            Sighting::Sequence { .. }
            | Sighting::Phase { .. }
            | Sighting::Stage(_)
            | Sighting::Other => Verdict::Open,
        }
    }

    fn failed(&self, code: i32, message: &str) -> Verdict {
        match Code::try_from(code) {
            // Another caller's: ours is running.
            Ok(Code::Locked) if self.started => Verdict::Open,
            Ok(Code::Locked) => {
                Verdict::DidNotHappen(format!("Talos is busy with another sequence ({message})"))
            }
            Ok(Code::Fatal) if message.contains("unix.Reboot(") => Verdict::Happens,
            Ok(Code::Canceled) => {
                Verdict::DidNotHappen(format!("another sequence took its place ({message})"))
            }
            Ok(Code::Fatal) | Err(_) => Verdict::DidNotHappen(message.to_owned()),
        }
    }

    fn concerns(&self, actor_id: &str) -> bool {
        if self.superseded.as_deref() == Some(actor_id) {
            return false;
        }
        self.actor_id.is_empty() || actor_id.is_empty() || self.actor_id == actor_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::proto::common;
    use crate::talos::proto::google::protobuf::Any;

    const OURS: &str = "6b1f";

    fn reboot() -> Outlook {
        let mut outlook = Outlook::new("reboot", Stage::Rebooting);
        outlook.accepted_as(OURS.into());
        outlook
    }

    fn new_shutdown() -> Outlook {
        Outlook::new("shutdown", Stage::ShuttingDown)
    }

    fn shutdown() -> Outlook {
        let mut outlook = new_shutdown();
        outlook.accepted_as(OURS.into());
        outlook
    }

    fn event(name: &str, message: impl Message, actor_id: &str) -> Event {
        Event {
            data: Some(Any {
                type_url: format!("talos/runtime/machine.{name}"),
                value: message.encode_to_vec(),
            }),
            actor_id: actor_id.into(),
            ..Event::default()
        }
    }

    fn sequence(name: &str, action: Action, error: Option<(Code, &str)>, actor: &str) -> Sighting {
        let message = SequenceEvent {
            sequence: name.into(),
            action: action.into(),
            error: error.map(|(code, message)| common::Error {
                code: code.into(),
                message: message.into(),
                details: Vec::new(),
            }),
        };
        Sighting::from_event(event("SequenceEvent", message, actor))
    }

    fn start() -> Sighting {
        sequence("reboot", Action::Start, None, OURS)
    }

    fn did_not_happen(verdict: Verdict) -> String {
        match verdict {
            Verdict::DidNotHappen(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn locked_tells_no_actor_and_means_that_nothing_happens() {
        let error = (Code::Locked, "sequence not started: locked");
        let locked = sequence("reboot", Action::Noop, Some(error), "");
        let why = did_not_happen(reboot().see(&locked));
        assert_eq!(
            why,
            "Talos is busy with another sequence (sequence not started: locked)"
        );
    }

    #[test]
    fn locked_after_our_start_is_somebody_elses() {
        let mut outlook = reboot();
        outlook.see(&start());
        let error = (Code::Locked, "sequence not started: locked");
        let locked = sequence("reboot", Action::Noop, Some(error), "");
        assert_eq!(outlook.see(&locked), Verdict::Open);
    }

    #[test]
    fn the_last_word_of_a_success_is_called_fatal() {
        let mut outlook = reboot();
        assert_eq!(outlook.see(&start()), Verdict::Open);
        assert!(outlook.has_started());
        let stop = sequence("reboot", Action::Stop, None, OURS);
        assert_eq!(outlook.see(&stop), Verdict::Open);
        let words = "sequence failed: error running phase 9 in reboot sequence: task 1/1: failed, unix.Reboot(1234567)";
        let end = sequence("reboot", Action::Noop, Some((Code::Fatal, words)), OURS);
        assert_eq!(outlook.see(&end), Verdict::Happens);
        assert_eq!(reboot().see(&Sighting::Restart), Verdict::Happens);
    }

    #[test]
    fn a_canceled_or_failed_sequence_did_not_happen() {
        for (code, words, expected) in [
            (
                Code::Canceled,
                "sequence failed: context canceled",
                "another sequence took its place (sequence failed: context canceled)",
            ),
            (
                Code::Fatal,
                "sequence failed: cordon",
                "sequence failed: cordon",
            ),
        ] {
            let mut outlook = reboot();
            outlook.see(&start());
            let end = sequence("reboot", Action::Noop, Some((code, words)), OURS);
            assert_eq!(did_not_happen(outlook.see(&end)), expected);
        }
    }

    #[test]
    fn other_sequences_and_other_actors_are_of_no_concern() {
        let mut outlook = reboot();
        outlook.see(&sequence("shutdown", Action::Start, None, ""));
        outlook.see(&sequence("reboot", Action::Start, None, "other"));
        assert!(!outlook.has_started());
        let error = Some((Code::Fatal, "sequence failed: x"));
        for sighting in [
            sequence("boot", Action::Noop, error, ""),
            sequence("reboot", Action::Noop, error, "other"),
        ] {
            assert_eq!(outlook.see(&sighting), Verdict::Open);
        }
    }

    #[test]
    fn back_to_running_means_that_it_did_not_happen() {
        let mut outlook = reboot();
        // News from before the sequence may arrive late.
        assert_eq!(outlook.see(&Sighting::Stage(Stage::Running)), Verdict::Open);
        outlook.see(&start());
        assert_eq!(outlook.see(&Sighting::Stage(Stage::Running)), Verdict::Open);
        assert_eq!(
            outlook.see(&Sighting::Stage(Stage::Rebooting)),
            Verdict::Open
        );
        did_not_happen(outlook.see(&Sighting::Stage(Stage::Running)));
    }

    /// Another sequence that gives up in front of ours brings the machine back to running, too.
    #[test]
    fn stages_before_the_start_do_not_count() {
        let mut outlook = reboot();
        for stage in [Stage::Rebooting, Stage::Running] {
            assert_eq!(outlook.see(&Sighting::Stage(stage)), Verdict::Open);
        }
        outlook.see(&start());
        assert_eq!(outlook.see(&Sighting::Stage(Stage::Running)), Verdict::Open);
    }

    #[test]
    fn events_that_are_told_again_are_not_the_end() {
        let told = [
            Sighting::Stage(Stage::Running),
            start(),
            Sighting::Stage(Stage::Rebooting),
        ];
        let mut outlook = reboot();
        for _ in 0..2 {
            for sighting in &told {
                assert_eq!(outlook.see(sighting), Verdict::Open);
            }
            outlook.rewind();
        }
        outlook.see(&told[2]);
        did_not_happen(outlook.see(&Sighting::Stage(Stage::Running)));
    }

    #[test]
    fn a_restart_is_read_from_its_event() {
        let mut event = event("RestartEvent", (), "");
        // Its only field, the number for reboot(2), does not matter.
        event.data.as_mut().unwrap().value = vec![0x08, 0x01];
        let sighting = Sighting::from_event(event);
        assert_eq!(reboot().see(&sighting), Verdict::Happens);
    }

    fn phase(name: &str, action: phase_event::Action, actor: &str) -> Sighting {
        let message = PhaseEvent {
            phase: name.into(),
            action: action.into(),
        };
        Sighting::from_event(event("PhaseEvent", message, actor))
    }

    /// Phase `drain` begins, as Talos serialises it: zero values are left out.
    #[test]
    fn a_phase_is_read_from_its_event() {
        let mut event = event("PhaseEvent", (), OURS);
        event.data.as_mut().unwrap().value = b"\x0a\x05drain".to_vec();
        let mut outlook = shutdown();
        outlook.see(&Sighting::from_event(event));
        assert_eq!(outlook.drain(), Drain::UnderWay);
    }

    #[test]
    fn a_drain_is_over_with_its_phase_or_when_a_later_one_begins() {
        use phase_event::Action::{Start, Stop};
        for end in [
            phase("drain", Stop, OURS),
            phase("cleanup", Start, OURS),
            phase("cleanup", Start, ""),
        ] {
            let mut outlook = shutdown();
            outlook.see(&phase("drain", Start, "another"));
            outlook.see(&phase("storeShudown", Start, OURS));
            assert_eq!(outlook.drain(), Drain::None);
            for _ in 0..2 {
                outlook.see(&phase("drain", Start, OURS));
                outlook.see(&phase("storeShudown", Stop, OURS));
                outlook.see(&phase("cleanup", Start, "another"));
                assert_eq!(outlook.drain(), Drain::UnderWay);
            }
            outlook.see(&end);
            // Repeated after a break, it does not begin again.
            outlook.see(&phase("drain", Start, OURS));
            assert_eq!(outlook.drain(), Drain::Over, "{end:?}");
        }
    }

    #[test]
    fn what_the_first_sequence_says_is_not_the_second_ones() {
        const FIRST: &str = "0a1b";
        let event = |action, error, actor| sequence("shutdown", action, error, actor);
        let canceled = Some((Code::Canceled, "context canceled"));
        // Before its answer is here, the second one's actor id is not known.
        for answered in [false, true] {
            let mut outlook = new_shutdown().taking_over(Some(FIRST.into()));
            if answered {
                outlook.accepted_as(OURS.into());
            }
            for sighting in [
                event(Action::Start, None, FIRST),
                phase("drain", phase_event::Action::Start, FIRST),
                event(Action::Stop, None, FIRST),
            ] {
                assert_eq!(outlook.see(&sighting), Verdict::Open);
            }
            assert!(!outlook.has_started() && !outlook.has_room());
            let last = event(Action::Noop, canceled, FIRST);
            assert_eq!(outlook.see(&last), Verdict::Open);
            assert!(outlook.has_room() && !outlook.has_started());
            assert_eq!(outlook.drain(), Drain::None);
            outlook.see(&event(Action::Start, None, OURS));
            assert!(outlook.has_started());
            did_not_happen(outlook.see(&event(Action::Noop, canceled, OURS)));
        }
        // An id that Talos did not say supersedes nothing.
        let mut outlook = new_shutdown().taking_over(Some(String::new()));
        outlook.see(&event(Action::Start, None, ""));
        assert!(outlook.has_started());
    }

    #[test]
    fn stages_are_read_from_their_event() {
        let message = MachineStatusEvent {
            stage: 6,
            ..MachineStatusEvent::default()
        };
        let sighting = Sighting::from_event(event("MachineStatusEvent", message, ""));
        assert_eq!(sighting, Sighting::Stage(Stage::ShuttingDown));
    }

    proptest::proptest! {
        #[test]
        fn any_event_is_survived(url in "(talos/runtime/machine\\.(Sequence|Phase|MachineStatus|Restart)Event|.{0,20})", value: Vec<u8>, actor_id: String) {
            let data = Some(Any { type_url: url, value });
            let _ = reboot().see(&Sighting::from_event(Event { data, actor_id, ..Event::default() }));
        }
    }

    #[test]
    fn the_greeting_is_nothing() {
        assert_eq!(Sighting::from_event(Event::default()), Sighting::Other);
    }
}
