//! The open port, and the bell that rings when it changes.
//!
//! tokio keeps in mind for ever that a descriptor has hung up, and would turn in circles while there is no client. So
//! the port stands in an epoll of its own, edge-triggered: an event at each change and none in between; and tokio
//! watches the epoll.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net;
use std::path::Path;

use nix::libc::{O_CLOEXEC, O_NOCTTY, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::session::{Device, Readiness};

/// The port, opened.
#[derive(Debug)]
pub(super) struct Opened {
    file: File,
}

/// Says when the port has changed.
#[derive(Debug)]
pub(super) struct Bell {
    epoll: Epoll,
    /// The same epoll under a second descriptor. Only its readiness is asked for, which is the same for a socket
    /// and an epoll; tokio's own type for any descriptor, AsyncFd, takes unsafe code.
    watched: UnixStream,
}

impl Opened {
    /// Opens the port, for good.
    ///
    /// # Errors
    /// Those of open(2).
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let mut how = OpenOptions::new();
        how.read(true).write(true);
        how.custom_flags(O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        let file = how.open(path)?;
        Ok(Self { file })
    }
}

/// Repeats a call that a signal has interrupted.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

impl Device for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| self.file.read(buffer))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| self.file.write(bytes))
    }

    fn poll(&mut self) -> io::Result<Readiness> {
        let mut asked = [PollFd::new(
            self.file.as_fd(),
            PollFlags::POLLIN | PollFlags::POLLOUT,
        )];
        uninterrupted(|| {
            let count = poll(&mut asked, PollTimeout::ZERO)?;
            Ok(usize::try_from(count).unwrap_or_default())
        })?;
        let [asked] = asked;
        let events = asked.revents().unwrap_or(PollFlags::empty());
        Ok(Readiness {
            has_client: !events.contains(PollFlags::POLLHUP),
            is_writable: events.contains(PollFlags::POLLOUT),
        })
    }
}

impl Bell {
    /// A bell for no port. To be called within a runtime.
    pub(super) fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let second = net::UnixStream::from(epoll.0.try_clone()?);
        second.set_nonblocking(true)?;
        let watched = UnixStream::from_std(second)?;
        Ok(Self { epoll, watched })
    }

    /// Rings for this port until that is closed.
    ///
    /// # Errors
    /// Those of epoll_ctl(2): EPERM for a file that is always ready.
    pub(super) fn attend(&self, port: &Opened) -> io::Result<()> {
        let changes = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        Ok(self.epoll.add(&port.file, EpollEvent::new(changes, 0))?)
    }

    /// Waits for a change since the last one that was waited for; cancel-safe.
    pub(super) async fn rings(&self) -> io::Result<()> {
        loop {
            self.watched.readable().await?;
            let taken = self.watched.try_io(Interest::READABLE, || {
                let mut event = [EpollEvent::empty()];
                match self.epoll.wait(&mut event, EpollTimeout::ZERO) {
                    Ok(0) => Err(Error::from(ErrorKind::WouldBlock)),
                    Ok(_) => Ok(()),
                    Err(errno) => Err(errno.into()),
                }
            });
            match taken {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                taken => return taken,
            }
        }
    }
}
