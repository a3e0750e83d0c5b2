//! Serves the vsock connections of one program: one thread, `poll`, no waiting for anything else.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Shared;
use crate::codec::datamap::Packet;
use crate::host::{By, Host, Link};

/// What the tracer hands over.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// A connection to serve.
    Connection { id: u32, stream: UnixStream },
    /// The other end of a connect that nobody answers, to be closed when it times out.
    Stalled { stream: UnixStream, until: Instant },
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Replies that take their time.
    delayed: VecDeque<(Instant, Vec<u8>)>,
    /// The host reads nothing.
    unread: bool,
    /// Closed by the host as soon as the outbox is empty.
    closing: bool,
    over: Option<By>,
}

/// Runs until the program has ended.
pub(crate) fn serve(shared: &Arc<Shared>, accepted: &mpsc::Receiver<Accepted>) {
    let mut connections: BTreeMap<u32, Connection> = BTreeMap::new();
    let mut stalled: Vec<(Instant, UnixStream)> = Vec::new();
    loop {
        while let Ok(accepted) = accepted.try_recv() {
            match accepted {
                Accepted::Connection { id, stream } if stream.set_nonblocking(true).is_ok() => {
                    connections.insert(id, Connection::new(stream));
                }
                Accepted::Connection { .. } => {}
                Accepted::Stalled { stream, until } => stalled.push((until, stream)),
            }
        }
        let now = Instant::now();
        stalled.retain(|(until, _)| *until > now);
        let next_event = {
            let mut host = shared.lock();
            if host.exit.is_some() || shared.is_killing() {
                return;
            }
            host.close_overdue(now);
            carry_out_orders(&mut host, &mut connections);
            for (id, connection) in &mut connections {
                connection.attend(*id, &mut host);
            }
            connections.retain(|id, connection| match connection.over {
                Some(by) => {
                    host.vsock_gone(*id, by, Instant::now());
                    false
                }
                None => true,
            });
            let pings = connections
                .keys()
                .filter_map(|id| host.next_ping(Link::Vsock(*id)));
            let delayed = connections
                .values()
                .filter_map(|connection| Some(connection.delayed.front()?.0));
            let closing = [host.next_doom(), host.next_idle_vsock()];
            pings
                .chain(stalled.iter().map(|(until, _)| *until))
                .chain(delayed)
                .chain(closing.into_iter().flatten())
                .min()
        };
        shared.changed_if_new();
        let timeout = next_event.map_or(PollTimeout::NONE, |at| {
            let left = at.saturating_duration_since(Instant::now());
            // Rounded up: a poll that returns a little early would spin.
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        let mut fds = vec![PollFd::new(shared.wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(connections.values().map(|connection| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, !connection.unread);
            flags.set(PollFlags::POLLOUT, !connection.outbox.is_empty());
            PollFd::new(connection.stream.as_fd(), flags)
        }));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
        let is_over = |fd: &PollFd<'_>| {
            let events = fd.revents().unwrap_or(PollFlags::empty());
            events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
        };
        let over: Vec<bool> = fds.iter().skip(1).map(is_over).collect();
        if fds[0].any() == Some(true) {
            // Only the waking counts, not how often.
            let _count = shared.wake.read();
        }
        for (connection, is_over) in connections.values_mut().zip(over) {
            // Nobody reads the end of this one.
            if is_over && connection.unread {
                connection.over = Some(By::Guest);
            }
        }
    }
}

fn carry_out_orders(host: &mut Host, connections: &mut BTreeMap<u32, Connection>) {
    let (closing, raw) = host.vsock_orders();
    for (id, bytes) in raw {
        if let Some(connection) = connections.get_mut(&id) {
            connection.outbox.extend(bytes);
        }
    }
    for id in closing {
        if let Some(connection) = connections.get_mut(&id) {
            connection.over = Some(By::Host);
        } else {
            host.vsock_gone(id, By::Host, Instant::now());
        }
    }
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            delayed: VecDeque::new(),
            unread: false,
            closing: false,
            over: None,
        }
    }

    /// Reads what is there, answers it, sends what is due.
    fn attend(&mut self, id: u32, host: &mut Host) {
        if self.over.is_some() {
            return;
        }
        self.unread = host.vsock_unread(id);
        let ended = !self.unread && self.fill();
        loop {
            match Packet::decode(&self.inbox) {
                Ok(Some((packet, len))) => {
                    self.inbox.drain(..len);
                    let reaction = host.vsock_packet(id, packet, Instant::now());
                    if let Some(reply) = reaction.reply {
                        let due = Instant::now() + host.vsock_delay();
                        self.delayed.push_back((due, reply.encode()));
                    }
                    self.closing |= reaction.close;
                }
                Ok(None) => break,
                Err(malformed) => {
                    host.violation(Instant::now(), format!("{}: {malformed}", Link::Vsock(id)));
                    self.over = Some(By::Host);
                    return;
                }
            }
        }
        let now = Instant::now();
        while let Some((_, bytes)) = self.delayed.pop_front_if(|(due, _)| *due <= now) {
            self.outbox.extend(bytes);
        }
        while !self.closing {
            let now = Instant::now();
            let Some((request, packet)) = host.vsock_request(id, now) else {
                break;
            };
            self.outbox.extend(packet.encode());
            host.picked_up(request, Instant::now());
        }
        if ended || self.flush().is_err() {
            self.over = Some(By::Guest);
        } else if self.closing && self.outbox.is_empty() && self.delayed.is_empty() {
            self.over = Some(By::Host);
        }
    }

    /// True at the end of the stream.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16384];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(len) => self.inbox.extend(&chunk[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(len) => drop(self.outbox.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
