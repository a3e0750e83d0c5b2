//! Real file systems for tests that freeze: ext4 and XFS on loop devices, a writer on each, a watchdog outside.
//!
//! ```text
//!  test ── Disks: a mount namespace ──┬── Disk: loop device, file system ◄── Writer: create, fsync, every few ms
//!                                     │          ▲                              │ a pulse
//!                                     │          └── thaws ── watchdog ◄────────┘ (a process of its own)
//!                                     └── Disk …
//! ```
//!
//! A frozen root file system would hang the machine for good. So nothing is ever frozen here but loop devices that a
//! test has made, and none for long: a watchdog beside each thaws it when its writer has shown no sign of life for
//! [`LIMIT`], and when the test has died.
//!
//! What a disk needs goes by itself, however a test ends: mounts and backing files are those of the namespace, and
//! the loop device is detached by the kernel when its last user has closed it.

mod disk;
mod namespace;
mod watchdog;
mod writer;

pub use disk::{Disk, Disks, Kind};
pub use writer::Stand;

use std::path::Path;
use std::time::Duration;

/// Nothing stays frozen for longer.
pub const LIMIT: Duration = Duration::from_secs(15);

/// Whether loop devices and file systems can be made here. If not, says so loudly; in CI that is a failure.
///
/// # Panics
///
/// In CI, when they cannot.
pub fn installed() -> bool {
    let missing = if !nix::unistd::Uid::effective().is_root() {
        Some("root")
    } else if !Path::new("/dev/loop-control").exists() {
        Some("/dev/loop-control")
    } else {
        let programs = ["losetup", "mkfs.ext4", "fsfreeze", "bash"];
        programs.into_iter().find(|program| !is_here(program))
    };
    missing.is_none_or(left_out)
}

/// The kinds of file systems that can be made here. If XFS cannot, says so loudly; in CI that is a failure.
///
/// # Panics
///
/// In CI, when XFS cannot.
pub fn kinds() -> Vec<Kind> {
    let xfs = is_here("mkfs.xfs") || left_out("mkfs.xfs (package xfsprogs)");
    let xfs = xfs.then_some(Kind::Xfs);
    [Kind::Ext4].into_iter().chain(xfs).collect()
}

fn is_here(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

fn left_out(missing: &str) -> bool {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing} is missing, and this is CI"
    );
    eprintln!("\n*** SKIP: {missing} is missing; `make test` installs it where it can ***\n");
    false
}
