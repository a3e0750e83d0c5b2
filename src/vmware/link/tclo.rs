//! The TCLO side: [`Tclo`] on real channels, sockets and timers.
//!
//! Nothing is decided here, and everything that spans an await lives in [`TcloLink`], not in the future of
//! [`TcloLink::next`]: that may be dropped at any time, as `select!` does, and nothing is lost. Accesses to
//! the backdoor and writes to the socket happen while `next` is polled, never after an await in it.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::coop::consume_budget;
use tokio::time::Instant;

use super::alarm::Alarm;
use super::channel::Channel;
use super::{CONNECT_TIMEOUT, LinkError, LinkLog, LinkSettings};
use crate::diagnosis::Outcome;
use crate::vmware::rpc::message_channel::Protocol;
use crate::vmware::rpc::route::Transport;
use crate::vmware::rpc::tclo::{Output, Tclo};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::transport::vsock::{ConnectError, Dial, HostVsock, SourcePort, VsockStream};

/// GUESTRPC_TCLO_VSOCK_LISTEN_PORT [vmci_defs.h]
const TCLO_PORT: u32 = 975;

/// What the host does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcloEvent {
    /// The host is there.
    Connected {
        /// Over which transport.
        transport: Transport,
    },
    /// The host asks; it waits for [`TcloLink::reply`].
    Request(Vec<u8>),
    /// The host is gone, and with it any request without reply. A new connection is on its way.
    Lost,
}

/// What is open.
enum Line<A: RegisterAccess> {
    None,
    Backdoor(Channel<A>),
    Dialing(Pin<Box<dyn Future<Output = Result<VsockStream, ConnectError>>>>),
    Vsock {
        stream: VsockStream,
        /// Not yet taken by the socket.
        unwritten: VecDeque<u8>,
    },
}

/// What was waited for.
enum Wake {
    Dialed(Result<VsockStream, ConnectError>),
    Socket,
    Time,
}

/// The TCLO connection, opened and reopened as needed.
pub struct TcloLink<A: RegisterAccess, V = HostVsock> {
    settings: LinkSettings<A>,
    dialer: V,
    tclo: Tclo,
    line: Line<A>,
    alarm: Alarm,
    log: LinkLog,
    epoch: Instant,
}

impl<A: RegisterAccess, V> std::fmt::Debug for TcloLink<A, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcloLink")
            .field("tclo", &self.tclo)
            .finish_non_exhaustive()
    }
}

impl<A: RegisterAccess + Clone, V: Dial> TcloLink<A, V> {
    /// A link that opens at the first [`TcloLink::next`]. To be called within a runtime, where `alarm` is made.
    pub fn with_dialer(settings: LinkSettings<A>, dialer: V, alarm: Alarm) -> Self {
        Self {
            tclo: Tclo::new(settings.policy()),
            settings,
            dialer,
            line: Line::None,
            alarm,
            log: LinkLog::new("tclo"),
            epoch: Instant::now(),
        }
    }

    /// The next event. Cancel-safe: dropped before it ends, it has taken nothing.
    pub async fn next(&mut self) -> TcloEvent {
        // A host that always has one more request must not keep signals and other tasks from running.
        consume_budget().await;
        loop {
            let now = self.now();
            if let Err(error) = self.tclo.handle_timeout(now) {
                self.log.failed(Transport::Vsock, &error.into());
            }
            if self.tclo.short_sessions() == 0 {
                self.log.lasted();
            }
            if let Some(event) = self.perform() {
                return event;
            }
            match self.wake().await {
                Wake::Time => {}
                Wake::Dialed(result) => self.dialed(result),
                Wake::Socket => self.transfer(),
            }
        }
    }

    /// Hands over the reply to the last request, exactly these bytes; the following [`TcloLink::next`] sends
    /// it before anything else. Without effect when the connection of that request is gone.
    pub fn reply(&mut self, bytes: Vec<u8>) {
        match self.tclo.reply(bytes, self.now()) {
            Ok(true) => {}
            Ok(false) => tracing::debug!(channel = "tclo", "reply to a lost request dropped"),
            Err(error) => self.log.failed(Transport::Vsock, &error.into()),
        }
    }

    /// Whether the last session was short, so that this one may be, too.
    pub const fn is_doubtful(&self) -> bool {
        self.tclo.short_sessions() > 0
    }

    /// What `check` says of the connection.
    pub fn check(&self) -> Outcome {
        self.log.check(self.settings.transport)
    }

    /// Closes the connection for good; [`TcloLink::next`] stays silent from here on.
    pub fn close(&mut self) {
        self.tclo.close();
        self.line = Line::None;
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// Does all that the machine wants up to the next event.
    fn perform(&mut self) -> Option<TcloEvent> {
        while let Some(output) = self.tclo.poll_output() {
            match output {
                Output::Close => self.line = Line::None,
                Output::Open(Transport::Backdoor) => self.open_backdoor(),
                Output::Open(Transport::Vsock) => {
                    let dial = self
                        .dialer
                        .dial(TCLO_PORT, SourcePort::Any, CONNECT_TIMEOUT);
                    self.line = Line::Dialing(Box::pin(dial));
                }
                Output::Poll(bytes) => self.poll_backdoor(&bytes),
                Output::Write(bytes) => {
                    if let Line::Vsock { unwritten, .. } = &mut self.line {
                        unwritten.extend(bytes);
                    }
                    self.write();
                }
                Output::Connected(transport) => {
                    self.log.connected(transport);
                    return Some(TcloEvent::Connected { transport });
                }
                Output::Request(request) => return Some(TcloEvent::Request(request)),
                Output::Lost(transport) => {
                    self.log.lost(transport, self.tclo.short_sessions());
                    return Some(TcloEvent::Lost);
                }
            }
        }
        None
    }

    fn open_backdoor(&mut self) {
        let opened = self
            .settings
            .access
            .clone()
            .ok_or(LinkError::NoBackdoor)
            .and_then(|access| {
                Ok(Channel::open(
                    access,
                    Protocol::Tclo,
                    self.settings.bandwidth,
                )?)
            });
        match opened {
            Ok(channel) => {
                self.line = Line::Backdoor(channel);
                self.tclo.handle_opened(self.now());
            }
            Err(error) => {
                self.log.failed(Transport::Backdoor, &error);
                self.tclo
                    .handle_open_failed(error.open_failure(), self.now());
            }
        }
    }

    fn poll_backdoor(&mut self, bytes: &[u8]) {
        let Line::Backdoor(channel) = &mut self.line else {
            return;
        };
        match channel.send(bytes).and_then(|()| channel.receive()) {
            Ok(message) => self.tclo.handle_polled(message, self.now()),
            Err(error) => self.broken(Transport::Backdoor, &error.into()),
        }
    }

    fn dialed(&mut self, result: Result<VsockStream, ConnectError>) {
        let now = self.now();
        match result {
            Ok(stream) => {
                self.line = Line::Vsock {
                    stream,
                    unwritten: VecDeque::new(),
                };
                self.tclo.handle_opened(now);
            }
            Err(error) => {
                let error = LinkError::from(error);
                self.line = Line::None;
                self.log.failed(Transport::Vsock, &error);
                self.tclo.handle_open_failed(error.open_failure(), now);
            }
        }
    }

    /// Moves bytes both ways as far as the socket goes.
    fn transfer(&mut self) {
        self.write();
        while self.tclo.wants_bytes() {
            let Line::Vsock { stream, .. } = &self.line else {
                return;
            };
            let mut buffer = [0; 4096];
            match stream.try_read(&mut buffer) {
                Ok(0) => return self.broken(Transport::Vsock, &LinkError::Closed),
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    if let Err(error) = self.tclo.handle_bytes(bytes, self.now()) {
                        return self.log.failed(Transport::Vsock, &error.into());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return self.broken(Transport::Vsock, &error.into()),
            }
        }
    }

    fn write(&mut self) {
        let Line::Vsock { stream, unwritten } = &mut self.line else {
            return;
        };
        while !unwritten.is_empty() {
            match stream.try_write(unwritten.as_slices().0) {
                Ok(len) => drop(unwritten.drain(..len.min(unwritten.len()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = unwritten.len();
                    return self.written(left);
                }
                Err(error) => return self.broken(Transport::Vsock, &error.into()),
            }
        }
        // A long reply must not hold its memory for the life of the connection.
        unwritten.shrink_to(256);
        self.written(0);
    }

    /// Reports how much the socket has left over.
    fn written(&mut self, left: usize) {
        if let Err(error) = self.tclo.handle_unwritten(left, self.now()) {
            self.log.failed(Transport::Vsock, &error.into());
        }
    }

    fn broken(&mut self, transport: Transport, error: &LinkError) {
        self.log.failed(transport, error);
        self.tclo.handle_broken(self.now());
    }

    /// Waits for whatever can happen next.
    async fn wake(&mut self) -> Wake {
        let deadline = self.tclo.poll_timeout();
        let deadline = deadline.and_then(|due| self.epoch.checked_add(due));
        let wants_bytes = self.tclo.wants_bytes();
        let alarm = &mut self.alarm;
        let time = async move {
            match deadline {
                Some(deadline) => alarm.wait_until(deadline).await,
                None => pending().await,
            }
            Wake::Time
        };
        match &mut self.line {
            Line::None | Line::Backdoor(_) => time.await,
            Line::Dialing(dial) => Wake::Dialed(dial.as_mut().await),
            Line::Vsock { stream, unwritten } => {
                let full = !unwritten.is_empty();
                tokio::select! {
                    // An error of these shows again in the read or write that follows.
                    _ = stream.readable(), if wants_bytes => Wake::Socket,
                    _ = stream.writable(), if full => Wake::Socket,
                    wake = time => wake,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
