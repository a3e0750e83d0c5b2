//! The bytes of one TCP connection to apid on this node.
//!
//! Bytes for apid wait in a queue of bounded size until apid takes them; bytes from apid wait in the socket until there
//! is room for them. When apid ends its half, all is over; the other side ends by being forgotten.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tonic::Code;

use super::outlet::{Outlet, Source};
use super::trouble;
use crate::inquiry::{Answer, Trouble, TroubleKind};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes that may wait to be sent.
const MOST_WAITING: usize = 1 << 20;
/// Bytes that are read at a time.
const READ: usize = 8 << 10;

/// Takes the bytes for apid.
#[derive(Debug)]
pub(super) struct Input {
    bytes: UnboundedSender<Vec<u8>>,
    queue: Arc<Queue>,
}

/// Gives them to the connection.
#[derive(Debug)]
pub(super) struct Fed {
    bytes: UnboundedReceiver<Vec<u8>>,
    queue: Arc<Queue>,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Queue {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// There were too many.
    overflow: Notify,
}

/// The queue of what is to be sent.
pub(super) fn input() -> (Input, Fed) {
    let (sender, bytes) = unbounded_channel();
    let queue = Arc::<Queue>::default();
    let input = Input {
        bytes: sender,
        queue: Arc::clone(&queue),
    };
    (input, Fed { bytes, queue })
}

impl Input {
    /// Adds bytes. Beyond the bound they are lost, and the connection ends.
    pub(super) fn feed(&mut self, bytes: Vec<u8>) {
        let length = bytes.len();
        if self.queue.waiting.fetch_add(length, Ordering::Relaxed) + length > MOST_WAITING {
            self.queue.overflow.notify_one();
            return;
        }
        // Once the connection has ended, no one takes them.
        let _ = self.bytes.send(bytes);
    }
}

/// Connects, and passes bytes on both ways until either side ends.
pub(super) async fn relay(address: SocketAddr, mut fed: Fed, mut outlet: Outlet) {
    outlet.bound(u64::MAX);
    let result = async {
        let (reader, writer) = connect(address).await?.into_split();
        let (queue, mut received) = (Arc::clone(&fed.queue), Received(reader));
        tokio::select! {
            result = outlet.pump(&mut received) => result,
            () = send(writer, &mut fed) => Ok(()),
            () = queue.overflow.notified() => Err(trouble::new(
                TroubleKind::TooLong,
                Code::ResourceExhausted,
                "apid does not take bytes as fast as they come",
            )),
        }
    };
    let result = result.await;
    tracing::debug!(?result, "a connection to apid has ended");
    outlet.answer(Answer::End(result));
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Trouble> {
    let connected = timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = connected
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| failed(address, &error))?;
    stream
        .set_nodelay(true)
        .map_err(|error| failed(address, &error))?;
    Ok(stream)
}

fn failed(address: SocketAddr, error: &io::Error) -> Trouble {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return trouble::new(
            TroubleKind::Failed,
            Code::PermissionDenied,
            "the sandbox allowed no connection to apid when the agent started; restart it to apply the right relay",
        );
    }
    trouble::new(
        TroubleKind::Away,
        Code::Unavailable,
        format!("cannot connect to apid at {address}: {error}"),
    )
}

fn broken(error: &io::Error) -> Trouble {
    trouble::new(
        TroubleKind::Away,
        Code::Unavailable,
        format!("the connection to apid broke: {error}"),
    )
}

/// Sends what is fed. The other half says when the connection has ended.
async fn send(mut writer: OwnedWriteHalf, fed: &mut Fed) {
    while let Some(bytes) = fed.bytes.recv().await {
        if writer.write_all(&bytes).await.is_err() {
            break;
        }
        fed.queue.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    // That it is broken shows in what is received.
    std::future::pending().await
}

/// What apid sends.
struct Received(OwnedReadHalf);

impl Source for Received {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let mut bytes = Vec::with_capacity(READ);
        match self.0.read_buf(&mut bytes).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(bytes)),
            Err(error) => Err(broken(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sandbox_refuses_is_said_with_the_remedy() {
        let address = SocketAddr::from(([127, 0, 0, 1], 50000));
        // EPERM of seccomp, EACCES of landlock.
        for number in [1, 13] {
            let trouble = failed(address, &io::Error::from_raw_os_error(number));
            assert_eq!(trouble.kind, TroubleKind::Failed);
            assert!(trouble.text.contains("restart it"), "{trouble}");
        }
        let refused = failed(address, &io::ErrorKind::ConnectionRefused.into());
        assert_eq!(refused.kind, TroubleKind::Away);
    }
}
