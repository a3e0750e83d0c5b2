//! guest-fsfreeze-*: nothing is ever frozen. To freeze no file system is a success, as without it hosts make no
//! snapshot of a machine that has an agent.

use serde_json::json;

use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::qemu::qmp::Error;

/// guest-fsfreeze-status.
pub(super) fn status(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.only(&[])?;
    Ok(Step::Reply(json!("thawed")))
}

/// guest-fsfreeze-freeze: the number of file systems.
pub(super) fn freeze(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.only(&[])?;
    Ok(Step::Reply(json!(0)))
}

/// guest-fsfreeze-freeze-list: the same for some mount points.
pub(super) fn freeze_list(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.optional_texts("mountpoints")?;
    arguments.only(&["mountpoints"])?;
    Ok(Step::Reply(json!(0)))
}

/// guest-fsfreeze-thaw: the number of file systems.
pub(super) fn thaw(_: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.only(&[])?;
    Ok(Step::Reply(json!(0)))
}
