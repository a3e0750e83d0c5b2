//! Where the node's disks are attached, in the words of VMware and of QEMU: Talos reports where a disk is, the kernel
//! what is there.

use std::collections::BTreeMap;

use super::Kernel;
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
