//! A message channel over the backdoor: the machines of [`crate::vmware::rpc::message_channel`] on real registers.
//!
//! Everything here blocks for as long as the host takes for a call, which is microseconds: the machine stands
//! still meanwhile.

use std::ops::ControlFlow;

use crate::vmware::rpc::message_channel::{
    Bandwidth, Call, ChannelAddress, ChannelError, Close, Open, Operation, Protocol, Receive, Send,
};
use crate::vmware::transport::backdoor::{AccessFault, RegisterAccess};

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
}

impl<A: RegisterAccess> Drop for Channel<A> {
    /// Closes the channel; what the host says to that does not matter.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::transport::backdoor::fake::{FakeHost, Fault};
    use crate::vmware::wire::registers::{Registers, Transfer};

    const BANDWIDTHS: [Bandwidth; 2] = [Bandwidth::High, Bandwidth::Low];

    fn hosts() -> [FakeHost; 4] {
        [
            FakeHost::new(),
            FakeHost::new().without_cookies(),
            FakeHost::new().without_high_bandwidth(),
            FakeHost::new().without_high_bandwidth().without_cookies(),
        ]
    }

    fn rpci(host: &FakeHost, bandwidth: Bandwidth) -> Channel<FakeHost> {
        Channel::open(host.clone(), Protocol::Rpci, bandwidth).unwrap()
    }

    #[test]
    fn request_and_reply_pass_on_every_host() {
        for host in hosts() {
            host.answer_with(|request| [b"1 ", request].concat());
            for bandwidth in BANDWIDTHS {
                let mut channel = rpci(&host, bandwidth);
                for message in [&b""[..], b"x", b"ping", b"log hello\0"] {
                    channel.send(message).unwrap();
                    let reply = channel.receive().unwrap().unwrap();
                    assert_eq!(reply, [b"1 ", message].concat());
                    assert_eq!(channel.receive().unwrap(), None);
                }
            }
            assert_eq!(host.open_channels(), 0);
        }
    }

    #[test]
    fn messages_of_64_kib_survive_both_ways() {
        let long: Vec<u8> = (0..65_536u32).map(|at| (at * 7) as u8).collect();
        for host in hosts() {
            let echo = long.clone();
            host.answer_with(move |_| echo.clone());
            for bandwidth in BANDWIDTHS {
                let mut channel = rpci(&host, bandwidth);
                channel.send(&long).unwrap();
                assert!(channel.receive().unwrap().unwrap() == long);
            }
            assert!(host.received().iter().all(|(_, message)| *message == long));
        }
    }

    #[test]
    fn tclo_requests_come_one_by_one() {
        let host = FakeHost::new();
        let mut channel = Channel::open(host.clone(), Protocol::Tclo, Bandwidth::High).unwrap();
        host.request(b"reset");
        host.request(b"ping");
        let mut requests = Vec::new();
        channel.send(b"").unwrap();
        while let Some(request) = channel.receive().unwrap() {
            requests.push(request);
            channel.send(b"OK ").unwrap();
        }
        assert_eq!(requests, [&b"reset"[..], b"ping"]);
        assert_eq!(host.received().len(), 3);
    }

    #[test]
    fn forced_low_bandwidth_moves_no_blocks() {
        let host = FakeHost::new();
        let mut channel = rpci(&host, Bandwidth::Low);
        channel.send(b"a long enough message").unwrap();
        channel.receive().unwrap();
        drop(channel);
        assert!(
            host.seen()
                .iter()
                .all(|seen| seen.transfer == Transfer::Low)
        );
    }

    /// A checkpoint at any step of a request: the message arrives once or the channel reports itself broken,
    /// and a new one works.
    #[test]
    fn a_fault_at_any_step_is_an_error_or_mended() {
        let faults = [
            Fault::Checkpoint,
            Fault::Trap,
            Fault::Unanswered,
            Fault::Status(0),
            Fault::Status(0xFFFF),
            Fault::Status(0x0005),
            Fault::StatusAfter(0x0000),
            Fault::ChannelsGone,
            Fault::Registers(Registers {
                ax: u32::MAX,
                bx: u32::MAX,
                cx: u32::MAX,
                dx: u32::MAX,
                si: u32::MAX,
                di: u32::MAX,
                bp: u32::MAX,
            }),
        ];
        for (host, bandwidth) in hosts().into_iter().zip(BANDWIDTHS.into_iter().cycle()) {
            let exchange = |host: &FakeHost| -> Result<Option<Vec<u8>>, ChannelError> {
                let mut channel = Channel::open(host.clone(), Protocol::Rpci, bandwidth)?;
                channel.send(b"info-get guestinfo.ip")?;
                channel.receive()
            };
            host.answer_with(|_| b"1 10.5.0.2".to_vec());
            let good = Ok(Some(b"1 10.5.0.2".to_vec()));
            let before = host.seen().len();
            assert_eq!(exchange(&host), good);
            let steps = host.seen().len() - before;
            for fault in faults {
                // The last step is CLOSE, whose outcome is not reported.
                for step in 0..steps - 1 {
                    host.fault_after(step, fault);
                    let outcome = exchange(&host);
                    if outcome.is_ok() {
                        assert_eq!(outcome, good, "{fault:?} at {step}");
                    }
                    assert_eq!(exchange(&host), good, "after {fault:?} at {step}");
                }
            }
        }
    }

    #[test]
    fn a_checkpoint_in_the_payload_does_not_double_the_message() {
        for (host, bandwidth) in hosts().into_iter().zip(BANDWIDTHS.into_iter().cycle()) {
            let mut channel = rpci(&host, bandwidth);
            // After SENDSIZE.
            host.fault_after(1, Fault::Checkpoint);
            channel
                .send(b"vmx.capability.unified_loop toolbox")
                .unwrap();
            assert_eq!(host.received().len(), 1);
            // After RECVSIZE.
            host.fault_after(1, Fault::Checkpoint);
            assert_eq!(channel.receive().unwrap(), Some(b"1 ".to_vec()));
        }
    }

    #[test]
    fn a_refused_instruction_is_an_error() {
        let host = FakeHost::new();
        host.fault_after(0, Fault::Trap);
        let error = Channel::open(host.clone(), Protocol::Rpci, Bandwidth::High).unwrap_err();
        assert_eq!(error, ChannelError::Fault);
    }

    #[test]
    fn a_failure_to_receive_is_reported() {
        let host = FakeHost::new();
        let mut channel = rpci(&host, Bandwidth::High);
        channel.send(b"x").unwrap();
        host.fault_after(1, Fault::Status(0));
        let error = channel.receive().unwrap_err();
        assert_eq!(error, ChannelError::Refused { status: 0 });
        assert_eq!(host.reported_failures(), 1);
    }

    #[test]
    fn channels_are_closed_when_dropped() {
        let host = FakeHost::new();
        let channels = [(); 3].map(|()| rpci(&host, Bandwidth::High));
        assert_eq!(host.open_channels(), 3);
        drop(channels);
        assert_eq!(host.open_channels(), 0);
    }
}
