//! How the VMX names a disk, from its place on the buses [diskInfo.c].
//!
//! ```text
//! /pci0000:00/0000:00:15.0/0000:03:00.0/host0/target0:0:1/0:0:1:0    SCSI    label SCSI0, target 1 → scsi0:1
//! …/0000:03:00.0/host0/port-0:2/end_device-0:2/target0:0:2/0:0:2:0   SAS     label, phy-0:N below the port
//! …/0000:02:03.0/ata4/host3/target3:0:0/3:0:0:0                      SATA    label, place among ata* there
//! …/0000:00:07.1/ata2/host1/target1:0:1/1:0:1:0                      IDE     ide<place among ata*>:<target>
//! …/0000:13:00.0/nvme/nvme0                                          NVMe    label NVMe0, namespace − 1
//! ```
//!
//! The `label` of the controller is the firmware's name for it, which is the VMX's on VMware. The old parallel
//! controllers have none; the first of them is at 0000:00:10.0.

use std::path::Path;

use super::{Kernel, read};
use crate::facts::Disk;

/// PCI class of IDE controllers, whatever their programming interface.
pub(super) const IDE: u32 = 0x01_0100;
/// PCI class of SATA controllers with AHCI.
const SATA_AHCI: u32 = 0x01_0601;
/// Where VMware puts the first parallel SCSI controller.
const FIRST_PARALLEL: &str = "0000:00:10.0";
/// What the VMX names its controllers.
const CONTROLLERS: [&str; 4] = ["scsi", "sata", "nvme", "ide"];

impl Kernel {
    /// The VMX's name of a disk, such as `scsi0:1`; `None` when it cannot be found.
    pub fn device_name(&self, disk: &Disk) -> Option<String> {
        let id = disk.path.strip_prefix("/dev/")?;
        if id.is_empty() || id.contains('/') {
            return None;
        }
        let devices = self.sys.join("devices");
        let place: Vec<&str> = disk.bus_path.split('/').filter(|s| !s.is_empty()).collect();
        if place.contains(&"..") {
            return None;
        }
        let controller = place.iter().rposition(|part| is_pci_address(part))?;
        let (path, below) = place.split_at_checked(controller.checked_add(1)?)?;
        let address = path.last()?;
        let folder = devices.join(path.join("/"));
        let unit = match namespace(id) {
            Some(number) => {
                let nsid = self.sys.join("class/block").join(id).join("nsid");
                let number = read(&nsid).map_or(Some(number), |text| text.trim().parse().ok())?;
                number.checked_sub(1)?
            }
            None => {
                let target = target(below.last()?)?;
                let class = read(&folder.join("class")).and_then(|text| hexadecimal(text.trim()));
                match class {
                    Some(class) if class & 0xff_ff00 == IDE => {
                        let channel = ata_place(&folder, below)?;
                        return name("ide", channel, target);
                    }
                    Some(SATA_AHCI) => ata_place(&folder, below)?,
                    _ => phy(&folder, below).unwrap_or(target),
                }
            }
        };
        let label = match read(&folder.join("label")) {
            Some(label) => label.trim().to_ascii_lowercase(),
            None if *address == FIRST_PARALLEL => "scsi0".to_owned(),
            None => return None,
        };
        let digits = label.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let kind = label.strip_suffix(digits)?;
        name(kind, digits.parse().ok()?, unit)
    }
}

/// The name, if the VMX has such controllers.
fn name(kind: &str, controller: u32, unit: u32) -> Option<String> {
    CONTROLLERS
        .contains(&kind)
        .then(|| format!("{kind}{controller}:{unit}"))
}

/// Whether this is domain, bus, device and function: `0000:03:00.0`.
pub(super) fn is_pci_address(part: &str) -> bool {
    let mut numbers = part.splitn(3, ':');
    let hexadecimal = |text: Option<&str>, len| {
        text.is_some_and(|text| {
            text.len() >= len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    let (domain, bus, rest) = (numbers.next(), numbers.next(), numbers.next());
    let Some((device, function)) = rest.and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    hexadecimal(domain, 4)
        && hexadecimal(bus, 2)
        && hexadecimal(Some(device), 2)
        && hexadecimal(Some(function), 1)
}

/// The number of an NVMe namespace in the name of its device: 1 in `nvme0n1`.
fn namespace(id: &str) -> Option<u32> {
    let (controller, namespace) = id.strip_prefix("nvme")?.split_once('n')?;
    controller.parse::<u32>().ok()?;
    namespace.parse().ok()
}

/// The target in host, channel, target and LUN: 1 in `0:0:1:0`.
fn target(part: &str) -> Option<u32> {
    let numbers: Vec<u32> = part
        .split(':')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    match numbers[..] {
        [_, _, target, _] => Some(target),
        _ => None,
    }
}

/// How many ports of the controller come before the one that the disk is on.
pub(super) fn ata_place(controller: &Path, below: &[&str]) -> Option<u32> {
    let port = |name: &str| name.strip_prefix("ata")?.parse::<u32>().ok();
    let own = below.iter().find_map(|part| port(part))?;
    let before = names(controller)
        .iter()
        .filter_map(|name| port(name))
        .filter(|&other| other < own)
        .count();
    u32::try_from(before).ok()
}

/// The number of the phy of a SAS port.
fn phy(controller: &Path, below: &[&str]) -> Option<u32> {
    let port = below.iter().position(|part| part.starts_with("port-"))?;
    let path = below.get(..=port)?.join("/");
    names(&controller.join(path))
        .iter()
        .find_map(|name| name.strip_prefix("phy-")?.split_once(':')?.1.parse().ok())
}

/// What is in a folder, in order.
pub(super) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    names
}

/// A number as sysfs writes it: `0x010700`.
pub(super) fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proc::folder::Folder;

    const PVSCSI: &str = "/pci0000:00/0000:00:15.0/0000:03:00.0";
    const SAS: &str = "/pci0000:00/0000:00:16.0/0000:0b:00.0";
    const AHCI: &str = "/pci0000:00/0000:00:11.0/0000:02:03.0";
    const NVME: &str = "/pci0000:00/0000:00:17.0/0000:13:00.0";

    fn machine() -> Folder {
        let at = |controller: &str, rest: &str| format!("devices{controller}/{rest}");
        let files = [
            (at(PVSCSI, "label"), "SCSI0\n"),
            (at(PVSCSI, "class"), "0x010700\n"),
            (at(SAS, "label"), "SCSI1\n"),
            (at(SAS, "class"), "0x010700\n"),
            (at(SAS, "host2/port-2:5/phy-2:3/x"), ""),
            (at(SAS, "host2/port-2:5/sas_port/x"), ""),
            (at(AHCI, "label"), "sata0\n"),
            (at(AHCI, "class"), "0x010601\n"),
            (at(AHCI, "ata3/x"), ""),
            (at(AHCI, "ata4/x"), ""),
            (at(AHCI, "ata10/x"), ""),
            (at(NVME, "label"), "NVMe0\n"),
            (at("/pci0000:00/0000:00:10.0", "class"), "0x010000\n"),
            (at("/pci0000:00/0000:00:07.1", "class"), "0x01018a\n"),
            (at("/pci0000:00/0000:00:07.1", "ata1/x"), ""),
            (at("/pci0000:00/0000:00:07.1", "ata2/x"), ""),
            (at("/pci0000:00/0000:00:18.0", "label"), "Onboard LAN 1\n"),
            ("class/block/nvme0n3/nsid".to_owned(), "2\n"),
        ];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (&path[..], *text))
            .collect();
        Folder::new(&files)
    }

    #[test]
    fn disks_have_the_names_of_the_vmx() {
        let sys = machine();
        let kernel = Kernel::at("/nonexistent", &sys.0);
        for (path, bus_path, name) in [
            (
                "/dev/sda",
                format!("{PVSCSI}/host0/target0:0:0/0:0:0:0"),
                Some("scsi0:0"),
            ),
            // Some versions of Talos end the path with a slash.
            (
                "/dev/sdb",
                format!("{PVSCSI}/host0/target0:0:12/0:0:12:0/"),
                Some("scsi0:12"),
            ),
            (
                "/dev/sdc",
                format!("{SAS}/host2/port-2:5/end_device-2:5/target2:0:1/2:0:1:0"),
                Some("scsi1:3"),
            ),
            (
                "/dev/sdd",
                format!("{AHCI}/ata10/host9/target9:0:0/9:0:0:0"),
                Some("sata0:2"),
            ),
            (
                "/dev/nvme0n1",
                format!("{NVME}/nvme/nvme0"),
                Some("nvme0:0"),
            ),
            ("/dev/nvme0n2", format!("{NVME}/nvme"), Some("nvme0:1")),
            // sysfs is trusted over the name of the device.
            (
                "/dev/nvme0n3",
                format!("{NVME}/nvme/nvme0"),
                Some("nvme0:1"),
            ),
            (
                "/dev/sde",
                "/pci0000:00/0000:00:10.0/host4/target4:0:2/4:0:2:0".into(),
                Some("scsi0:2"),
            ),
            (
                "/dev/sdf",
                "/pci0000:00/0000:00:07.1/ata2/host5/target5:0:1/5:0:1:0".into(),
                Some("ide1:1"),
            ),
            // An unknown label; no label; no controller; no target.
            (
                "/dev/sdg",
                "/pci0000:00/0000:00:18.0/host0/target0:0:0/0:0:0:0".into(),
                None,
            ),
            (
                "/dev/sdh",
                "/pci0000:00/0000:00:19.0/host0/target0:0:0/0:0:0:0".into(),
                None,
            ),
            ("/dev/loop0", "/virtual".into(), None),
            ("/dev/vda", format!("{PVSCSI}/virtio0"), None),
            ("/dev/sda", format!("{PVSCSI}/../../host0/0:0:0:0"), None),
            ("", String::new(), None),
        ] {
            let disk = Disk {
                path: path.into(),
                bus_path,
                ..Disk::default()
            };
            assert_eq!(kernel.device_name(&disk).as_deref(), name, "{disk:?}");
        }
    }

    proptest! {
        #[test]
        fn any_place_is_answered(path in "(/dev/)?[a-z0-9/.]{0,12}", bus_path in "[a-z0-9:./-]{0,60}") {
            let kernel = Kernel::at("/nonexistent", "/nonexistent");
            let disk = Disk { path, bus_path: format!("/0000:00:10.0/{bus_path}"), ..Disk::default() };
            let _ = kernel.device_name(&disk);
        }
    }
}
