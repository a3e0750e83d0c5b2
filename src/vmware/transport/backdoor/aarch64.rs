//! The backdoor's instruction on arm64, and how the registers are edited when it is refused.
//!
//! VMware emulates x86 ports: X0..X6 play EAX, EBX, ECX, EDX, ESI, EDI, EBP, X7 says which port instruction is
//! meant, and `mrs xzr, mdccsr_el0` traps. While it runs X8 holds a mark. Elsewhere the kernel keeps user mode
//! from that register and raises SIGILL; [`crate::traps`] catches that and asks [`step_over`], which knows our
//! instruction by the mark and by its word, steps over it and changes the mark.
//!
//! Sources: backdoorGcc64_arm64.c, backdoor_def.h, hostinfoHV.c.

// The one place where the instruction lives; see the JUSTIFICATION at each block.
#![allow(unsafe_code)]

use std::arch::asm;

use nix::libc;

use super::wide::Wide;
use super::{AccessFault, FaultGuard};
use crate::vmware::wire::hypervisor::Platform;
use crate::vmware::wire::registers::{
    ARM64_INSTRUCTION, Interface, Registers, Transfer, arm64_access,
};

/// The firmware's FADT, which names the hypervisor.
const FADT: &str = "/sys/firmware/acpi/tables/FACP";
/// The machine's maker by SMBIOS. Container runtimes mask /sys/firmware, but not this.
const SYSTEM_VENDOR: &str = "/sys/class/dmi/id/sys_vendor";

/// In X8 while our instruction runs.
const ARMED: u64 = 0x564D_5868_9E37_79B9;
/// In X8 once the instruction has been refused.
const FAULTED: u64 = 0;

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

/// Asks the firmware which hypervisor this is. A table that cannot be read counts as empty.
pub(super) fn platform() -> Platform {
    let read = |path| std::fs::read(path).unwrap_or_default();
    Platform::of_firmware(&read(FADT), &read(SYSTEM_VENDOR))
}

/// Steps over a refused instruction of ours, if that is what has faulted.
///
/// # Safety
/// The registers must be those of this process at a fault that is being handled.
pub(super) unsafe fn step_over(context: &mut libc::ucontext_t) -> bool {
    let machine = &mut context.uc_mcontext;
    if machine.regs[8] != ARMED {
        return false;
    }
    // JUSTIFICATION: the instruction that faulted is known by its address alone.
    // SAFETY: the mark says that the form above is running, so PC is in it. Were the mark a coincidence,
    // this read could fault, and end a process that is at its end.
    let word = unsafe { (machine.pc as *const u32).read_unaligned() };
    if word != ARM64_INSTRUCTION {
        return false;
    }
    machine.pc += 4;
    machine.regs[8] = FAULTED;
    true
}
