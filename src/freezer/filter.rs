//! The system calls that the freezer may make; all others fail with EPERM.
//!
//! `docs/sandbox.md` lists the same, and a test compares the two.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use syscalls::Sysno;

use super::ioctl::{FIFREEZE, FITHAW};

/// Flags that make an open more than reading an existing file.
const CHANGES: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
/// FSCONFIG_SET_STRING and FSCONFIG_CMD_CREATE [linux/mount.h].
const FSCONFIG: [u64; 2] = [1, 6];

/// What the arguments of a call must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    /// Anything.
    Any,
    /// A file or folder that is there, to be read (flags third).
    Existing,
    /// The node of a block device (mode third).
    BlockDevice,
    /// The source of a mount, and making it (command second).
    Mount,
    /// FIFREEZE and FITHAW (request second).
    Freeze,
}

/// The calls.
const ALLOWED: [(Sysno, Arguments); 19] = [
    // Commands and reports, waiting, the time.
    (Sysno::recvfrom, Arguments::Any),
    (Sysno::sendto, Arguments::Any),
    (Sysno::ppoll, Arguments::Any),
    (Sysno::read, Arguments::Any),
    (Sysno::clock_gettime, Arguments::Any),
    // The kernel, when a stop has interrupted a wait.
    (Sysno::restart_syscall, Arguments::Any),
    // To the root of a file system.
    (Sysno::openat, Arguments::Existing),
    (Sysno::mknodat, Arguments::BlockDevice),
    (Sysno::unlinkat, Arguments::Any),
    (Sysno::fsopen, Arguments::Any),
    (Sysno::fsconfig, Arguments::Mount),
    (Sysno::fsmount, Arguments::Any),
    (Sysno::fstat, Arguments::Any),
    #[cfg(target_arch = "x86_64")]
    (Sysno::newfstatat, Arguments::Any),
    #[cfg(target_arch = "aarch64")]
    (Sysno::fstatat, Arguments::Any),
    (Sysno::close, Arguments::Any),
    // What it is for.
    (Sysno::ioctl, Arguments::Freeze),
    (Sysno::syncfs, Arguments::Any),
    (Sysno::sync, Arguments::Any),
    // The end.
    (Sysno::exit_group, Arguments::Any),
];

/// The filter, to be installed for good.
pub(super) fn program() -> Result<BpfProgram, BackendError> {
    let arch = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else {
        TargetArch::aarch64
    };
    let mut chains = BTreeMap::new();
    for (call, arguments) in ALLOWED {
        chains.insert(i64::from(call.id()), rules(arguments)?);
    }
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(chains, denied, SeccompAction::Allow, arch)?.try_into()
}

/// The rules for the arguments, of which one must hold; an empty list allows anything.
fn rules(arguments: Arguments) -> Result<Vec<SeccompRule>, BackendError> {
    let masked = |index, mask: u64, value| {
        let operator = SeccompCmpOp::MaskedEq(mask);
        let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    let one_of = |index, values: [u64; 2]| {
        let values = values.into_iter();
        values
            .map(|value| masked(index, u64::from(u32::MAX), value))
            .collect::<Result<_, _>>()
    };
    match arguments {
        Arguments::Any => Ok(Vec::new()),
        Arguments::Existing => Ok(vec![masked(2, u64::from(CHANGES.cast_unsigned()), 0)?]),
        Arguments::BlockDevice => {
            let (kind, block) = (u64::from(libc::S_IFMT), u64::from(libc::S_IFBLK));
            Ok(vec![masked(2, kind, block)?])
        }
        Arguments::Mount => one_of(1, FSCONFIG),
        Arguments::Freeze => one_of(1, [FIFREEZE, FITHAW]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_lists_the_calls_that_the_filter_lets_through() {
        let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md"));
        let (_, rest) = document
            .split_once("<!-- system calls of the freezer: begin -->")
            .unwrap();
        let (listed, _) = rest
            .split_once("<!-- system calls of the freezer: end -->")
            .unwrap();
        let processor = if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        };
        let rows = listed.lines().filter(|line| line.starts_with("| "));
        let here = rows.filter(|row| !row.contains(" alone") || row.contains(processor));
        let cells = here.filter_map(|row| row.split('|').nth(1));
        let documented: BTreeSet<_> = cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        let allowed = ALLOWED.iter().map(|(call, _)| call.name());
        assert_eq!(documented, allowed.collect());
    }

    #[test]
    fn the_program_can_be_made_and_is_short() {
        let program = program().unwrap();
        assert!(program.len() < 200, "{}", program.len());
    }
}
