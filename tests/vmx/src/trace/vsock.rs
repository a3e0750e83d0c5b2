//! Stands in for AF_VSOCK: the guest's sockets are AF_UNIX ones, connected to listeners of the simulator.
//!
//! `socket` changes the family; `connect` is made by the simulator on the same socket, so that whatever the
//! guest's own sandbox says of unix sockets does not matter; everything that would show the difference is
//! answered here. A non-blocking connect says EINPROGRESS, as vsock does.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use libc::{c_long, pid_t, user_regs_struct};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::UnixAddr;

use super::Tracer;
use super::sys::{self, Resume};
use crate::host::{CONNECT_TIMEOUT, EventKind, GUEST_CID, GuestMemory, HOST_CID, PortPolicy};
use crate::vsock_server::Accepted;

const AF_VSOCK: u16 = libc::AF_VSOCK as u16;
const ADDRESS_LEN: usize = 16;
const CID_ANY: u32 = u32::MAX;
const PORT_ANY: u32 = u32::MAX;
/// The first port that anybody may bind.
const UNPRIVILEGED: u32 = 1024;

/// A socket the guest takes for a vsock one.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    /// What `/proc/PID/fd/N` points to: tells a socket from a later one under the same number.
    identity: String,
    source: Option<u32>,
    peer: Option<u32>,
    /// What SO_ERROR will say once, and from when on.
    error: Option<(Instant, i32)>,
}

/// Where the guest's sockets end, and the way from there to the server.
#[derive(Debug)]
pub(crate) struct Handover {
    listener: UnixListener,
    address: UnixAddr,
    sender: mpsc::Sender<Accepted>,
}

impl Handover {
    /// Listens in the network namespace of `process` (which this thread joins for good, if it is another).
    pub(crate) fn new(process: pid_t, sender: mpsc::Sender<Accepted>) -> io::Result<Self> {
        let theirs = format!("/proc/{process}/ns/net");
        if std::fs::read_link(&theirs)? != std::fs::read_link("/proc/thread-self/ns/net")? {
            setns(std::fs::File::open(&theirs)?, CloneFlags::CLONE_NEWNET)?;
        }
        let (listener, address) = listen("s")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            address,
            sender,
        })
    }
}

/// An abstract listener and its address.
fn listen(kind: &str) -> io::Result<(UnixListener, UnixAddr)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) & 0xf_ffff;
    let name = format!("v{:06x}{number:05x}{kind}", std::process::id() & 0xff_ffff);
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    Ok((listener, UnixAddr::new_abstract(name.as_bytes())?))
}

/// What is left to do when a call on such a socket is done.
#[derive(Debug)]
pub(super) enum Pending {
    /// Note the descriptor; restore the registers.
    Socket { rdi: u64, rdx: u64 },
    /// A connect that nobody answers has slept: restore the guest's memory and registers.
    Stalled {
        original: Vec<u8>,
        registers: Box<user_regs_struct>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Address {
    family: u16,
    port: u32,
    cid: u32,
}

impl Address {
    fn of(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            family: u16::from_ne_bytes([bytes[0], bytes[1]]),
            port: word(4),
            cid: word(8),
        }
    }

    fn bytes(self) -> [u8; ADDRESS_LEN] {
        let mut bytes = [0; ADDRESS_LEN];
        bytes[..2].copy_from_slice(&self.family.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.port.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.cid.to_ne_bytes());
        bytes
    }
}

fn fail(errno: i32) -> i64 {
    -i64::from(errno)
}

/// Errnos that come from the other side, and so only after EINPROGRESS.
fn comes_later(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNRESET | libc::ECONNREFUSED | libc::ETIMEDOUT
    )
}

impl Tracer {
    pub(super) fn vsock_call(
        &mut self,
        pid: pid_t,
        number: c_long,
        user: user_regs_struct,
        now: Instant,
    ) -> Resume {
        let fd = user.rdi as i32;
        match number {
            libc::SYS_socket => self.socket(pid, user, now),
            libc::SYS_ioctl => {
                let allowed = self.shared.lock().config.vsock.socket;
                let written =
                    allowed.and_then(|()| self.put(pid, user.rdx, &GUEST_CID.to_ne_bytes()));
                Self::skip(pid, user, written.map_or_else(fail, |()| 0))
            }
            _ if !self.stands_in(pid, fd) => Resume::Run,
            libc::SYS_bind => {
                let result = self.bind(pid, fd, &user, now).map_or_else(fail, |()| 0);
                Self::skip(pid, user, result)
            }
            libc::SYS_connect => self.connect(pid, fd, user, now),
            // Options of AF_VSOCK, such as its connect timeout.
            libc::SYS_setsockopt => Self::skip(pid, user, 0),
            libc::SYS_getsockname | libc::SYS_getpeername => {
                let result = self.name(pid, fd, number == libc::SYS_getpeername, &user);
                Self::skip(pid, user, result.map_or_else(fail, |()| 0))
            }
            libc::SYS_getsockopt => {
                let Some(errno) = self
                    .vsock_socket(pid, fd)
                    .and_then(|socket| socket.error.take_if(|(at, _)| *at <= now))
                    .map(|(_, errno)| errno)
                else {
                    return Resume::Run;
                };
                let result = self
                    .put(pid, user.r10, &errno.to_ne_bytes())
                    .and_then(|()| self.put(pid, user.r8, &4u32.to_ne_bytes()));
                Self::skip(pid, user, result.map_or_else(fail, |()| 0))
            }
            _ => Resume::Run,
        }
    }

    pub(super) fn process_of(&self, pid: pid_t) -> pid_t {
        self.threads.get(&pid).map_or(pid, |thread| thread.process)
    }

    fn vsock_socket(&mut self, pid: pid_t, fd: i32) -> Option<&mut Socket> {
        let process = self.process_of(pid);
        self.sockets.get_mut(&(process, fd))
    }

    /// Whether the descriptor is one of ours (and not a later one under the same number).
    fn stands_in(&mut self, pid: pid_t, fd: i32) -> bool {
        let process = self.process_of(pid);
        let Some(socket) = self.sockets.get(&(process, fd)) else {
            return false;
        };
        let same = identity(process, fd).is_some_and(|identity| identity == socket.identity);
        if !same {
            self.sockets.remove(&(process, fd));
        }
        same
    }

    pub(super) fn put(&mut self, pid: pid_t, at: u64, bytes: &[u8]) -> Result<(), i32> {
        let space = self.space(pid).ok_or(libc::EFAULT)?;
        space.write(at, bytes).map_err(|_| libc::EFAULT)
    }

    pub(super) fn take(&mut self, pid: pid_t, at: u64, len: usize) -> Result<Vec<u8>, i32> {
        let space = self.space(pid).ok_or(libc::EFAULT)?;
        space.read(at, len).map_err(|_| libc::EFAULT)
    }

    fn socket(&mut self, pid: pid_t, mut user: user_regs_struct, now: Instant) -> Resume {
        let mut host = self.shared.lock();
        let outcome = host.config.vsock.socket;
        if let Some(number) = host.config.vsock.taken_over {
            drop(host);
            user.orig_rax = number as u64;
            let _gone = sys::set_registers(pid, user);
            return Resume::Run;
        }
        host.event(now, EventKind::VsockSocket(outcome));
        drop(host);
        if let Err(errno) = outcome {
            return Self::skip(pid, user, fail(errno));
        }
        let pending = Pending::Socket {
            rdi: user.rdi,
            rdx: user.rdx,
        };
        user.rdi = libc::AF_UNIX as u64;
        user.rdx = 0;
        let _gone = sys::set_registers(pid, user);
        self.follow(pid, super::syscalls::Pending::Vsock(pending))
    }

    fn bind(
        &mut self,
        pid: pid_t,
        fd: i32,
        user: &user_regs_struct,
        now: Instant,
    ) -> Result<(), i32> {
        if (user.rdx as usize) < ADDRESS_LEN {
            return Err(libc::EINVAL);
        }
        let address = Address::of(&self.take(pid, user.rsi, ADDRESS_LEN)?);
        if address.family != AF_VSOCK {
            return Err(libc::EINVAL);
        }
        if !matches!(address.cid, CID_ANY | GUEST_CID) {
            return Err(libc::EADDRNOTAVAIL);
        }
        let mut host = self.shared.lock();
        let port = match address.port {
            PORT_ANY => host.vsock_ephemeral(),
            port if port < UNPRIVILEGED && !may_bind_below(pid) => return Err(libc::EACCES),
            port => port,
        };
        host.vsock_bind(port, now)?;
        drop(host);
        if let Some(socket) = self.vsock_socket(pid, fd) {
            socket.source = Some(port);
        }
        Ok(())
    }

    fn connect(&mut self, pid: pid_t, fd: i32, mut user: user_regs_struct, now: Instant) -> Resume {
        let original = match self.take(pid, user.rsi, ADDRESS_LEN) {
            Ok(bytes) if user.rdx as usize >= ADDRESS_LEN => bytes,
            Ok(_) => return Self::skip(pid, user, fail(libc::EINVAL)),
            Err(errno) => return Self::skip(pid, user, fail(errno)),
        };
        let address = Address::of(&original);
        if address.family != AF_VSOCK {
            return Self::skip(pid, user, fail(libc::EINVAL));
        }
        let nonblocking = is_nonblocking(self.process_of(pid), fd);
        let source = self.vsock_socket(pid, fd).and_then(|socket| socket.source);
        let policy = self
            .shared
            .lock()
            .vsock_connect(address.cid, address.port, source, now);
        match policy {
            PortPolicy::Refuse(errno) if nonblocking && comes_later(errno) => {
                if let Some(socket) = self.vsock_socket(pid, fd) {
                    socket.error = Some((now, errno));
                }
                Self::skip(pid, user, fail(libc::EINPROGRESS))
            }
            PortPolicy::Refuse(errno) => Self::skip(pid, user, fail(errno)),
            // The call becomes a nanosleep: its timespec takes the place of the address.
            PortPolicy::Hang if !nonblocking => {
                if let Err(errno) = self.put(pid, user.rsi, &timespec(CONNECT_TIMEOUT)) {
                    return Self::skip(pid, user, fail(errno));
                }
                let pending = Pending::Stalled {
                    original,
                    registers: Box::new(user),
                };
                user.orig_rax = libc::SYS_nanosleep as u64;
                user.rdi = user.rsi;
                user.rsi = 0;
                let _gone = sys::set_registers(pid, user);
                self.follow(pid, super::syscalls::Pending::Vsock(pending))
            }
            _ => {
                let process = self.process_of(pid);
                let result = match self.connect_for(process, fd, address.port, policy, now) {
                    Ok(()) if nonblocking => fail(libc::EINPROGRESS),
                    Ok(()) => 0,
                    Err(error) => {
                        let fault = EventKind::Fault(format!("vsock: {error}"));
                        self.shared.lock().event(now, fault);
                        fail(libc::ENODEV)
                    }
                };
                Self::skip(pid, user, result)
            }
        }
    }

    fn name(
        &mut self,
        pid: pid_t,
        fd: i32,
        peer: bool,
        user: &user_regs_struct,
    ) -> Result<(), i32> {
        let socket = self.vsock_socket(pid, fd).ok_or(libc::EBADF)?;
        let address = if peer {
            let port = socket.peer.ok_or(libc::ENOTCONN)?;
            Address {
                family: AF_VSOCK,
                port,
                cid: HOST_CID,
            }
        } else {
            let port = socket.source.unwrap_or(PORT_ANY);
            Address {
                family: AF_VSOCK,
                port,
                cid: GUEST_CID,
            }
        };
        let room = self.take(pid, user.rdx, 4)?;
        let room = u32::from_ne_bytes([room[0], room[1], room[2], room[3]]) as usize;
        self.put(pid, user.rsi, &address.bytes()[..room.min(ADDRESS_LEN)])?;
        self.put(pid, user.rdx, &(ADDRESS_LEN as u32).to_ne_bytes())
    }

    pub(super) fn vsock_call_left(
        &mut self,
        pid: pid_t,
        pending: Pending,
        mut user: user_regs_struct,
    ) {
        let process = self.process_of(pid);
        match pending {
            Pending::Socket { rdi, rdx } => {
                user.rdi = rdi;
                user.rdx = rdx;
                let fd = user.rax as i32;
                if let Some(identity) = identity(process, fd).filter(|_| fd >= 0) {
                    let socket = Socket {
                        identity,
                        source: None,
                        peer: None,
                        error: None,
                    };
                    self.sockets.insert((process, fd), socket);
                }
            }
            Pending::Stalled {
                original,
                registers,
            } => {
                user.rdi = registers.rdi;
                user.rsi = registers.rsi;
                user.rdx = registers.rdx;
                // The page was writable a moment ago.
                let _gone = self.put(pid, user.rsi, &original);
                let slept = user.rax == 0;
                user.rax = fail(if slept { libc::ETIMEDOUT } else { libc::EINTR }) as u64;
            }
        }
        let _gone = sys::set_registers(pid, user);
    }

    /// Connects the guest's socket to our listener and takes the other end.
    fn connect_for(
        &mut self,
        process: pid_t,
        fd: i32,
        port: u32,
        policy: PortPolicy,
        now: Instant,
    ) -> io::Result<()> {
        let Some(handover) = &self.vsock else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let theirs = sys::descriptor_of(process, fd)?;
        nix::sys::socket::connect(theirs.as_raw_fd(), &handover.address)?;
        let (stream, _) = handover.listener.accept()?;
        if policy == PortPolicy::Hang {
            clog(process, fd)?;
            let until = now + CONNECT_TIMEOUT;
            let _ended = handover.sender.send(Accepted::Stalled { stream, until });
            self.shared.wake_server();
            if let Some(socket) = self.sockets.get_mut(&(process, fd)) {
                socket.error = Some((until, libc::ETIMEDOUT));
            }
            return Ok(());
        }
        let mut host = self.shared.lock();
        let source = self
            .sockets
            .get(&(process, fd))
            .and_then(|socket| socket.source);
        let source = source.unwrap_or_else(|| host.vsock_ephemeral());
        let id = host.vsock_connected(port, source, now);
        drop(host);
        // The server is gone only when the program is.
        let _ended = handover.sender.send(Accepted::Connection { id, stream });
        self.shared.wake_server();
        if let Some(socket) = self.sockets.get_mut(&(process, fd)) {
            socket.source = Some(source);
            socket.peer = Some(port);
        }
        Ok(())
    }
}

/// Fills the guest's end until it is not writable, so that the connect seems to go on. When the other end is
/// closed, it becomes writable.
fn clog(process: pid_t, fd: i32) -> io::Result<()> {
    let mut theirs = UnixStream::from(sys::descriptor_of(process, fd)?);
    let junk = [0; 4096];
    loop {
        match theirs.write(&junk) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn timespec(duration: Duration) -> [u8; ADDRESS_LEN] {
    let mut bytes = [0; ADDRESS_LEN];
    bytes[..8].copy_from_slice(&duration.as_secs().to_ne_bytes());
    bytes[8..].copy_from_slice(&u64::from(duration.subsec_nanos()).to_ne_bytes());
    bytes
}

fn identity(process: pid_t, fd: i32) -> Option<String> {
    let link = std::fs::read_link(format!("/proc/{process}/fd/{fd}")).ok()?;
    link.into_os_string().into_string().ok()
}

/// Whether the thread has CAP_NET_BIND_SERVICE, for which the kernel's vsock asks.
fn may_bind_below(tid: pid_t) -> bool {
    const CAP_NET_BIND_SERVICE: u64 = 1 << 10;
    let status = std::fs::read_to_string(format!("/proc/{tid}/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .is_some_and(|set| set & CAP_NET_BIND_SERVICE != 0)
}

fn is_nonblocking(process: pid_t, fd: i32) -> bool {
    let Ok(info) = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{fd}")) else {
        return false;
    };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & libc::O_NONBLOCK != 0)
}
