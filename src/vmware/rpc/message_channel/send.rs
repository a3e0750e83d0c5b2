//! Sending one message: SENDSIZE, then the payload as one block or four bytes at a time.

use std::ops::ControlFlow;

use super::{
    Bandwidth, Call, ChannelAddress, ChannelError, MAX_TO_HOST, Operation, Progress, Restarts,
    Verdict,
};
use crate::vmware::wire::message::{MessageType, Status};
use crate::vmware::wire::registers::Registers;

/// Sends one message. The host acts on it when its last byte has arrived, for an empty message with its size.
#[derive(Debug)]
pub struct Send<'m> {
    channel: ChannelAddress,
    message: &'m [u8],
    /// The message's length as the register wants it.
    len: u32,
    bandwidth: Bandwidth,
    restarts: Restarts,
    step: Step,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The size must be announced.
    Size,
    /// The rest of the message, four bytes at a time.
    Payload { sent: usize },
    /// The whole message at once.
    HighPayload,
}

impl<'m> Send<'m> {
    /// Sends `message`, exactly these bytes.
    ///
    /// # Errors
    /// [`ChannelError::TooLong`] above [`MAX_TO_HOST`] bytes: the host would drop it, and the channel with it.
    pub fn new(
        channel: ChannelAddress,
        message: &'m [u8],
        bandwidth: Bandwidth,
    ) -> Result<Self, ChannelError> {
        let too_long = ChannelError::TooLong {
            len: message.len(),
            max: MAX_TO_HOST,
        };
        let len = u32::try_from(message.len()).map_err(|_| too_long)?;
        if message.len() > MAX_TO_HOST {
            return Err(too_long);
        }
        Ok(Self {
            channel,
            message,
            len,
            bandwidth,
            restarts: Restarts::default(),
            step: Step::Size,
        })
    }

    fn request(&self) -> Registers {
        match self.step {
            Step::Size => self.channel.request(MessageType::SendSize, self.len),
            Step::Payload { sent } => {
                let mut word = [0; 4];
                let rest = self.message.get(sent..).unwrap_or_default();
                for (to, from) in word.iter_mut().zip(rest) {
                    *to = *from;
                }
                let word = u32::from_le_bytes(word);
                self.channel.request(MessageType::SendPayload, word)
            }
            Step::HighPayload => Registers {
                cx: self.len,
                ..self.channel.high_out()
            },
        }
    }

    /// Continues after `sent` bytes of the payload.
    fn after(&mut self, sent: usize) -> Progress<()> {
        if sent >= self.message.len() {
            return ControlFlow::Break(Ok(()));
        }
        self.step = Step::Payload { sent };
        ControlFlow::Continue(())
    }
}

impl Operation for Send<'_> {
    type Output = ();

    fn call(&mut self) -> Call<'_> {
        let registers = self.request();
        match self.step {
            Step::Size | Step::Payload { .. } => Call::Low(registers),
            Step::HighPayload => Call::HighOut {
                registers,
                data: self.message,
            },
        }
    }

    fn handle(&mut self, reply: &Registers) -> Progress<()> {
        let asked = self.request();
        let verdict = match self.step {
            Step::Size | Step::Payload { .. } => Verdict::low(&asked, reply),
            Step::HighPayload => Verdict::high(&asked, reply),
        };
        match (self.step, verdict) {
            (Step::Size, Verdict::Succeeded(status)) => {
                let high = self.bandwidth == Bandwidth::High && status.has(Status::HB);
                if high && !self.message.is_empty() {
                    self.step = Step::HighPayload;
                    return ControlFlow::Continue(());
                }
                self.after(0)
            }
            // message.c takes a checkpoint here for a failure: there is nothing to repeat yet.
            (Step::Size, Verdict::Failed { error, .. }) => ControlFlow::Break(Err(error)),
            (Step::Payload { sent }, Verdict::Succeeded(_)) => self.after(sent + 4),
            (Step::HighPayload, Verdict::Succeeded(_)) => ControlFlow::Break(Ok(())),
            (
                Step::Payload { .. } | Step::HighPayload,
                Verdict::Failed {
                    error,
                    checkpointed,
                },
            ) => {
                if !checkpointed {
                    return ControlFlow::Break(Err(error));
                }
                if let Err(error) = self.restarts.begin() {
                    return ControlFlow::Break(Err(error));
                }
                self.step = Step::Size;
                ControlFlow::Continue(())
            }
        }
    }
}
