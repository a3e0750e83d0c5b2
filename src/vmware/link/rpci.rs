//! The RPCI side: [`Client`] on real channels and sockets.
//!
//! Nothing is decided here. Over the backdoor an exchange ends without suspending, unless the host takes its time.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use super::channel::Channel;
use super::{CONNECT_TIMEOUT, LinkError, LinkLog, LinkSettings};
use crate::log::Chain;
use crate::vmware::rpc::message_channel::Protocol;
use crate::vmware::rpc::route::Transport;
use crate::vmware::rpc::rpci::{Client, Failure, MAX_REQUEST, Output, REPLY_TIMEOUT, Reply};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::transport::vsock::{Dial, HostVsock, SourcePort, VsockStream};
use crate::vmware::wire::guest_rpc_packet::{Deframer, Packet};

/// GUESTRPC_RPCI_VSOCK_LISTEN_PORT [vmci_defs.h]
const RPCI_PORT: u32 = 976;

/// How long to wait on the backdoor between two looks for a reply that is late.
const LATE_REPLY: Duration = Duration::from_millis(20);

/// Why a command has no reply.
#[derive(Debug, thiserror::Error)]
pub enum RpciError {
    /// The command is longer than any host accepts; it was not sent.
    #[error("an RPCI command of {len} bytes is too long, the host accepts {MAX_REQUEST}")]
    TooLong {
        /// How long it is.
        len: usize,
    },
    /// No connection to the host could be made.
    #[error("the host cannot be reached over RPCI")]
    Unreachable {
        /// The last attempt's error.
        #[source]
        source: LinkError,
    },
    /// The host has carried the command out and answers with more than we read. Asking again gives no less.
    #[error("the host's reply is too long to be read")]
    ReplyTooLong {
        /// What was announced.
        #[source]
        source: LinkError,
    },
    /// The connection broke twice, or once after a command that must not arrive twice. The host may have carried the command out all the same.
    #[error("the RPCI connection broke twice")]
    Broken {
        /// The last error.
        #[source]
        source: LinkError,
    },
}

/// How often the host may get a command whose reply is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempts {
    /// Once. A command that cannot have arrived is sent over another connection all the same.
    One,
    /// Twice.
    Two,
}

/// What is open.
#[derive(Debug)]
enum Line<A: RegisterAccess> {
    None,
    Backdoor(Channel<A>),
    Vsock(VsockStream, Deframer),
}

/// The RPCI connection, opened when it is needed.
#[derive(Debug)]
pub struct RpciLink<A: RegisterAccess, V = HostVsock> {
    settings: LinkSettings<A>,
    dialer: V,
    client: Client,
    line: Line<A>,
    log: LinkLog,
    epoch: Instant,
}

impl<A: RegisterAccess + Clone> RpciLink<A> {
    /// A link that has not been opened.
    pub fn new(settings: LinkSettings<A>) -> Self {
        Self::with_dialer(settings, HostVsock)
    }
}

impl<A: RegisterAccess + Clone, V: Dial> RpciLink<A, V> {
    /// A link that makes its vsock connections elsewhere.
    pub fn with_dialer(settings: LinkSettings<A>, dialer: V) -> Self {
        Self {
            client: Client::new(settings.policy()),
            settings,
            dialer,
            line: Line::None,
            log: LinkLog::new("rpci"),
            epoch: Instant::now(),
        }
    }

    /// The transport of the open connection.
    pub fn transport(&self) -> Option<Transport> {
        self.client.transport()
    }

    /// Sends a command, exactly these bytes, and waits for the reply. When dropped before it ends, the next
    /// exchange takes a new connection.
    ///
    /// # Errors
    /// [`RpciError`]; the link stays usable after each.
    pub async fn exchange(&mut self, message: &[u8]) -> Result<Reply, RpciError> {
        self.exchange_with(message, Attempts::Two).await
    }

    /// The same for a command that the host may get so often.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub async fn exchange_with(
        &mut self,
        message: &[u8],
        attempts: Attempts,
    ) -> Result<Reply, RpciError> {
        let len = message.len();
        if len > MAX_REQUEST {
            return Err(RpciError::TooLong { len });
        }
        self.client.request(self.epoch.elapsed());
        self.drive(message, attempts).await
    }

    /// The host has started afresh (a TCLO reset): vsock may be tried again.
    pub fn forget_failures(&mut self) {
        self.client.forget_failures(self.epoch.elapsed());
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.client.close();
        while self.client.poll_output().is_some() {}
        self.line = Line::None;
    }

    /// Does what the machine says until the request is done.
    async fn drive(&mut self, message: &[u8], attempts: Attempts) -> Result<Reply, RpciError> {
        let mut last_error = LinkError::Closed;
        let mut too_long = false;
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Close => self.line = Line::None,
                Output::Open(transport) => match self.open_line(transport).await {
                    Ok(line) => {
                        self.line = line;
                        self.client.handle_opened(self.epoch.elapsed());
                    }
                    Err(error) => {
                        self.log.failed(transport, &error);
                        self.client
                            .handle_open_failed(error.open_failure(), self.epoch.elapsed());
                        last_error = error;
                    }
                },
                Output::Exchange { timeout } => {
                    let transport = self.client.transport();
                    let timeout = match attempts {
                        Attempts::One => REPLY_TIMEOUT,
                        Attempts::Two => timeout,
                    };
                    let mut is_sent = false;
                    let outcome = self.exchange_once(message, timeout, &mut is_sent).await;
                    let now = self.epoch.elapsed();
                    let outcome = match outcome {
                        Ok(reply) => self.client.handle_reply(&reply, now).map_err(Into::into),
                        // Once, the announcement may have been garbled.
                        Err(source)
                            if source.is_too_long() && std::mem::replace(&mut too_long, true) =>
                        {
                            self.close();
                            return Err(RpciError::ReplyTooLong { source });
                        }
                        Err(error) => {
                            self.client.handle_exchange_failed(now);
                            Err(error)
                        }
                    };
                    if let Err(error) = outcome {
                        if is_sent && attempts == Attempts::One {
                            self.close();
                            return Err(RpciError::Broken { source: error });
                        }
                        // The VMX closes idle channels, which is everyday; on the backdoor it looks like any fault.
                        debug!(channel = "rpci", error = %Chain(&error), "connection broke");
                        if transport == Some(Transport::Vsock)
                            && !matches!(error, LinkError::ClosedIdle)
                        {
                            self.log.failed(Transport::Vsock, &error);
                        }
                        last_error = error;
                    }
                }
                Output::Replied(reply) => {
                    if let Some(transport) = self.client.transport() {
                        self.log.connected(transport);
                    }
                    return Ok(reply);
                }
                Output::Failed(Failure::Unreachable) => {
                    return Err(RpciError::Unreachable { source: last_error });
                }
                Output::Failed(Failure::Broken) => {
                    return Err(RpciError::Broken { source: last_error });
                }
            }
        }
        Err(RpciError::Broken { source: last_error })
    }

    async fn open_line(&self, transport: Transport) -> Result<Line<A>, LinkError> {
        match transport {
            Transport::Backdoor => {
                let access = self.settings.access.clone().ok_or(LinkError::NoBackdoor)?;
                let channel = Channel::open(access, Protocol::Rpci, self.settings.bandwidth)?;
                Ok(Line::Backdoor(channel))
            }
            Transport::Vsock => {
                let source = SourcePort::PreferPrivileged;
                let stream = self.dialer.dial(RPCI_PORT, source, CONNECT_TIMEOUT).await?;
                Ok(Line::Vsock(stream, Deframer::new()))
            }
        }
    }

    /// `is_sent` is set before the host may have the command.
    async fn exchange_once(
        &mut self,
        message: &[u8],
        limit: Duration,
        is_sent: &mut bool,
    ) -> Result<Vec<u8>, LinkError> {
        match &mut self.line {
            Line::None => Err(LinkError::Closed),
            Line::Backdoor(channel) => {
                channel.send(message)?;
                *is_sent = true;
                let reply = async {
                    loop {
                        if let Some(reply) = channel.receive()? {
                            return Ok(reply);
                        }
                        sleep(LATE_REPLY).await;
                    }
                };
                timeout(limit, reply)
                    .await
                    .unwrap_or(Err(LinkError::Silent { timeout: limit }))
            }
            Line::Vsock(stream, deframer) => {
                timeout(limit, exchange_packets(stream, deframer, message, is_sent))
                    .await
                    .unwrap_or(Err(LinkError::Silent { timeout: limit }))
            }
        }
    }
}

/// One packet out, one with a payload in.
async fn exchange_packets(
    stream: &mut VsockStream,
    deframer: &mut Deframer,
    message: &[u8],
    is_sent: &mut bool,
) -> Result<Vec<u8>, LinkError> {
    // Better noticed before the command is on its way: that the connection was closed while it was idle, and
    // that something is there which would pass for the reply.
    match stream.unread()? {
        None if deframer.is_empty() => {}
        Some(0) => return Err(LinkError::ClosedIdle),
        unread => {
            let len = unread.unwrap_or(0).saturating_add(deframer.len());
            return Err(LinkError::Unasked { len });
        }
    }
    *is_sent = true;
    stream.write_all(&Packet::data(message).encode()).await?;
    let mut buffer = [0; 1024];
    loop {
        match deframer.next_packet()? {
            Some(packet) if packet.payload.is_empty() => {}
            Some(packet) => return Ok(packet.payload),
            None => match stream.read(&mut buffer).await? {
                0 => return Err(LinkError::Closed),
                len => deframer.push(buffer.get(..len).unwrap_or_default()),
            },
        }
    }
}

#[cfg(test)]
mod tests;
