//! Which file systems are frozen, and in which order.

use super::message::DeviceName;
use crate::facts::Storage;
use crate::report::Glob;

/// A file system to freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Talos' name for it: `EPHEMERAL`, `u-data`.
    pub id: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// The device that is mounted.
    pub device: DeviceName,
}

/// The volumes that are frozen, nested ones first, each device once; `None` while Talos has not listed them.
pub fn volumes(_storage: &Storage, _exclude: &[Glob]) -> Option<Vec<Volume>> {
    None
}
