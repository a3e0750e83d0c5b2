//! guest-get-fsinfo: Talos' own file systems, the last mounted one first.

use std::time::Duration;

use serde_json::{Value, json};

use super::NOT_AVAILABLE;
use super::disks;
use super::known::Known;
use super::step::Step;
use crate::facts::Storage;
use crate::front_end::Subject;
use crate::qemu::qmp::Error;
use crate::report::{FileSystem, file_systems as report};

/// See the module.
pub(super) fn file_systems(_: &Known) -> Result<Step, Error> {
    Ok(Step::Measure(Subject::Space, answer))
}

fn answer(known: &Known, now: Duration) -> Result<Value, Error> {
    let storage = &known.facts.storage;
    if !known.space.holds(now) || storage.spaces.is_none() {
        return Err(Error::Generic(NOT_AVAILABLE.to_owned()));
    }
    let systems = report(storage).unwrap_or_default();
    let rows = systems.iter().rev().map(|system| row(system, storage));
    Ok(rows.collect())
}

fn row(system: &FileSystem, storage: &Storage) -> Value {
    let below = system.disks.iter().filter_map(|path| {
        let mut disks = storage.disks.iter().flatten();
        disks::address(disks.find(|disk| disk.path == *path)?, storage)
    });
    json!({
        "name": system.device.rsplit('/').next(),
        "mountpoint": system.mount_point,
        "type": system.file_system,
        "used-bytes": system.total.saturating_sub(system.free),
        "total-bytes": system.total,
        "disk": below.collect::<Vec<_>>(),
    })
}
