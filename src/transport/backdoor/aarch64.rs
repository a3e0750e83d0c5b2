//! The backdoor's instruction on arm64, and the guard that survives it where nobody traps it.
//!
//! VMware emulates x86 ports: X0..X6 play EAX, EBX, ECX, EDX, ESI, EDI, EBP, X7 says which port instruction is
//! meant, and `mrs xzr, mdccsr_el0` traps. While it runs X8 holds a mark. Elsewhere the kernel keeps user mode
//! from that register and raises SIGILL; the handler knows our instruction by the mark and by its word, steps
//! over it and changes the mark.
//!
//! Here is also the other handler that edits the interrupted registers: that of SIGSYS, which gives a system
//! call that the sandbox denies its result ([`DeniedCallGuard`]).
//!
//! Sources: backdoorGcc64_arm64.c, backdoor_def.h, hostinfoHV.c.

// The one place where the instruction lives; see the JUSTIFICATION at each block.
#![allow(unsafe_code)]

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::AccessFault;
use super::wide::Wide;
use crate::wire::hypervisor::Platform;
use crate::wire::registers::{ARM64_INSTRUCTION, Interface, Registers, Transfer, arm64_access};

/// The firmware's FADT, which names the hypervisor.
const FADT: &str = "/sys/firmware/acpi/tables/FACP";
/// The machine's maker by SMBIOS. Container runtimes mask /sys/firmware, but not this.
const SYSTEM_VENDOR: &str = "/sys/class/dmi/id/sys_vendor";

/// In X8 while our instruction runs.
const ARMED: u64 = 0x564D_5868_9E37_79B9;
/// In X8 when the instruction was refused.
const FAULTED: u64 = 0;
/// The si_code of a SIGSYS that a seccomp filter has raised [signal.h].
const SYS_SECCOMP: c_int = 1;

/// The only form; what it does is in `transfer`.
///
/// # Safety
/// High bandwidth reads X2 bytes at X4 or writes X2 bytes at X5: they must be readable or writable for as
/// long. The [`FaultGuard`] must be installed.
unsafe fn system_register(transfer: Transfer, wide: &mut Wide) -> Result<(), AccessFault> {
    let mut mark = ARMED;
    // JUSTIFICATION: no safe code executes this instruction with chosen registers.
    //
    // SAFETY: X0..X6, which a VMX may change, are inputs and outputs; so are X7 and X8, the latter changed by
    // the handler. No stack is used (nostack). Flags and memory count as changed (neither preserves_flags nor
    // nomem). Memory is the caller's promise. A fault cannot end the process: the guard steps over the
    // instruction.
    unsafe {
        asm!(
            "mrs xzr, mdccsr_el0",
            inout("x0") wide.ax,
            inout("x1") wide.bx,
            inout("x2") wide.cx,
            inout("x3") wide.dx,
            inout("x4") wide.si,
            inout("x5") wide.di,
            inout("x6") wide.bp,
            inout("x7") arm64_access(transfer) => _,
            inout("x8") mark,
            options(nostack),
        );
    }
    if mark == FAULTED {
        Err(AccessFault)
    } else {
        Ok(())
    }
}

/// A low-bandwidth call.
pub(super) fn low(
    _guard: FaultGuard,
    interface: Interface,
    registers: &mut Registers,
) -> Result<(), AccessFault> {
    only_form(interface)?;
    let mut wide = Wide::new(registers);
    // JUSTIFICATION: see the form. SAFETY: low bandwidth reads and writes no memory; the guard is installed.
    unsafe { system_register(Transfer::Low, &mut wide) }?;
    *registers = wide.narrow();
    Ok(())
}

/// A high-bandwidth call that reads `data`.
pub(super) fn high_out(
    _guard: FaultGuard,
    interface: Interface,
    registers: &mut Registers,
    data: &[u8],
) -> Result<(), AccessFault> {
    only_form(interface)?;
    let mut wide = Wide {
        cx: data.len() as u64,
        si: data.as_ptr() as u64,
        ..Wide::new(registers)
    };
    // JUSTIFICATION: see the form. SAFETY: X4 and X2 are address and length of `data`, which is borrowed until
    // the call is over; the guard is installed.
    unsafe { system_register(Transfer::HighOut, &mut wide) }?;
    *registers = Registers {
        si: registers.si,
        ..wide.narrow()
    };
    Ok(())
}

/// A high-bandwidth call that fills `data`.
pub(super) fn high_in(
    _guard: FaultGuard,
    interface: Interface,
    registers: &mut Registers,
    data: &mut [u8],
) -> Result<(), AccessFault> {
    only_form(interface)?;
    let mut wide = Wide {
        cx: data.len() as u64,
        di: data.as_mut_ptr() as u64,
        ..Wide::new(registers)
    };
    // JUSTIFICATION: see the form. SAFETY: X5 and X2 are address and length of `data`, which is borrowed alone
    // until the call is over and has been written before; the guard is installed.
    unsafe { system_register(Transfer::HighIn, &mut wide) }?;
    *registers = Registers {
        di: registers.di,
        ..wide.narrow()
    };
    Ok(())
}

/// x86's instructions do not exist here.
fn only_form(interface: Interface) -> Result<(), AccessFault> {
    match interface {
        Interface::SystemRegister => Ok(()),
        Interface::Ports | Interface::Vmcall | Interface::Vmmcall => Err(AccessFault),
    }
}

/// Asks the firmware who the hypervisor is. What cannot be read says nothing.
pub(super) fn platform() -> Platform {
    let read = |path| std::fs::read(path).unwrap_or_default();
    Platform::of_firmware(&read(FADT), &read(SYSTEM_VENDOR))
}

/// Proof that a refused instruction of ours does not end the process.
#[derive(Clone, Copy, Debug)]
pub struct FaultGuard(());

/// What SIGSEGV and SIGILL did before.
static PREVIOUS: [OnceLock<SigAction>; 2] = [const { OnceLock::new() }; 2];

impl FaultGuard {
    /// Installs the handlers of SIGSEGV and SIGILL, once for the process. Faults that are not ours do what
    /// they did before. A thread must not block these signals.
    ///
    /// # Errors
    /// The kernel refuses (it has no reason to).
    pub fn install() -> io::Result<Self> {
        static INSTALLED: OnceLock<Result<(), nix::errno::Errno>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            // On the alternate stack where there is one, so that a stack overflow is still told as such.
            // Without SA_NODEFER: a fault in the handler ends the process instead of coming back to it.
            let action = SigAction::new(
                SigHandler::SigAction(on_fault),
                SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK,
                SigSet::empty(),
            );
            for (signal, previous) in [Signal::SIGSEGV, Signal::SIGILL].into_iter().zip(&PREVIOUS) {
                // JUSTIFICATION: only a signal handler can survive a refused instruction.
                // SAFETY: `on_fault` keeps to what a handler may do: it reads and writes the interrupted
                // registers and calls sigaction, which is async-signal-safe.
                let before = unsafe { sigaction(signal, &action) }?;
                let _ = previous.set(before);
            }
            Ok(())
        });
        match installed {
            Ok(()) => Ok(Self(())),
            Err(errno) => Err((*errno).into()),
        }
    }
}

/// Steps over a refused instruction of ours; gives any other fault back to whom it belonged.
extern "C" fn on_fault(signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // JUSTIFICATION: the kernel hands the interrupted registers over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a ucontext_t that is ours until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let machine = &mut context.uc_mcontext;
    if machine.regs[8] == ARMED {
        // JUSTIFICATION: the instruction that faulted is known by its address alone.
        // SAFETY: the mark says that the form above is running, so PC is in it. Were the mark a coincidence,
        // this read could fault, and end a process that is at its end.
        let word = unsafe { (machine.pc as *const u32).read_unaligned() };
        if word == ARM64_INSTRUCTION {
            machine.pc += 4;
            machine.regs[8] = FAULTED;
            return;
        }
    }
    let (signal, previous) = if signal == libc::SIGILL {
        (Signal::SIGILL, &PREVIOUS[1])
    } else {
        (Signal::SIGSEGV, &PREVIOUS[0])
    };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // JUSTIFICATION: the handler of before must see the fault, which comes again on return.
    // SAFETY: this is the action the process had, or the default.
    let _ = unsafe { sigaction(signal, previous.get().unwrap_or(&default)) };
}

/// Proof that a system call that a seccomp filter traps gets EPERM and does not end the process.
#[derive(Clone, Copy, Debug)]
pub struct DeniedCallGuard(());

/// Told the number of each call that is denied.
static ON_DENIED_CALL: OnceLock<fn(u32)> = OnceLock::new();

impl DeniedCallGuard {
    /// Installs the handler of SIGSYS, once for the process. It tells `note` the number of each trapped call;
    /// that must be async-signal-safe. A thread must not block the signal.
    ///
    /// # Errors
    /// The kernel refuses (it has no reason to).
    pub fn install(note: fn(u32)) -> io::Result<Self> {
        if ON_DENIED_CALL.set(note).is_err() {
            return Ok(Self(()));
        }
        let action = SigAction::new(
            SigHandler::SigAction(on_denied_call),
            SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK,
            SigSet::empty(),
        );
        // JUSTIFICATION: only a signal handler can give a trapped call its result and go on.
        // SAFETY: `on_denied_call` keeps to what a handler may do: it reads an initialised cell, reads and
        // writes the interrupted registers, and calls what the caller has promised to be async-signal-safe.
        unsafe { sigaction(Signal::SIGSYS, &action) }?;
        Ok(Self(()))
    }
}

/// Lets the trapped call fail with EPERM. A SIGSYS that somebody has sent changes nothing.
extern "C" fn on_denied_call(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // JUSTIFICATION: the kernel hands the signal's origin over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a siginfo_t that is ours until the handler returns.
    let info = unsafe { &*info };
    if info.si_code != SYS_SECCOMP {
        return;
    }
    // JUSTIFICATION: the kernel hands the interrupted registers over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a ucontext_t that is ours until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let machine = &mut context.uc_mcontext;
    // The number is still in X8; the result belongs into X0.
    if let Some(note) = ON_DENIED_CALL.get() {
        note(machine.regs[8] as u32);
    }
    machine.regs[0] = i64::from(-libc::EPERM).cast_unsigned();
}
