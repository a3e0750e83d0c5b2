//! TCLO on vsock: the host sends when it wants, the guest shows every second that it is alive.
//!
//! The host sends a request, the guest replies, and so on in order; a second request stays in the buffer until the
//! first has its reply. From the first reply on we send a PING every 1000 ms, even while a reply is owed: HA depends
//! on it [rpcin.c: RPCIN_HEARTBEAT_INTERVAL]. While the socket does not take what we have written nothing is read and
//! no further PING is made, so that a host that does not read cannot fill our memory either.

use std::time::Duration;

use crate::vmware::wire::guest_rpc_packet::{Deframer, Packet, PacketError};

const PING_INTERVAL: Duration = Duration::from_secs(1);

/// How long the socket may take nothing of what is to be written before the connection counts as broken.
pub(super) const LONGEST_UNREAD: Duration = Duration::from_secs(5);

/// When the next PING is due.
#[derive(Clone, Copy, Debug)]
enum Heartbeat {
    /// Not before the first reply.
    None,
    Due(Duration),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Streaming {
    deframer: Deframer,
    owed: bool,
    heartbeat: Heartbeat,
    unwritten: Option<Unwritten>,
}

/// What the socket has not yet taken.
#[derive(Clone, Copy, Debug)]
struct Unwritten {
    bytes: usize,
    /// When it last took any.
    since: Duration,
}

/// What comes next in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// Nothing whole, or a request that must wait for the reply to the one before.
    Nothing,
    /// A packet without a message.
    Sign,
    /// A request; a reply is owed from here on.
    Request(Vec<u8>),
}

impl Streaming {
    pub(super) fn new() -> Self {
        Self {
            deframer: Deframer::new(),
            owed: false,
            heartbeat: Heartbeat::None,
            unwritten: None,
        }
    }

    /// Whether the socket may be read: not while a reply is owed or on its way, so that the host cannot fill our
    /// memory.
    pub(super) const fn wants_bytes(&self) -> bool {
        !self.owed && self.unwritten.is_none()
    }

    /// So many bytes are left that the socket has not taken.
    pub(super) fn handle_unwritten(&mut self, bytes: usize, now: Duration) {
        let before = self.unwritten.filter(|before| before.bytes <= bytes);
        let since = before.map_or(now, |before| before.since);
        self.unwritten = (bytes > 0).then_some(Unwritten { bytes, since });
    }

    /// For how long the host has read nothing, when that is too long.
    pub(super) fn is_unread(&self, now: Duration) -> Option<Duration> {
        let Unwritten { since, .. } = self.unwritten?;
        let unread = now.saturating_sub(since);
        (unread >= LONGEST_UNREAD).then_some(unread)
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.deframer.push(bytes);
    }

    pub(super) fn next_incoming(&mut self) -> Result<Incoming, PacketError> {
        if !self.wants_bytes() {
            return Ok(Incoming::Nothing);
        }
        Ok(match self.deframer.next_packet()? {
            None => Incoming::Nothing,
            Some(Packet { payload, .. }) if payload.is_empty() => Incoming::Sign,
            Some(Packet { payload, .. }) => {
                self.owed = true;
                Incoming::Request(payload)
            }
        })
    }

    /// Takes the reply that is owed and gives the bytes to write; `None` when none is.
    pub(super) fn reply(&mut self, bytes: &[u8], now: Duration) -> Option<Vec<u8>> {
        if !self.owed {
            return None;
        }
        self.owed = false;
        if let Heartbeat::None = self.heartbeat {
            self.heartbeat = Heartbeat::Due(now.saturating_add(PING_INTERVAL));
        }
        Some(Packet::data(bytes).encode())
    }

    /// The bytes of the PING that is due, if one is.
    pub(super) fn handle_timeout(&mut self, now: Duration) -> Option<Vec<u8>> {
        match self.heartbeat {
            Heartbeat::Due(due) if now >= due => {
                // Counted from now: after a pause of the whole machine one PING is enough.
                self.heartbeat = Heartbeat::Due(now.saturating_add(PING_INTERVAL));
                self.unwritten.is_none().then(|| Packet::ping().encode())
            }
            Heartbeat::Due(_) | Heartbeat::None => None,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let ping = match self.heartbeat {
            Heartbeat::Due(due) => Some(due),
            Heartbeat::None => None,
        };
        let unread = self.unwritten;
        let unread = unread.map(|unwritten| unwritten.since.saturating_add(LONGEST_UNREAD));
        ping.into_iter().chain(unread).min()
    }
}
