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

use tracing::{debug, info, warn};

use crate::config::{HostConfig, TransportChoice};
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::vmware::rpc::message_channel::{Bandwidth, ChannelError};
use crate::vmware::rpc::route::{OpenFailure, Policy, Transport};
use crate::vmware::rpc::rpci::MalformedReply;
use crate::vmware::rpc::tclo::GivenUp;
use crate::vmware::transport::vsock::ConnectError;
use crate::vmware::wire::guest_rpc_packet::PacketError;

/// How long a vsock connection may take. A host without a listener lets the kernel wait for 2 s, which is
/// all the time there is for being back over the backdoor.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(900);

/// How many different faults of one outage are logged at INFO.
const MAX_LOGGED: usize = 8;

/// How many short sessions in a row are logged one by one; the rest is counted.
const LOGGED_LOSSES: u32 = 3;

/// Short sessions in a row that point to a second agent.
const CONTESTED: u32 = 5;

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
    /// The host closed the vsock connection before anything was written to it again.
    #[error("the host closed the idle vsock connection")]
    ClosedIdle,
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
    /// A TCLO connection that the host does not use.
    #[error(transparent)]
    Unused(#[from] GivenUp),
    /// There is no way to make backdoor calls.
    #[error("no backdoor was found on this machine")]
    NoBackdoor,
}

impl LinkError {
    /// Whether the host has announced a message that is longer than we read.
    pub(super) const fn is_too_long(&self) -> bool {
        matches!(
            self,
            Self::Packet(PacketError::TooLong { .. })
                | Self::Channel(ChannelError::TooLongToReceive { .. })
        )
    }

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
            | Self::ClosedIdle
            | Self::Unasked { .. }
            | Self::Unused(_)
            | Self::Silent { .. } => OpenFailure::Failed,
        }
    }
}

/// What `check` says of the way to the host: over which transport it answers, or why it does not.
pub fn check<E: std::error::Error + 'static>(
    choice: TransportChoice,
    used: Result<Option<Transport>, &E>,
) -> Outcome {
    match used {
        Ok(used) => Outcome::Works(match (choice, used) {
            (_, None) => "the host answers".to_owned(),
            (TransportChoice::Auto, Some(Transport::Backdoor)) => {
                "the host answers over the backdoor; vsock does not work here and is not needed"
                    .to_owned()
            }
            (_, Some(used)) => format!("the host answers over {used}"),
        }),
        Err(error) => no_answer(choice, Chain(error).to_string()),
    }
}

/// The same where the host does not answer.
fn no_answer(choice: TransportChoice, problem: String) -> Outcome {
    Outcome::fails(
        problem,
        match choice {
            TransportChoice::Auto => "see vmware.log of the VM",
            TransportChoice::Vsock => {
                "use --transport auto; containers of Talos extensions may not use vsock"
            }
            TransportChoice::Backdoor => "use --transport auto",
        },
    )
}

/// What the second guest agent of a node looks like from here.
const CONTEST: &str =
    "the host takes the channel away again and again; power requests may go unanswered meanwhile";
/// Who that is, mostly.
const CONTESTANT: &str = "a second guest agent runs on this node, such as open-vm-tools, or this one as extension and as DaemonSet";
/// What to do about it.
const KEEP_ONE: &str = "keep one of them";

/// Logs each change of a link once, and counts the rest.
#[derive(Debug)]
pub(super) struct LinkLog {
    channel: &'static str,
    connected: Option<Transport>,
    /// Failures since the last connection.
    failures: u64,
    logged: BTreeSet<(Transport, String)>,
    /// Short sessions in a row.
    losses: u32,
    /// The last failure since the last connection.
    fault: Option<String>,
}

impl LinkLog {
    pub(super) const fn new(channel: &'static str) -> Self {
        Self {
            channel,
            connected: None,
            failures: 0,
            logged: BTreeSet::new(),
            losses: 0,
            fault: None,
        }
    }

    /// What `check` says of the link.
    fn check(&self, choice: TransportChoice) -> Outcome {
        match (self.connected, &self.fault) {
            _ if self.losses >= CONTESTED => {
                Outcome::fails(format!("{CONTEST}; likely {CONTESTANT}"), KEEP_ONE)
            }
            (Some(transport), _) => check(choice, Ok::<_, &LinkError>(Some(transport))),
            (None, Some(fault)) => no_answer(choice, fault.clone()),
            (None, None) => Outcome::NotChecked("the host has not answered yet".to_owned()),
        }
    }

    /// An attempt failed.
    pub(super) fn failed(&mut self, transport: Transport, error: &LinkError) {
        let channel = self.channel;
        self.failures = self.failures.saturating_add(1);
        let attempt = self.failures;
        let error = Chain(error).to_string();
        self.fault = Some(error.clone());
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
        if self.connected == Some(transport) || self.losses > LOGGED_LOSSES {
            debug!(channel, %transport, failures, "connected to the host again");
        } else {
            info!(channel, %transport, failures, "connected to the host");
        }
        self.failures = 0;
        self.fault = None;
        self.connected = Some(transport);
        // Faults of the other transport stay in the set: falling back again and again is no news. Nor is it that
        // a channel breaks which always does.
        if self.losses == 0 {
            self.logged.retain(|(logged, _)| *logged != transport);
        }
    }

    /// The host is gone, and so many sessions in a row were short.
    pub(super) fn lost(&mut self, transport: Transport, losses: u32) {
        let channel = self.channel;
        self.connected = None;
        self.losses = losses;
        if losses == CONTESTED {
            warn!(
                channel,
                %transport,
                losses,
                likely = CONTESTANT,
                remedy = KEEP_ONE,
                "{CONTEST}"
            );
        } else if losses > LOGGED_LOSSES {
            debug!(channel, %transport, losses, "lost the host");
        } else {
            info!(channel, %transport, "lost the host");
        }
    }

    /// The session has lasted.
    pub(super) fn lasted(&mut self) {
        let losses = std::mem::take(&mut self.losses);
        if losses > LOGGED_LOSSES {
            info!(
                channel = self.channel,
                losses, "the host keeps the channel again"
            );
        }
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
    fn a_channel_that_is_taken_away_again_and_again_is_warned_of_once_and_then_counted() {
        let logged = crate::log::logged::Logged::new();
        let lines = || -> Vec<_> {
            let lines = logged.take().into_iter();
            lines
                .filter(|(level, _)| *level <= tracing::Level::INFO)
                .collect()
        };
        let mut log = LinkLog::new("tclo");
        log.connected(Transport::Vsock);
        assert_eq!(lines().len(), 1);
        for losses in 1..=1_000 {
            log.failed(Transport::Vsock, &LinkError::Closed);
            log.lost(Transport::Vsock, losses);
            log.connected(Transport::Vsock);
        }
        // One reason, three times lost and back, one warning.
        let said = lines();
        assert_eq!(said.len(), 1 + 3 * 2 + 1, "{said:#?}");
        let (level, warning) = said.last().unwrap();
        assert_eq!(*level, tracing::Level::WARN);
        assert!(warning.contains("second guest agent"), "{warning}");
        log.lasted();
        log.lasted();
        let said = lines();
        assert_eq!(said.len(), 1, "{said:#?}");
        assert!(said[0].1.contains("losses=1000"), "{said:#?}");
        log.lost(Transport::Vsock, 0);
        log.connected(Transport::Vsock);
        assert_eq!(lines().len(), 2);
    }

    #[test]
    fn causes_stand_on_one_line() {
        let error = LinkError::Stream(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(
            Chain(&error).to_string(),
            "the vsock connection broke: broken pipe"
        );
    }

    #[test]
    fn the_transport_in_words() {
        let over = |used| Ok::<_, &LinkError>(Some(used));
        assert_eq!(
            check(TransportChoice::Auto, over(Transport::Vsock)),
            Outcome::Works("the host answers over vsock".into())
        );
        assert!(matches!(
            check(TransportChoice::Auto, over(Transport::Backdoor)),
            Outcome::Works(how) if how.contains("over the backdoor; vsock does not")
        ));
        let failed = Err(&LinkError::NoBackdoor);
        assert!(matches!(
            check(TransportChoice::Vsock, failed),
            Outcome::Fails { problem, remedy }
                if problem.contains("no backdoor was found") && remedy.contains("--transport auto")
        ));
    }

    #[test]
    fn a_link_says_what_it_is_like_and_names_a_second_agent_while_there_is_one() {
        let auto = TransportChoice::Auto;
        let mut log = LinkLog::new("tclo");
        assert!(matches!(log.check(auto), Outcome::NotChecked(_)));
        log.failed(Transport::Backdoor, &LinkError::NoBackdoor);
        assert!(matches!(log.check(auto), Outcome::Fails { .. }));
        log.connected(Transport::Backdoor);
        assert!(matches!(log.check(auto), Outcome::Works(_)));
        for losses in 1..=CONTESTED {
            log.lost(Transport::Backdoor, losses);
            log.connected(Transport::Backdoor);
        }
        assert!(matches!(
            log.check(auto),
            Outcome::Fails { problem, remedy }
                if problem.contains("second guest agent") && remedy.contains("keep one")
        ));
        log.lasted();
        assert!(matches!(log.check(auto), Outcome::Works(_)));
    }
}
