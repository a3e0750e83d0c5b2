//! The file systems of the node, which are mounted in none of the agent's places.
//!
//! ```text
//! /sys/class/block/NAME/dev ─► mknod in a folder of our own ─► fsopen, fsconfig, fsmount ─► root
//! ```
//! For a device that is mounted already, the kernel gives the very file system that the node has. The mount is attached
//! nowhere, and is gone when its root is closed; the folder is memory that only this process can reach.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::libc::dev_t;
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknod};
use nix::unistd::{UnlinkatFlags, fchdir, unlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::ioctl;
use super::path::Path;
use super::run::{FileSystems, Unopened};
use crate::freeze::message::DeviceName;

/// The file systems that can be frozen, as the kernel names them.
const KINDS: [&CStr; 2] = [c"xfs", c"ext4"];
/// The node of the device that is being opened, in the folder of our own.
const DEVICE: &CStr = c"device";

/// The real ones.
#[derive(Debug)]
pub(super) struct Node {
    /// Whether there is the folder, or why not.
    folder: Result<(), Errno>,
    is_rehearsing: bool,
}

impl Node {
    /// Makes the folder and goes there.
    pub(super) fn new() -> Self {
        Self {
            folder: folder(),
            is_rehearsing: false,
        }
    }

    /// Whether the folder takes the place of every file system: it cannot be frozen, and all that is done for a freeze is
    /// done.
    pub(super) const fn set_rehearsing(&mut self, is_rehearsing: bool) {
        self.is_rehearsing = is_rehearsing;
    }

    /// Why nothing can be opened.
    pub(super) fn problem(&self) -> Option<Errno> {
        self.folder.err()
    }

    fn open_root(&self, device: &DeviceName) -> Result<OwnedFd, Unopened> {
        self.folder.map_err(Unopened::Refused)?;
        let name = device.as_str();
        let kind = KINDS.into_iter().find(|kind| is_mounted(kind, name));
        let kind = kind.ok_or(Unopened::NotMounted)?;
        let number = number(name).map_err(|errno| match errno {
            Errno::ENOENT => Unopened::NotMounted,
            errno => Unopened::Refused(errno),
        })?;
        self.root(kind, number)
    }

    /// The root of what is mounted of this kind from this device.
    fn root(&self, kind: &CStr, number: dev_t) -> Result<OwnedFd, Unopened> {
        let mount = with_node(number, || mount(kind, DEVICE)).map_err(|errno| match errno {
            // Not as a file system that can be written: it is mounted read-only. Or it is in use as something else.
            Errno::EBUSY => Unopened::NotMounted,
            errno => Unopened::Refused(errno),
        })?;
        let root = root_of(mount).map_err(Unopened::Refused)?;
        match fstat(root.as_fd()) {
            Ok(status) if status.st_dev == number || self.is_rehearsing => Ok(root),
            Ok(_) => Err(Unopened::Refused(Errno::ENXIO)),
            Err(errno) => Err(Unopened::Refused(errno)),
        }
    }
}

impl FileSystems for Node {
    type Root = OwnedFd;

    fn open(&mut self, device: &DeviceName) -> Result<OwnedFd, Unopened> {
        if self.is_rehearsing {
            let _ = number(device.as_str());
            self.root(c"tmpfs", makedev(0, 0))
        } else {
            self.open_root(device)
        }
    }

    fn sync(&mut self, root: &OwnedFd) -> Result<(), Errno> {
        nix::unistd::syncfs(root)
    }

    fn sync_all(&mut self) {
        nix::unistd::sync();
    }

    fn freeze(&mut self, root: &OwnedFd) -> Result<(), Errno> {
        match ioctl::freeze(root) {
            Err(Errno::EOPNOTSUPP) if self.is_rehearsing => Ok(()),
            frozen => frozen,
        }
    }

    fn thaw(&mut self, root: &OwnedFd) -> Result<(), Errno> {
        ioctl::thaw(root)
    }
}

/// How a folder is opened.
const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_CLOEXEC);
/// Nothing is made by an open.
const NO_MODE: Mode = Mode::empty();

/// Makes a folder in memory that is attached nowhere, and makes it the working directory: there is always a place
/// for a node, whatever of the container may be written, and nothing stays behind.
fn folder() -> Result<(), Errno> {
    let folder = mount(c"tmpfs", c"freezer")?;
    fchdir(root_of(folder)?)
}

/// A mount that is attached nowhere.
fn mount(kind: &CStr, source: &CStr) -> Result<OwnedFd, Errno> {
    let mount = || {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(context.as_fd(), c"source", source)?;
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::empty();
        fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    mount().map_err(|errno| Errno::from_raw(errno.raw_os_error()))
}

fn root_of(mount: OwnedFd) -> Result<OwnedFd, Errno> {
    openat(mount, c".", FOLDER, NO_MODE)
}

/// Does something while there is a node of this device.
fn with_node<T>(number: dev_t, act: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    mknod(DEVICE, SFlag::S_IFBLK, Mode::S_IRUSR, number)?;
    let result = act();
    unlinkat(AT_FDCWD, DEVICE, UnlinkatFlags::NoRemoveDir)?;
    result
}

/// Whether the kernel has a file system of this kind on this device: what it has not must not be mounted by us.
fn is_mounted(kind: &CStr, name: &str) -> bool {
    let kind = kind.to_str().unwrap_or_default();
    let place = Path::new(&["/sys/fs/", kind, "/", name]);
    place.is_some_and(|place| open(place.as_c_str(), FOLDER, NO_MODE).is_ok())
}

/// The number of a device, as the kernel writes it: `8:6` and the end of a line.
fn number(name: &str) -> Result<dev_t, Errno> {
    let place = Path::new(&["/sys/class/block/", name, "/dev"]).ok_or(Errno::ENAMETOOLONG)?;
    let file = open(place.as_c_str(), OFlag::O_CLOEXEC, NO_MODE)?;
    let mut text = [0; 32];
    let length = nix::unistd::read(file, &mut text)?;
    let text = text.get(..length).unwrap_or_default();
    parse(text).ok_or(Errno::EINVAL)
}

fn parse(text: &[u8]) -> Option<dev_t> {
    let (major, minor) = std::str::from_utf8(text)
        .ok()?
        .trim_ascii_end()
        .split_once(':')?;
    Some(makedev(major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_device_is_read_as_the_kernel_writes_it() {
        assert_eq!(parse(b"8:6\n"), Some(makedev(8, 6)));
        assert_eq!(parse(b"259:0\n"), Some(makedev(259, 0)));
        for text in [&b""[..], b"8\n", b":\n", b"8:x\n", b"\xff:1"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_device_that_is_not_mounted_is_not_opened() {
        let node = Node {
            folder: Ok(()),
            is_rehearsing: false,
        };
        let name = DeviceName::new("no-such-device").unwrap();
        assert_eq!(node.open_root(&name).unwrap_err(), Unopened::NotMounted);
    }
}
