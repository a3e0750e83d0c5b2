//! guest-sync and guest-sync-delimited: answered whatever Talos does.

use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::qemu::qmp::Error;

/// guest-sync: says the number back, so that the host knows which replies are its own.
pub(super) fn sync(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    Ok(Step::Reply(id(arguments)?.into()))
}

/// guest-sync-delimited: the same behind a byte that no reply has.
pub(super) fn sync_delimited(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    Ok(Step::Delimited(id(arguments)?.into()))
}

fn id(arguments: Arguments<'_>) -> Result<i64, Error> {
    let id = arguments.integer("id")?;
    arguments.only(&["id"])?;
    Ok(id)
}
