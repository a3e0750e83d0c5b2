//! A connected vsock stream that wakes us for what the host sends, and for nothing else.
//!
//! tokio's own stream types subscribe to both directions for life: each time the host reads from the socket we
//! would be woken ("writable again") though nobody waits for it. Here the socket is watched for reading
//! alone, as a [`Receiver`], which is tokio's safe type for a descriptor that is only read. Writes go to the
//! socket directly; only while it is full, a second descriptor of it is watched for writing.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use tokio::net::unix::pipe::{Receiver, Sender};

/// A connected stream socket, whatever its family.
#[derive(Debug)]
pub struct VsockStream {
    socket: Receiver,
    /// Present while the socket is full.
    room: Option<Sender>,
}

impl VsockStream {
    /// Takes a connected stream socket in non-blocking mode. Call it within a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch the descriptor.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket: Receiver::from_owned_fd_unchecked(socket)?,
            room: None,
        })
    }

    /// Waits until there is something to read, be it the end or an error. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Waits until [`VsockStream::try_write`] is worth a try. Cancel-safe.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub async fn writable(&self) -> io::Result<()> {
        match &self.room {
            Some(room) => room.writable().await,
            None => Ok(()),
        }
    }

    /// Reads what is there; 0 is the end of the stream.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing, else the connection is broken.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none, else the connection is broken.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let socket = self.socket.as_raw_fd();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let write = || send(socket, bytes, flags).map_err(io::Error::from);
        let written = match &self.room {
            Some(room) => room.try_io(write),
            None => write(),
        };
        match &written {
            Ok(_) => self.room = None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.room.is_none() => {
                let again = self.socket.as_fd().try_clone_to_owned()?;
                self.room = Some(Sender::from_owned_fd_unchecked(again)?);
            }
            Err(_) => {}
        }
        written
    }

    /// Reads at least one byte, or 0 at the end of the stream. Cancel-safe.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.readable().await?;
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Writes everything. If dropped before its end, it may have written a part.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.try_write(bytes) {
                Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// How much can be read, without taking it: `None` for nothing, 0 for the end of the stream, else some length.
    /// Asks the kernel, whereas `try_read` relies on what the runtime's last poll saw.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn unread(&self) -> io::Result<Option<usize>> {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        match recv(self.socket.as_raw_fd(), &mut [0; 64], flags) {
            Ok(len) => Ok(Some(len)),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    fn pair() -> (VsockStream, UnixStream) {
        let (guest, host) = UnixStream::pair().unwrap();
        guest.set_nonblocking(true).unwrap();
        (VsockStream::new(guest.into()).unwrap(), host)
    }

    #[tokio::test]
    async fn what_is_unread_is_seen_at_once_and_not_taken() {
        let (guest, mut host) = pair();
        assert_eq!(guest.unread().unwrap(), None);
        host.write_all(b"1 ").unwrap();
        assert_eq!(guest.unread().unwrap(), Some(2));
        assert_eq!(guest.unread().unwrap(), Some(2));
        drop(host);
        assert_eq!(guest.read(&mut [0; 8]).await.unwrap(), 2);
        assert_eq!(guest.unread().unwrap(), Some(0));
        assert_eq!(guest.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_full_socket_takes_the_rest_when_the_host_has_read() {
        let (mut guest, mut host) = pair();
        let sent: Vec<u8> = (0..4_000_000_u32).map(|n| n as u8).collect();
        let len = sent.len();
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; len];
            host.read_exact(&mut received).map(|()| received)
        });
        timeout(DEADLINE, guest.write_all(&sent))
            .await
            .unwrap()
            .unwrap();
        assert!(reader.join().unwrap().unwrap() == sent);
        // The socket was full at times; now nothing waits for room any more.
        guest.try_write(b"x").unwrap_or_default();
        assert!(guest.room.is_none());
    }

    #[tokio::test]
    async fn a_full_socket_would_block_and_is_not_writable() {
        let (mut guest, _host) = pair();
        let blocked = loop {
            match guest.try_write(&[0; 65_536]) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(blocked.kind(), io::ErrorKind::WouldBlock);
        tokio::time::pause();
        let waited = timeout(Duration::from_secs(3600), guest.writable()).await;
        assert!(waited.is_err(), "a full socket is not writable");
    }

    #[tokio::test]
    async fn a_host_that_is_gone_is_an_error_and_no_signal() {
        let (mut guest, host) = pair();
        drop(host);
        let error = guest.try_write(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    /// What the host does with bytes of ours does not make the socket readable.
    #[tokio::test]
    async fn bytes_that_the_host_takes_wake_nobody() {
        let (mut guest, mut host) = pair();
        guest.try_write(b"0123").unwrap();
        host.read_exact(&mut [0; 4]).unwrap();
        tokio::time::pause();
        let woken = timeout(
            Duration::from_secs(3600),
            guest.socket.ready(tokio::io::Interest::READABLE),
        )
        .await;
        assert!(woken.is_err());
        assert!(guest.room.is_none());
    }
}
