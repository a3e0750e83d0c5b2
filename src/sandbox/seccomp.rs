//! The filter of system calls: seccomp, compiled by seccompiler.
//!
//! ```text
//! call ──► on the list, arguments as they must be ───► the kernel
//!      ├─► clone3, socket(AF_NETLINK) ───────────────► ENOSYS: there is another way, and it is taken
//!      └─► everything else ──► enforce: SIGSYS ──► EPERM, and the number is noted (`denied`)
//!                          └─► warn: the kernel, and a line in its audit log
//! ```
//! Two programs, because a program of seccompiler has one answer for all its calls; the kernel takes the stricter.

use nix::libc::{
    self, AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, AF_VSOCK, CLONE_NEWCGROUP, CLONE_NEWIPC,
    CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, CLONE_SIGHAND,
    CLONE_THREAD, CLONE_VM, PROT_EXEC, SOCK_DGRAM, SOCK_STREAM,
};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use super::calls::{Arguments, Call, HERE, Table};
use super::needs::{Needs, Network};
use crate::traps::DeniedCallGuard;

/// The bits of a socket's type that are no flags (SOCK_TYPE_MASK of the kernel).
const TYPE_MASK: u64 = 0xf;
/// Flags that make an open more than reading an existing file.
const CHANGES: i32 = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
/// Flags of clone that a new thread has.
const SHARED: i32 = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
/// Flags of clone that it must not have: new namespaces.
const NAMESPACES: i32 = CLONE_NEWNS
    | CLONE_NEWCGROUP
    | CLONE_NEWUTS
    | CLONE_NEWIPC
    | CLONE_NEWUSER
    | CLONE_NEWPID
    | CLONE_NEWNET;

/// What happens to a call that is not on the list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Otherwise {
    /// It fails with EPERM and is noted; the guard proves that the signal's handler is installed.
    Denied(DeniedCallGuard),
    /// It is allowed; the kernel's audit log names it.
    Logged,
}

/// Installs the filter for this thread and those it starts, for good.
///
/// # Errors
/// The kernel has no seccomp, or another sandbox refuses it; the reason in one phrase.
pub(super) fn install(needs: &Needs, otherwise: Otherwise) -> Result<(), String> {
    let arch = if cfg!(target_arch = "x86_64") {
        TargetArch::x86_64
    } else {
        TargetArch::aarch64
    };
    let action = match otherwise {
        Otherwise::Denied(_) => SeccompAction::Trap,
        Otherwise::Logged => SeccompAction::Log,
    };
    let programs = [
        elsewhere(&HERE, arch),
        allowed(&HERE, arch, needs, std::process::id(), action),
    ];
    for program in programs {
        let program = program.map_err(|error| error.to_string())?;
        seccompiler::apply_filter(&program).map_err(|error| match error {
            seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
                crate::log::Chain(&error).to_string()
            }
            error => error.to_string(),
        })?;
    }
    Ok(())
}

/// What is left, as one phrase.
pub(super) fn text(needs: &Needs) -> String {
    let calls = HERE.allowed.iter();
    let allowed = calls.filter(|call| matches!(rules(call.arguments, needs, 0), Ok(Some(_))));
    format!("{} system calls", allowed.count())
}

/// The program for calls that glibc can do without.
fn elsewhere(table: &Table, arch: TargetArch) -> Result<BpfProgram, BackendError> {
    let netlink = SeccompRule::new(vec![equals(0, AF_NETLINK)?])?;
    let rules = [
        (i64::from(table.clone3), Vec::new()),
        (i64::from(table.socket), vec![netlink]),
    ];
    let not_implemented = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules.into(), SeccompAction::Allow, not_implemented, arch)?.try_into()
}

/// The program for the list.
fn allowed(
    table: &Table,
    arch: TargetArch,
    needs: &Needs,
    process: u32,
    otherwise: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let mut chains = std::collections::BTreeMap::new();
    for &Call { number, arguments } in table.allowed {
        if let Some(rules) = rules(arguments, needs, process)? {
            chains.insert(i64::from(number), rules);
        }
    }
    SeccompFilter::new(chains, otherwise, SeccompAction::Allow, arch)?.try_into()
}

/// The rules for the arguments, of which one must hold; an empty list allows anything. `None` for a call that
/// is not needed.
fn rules(
    arguments: Arguments,
    needs: &Needs,
    process: u32,
) -> Result<Option<Vec<SeccompRule>>, BackendError> {
    let one_of = |index: u8, values: &[u64]| -> Result<_, BackendError> {
        values
            .iter()
            .map(|&value| SeccompRule::new(vec![is(index, value)?]))
            .collect::<Result<Vec<_>, _>>()
    };
    let rules = match arguments {
        Arguments::Any => Vec::new(),
        Arguments::Thread => {
            let flags = masked(0, SHARED | NAMESPACES, SHARED)?;
            vec![SeccompRule::new(vec![flags])?]
        }
        Arguments::NotExecutable => vec![SeccompRule::new(vec![masked(2, PROT_EXEC, 0)?])?],
        Arguments::Existing => {
            let written = needs.port.as_ref().map(|_| libc::O_RDWR);
            let modes = [libc::O_RDONLY].into_iter().chain(written);
            let rule = |mode| SeccompRule::new(vec![masked(2, CHANGES, mode)?]);
            modes.map(rule).collect::<Result<_, _>>()?
        }
        Arguments::Socket => sockets(needs)?,
        Arguments::SourcePort if needs.vsock => Vec::new(),
        Arguments::SourcePort => return Ok(None),
        Arguments::SocketOption => one_of(
            1,
            &[
                libc::SOL_SOCKET,
                libc::IPPROTO_TCP,
                libc::IPPROTO_IP,
                libc::IPPROTO_IPV6,
            ]
            .map(unsigned),
        )?,
        Arguments::Ioctl => one_of(1, &[libc::FIONBIO, libc::FIONREAD])?,
        Arguments::Fcntl => one_of(
            1,
            &[
                libc::F_GETFL,
                libc::F_SETFL,
                libc::F_GETFD,
                libc::F_SETFD,
                libc::F_DUPFD_CLOEXEC,
            ]
            .map(unsigned),
        )?,
        Arguments::ThreadName => one_of(0, &[unsigned(libc::PR_SET_NAME)])?,
        Arguments::OwnProcess => one_of(0, &[u64::from(process)])?,
    };
    Ok(Some(rules))
}

/// Netlink is among them: it has its own answer.
fn sockets(needs: &Needs) -> Result<Vec<SeccompRule>, BackendError> {
    let mut families = vec![(AF_UNIX, None), (AF_NETLINK, None)];
    if needs.vsock {
        families.push((AF_VSOCK, Some(SOCK_STREAM)));
    }
    if needs.network != Network::None {
        for family in [AF_INET, AF_INET6] {
            families.extend([(family, Some(SOCK_STREAM)), (family, Some(SOCK_DGRAM))]);
        }
    } else if needs.relay {
        // To 127.0.0.1, without a name.
        families.push((AF_INET, Some(SOCK_STREAM)));
    }
    families
        .into_iter()
        .map(|(family, kind)| {
            let mut conditions = vec![equals(0, family)?];
            if let Some(kind) = kind {
                conditions.push(condition(
                    1,
                    SeccompCmpOp::MaskedEq(TYPE_MASK),
                    unsigned(kind),
                )?);
            }
            SeccompRule::new(conditions)
        })
        .collect()
}

fn is(index: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    condition(index, SeccompCmpOp::Eq, value)
}

fn equals(index: u8, value: i32) -> Result<SeccompCondition, BackendError> {
    is(index, unsigned(value))
}

fn masked(index: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    condition(
        index,
        SeccompCmpOp::MaskedEq(unsigned(mask)),
        unsigned(value),
    )
}

/// To the kernel every argument that is checked is 32 bits wide.
fn condition(
    index: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, operator, value)
}

/// The bits of an int, as the kernel has them in its 64-bit argument's lower half.
fn unsigned(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

#[cfg(test)]
mod tests;
