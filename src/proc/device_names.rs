//! Where the node's disks are attached, in the words of VMware and of QEMU, and the kernel's names of what is mapped:
//! Talos reports where a disk is, the kernel what is there.

use std::collections::BTreeMap;
use std::fs;

use super::{Kernel, read};
use crate::facts::{Disk, DiskAddress, Storage};

/// Looks the disks up, once for each set of disks.
#[derive(Debug, Default)]
pub struct DeviceNames {
    kernel: Kernel,
    known: Option<Vec<Disk>>,
    names: BTreeMap<String, String>,
    addresses: BTreeMap<String, DiskAddress>,
}

impl DeviceNames {
    /// Adds names and addresses to the disks.
    pub fn complete(&mut self, storage: &mut Storage) {
        if self.known != storage.disks {
            self.known.clone_from(&storage.disks);
            let disks = || storage.disks.iter().flatten();
            self.names = disks()
                .filter_map(|disk| Some((disk.path.clone(), self.kernel.device_name(disk)?)))
                .collect();
            self.addresses = disks()
                .filter_map(|disk| Some((disk.path.clone(), self.kernel.disk_address(disk)?)))
                .collect();
        }
        if storage.device_names != self.names {
            storage.device_names.clone_from(&self.names);
        }
        if storage.disk_addresses != self.addresses {
            storage.disk_addresses.clone_from(&self.addresses);
        }
        // Each time: the number of a mapped device may be another after its volume was closed.
        storage.mapped = match names_mapped(storage) {
            true => self.kernel.mapped(),
            false => BTreeMap::new(),
        };
    }
}

/// Below it are links to mapped devices.
const MAPPER: &str = "/dev/mapper/";

/// Whether a device is known by the name of a link alone.
fn names_mapped(storage: &Storage) -> bool {
    let mounts = storage.mounts.iter().flatten().map(|mount| &mount.source);
    let volumes = storage.volumes.iter().flatten();
    let volumes = volumes.map(|volume| &volume.mount_location);
    let spaces = storage.spaces.iter().flatten().map(|space| &space.device);
    let mut all = mounts.chain(volumes).chain(spaces);
    all.any(|path| path.starts_with(MAPPER))
}

impl Kernel {
    /// `/dev/dm-N` of each mapped device by the path of its link.
    fn mapped(&self) -> BTreeMap<String, String> {
        let folder = self.sys.join("class/block");
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let devices = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mapped = devices.filter(|device| device.starts_with("dm-"));
        mapped
            .filter_map(|device| {
                let name = read(&folder.join(&device).join("dm/name"))?;
                Some((
                    format!("{MAPPER}{}", name.trim_end()),
                    format!("/dev/{device}"),
                ))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::facts::{Mount, Volume};
    use crate::proc::folder::Folder;

    fn storage(path: &str) -> Storage {
        Storage {
            disks: Some(vec![Disk {
                path: path.into(),
                bus_path: "/pci0000:00/0000:00:10.0/host0/target0:0:3/0:0:3:0".into(),
                ..Disk::default()
            }]),
            ..Storage::default()
        }
    }

    #[test]
    fn what_is_mapped_has_the_kernels_name_where_only_its_link_is_known() {
        let folder = Folder::new(&[
            ("class/block/dm-0/dm/name", "luks2-STATE\n"),
            ("class/block/dm-1/dm/name", "luks2-EPHEMERAL\n"),
            ("class/block/sda/size", "1\n"),
        ]);
        let mut names = DeviceNames {
            kernel: Kernel::at("/nonexistent", &folder.0),
            ..DeviceNames::default()
        };
        let mut storage = Storage {
            volumes: Some(vec![Volume {
                mount_location: "/dev/dm-1".into(),
                ..Volume::default()
            }]),
            ..Storage::default()
        };
        names.complete(&mut storage);
        assert!(storage.mapped.is_empty(), "not looked for");
        storage.mounts = Some(BTreeSet::from([Mount {
            source: "/dev/mapper/luks2-STATE".into(),
            ..Mount::default()
        }]));
        names.complete(&mut storage);
        let expected = [("luks2-STATE", "dm-0"), ("luks2-EPHEMERAL", "dm-1")];
        let expected = expected
            .map(|(name, device)| (format!("/dev/mapper/{name}"), format!("/dev/{device}")));
        assert_eq!(storage.mapped, BTreeMap::from(expected));
        fs::write(folder.0.join("class/block/dm-0/dm/name"), "luks2-u-data\n").unwrap();
        names.complete(&mut storage);
        let device = storage.mapped.get("/dev/mapper/luks2-u-data");
        assert_eq!(device.map(String::as_str), Some("/dev/dm-0"));
    }

    #[test]
    fn names_follow_the_disks() {
        let mut names = DeviceNames {
            kernel: Kernel::at("/nonexistent", "/nonexistent"),
            ..DeviceNames::default()
        };
        for path in ["/dev/sda", "/dev/sda", "/dev/sdb"] {
            let mut storage = storage(path);
            names.complete(&mut storage);
            let expected = BTreeMap::from([(path.to_owned(), "scsi0:3".to_owned())]);
            assert_eq!(storage.device_names, expected);
        }
        let mut none = Storage::default();
        names.complete(&mut none);
        assert!(none.device_names.is_empty());
    }
}
