//! What the RPCI and the TCLO link have in common: settings, faults, and how they are logged.

pub mod alarm;
pub mod channel;
#[cfg(test)]
pub(crate) mod fake_peer;
pub mod rpci;
pub mod tclo;

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use tracing::{debug, info};

use crate::config::{HostConfig, TransportChoice};
use crate::log::Chain;
use crate::vmware::rpc::message_channel::{Bandwidth, ChannelError};
use crate::vmware::rpc::route::{OpenFailure, Policy, Transport};
use crate::vmware::rpc::rpci::MalformedReply;
use crate::vmware::rpc::tclo::Silent;
use crate::vmware::transport::vsock::ConnectError;
use crate::vmware::wire::guest_rpc_packet::PacketError;

/// How long a vsock connection may take. A host without a listener lets the kernel wait for 2 s, which is
/// all the time there is for being back over the backdoor.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(900);

/// How many different faults of one outage are logged at INFO.
const MAX_LOGGED: usize = 8;

/// How to reach the host.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings<A> {
    /// Which transports may be used.
    pub transport: TransportChoice,
    /// How to make backdoor calls; `None` when detection found no way.
    pub access: Option<A>,
    /// Whether high bandwidth may be used on the backdoor.
    pub bandwidth: Bandwidth,
}

impl<A> LinkSettings<A> {
    /// As the operator wants it.
    pub const fn new(config: &HostConfig, access: Option<A>) -> Self {
        Self {
            transport: config.transport,
            access,
            bandwidth: if config.low_bandwidth {
                Bandwidth::Low
            } else {
                Bandwidth::High
            },
        }
    }

    pub(super) const fn policy(&self) -> Policy {
        match (self.transport, &self.access) {
            (TransportChoice::Auto, Some(_)) => Policy::VsockFirst,
            (TransportChoice::Auto, None) | (TransportChoice::Vsock, _) => {
                Policy::Only(Transport::Vsock)
            }
            (TransportChoice::Backdoor, _) => Policy::Only(Transport::Backdoor),
        }
    }
}

/// Why a connection could not be opened or broke.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The message channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// vsock could not be connected.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The vsock connection broke.
    #[error("the vsock connection broke")]
    Stream(#[from] io::Error),
    /// The host sent something that is no packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The host answered without a status.
    #[error(transparent)]
    Reply(#[from] MalformedReply),
    /// The host closed the vsock connection.
    #[error("the host closed the vsock connection")]
    Closed,
    /// The host sent something on vsock without a request.
    #[error("the host sent {len} bytes that are no reply to anything")]
    Unasked {
        /// How many, at least.
        len: usize,
    },
    /// The host did not answer.
    #[error("no answer within {} ms", .timeout.as_millis())]
    Silent {
        /// How long was waited.
        timeout: Duration,
    },
    /// The host accepted a TCLO connection but did not use it.
    #[error(transparent)]
    Unused(#[from] Silent),
    /// There is no way to make backdoor calls.
    #[error("no backdoor was found on this machine")]
    NoBackdoor,
}

impl LinkError {
    /// Whether another attempt in this process can do better.
    pub(super) const fn open_failure(&self) -> OpenFailure {
        match self {
            Self::Connect(ConnectError::Absent { .. }) | Self::NoBackdoor => OpenFailure::Absent,
            Self::Connect(ConnectError::Refused { .. } | ConnectError::TimedOut { .. })
            | Self::Channel(_)
            | Self::Stream(_)
            | Self::Packet(_)
            | Self::Reply(_)
            | Self::Closed
            | Self::Unasked { .. }
            | Self::Unused(_)
            | Self::Silent { .. } => OpenFailure::Failed,
        }
    }
}

/// Logs each change of a link once, and counts the rest.
#[derive(Debug)]
pub(super) struct LinkLog {
    channel: &'static str,
    connected: Option<Transport>,
    /// Failures since the last connection.
    failures: u64,
    logged: BTreeSet<(Transport, String)>,
}

impl LinkLog {
    pub(super) const fn new(channel: &'static str) -> Self {
        Self {
            channel,
            connected: None,
            failures: 0,
            logged: BTreeSet::new(),
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, transport: Transport, error: &LinkError) {
        let channel = self.channel;
        self.failures = self.failures.saturating_add(1);
        let attempt = self.failures;
        let error = Chain(error).to_string();
        if self.logged.len() < MAX_LOGGED && self.logged.insert((transport, error.clone())) {
            info!(channel, %transport, attempt, error, "cannot reach the host this way");
        } else {
            debug!(channel, %transport, attempt, error, "cannot reach the host this way");
        }
    }

    /// The host has answered; to be called once or with every answer.
    pub(super) fn connected(&mut self, transport: Transport) {
        let channel = self.channel;
        let failures = self.failures;
        if self.connected == Some(transport) && failures == 0 {
            return;
        }
        if self.connected == Some(transport) {
            debug!(channel, %transport, failures, "connected to the host again");
        } else {
            info!(channel, %transport, failures, "connected to the host");
        }
        self.failures = 0;
        self.connected = Some(transport);
        // Faults of the other transport stay in the set: falling back again and again is no news.
        self.logged.retain(|(logged, _)| *logged != transport);
    }

    /// The host is gone.
    pub(super) fn lost(&mut self, transport: Transport) {
        info!(channel = self.channel, %transport, "lost the host");
        self.connected = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::link::fake_peer::CountLines;

    fn settings(transport: TransportChoice, access: Option<()>) -> LinkSettings<()> {
        LinkSettings {
            transport,
            access,
            bandwidth: Bandwidth::High,
        }
    }

    #[test]
    fn a_machine_without_backdoor_has_vsock_alone() {
        let policies = [
            (TransportChoice::Auto, Some(()), Policy::VsockFirst),
            (TransportChoice::Auto, None, Policy::Only(Transport::Vsock)),
            (
                TransportChoice::Vsock,
                Some(()),
                Policy::Only(Transport::Vsock),
            ),
            (
                TransportChoice::Backdoor,
                None,
                Policy::Only(Transport::Backdoor),
            ),
        ];
        for (transport, access, policy) in policies {
            assert_eq!(settings(transport, access).policy(), policy);
        }
    }

    #[test]
    fn each_fault_is_logged_once_an_outage_and_no_more_than_a_few_of_them() {
        let lines = CountLines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        let mut log = LinkLog::new("rpci");
        let refused = LinkError::NoBackdoor;
        for _ in 0..100 {
            log.failed(Transport::Backdoor, &refused);
        }
        assert_eq!(lines.take(), 1);
        for len in 0..100 {
            log.failed(Transport::Backdoor, &LinkError::Unasked { len });
        }
        assert_eq!(lines.take(), MAX_LOGGED - 1);
        log.connected(Transport::Backdoor);
        log.connected(Transport::Backdoor);
        assert_eq!(lines.take(), 1);
        log.failed(Transport::Backdoor, &refused);
        assert_eq!(lines.take(), 1);
        log.connected(Transport::Backdoor);
        assert_eq!(lines.take(), 0);
    }

    #[test]
    fn causes_stand_on_one_line() {
        let error = LinkError::Stream(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(
            Chain(&error).to_string(),
            "the vsock connection broke: broken pipe"
        );
    }
}
