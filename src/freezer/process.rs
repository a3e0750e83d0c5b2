//! The process: its rights, its socket, its clock.

use std::io;
use std::os::fd::AsFd as _;
use std::time::Duration;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

use super::filter;
use super::memory;
use super::node::Node;
use super::run::Freezer;
use crate::freeze::message::{DeviceName, Devices, How};
use crate::freeze::{Buffer, Command, Report};

/// The socket.
const SOCKET: i32 = nix::libc::STDIN_FILENO;
/// What the kernel, `ps` and `top` call it.
const SHORT_NAME: &std::ffi::CStr = c"talos-freezer";
/// What is kept: mounts and freezes ask for the first, nodes of devices for the second. The third opens the root of a
/// volume which a pod has made its own, and closed to others.
const RIGHTS: [Capability; 3] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_MKNOD,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Why it cannot be the freezer. Nothing is frozen then, and the agent sees the end of the socket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The kernel refuses.
    #[error(transparent)]
    Kernel(#[from] Errno),
    /// The kernel refuses to take capabilities away.
    #[error(transparent)]
    Capabilities(#[from] CapsError),
    /// The filter of system calls cannot be made.
    #[error(transparent)]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel does not take it.
    #[error(transparent)]
    Install(#[from] seccompiler::Error),
}

/// Runs until the socket ends, and all is thawed.
pub(super) fn run() -> Result<(), Error> {
    let signals = block_signals()?;
    // For what it is called; nothing hangs on it.
    let _ = prctl::set_name(SHORT_NAME);
    // The kernel may refuse it without CAP_SYS_RESOURCE; then it stays as the container has it.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-1000");
    let node = Node::new();
    let filter = filter::program()?;
    memory::lock();
    drop_rights()?;
    prctl::set_no_new_privs()?;
    memory::let_go_of_the_start();
    seccompiler::apply_filter(&filter)?;
    let problem = node.problem().map(|errno| errno as i32);
    let mut freezer = Freezer::new(node);
    rehearse(&mut freezer);
    report(&mut freezer, &Report::Ready(problem));
    serve(&mut freezer, &signals);
    Ok(())
}

/// No signal interrupts it, and none but SIGKILL ends it; SIGTERM is read.
fn block_signals() -> Result<SignalFd, Errno> {
    SigSet::all().thread_block()?;
    let mut termination = SigSet::empty();
    termination.add(Signal::SIGTERM);
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    SignalFd::with_flags(&termination, flags)
}

/// Keeps [`RIGHTS`] of what is held.
fn drop_rights() -> Result<(), CapsError> {
    let held = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = RIGHTS
        .into_iter()
        .filter(|right| held.contains(right))
        .collect();
    // The bounding set stays without CAP_SETPCAP; it only matters for programs that are executed: none.
    let _ = caps::clear(None, CapSet::Bounding);
    let _ = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)
}

/// Goes the whole way once on the folder of its own, so that no page of it has to be read while something is frozen.
fn rehearse(freezer: &mut Freezer<Node>) {
    let names = ["rehearsal-1", "rehearsal-2"]
        .into_iter()
        .filter_map(DeviceName::new);
    let Some(devices) = Devices::new(names) else {
        return;
    };
    let (run, how, limit) = (0, How::Freeze, Duration::from_secs(1));
    let freeze = Command::Freeze {
        run,
        how,
        limit,
        devices,
    };
    let mut buffer: Buffer = [0; _];
    freezer.file_systems().set_rehearsing(true);
    for command in [freeze, Command::Thaw] {
        let command = Command::decode(command.encode(&mut buffer));
        if let Some(command) = command {
            freezer.handle_command(&command, now());
        }
        while freezer.poll_timeout().is_some_and(|time| time <= now()) {
            if let Some(report) = freezer.step(now()) {
                report.encode(&mut buffer);
            }
        }
    }
    freezer.file_systems().set_rehearsing(false);
}

fn serve(freezer: &mut Freezer<Node>, signals: &SignalFd) {
    while !freezer.is_over() {
        if freezer.takes_commands() {
            receive(freezer);
        }
        if let Ok(Some(_)) = signals.read_signal() {
            freezer.handle_termination(now());
        }
        if let Some(done) = freezer.step(now()) {
            report(freezer, &done);
        }
        wait(freezer, signals);
    }
}

/// Takes the next command, if there is one. What is none has the same effect as the end of the socket.
fn receive(freezer: &mut Freezer<Node>) {
    let mut buffer: Buffer = [0; _];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let command = match recv(SOCKET, &mut buffer, flags) {
        Err(Errno::EAGAIN | Errno::EINTR) => return,
        Ok(length) => buffer.get(..length).and_then(Command::decode),
        Err(_) => None,
    };
    match command {
        Some(command) => {
            if let Some(done) = freezer.handle_command(&command, now()) {
                report(freezer, &done);
            }
        }
        None => freezer.handle_end(now()),
    }
}

/// Never waits: who does not take what is reported is gone.
fn report(freezer: &mut Freezer<Node>, report: &Report) {
    let mut buffer: Buffer = [0; _];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    if send(SOCKET, report.encode(&mut buffer), flags).is_err() {
        freezer.handle_end(now());
    }
}

/// Returns when there is something to do, or may be.
fn wait(freezer: &Freezer<Node>, signals: &SignalFd) {
    let time = freezer.poll_timeout();
    if time == Some(Duration::ZERO) || freezer.is_over() {
        return;
    }
    let time = time.map(|time| TimeSpec::from(time.saturating_sub(now())));
    let stdin = io::stdin();
    let mut ready = [
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
    ];
    // The end of a socket is always news.
    let (without_socket, _) = ready.split_at_mut(1);
    let wanted = if freezer.is_ending() {
        without_socket
    } else {
        &mut ready
    };
    let _ = ppoll(wanted, time, None);
}

/// The time since boot.
#[allow(
    clippy::disallowed_methods,
    reason = "this process has a clock of its own"
)]
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .map(Duration::from)
        .unwrap_or_default()
}
