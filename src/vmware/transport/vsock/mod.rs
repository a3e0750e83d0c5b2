//! vsock: stream sockets between the guest and its hypervisor, made and connected here.
//!
//! The host is context 0 (the VMCI hypervisor, not the 2 of vhost). It answers privileged RPCI commands only
//! to source ports below 1024, so we try those first, from 1023 down; a port that the host has not released yet
//! gives ECONNRESET. Without the right to bind them we use any port:
//!
//! ```text
//! bind 1023 ── EADDRINUSE ──► 1022 …      connect ── ECONNRESET ──► next lower port, 8 times
//!           └─ EACCES ─────► any port             └─ ENOBUFS ─────► 1 ms later, 5 times
//! ```
//!
//! A connected socket is handed out as a [`VsockStream`]. Source: simpleSocket.c, vsockChannel.c,
//! vmci_defs.h.

mod stream;

use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, VsockAddr, bind, connect, getsockopt, socket, sockopt,
};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

pub use stream::VsockStream;

/// VMCI_HYPERVISOR_CONTEXT_ID [vmci_defs.h]
const HOST_CID: u32 = 0;
/// VMADDR_CID_ANY [vm_sockets.h]
const ANY_CID: u32 = 0xffff_ffff;
/// VMADDR_PORT_ANY [vm_sockets.h]
const ANY_PORT: u32 = 0xffff_ffff;
/// PRIVILEGED_PORT_MAX [simpleSocket.c]
const HIGHEST_PRIVILEGED_PORT: u32 = 1023;
/// MAX_ECONNRESET_RETRIES [simpleSocket.c]
const MAX_RESETS: u8 = 8;
/// MAX_ENOBUFS_RETRIES [simpleSocket.c]
const MAX_NO_BUFFERS: u8 = 5;
const NO_BUFFERS_PAUSE: Duration = Duration::from_millis(1);

/// The source port of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourcePort {
    /// One below 1024 if we may, else any.
    PreferPrivileged,
    /// The kernel's choice.
    Any,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There are no vsock sockets on this machine, or the sandbox forbids them.
    #[error("vsock is not available here (socket: {})", .errno.desc())]
    Absent {
        /// What socket() said: EPERM from a sandbox, EAFNOSUPPORT from a kernel without vsock.
        errno: Errno,
    },
    /// The kernel or the host refused.
    #[error("the host does not accept vsock connections to port {port} ({})", .errno.desc())]
    Refused {
        /// The port of the host.
        port: u32,
        /// The error.
        errno: Errno,
    },
    /// Nobody answered.
    #[error("no answer from vsock port {port} within {} ms", .timeout.as_millis())]
    TimedOut {
        /// The port of the host.
        port: u32,
        /// How long we waited.
        timeout: Duration,
    },
}

/// Makes connections to ports of the host.
pub trait Dial {
    /// Connects, or fails within `timeout`.
    ///
    /// # Errors
    /// [`ConnectError`]
    fn dial(
        &self,
        port: u32,
        source: SourcePort,
        timeout: Duration,
    ) -> impl Future<Output = Result<VsockStream, ConnectError>> + 'static;
}

/// Whether vsock sockets can be made here: not where the kernel has none, or another sandbox refuses them.
pub fn is_there() -> bool {
    let flags = SockFlag::SOCK_CLOEXEC;
    match socket(AddressFamily::Vsock, SockType::Stream, flags, None) {
        Ok(_) => true,
        Err(errno) => {
            PortWalk::new(SourcePort::Any).after_failure(Stage::Socket, errno) != Verdict::Absent
        }
    }
}

/// The real host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostVsock;

impl Dial for HostVsock {
    fn dial(
        &self,
        port: u32,
        source: SourcePort,
        timeout: Duration,
    ) -> impl Future<Output = Result<VsockStream, ConnectError>> + 'static {
        dial_within(port, source, timeout)
    }
}

async fn dial_within(
    port: u32,
    source: SourcePort,
    timeout: Duration,
) -> Result<VsockStream, ConnectError> {
    tokio::time::timeout(timeout, dial_host(port, source))
        .await
        .unwrap_or(Err(ConnectError::TimedOut { port, timeout }))
}

async fn dial_host(port: u32, source: SourcePort) -> Result<VsockStream, ConnectError> {
    let mut walk = PortWalk::new(source);
    loop {
        let (stage, errno) = match attempt(port, walk.port).await {
            Ok(stream) => return Ok(stream),
            Err(failure) => failure,
        };
        match walk.after_failure(stage, errno) {
            Verdict::Again => {}
            Verdict::AgainLater => tokio::time::sleep(NO_BUFFERS_PAUSE).await,
            Verdict::Absent => return Err(ConnectError::Absent { errno }),
            Verdict::Refused => return Err(ConnectError::Refused { port, errno }),
        }
    }
}

/// The system call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Socket,
    Bind,
    Connect,
}

async fn attempt(port: u32, source_port: u32) -> Result<VsockStream, (Stage, Errno)> {
    let at = |stage| move |errno| (stage, errno);
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd =
        socket(AddressFamily::Vsock, SockType::Stream, flags, None).map_err(at(Stage::Socket))?;
    if source_port != ANY_PORT {
        let here = VsockAddr::new(ANY_CID, source_port);
        bind(fd.as_raw_fd(), &here).map_err(at(Stage::Bind))?;
    }
    let begun = connect(fd.as_raw_fd(), &VsockAddr::new(HOST_CID, port));
    established(fd, begun).await.map_err(at(Stage::Connect))
}

/// Waits for a connection that `connect` has begun.
async fn established(fd: OwnedFd, begun: nix::Result<()>) -> Result<VsockStream, Errno> {
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => return Err(errno),
    }
    let fd = if begun.is_err() {
        let connecting = Sender::from_owned_fd_unchecked(fd).map_err(errno_of)?;
        // A failed connection is not writable in every kernel, but it always reports an error.
        let interest = Interest::WRITABLE | Interest::ERROR;
        connecting.ready(interest).await.map_err(errno_of)?;
        match getsockopt(&connecting, sockopt::SocketError)? {
            0 => connecting.into_nonblocking_fd().map_err(errno_of)?,
            error => return Err(Errno::from_raw(error)),
        }
    } else {
        fd
    };
    VsockStream::new(fd).map_err(errno_of)
}

fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What to do after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Try [`PortWalk::port`].
    Again,
    /// The same after a millisecond.
    AgainLater,
    /// There is no vsock.
    Absent,
    /// There is vsock, but no host behind it.
    Refused,
}

/// Finds a source port.
#[derive(Debug)]
struct PortWalk {
    /// The port to try next.
    port: u32,
    resets: u8,
    no_buffers: u8,
}

impl PortWalk {
    const fn new(source: SourcePort) -> Self {
        Self {
            port: match source {
                SourcePort::PreferPrivileged => HIGHEST_PRIVILEGED_PORT,
                SourcePort::Any => ANY_PORT,
            },
            resets: 0,
            no_buffers: 0,
        }
    }

    const fn privileged(&self) -> bool {
        self.port != ANY_PORT
    }

    fn after_failure(&mut self, stage: Stage, errno: Errno) -> Verdict {
        match (stage, errno) {
            // The system is out of something, which passes. Any other error means that there is no such family.
            (Stage::Socket, Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS) => {
                Verdict::Refused
            }
            (Stage::Socket, _) => Verdict::Absent,
            (Stage::Bind, Errno::EACCES) if self.privileged() => {
                self.port = ANY_PORT;
                Verdict::Again
            }
            (Stage::Bind, Errno::EADDRINUSE) => self.next_lower(),
            (Stage::Connect, Errno::ECONNRESET) if self.privileged() => {
                self.resets = self.resets.saturating_add(1);
                if self.resets >= MAX_RESETS {
                    return Verdict::Refused;
                }
                self.next_lower()
            }
            (Stage::Connect, Errno::ENOBUFS) => {
                self.no_buffers = self.no_buffers.saturating_add(1);
                if self.no_buffers >= MAX_NO_BUFFERS {
                    return Verdict::Refused;
                }
                Verdict::AgainLater
            }
            (Stage::Connect, Errno::EINTR) => Verdict::Again,
            (Stage::Bind | Stage::Connect, _) => Verdict::Refused,
        }
    }

    fn next_lower(&mut self) -> Verdict {
        if self.privileged() && self.port > 1 {
            self.port -= 1;
            return Verdict::Again;
        }
        Verdict::Refused
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::SockaddrIn;

    use super::*;

    /// Ports tried until the verdict is to stop.
    fn walk(source: SourcePort, failures: &[(Stage, Errno)]) -> (Vec<u32>, Verdict) {
        let mut walk = PortWalk::new(source);
        let mut ports = Vec::new();
        for &(stage, errno) in failures.iter().cycle() {
            ports.push(walk.port);
            match walk.after_failure(stage, errno) {
                Verdict::Again | Verdict::AgainLater => {}
                verdict => return (ports, verdict),
            }
        }
        unreachable!("no failures given")
    }

    #[test]
    fn used_ports_are_passed_over_down_to_the_last() {
        let (ports, verdict) = walk(
            SourcePort::PreferPrivileged,
            &[(Stage::Bind, Errno::EADDRINUSE)],
        );
        assert_eq!(ports, (1..=1023).rev().collect::<Vec<u32>>());
        assert_eq!(verdict, Verdict::Refused);
    }

    #[test]
    fn a_resetting_host_is_given_eight_chances() {
        let (ports, verdict) = walk(
            SourcePort::PreferPrivileged,
            &[(Stage::Connect, Errno::ECONNRESET)],
        );
        assert_eq!(ports, (1016..=1023).rev().collect::<Vec<u32>>());
        assert_eq!(verdict, Verdict::Refused);
        let (ports, _) = walk(SourcePort::Any, &[(Stage::Connect, Errno::ECONNRESET)]);
        assert_eq!(ports, [ANY_PORT]);
    }

    #[test]
    fn without_the_right_to_bind_any_port_will_do() {
        let failures = [
            (Stage::Bind, Errno::EACCES),
            (Stage::Connect, Errno::ECONNREFUSED),
        ];
        let (ports, verdict) = walk(SourcePort::PreferPrivileged, &failures);
        assert_eq!(ports, [1023, ANY_PORT]);
        assert_eq!(verdict, Verdict::Refused);
    }

    #[test]
    fn a_kernel_out_of_buffers_is_given_five_chances_on_the_same_port() {
        let (ports, verdict) = walk(
            SourcePort::PreferPrivileged,
            &[(Stage::Connect, Errno::ENOBUFS)],
        );
        assert_eq!(ports, [1023; 5]);
        assert_eq!(verdict, Verdict::Refused);
    }

    #[test]
    fn a_missing_family_is_told_apart_from_a_missing_host() {
        for errno in [
            Errno::EPERM,
            Errno::EACCES,
            Errno::EAFNOSUPPORT,
            Errno::EPROTONOSUPPORT,
            Errno::ENOSYS,
        ] {
            assert_eq!(
                walk(SourcePort::Any, &[(Stage::Socket, errno)]).1,
                Verdict::Absent
            );
        }
        for failure in [
            (Stage::Socket, Errno::EMFILE),
            (Stage::Bind, Errno::EPERM),
            (Stage::Connect, Errno::ENODEV),
            (Stage::Connect, Errno::EPERM),
        ] {
            assert_eq!(walk(SourcePort::Any, &[failure]).1, Verdict::Refused);
        }
    }

    /// The same path on another family: loopback TCP.
    #[tokio::test]
    async fn a_begun_connection_is_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut stream = dial_loopback(port).await.unwrap();
        let (mut host, _) = listener.accept().unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut received = [0; 4];
        io::Read::read_exact(&mut host, &mut received).unwrap();
        assert_eq!(&received, b"ping");
        drop(host);
        assert_eq!(stream.read(&mut received).await.unwrap(), 0);
        drop(listener);
        assert_eq!(dial_loopback(port).await.err(), Some(Errno::ECONNREFUSED));
    }

    async fn dial_loopback(port: u16) -> Result<VsockStream, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
        let begun = connect(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port));
        established(fd, begun).await
    }
}
