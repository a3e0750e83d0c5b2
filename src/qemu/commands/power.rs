//! guest-ping and guest-shutdown.
//!
//! A host that has an answer to its ping leaves the ACPI button alone, so we answer only while Talos would shut down.

use serde_json::json;

use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::power::PowerOperation;
use crate::qemu::qmp::Error;

/// guest-ping.
pub(super) fn ping(known: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.only(&[])?;
    match &known.power_way {
        Some(Ok(())) => Ok(Step::Reply(json!({}))),
        Some(Err(why)) => Err(Error::Generic(why.clone())),
        None => Err(Error::Generic(super::NOT_AVAILABLE.to_owned())),
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
