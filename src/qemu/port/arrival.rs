//! Notices that a port may have come: the kernel says so on a netlink socket, and of a path that was named inotify
//! does. Nothing is looked at meanwhile, but where the kernel refuses that socket.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, setsockopt, socket,
    sockopt::RcvBuf,
};
use tokio::net::UnixDatagram;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

/// The group of the kernel's own messages on a socket of uevents.
const KERNEL: u32 = 1;
/// While nobody waits, the kernel keeps no more of them.
const KEPT: usize = 4096;
/// More of them cannot be there.
const MANY: usize = 64;
/// What a message has somewhere that is about a port or its device.
const SUBJECT: &[u8] = b"virtio";
/// How often is looked without a socket of uevents.
const UNHEARD: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct Arrival {
    /// Made before the sandbox, which allows none; a datagram socket that tokio has a safe type for.
    uevents: Option<net::UnixDatagram>,
    /// What was named.
    path: Option<PathBuf>,
    /// While somebody waits.
    listening: Option<Listening>,
}

#[derive(Debug)]
struct Listening {
    uevents: Option<UnixDatagram>,
    /// An inotify descriptor; it is read like a pipe, which tokio has a safe type for.
    files: Option<Receiver>,
}

impl Arrival {
    /// Of any port, and of this path. To be called before the sandbox is entered.
    pub fn new(path: Option<PathBuf>) -> Self {
        let uevents = uevents()
            .inspect_err(|error| tracing::debug!(%error, "no uevents; looking for the port"))
            .ok();
        Self {
            uevents,
            path,
            listening: None,
        }
    }

    /// Of this path.
    pub fn watch(&mut self, path: PathBuf) {
        self.path = Some(path);
        self.listening = None;
    }

    /// Begins to listen: what comes from here on is news. Whether it had not begun before.
    pub(super) fn listen(&mut self) -> bool {
        if self.listening.is_some() {
            return false;
        }
        let uevents = self.uevents.as_ref().and_then(|socket| {
            let socket = UnixDatagram::from_std(socket.try_clone().ok()?).ok()?;
            // What was said while nobody waited; ENOBUFS stands for what was not kept.
            let mut taken = [0; KEPT];
            (0..MANY).find(|_| is_empty(&socket.try_recv(&mut taken)));
            Some(socket)
        });
        let files = self.path.as_deref().and_then(|path| files(path).ok());
        self.listening = Some(Listening { uevents, files });
        true
    }

    /// Listens no more.
    pub(super) fn rest(&mut self) {
        self.listening = None;
    }

    /// Returns at once when it is first called, and later when a port may have come; cancel-safe.
    pub async fn news(&mut self) {
        if self.listen() {
            return;
        }
        let Some(listening) = &self.listening else {
            return;
        };
        tokio::select! {
            () = heard(listening.uevents.as_ref()) => {}
            () = made(listening.files.as_ref()) => {
                // The next folder of the path may be there by now. To look before it is watched would miss a change.
                let files = self.path.as_deref().and_then(|path| files(path).ok());
                if let Some(listening) = &mut self.listening {
                    listening.files = files;
                }
            }
        }
    }
}

/// Whether nothing is left to be read.
fn is_empty(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Waits for a message about a port.
async fn heard(socket: Option<&UnixDatagram>) {
    let Some(socket) = socket else {
        return sleep(UNHEARD).await;
    };
    let mut message = [0; KEPT];
    loop {
        match socket.recv(&mut message).await {
            Ok(len) => {
                let mut parts = message
                    .get(..len)
                    .unwrap_or_default()
                    .windows(SUBJECT.len());
                if parts.any(|part| part == SUBJECT) {
                    return;
                }
            }
            // ENOBUFS: something was lost, which may have been it.
            Err(_) => return,
        }
    }
}

/// Waits for a change of the files.
async fn made(files: Option<&Receiver>) {
    let Some(files) = files else {
        return pending().await;
    };
    let mut taken = [0; 4096];
    loop {
        if files.readable().await.is_err() {
            return pending().await;
        }
        match files.try_read(&mut taken) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) => return,
            Err(_) => return pending().await,
        }
    }
}

/// The socket on which the kernel says what is plugged in and out.
fn uevents() -> io::Result<net::UnixDatagram> {
    let socket: OwnedFd = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    setsockopt(&socket, RcvBuf, &KEPT)?;
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &NetlinkAddr::new(0, KERNEL),
    )?;
    Ok(socket.into())
}

/// Watches a path, or the folder where the next part of it will be made.
fn files(path: &Path) -> io::Result<Receiver> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let folder = path.parent().unwrap_or(path);
    // Where a link leads.
    let target = path.read_link().map(|target| folder.join(target));
    for path in [Some(path), target.as_deref().ok()].into_iter().flatten() {
        let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
        let comes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        let _ = folder.map(|folder| inotify.add_watch(folder, comes));
    }
    // Where it is there: somebody lets go of it, or lets us use it.
    let changes = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_ATTRIB;
    let _ = inotify.add_watch(path, changes);
    Receiver::from_owned_fd_unchecked(inotify.into())
}
