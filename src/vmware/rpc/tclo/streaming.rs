//! TCLO on vsock: the host sends when it wants, the guest shows every second that it is alive.
//!
//! The host sends a request, the guest replies, and so on in order; a second request stays in the buffer until the
//! first has its reply. From the first reply on we send a PING every 1000 ms, even while a reply is owed: HA depends
//! on it [rpcin.c: RPCIN_HEARTBEAT_INTERVAL].

use std::time::Duration;

use crate::vmware::wire::guest_rpc_packet::{Deframer, Packet, PacketError};

const PING_INTERVAL: Duration = Duration::from_secs(1);

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
        }
    }

    /// Whether the socket may be read: not while a reply is owed, so that the host cannot fill our memory.
    pub(super) const fn wants_bytes(&self) -> bool {
        !self.owed
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.deframer.push(bytes);
    }

    pub(super) fn next_incoming(&mut self) -> Result<Incoming, PacketError> {
        if self.owed {
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
                Some(Packet::ping().encode())
            }
            Heartbeat::Due(_) | Heartbeat::None => None,
        }
    }

    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        match self.heartbeat {
            Heartbeat::Due(due) => Some(due),
            Heartbeat::None => None,
        }
    }
}
