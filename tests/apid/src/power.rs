//! Reboot and Shutdown: accepted at once, carried out (or not) afterwards.

use std::sync::Arc;

use tonic::{Code, Status};

use crate::proto::common;
use crate::proto::definitions::enums::RuntimeMachineStage;
use crate::proto::machine::machine_status_event::{MachineStage, MachineStatus};
use crate::proto::machine::sequence_event::Action;
use crate::proto::machine::{MachineStatusEvent, SequenceEvent};
use crate::resources::set_stage;
use crate::sequence::{self, Sequences};
use crate::shared::Shared;

/// What becomes of a Reboot or Shutdown that may be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PowerBehaviour {
    /// Accepted; the sequence starts (event START, the stage changes) and goes on for ever.
    #[default]
    Accept,
    /// Accepted, but another sequence is running: only a LOCKED event, without an actor id, tells.
    AcceptLocked,
    /// Accepted; the sequence starts and fails at once: a FATAL event, the stage is running again.
    AcceptFail,
    /// Accepted and nothing is seen of it, as with an API whose events are lost.
    AcceptSilently,
    /// Accepted; the sequence starts, the answer is delivered, then the API goes away as by `stop`.
    AcceptThenDie,
    /// The sequence starts and the API goes away before the answer is out.
    DieBeforeReply,
    /// Refused as in a container (docker): FailedPrecondition.
    ContainerMode,
    /// Accepted and carried out in phases, one sequence at a time.
    Sequences(Sequences),
}

/// Runs `reboot` or `shutdown`, which may be forced; returns the actor id.
pub(crate) fn run(
    shared: &Arc<Shared>,
    sequence: &'static str,
    force: bool,
) -> Result<String, Status> {
    let behaviour = *shared.power();
    let actor = shared.new_actor();
    match behaviour {
        PowerBehaviour::ContainerMode => {
            return Err(Status::failed_precondition(
                "method is not supported in container mode",
            ));
        }
        PowerBehaviour::AcceptSilently => {}
        PowerBehaviour::AcceptLocked => {
            locked_out(shared, sequence);
        }
        PowerBehaviour::AcceptFail => {
            start(shared, sequence, &actor);
            let text = "sequence failed: error running phase 1 in sequence: task failed";
            fail(shared, sequence, &actor, common::Code::Fatal, text);
            set_stage(shared, RuntimeMachineStage::MachineStageRunning, true);
        }
        PowerBehaviour::Accept => start(shared, sequence, &actor),
        PowerBehaviour::Sequences(sequences) => {
            sequence::run(shared, sequences, sequence, force, &actor);
        }
        PowerBehaviour::AcceptThenDie => {
            start(shared, sequence, &actor);
            shared.store.end_watches(Code::Unavailable, "shutting down");
            shared.events.end(Code::Unavailable, "shutting down");
            shared.door.close_gently();
        }
        PowerBehaviour::DieBeforeReply => {
            start(shared, sequence, &actor);
            shared.door.close();
        }
    }
    shared.changed.changed();
    Ok(actor)
}

/// Another sequence runs, and this one may not take its place.
pub(crate) fn locked_out(shared: &Shared, sequence: &str) {
    let text = "sequence not started: locked";
    fail(shared, sequence, "", common::Code::Locked, text);
}

/// A sequence begins, and the machine is in its stage.
pub(crate) fn start(shared: &Shared, sequence: &str, actor: &str) {
    shared.begun(sequence);
    shared.events.publish(
        actor,
        &SequenceEvent {
            sequence: sequence.to_owned(),
            action: Action::Start.into(),
            error: None,
        },
    );
    let (stage, resource) = if sequence == "reboot" {
        (
            MachineStage::Rebooting,
            RuntimeMachineStage::MachineStageRebooting,
        )
    } else {
        (
            MachineStage::ShuttingDown,
            RuntimeMachineStage::MachineStageShuttingDown,
        )
    };
    shared.events.publish(
        "",
        &MachineStatusEvent {
            stage: stage.into(),
            status: Some(MachineStatus::default()),
        },
    );
    set_stage(shared, resource, false);
}

/// A sequence ends with an error, or does not begin.
pub(crate) fn fail(shared: &Shared, sequence: &str, actor: &str, code: common::Code, text: &str) {
    shared.events.publish(
        actor,
        &SequenceEvent {
            sequence: sequence.to_owned(),
            action: Action::Noop.into(),
            error: Some(common::Error {
                code: code.into(),
                message: text.to_owned(),
                details: Vec::new(),
            }),
        },
    );
}
