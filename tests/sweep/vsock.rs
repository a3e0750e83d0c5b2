//! Faults at each connect and each packet of vsock.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::future::Future;
use std::os::unix::net;
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use talos_vmtoolsd::config::TransportChoice;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::rpc::message_channel::Bandwidth;
use talos_vmtoolsd::vmware::transport::vsock::{ConnectError, Dial, SourcePort, VsockStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{Instant, sleep};
use vmx::codec::datamap::Packet;
use vmx::{By, Host, HostConfig, TCLO_PORT, VsockPolicy};

use crate::backdoor::{self, Port};
use crate::report::{self, Outcome};
use crate::session::{self, Bounds, SharedHost, TalosScript};

/// How long a host that went away is missed by the guest's kernel.
const HALF_OPEN: Duration = Duration::from_secs(3);
/// How soon the host notices that it has something to ask.
const TICK: Duration = Duration::from_millis(40);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The connect is refused.
    Refused,
    /// The connect hangs.
    Hanging,
    /// The connection is gone at once.
    Reset,
    /// Nothing is read or written any more, and after a while the connection is gone.
    HalfOpen,
    /// A packet arrives byte by byte.
    ShortReads,
    /// A packet ends in the middle, and so does the stream.
    CutOff,
    /// A packet whose length is beyond all measure.
    BadLength,
    /// A packet that has a field twice.
    DuplicateField,
    /// A packet that is no map.
    GarbageBody,
}

const FAULTS: [Fault; 9] = [
    Fault::Refused,
    Fault::Hanging,
    Fault::Reset,
    Fault::HalfOpen,
    Fault::ShortReads,
    Fault::CutOff,
    Fault::BadLength,
    Fault::DuplicateField,
    Fault::GarbageBody,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    /// A packet to the guest.
    Sent,
    /// A packet from the guest.
    Received,
}

impl Fault {
    fn concerns(self, step: Step) -> bool {
        match self {
            Self::Refused | Self::Hanging => step == Step::Connect,
            Self::ShortReads | Self::CutOff => step == Step::Sent,
            _ => true,
        }
    }

    /// The bytes of a spoiled packet.
    fn bytes(self) -> Option<Vec<u8>> {
        const TYPE_FIELD: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
        match self {
            Self::BadLength => Some(vec![0xFF; 8]),
            Self::DuplicateField => Some([&[0, 0, 0, 32][..], &TYPE_FIELD, &TYPE_FIELD].concat()),
            Self::GarbageBody => Some([&[0, 0, 0, 16][..], &[0xA5; 16]].concat()),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Case {
    fault: Fault,
    at: usize,
    times: usize,
    transport: TransportChoice,
}

#[test]
fn a_fault_at_any_connect_or_packet_is_survived() {
    let mut cases = Vec::new();
    for transport in [TransportChoice::Vsock, TransportChoice::Auto] {
        let (steps, outcome) = play(None, transport);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "without a fault");
        for fault in FAULTS {
            for (at, step) in steps.iter().enumerate() {
                for times in [1, 3] {
                    if fault.concerns(*step) {
                        cases.push(Case {
                            fault,
                            at,
                            times,
                            transport,
                        });
                    }
                }
            }
        }
    }
    report::run(
        "faults at each connect and each packet of vsock",
        &cases,
        crate::processors(),
        |case| {
            let times = if case.times == 1 { "" } else { " ×3" };
            format!("{:?}{times}", case.fault)
        },
        |case| play(Some(*case), case.transport).1,
    );
}

/// The steps of a session and what came of it.
fn play(case: Option<Case>, transport: TransportChoice) -> (Vec<Step>, Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let now = Instant::now().into_std();
        let config = HostConfig {
            vsock: VsockPolicy::served(),
            ..HostConfig::default()
        };
        let host = Rc::new(RefCell::new(Host::new(config, now, Duration::ZERO)));
        backdoor::connect(&host);
        let wires = Wires(Rc::new(RefCell::new(State {
            host: Rc::clone(&host),
            case,
            steps: Vec::new(),
            closing: BTreeSet::new(),
        })));
        let settings = LinkSettings {
            transport,
            access: Some(Port),
            bandwidth: Bandwidth::High,
        };
        // Nobody can see that a connection is half open before the kernel says so.
        let unseen = match case {
            Some(case) if case.fault == Fault::HalfOpen => HALF_OPEN * case.times as u32,
            _ => Duration::ZERO,
        };
        let several = case.is_some_and(|case| case.times > 1);
        let bounds = Bounds {
            // A sign of life every second, and then pauses of 0.1, 0.2 and 0.4 s.
            silence: unseen + Duration::from_millis(if several { 2500 } else { 1500 }),
            took: Duration::from_secs(20),
            patience: several,
        };
        let outcome = session::play(&host, settings, &wires, TalosScript::default(), bounds).await;
        (wires.0.borrow().steps.clone(), outcome)
    })
}

/// The connections between the guest and the host.
#[derive(Clone)]
struct Wires(Rc<RefCell<State>>);

struct State {
    host: SharedHost,
    case: Option<Case>,
    steps: Vec<Step>,
    /// Connections that the host wants closed.
    closing: BTreeSet<u32>,
}

impl Wires {
    /// The fault of the step that is about to be made.
    fn due(&self, step: Step) -> Option<Fault> {
        let mut state = self.0.borrow_mut();
        let at = state.steps.len();
        state.steps.push(step);
        let case = state.case?;
        let hit = (case.at..case.at + case.times).contains(&at) && case.fault.concerns(step);
        hit.then_some(case.fault)
    }

    /// Asks the host something.
    fn host<T>(&self, ask: impl FnOnce(&mut Host, std::time::Instant) -> T) -> T {
        let state = self.0.borrow();
        ask(&mut state.host.borrow_mut(), Instant::now().into_std())
    }

    fn is_closing(&self, id: u32) -> bool {
        let (closing, _) = self.host(|host, _| host.vsock_orders());
        let mut state = self.0.borrow_mut();
        state.closing.extend(closing);
        state.closing.remove(&id)
    }

    async fn serve(self, id: u32, port: u32, mut stream: UnixStream) {
        let by = self.attend(id, port, &mut stream).await;
        self.host(|host, now| host.vsock_gone(id, by.unwrap_or(By::Host), now));
    }

    /// `None`: the host ends it.
    async fn attend(&self, id: u32, port: u32, stream: &mut UnixStream) -> Option<By> {
        let mut inbox = Vec::new();
        loop {
            if self.is_closing(id) {
                return None;
            }
            if port == TCLO_PORT {
                let request = self.host(|host, now| host.vsock_request(id, now));
                if let Some((request, packet)) = request {
                    self.host(|host, now| host.picked_up(request, now));
                    self.send(stream, &packet).await?;
                }
            }
            let mut buffer = [0; 4096];
            tokio::select! {
                biased;
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return Some(By::Guest),
                    Ok(len) => inbox.extend_from_slice(&buffer[..len]),
                },
                () = sleep(TICK) => {}
            }
            while let Some((packet, len)) = Packet::decode(&inbox).ok()? {
                inbox.drain(..len);
                let fault = self.due(Step::Received);
                spoil(fault, stream).await?;
                let reaction = self.host(|host, now| host.vsock_packet(id, packet, now));
                if let Some(reply) = reaction.reply {
                    self.send(stream, &reply).await?;
                }
                if reaction.close {
                    return None;
                }
            }
        }
    }

    async fn send(&self, stream: &mut UnixStream, packet: &Packet) -> Option<()> {
        let fault = self.due(Step::Sent);
        spoil(fault, stream).await?;
        let bytes = packet.encode();
        match fault {
            Some(Fault::ShortReads) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await.ok()?;
                    yield_now().await;
                }
                Some(())
            }
            Some(Fault::CutOff) => {
                let half = bytes.len() / 2;
                let _ = stream.write_all(&bytes[..half]).await;
                None
            }
            // The spoiled packet has taken its place.
            Some(fault) if fault.bytes().is_some() => Some(()),
            _ => stream.write_all(&bytes).await.ok(),
        }
    }
}

/// What a fault does to a connection; `None` ends it.
async fn spoil(fault: Option<Fault>, stream: &mut UnixStream) -> Option<()> {
    match fault {
        Some(Fault::Reset) => None,
        Some(Fault::HalfOpen) => {
            sleep(HALF_OPEN).await;
            None
        }
        Some(fault) => match fault.bytes() {
            Some(bytes) => stream.write_all(&bytes).await.ok(),
            None => Some(()),
        },
        None => Some(()),
    }
}

/// The guest's and the host's end of a connection.
fn pair() -> (VsockStream, UnixStream) {
    let (guest, host) = net::UnixStream::pair().unwrap();
    guest.set_nonblocking(true).unwrap();
    host.set_nonblocking(true).unwrap();
    let guest = VsockStream::new(guest.into()).unwrap();
    (guest, UnixStream::from_std(host).unwrap())
}

impl Dial for Wires {
    fn dial(
        &self,
        port: u32,
        _source: SourcePort,
        timeout: Duration,
    ) -> impl Future<Output = Result<VsockStream, ConnectError>> + 'static {
        let wires = self.clone();
        async move {
            match wires.due(Step::Connect) {
                Some(Fault::Refused) => {
                    return Err(ConnectError::Refused {
                        port,
                        errno: Errno::ECONNRESET,
                    });
                }
                Some(Fault::Hanging) => {
                    sleep(timeout).await;
                    return Err(ConnectError::TimedOut { port, timeout });
                }
                Some(Fault::Reset) => {
                    return Ok(pair().0);
                }
                _ => {}
            }
            let (guest, stream) = pair();
            let id = wires.host(|host, now| host.vsock_connected(port, 1023, now));
            spawn_local(wires.serve(id, port, stream));
            Ok(guest)
        }
    }
}
