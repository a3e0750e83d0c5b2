//! The registers of a call as the processor has them: as wide as an address.

use crate::vmware::wire::registers::Registers;

/// All registers of a call at full width. The upper halves are zero unless a register holds an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wide {
    pub(super) ax: u64,
    pub(super) bx: u64,
    pub(super) cx: u64,
    pub(super) dx: u64,
    pub(super) si: u64,
    pub(super) di: u64,
    pub(super) bp: u64,
}

impl Wide {
    pub(super) fn new(registers: &Registers) -> Self {
        Self {
            ax: registers.ax.into(),
            bx: registers.bx.into(),
            cx: registers.cx.into(),
            dx: registers.dx.into(),
            si: registers.si.into(),
            di: registers.di.into(),
            bp: registers.bp.into(),
        }
    }

    /// The lower halves.
    pub(super) fn narrow(&self) -> Registers {
        Registers {
            ax: self.ax as u32,
            bx: self.bx as u32,
            cx: self.cx as u32,
            dx: self.dx as u32,
            si: self.si as u32,
            di: self.di as u32,
            bp: self.bp as u32,
        }
    }
}
