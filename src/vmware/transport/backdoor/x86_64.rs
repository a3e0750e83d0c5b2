//! The backdoor's instructions on x86-64, and how the registers are edited when one is refused.
//!
//! Five forms: `in`, `rep outsb`, `rep insb`, `vmcall`, `vmmcall`. Each loads seven registers, executes one
//! instruction and stores the registers again. While it runs R11 holds a mark. When the processor refuses
//! the instruction, the kernel raises SIGSEGV (#GP) or SIGILL (#UD) at it; [`crate::traps`] catches that and
//! asks [`step_over`], which knows our instruction by the mark and by its bytes, steps over it and changes the
//! mark.
//!
//! Sources: backdoorGcc64.c, hostinfoHV.c.

// The one place where the instructions live; see the JUSTIFICATION at each block.
#![allow(unsafe_code)]

use std::arch::asm;
use std::arch::x86_64::__cpuid;

use nix::libc;

use super::wide::Wide;
use super::{AccessFault, FaultGuard};
use crate::vmware::wire::hypervisor::{CpuidLeaf, Platform};
use crate::vmware::wire::registers::{Interface, Registers};

/// In R11 while one of our instructions runs.
const ARMED: u64 = 0x564D_5868_9E37_79B9;
/// In R11 when the instruction was refused.
const FAULTED: u64 = 0;

/// Defines the function of one instruction form.
macro_rules! form {
    ($(#[$doc:meta])* $name:ident, $($instruction:literal),+) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Memory that the instruction reads or writes, as `wide` says, must be readable or writable until it
        /// ends. The [`FaultGuard`] must be installed.
        unsafe fn $name(wide: &mut Wide) -> Result<(), AccessFault> {
            let mut mark = ARMED;
            // JUSTIFICATION: no safe code executes this instruction with chosen registers.
            //
            // SAFETY: All seven registers a VMX may change are inputs and outputs; so is R11, which the
            // handler changes. RBX and RBP cannot be operands: they wait in R8 and R9 while the call has
            // them and are put back before the compiler looks. No stack is used (nostack), and RSP is
            // none of the VMX's registers. The direction flag is clear before (ABI) and after. Flags and
            // memory count as changed (neither preserves_flags nor nomem). Memory is the caller's promise.
            // A fault cannot end the process: the guard steps over the instruction.
            unsafe {
                asm!(
                    "xchg r8, rbx",
                    "xchg r9, rbp",
                    $($instruction,)+
                    "xchg r9, rbp",
                    "xchg r8, rbx",
                    inout("rax") wide.ax,
                    inout("r8") wide.bx,
                    inout("rcx") wide.cx,
                    inout("rdx") wide.dx,
                    inout("rsi") wide.si,
                    inout("rdi") wide.di,
                    inout("r9") wide.bp,
                    inout("r11") mark,
                    options(nostack),
                );
            }
            if mark == FAULTED { Err(AccessFault) } else { Ok(()) }
        }
    };
}

form!(
    /// Low bandwidth through the port.
    port, "in eax, dx"
);
form!(
    /// High bandwidth through the port, RCX bytes from RSI.
    port_out, "cld", "rep outsb"
);
form!(
    /// High bandwidth through the port, RCX bytes to RDI.
    port_in, "cld", "rep insb"
);
form!(
    /// Any bandwidth, as DX says; bytes as with the ports.
    vmcall, "vmcall"
);
form!(
    /// Any bandwidth, as DX says; bytes as with the ports.
    vmmcall, "vmmcall"
);

/// A low-bandwidth call.
pub(super) fn low(
    _guard: FaultGuard,
    interface: Interface,
    registers: &mut Registers,
) -> Result<(), AccessFault> {
    let mut wide = Wide::new(registers);
    let call = match interface {
        Interface::Ports => port,
        Interface::Vmcall => vmcall,
        Interface::Vmmcall => vmmcall,
        Interface::SystemRegister => return Err(AccessFault),
    };
    // JUSTIFICATION: see the form. SAFETY: low bandwidth reads and writes no memory; the guard is installed.
    unsafe { call(&mut wide) }?;
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
    let mut wide = Wide {
        cx: data.len() as u64,
        si: data.as_ptr() as u64,
        ..Wide::new(registers)
    };
    let call = match interface {
        Interface::Ports => port_out,
        Interface::Vmcall => vmcall,
        Interface::Vmmcall => vmmcall,
        Interface::SystemRegister => return Err(AccessFault),
    };
    // JUSTIFICATION: see the form. SAFETY: RSI and RCX are address and length of `data`, which is borrowed
    // until the call is over; the guard is installed.
    unsafe { call(&mut wide) }?;
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
    let mut wide = Wide {
        cx: data.len() as u64,
        di: data.as_mut_ptr() as u64,
        ..Wide::new(registers)
    };
    let call = match interface {
        Interface::Ports => port_in,
        Interface::Vmcall => vmcall,
        Interface::Vmmcall => vmmcall,
        Interface::SystemRegister => return Err(AccessFault),
    };
    // JUSTIFICATION: see the form. SAFETY: RDI and RCX are address and length of `data`, which is borrowed
    // alone until the call is over and has been written before; the guard is installed.
    unsafe { call(&mut wide) }?;
    *registers = Registers {
        di: registers.di,
        ..wide.narrow()
    };
    Ok(())
}

/// Asks CPUID which hypervisor this is.
pub(super) fn platform() -> Platform {
    Platform::of_cpuid(|leaf| {
        let leaf = __cpuid(leaf);
        CpuidLeaf {
            eax: leaf.eax,
            ebx: leaf.ebx,
            ecx: leaf.ecx,
            edx: leaf.edx,
        }
    })
}

/// The length of the backdoor instruction that `code` starts with.
fn instruction_len(code: [u8; 3]) -> Option<i64> {
    match code {
        [0xED, ..] => Some(1),
        [0xF3, 0x6C | 0x6E, _] => Some(2),
        [0x0F, 0x01, 0xC1 | 0xD9] => Some(3),
        _ => None,
    }
}

/// Steps over a refused instruction of ours, if that is what has faulted.
///
/// # Safety
/// The registers must be those of this process at a fault that is being handled.
pub(super) unsafe fn step_over(context: &mut libc::ucontext_t) -> bool {
    let registers = &mut context.uc_mcontext.gregs;
    let [mark, rip] = [libc::REG_R11, libc::REG_RIP].map(|register| register as usize);
    let (Some(&r11), Some(&at)) = (registers.get(mark), registers.get(rip)) else {
        return false;
    };
    if r11 as u64 != ARMED {
        return false;
    }
    // JUSTIFICATION: the instruction that faulted is known by its address alone.
    // SAFETY: the mark says that one of the forms above is running, so RIP is in it, and behind each
    // instruction there are at least two more bytes of code. Were the mark a coincidence, this read
    // could fault, and end a process that is at its end.
    let code = unsafe { (at as *const [u8; 3]).read_unaligned() };
    let Some(len) = instruction_len(code) else {
        return false;
    };
    if let Some(rip) = registers.get_mut(rip) {
        *rip = at + len;
    }
    if let Some(mark) = registers.get_mut(mark) {
        *mark = FAULTED as i64;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::transport::backdoor::{Backdoor, RegisterAccess};
    use crate::vmware::wire::hypervisor::Hypervisor;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    #[test]
    fn our_instructions_are_known_by_their_bytes() {
        assert_eq!(instruction_len([0xED, 0x4C, 0x87]), Some(1));
        assert_eq!(instruction_len([0xF3, 0x6E, 0x4C]), Some(2));
        assert_eq!(instruction_len([0xF3, 0x6C, 0x4C]), Some(2));
        assert_eq!(instruction_len([0x0F, 0x01, 0xC1]), Some(3));
        assert_eq!(instruction_len([0x0F, 0x01, 0xD9]), Some(3));
        for other in [[0x0F, 0x0B, 0], [0x48, 0x8B, 0], [0xF3, 0xA4, 0], [0; 3]] {
            assert_eq!(instruction_len(other), None);
        }
    }

    form!(
        /// A host that is an instruction sequence: it changes every register, each in another way.
        by_hand,
        "add rax, 1",
        "add rbx, 2",
        "add rcx, 3",
        "add rdx, 4",
        "add rsi, 5",
        "add rdi, 6",
        "add rbp, 7"
    );

    #[test]
    fn every_register_goes_in_and_comes_out() {
        let mut wide = Wide {
            ax: 0x10_0000_0000,
            bx: 0x20_0000_0000,
            cx: 0x30_0000_0000,
            dx: 0x40_0000_0000,
            si: 0x50_0000_0000,
            di: 0x60_0000_0000,
            bp: 0x70_0000_0000,
        };
        // JUSTIFICATION: as the forms. SAFETY: additions touch no memory and do not fault.
        unsafe { by_hand(&mut wide) }.unwrap();
        let Wide {
            ax,
            bx,
            cx,
            dx,
            si,
            di,
            bp,
        } = wide;
        assert_eq!(
            [ax, bx, cx, dx, si, di, bp],
            [
                0x10_0000_0001,
                0x20_0000_0002,
                0x30_0000_0003,
                0x40_0000_0004,
                0x50_0000_0005,
                0x60_0000_0006,
                0x70_0000_0007,
            ]
        );
    }

    /// Every form, where nobody traps it: the process lives, registers and callee-saved state are as before.
    #[test]
    fn no_form_ends_the_process() {
        if platform().hypervisor == Hypervisor::Vmware {
            eprintln!("skipped: this machine is a VMware guest");
            return;
        }
        let guard = FaultGuard::install().unwrap();
        let threads = [0, 1].map(|_| {
            std::thread::spawn(move || {
                for _ in 0..1000 {
                    let asked = Registers::getversion();
                    let mut registers = asked;
                    let mut ports = Backdoor::new(Interface::Ports, guard);
                    assert_eq!(ports.low(&mut registers), Err(AccessFault));
                    assert_eq!(ports.high_out(&mut registers, b"x"), Err(AccessFault));
                    let mut data = [7; 9];
                    assert_eq!(ports.high_in(&mut registers, &mut data), Err(AccessFault));
                    assert_eq!(data, [7; 9]);
                    assert_eq!((registers.ax, registers.bx), (asked.ax, asked.bx));
                    for hypercall in [Interface::Vmcall, Interface::Vmmcall] {
                        // Other hypervisors fault or answer an error; none of them the magic.
                        let mut registers = asked;
                        let mut backdoor = Backdoor::new(hypercall, guard);
                        let result = backdoor.low(&mut registers);
                        assert!(result.is_err() || registers.bx == asked.bx);
                    }
                }
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }

    /// Not a test of its own: the child of the next one.
    #[test]
    #[ignore = "ends the process by design"]
    fn dies_of_a_foreign_fault() {
        FaultGuard::install().unwrap();
        let nowhere = std::hint::black_box(8) as *const u32;
        // JUSTIFICATION: a fault that is not ours. SAFETY: none, it is meant to fault.
        unsafe { nowhere.read_volatile() };
    }

    #[test]
    fn foreign_faults_end_the_process_as_before() {
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--test-threads=1"])
            .arg("vmware::transport::backdoor::instruction::tests::dies_of_a_foreign_fault")
            .output()
            .unwrap()
            .status;
        assert_eq!(status.signal(), Some(libc::SIGSEGV), "{status}");
    }
}
