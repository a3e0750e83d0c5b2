//! The system calls that may be made, by name, and with which arguments.
//!
//! Found by running everything under the filter and looking at what it denies: glibc 2.36, static and
//! dynamic, both ways to Talos, both transports, names looked up over DNS. A call that those runs do not make says
//! here who makes it; what only the runtime makes, before the sandbox is entered, is not on the list.
//! `docs/sandbox.md` lists the same, and a test compares the two.

/// A system call that may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// On the processor that the list is for.
    pub(super) number: i32,
    /// What its arguments must be.
    pub(super) arguments: Arguments,
}

/// What the arguments of a call must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Anything.
    Any,
    /// A thread of this process, and no namespace (flags first).
    Thread,
    /// Memory that is not executable (protection third).
    NotExecutable,
    /// A file that is there, to read from; where the host has a port, to write to as well (flags third).
    Existing,
    /// A family of sockets that the configuration asks for.
    Socket,
    /// Nothing, unless vsock may be used: only there a source port is chosen.
    SourcePort,
    /// Options of sockets, TCP and IP, not of firewalls (level second).
    SocketOption,
    /// Non-blocking, how much there is to read (request second).
    Ioctl,
    /// Flags of descriptors, and copies of them (command second).
    Fcntl,
    /// The name of a thread (option first).
    ThreadName,
    /// This process (process first): how abort() ends it.
    OwnProcess,
}

/// The calls of one kind of processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Those that may be made.
    pub(super) allowed: &'static [Call],
    /// clone3, which answers "not implemented": its flags are in memory, where no filter sees them, and glibc
    /// takes clone then.
    pub(super) clone3: i32,
    /// socket, which answers the same for netlink: glibc looks for addresses of this machine there, to sort
    /// those of others, and can do without.
    pub(super) socket: i32,
}

/// Expands to the table for the numbers of one kind of processor; calls that only it has come last.
macro_rules! table {
    ($numbers:path; $($only:ident),*) => {{
        use $numbers as Numbers;
        use Arguments::*;
        macro_rules! call {
            ($name:ident) => { call!($name, Any) };
            ($name:ident, $arguments:expr) => {
                Call { number: Numbers::$name as i32, arguments: $arguments }
            };
        }
        Table {
            allowed: &[
                // Files and the host's port.
                call!(openat, Existing),
                call!(read),
                call!(lseek),
                // glibc opens a folder with it from 2.39 on, and with newfstatat before.
                call!(fstat),
                call!(statx),
                // The names of the kernel's disks.
                call!(getdents64),
                call!(close),
                call!(inotify_init1),
                call!(inotify_add_watch),
                // Sockets, and the log.
                call!(socket, Socket),
                call!(bind, SourcePort),
                call!(connect),
                call!(getsockname),
                // glibc, before it uses a TCP connection to a name server once more.
                call!(getpeername),
                call!(getsockopt),
                call!(setsockopt, SocketOption),
                call!(sendto),
                call!(sendmmsg),
                call!(recvfrom),
                call!(write),
                call!(writev),
                call!(shutdown),
                call!(fcntl, Fcntl),
                call!(ioctl, Ioctl),
                // Waiting, and the time.
                call!(epoll_ctl),
                call!(timerfd_create),
                call!(timerfd_settime),
                call!(clock_gettime),
                // The kernel, when a stop has interrupted a wait that has an end.
                call!(restart_syscall),
                // Children of others that process 1 inherits, when they end.
                call!(wait4),
                // Memory.
                call!(brk),
                call!(mmap, NotExecutable),
                call!(mprotect, NotExecutable),
                call!(mremap),
                call!(munmap),
                call!(madvise),
                // Threads: names are looked up in one, passwords checked in one.
                call!(clone, Thread),
                call!(clone3),
                call!(prctl, ThreadName),
                call!(futex),
                call!(rseq),
                call!(set_robust_list),
                call!(sched_getaffinity),
                // Channels of std and tokio, when two threads meet in one.
                call!(sched_yield),
                call!(gettid),
                // Signals, and the end.
                call!(rt_sigaction),
                call!(rt_sigprocmask),
                call!(rt_sigreturn),
                call!(sigaltstack),
                call!(tgkill, OwnProcess),
                call!(getpid),
                call!(exit),
                call!(exit_group),
                // This machine.
                call!(getrandom),
                call!(uname),
                $(call!($only),)*
            ],
            clone3: Numbers::clone3 as i32,
            socket: Numbers::socket as i32,
        }
    }};
}

/// amd64. The last ones, but for the first, are older forms that glibc uses where there are any.
#[cfg(any(test, target_arch = "x86_64"))]
pub(super) const AMD64: Table =
    table!(syscalls::x86_64::Sysno; newfstatat, epoll_wait, poll, readlink);

/// arm64. The last ones are what it has in place of amd64's.
#[cfg(any(test, target_arch = "aarch64"))]
pub(super) const ARM64: Table =
    table!(syscalls::aarch64::Sysno; fstatat, epoll_pwait, ppoll, readlinkat);

/// This processor.
#[cfg(target_arch = "x86_64")]
pub(super) const HERE: Table = AMD64;
/// This processor.
#[cfg(target_arch = "aarch64")]
pub(super) const HERE: Table = ARM64;

/// The name of a call of this processor; `None` for a number that is none, such as those of x32.
pub(super) fn name(number: u32) -> Option<&'static str> {
    let call = syscalls::Sysno::new(usize::try_from(number).ok()?)?;
    Some(call.name())
}
