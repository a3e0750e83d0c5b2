//! The guest's clocks, moved: what a suspended machine and a stepped wall clock look like from inside.
//!
//! Programs read clocks without a system call, from a page that the kernel maps (the vDSO). A program that is
//! not told of that page asks the kernel; then the filter stops it, and what the kernel has written is moved.

use libc::{clockid_t, pid_t, user_regs_struct};

use super::sys::{self, Resume};
use super::syscalls::Pending;
use super::{Space, Tracer};
use crate::host::{Clock, GuestMemory};

/// Where the vDSO is (elf.h).
const AT_SYSINFO_EHDR: u64 = 33;
/// An entry without meaning.
const AT_IGNORE: u64 = 1;
const AT_NULL: u64 = 0;

/// A clock that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    clock: Clock,
    /// Of the timespec.
    address: u64,
}

/// Takes the vDSO out of the auxiliary vector of a program that has not begun to run.
pub(super) fn hide_vdso(process: pid_t, space: &mut Space) {
    let Ok(user) = sys::registers(process) else {
        return;
    };
    // argc, the arguments, 0, the environment, 0, then pairs of type and value.
    let mut at = user.rsp + 8;
    let mut zeros = 0;
    while zeros < 2 {
        let Some(word) = space.word(at) else { return };
        zeros += usize::from(word == 0);
        at += 8;
    }
    while let Some(kind) = space.word(at).filter(|kind| *kind != AT_NULL) {
        if kind == AT_SYSINFO_EHDR {
            // A program that cannot be written to cannot be patched either; its test will show it.
            let _unwritten = space.write(at, &AT_IGNORE.to_ne_bytes());
        }
        at += 16;
    }
}

impl Space {
    fn word(&mut self, address: u64) -> Option<u64> {
        let bytes = self.read(address, 8).ok()?;
        Some(u64::from_ne_bytes(bytes.try_into().ok()?))
    }
}

impl Tracer {
    /// A clock is going to be read.
    pub(super) fn clock_read(&mut self, pid: pid_t, user: &user_regs_struct) -> Resume {
        let clock = match user.rdi as clockid_t {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => Clock::Wall,
            libc::CLOCK_BOOTTIME | libc::CLOCK_BOOTTIME_ALARM => Clock::Boot,
            _ => return Resume::Run,
        };
        if clock == Clock::Wall {
            self.shared.lock().stats.wall_clock_reads += 1;
        }
        let address = user.rsi;
        self.follow(pid, Pending::Clock(Reading { clock, address }))
    }

    /// The kernel has told the time: it is moved.
    pub(super) fn move_reading(&mut self, pid: pid_t, reading: &Reading) {
        let seconds = self.shared.lock().clock_offset(reading.clock);
        let Some(space) = self.space(pid) else { return };
        let Some(told) = space.word(reading.address) else {
            return;
        };
        let moved = told.wrapping_add_signed(seconds);
        // It was just written by the kernel.
        let _gone = space.write(reading.address, &moved.to_ne_bytes());
    }
}
