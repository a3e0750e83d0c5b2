//! Storage: how volumes, mounts and disks become facts.
//!
//! No resource says how much is free: see [`super::super::Client::mounts`].

use prost::Message;

use super::{Kind, Malformed, Source};
use crate::facts::{Disk, Mount, Space, Volume, replace};
use crate::talos::proto::definitions::block::{DiskSpec, MountStatusSpec, VolumeStatusSpec};
use crate::talos::proto::definitions::enums::{BlockFilesystemType, BlockVolumeType};
use crate::talos::proto::machine::MountStat;
use crate::talos::purpose::Purpose;

const RUNTIME: &str = "runtime";

/// Volumes with a file system on a disk; since Talos 1.8.
pub(super) const VOLUMES: Source<Volume> = Source {
    kind: Kind {
        namespace: RUNTIME,
        kind: "VolumeStatuses.block.talos.dev",
    },
    decode: volume,
    publish: |facts, volumes| {
        let volumes = volumes.values().cloned().collect();
        replace(&mut facts.storage.volumes, volumes)
    },
    never_empty: false,
    purpose: Purpose::new("file systems").since(1, 8),
};

/// Where volumes are mounted; since Talos 1.10.
pub(super) const MOUNTS: Source<Mount> = Source {
    kind: Kind {
        namespace: RUNTIME,
        kind: "MountStatuses.block.talos.dev",
    },
    decode: |_, spec| mount(spec),
    publish: |facts, mounts| {
        let mounts = mounts.values().cloned().collect();
        replace(&mut facts.storage.mounts, mounts)
    },
    never_empty: false,
    purpose: Purpose::new("where file systems are mounted").since(1, 10),
};

/// Disks and where they are attached; since Talos 1.8.
pub(super) const DISKS: Source<Disk> = Source {
    kind: Kind {
        namespace: RUNTIME,
        kind: "Disks.block.talos.dev",
    },
    decode: |_, spec| disk(spec),
    publish: |facts, disks| {
        let disks = disks.values().cloned().collect();
        replace(&mut facts.storage.disks, disks)
    },
    never_empty: false,
    purpose: Purpose::new("virtual disks of file systems").since(1, 8),
};

/// Directories, overlays, and what is in memory or on another machine use no space of a disk of this node.
fn volume(id: &str, spec: &[u8]) -> Result<Option<Volume>, Malformed> {
    let spec = VolumeStatusSpec::decode(spec)?;
    if id.is_empty() {
        return Err(Malformed::NoName);
    }
    let on_disk = matches!(
        BlockVolumeType::try_from(spec.r#type),
        Ok(BlockVolumeType::VolumeTypePartition | BlockVolumeType::VolumeTypeDisk)
    );
    let file_system = match BlockFilesystemType::try_from(spec.filesystem) {
        Ok(BlockFilesystemType::FilesystemTypeXfs) => "xfs",
        Ok(BlockFilesystemType::FilesystemTypeVfat) => "vfat",
        Ok(BlockFilesystemType::FilesystemTypeExt4) => "ext4",
        Ok(BlockFilesystemType::FilesystemTypeBtrfs) => "btrfs",
        _ => return Ok(None),
    };
    Ok(on_disk.then(|| Volume {
        id: id.to_owned(),
        location: spec.location,
        parent_location: spec.parent_location,
        mount_location: spec.mount_location,
        file_system,
    }))
}

/// A detached mount has no place in the tree.
fn mount(spec: &[u8]) -> Result<Option<Mount>, Malformed> {
    let spec = MountStatusSpec::decode(spec)?;
    let volume = spec.spec.unwrap_or_default().volume_id;
    let usable = !spec.detached && !volume.is_empty() && !spec.target.is_empty();
    Ok(usable.then_some(Mount {
        volume,
        target: spec.target,
        source: spec.source,
        read_only: spec.read_only,
    }))
}

/// Loop devices come and go with images, and no volume of interest is on one.
fn disk(spec: &[u8]) -> Result<Option<Disk>, Malformed> {
    let spec = DiskSpec::decode(spec)?;
    let is_loop =
        spec.bus_path.trim_end_matches('/') == "/virtual" && spec.secondary_disks.is_empty();
    let is_disk = !is_loop && !spec.dev_path.is_empty();
    Ok(is_disk.then_some(Disk {
        path: spec.dev_path,
        bus_path: spec.bus_path,
        serial: spec.serial,
        secondaries: spec.secondary_disks,
    }))
}

/// A line of the Mounts call. Only devices are kept: a node with many pods has hundreds of other lines.
pub(in crate::talos) fn space(stat: MountStat) -> Option<Space> {
    stat.filesystem.starts_with("/dev/").then_some(Space {
        device: stat.filesystem,
        mount_point: stat.mounted_on,
        total: stat.size,
        free: stat.available,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::proto::definitions::block::MountRequestSpec;

    fn ephemeral() -> VolumeStatusSpec {
        VolumeStatusSpec {
            location: "/dev/sda6".into(),
            parent_location: "/dev/sda".into(),
            size: 8 << 30,
            filesystem: BlockFilesystemType::FilesystemTypeXfs.into(),
            mount_location: "/dev/dm-1".into(),
            r#type: BlockVolumeType::VolumeTypePartition.into(),
        }
    }

    #[test]
    fn a_volume_status_is_read() {
        // Field numbers as block.proto of Talos has them: 2, 7, 9 (varint), 10 (varint 1), 11.
        let spec =
            b"\x12\x09/dev/sda6\x3a\x08/dev/sda\x48\x80\x80\x80\x80\x20\x50\x01\x5a\x09/dev/dm-1";
        assert_eq!(ephemeral().encode_to_vec(), spec);
        assert_eq!(
            volume("EPHEMERAL", spec),
            Ok(Some(Volume {
                id: "EPHEMERAL".into(),
                location: "/dev/sda6".into(),
                parent_location: "/dev/sda".into(),
                mount_location: "/dev/dm-1".into(),
                file_system: "xfs",
            }))
        );
        assert_eq!(volume("", spec), Err(Malformed::NoName));
        assert!(matches!(
            volume("x", b"\x12\x09/dev"),
            Err(Malformed::Protobuf(_))
        ));
    }

    #[test]
    fn only_file_systems_on_disks_are_volumes() {
        let is_volume = |kind: i32, file_system: i32| {
            let spec = VolumeStatusSpec {
                filesystem: file_system,
                r#type: kind,
                ..ephemeral()
            };
            volume("x", &spec.encode_to_vec()).unwrap().is_some()
        };
        for (kind, file_system, is) in [
            (0, 1, true),
            (1, 3, true),
            (1, 7, true),
            (0, 2, true),
            // META has none; ISO, swap, virtiofs.
            (0, 0, false),
            (0, 4, false),
            (0, 5, false),
            (6, 6, false),
            // tmpfs, directory, symlink, overlay, external; unknown ones.
            (2, 1, false),
            (3, 1, false),
            (4, 1, false),
            (5, 1, false),
            (6, 1, false),
            (99, 1, false),
            (0, 99, false),
        ] {
            assert_eq!(is_volume(kind, file_system), is, "{kind} {file_system}");
        }
    }

    #[test]
    fn a_mount_status_is_read() {
        // 1 { 1 }, 2, 3
        let spec = b"\x0a\x0b\x0a\x09EPHEMERAL\x12\x04/var\x1a\x09/dev/sda6";
        let read = Mount {
            volume: "EPHEMERAL".into(),
            target: "/var".into(),
            source: "/dev/sda6".into(),
            read_only: false,
        };
        assert_eq!(mount(spec), Ok(Some(read.clone())));
        let read_only = Mount {
            read_only: true,
            ..read
        };
        assert_eq!(
            mount(&[&spec[..], b"\x28\x01"].concat()),
            Ok(Some(read_only))
        );
        let detached = [&spec[..], b"\x40\x01"].concat();
        assert_eq!(mount(&detached), Ok(None));
        let nowhere = MountStatusSpec {
            spec: Some(MountRequestSpec {
                volume_id: "STATE".into(),
            }),
            ..MountStatusSpec::default()
        };
        assert_eq!(mount(&nowhere.encode_to_vec()), Ok(None));
    }

    #[test]
    fn a_disk_is_read_and_a_loop_device_is_none() {
        let spec = DiskSpec {
            size: 1 << 34,
            model: "Virtual disk".into(),
            serial: "drive-scsi0".into(),
            bus_path: "/pci0000:00/0000:00:10.0/host0/target0:0:0/0:0:0:0".into(),
            transport: "scsi".into(),
            dev_path: "/dev/sda".into(),
            ..DiskSpec::default()
        };
        let read = disk(&spec.encode_to_vec()).unwrap().unwrap();
        assert_eq!(
            (read.path, read.bus_path, read.serial),
            (
                spec.dev_path.clone(),
                spec.bus_path.clone(),
                spec.serial.clone()
            )
        );
        let virtual_disk = DiskSpec {
            bus_path: "/virtual".into(),
            ..spec
        };
        assert_eq!(disk(&virtual_disk.encode_to_vec()), Ok(None));
        let raid = DiskSpec {
            secondary_disks: vec!["sda".into(), "sdb".into()],
            ..virtual_disk
        };
        assert!(disk(&raid.encode_to_vec()).unwrap().is_some());
    }
}
