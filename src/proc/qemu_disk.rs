//! Where QEMU has attached a disk, from its place on the buses.
//!
//! ```text
//! /pci0000:00/0000:00:05.0/virtio2                                       virtio-blk: the PCI device is the disk
//! /pci0000:00/0000:00:04.0/virtio1/host0/target0:0:1/0:0:1:3             virtio-scsi: target 1, unit 3
//! /pci0000:00/0000:00:06.0/host2/target2:0:5/2:0:5:0                     another SCSI controller: unit 5
//! /pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:0:0                AHCI: unit is the place among ata* there
//! /pci0000:00/0000:00:01.1/ata2/host1/target1:0:1/1:0:1:0                IDE: bus is the place among ata* there
//! /pci0000:00/0000:00:07.0/nvme/nvme0                                    NVMe: the PCI device is the disk
//! ```
//! These are the numbers that qemu-ga gives, and by which libvirt finds a disk of its own.

use super::Kernel;
use super::hardware::{IDE, ata_place, hexadecimal, is_pci_address};
use super::read;
use crate::facts::{Disk, DiskAddress, PciAddress};

impl Kernel {
    /// Where a disk is attached; `None` when that is not one of these places.
    pub fn disk_address(&self, disk: &Disk) -> Option<DiskAddress> {
        let place: Vec<&str> = disk.bus_path.split('/').filter(|s| !s.is_empty()).collect();
        if place.contains(&"..") {
            return None;
        }
        let controller = place.iter().rposition(|part| is_pci_address(part))?;
        let (path, below) = place.split_at_checked(controller.checked_add(1)?)?;
        let at = |bus_type, bus, target, unit| {
            Some(DiskAddress {
                bus_type,
                controller: pci_address(path.last()?)?,
                bus,
                target,
                unit,
            })
        };
        let starts = |start: &str| below.iter().any(|part| part.starts_with(start));
        let scsi = below.last().and_then(|part| target_and_unit(part));
        match scsi {
            None if starts("nvme") => at("nvme", 0, 0, 0),
            None if starts("virtio") => at("virtio", 0, 0, 0),
            None => None,
            Some((target, unit)) if starts("virtio") => at("scsi", 0, target, unit),
            Some((target, _)) if starts("ata") => {
                let folder = self.sys.join("devices").join(path.join("/"));
                let port = ata_place(&folder, below)?;
                let class = read(&folder.join("class")).and_then(|text| hexadecimal(text.trim()));
                match class? & 0xff_ff00 {
                    IDE => at("ide", port, 0, target),
                    _ => at("sata", 0, 0, port),
                }
            }
            // Behind USB and the like numbers mean something else.
            Some((target, _)) if below.first().is_some_and(|first| first.starts_with("host")) => {
                at("scsi", 0, 0, target)
            }
            Some(_) => None,
        }
    }
}

/// Target and LUN of host, channel, target and LUN: 1 and 3 in `0:0:1:3`.
fn target_and_unit(part: &str) -> Option<(u32, u32)> {
    let numbers: Vec<u32> = part
        .split(':')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    match numbers[..] {
        [_, _, target, unit] => Some((target, unit)),
        _ => None,
    }
}

/// `0000:03:00.0` in numbers.
fn pci_address(part: &str) -> Option<PciAddress> {
    let mut numbers = part
        .split([':', '.'])
        .map(|text| u32::from_str_radix(text, 16).ok());
    let mut next = || numbers.next().flatten();
    Some(PciAddress {
        domain: next()?,
        bus: next()?,
        slot: next()?,
        function: next()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proc::folder::Folder;

    #[test]
    fn disks_have_the_numbers_of_qemu() {
        let sys = Folder::new(&[
            ("devices/pci0000:00/0000:00:1f.2/class", "0x010601\n"),
            ("devices/pci0000:00/0000:00:1f.2/ata1/x", ""),
            ("devices/pci0000:00/0000:00:1f.2/ata2/x", ""),
            ("devices/pci0000:00/0000:00:1f.2/ata10/x", ""),
            ("devices/pci0000:00/0000:00:01.1/class", "0x010180\n"),
            ("devices/pci0000:00/0000:00:01.1/ata7/x", ""),
            ("devices/pci0000:00/0000:00:01.1/ata8/x", ""),
        ]);
        let kernel = Kernel::at("/nonexistent", &sys.0);
        for (bus_path, expected) in [
            (
                "/pci0000:00/0000:00:05.0/virtio2",
                Some(("virtio", 5, 0, 0, 0, 0)),
            ),
            // Some versions of Talos end the path with a slash.
            (
                "/pci0000:00/0000:00:05.0/virtio2/",
                Some(("virtio", 5, 0, 0, 0, 0)),
            ),
            (
                "/pci0000:00/0000:00:04.0/virtio1/host0/target0:0:1/0:0:1:3",
                Some(("scsi", 4, 0, 0, 1, 3)),
            ),
            // Behind a bridge it is the last PCI device that counts.
            (
                "/pci0000:00/0000:00:1e.0/0000:01:06.1/host2/target2:0:5/2:0:5:0",
                Some(("scsi", 6, 1, 0, 0, 5)),
            ),
            (
                "/pci0000:00/0000:00:1f.2/ata10/host9/target9:0:0/9:0:0:0",
                Some(("sata", 0x1f, 2, 0, 0, 2)),
            ),
            (
                "/pci0000:00/0000:00:01.1/ata8/host1/target1:0:1/1:0:1:0",
                Some(("ide", 1, 1, 1, 0, 1)),
            ),
            (
                "/pci0000:00/0000:00:07.0/nvme/nvme0",
                Some(("nvme", 7, 0, 0, 0, 0)),
            ),
            (
                "/pci0000:00/0000:00:08.0/usb1/1-1/1-1:1.0/host3/target3:0:0/3:0:0:0",
                None,
            ),
            (
                "/pci0000:00/0000:00:09.0/ata1/host1/target1:0:0/1:0:0:0",
                None,
            ),
            ("/virtual", None),
            ("/pci0000:00/0000:00:05.0/../virtio2", None),
            ("", None),
        ] {
            let disk = Disk {
                bus_path: bus_path.into(),
                ..Disk::default()
            };
            let found = kernel.disk_address(&disk);
            let found = found.map(|it| {
                let PciAddress { slot, function, .. } = it.controller;
                (it.bus_type, slot, function, it.bus, it.target, it.unit)
            });
            assert_eq!(found, expected, "{bus_path}");
        }
    }

    #[test]
    fn a_pci_address_is_hexadecimal() {
        let expected = PciAddress {
            domain: 0x1_0000,
            bus: 0xaf,
            slot: 0x1f,
            function: 7,
        };
        assert_eq!(pci_address("10000:af:1f.7"), Some(expected));
    }

    proptest! {
        #[test]
        fn any_place_is_answered(bus_path in "[a-z0-9:./-]{0,60}") {
            let kernel = Kernel::at("/nonexistent", "/nonexistent");
            let disk = Disk { bus_path: format!("/0000:00:10.0/{bus_path}"), ..Disk::default() };
            let _ = kernel.disk_address(&disk);
        }
    }
}
