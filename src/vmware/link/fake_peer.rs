//! For tests of the links: scripted vsock connections, a backdoor that can be gone, and a count of log lines.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::os::unix::net;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::vmware::transport::backdoor::fake::FakeHost;
use crate::vmware::transport::backdoor::{AccessFault, RegisterAccess};
use crate::vmware::transport::vsock::{ConnectError, Dial, SourcePort, VsockStream};
use crate::vmware::wire::guest_rpc_packet::{Deframer, Packet};
use crate::vmware::wire::registers::Registers;

/// What becomes of one attempt to connect.
#[derive(Debug)]
pub(super) enum Dialed {
    Absent,
    Reset,
    Hang,
    Connected(VsockStream),
}

/// vsock after a script; when that is over, resets.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeVsock {
    script: Rc<RefCell<VecDeque<Dialed>>>,
    dials: Rc<RefCell<Vec<(u32, SourcePort)>>>,
}

impl FakeVsock {
    pub(super) fn new(script: impl IntoIterator<Item = Dialed>) -> Self {
        let fake = Self::default();
        fake.script.borrow_mut().extend(script);
        fake
    }

    /// Lets one more attempt succeed and gives its other end.
    pub(super) fn listen(&self) -> Peer {
        let (guest, host) = net::UnixStream::pair().unwrap();
        guest.set_nonblocking(true).unwrap();
        host.set_nonblocking(true).unwrap();
        let guest = VsockStream::new(guest.into()).unwrap();
        self.script.borrow_mut().push_back(Dialed::Connected(guest));
        Peer {
            stream: UnixStream::from_std(host).unwrap(),
            deframer: Deframer::new(),
        }
    }

    /// Port and source of each attempt so far.
    pub(super) fn dials(&self) -> Vec<(u32, SourcePort)> {
        self.dials.borrow().clone()
    }
}

impl Dial for FakeVsock {
    fn dial(
        &self,
        port: u32,
        source: SourcePort,
        timeout: Duration,
    ) -> impl Future<Output = Result<VsockStream, ConnectError>> + 'static {
        self.dials.borrow_mut().push((port, source));
        let dialed = self.script.borrow_mut().pop_front();
        async move {
            match dialed {
                Some(Dialed::Connected(stream)) => Ok(stream),
                Some(Dialed::Absent) => Err(ConnectError::Absent {
                    errno: Errno::EPERM,
                }),
                Some(Dialed::Hang) => {
                    tokio::time::sleep(timeout).await;
                    Err(ConnectError::TimedOut { port, timeout })
                }
                Some(Dialed::Reset) | None => Err(ConnectError::Refused {
                    port,
                    errno: Errno::ECONNRESET,
                }),
            }
        }
    }
}

/// The host's end of a vsock connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    deframer: Deframer,
}

impl Peer {
    pub(super) async fn send(&mut self, payload: &[u8]) {
        let packet = Packet::data(payload).encode();
        self.stream.write_all(&packet).await.unwrap();
    }

    /// The next packet, `None` at the end of the stream.
    pub(super) async fn receive(&mut self) -> Option<Packet> {
        let mut buffer = [0; 512];
        loop {
            if let Some(packet) = self.deframer.next_packet().unwrap() {
                return Some(packet);
            }
            match self.stream.read(&mut buffer).await.unwrap() {
                0 => return None,
                len => self.deframer.push(&buffer[..len]),
            }
        }
    }

    /// Answers every request with `1 ` and itself until the guest closes.
    pub(super) async fn echo(mut self) {
        while let Some(packet) = self.receive().await {
            self.send(&[b"1 ", &packet.payload[..]].concat()).await;
        }
    }
}

/// A [`FakeHost`] that can be gone, and counts.
#[derive(Clone, Debug)]
pub(super) struct Backdoor {
    pub(super) host: FakeHost,
    pub(super) mode: Rc<Cell<Mode>>,
    pub(super) accesses: Rc<Cell<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Served,
    /// Every register comes back all ones, as from a port without a device.
    Dead,
    /// The instruction faults.
    Faulting,
}

impl Backdoor {
    pub(super) fn new() -> Self {
        Self {
            host: FakeHost::new(),
            mode: Rc::new(Cell::new(Mode::Served)),
            accesses: Rc::default(),
        }
    }

    fn gone(&self, registers: &mut Registers) -> Result<bool, AccessFault> {
        self.accesses.set(self.accesses.get() + 1);
        match self.mode.get() {
            Mode::Served => Ok(false),
            Mode::Faulting => Err(AccessFault),
            Mode::Dead => {
                let ones = u32::MAX;
                *registers = Registers {
                    ax: ones,
                    bx: ones,
                    cx: ones,
                    dx: ones,
                    si: ones,
                    di: ones,
                    bp: ones,
                };
                Ok(true)
            }
        }
    }
}

impl RegisterAccess for Backdoor {
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault> {
        if self.gone(registers)? {
            return Ok(());
        }
        self.host.low(registers)
    }

    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault> {
        if self.gone(registers)? {
            return Ok(());
        }
        self.host.high_out(registers, data)
    }

    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault> {
        if self.gone(registers)? {
            return Ok(());
        }
        self.host.high_in(registers, data)
    }
}

/// Counts the events at INFO and above.
#[derive(Clone, Debug, Default)]
pub(crate) struct CountLines(Arc<AtomicUsize>);

impl CountLines {
    /// How many since the last call.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl tracing::Subscriber for CountLines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
