//! Which file systems are frozen, and in which order.

use std::cmp::Reverse;

use super::message::{DeviceName, Devices, MOST_DEVICES};
use crate::facts::{Facts, Storage};
use crate::report::{Glob, known_places};

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

/// Why it is not certain what is to be frozen; then nothing is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlisted {
    /// Talos has not answered.
    #[error("Talos has not listed the volumes yet")]
    NotYet,
    /// A volume whose device has no name in the kernel that we know.
    #[error("the device of the volume {0} is not known")]
    NoDevice(String),
    /// More than fit into one command.
    #[error(
        "there are {0} volumes, and no more than {MOST_DEVICES} are frozen together; leave some out by quiesce.exclude"
    )]
    TooMany(usize),
}

/// First Talos with MountStatus.
const WITH_MOUNTS: (u32, u32) = (1, 10);

/// Where the volumes of a Talos before that are mounted.
const OLD_PLACES: [(&str, &str); 2] = [("EPHEMERAL", "/var"), ("STATE", "/system/state")];

/// File systems that can be frozen. The freezer sees of these alone whether they are mounted (/sys/fs).
const TYPES: [&str; 2] = ["xfs", "ext4"];

/// The volumes that are frozen, nested ones first, each device once.
///
/// # Errors
/// It is not certain which they are.
pub fn volumes(facts: &Facts, exclude: &[Glob]) -> Result<Vec<Volume>, Unlisted> {
    Ok(without(all(facts)?, exclude))
}

/// Those that no pattern means, by id or mount point.
pub(super) fn without(mut volumes: Vec<Volume>, exclude: &[Glob]) -> Vec<Volume> {
    volumes.retain(|volume| {
        let is_meant = |glob: &Glob| glob.matches(&volume.id) || glob.matches(&volume.mount_point);
        !exclude.iter().any(is_meant)
    });
    volumes
}

/// Every volume that can be frozen, in order.
pub(super) fn all(facts: &Facts) -> Result<Vec<Volume>, Unlisted> {
    let storage = &facts.storage;
    let mut found = match &storage.mounts {
        Some(_) => mounted(storage)?,
        None => at_old_places(facts)?,
    };
    // The outermost mount point of a device is the one to keep.
    found.sort_by_key(|volume| depth(&volume.mount_point));
    let mut once: Vec<Volume> = Vec::new();
    for volume in found {
        if once.iter().all(|known| known.device != volume.device) {
            once.push(volume);
        }
    }
    once.reverse();
    once.sort_by_key(|volume| Reverse(depth(&volume.mount_point)));
    Ok(once)
}

/// The names for a command.
///
/// # Errors
/// There are too many.
pub(super) fn devices(volumes: &[Volume]) -> Result<Devices, Unlisted> {
    let devices = volumes.iter().map(|volume| volume.device);
    Devices::new(devices).ok_or(Unlisted::TooMany(volumes.len()))
}

/// What Talos itself has mounted, and can be written to.
fn mounted(storage: &Storage) -> Result<Vec<Volume>, Unlisted> {
    let volumes = storage.volumes.as_deref().ok_or(Unlisted::NotYet)?;
    let mut found = Vec::new();
    for mount in storage.mounts.iter().flatten().filter(|it| !it.read_only) {
        let volume = volumes.iter().find(|volume| volume.id == mount.volume);
        let Some(volume) = volume.filter(|volume| TYPES.contains(&volume.file_system)) else {
            continue;
        };
        let paths = [&mount.source, &volume.mount_location, &volume.location];
        found.push(named(storage, &volume.id, &mount.target, &paths)?);
    }
    Ok(found)
}

/// What is known of a Talos that does not say what it has mounted: the places are always the same.
fn at_old_places(facts: &Facts) -> Result<Vec<Volume>, Unlisted> {
    let storage = &facts.storage;
    let talos = facts.talos.as_ref().ok_or(Unlisted::NotYet)?;
    if release(&talos.tag).is_none_or(|release| release >= WITH_MOUNTS) {
        return Err(Unlisted::NotYet);
    }
    let mut found = Vec::new();
    for volume in storage.volumes.iter().flatten() {
        let place = OLD_PLACES.iter().find(|(id, _)| *id == volume.id);
        let Some((_, target)) = place.filter(|_| TYPES.contains(&volume.file_system)) else {
            continue;
        };
        let paths = [&volume.mount_location, &volume.location];
        found.push(named(storage, &volume.id, target, &paths)?);
    }
    // Before 1.8, and disks of the machine config.
    for space in known_places(storage) {
        let paths = [&space.device];
        found.push(named(
            storage,
            &space.mount_point,
            &space.mount_point,
            &paths,
        )?);
    }
    match found.is_empty() {
        true => Err(Unlisted::NotYet),
        false => Ok(found),
    }
}

/// A volume on the first of `paths` that says anything.
fn named(
    storage: &Storage,
    id: &str,
    mount_point: &str,
    paths: &[&String],
) -> Result<Volume, Unlisted> {
    let path = paths.iter().find(|path| path.starts_with("/dev/"));
    let kernels = path.map(|path| storage.mapped.get(*path).unwrap_or(path));
    let device = kernels
        .and_then(|path| path.strip_prefix("/dev/"))
        .and_then(DeviceName::new)
        .ok_or_else(|| Unlisted::NoDevice(id.to_owned()))?;
    Ok(Volume {
        id: id.to_owned(),
        mount_point: mount_point.to_owned(),
        device,
    })
}

/// How deep a mount point is nested.
fn depth(mount_point: &str) -> usize {
    mount_point
        .split('/')
        .filter(|part| !part.is_empty())
        .count()
}

/// Major and minor of a tag such as `v1.13.0`.
fn release(tag: &str) -> Option<(u32, u32)> {
    let mut numbers = tag.strip_prefix('v')?.split('.');
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests;
