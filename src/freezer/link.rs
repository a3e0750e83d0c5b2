//! The agent's end of the socket pair.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixDatagram as StdSocket;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, send, shutdown, socketpair,
};
use tokio::net::UnixDatagram;

use crate::freeze::{Buffer, Command, Report};

/// This very program, whatever was put in its place.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How long the end of the freezer is waited for: it thaws at once, and tries again where that fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The freezer as a process: started before the sandbox closes, waited for at the end.
#[derive(Debug)]
pub struct Freezer {
    child: Child,
    socket: OwnedFd,
}

impl Freezer {
    /// Starts it: this very program, called as [`super::NAME`]. To be called before the sandbox, within a runtime.
    ///
    /// # Errors
    /// There is no socket pair, or no process.
    pub fn start() -> io::Result<(Self, Link)> {
        Self::start_program(Path::new(THIS_PROGRAM))
    }

    /// The same with the agent's program at this place, for tests.
    ///
    /// # Errors
    /// There is no socket pair, or no process.
    pub fn start_program(program: &Path) -> io::Result<(Self, Link)> {
        // Messages stay apart, and the end of one process is seen by the other.
        let (ours, theirs) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )?;
        let link = Link::new(ours.try_clone()?)?;
        let child = Program::new(program)
            .arg0(super::NAME)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let socket = ours;
        Ok((Self { child, socket }, link))
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Has it thaw, and returns once it has ended, so that nothing stays frozen however the agent ends.
    pub fn finish(mut self) {
        match self.wait() {
            // Its parent waits for it here, or has done so at SIGCHLD.
            Ok(()) => drop(self.child.wait()),
            Err(errno) => tracing::error!(
                error = errno.desc(),
                process = self.id(),
                "the freezer does not end: a file system may stay frozen; look for its process, and restart the node if writers stand still"
            ),
        }
    }

    /// Returns once its end of the socket is closed: with the process, and not before.
    fn wait(&self) -> Result<(), Errno> {
        // It fails where the other end is gone.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        loop {
            match poll(&mut ready, patience) {
                Ok(0) => return Err(Errno::ETIMEDOUT),
                Ok(_) => return Ok(()),
                // Such as SIGCHLD.
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The way to the freezer while the agent runs.
#[derive(Debug)]
pub struct Link {
    /// Of messages with a connection, which this type is not made for, but serves as well.
    socket: UnixDatagram,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    There,
    /// To be reported.
    Lost,
    Gone,
}

impl Link {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        let socket = StdSocket::from(socket);
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: UnixDatagram::from_std(socket)?,
            state: State::There,
        })
    }

    /// Hands over a command; what cannot be handed over is followed by [`Report::Gone`].
    pub fn send(&mut self, command: &Command) {
        let mut buffer: Buffer = [0; _];
        let bytes = command.encode(&mut buffer);
        // Not by the socket's own type, which sends nothing before it has seen that there is room.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if self.state == State::There && send(self.socket.as_raw_fd(), bytes, flags).is_err() {
            self.lose();
        }
    }

    /// The next report; after [`Report::Gone`] none comes. Cancel-safe.
    pub async fn next(&mut self) -> Report {
        let mut buffer: Buffer = [0; _];
        if self.state == State::There {
            let received = self.socket.recv(&mut buffer).await;
            let report = received.ok().and_then(|length| buffer.get(..length));
            match report.and_then(Report::decode) {
                Some(report) if report != Report::Gone => return report,
                _ => self.lose(),
            }
        }
        if self.state == State::Gone {
            std::future::pending::<()>().await;
        }
        self.state = State::Gone;
        Report::Gone
    }

    /// Whatever is on the other end thaws now.
    fn lose(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.state = State::Lost;
    }
}
