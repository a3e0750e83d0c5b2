//! guest-fsfreeze-*: nothing is ever frozen. To freeze no file system is a success, as without it hosts make no
//! snapshot of a machine that has an agent.

use serde_json::json;

use super::arguments::Arguments;
use super::known::Known;
use super::step::Step;
use crate::qemu::qmp::Error;

/// guest-fsfreeze-status.
pub(super) fn status(_: &Known) -> Result<Step, Error> {
    Ok(Step::Reply(json!("thawed")))
}

/// guest-fsfreeze-freeze and guest-fsfreeze-thaw: the number of file systems.
pub(super) fn none(_: &Known) -> Result<Step, Error> {
    Ok(Step::Reply(json!(0)))
}

/// guest-fsfreeze-freeze-list: the same for some mount points.
pub(super) fn freeze_list(known: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
    arguments.optional_texts("mountpoints")?;
    arguments.only(&["mountpoints"])?;
    none(known)
}
