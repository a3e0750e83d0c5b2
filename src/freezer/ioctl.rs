//! FIFREEZE and FITHAW.

// See the JUSTIFICATION at each block.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd as _};

use nix::errno::Errno;
use nix::libc::c_int;

/// The request of FIFREEZE [linux/fs.h].
pub(super) const FIFREEZE: u64 = nix::request_code_readwrite!(b'X', 119, size_of::<c_int>());
/// The request of FITHAW [linux/fs.h].
pub(super) const FITHAW: u64 = nix::request_code_readwrite!(b'X', 120, size_of::<c_int>());

nix::ioctl_write_int_bad!(
    /// Its argument means nothing to the kernel.
    fifreeze,
    FIFREEZE
);
nix::ioctl_write_int_bad!(
    /// Its argument means nothing to the kernel.
    fithaw,
    FITHAW
);

/// Has a file system wait with all that is written to it; returns once what was written before is on the disk.
pub(super) fn freeze(root: impl AsFd) -> Result<(), Errno> {
    // JUSTIFICATION: no crate has a safe call for it.
    // SAFETY: the descriptor is open, and the kernel reads and writes no memory of ours.
    unsafe { fifreeze(root.as_fd().as_raw_fd(), 0) }.map(drop)
}

/// Lets a file system go on.
pub(super) fn thaw(root: impl AsFd) -> Result<(), Errno> {
    // JUSTIFICATION: no crate has a safe call for it.
    // SAFETY: the descriptor is open, and the kernel reads and writes no memory of ours.
    unsafe { fithaw(root.as_fd().as_raw_fd(), 0) }.map(drop)
}
