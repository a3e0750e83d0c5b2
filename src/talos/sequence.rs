//! What Talos' events say about one power sequence. Sans-IO.
//!
//! ```text
//! Reboot/Shutdown OK ─▶ START ─▶ … ─▶ RestartEvent            it happens
//!                    │         └─▶ NOOP + CANCELED or FATAL    it did not
//!                    └─▶ NOOP + LOCKED                         another sequence runs, it never began
//! ```
//! Observed in siderolabs/talos `internal/app/machined/pkg/runtime/v1alpha1/v1alpha1_controller.go`:
//! * LOCKED is published without the caller's actor id, so a stream filtered by actor id would miss it;
//! * STOP comes without an error, before the NOOP event that carries it;
//! * a sequence that succeeds also ends in a FATAL event: its "error" is the final `unix.Reboot(…)`.

use prost::Message;

use super::facts::stage_of;
use super::proto::common::Code;
use super::proto::machine::sequence_event::Action;
use super::proto::machine::{Event, MachineStatusEvent, SequenceEvent};
use crate::facts::Stage;

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
    started: bool,
    /// Whether the machine has been seen in that stage since the sequence began.
    in_stage: bool,
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
            started: false,
            in_stage: false,
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

    /// The next events repeat some that we have seen.
    pub(super) fn rewind(&mut self) {
        self.in_stage = false;
    }

    /// Takes one event.
    pub(super) fn see(&mut self, sighting: &Sighting) -> Verdict {
        match sighting {
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
            Sighting::Stage(stage) if self.started => {
                let was = std::mem::replace(&mut self.in_stage, *stage == self.stage);
                if was && *stage == Stage::Running {
                    Verdict::DidNotHappen("the machine is running again".to_owned())
                } else {
                    Verdict::Open
                }
            }
            Sighting::Restart => Verdict::Happens,
            Sighting::Sequence { .. } | Sighting::Stage(_) | Sighting::Other => Verdict::Open,
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
        fn any_event_is_survived(url in "(talos/runtime/machine\\.(Sequence|MachineStatus|Restart)Event|.{0,20})", value: Vec<u8>, actor_id: String) {
            let data = Some(Any { type_url: url, value });
            let _ = reboot().see(&Sighting::from_event(Event { data, actor_id, ..Event::default() }));
        }
    }

    #[test]
    fn the_greeting_is_nothing() {
        assert_eq!(Sighting::from_event(Event::default()), Sighting::Other);
    }
}
