//! The virtio-serial port `org.qemu.guest_agent.0`.
//!
//! ```text
//! Roots: sysfs ─► node ─► Port: waits, opens ─► Opened, Bell (I/O) ◄─► Session (no I/O) ─► PortEvent
//!                          ▲ Arrival: uevents, inotify
//! ```
//! It is opened once there are answers, which is how the host sees that there is an agent, and stays open.

mod arrival;
mod device;
mod find;
mod session;

use std::future::pending;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

pub use self::arrival::Arrival;
use self::device::{Bell, Opened};
use self::find::device_number;
pub use self::find::{NAME, Roots};
use self::session::{Session, Turn};
use crate::diagnosis::Outcome;

/// How often a port is tried that another agent holds.
const RETRY: Duration = Duration::from_secs(5);

/// How the port comes into the machine.
pub const REMEDY: &str = "plug the port in: on Proxmox VE `qm set VMID --agent 1`, with libvirt a <channel type='unix'> whose \
     target is type='virtio' name='org.qemu.guest_agent.0'; then stop and start the VM";

/// What happens on the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortEvent {
    /// Bytes of the host.
    Bytes(Vec<u8>),
    /// The client that was there has gone: what comes next comes from another.
    Left,
    /// The port has gone, and with it the client, if there was one.
    Unplugged,
    /// All that was sent has been written, or dropped.
    Written,
}

/// Why a port cannot be used until the agent is started again.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The path leads to something else.
    #[error(
        "{} is no character device; name the node of the port org.qemu.guest_agent.0 with --qga-port", .0.display()
    )]
    NoDevice(PathBuf),
    /// There is no node of it, and none may be made.
    #[error(
        "the port is there, but not its node in /dev, which cannot be made; give the container CAP_MKNOD, \
         or the device and --qga-port"
    )]
    NoNode(#[source] io::Error),
    /// There is nothing to wait for its changes with.
    #[error("the kernel has no epoll for it")]
    NoEpoll(#[source] io::Error),
    /// It may not be opened, for a reason that waiting does not mend.
    #[error("cannot open {}; look whether the container may use this device", path.display())]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was unplugged and came back as another device.
    #[error("the port has come back with another device number than {} has; ending, to be started again", .0.display())]
    Renumbered(PathBuf),
}

/// The port: found, opened when there is something to say, and kept open.
#[derive(Debug)]
pub struct Port {
    path: PathBuf,
    roots: Roots,
    state: State,
    session: Session,
    bell: Bell,
    arrival: Arrival,
    /// The number under which sysfs has it, where that can be seen: another port may get its number.
    number: Option<u64>,
    /// Where a failure is reported, once.
    failure: Option<oneshot::Sender<PortError>>,
    /// What the session's clock counts from.
    start: Instant,
}

#[derive(Debug)]
enum State {
    /// Not to be opened yet.
    Closed,
    /// It is to be opened at once.
    Opening,
    /// It is not there, or not yet.
    Missing,
    /// Another agent has it; tried again then, or when that one lets go of it.
    Held(Instant),
    /// It is open.
    Open(Opened),
    /// It cannot be used.
    Failed,
}

impl Port {
    /// A port that is opened after [`Port::open`], and where to hear that it never can be. To be called within a
    /// runtime, and before the sandbox is entered.
    ///
    /// # Errors
    /// The kernel has no epoll for us.
    pub fn new(
        path: PathBuf,
        roots: Roots,
        mut arrival: Arrival,
    ) -> Result<(Self, oneshot::Receiver<PortError>), PortError> {
        let (failure, failed) = oneshot::channel();
        arrival.watch(path.clone());
        let listed = roots.port().map(|port| port.number);
        let number = listed.filter(|number| device_number(&path).ok() == Some(*number));
        let port = Self {
            path,
            roots,
            state: State::Closed,
            session: Session::new(),
            bell: Bell::new().map_err(PortError::NoEpoll)?,
            arrival,
            number,
            failure: Some(failure),
            start: Instant::now(),
        };
        Ok((port, failed))
    }

    /// Its node.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has [`Port::next`] open the port; the host sees the agent from then on.
    pub fn open(&mut self) {
        if matches!(self.state, State::Closed) {
            self.state = State::Opening;
        }
    }

    /// Waits for the next event; cancel-safe.
    pub async fn next(&mut self) -> PortEvent {
        loop {
            match &mut self.state {
                State::Closed | State::Failed => return pending().await,
                State::Opening => self.try_to_open(),
                State::Missing => {
                    self.arrival.news().await;
                    self.try_to_open();
                }
                State::Held(until) => {
                    let until = *until;
                    tokio::select! {
                        () = self.arrival.news() => {}
                        () = sleep_until(until) => {}
                    }
                    self.try_to_open();
                }
                State::Open(port) => {
                    let now = self.start.elapsed();
                    match self.session.turn(port, now) {
                        Turn::Event(event) => return event,
                        Turn::Wait(until) => {
                            let until = until.map(|until| self.start + until);
                            let rung = tokio::select! {
                                rung = self.bell.rings() => rung,
                                () = reached(until) => Ok(()),
                            };
                            if let Err(source) = rung {
                                self.refused(source);
                            }
                        }
                        Turn::Gone(error) => {
                            self.lose(&error);
                            return PortEvent::Unplugged;
                        }
                    }
                }
            }
        }
    }

    /// Sends a reply; dropped where nobody reads it.
    pub fn send(&mut self, reply: Vec<u8>) {
        self.session.send(reply);
    }

    /// Whether something is still to be written to a client that reads.
    pub fn is_writing(&self) -> bool {
        self.session.is_writing()
    }

    /// What `check` says of it.
    pub fn check(&self) -> Outcome {
        let path = self.path.display();
        match &self.state {
            State::Closed | State::Opening => Outcome::NotChecked(format!(
                "the virtio-serial port {path} is opened once Talos has answered"
            )),
            State::Open(_) => Outcome::Works(works(&self.path)),
            State::Held(_) => Outcome::fails(
                format!("the virtio-serial port {path} is held by another agent"),
                "keep one agent: remove the extension qemu-guest-agent, or this one",
            ),
            State::Missing => {
                Outcome::fails(format!("the virtio-serial port {path} is gone"), REMEDY)
            }
            State::Failed => Outcome::fails(
                format!("the virtio-serial port {path} cannot be used"),
                "see the log",
            ),
        }
    }

    /// Reads no further request.
    pub fn stop(&mut self) {
        self.session.stop();
    }

    fn try_to_open(&mut self) {
        if let Some(number) = self.number {
            match self.roots.port() {
                Some(listed) if listed.number == number => {}
                // Its node would have to be made, which is not allowed any more.
                Some(_) => return self.fail(PortError::Renumbered(self.path.clone())),
                None => {
                    self.state = State::Missing;
                    return;
                }
            }
        }
        let opened = Opened::new(&self.path).and_then(|port| {
            self.bell.attend(&port)?;
            Ok(port)
        });
        match opened {
            Ok(port) => self.opened(port),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EBUSY) => self.held(),
                Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO) => self.state = State::Missing,
                _ => self.refused(error),
            },
        }
    }

    fn opened(&mut self, port: Opened) {
        let path = self.path.display();
        if matches!(self.state, State::Missing | State::Held(_)) {
            tracing::info!(port = %path, "the port is there again");
        }
        tracing::debug!(port = %path, "the port is open");
        self.arrival.rest();
        self.session = self.session.successor();
        self.state = State::Open(port);
    }

    fn held(&mut self) {
        if !matches!(self.state, State::Held(_)) {
            tracing::warn!(
                port = %self.path.display(),
                "the port is held by another agent; waiting until it is free, keep only one of them"
            );
        }
        self.state = State::Held(Instant::now() + RETRY);
    }

    fn refused(&mut self, source: io::Error) {
        let path = self.path.clone();
        let is_none = matches!(
            source.kind(),
            ErrorKind::IsADirectory | ErrorKind::InvalidInput
        );
        self.fail(if is_none || device_number(&path).is_err() {
            PortError::NoDevice(path)
        } else {
            PortError::Refused { path, source }
        });
    }

    fn fail(&mut self, error: PortError) {
        self.state = State::Failed;
        if let Some(failure) = self.failure.take() {
            // While the daemon stops, no one listens.
            let _ = failure.send(error);
        }
    }

    /// The port has gone: it was unplugged.
    fn lose(&mut self, error: &io::Error) {
        tracing::info!(
            port = %self.path.display(),
            reason = %error,
            "the port is unplugged; waiting for it to come back"
        );
        self.session = self.session.successor();
        self.state = State::Missing;
    }
}

/// What `check` says of a port that is there.
pub fn works(path: &Path) -> String {
    format!("virtio-serial port {}", path.display())
}

async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
