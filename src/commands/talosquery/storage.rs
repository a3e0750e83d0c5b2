//! The file systems of [`super::View`].

use serde_json::{Value, json};

use super::{columns, list};
use crate::report::FileSystem;

/// What is known of the file systems.
pub(super) fn table(systems: &[FileSystem]) -> String {
    let mut rows = vec![["FILE SYSTEM", "FREE", "SIZE", "TYPE", "DISKS"].map(str::to_owned)];
    rows.extend(systems.iter().map(|system| {
        [
            system.mount_point.clone(),
            mebibytes(system.free),
            mebibytes(system.total),
            system.file_system.to_owned(),
            list(&system.devices),
        ]
    }));
    columns(&rows)
}

/// One file system; sizes in bytes, `type` is `null` where Talos does not say it.
pub(super) fn json(system: &FileSystem) -> Value {
    json!({
        "mount_point": system.mount_point,
        "free": system.free,
        "total": system.total,
        "type": Some(system.file_system).filter(|name| !name.is_empty()),
        "disks": system.devices,
    })
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
