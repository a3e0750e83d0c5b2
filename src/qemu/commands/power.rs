//! guest-ping and guest-shutdown.
//!
//! A host that has an answer to its ping leaves the ACPI button alone, so we answer only while Talos would shut down.

use serde_json::json;

use super::NOT_AVAILABLE;
use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::power::{Obstacle, PowerOperation};
use crate::qemu::qmp::Error;

/// guest-ping.
pub(super) fn ping(known: &Known) -> Result<Step, Error> {
    match &known.power_way {
        Some(Ok(())) => Ok(Step::Reply(json!({}))),
        Some(Err(Obstacle::Refused(why))) => Err(Error::Generic(why.clone())),
        Some(Err(Obstacle::Unreachable(why))) => {
            Err(Error::Generic(format!("{NOT_AVAILABLE}: {why}")))
        }
        None => Err(Error::Generic(NOT_AVAILABLE.to_owned())),
    }
}

/// guest-shutdown. Talos has no halt that leaves the machine switched on.
pub(super) fn shutdown(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    let mode = arguments.optional_text("mode")?;
    arguments.only(&["mode"])?;
    match mode {
        None | Some("powerdown" | "halt") => Ok(Step::Power(PowerOperation::Shutdown)),
        Some("reboot") => Ok(Step::Power(PowerOperation::Reboot)),
        // The closing parenthesis is missing in qemu-ga, too.
        Some(_) => Err(Error::Generic(
            "mode is invalid (valid values are: halt|powerdown|reboot".to_owned(),
        )),
    }
}
