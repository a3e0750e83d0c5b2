//! The system calls the simulator plays a part in.

use std::path::PathBuf;
use std::time::Instant;

use libc::{c_long, pid_t, user_regs_struct};

use super::sys::{self, Resume};
use super::{Space, Tracer, clock, executable_mappings, filter, patch, serial, vsock};
use crate::host::EventKind;

/// What is left to do when a system call is done.
#[derive(Debug)]
pub(super) enum Pending {
    /// Put breakpoints into the new mapping.
    Mmap { len: u64, fd: i32, offset: u64 },
    /// Put breakpoints into what became executable.
    Mprotect,
    /// Move the time that is told.
    Clock(clock::Reading),
    /// Something about a vsock socket.
    Vsock(vsock::Pending),
    /// Something about the serial port.
    Serial(serial::Pending),
}

impl Tracer {
    /// Lets the call of a stopped thread fail or succeed without executing it.
    pub(super) fn skip(pid: pid_t, mut user: user_regs_struct, result: i64) -> Resume {
        user.orig_rax = u64::MAX;
        user.rax = result as u64;
        let _gone = sys::set_registers(pid, user);
        Resume::Run
    }

    /// Waits for the end of the call, to do what `pending` says.
    pub(super) fn follow(&mut self, pid: pid_t, pending: Pending) -> Resume {
        if let Some(thread) = self.threads.get_mut(&pid) {
            thread.pending = Some(pending);
        }
        Resume::ToSyscallExit
    }

    /// The filter has stopped a thread before a call. How it goes on.
    pub(super) fn syscall_entered(&mut self, pid: pid_t, now: Instant) -> Resume {
        let Ok(user) = sys::registers(pid) else {
            return Resume::Run;
        };
        let number = user.orig_rax as c_long;
        if self.count_wakeups && filter::blocks(number) && filter::may_block(number, &user) {
            self.shared.lock().stats.wakeups += 1;
        }
        if let Some(how) = self.serial_call(pid, number, user) {
            return how;
        }
        if filter::blocks(number) {
            return Resume::Run;
        }
        match number {
            libc::SYS_mmap => {
                let (fd, offset) = (user.r8 as i32, user.r9);
                if fd < 0 {
                    return Resume::Run;
                }
                self.follow(
                    pid,
                    Pending::Mmap {
                        len: user.rsi,
                        fd,
                        offset,
                    },
                )
            }
            libc::SYS_mprotect => self.follow(pid, Pending::Mprotect),
            libc::SYS_clock_gettime => self.clock_read(pid, &user),
            libc::SYS_gettimeofday | libc::SYS_time => {
                self.shared.lock().stats.wall_clock_reads += 1;
                Resume::Run
            }
            libc::SYS_iopl | libc::SYS_ioperm => {
                let mut host = self.shared.lock();
                host.stats.io_privilege_calls += 1;
                let name = if number == libc::SYS_iopl {
                    "iopl"
                } else {
                    "ioperm"
                };
                host.event(now, EventKind::MachineCall(name.to_owned()));
                // Executed, the port would no longer fault and the simulator would be out of the game.
                Self::skip(pid, user, 0)
            }
            libc::SYS_adjtimex if self.reads_only(pid, user.rdi) => Resume::Run,
            libc::SYS_clock_adjtime if self.reads_only(pid, user.rsi) => Resume::Run,
            libc::SYS_reboot
            | libc::SYS_clock_settime
            | libc::SYS_settimeofday
            | libc::SYS_adjtimex
            | libc::SYS_clock_adjtime
            | libc::SYS_kexec_load
            | libc::SYS_kexec_file_load => {
                let name = match number {
                    libc::SYS_reboot => format!("reboot({:#x})", user.rdx as u32),
                    libc::SYS_clock_settime | libc::SYS_settimeofday => "set the clock".to_owned(),
                    libc::SYS_adjtimex | libc::SYS_clock_adjtime => "adjust the clock".to_owned(),
                    _ => "kexec".to_owned(),
                };
                let mut host = self.shared.lock();
                host.stats.machine_calls += 1;
                host.event(now, EventKind::MachineCall(name));
                Self::skip(pid, user, -i64::from(libc::EPERM))
            }
            _ => self.vsock_call(pid, number, user, now),
        }
    }

    /// struct timex begins with `modes`; none set means the clock is only read.
    fn reads_only(&mut self, pid: pid_t, address: u64) -> bool {
        use crate::host::GuestMemory;
        self.space(pid)
            .and_then(|space| space.read(address, 4).ok())
            .is_some_and(|modes| modes == [0; 4])
    }

    /// A followed call is done.
    pub(super) fn syscall_left(&mut self, pid: pid_t) {
        let Some(thread) = self.threads.get_mut(&pid) else {
            return;
        };
        let (process, pending) = (thread.process, thread.pending.take());
        let (Some(pending), Ok(user)) = (pending, sys::registers(pid)) else {
            return;
        };
        let failed = (-4095..0).contains(&(user.rax as i64));
        match pending {
            Pending::Mmap { len, fd, offset } if !failed => {
                let file = PathBuf::from(format!("/proc/{process}/fd/{fd}"));
                if let (Ok(sites), Some(space)) = (patch::sites(&file), self.space(pid)) {
                    space.patch(&sites, offset, user.rax, len);
                }
            }
            Pending::Mprotect if !failed => {
                if let Some(space) = self.spaces.get_mut(&process) {
                    patch_all(process, space);
                }
            }
            Pending::Vsock(pending) => self.vsock_call_left(pid, pending, user),
            Pending::Serial(pending) => self.serial_call_left(pid, pending, user),
            Pending::Clock(reading) if !failed => self.move_reading(pid, &reading),
            Pending::Mmap { .. } | Pending::Mprotect | Pending::Clock(_) => {}
        }
    }
}

pub(super) fn patch_all(process: pid_t, space: &mut Space) {
    for mapping in executable_mappings(process) {
        if let Ok(sites) = patch::sites(&mapping.file) {
            space.patch(&sites, mapping.offset, mapping.address, mapping.len);
        }
    }
}
