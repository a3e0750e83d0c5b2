//! The backdoor: a trapped instruction that hands registers, and with it bytes, to the VMX.
//!
//! [`detect`] finds out whether a VMX is there and yields a [`Backdoor`], a small handle that makes calls.
//! VMware lets user mode use the backdoor as it is: neither iopl nor ioperm nor any capability is involved.
//! If nobody traps the instruction, the processor faults; the [`FaultGuard`], which every handle needs, turns that
//! into [`AccessFault`], so that no call ends the process.
//!
//! ```text
//! registers → selector into DX → instruction → trapped: registers changed by the VMX
//!                                            → refused: signal → guard steps over it → AccessFault
//! ```
//!
//! Sources: backdoor.c, backdoorGcc64.c, backdoorGcc64_arm64.c, vmcheck.c.

pub mod detect;
mod wide;

#[cfg(target_arch = "aarch64")]
#[path = "aarch64.rs"]
mod instruction;
#[cfg(target_arch = "x86_64")]
#[path = "x86_64.rs"]
mod instruction;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("VMware's backdoor exists on x86-64 and arm64");

#[cfg(test)]
pub(crate) mod fake;

pub use detect::Detection;

use std::io;

use crate::traps;
use crate::vmware::wire::registers::{Interface, Registers, Transfer};

/// The instruction was not trapped by a hypervisor: the processor or the guest's kernel refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the processor refused the backdoor instruction; this is not VMware, or the host restricts its backdoor"
)]
pub struct AccessFault;

/// Proof that a refused instruction of ours does not end the process.
#[derive(Clone, Copy, Debug)]
pub struct FaultGuard(());

impl FaultGuard {
    /// From here on refused instructions are stepped over. A thread must not block SIGSEGV and SIGILL.
    ///
    /// # Errors
    /// The kernel refuses (it has no reason to).
    pub fn install() -> io::Result<Self> {
        traps::catch_faults(instruction::step_over)?;
        Ok(Self(()))
    }
}

/// One way to execute a backdoor call. Every register is input and output.
pub trait RegisterAccess {
    /// Low bandwidth: registers only. The port or flags half of DX is filled in here.
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault>;
    /// High bandwidth, guest to host: the whole of `data` in one call. Count and address are filled in here,
    /// and SI, which has held the address, comes back as it was.
    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault>;
    /// High bandwidth, host to guest: fills the whole of `data` in one call. Count and address are filled in
    /// here, and DI, which has held the address, comes back as it was.
    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault>;
}

/// The processor's own way to the VMX. A handle: copies are as good as the original.
#[derive(Clone, Copy, Debug)]
pub struct Backdoor {
    interface: Interface,
    guard: FaultGuard,
}

impl Backdoor {
    /// A handle that calls through `interface`, where perhaps nobody answers: see [`detect`].
    pub const fn new(interface: Interface, guard: FaultGuard) -> Self {
        Self { interface, guard }
    }
}

impl RegisterAccess for Backdoor {
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault> {
        registers.select(self.interface.selector(Transfer::Low));
        instruction::low(self.guard, self.interface, registers)
    }

    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault> {
        registers.select(self.interface.selector(Transfer::HighOut));
        instruction::high_out(self.guard, self.interface, registers, data)
    }

    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault> {
        registers.select(self.interface.selector(Transfer::HighIn));
        instruction::high_in(self.guard, self.interface, registers, data)
    }
}
