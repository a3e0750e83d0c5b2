//! The node's file systems, and the disks below each.
//!
//! ```text
//! VolumeStatus  EPHEMERAL /dev/sda6, xfs ──┐
//! MountStatus   EPHEMERAL at /var ─────────┼─ Mounts: /dev/sda6 at /var, size, free ──► file system
//! Disk          /dev/sda, its place ───────┘
//! ```
//!
//! Only Talos' own volumes count (STATE, EPHEMERAL, user and existing volumes), each once and at its own mount
//! point: overlays, bind mounts and what pods mount are on top of these and would count twice. A Talos that has
//! no volumes yet (before 1.8) mounts at known places.

use std::collections::BTreeSet;

use crate::facts::{Space, Storage, Volume};

/// A file system as it is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Where it is mounted.
    pub mount_point: String,
    /// Size in bytes.
    pub total: u64,
    /// What an ordinary process can still write, in bytes.
    pub free: u64,
    /// Type as the kernel names it; empty when not known.
    pub file_system: &'static str,
    /// The device that is mounted, such as `/dev/sda6`.
    pub device: String,
    /// Device paths of the disks below; none unless all are known.
    pub disks: Vec<String>,
    /// The VMX' names of these disks; none unless all are known.
    pub devices: Vec<String>,
}

/// The file systems to report, in the order in which they were mounted; `None` while nothing is known.
pub fn file_systems(storage: &Storage) -> Option<Vec<FileSystem>> {
    let spaces = storage.spaces.as_deref()?;
    // Every Talos that knows volumes has some, so none at all means that it has not looked yet.
    let volumes = storage
        .volumes
        .as_deref()
        .filter(|volumes| !volumes.is_empty());
    let mut found: Vec<(usize, FileSystem)> = match volumes {
        Some(volumes) => volumes
            .iter()
            .filter_map(|volume| of_volume(volume, storage, spaces))
            .collect(),
        None => places(spaces)
            .map(|(index, space)| (index, file_system(space, storage, &space.device)))
            .collect(),
    };
    found.sort_by_key(|(index, _)| *index);
    found.dedup_by_key(|(index, _)| *index);
    (!found.is_empty()).then(|| found.into_iter().map(|(_, system)| system).collect())
}

/// A volume's file system, with its place in the list of mounts.
fn of_volume(volume: &Volume, storage: &Storage, spaces: &[Space]) -> Option<(usize, FileSystem)> {
    let device = match volume.mount_location.as_str() {
        "" => volume.location.as_str(),
        device => device,
    };
    let targets: Vec<&str> = storage
        .mounts
        .iter()
        .flatten()
        .filter(|mount| mount.volume == volume.id)
        .map(|mount| mount.target.as_str())
        .collect();
    let usable = || {
        let spaces = spaces.iter().enumerate();
        spaces.filter(|(_, space)| space.total > 0)
    };
    let is_target = |space: &Space| targets.contains(&space.mount_point.as_str());
    // The same device may be mounted again elsewhere (a bind mount); Talos' own mount came first. A device
    // may also have another name in the list of mounts than in the status.
    let (index, space) = usable()
        .find(|(_, space)| space.device == device && is_target(space))
        .or_else(|| usable().find(|(_, space)| is_device(space) && is_target(space)))
        .or_else(|| usable().find(|(_, space)| is_device(space) && space.device == device))?;
    let below = match volume.parent_location.as_str() {
        "" => volume.location.as_str(),
        parent => parent,
    };
    let system = FileSystem {
        file_system: volume.file_system,
        ..file_system(space, storage, below)
    };
    Some((index, system))
}

/// What an older Talos has mounted: /var, the state, and disks of the machine config.
pub fn known_places(storage: &Storage) -> impl Iterator<Item = &Space> {
    places(storage.spaces.as_deref().unwrap_or_default()).map(|(_, space)| space)
}

/// The same with their places in the list of mounts.
fn places(spaces: &[Space]) -> impl Iterator<Item = (usize, &Space)> {
    let is_place =
        |path: &str| path == "/var" || path == "/system/state" || path.starts_with("/var/mnt/");
    let mut seen = BTreeSet::new();
    spaces
        .iter()
        .enumerate()
        .filter(|(_, space)| space.total > 0 && is_device(space))
        // The first mount of a device is the real one.
        .filter(move |(_, space)| seen.insert(space.device.as_str()))
        .filter(move |(_, space)| is_place(&space.mount_point))
}

fn is_device(space: &Space) -> bool {
    space.device.starts_with("/dev/") && !space.device.starts_with("/dev/loop")
}

fn file_system(space: &Space, storage: &Storage, device: &str) -> FileSystem {
    let disks = disks_below(storage, device).unwrap_or_default();
    let names = disks
        .iter()
        .map(|path| storage.device_names.get(path).cloned());
    FileSystem {
        mount_point: space.mount_point.clone(),
        total: space.total,
        free: space.free.min(space.total),
        file_system: "",
        device: space.device.clone(),
        devices: names.collect::<Option<_>>().unwrap_or_default(),
        disks,
    }
}

/// The disks below a device; `None` unless they are known.
fn disks_below(storage: &Storage, device: &str) -> Option<Vec<String>> {
    let disks = storage.disks.as_deref().unwrap_or_default();
    let disk = disks
        .iter()
        .find(|disk| disk.path == device)
        .or_else(|| disks.iter().find(|disk| is_partition(device, &disk.path)))?;
    let below = disk.secondaries.iter().map(|id| format!("/dev/{id}"));
    Some(if disk.secondaries.is_empty() {
        vec![disk.path.clone()]
    } else {
        below.collect()
    })
}

/// Whether `device` is a partition of `disk`: `/dev/sda6`, `/dev/nvme0n1p6`.
fn is_partition(device: &str, disk: &str) -> bool {
    let Some(number) = device.strip_prefix(disk) else {
        return false;
    };
    let number = match disk.ends_with(|last: char| last.is_ascii_digit()) {
        true => number.strip_prefix('p').unwrap_or_default(),
        false => number,
    };
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::facts::{Disk, Mount};

    fn space(device: &str, mount_point: &str, total: u64, free: u64) -> Space {
        Space {
            device: device.into(),
            mount_point: mount_point.into(),
            total,
            free,
        }
    }

    fn volume(id: &str, location: &str, parent: &str, file_system: &'static str) -> Volume {
        Volume {
            id: id.into(),
            location: location.into(),
            parent_location: parent.into(),
            mount_location: location.into(),
            file_system,
        }
    }

    fn mount(volume: &str, target: &str) -> Mount {
        Mount {
            volume: volume.into(),
            target: target.into(),
            ..Mount::default()
        }
    }

    fn disk(path: &str) -> Disk {
        Disk {
            path: path.into(),
            ..Disk::default()
        }
    }

    /// STATE and EPHEMERAL on sda, a user volume on nvme0n1, and what a node with pods mounts beside.
    fn node() -> Storage {
        let spaces = vec![
            space("overlay", "/", 100, 0),
            space("/dev/loop0", "/", 100, 0),
            space("/dev/sda5", "/system/state", 100, 90),
            space("/dev/sda6", "/var", 8000, 5000),
            space("/dev/sda6", "/opt", 8000, 5000),
            space("overlay", "/etc/cni", 8000, 5000),
            space("/dev/nvme0n1p1", "/var/mnt/data", 700, 300),
            space("tmpfs", "/run", 50, 50),
            space("/dev/sdz", "/var/lib/kubelet/plugins/csi/globalmount", 9, 9),
            space(
                "/dev/sda6",
                "/var/lib/kubelet/pods/1/volume-subpaths/x",
                8000,
                5000,
            ),
        ];
        let volumes = vec![
            volume("EPHEMERAL", "/dev/sda6", "/dev/sda", "xfs"),
            volume("STATE", "/dev/sda5", "/dev/sda", "xfs"),
            volume("u-data", "/dev/nvme0n1p1", "/dev/nvme0n1", "ext4"),
        ];
        Storage {
            volumes: Some(volumes),
            mounts: Some(BTreeSet::from([
                mount("EPHEMERAL", "/var"),
                mount("STATE", "/system/state"),
                mount("u-data", "/var/mnt/data"),
            ])),
            disks: Some(vec![disk("/dev/sda"), disk("/dev/nvme0n1")]),
            spaces: Some(spaces),
            device_names: BTreeMap::from([
                ("/dev/sda".into(), "scsi0:0".into()),
                ("/dev/nvme0n1".into(), "nvme0:1".into()),
            ]),
            ..Storage::default()
        }
    }

    fn summary(storage: &Storage) -> Vec<String> {
        let systems = file_systems(storage).unwrap_or_default();
        let line = |system: &FileSystem| {
            let FileSystem {
                mount_point,
                total,
                free,
                file_system,
                devices,
                ..
            } = system;
            format!(
                "{mount_point} {free}/{total} {file_system} {}",
                devices.join(",")
            )
        };
        systems.iter().map(line).collect()
    }

    #[test]
    fn volumes_are_reported_once_and_nothing_else_is() {
        assert_eq!(
            summary(&node()),
            [
                "/system/state 90/100 xfs scsi0:0",
                "/var 5000/8000 xfs scsi0:0",
                "/var/mnt/data 300/700 ext4 nvme0:1",
            ]
        );
    }

    #[test]
    fn nothing_is_reported_before_it_is_known() {
        assert_eq!(file_systems(&Storage::default()), None);
        let storage = Storage {
            spaces: None,
            ..node()
        };
        assert_eq!(file_systems(&storage), None);
        let storage = Storage {
            spaces: Some(vec![space("/dev/sda6", "/var", 0, 0)]),
            ..node()
        };
        assert_eq!(file_systems(&storage), None);
    }

    #[test]
    fn an_encrypted_volume_is_found_by_what_decrypts_it_and_named_by_its_disk() {
        let mut storage = node();
        for (device, volume) in [("/dev/dm-0", 0), ("/dev/mapper/luks2-STATE", 1)] {
            storage.volumes.as_mut().unwrap()[volume].mount_location = device.into();
        }
        let spaces = storage.spaces.as_mut().unwrap();
        for space in spaces.iter_mut() {
            match space.device.as_str() {
                "/dev/sda6" => space.device = "/dev/dm-0".into(),
                // The kernel's name here, the link's name there.
                "/dev/sda5" => space.device = "/dev/dm-1".into(),
                _ => {}
            }
        }
        assert_eq!(summary(&storage), summary(&node()));
    }

    #[test]
    fn without_mount_statuses_the_first_mount_of_a_device_counts() {
        // Talos 1.8 and 1.9.
        let storage = Storage {
            mounts: None,
            ..node()
        };
        assert_eq!(summary(&storage), summary(&node()));
    }

    #[test]
    fn without_volumes_the_known_places_count() {
        for volumes in [None, Some(Vec::new())] {
            let storage = Storage {
                volumes,
                mounts: None,
                ..node()
            };
            assert_eq!(
                summary(&storage),
                [
                    "/system/state 90/100  scsi0:0",
                    "/var 5000/8000  scsi0:0",
                    "/var/mnt/data 300/700  nvme0:1",
                ]
            );
        }
    }

    #[test]
    fn a_volume_on_several_disks_has_all_their_names_or_none() {
        let mut storage = node();
        storage.volumes.as_mut().unwrap()[2] = volume("u-data", "/dev/dm-3", "", "xfs");
        storage.spaces.as_mut().unwrap()[6].device = "/dev/dm-3".into();
        storage.disks.as_mut().unwrap().push(Disk {
            secondaries: vec!["sdb".into(), "sdc".into()],
            ..disk("/dev/dm-3")
        });
        let names = &mut storage.device_names;
        names.insert("/dev/sdb".into(), "scsi0:1".into());
        assert_eq!(summary(&storage)[2], "/var/mnt/data 300/700 xfs ");
        let names = &mut storage.device_names;
        names.insert("/dev/sdc".into(), "scsi1:0".into());
        assert_eq!(
            summary(&storage)[2],
            "/var/mnt/data 300/700 xfs scsi0:1,scsi1:0"
        );
    }

    #[test]
    fn partitions_are_told_from_other_disks() {
        for (device, disk, is) in [
            ("/dev/sda6", "/dev/sda", true),
            ("/dev/sda", "/dev/sda", false),
            ("/dev/sdaa1", "/dev/sda", false),
            ("/dev/nvme0n1p2", "/dev/nvme0n1", true),
            ("/dev/nvme0n12", "/dev/nvme0n1", false),
            ("/dev/nvme0n1p", "/dev/nvme0n1", false),
        ] {
            assert_eq!(is_partition(device, disk), is, "{device} {disk}");
        }
    }
}
