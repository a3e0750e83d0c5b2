//! guest-sync, guest-sync-delimited and guest-info: answered whatever Talos does.

use serde_json::json;

use super::arguments::Arguments;
use super::known::Known;
use super::table::{self, Step};
use crate::qemu::qmp::Error;

/// guest-sync: says the number back, so that the host knows which replies are its own.
pub(super) fn sync(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    let id = arguments.integer("id")?;
    arguments.only(&["id"])?;
    Ok(Step::Reply(id.into()))
}

/// guest-sync-delimited: the same behind a byte that no reply has.
pub(super) fn sync_delimited(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    let id = arguments.integer("id")?;
    arguments.only(&["id"])?;
    Ok(Step::Delimited(id.into()))
}

/// guest-info: who we are, and what may be asked.
pub(super) fn info(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.only(&[])?;
    Ok(Step::Reply(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "supported_commands": table::list(),
    })))
}
