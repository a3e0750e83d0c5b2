//! The backdoor below the message channel: which accesses are answered at all, and the commands that need
//! no channel (backdoor_def.h, timeSync.c, QEMU's vmport).

use std::time::Instant;

use super::Host;
use super::event::EventKind;
use super::fault::{FaultKind, Step};
use crate::profile::{Form, Profile};

pub(super) const MAGIC: u32 = 0x564D_5868;
const PORT: u32 = 0x5658;
pub(super) const PORT_HB: u32 = 0x5659;
pub(super) const FLAG_HB: u32 = 1;
pub(super) const FLAG_WRITE: u32 = 2;
const CMD_GETVERSION: u32 = 10;
const CMD_GETTIME: u32 = 23;
pub(super) const CMD_MESSAGE: u32 = 30;
const CMD_GETTIMEFULL: u32 = 46;
const CMD_GETTIMEFULL_WITH_LAG: u32 = 55;
const VMX_TYPE_ESX: u64 = 2;

/// The registers of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    /// EFLAGS.DF.
    pub backwards: bool,
}

/// The guest's memory, for high bandwidth.
pub trait GuestMemory {
    /// Reads `len` bytes.
    ///
    /// # Errors
    /// Unmapped memory.
    fn read(&mut self, address: u64, len: usize) -> std::io::Result<Vec<u8>>;
    /// Writes `bytes`.
    ///
    /// # Errors
    /// Unmapped memory.
    fn write(&mut self, address: u64, bytes: &[u8]) -> std::io::Result<()>;
}

/// What the machine does with the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Executed; the registers are the answer.
    Done,
    /// It faults as if nobody were there.
    Fault,
}

/// Of a high-bandwidth call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Guest to host.
    Out,
    /// Host to guest.
    In,
}

impl Host {
    /// One low-bandwidth call: `in` (or `out`) on the port, or a hypercall.
    pub fn low_bandwidth(&mut self, form: Form, r: &mut Registers, now: Instant) -> Verdict {
        if !self.config.profile.answers(form) {
            self.stats.faulted += 1;
            return Verdict::Fault;
        }
        self.count(form);
        self.stats.low_bandwidth += 1;
        let (ax, cx, dx) = (r.rax as u32, r.rcx as u32, r.rdx as u32);
        let port_fits = match form {
            Form::Port => dx & 0xffff == PORT,
            Form::Vmcall | Form::Vmmcall => dx & 0xffff & FLAG_HB == 0,
        };
        if ax != MAGIC || !port_fits {
            self.violation(
                now,
                format!("{form:?}: eax {ax:#010x}, edx {dx:#010x} is no backdoor call"),
            );
            self.stats.faulted += 1;
            return Verdict::Fault;
        }
        if self.config.profile.has_vmport() {
            return self.vmport(cx & 0xffff, r, now);
        }
        if self.faults.restricted {
            self.stats.faulted += 1;
            return Verdict::Fault;
        }
        if self.faults.dead_port {
            self.fill(r, false);
            return Verdict::Done;
        }
        match cx & 0xffff {
            CMD_GETVERSION => {
                if let Some(kind) = self.due(Step::Version, None) {
                    return self.play_bare(kind, r, now);
                }
                self.version_asked(now);
                r.rax = 6;
                r.rbx = u64::from(MAGIC);
                r.rcx = VMX_TYPE_ESX;
                Verdict::Done
            }
            CMD_MESSAGE => self.message(r, now),
            CMD_GETTIME | CMD_GETTIMEFULL | CMD_GETTIMEFULL_WITH_LAG => {
                self.time(cx & 0xffff, r, now);
                Verdict::Done
            }
            _ => {
                if let Some(kind) = self.due(Step::Other, None) {
                    return self.play_bare(kind, r, now);
                }
                r.rax = 0xffff_ffff;
                Verdict::Done
            }
        }
    }

    /// The host's clock, without any lag (timeSync.c).
    fn time(&mut self, command: u32, r: &mut Registers, now: Instant) {
        let wall = self.wall_clock(now);
        let (seconds, micros) = (wall.as_secs(), u64::from(wall.subsec_micros()));
        r.rbx = micros;
        r.rcx = 0;
        if command == CMD_GETTIME {
            r.rax = seconds & 0xffff_ffff;
        } else {
            r.rsi = seconds >> 32;
            r.rdx = seconds & 0xffff_ffff;
            r.rdi = 0;
        }
    }

    fn version_asked(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.announced_version, true) {
            self.event(now, EventKind::VersionAsked);
        }
    }

    /// QEMU's hw/i386/vmport.c: GETVERSION and little else.
    fn vmport(&mut self, command: u32, r: &mut Registers, now: Instant) -> Verdict {
        match command {
            CMD_GETVERSION => {
                self.version_asked(now);
                r.rax = 6;
                r.rbx = u64::from(MAGIC);
                r.rcx = VMX_TYPE_ESX;
            }
            _ if self.config.profile == Profile::QemuVmportOld => {}
            _ => r.rax = 0xffff_ffff,
        }
        Verdict::Done
    }

    pub(super) fn play_bare(
        &mut self,
        kind: FaultKind,
        r: &mut Registers,
        now: Instant,
    ) -> Verdict {
        self.event(now, EventKind::Fault(format!("{kind:?}")));
        match kind {
            FaultKind::Fault => {
                self.stats.faulted += 1;
                return Verdict::Fault;
            }
            FaultKind::Garbage => self.fill(r, true),
            _ => self.fill(r, false),
        }
        Verdict::Done
    }
}
