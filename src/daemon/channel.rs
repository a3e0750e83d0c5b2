//! A message channel over the backdoor: the machines of [`crate::rpc::message_channel`] on real registers.
//!
//! Everything here blocks for as long as the host takes for a call, which is microseconds: the machine stands
//! still meanwhile.

use std::ops::ControlFlow;

use crate::rpc::message_channel::{
    Bandwidth, Call, ChannelAddress, ChannelError, Close, Open, Operation, Protocol, Receive, Send,
};
use crate::transport::backdoor::{AccessFault, RegisterAccess};

impl From<AccessFault> for ChannelError {
    fn from(AccessFault: AccessFault) -> Self {
        Self::Fault
    }
}

/// An open channel. It is closed when dropped, so that broken ones do not use up the host's 128.
#[derive(Debug)]
pub struct Channel<A: RegisterAccess> {
    access: A,
    address: ChannelAddress,
    bandwidth: Bandwidth,
}

impl<A: RegisterAccess> Channel<A> {
    /// Opens a channel.
    ///
    /// # Errors
    /// The host refuses, or is none.
    pub fn open(
        mut access: A,
        protocol: Protocol,
        bandwidth: Bandwidth,
    ) -> Result<Self, ChannelError> {
        let address = run(&mut access, Open::new(protocol))?;
        Ok(Self {
            access,
            address,
            bandwidth,
        })
    }

    /// The host's number for the channel, for logs.
    pub const fn id(&self) -> u16 {
        self.address.id
    }

    /// Sends one message of at most 64 KiB, exactly these bytes.
    ///
    /// # Errors
    /// All but [`ChannelError::TooLong`] leave the channel useless: close it and open another.
    pub fn send(&mut self, message: &[u8]) -> Result<(), ChannelError> {
        let send = Send::new(self.address, message, self.bandwidth)?;
        run(&mut self.access, send)
    }

    /// Fetches the message the host has, which may be empty; `None` when it has none.
    ///
    /// # Errors
    /// Each leaves the channel useless: close it and open another.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>, ChannelError> {
        let receive = Receive::new(self.address, self.bandwidth);
        run(&mut self.access, receive)
    }

    /// Closes the channel; what the host says to that does not matter.
    pub fn close(self) {}
}

impl<A: RegisterAccess> Drop for Channel<A> {
    fn drop(&mut self) {
        let _ = run(&mut self.access, Close::new(self.address));
    }
}

/// Makes the calls of an operation until it ends.
fn run<O: Operation>(
    access: &mut impl RegisterAccess,
    mut operation: O,
) -> Result<O::Output, ChannelError> {
    loop {
        let reply = match operation.call() {
            Call::Low(mut registers) => {
                access.low(&mut registers)?;
                registers
            }
            Call::HighOut {
                mut registers,
                data,
            } => {
                access.high_out(&mut registers, data)?;
                registers
            }
            Call::HighIn {
                mut registers,
                data,
            } => {
                access.high_in(&mut registers, data)?;
                registers
            }
        };
        if let ControlFlow::Break(result) = operation.handle(&reply) {
            return result;
        }
    }
}
