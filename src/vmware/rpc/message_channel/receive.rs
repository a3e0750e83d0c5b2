//! Receiving one message: RECVSIZE, the payload as one block or four bytes at a time, RECVSTATUS.

use std::ops::ControlFlow;

use super::{
    Bandwidth, Call, ChannelAddress, ChannelError, Operation, Progress, Restarts, Verdict,
};
use crate::vmware::wire::message::{MessageType, Status};
use crate::vmware::wire::registers::{Registers, high_half};

/// Longest message that we accept from the host, in bytes. The protocol states no limit; hosts stay below 64 KiB.
/// 1 MiB leaves room, fits one block transfer even as a hypercall (513 pages, BDOOR_HB_MAX_BPNS) and does a node no
/// harm.
pub(crate) const MAX_FROM_HOST: usize = 1 << 20;

/// Fetches the message the host has for this channel, if it has one.
#[derive(Debug)]
pub struct Receive {
    channel: ChannelAddress,
    bandwidth: Bandwidth,
    restarts: Restarts,
    step: Step,
    /// The message so far; when it travels as a block, its place.
    message: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Is there a message, how long is it?
    Size,
    /// `left` bytes are missing; four bytes at a time.
    Payload { left: usize },
    /// The whole message at once.
    HighPayload,
    /// It is complete and must be acknowledged. `unsaid`: the length to report if that fails.
    Status { unsaid: usize },
    /// Receiving failed because of `error` while `unsaid` bytes were missing; the host must hear of it.
    Failed { unsaid: usize, error: ChannelError },
}

impl Receive {
    /// Asks for the next message.
    pub const fn new(channel: ChannelAddress, bandwidth: Bandwidth) -> Self {
        Self {
            channel,
            bandwidth,
            restarts: Restarts(0),
            step: Step::Size,
            message: Vec::new(),
        }
    }

    fn request(&self) -> Registers {
        let went_well = u32::from(Status::SUCCESS.0);
        let went_wrong = 0;
        match self.step {
            Step::Size => self.channel.request(MessageType::ReceiveSize, 0),
            Step::Payload { .. } => self.channel.request(MessageType::ReceivePayload, went_well),
            Step::HighPayload => Registers {
                // At most MAX_FROM_HOST, checked before the buffer was made.
                cx: u32::try_from(self.message.len()).unwrap_or(0),
                ..self.channel.high_in()
            },
            Step::Status { .. } => self.channel.request(MessageType::ReceiveStatus, went_well),
            Step::Failed { unsaid: 0, .. } => {
                self.channel.request(MessageType::ReceiveStatus, went_wrong)
            }
            Step::Failed { .. } => self
                .channel
                .request(MessageType::ReceivePayload, went_wrong),
        }
    }

    /// RECVSIZE succeeded.
    fn size(&mut self, status: Status, reply: &Registers) -> Progress<Option<Vec<u8>>> {
        if !status.has(Status::DORECV) {
            return ControlFlow::Break(Ok(None));
        }
        if high_half(reply.dx) != MessageType::SendSize.number() {
            // Nothing has been accepted yet, so there is no failure to report (message.c).
            return ControlFlow::Break(Err(ChannelError::HostMisbehaved {
                what: "a message is announced, but not by its size",
            }));
        }
        let len = usize::try_from(reply.bx).unwrap_or(usize::MAX);
        if len > MAX_FROM_HOST {
            return self.fail(
                len,
                ChannelError::TooLongToReceive {
                    len,
                    max: MAX_FROM_HOST,
                },
            );
        }
        self.message.clear();
        self.step = if len == 0 {
            Step::Status { unsaid: 0 }
        } else if self.bandwidth == Bandwidth::High && status.has(Status::HB) {
            // Written, not only reserved: a hypercall needs pages that are present.
            self.message.resize(len, 0);
            Step::HighPayload
        } else {
            Step::Payload { left: len }
        };
        ControlFlow::Continue(())
    }

    /// RECVPAYLOAD succeeded.
    fn payload(&mut self, left: usize, reply: &Registers) -> Progress<Option<Vec<u8>>> {
        if high_half(reply.dx) != MessageType::SendPayload.number() {
            return self.fail(
                left,
                ChannelError::HostMisbehaved {
                    what: "a piece of a message is answered with something else",
                },
            );
        }
        let word = reply.bx.to_le_bytes();
        self.message.extend(word.iter().take(left));
        let left = left.saturating_sub(word.len());
        self.step = if left == 0 {
            Step::Status { unsaid: 0 }
        } else {
            Step::Payload { left }
        };
        ControlFlow::Continue(())
    }

    /// A step after the size did not succeed.
    fn not(
        &mut self,
        unsaid: usize,
        error: ChannelError,
        checkpointed: bool,
    ) -> Progress<Option<Vec<u8>>> {
        if !checkpointed {
            return self.fail(unsaid, error);
        }
        if let Err(error) = self.restarts.begin() {
            return self.fail(unsaid, error);
        }
        self.step = Step::Size;
        ControlFlow::Continue(())
    }

    /// Ends with `error` once the failure has been reported to the host.
    fn fail(&mut self, unsaid: usize, error: ChannelError) -> Progress<Option<Vec<u8>>> {
        self.message = Vec::new();
        self.step = Step::Failed { unsaid, error };
        ControlFlow::Continue(())
    }
}

impl Operation for Receive {
    /// The message, which may be empty; `None` when nothing is pending.
    type Output = Option<Vec<u8>>;

    fn call(&mut self) -> Call<'_> {
        let registers = self.request();
        match self.step {
            Step::HighPayload => Call::HighIn {
                registers,
                data: &mut self.message,
            },
            Step::Size | Step::Payload { .. } | Step::Status { .. } | Step::Failed { .. } => {
                Call::Low(registers)
            }
        }
    }

    fn handle(&mut self, reply: &Registers) -> Progress<Option<Vec<u8>>> {
        let asked = self.request();
        let verdict = match self.step {
            Step::HighPayload => Verdict::high(&asked, reply),
            _ => Verdict::low(&asked, reply),
        };
        match (self.step, verdict) {
            // Whether the host accepts our report changes nothing for us.
            (Step::Failed { error, .. }, _) => ControlFlow::Break(Err(error)),
            (Step::Size, Verdict::Succeeded(status)) => self.size(status, reply),
            // message.c takes a checkpoint here for a failure: there is nothing to repeat yet.
            (Step::Size, Verdict::Failed { error, .. }) => ControlFlow::Break(Err(error)),
            (Step::Payload { left }, Verdict::Succeeded(_)) => self.payload(left, reply),
            (Step::HighPayload, Verdict::Succeeded(_)) => {
                self.step = Step::Status {
                    unsaid: self.message.len(),
                };
                ControlFlow::Continue(())
            }
            (Step::Status { .. }, Verdict::Succeeded(_)) => {
                ControlFlow::Break(Ok(Some(std::mem::take(&mut self.message))))
            }
            (
                step,
                Verdict::Failed {
                    error,
                    checkpointed,
                },
            ) => {
                let unsaid = match step {
                    Step::Payload { left } => left,
                    Step::Status { unsaid } => unsaid,
                    Step::HighPayload => self.message.len(),
                    Step::Size | Step::Failed { .. } => 0,
                };
                self.not(unsaid, error, checkpointed)
            }
        }
    }
}
