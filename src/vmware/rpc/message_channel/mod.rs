//! The message channel: whole messages to and from the host, four bytes or one block at a time.
//!
//! Each operation ([`Open`], [`Send`], [`Receive`], [`Close`]) is a state machine that names its next backdoor
//! [`Call`] and is fed the registers that came back, until it has a result. It sets every register for every call,
//! since the host may change all of them, and it believes a reply only if nothing in it speaks against it: a port
//! without a device answers all ones, which include the bit for success.
//!
//! ```text
//! OPEN → id, cookie
//! SENDSIZE → [payload: one block, or SENDPAYLOAD per 4 bytes]
//! RECVSIZE → nothing, or length → [payload: one block, or RECVPAYLOAD per 4 bytes] → RECVSTATUS
//! CLOSE
//! ```
//!
//! A checkpoint (suspend, snapshot, vMotion) in the middle restarts the operation from its size. After any
//! error but [`ChannelError::TooLong`] the channel is useless: close it and open another.
//!
//! Source: message.c.

pub(super) mod receive;
mod send;

pub use crate::vmware::wire::message::{ChannelAddress, MAX_TO_HOST, Protocol};
pub use receive::Receive;
pub use send::Send;

use std::ops::ControlFlow;

use crate::vmware::wire::message::{MessageType, Status, open};
use crate::vmware::wire::registers::Registers;

/// How often an operation is restarted after a checkpoint. open-vm-tools has no bound; a checkpoint takes
/// the whole machine, so more than a few in one message is a host gone wrong.
pub const MAX_RESTARTS: u32 = 100;

/// Whether blocks of bytes may be moved in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bandwidth {
    /// If the host offers it.
    #[default]
    High,
    /// Never: four bytes a call. For guests whose memory the host cannot read (SEV, TDX).
    Low,
}

/// Why a message did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The host has closed the channel.
    #[error("the host closed the channel; it has to be opened again")]
    Closed,
    /// The host did not do what was asked, without saying that the channel is closed.
    #[error("the host refused with status {status:#06x}")]
    Refused {
        /// The status word (MESSAGE_STATUS_*).
        status: u16,
    },
    /// Every attempt was cut off by a checkpoint.
    #[error("cut off by a checkpoint {restarts} times in a row")]
    CheckpointedTooOften {
        /// How often the operation was restarted.
        restarts: u32,
    },
    /// Our message is longer than a host accepts; nothing was sent.
    #[error("a message of {len} bytes is too long for the host, which accepts {max}")]
    TooLong {
        /// Length of the message in bytes.
        len: usize,
        /// The longest that is possible.
        max: usize,
    },
    /// The host has announced a message that is longer than we read; none of it was taken.
    #[error("the host has a message of {len} bytes, more than the {max} that are read")]
    TooLongToReceive {
        /// What the host has announced.
        len: usize,
        /// The longest that is read.
        max: usize,
    },
    /// The reply cannot come from a host that keeps to the protocol.
    #[error("the host broke the protocol: {what}")]
    HostMisbehaved {
        /// What was wrong with the reply.
        what: &'static str,
    },
    /// The instruction was not trapped by a hypervisor.
    #[error(
        "the processor refused the backdoor instruction; this is not VMware, or monitor_control.restrict_backdoor is set"
    )]
    Fault,
}

/// The next access of an operation. The low half of DX is left to whoever makes the call.
#[derive(Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Registers alone.
    Low(Registers),
    /// A block of bytes to the host.
    HighOut {
        /// The registers around it.
        registers: Registers,
        /// The bytes.
        data: &'a [u8],
    },
    /// A block of bytes from the host.
    HighIn {
        /// The registers around it.
        registers: Registers,
        /// Where the bytes go; the call must fill all of it.
        data: &'a mut [u8],
    },
}

/// What an operation does after a reply: go on with the next [`Call`], or end.
pub type Progress<T> = ControlFlow<Result<T, ChannelError>>;

/// One operation on a channel. Make [`Operation::call`], hand its registers to [`Operation::handle`], repeat
/// until that breaks; the operation is over then.
pub trait Operation {
    /// What a successful operation yields.
    type Output;

    /// The access to make now; the same until a reply is handled.
    fn call(&mut self) -> Call<'_>;

    /// The registers as the access left them.
    fn handle(&mut self, reply: &Registers) -> Progress<Self::Output>;
}

/// OPEN: with a cookie, and if the host refuses that, without.
#[derive(Debug)]
pub struct Open {
    protocol: Protocol,
    with_cookie: bool,
}

impl Open {
    /// Opens a channel for a protocol.
    pub const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            with_cookie: true,
        }
    }

    fn request(&self) -> Registers {
        open(self.protocol, self.with_cookie)
    }
}

impl Operation for Open {
    type Output = ChannelAddress;

    fn call(&mut self) -> Call<'_> {
        Call::Low(self.request())
    }

    fn handle(&mut self, reply: &Registers) -> Progress<ChannelAddress> {
        match Verdict::low(&self.request(), reply) {
            Verdict::Succeeded(_) => ControlFlow::Break(
                ChannelAddress::of(reply, self.with_cookie).ok_or(ChannelError::HostMisbehaved {
                    what: "the new channel's id or cookie is all ones",
                }),
            ),
            Verdict::Failed { .. } if self.with_cookie => {
                self.with_cookie = false;
                ControlFlow::Continue(())
            }
            Verdict::Failed { error, .. } => ControlFlow::Break(Err(error)),
        }
    }
}

/// CLOSE. The channel must not be used again, whatever the host answers.
#[derive(Debug)]
pub struct Close {
    channel: ChannelAddress,
}

impl Close {
    /// Closes a channel.
    pub const fn new(channel: ChannelAddress) -> Self {
        Self { channel }
    }

    fn request(&self) -> Registers {
        self.channel.request(MessageType::Close, 0)
    }
}

impl Operation for Close {
    type Output = ();

    fn call(&mut self) -> Call<'_> {
        Call::Low(self.request())
    }

    fn handle(&mut self, reply: &Registers) -> Progress<()> {
        ControlFlow::Break(match Verdict::low(&self.request(), reply) {
            Verdict::Succeeded(_) => Ok(()),
            // A close that is answered with "closed" has succeeded.
            Verdict::Failed { .. } if Status::of(reply) == CLOSED_WELL => Ok(()),
            Verdict::Failed { error, .. } => Err(error),
        })
    }
}

const CLOSED_WELL: Status = Status(Status::SUCCESS.0 | Status::CLOSED.0);

/// The verdict on a reply.
#[derive(Debug)]
enum Verdict {
    /// The step succeeded, with this status.
    Succeeded(Status),
    /// The step failed.
    Failed {
        /// Why, if it cannot be repeated.
        error: ChannelError,
        /// Because of a checkpoint.
        checkpointed: bool,
    },
}

impl Verdict {
    /// Judges the reply to a low-bandwidth call.
    fn low(asked: &Registers, reply: &Registers) -> Self {
        Self::of(asked, reply, Status::of(reply))
    }

    /// Judges the reply to a high-bandwidth call.
    fn high(asked: &Registers, reply: &Registers) -> Self {
        Self::of(asked, reply, Status::of_high(reply))
    }

    fn of(asked: &Registers, reply: &Registers, status: Status) -> Self {
        let misbehaved = |what| Self::Failed {
            error: ChannelError::HostMisbehaved { what },
            checkpointed: false,
        };
        if status.0 == u16::MAX {
            return misbehaved("the status is all ones, as from a port without a device");
        }
        if reply.is_unanswered(asked) {
            return misbehaved("the call came back unanswered");
        }
        if status.is_contradictory() {
            return misbehaved("the status contradicts itself");
        }
        if status.has(Status::SUCCESS) {
            return Self::Succeeded(status);
        }
        Self::Failed {
            error: if status.has(Status::CLOSED) {
                ChannelError::Closed
            } else {
                ChannelError::Refused { status: status.0 }
            },
            checkpointed: status.has(Status::CPT),
        }
    }
}

/// Counts restarts after checkpoints.
#[derive(Debug, Default)]
struct Restarts(u32);

impl Restarts {
    /// Allows one more restart, or fails if there were too many.
    fn begin(&mut self) -> Result<(), ChannelError> {
        if self.0 >= MAX_RESTARTS {
            return Err(ChannelError::CheckpointedTooOften { restarts: self.0 });
        }
        self.0 += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
