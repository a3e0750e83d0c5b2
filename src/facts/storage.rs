//! Volumes, mounts and disks of the node, as Talos lists them; [`crate::report`] makes file systems of them.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of the storage; each part is `None` until Talos has reported it once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// Volumes with a file system on a disk, from VolumeStatus, by id.
    pub volumes: Option<Vec<Volume>>,
    /// Where volumes are mounted, from MountStatus.
    pub mounts: Option<BTreeSet<Mount>>,
    /// Disks, from Disk.
    pub disks: Option<Vec<Disk>>,
    /// The kernel's names (`/dev/dm-1`) of what is named by a link (`/dev/mapper/luks2-EPHEMERAL`); from the kernel.
    pub mapped: BTreeMap<String, String>,
    /// All mounts in the kernel's order, from the Mounts call.
    pub spaces: Option<Vec<Space>>,
    /// How the VMX names a disk (`scsi0:0`), by its device path; from the kernel's view of the hardware.
    pub device_names: BTreeMap<String, String>,
    /// Where QEMU has attached a disk, by its device path; likewise.
    pub disk_addresses: BTreeMap<String, DiskAddress>,
}

/// A volume that has a file system of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// `EPHEMERAL`, `STATE`, `u-<name>` …
    pub id: String,
    /// Device with the data, such as `/dev/sda6`.
    pub location: String,
    /// Disk that holds the partition; empty when the volume is a whole disk.
    pub parent_location: String,
    /// Device that is mounted: the location, or what decrypts it.
    pub mount_location: String,
    /// Type of the file system, as the kernel names it.
    pub file_system: &'static str,
}

/// A mounted volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mount {
    /// Id of the volume.
    pub volume: String,
    /// Mount point.
    pub target: String,
    /// What is mounted: a device mostly.
    pub source: String,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Device path, such as `/dev/sda`.
    pub path: String,
    /// Path below /sys/devices, such as `/pci0000:00/0000:00:15.0/0000:03:00.0/host0/target0:0:0/0:0:0:0`.
    pub bus_path: String,
    /// Serial number; empty when it has none.
    pub serial: String,
    /// Names of the disks that this one is put together from, such as `sdb`; mostly none.
    pub secondaries: Vec<String>,
}

/// Where a disk is attached, in the numbers by which QEMU's hosts find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskAddress {
    /// Kind of the bus: `virtio`, `scsi`, `sata`, `ide`, `nvme`.
    pub bus_type: &'static str,
    /// The controller.
    pub controller: PciAddress,
    /// Bus of the controller.
    pub bus: u32,
    /// Target on the bus.
    pub target: u32,
    /// Unit of the target.
    pub unit: u32,
}

/// Place of a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddress {
    /// Domain.
    pub domain: u32,
    /// Bus.
    pub bus: u32,
    /// Slot, which Linux calls the device.
    pub slot: u32,
    /// Function.
    pub function: u32,
}

/// One line of the Mounts call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// The source: a device, or a word such as `overlay`.
    pub device: String,
    /// Where it is mounted.
    pub mount_point: String,
    /// Size in bytes.
    pub total: u64,
    /// What an ordinary process can still write, in bytes.
    pub free: u64,
}
