//! Starts the program: sandbox, filter, ptrace, exec.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::ptrace;
use nix::unistd;

use super::{filter, serial, sys};
use crate::SerialPort;

/// How the program is kept apart from this machine.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// A PID namespace of its own: the program is process 1 there, and all it starts dies with it.
    pub pid_namespace: bool,
    /// A network namespace of its own, with nothing in it.
    pub net_namespace: bool,
    /// Bind mounts, source over target, in a mount namespace of its own.
    pub binds: Vec<(PathBuf, PathBuf)>,
    /// Empty file systems over these folders.
    pub hidden: Vec<PathBuf>,
    /// The whole tree read-only.
    pub read_only: bool,
    /// The root folder.
    pub chroot: Option<PathBuf>,
    /// The user and group to become.
    pub user: Option<u32>,
    /// System calls that the container's own filter refuses, by number, each with its errno.
    pub refused: Vec<(i64, i32)>,
}

impl Sandbox {
    fn needs_mounts(&self) -> bool {
        self.pid_namespace || !self.binds.is_empty() || !self.hidden.is_empty() || self.read_only
    }
}

/// What the tracer follows besides what it always does.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    pub(crate) count_wakeups: bool,
    pub(crate) functions: Vec<u64>,
    pub(crate) move_clocks: bool,
    pub(crate) serial: Option<SerialPort>,
}

#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) sandbox: Sandbox,
    pub(crate) how: How,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
}

/// Starts the program, stopped at its first instruction, traced by this thread.
///
/// # Errors
/// What the kernel says: no such program, no permission for the sandbox.
pub(crate) fn launch(launch: Launch) -> io::Result<i32> {
    let Launch {
        program,
        args,
        env,
        cwd,
        sandbox,
        how,
        stdout,
        stderr,
    } = launch;
    let filter = filter::program(&how, &sandbox.refused);
    let plan = Plan::new(&sandbox, cwd.as_deref())?;
    if sandbox.pid_namespace {
        // Only children are affected; this thread must not start threads from now on, and does not.
        unshare(CloneFlags::CLONE_NEWPID)?;
    }
    let mut command = Command::new(&program);
    command
        .args(args)
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    let bell = how.serial.as_ref().map(SerialPort::bell);
    let prepare = move || {
        plan.enter()?;
        if let Some(bell) = bell {
            sys::copy_descriptor(bell, serial::BELL)?;
        }
        ptrace::traceme()?;
        prctl::set_no_new_privs()?;
        sys::install_filter(&filter)
    };
    // SAFETY: the closure makes system calls on memory prepared before the fork and nothing else; it does
    // not allocate, lock or unwind.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn()?;
    Ok(child.id() as i32)
}

/// The sandbox with everything that needs memory made ready before the fork.
struct Plan {
    flags: CloneFlags,
    mounts: bool,
    fresh_proc: bool,
    read_only: bool,
    binds: Vec<(CString, CString)>,
    hidden: Vec<CString>,
    chroot: Option<CString>,
    cwd: Option<CString>,
    user: Option<u32>,
}

impl Plan {
    fn new(sandbox: &Sandbox, cwd: Option<&Path>) -> io::Result<Self> {
        let mut flags = CloneFlags::empty();
        if sandbox.needs_mounts() {
            flags |= CloneFlags::CLONE_NEWNS;
        }
        if sandbox.net_namespace {
            flags |= CloneFlags::CLONE_NEWNET;
        }
        let mut binds = Vec::new();
        for (source, target) in &sandbox.binds {
            binds.push((text(source)?, text(target)?));
        }
        let hidden = sandbox
            .hidden
            .iter()
            .map(|path| text(path))
            .collect::<Result<_, _>>()?;
        let default_cwd = sandbox.chroot.as_ref().map(|_| Path::new("/"));
        Ok(Self {
            flags,
            mounts: sandbox.needs_mounts(),
            fresh_proc: sandbox.pid_namespace && sandbox.chroot.is_none(),
            read_only: sandbox.read_only,
            binds,
            hidden,
            chroot: sandbox.chroot.as_deref().map(text).transpose()?,
            cwd: cwd.or(default_cwd).map(text).transpose()?,
            user: sandbox.user,
        })
    }

    /// Runs between fork and exec.
    fn enter(&self) -> io::Result<()> {
        const NONE: Option<&str> = None;
        if !self.flags.is_empty() {
            unshare(self.flags)?;
        }
        if self.mounts {
            mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        }
        for (source, target) in &self.binds {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(
                Some(source.as_c_str()),
                target.as_c_str(),
                NONE,
                flags,
                NONE,
            )?;
        }
        if self.fresh_proc {
            mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), NONE)?;
        }
        for path in &self.hidden {
            mount(
                Some("tmpfs"),
                path.as_c_str(),
                Some("tmpfs"),
                MsFlags::MS_RDONLY,
                NONE,
            )?;
        }
        if self.read_only {
            let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
            mount(NONE, "/", NONE, flags, NONE)?;
        }
        if let Some(root) = &self.chroot {
            unistd::chroot(root.as_c_str())?;
        }
        if let Some(cwd) = &self.cwd {
            unistd::chdir(cwd.as_c_str())?;
        }
        if let Some(user) = self.user {
            unistd::setgroups(&[])?;
            unistd::setgid(user.into())?;
            unistd::setuid(user.into())?;
        }
        Ok(())
    }
}

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}
