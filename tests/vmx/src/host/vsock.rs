//! Guest RPC over vsock, from the host's side (vsockChannel.c, rpcin.c): who may connect, and what is said
//! on a connection. The bytes travel elsewhere.

use std::time::{Duration, Instant};

use super::Host;
use super::event::{By, EventKind, Link, Protocol};
use super::tclo::ExchangeId;
use crate::codec::datamap::{DATA, PING, Packet};

/// The host's CID (VMCI_HYPERVISOR_CONTEXT_ID).
pub const HOST_CID: u32 = 0;
/// The guest's CID under this host.
pub const GUEST_CID: u32 = 52;
/// The port for TCLO.
pub const TCLO_PORT: u32 = 975;
/// The port for RPCI.
pub const RPCI_PORT: u32 = 976;
/// VSOCK_DEFAULT_CONNECT_TIMEOUT of Linux.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What happens to a connect to one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortPolicy {
    /// It is served.
    Serve,
    /// It fails at once with this errno (a non-blocking one by way of SO_ERROR, for the errnos that come
    /// from the other side).
    Refuse(i32),
    /// Nobody answers: ETIMEDOUT after two seconds, the kernel's default for vsock.
    Hang,
    /// It is accepted and nothing is ever said.
    Mute,
    /// It is accepted and closed.
    Drop,
}

/// What the guest may do with vsock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VsockPolicy {
    /// `socket(AF_VSOCK)`: allowed, or the errno.
    pub socket: Result<(), i32>,
    /// `socket(AF_VSOCK)` becomes this system call, which the guest's own filter then judges: what code would do
    /// that somebody has taken over.
    pub taken_over: Option<i64>,
    /// `bind` to a port below 1024: allowed, or the errno (EACCES without the capability).
    pub privileged: Result<(), i32>,
    /// Source ports in use: EADDRINUSE.
    pub busy_ports: Vec<u32>,
    /// Connects to 975.
    pub tclo: PortPolicy,
    /// Connects to 976.
    pub rpci: PortPolicy,
}

impl VsockPolicy {
    /// Every socket is refused: `EPERM` as under a sandbox's filter, `EAFNOSUPPORT` without the modules.
    pub fn refused(errno: i32) -> Self {
        Self {
            socket: Err(errno),
            ..Self::served()
        }
    }

    /// Both ports are served.
    pub fn served() -> Self {
        Self {
            socket: Ok(()),
            taken_over: None,
            privileged: Ok(()),
            busy_ports: Vec::new(),
            tclo: PortPolicy::Serve,
            rpci: PortPolicy::Serve,
        }
    }

    /// Sockets are allowed, both ports answer alike.
    pub fn both(port: PortPolicy) -> Self {
        Self {
            tclo: port,
            rpci: port,
            ..Self::served()
        }
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    protocol: Protocol,
    source: u32,
    mute: bool,
    used: Instant,
}

/// What to do on a connection after a packet.
#[derive(Debug, Default)]
pub struct Reaction {
    /// Goes back.
    pub reply: Option<Packet>,
    /// Whether the host closes then.
    pub close: bool,
}

impl Host {
    /// Whether `bind` to this source port is allowed.
    pub(crate) fn vsock_bind(&mut self, port: u32, now: Instant) -> Result<(), i32> {
        let policy = &self.config.vsock;
        let in_use = self
            .vsock
            .values()
            .any(|connection| connection.source == port);
        let outcome = if port < 1024 && policy.privileged.is_err() {
            policy.privileged
        } else if in_use || policy.busy_ports.contains(&port) {
            Err(libc::EADDRINUSE)
        } else {
            Ok(())
        };
        self.event(now, EventKind::VsockBind(port, outcome));
        outcome
    }

    /// What becomes of a connect.
    pub fn vsock_connect(
        &mut self,
        cid: u32,
        port: u32,
        source: Option<u32>,
        now: Instant,
    ) -> PortPolicy {
        let policy = match (cid, port) {
            (HOST_CID, TCLO_PORT) => self.config.vsock.tclo,
            (HOST_CID, RPCI_PORT) => self.config.vsock.rpci,
            (HOST_CID, _) => PortPolicy::Refuse(libc::ECONNRESET),
            _ => PortPolicy::Refuse(libc::ENODEV),
        };
        let outcome = match policy {
            PortPolicy::Refuse(errno) => Err(errno),
            PortPolicy::Hang => Err(libc::EINPROGRESS),
            PortPolicy::Serve | PortPolicy::Mute | PortPolicy::Drop => Ok(()),
        };
        self.event(
            now,
            EventKind::VsockConnect {
                cid,
                port,
                source,
                outcome,
            },
        );
        policy
    }

    /// A source port for a socket that was not bound.
    pub fn vsock_ephemeral(&mut self) -> u32 {
        self.next_vsock_port += 1;
        self.next_vsock_port
    }

    /// A connection stands; its number.
    pub fn vsock_connected(&mut self, port: u32, source: u32, now: Instant) -> u32 {
        let id = self.next_vsock;
        self.next_vsock += 1;
        let (protocol, policy) = match port {
            TCLO_PORT => (Protocol::Tclo, self.config.vsock.tclo),
            _ => (Protocol::Rpci, self.config.vsock.rpci),
        };
        let mute = policy == PortPolicy::Mute;
        self.vsock.insert(
            id,
            Connection {
                protocol,
                source,
                mute,
                used: now,
            },
        );
        if mute {
            self.event(
                now,
                EventKind::Opened {
                    link: Link::Vsock(id),
                    protocol,
                },
            );
        } else {
            self.opened(Link::Vsock(id), protocol, now);
        }
        if policy == PortPolicy::Drop {
            self.vsock_closing.push(id);
        }
        id
    }

    /// One packet from the guest.
    pub fn vsock_packet(&mut self, id: u32, packet: Packet, now: Instant) -> Reaction {
        let link = Link::Vsock(id);
        let Some(Connection {
            protocol,
            source,
            mute,
            used,
        }) = self.vsock.get_mut(&id)
        else {
            return Reaction {
                reply: None,
                close: true,
            };
        };
        *used = now;
        let (protocol, privileged, mute) = (*protocol, *source < 1024, *mute);
        if mute {
            return Reaction::default();
        }
        match (protocol, packet.kind, packet.payload) {
            (Protocol::Tclo, PING, payload) => {
                if payload.is_some() {
                    self.violation(now, format!("{link}: a PING with a payload"));
                }
                self.alive(link, now);
                Reaction::default()
            }
            (Protocol::Tclo, DATA, Some(payload)) => {
                self.alive(link, now);
                self.tclo_sent(link, payload, now);
                Reaction::default()
            }
            (Protocol::Rpci, DATA, Some(payload)) => {
                let reply = self.rpci(link, privileged, &payload, now);
                Reaction {
                    reply: Some(Packet::data(reply)),
                    close: packet.fast_close,
                }
            }
            (_, kind, payload) => {
                let len = payload.map(|payload| payload.len());
                self.violation(
                    now,
                    format!("{link}: {protocol} packet of type {kind}, payload {len:?}"),
                );
                Reaction {
                    reply: None,
                    close: true,
                }
            }
        }
    }

    /// The connection is gone.
    pub fn vsock_gone(&mut self, id: u32, by: By, now: Instant) {
        if let Some(connection) = self.vsock.remove(&id) {
            self.gone(Link::Vsock(id), connection.protocol, by, now);
        }
    }

    /// The request to send now on a TCLO connection.
    pub fn vsock_request(&mut self, id: u32, now: Instant) -> Option<(ExchangeId, Packet)> {
        let link = Link::Vsock(id);
        let request = self.next_request(link, now)?;
        Some((request, Packet::data(self.offer(request, now))))
    }

    /// Sends bytes as they are, well formed or not, on every vsock connection of a protocol.
    pub fn vsock_raw(&mut self, protocol: Protocol, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let wanted = self
            .vsock
            .iter()
            .filter(|(_, connection)| connection.protocol == protocol);
        let raw: Vec<_> = wanted.map(|(id, _)| (*id, bytes.clone())).collect();
        self.vsock_raw.extend(raw);
    }

    /// Whether the host leaves unread what comes over a connection.
    pub(crate) fn vsock_unread(&self, id: u32) -> bool {
        let connection = self.vsock.get(&id);
        connection.is_some_and(|connection| self.faults.unread[connection.protocol as usize])
    }

    /// How long a reply of RPCI takes.
    pub(crate) fn vsock_delay(&self) -> Duration {
        self.faults.slow
    }

    /// Closes RPCI connections that are idle for so long.
    pub(super) fn close_idle_vsock(&mut self, limit: Duration, now: Instant) {
        let idle = self.vsock.iter().filter(|(_, connection)| {
            let idle = now.saturating_duration_since(connection.used);
            connection.protocol == Protocol::Rpci && idle >= limit
        });
        let idle: Vec<_> = idle.map(|(id, _)| *id).collect();
        self.vsock_closing.extend(idle);
    }

    /// When the next idle connection is closed.
    pub(crate) fn next_idle_vsock(&self) -> Option<Instant> {
        let limit = self.faults.idle?;
        self.vsock
            .values()
            .filter(|connection| connection.protocol == Protocol::Rpci)
            .map(|connection| connection.used + limit)
            .min()
    }

    /// Asks for vsock connections to be closed under the guest.
    pub(super) fn close_vsock(&mut self, protocol: Option<Protocol>) {
        let wanted = self
            .vsock
            .iter()
            .filter(|(_, connection)| protocol.is_none_or(|wanted| wanted == connection.protocol));
        let doomed: Vec<_> = wanted.map(|(id, _)| *id).collect();
        self.vsock_closing.extend(doomed);
    }

    /// What the test wants done: connections to close, bytes to send.
    pub fn vsock_orders(&mut self) -> (Vec<u32>, Vec<(u32, Vec<u8>)>) {
        (
            std::mem::take(&mut self.vsock_closing),
            std::mem::take(&mut self.vsock_raw),
        )
    }
}
