//! The registers of a backdoor call and the numbers in them.
//!
//! A call loads a magic and six arguments, executes one instruction that the hypervisor traps, and finds
//! the answers in the same registers. The [`Interface`] determines the instruction; the [`Transfer`] what it moves
//! (registers alone, or bytes out or in). With port instructions the low half of DX
//! names the port, with hypercalls it holds flags. arm64 emulates x86 port instructions: X0..X6 play the
//! registers and X7 says which port instruction is meant.
//!
//! ```text
//! GETVERSION   in   AX=564D5868 BX=A9B2A797 CX=FFFF000A DX=....5658
//!              out  AX=00000006 BX=564D5868 CX=00000002            (ESXi)
//! ```
//!
//! Sources: backdoor_def.h, backdoor_types.h, backdoor.c, vmcheck.c.

/// The seven registers of a call, 32 bits each (backdoor_types.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX / W0: the magic in, the command's result out.
    pub ax: u32,
    /// EBX / W1: the argument ("size") in, a result out.
    pub bx: u32,
    /// ECX / W2: command (low half) and sub-type (high half) in, status (high half) out.
    pub cx: u32,
    /// EDX / W3: port or flags (low half) and channel id (high half).
    pub dx: u32,
    /// ESI / W4: cookie, high half.
    pub si: u32,
    /// EDI / W5: cookie, low half.
    pub di: u32,
    /// EBP / W6: used by high bandwidth alone.
    pub bp: u32,
}

/// "VMXh", in AX of every call (BDOOR_MAGIC, backdoor_def.h).
pub const MAGIC: u32 = 0x564D_5868;
/// Port of calls that move registers alone (BDOOR_PORT).
pub const PORT_LOW: u16 = 0x5658;
/// Port of calls that move a block of bytes (BDOORHB_PORT).
pub const PORT_HIGH: u16 = 0x5659;
/// Hypercall flag: high bandwidth (BDOOR_FLAGS_HB).
pub const FLAG_HIGH: u16 = 0x0001;
/// Hypercall flag: guest to host (BDOOR_FLAGS_WRITE).
pub const FLAG_WRITE: u16 = 0x0002;
/// Low-bandwidth command: is a VMX there, and which (BDOOR_CMD_GETVERSION).
pub const COMMAND_GETVERSION: u16 = 10;
/// Low-bandwidth command: one step of the message channel (BDOOR_CMD_MESSAGE).
pub const COMMAND_MESSAGE: u16 = 30;
/// High-bandwidth command: the payload of a message (BDOORHB_CMD_MESSAGE).
pub const HIGH_COMMAND_MESSAGE: u16 = 0;
/// The version every VMX answers to GETVERSION (VERSION_MAGIC, vm_tools_version.h).
pub const VERSION_MAGIC: u32 = 6;
/// The answer of a port without a device.
pub const ALL_ONES: u32 = 0xFFFF_FFFF;
/// Sub-type that GETVERSION leaves in CX if the VMX does not say its type (vmcheck.c).
pub const TYPE_UNSET: u16 = 0xFFFF;

/// The high and low half of a word put together.
pub const fn halves(high: u16, low: u16) -> u32 {
    (high as u32) << 16 | low as u32
}

/// Bits 31..16.
pub const fn high_half(word: u32) -> u16 {
    (word >> 16) as u16
}

/// What a call moves besides registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// Low bandwidth: nothing.
    Low,
    /// High bandwidth, guest to host.
    HighOut,
    /// High bandwidth, host to guest.
    HighIn,
}

/// Which instruction reaches the hypervisor (BackdoorInterface, backdoorInt.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// x86: `in`, `rep outsb`, `rep insb`. Every VMware product has it.
    Ports,
    /// x86: `vmcall`, offered by newer virtual hardware.
    Vmcall,
    /// x86: `vmmcall`, offered by newer virtual hardware.
    Vmmcall,
    /// arm64: `mrs xzr, mdccsr_el0`, which stands for the port instructions.
    SystemRegister,
}

impl Interface {
    /// What the low half of DX holds for a transfer: a port, or hypercall flags (backdoor.c).
    pub const fn selector(self, transfer: Transfer) -> u16 {
        match self {
            Self::Ports | Self::SystemRegister => match transfer {
                Transfer::Low => PORT_LOW,
                Transfer::HighOut | Transfer::HighIn => PORT_HIGH,
            },
            Self::Vmcall | Self::Vmmcall => match transfer {
                Transfer::Low => 0,
                Transfer::HighOut => FLAG_HIGH | FLAG_WRITE,
                Transfer::HighIn => FLAG_HIGH,
            },
        }
    }

    /// The instruction's name, for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ports => "I/O ports",
            Self::Vmcall => "vmcall",
            Self::Vmmcall => "vmmcall",
            Self::SystemRegister => "mdccsr_el0",
        }
    }
}

impl Registers {
    /// Asks which VMX is there. BX and the high half of CX start with values that no VMX answers, so that untouched
    /// registers are not taken for an answer (vmcheck.c).
    pub const fn getversion() -> Self {
        Self {
            ax: MAGIC,
            bx: !MAGIC,
            cx: halves(TYPE_UNSET, COMMAND_GETVERSION),
            dx: 0,
            si: 0,
            di: 0,
            bp: 0,
        }
    }

    /// Puts a port or hypercall flags into the low half of DX, the channel id above it stays.
    pub const fn select(&mut self, selector: u16) {
        self.dx = halves(high_half(self.dx), selector);
    }

    /// Whether nobody answered `asked`: AX came back as all ones and everything else as it was. That is what a port
    /// without a device does, and a hypercall that another hypervisor refuses. The port half of DX does not count,
    /// as the access fills it in.
    pub const fn is_unanswered(&self, asked: &Self) -> bool {
        self.ax == ALL_ONES
            && self.bx == asked.bx
            && self.cx == asked.cx
            && high_half(self.dx) == high_half(asked.dx)
            && self.si == asked.si
            && self.di == asked.di
            && self.bp == asked.bp
    }
}

/// X7 of an arm64 call: X86_IO_MAGIC above, the emulated port instruction below (backdoor_def.h).
pub const fn arm64_access(transfer: Transfer) -> u64 {
    const MAGIC: u64 = 0x86;
    const SIZE_4: u64 = 2;
    const DIRECTION_IN: u64 = 1 << 2;
    const WITH: u64 = 1 << 3;
    const STRING: u64 = 1 << 4;
    let instruction = match transfer {
        Transfer::Low => SIZE_4 | DIRECTION_IN | WITH,
        Transfer::HighOut => STRING | WITH,
        Transfer::HighIn => STRING | WITH | DIRECTION_IN,
    };
    MAGIC << 32 | instruction
}

/// The word of `mrs xzr, mdccsr_el0`, by which a fault is recognised as that of an arm64 call.
pub const ARM64_INSTRUCTION: u32 = 0xD533_011F;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_taken_apart_and_put_together() {
        assert_eq!(halves(0x0002, 0x5658), 0x0002_5658);
        assert_eq!(high_half(0x0002_5658), 2);
    }

    #[test]
    fn selecting_a_port_keeps_the_channel_id() {
        let mut registers = Registers {
            dx: 0x0002_FFFF,
            ..Registers::default()
        };
        registers.select(Interface::Ports.selector(Transfer::Low));
        assert_eq!(registers.dx, 0x0002_5658);
    }

    /// backdoor.c, Backdoor() and BackdoorHb().
    #[test]
    fn dx_holds_a_port_or_hypercall_flags() {
        let all = |interface: Interface| {
            [Transfer::Low, Transfer::HighOut, Transfer::HighIn].map(|t| interface.selector(t))
        };
        assert_eq!(all(Interface::Ports), [0x5658, 0x5659, 0x5659]);
        assert_eq!(all(Interface::SystemRegister), [0x5658, 0x5659, 0x5659]);
        assert_eq!(all(Interface::Vmcall), [0, 3, 1]);
        assert_eq!(all(Interface::Vmmcall), [0, 3, 1]);
    }

    /// vmcheck.c, VmCheck_GetVersion().
    #[test]
    fn getversion_presets_what_must_change() {
        let mut registers = Registers::getversion();
        registers.select(PORT_LOW);
        assert_eq!(
            (registers.ax, registers.bx, registers.cx, registers.dx),
            (0x564D_5868, 0xA9B2_A797, 0xFFFF_000A, 0x0000_5658)
        );
    }

    /// The values assembled from backdoorGcc64_arm64.c.
    #[test]
    fn arm64_calls_are_encoded_as_open_vm_tools_does() {
        assert_eq!(arm64_access(Transfer::Low), 0x0000_0086_0000_000E);
        assert_eq!(arm64_access(Transfer::HighOut), 0x0000_0086_0000_0018);
        assert_eq!(arm64_access(Transfer::HighIn), 0x0000_0086_0000_001C);
        assert_eq!(ARM64_INSTRUCTION.to_le_bytes(), [0x1F, 0x01, 0x33, 0xD5]);
    }

    #[test]
    fn a_port_without_a_device_is_told_from_an_answer() {
        let asked = Registers::getversion();
        let dead = Registers {
            ax: ALL_ONES,
            dx: u32::from(PORT_LOW),
            ..asked
        };
        assert!(dead.is_unanswered(&asked));
        assert!(!asked.is_unanswered(&asked));
        let answered = Registers {
            cx: 0x0001_001E,
            ..dead
        };
        assert!(!answered.is_unanswered(&asked));
    }
}
