//! The few kernel calls that nix does not wrap the way a tracer of arbitrary programs needs them: signals
//! by number (real-time ones included), waiting for one thread's own children, the seccomp filter.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_long, pid_t, siginfo_t, user_regs_struct};
use nix::sys::ptrace;
use nix::unistd::Pid;

/// What `waitpid` says of a stopped or ended thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Exited(i32),
    Killed(i32),
    Stopped { signal: i32, event: i32 },
}

/// Waits for any thread this thread traces. `None` when there is none left.
pub(crate) fn wait_any() -> io::Result<Option<(pid_t, Wait)>> {
    let mut status: c_int = 0;
    loop {
        // SAFETY: `status` outlives the call and is the only memory it writes.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
        if pid > 0 {
            break Ok(Some((pid, decode(status))));
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::ECHILD) => break Ok(None),
            _ => break Err(error),
        }
    }
}

fn decode(status: c_int) -> Wait {
    if libc::WIFEXITED(status) {
        Wait::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Wait::Killed(libc::WTERMSIG(status))
    } else {
        Wait::Stopped {
            signal: libc::WSTOPSIG(status),
            event: status >> 16,
        }
    }
}

/// How a stopped thread goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resume {
    Run,
    /// Until the system call it is in is done.
    ToSyscallExit,
}

/// Lets a stopped thread go on with a signal (0: none). A thread that is gone is no error.
pub(crate) fn resume(pid: pid_t, how: Resume, signal: i32) {
    let request = match how {
        Resume::Run => libc::PTRACE_CONT,
        Resume::ToSyscallExit => libc::PTRACE_SYSCALL,
    };
    // SAFETY: these requests take a number as data and touch no memory of ours.
    unsafe { libc::ptrace(request, pid, 0, c_long::from(signal)) };
}

pub(crate) fn registers(pid: pid_t) -> nix::Result<user_regs_struct> {
    ptrace::getregs(Pid::from_raw(pid))
}

pub(crate) fn set_registers(pid: pid_t, registers: user_regs_struct) -> nix::Result<()> {
    ptrace::setregs(Pid::from_raw(pid), registers)
}

pub(crate) fn signal_info(pid: pid_t) -> nix::Result<siginfo_t> {
    ptrace::getsiginfo(Pid::from_raw(pid))
}

pub(crate) fn event_message(pid: pid_t) -> nix::Result<i64> {
    ptrace::getevent(Pid::from_raw(pid))
}

/// Installs a filter for this thread and what it starts. Async-signal-safe.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> io::Result<()> {
    let fprog = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, `len` entries at `filter`, both alive during the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const fprog,
            0,
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A descriptor of a process, as one of ours for the same open file.
pub(crate) fn descriptor_of(process: pid_t, fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes two numbers and returns a new descriptor, or -1.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) };
    let pidfd = new_descriptor(pidfd)?;
    // SAFETY: pidfd_getfd takes three numbers and returns a new descriptor, or -1.
    let copy = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) };
    new_descriptor(copy)
}

/// Makes `to` a copy of `from` that outlives an exec. Async-signal-safe.
pub(crate) fn copy_descriptor(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: dup2 takes two numbers; whoever calls this owns neither beyond the exec.
    if unsafe { libc::dup2(from, to) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn new_descriptor(result: c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as RawFd) })
}
