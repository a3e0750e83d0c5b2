//! The backdoor: a trapped instruction that hands registers, and with it bytes, to the VMX.

use crate::wire::registers::Registers;

/// The instruction was not trapped by a hypervisor: the processor or the guest's kernel refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the processor refused the backdoor instruction; this is not VMware, or the host restricts its backdoor"
)]
pub struct AccessFault;

/// One way to execute a backdoor call. Every register is input and output.
pub trait RegisterAccess {
    /// Low bandwidth: registers only. The port or flags half of DX is filled in here.
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault>;
    /// High bandwidth, guest to host: the whole of `data` in one call.
    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault>;
    /// High bandwidth, host to guest: fills the whole of `data` in one call.
    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault>;
}
