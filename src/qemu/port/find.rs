//! Finds the port: in sysfs by its name, and then its node, which a container has to make for itself.
//!
//! ```text
//! /sys/class/virtio-ports/vport0p1/name: org.qemu.guest_agent.0        …/dev: 244:1
//!   ─► /dev/virtio-ports/org.qemu.guest_agent.0, else /dev/vport0p1, else mknod of /dev/vport0p1
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::PortError;

/// What the hypervisor calls the port.
pub const NAME: &str = "org.qemu.guest_agent.0";
/// virtio's number of a console or serial device.
const VIRTIO_CONSOLE: &str = "0x0003";
/// PCI's of the vendor of virtio devices.
const PCI_VENDOR: &str = "0x1af4";
/// PCI's of that device, older and newer.
const PCI_CONSOLE: [&str; 2] = ["0x1003", "0x1043"];

/// Where the kernel's views are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// sysfs.
    pub sys: PathBuf,
    /// The nodes of devices.
    pub dev: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            sys: "/sys".into(),
            dev: "/dev".into(),
        }
    }
}

/// The port as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// The kernel's name of it, such as `vport0p1`.
    pub(super) name: String,
    /// The number of its device.
    pub(super) number: u64,
}

impl Roots {
    /// The port of the guest agent, if the hypervisor has plugged one in and the driver is there.
    pub(super) fn port(&self) -> Option<Listed> {
        let mut ports = entries(&self.sys.join("class/virtio-ports"));
        ports.find_map(|port| {
            if text(&port.join("name"))? != NAME {
                return None;
            }
            let numbers = text(&port.join("dev"))?;
            let (major, minor) = numbers.split_once(':')?;
            Some(Listed {
                name: port.file_name()?.to_str()?.to_owned(),
                number: makedev(major.parse().ok()?, minor.parse().ok()?),
            })
        })
    }

    /// Whether the port is there, or a virtio-serial device that may get it: its driver may still be missing.
    pub fn has_port_or_device(&self) -> bool {
        self.port().is_some() || self.has_device()
    }

    /// Whether there is a virtio-serial device.
    fn has_device(&self) -> bool {
        let is = |path: PathBuf, values: &[&str]| {
            text(&path).is_some_and(|text| values.contains(&text.as_str()))
        };
        let on_virtio = entries(&self.sys.join("bus/virtio/devices"))
            .any(|device| is(device.join("device"), &[VIRTIO_CONSOLE]));
        on_virtio
            || entries(&self.sys.join("bus/pci/devices")).any(|device| {
                is(device.join("vendor"), &[PCI_VENDOR]) && is(device.join("device"), &PCI_CONSOLE)
            })
    }

    /// The node of the port that is named, or else of the one that is found by its name; `None` while there is none.
    ///
    /// # Errors
    /// What is named is no port, or the node cannot be made.
    pub fn look(&self, named: Option<&Path>) -> Result<Option<PathBuf>, PortError> {
        let Some(path) = named else {
            let node = self.port().map(|port| self.node(&port));
            return node.transpose().map_err(PortError::NoNode);
        };
        match device_number(path) {
            Ok(_) => Ok(Some(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(PortError::Refused {
                    path: path.to_owned(),
                    source: error,
                })
            }
            Err(_) => Err(PortError::NoDevice(path.to_owned())),
        }
    }

    /// The node of a port, made if there is none.
    fn node(&self, port: &Listed) -> io::Result<PathBuf> {
        let own = self.dev.join(&port.name);
        for path in [self.dev.join("virtio-ports").join(NAME), own.clone()] {
            if device_number(&path).ok() == Some(port.number) {
                return Ok(path);
            }
        }
        // Of a port that was there before.
        let _ = fs::remove_file(&own);
        mknod(
            &own,
            SFlag::S_IFCHR,
            Mode::S_IRUSR | Mode::S_IWUSR,
            port.number,
        )?;
        Ok(own)
    }
}

/// The number of the device that a node leads to.
///
/// # Errors
/// There is no node ([`io::ErrorKind::NotFound`]), or it is none of a character device
/// ([`io::ErrorKind::InvalidInput`]).
pub(super) fn device_number(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    if metadata.file_type().is_char_device() {
        Ok(metadata.rdev())
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
