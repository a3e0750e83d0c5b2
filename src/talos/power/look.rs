//! What the machine is doing at the moment of a power call, and whether anything could be drained.

use std::time::Duration;

use tokio::time::timeout;

use crate::facts::{Facts, MachineType, Stage};
use crate::talos::client::Client;
use crate::talos::error::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What Talos said last of the machine; it counts where Talos does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastWord {
    /// What the machine was doing.
    pub stage: Option<Stage>,
    /// Its role in its cluster.
    pub machine_type: Option<MachineType>,
}

impl LastWord {
    /// As the facts have it.
    pub fn of(facts: &Facts) -> Self {
        Self {
            stage: facts.stage,
            machine_type: facts.node.machine_type,
        }
    }
}

/// The machine just before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// What it is doing.
    pub(super) stage: Stage,
    /// Why nothing can be drained, if that is so. Talos 1.6.0 to 1.7.5 crashes if it is asked to drain in maintenance
    /// mode (siderolabs/talos#9017).
    pub(super) undrainable: Option<&'static str>,
}

/// Looks at the machine.
///
/// # Errors
/// When the call would not arrive either.
pub(super) async fn look(client: &Client, known: LastWord) -> Result<Look, Error> {
    let machine_type = async {
        match known.machine_type {
            Some(known) => Ok(Some(Some(known))),
            None => said(client.machine_type()).await,
        }
    };
    let (stage, machine_type) = tokio::try_join!(biased; said(client.stage()), machine_type)?;
    let stage = stage.or(known.stage).unwrap_or(Stage::Unknown);
    Ok(Look {
        stage,
        undrainable: undrainable(stage, machine_type.flatten()),
    })
}

/// What Talos says, if it does so in time.
async fn said<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(error)) if error.is_connection() => Err(error),
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

const fn undrainable(stage: Stage, machine_type: Option<MachineType>) -> Option<&'static str> {
    match (stage, machine_type) {
        (Stage::Maintenance, _) => Some("the machine is in maintenance mode"),
        (Stage::Unknown, _) => Some("Talos does not say what the machine is doing"),
        (_, None) => Some("the machine has no machine type"),
        (_, Some(_)) => None,
    }
}
