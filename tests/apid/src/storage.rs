//! Disks, volumes and mounts: resources beside what the Mounts method tells.

use prost::Message as _;

use crate::Apid;
use crate::proto::definitions::block::{
    DiskSpec, MountRequestSpec, MountStatusSpec, VolumeStatusSpec,
};
use crate::proto::definitions::enums::{BlockFilesystemType, BlockVolumeType};
use crate::proto::machine::MountStat;

/// Type of Disk; namespace `runtime`, id is the device's name.
pub const DISK: &str = "Disks.block.talos.dev";
/// Type of VolumeStatus; namespace `runtime`, id is the volume's.
pub const VOLUME_STATUS: &str = "VolumeStatuses.block.talos.dev";
/// Type of MountStatus; namespace `runtime`, id is the volume's.
pub const MOUNT_STATUS: &str = "MountStatuses.block.talos.dev";

const RUNTIME: &str = "runtime";

/// Storage.
impl Apid {
    /// Sets a Disk, `sda` for example, at its place below /sys/devices.
    pub fn set_disk(&self, id: &str, bus_path: &str) {
        let spec = DiskSpec {
            size: 16 << 30,
            model: "Virtual disk".to_owned(),
            serial: format!("serial-of-{id}"),
            bus_path: bus_path.to_owned(),
            dev_path: format!("/dev/{id}"),
            ..DiskSpec::default()
        };
        self.put(DISK, RUNTIME, id, spec.encode_to_vec());
    }

    /// Sets the VolumeStatus of an XFS on a partition such as `/dev/sda6`, and mounts it.
    pub fn set_volume(&self, id: &str, disk: &str, partition: &str, target: &str) {
        let spec = VolumeStatusSpec {
            location: partition.to_owned(),
            parent_location: disk.to_owned(),
            size: 8 << 30,
            filesystem: BlockFilesystemType::FilesystemTypeXfs.into(),
            mount_location: partition.to_owned(),
            r#type: BlockVolumeType::VolumeTypePartition.into(),
        };
        self.put(VOLUME_STATUS, RUNTIME, id, spec.encode_to_vec());
        let mount = MountStatusSpec {
            spec: Some(MountRequestSpec {
                volume_id: id.to_owned(),
            }),
            target: target.to_owned(),
            source: partition.to_owned(),
            read_only: false,
            detached: false,
        };
        self.put(MOUNT_STATUS, RUNTIME, id, mount.encode_to_vec());
    }

    /// Unmounts a volume; Mounts goes on as it is.
    pub fn remove_mount(&self, id: &str) {
        self.destroy(MOUNT_STATUS, RUNTIME, id);
    }

    /// What the Mounts method tells of one mount from now on, whether it was there or not.
    pub fn set_space(&self, device: &str, target: &str, size: u64, available: u64) {
        self.update_node(|node| {
            node.mounts.retain(|mount| mount.mounted_on != target);
            node.mounts.push(MountStat {
                filesystem: device.to_owned(),
                size,
                available,
                mounted_on: target.to_owned(),
            });
        });
    }

    /// The storage of a node on ESXi: one disk at the first parallel SCSI controller with STATE and EPHEMERAL, a
    /// user volume on a second one, and what a node with pods has beside: overlays, bind mounts, a pod's volume.
    pub fn set_esxi_storage(&self) {
        let place = |target: u8| {
            format!("/pci0000:00/0000:00:10.0/host0/target0:0:{target}/0:0:{target}:0")
        };
        self.set_disk("sda", &place(0));
        self.set_disk("sdb", &place(1));
        self.set_disk("loop0", "/virtual");
        self.update_node(|node| node.mounts.clear());
        for (device, target, size, available) in [
            ("overlay", "/", 60 << 20, 0),
            ("/dev/loop0", "/usr", 60 << 20, 0),
            ("tmpfs", "/run", 1 << 30, 1 << 30),
            ("/dev/sda5", "/system/state", 100 << 20, 90 << 20),
            ("/dev/sda6", "/var", 8 << 30, 5 << 30),
            ("/dev/sda6", "/opt", 8 << 30, 5 << 30),
            ("overlay", "/etc/cni", 8 << 30, 5 << 30),
            ("/dev/sdb1", "/var/mnt/data", 20 << 30, 19 << 30),
            (
                "/dev/sdc",
                "/var/lib/kubelet/plugins/csi/globalmount",
                1 << 30,
                1 << 30,
            ),
        ] {
            self.set_space(device, target, size, available);
        }
        self.set_volume("STATE", "/dev/sda", "/dev/sda5", "/system/state");
        self.set_volume("EPHEMERAL", "/dev/sda", "/dev/sda6", "/var");
        self.set_volume("u-data", "/dev/sdb", "/dev/sdb1", "/var/mnt/data");
    }
}
