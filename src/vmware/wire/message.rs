//! One step of the message channel in registers: requests, statuses, the address of a channel.
//!
//! Every step is a backdoor call with command 30. The high half of CX says which step on the way in and
//! how it went on the way out; the high half of DX and SI:DI say which channel. The host may change any
//! register, so each request here is a complete set. A payload can also travel as one high-bandwidth
//! call, whose status is in the high half of BX and whose cookie moves to the registers that are free.
//!
//! ```text
//! OPEN      in  BX=C9435052 CX=0000001E             out CX=0001.... DX=0002.... SI=11223344 DI=55667788
//! SENDSIZE  in  BX=00000015 CX=0001001E DX=0002....  out CX=0081....
//! ```
//!
//! Sources: guest_msg_def.h, message.c, rpcout.h, rpcin.c.

use super::registers::{
    COMMAND_MESSAGE, HIGH_COMMAND_MESSAGE, MAGIC, Registers, halves, high_half,
};

/// Open with a cookie (GUESTMSG_FLAG_COOKIE), OR-ed into the protocol number.
pub const FLAG_COOKIE: u32 = 0x8000_0000;
/// Longest message the host accepts, in bytes (GUESTMSG_MAX_IN_SIZE).
pub const MAX_TO_HOST: usize = 65_536;
/// Longest message that we send, in bytes. The host's 64 KiB include an overhead that is nowhere measured: the packet
/// around a message, the words before a value. open-vm-tools keeps its longest (guestinfo.appInfo) at 62 KiB.
pub const MAX_MESSAGE: usize = 62 * 1024;
/// Longest reply to a request of the host, in bytes: open-vm-tools' longest result of a guest operation
/// [foundryToolsDaemon.c].
pub const MAX_REPLY: usize = 65_536 - 92;

/// Who asks on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The guest asks, the host answers (rpcout.h).
    Rpci,
    /// The host asks, the guest answers (rpcin.c).
    Tclo,
}

impl Protocol {
    /// The number in BX of OPEN: the protocol's name as bytes.
    pub const fn number(self) -> u32 {
        match self {
            Self::Rpci => 0x4943_5052,
            Self::Tclo => 0x4F4C_4354,
        }
    }
}

/// MessageType of guest_msg_def.h: the step, in the high half of CX; the host names its own step with the
/// same numbers in the high half of DX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum MessageType {
    /// Open a channel.
    Open = 0,
    /// Announce the length of a message.
    SendSize = 1,
    /// Four bytes of it.
    SendPayload = 2,
    /// Ask whether the host has a message, and how long it is.
    ReceiveSize = 3,
    /// Ask for four bytes of it.
    ReceivePayload = 4,
    /// Say how receiving went.
    ReceiveStatus = 5,
    /// Close the channel.
    Close = 6,
}

impl MessageType {
    /// The number of the step.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// The status word of a reply (MESSAGE_STATUS_*, guest_msg_def.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// The step succeeded.
    pub const SUCCESS: Self = Self(0x0001);
    /// The host has a message.
    pub const DORECV: Self = Self(0x0002);
    /// The channel has been closed.
    pub const CLOSED: Self = Self(0x0004);
    /// The host withdrew its message before it was fetched.
    pub const UNSENT: Self = Self(0x0008);
    /// A checkpoint happened: suspend, snapshot, vMotion. The operation is to be repeated.
    pub const CPT: Self = Self(0x0010);
    /// The host gave up waiting for the guest.
    pub const TIMEOUT: Self = Self(0x0040);
    /// Payload may travel with high bandwidth.
    pub const HB: Self = Self(0x0080);

    /// The status of a low-bandwidth reply.
    pub const fn of(reply: &Registers) -> Self {
        Self(high_half(reply.cx))
    }

    /// The status of a high-bandwidth reply.
    pub const fn of_high(reply: &Registers) -> Self {
        Self(high_half(reply.bx))
    }

    /// All bits of `bits` are set.
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Bits that no host sets together, all ones among them. A step cannot succeed on a channel that is
    /// closed or has timed out, and a message cannot be both available and withdrawn. (A checkpoint beside
    /// success is no contradiction: message.c looks for it only where success is missing. Bits without a
    /// meaning are ignored, as there.)
    pub const fn is_contradictory(self) -> bool {
        self.has(Self::SUCCESS) && (self.has(Self::CLOSED) || self.has(Self::TIMEOUT))
            || self.has(Self::DORECV) && self.has(Self::UNSENT)
    }
}

/// The address of a channel: the number and the cookie that OPEN gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelAddress {
    /// The number, in the high half of DX.
    pub id: u16,
    /// High half of the cookie, 0 when opened without.
    pub cookie_high: u32,
    /// Low half of the cookie, 0 when opened without.
    pub cookie_low: u32,
}

impl ChannelAddress {
    /// The address in a successful reply to [`open`]. `None`: all ones, which no host gives out.
    pub const fn of(reply: &Registers, with_cookie: bool) -> Option<Self> {
        let id = high_half(reply.dx);
        if id == 0xFFFF {
            return None;
        }
        if !with_cookie {
            return Some(Self {
                id,
                cookie_high: 0,
                cookie_low: 0,
            });
        }
        if reply.si == u32::MAX && reply.di == u32::MAX {
            return None;
        }
        Some(Self {
            id,
            cookie_high: reply.si,
            cookie_low: reply.di,
        })
    }

    /// One low-bandwidth step on this channel with `argument` in BX.
    pub const fn request(&self, step: MessageType, argument: u32) -> Registers {
        Registers {
            ax: MAGIC,
            bx: argument,
            cx: halves(step.number(), COMMAND_MESSAGE),
            dx: halves(self.id, 0),
            si: self.cookie_high,
            di: self.cookie_low,
            bp: 0,
        }
    }

    /// The registers around a payload sent with high bandwidth: SI is the payload's, so the cookie's high
    /// half goes to BP. The count in CX is set with the payload.
    pub const fn high_out(&self) -> Registers {
        Registers {
            ax: MAGIC,
            bx: halves(Status::SUCCESS.0, HIGH_COMMAND_MESSAGE),
            cx: 0,
            dx: halves(self.id, 0),
            si: 0,
            di: self.cookie_low,
            bp: self.cookie_high,
        }
    }

    /// The registers around a payload received with high bandwidth: DI is the payload's, so the cookie's
    /// *low* half goes to BP. The count in CX is set with the payload.
    pub const fn high_in(&self) -> Registers {
        Registers {
            ax: MAGIC,
            bx: halves(Status::SUCCESS.0, HIGH_COMMAND_MESSAGE),
            cx: 0,
            dx: halves(self.id, 0),
            si: self.cookie_high,
            di: 0,
            bp: self.cookie_low,
        }
    }
}

/// Opens a channel, with a cookie or (for hosts that refuse that) without.
pub const fn open(protocol: Protocol, with_cookie: bool) -> Registers {
    let flags = if with_cookie { FLAG_COOKIE } else { 0 };
    Registers {
        ax: MAGIC,
        bx: protocol.number() | flags,
        cx: halves(MessageType::Open.number(), COMMAND_MESSAGE),
        dx: 0,
        si: 0,
        di: 0,
        bp: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ChannelAddress = ChannelAddress {
        id: 2,
        cookie_high: 0x1122_3344,
        cookie_low: 0x5566_7788,
    };

    #[test]
    fn protocol_numbers_spell_their_names() {
        // The first letter is the lowest byte.
        assert_eq!(Protocol::Rpci.number().to_le_bytes(), *b"RPCI");
        assert_eq!(Protocol::Tclo.number().to_le_bytes(), *b"TCLO");
        assert_eq!(open(Protocol::Rpci, true).bx, 0xC943_5052);
        assert_eq!(open(Protocol::Tclo, true).bx, 0xCF4C_4354);
        assert_eq!(open(Protocol::Tclo, false).bx, 0x4F4C_4354);
    }

    /// Registers of message.c, run against an in-process host.
    #[test]
    fn requests_are_those_of_open_vm_tools() {
        assert_eq!(
            CHANNEL.request(MessageType::SendSize, 0x15),
            Registers {
                ax: 0x564D_5868,
                bx: 0x15,
                cx: 0x0001_001E,
                dx: 0x0002_0000,
                si: 0x1122_3344,
                di: 0x5566_7788,
                bp: 0,
            }
        );
        let steps = [
            (MessageType::SendPayload, 0x0002_001E),
            (MessageType::ReceiveSize, 0x0003_001E),
            (MessageType::ReceivePayload, 0x0004_001E),
            (MessageType::ReceiveStatus, 0x0005_001E),
            (MessageType::Close, 0x0006_001E),
        ];
        for (step, cx) in steps {
            assert_eq!(CHANNEL.request(step, 0).cx, cx, "{step:?}");
        }
        assert_eq!(open(Protocol::Rpci, true).cx, 0x0000_001E);
        assert_eq!(CHANNEL.high_out().bx, 0x0001_0000);
        assert_eq!(
            (CHANNEL.high_out().di, CHANNEL.high_out().bp),
            (0x5566_7788, 0x1122_3344)
        );
        assert_eq!(
            (CHANNEL.high_in().si, CHANNEL.high_in().bp),
            (0x1122_3344, 0x5566_7788)
        );
    }

    #[test]
    fn an_address_of_all_ones_is_not_believed() {
        let reply = Registers {
            dx: 0x0002_0000,
            si: CHANNEL.cookie_high,
            di: CHANNEL.cookie_low,
            ..Registers::default()
        };
        assert_eq!(ChannelAddress::of(&reply, true), Some(CHANNEL));
        let ones = Registers {
            dx: u32::MAX,
            ..reply
        };
        assert_eq!(ChannelAddress::of(&ones, true), None);
        let ones = Registers {
            si: u32::MAX,
            di: u32::MAX,
            ..reply
        };
        assert_eq!(ChannelAddress::of(&ones, true), None);
        // Half a cookie may be anything.
        let half = Registers {
            si: u32::MAX,
            ..reply
        };
        let address = ChannelAddress::of(&half, true).unwrap();
        assert_eq!(
            (address.cookie_high, address.cookie_low),
            (u32::MAX, CHANNEL.cookie_low)
        );
        // Without a cookie SI and DI hold nothing.
        assert_eq!(
            ChannelAddress::of(&ones, false),
            Some(ChannelAddress {
                id: 2,
                cookie_high: 0,
                cookie_low: 0
            })
        );
    }

    #[test]
    fn contradictions_are_seen() {
        for status in [0xFFFF, 0x0005, 0x0041, 0x000B, 0x000A, 0x00FF] {
            assert!(Status(status).is_contradictory(), "{status:#06x}");
        }
        for status in [
            0x0000, 0x0001, 0x0003, 0x0083, 0x0081, 0x0004, 0x0010, 0x0011, 0x0009,
        ] {
            assert!(!Status(status).is_contradictory(), "{status:#06x}");
        }
    }
}
