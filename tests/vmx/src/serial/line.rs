//! The port itself, as the guest's driver and the hypervisor see it together: who is there, what is under way,
//! what each call says. It knows no descriptor and no time.

use std::collections::VecDeque;

/// Readable (poll.h).
pub(crate) const IN: u32 = libc::POLLIN as u32;
/// Writable.
pub(crate) const OUT: u32 = libc::POLLOUT as u32;
/// No client, or no port.
pub(crate) const HUP: u32 = libc::POLLHUP as u32;

/// Bytes that one read gives at most: the driver's buffer.
const READ_AT_MOST: usize = 4096;
/// Bytes that one write takes at most.
const WRITE_AT_MOST: usize = 32 * 1024;
/// Writes that may be under way, however small.
const BUFFERS: usize = 128;
/// What the client's socket holds unread, the kernel's part of each message included.
const SOCKET: usize = 212_992;
/// That part.
const PER_MESSAGE: usize = 768;

/// Why the port cannot be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It can.
    #[default]
    Not,
    /// There is no such node.
    NoNode,
    /// The node is there, the device is not.
    NoDevice,
}

/// One virtio-serial port with its client and its guest.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) absence: Absence,
    /// Another program of the guest has it open.
    pub(crate) held: bool,
    /// The guest has it open.
    open: bool,
    /// What the guest has open was unplugged; a new port in its place is another one.
    dead: bool,
    /// A client is there.
    client: bool,
    /// The guest's driver knows of it.
    connected: bool,
    /// The client does not read.
    unread: bool,
    /// From the client, as the guest's buffers: what the guest may read.
    inbound: VecDeque<Vec<u8>>,
    /// From the client while the guest has the port closed.
    waiting: Vec<u8>,
    /// Writes of the guest that the hypervisor has not taken.
    outbound: VecDeque<Vec<u8>>,
    /// What lies in the client's socket, counted as the kernel does.
    in_socket: usize,
    /// What the client has got.
    received: Vec<u8>,
}

/// The guest's side.
impl Line {
    pub(crate) fn open(&mut self) -> Result<(), i32> {
        match self.absence {
            Absence::NoNode => return Err(libc::ENOENT),
            Absence::NoDevice => return Err(libc::ENXIO),
            Absence::Not => {}
        }
        if self.held || self.open {
            return Err(libc::EBUSY);
        }
        self.open = true;
        self.dead = false;
        let waiting = std::mem::take(&mut self.waiting);
        self.deliver(&waiting);
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.open = false;
        self.inbound.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// What `poll` says.
    pub(crate) fn poll(&self) -> u32 {
        if self.dead {
            return HUP;
        }
        let mut state = 0;
        if !self.inbound.is_empty() || !self.connected {
            state |= IN;
        }
        if !self.connected {
            state |= HUP;
        } else if self.outbound.len() < BUFFERS {
            state |= OUT;
        }
        state
    }

    /// Never more than one buffer, which never holds more than one write of the client.
    pub(crate) fn read(&mut self, at_most: usize) -> Result<Vec<u8>, i32> {
        if self.dead {
            return Err(libc::ENODEV);
        }
        let Some(mut buffer) = self.inbound.pop_front() else {
            return if self.connected {
                Err(libc::EAGAIN)
            } else {
                Ok(Vec::new())
            };
        };
        if buffer.len() > at_most {
            self.inbound.push_front(buffer.split_off(at_most));
        }
        Ok(buffer)
    }

    /// How many bytes were taken.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, i32> {
        if self.dead {
            return Err(libc::ENODEV);
        }
        if !self.connected || self.outbound.len() >= BUFFERS {
            return Err(libc::EAGAIN);
        }
        let taken = &bytes[..bytes.len().min(WRITE_AT_MOST)];
        self.outbound.push_back(taken.to_vec());
        Ok(taken.len())
    }
}

/// The hypervisor's side.
impl Line {
    /// A client comes; the guest does not know yet.
    pub(crate) fn connect(&mut self) {
        assert!(!self.client, "one client at a time");
        self.client = true;
    }

    /// The guest hears of the client.
    pub(crate) fn announce(&mut self) {
        self.connected = self.client && self.absence == Absence::Not;
    }

    /// The client sends; nothing comes of it when a fault has taken the client away.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if !self.client {
            return;
        }
        if self.open && !self.dead {
            self.deliver(bytes);
        } else {
            self.waiting.extend(bytes);
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        let buffers = bytes.chunks(READ_AT_MOST);
        self.inbound.extend(buffers.map(<[u8]>::to_vec));
    }

    /// The client goes. What it sent stays, what it was sent is thrown away.
    pub(crate) fn leave(&mut self) {
        self.client = false;
        self.connected = false;
        self.unread = false;
        self.waiting.clear();
        self.outbound.clear();
        self.received.clear();
        self.in_socket = 0;
    }

    /// Whether the client reads.
    pub(crate) fn set_unread(&mut self, unread: bool) {
        self.unread = unread;
        self.in_socket = 0;
    }

    /// The hypervisor takes what was written, as far as it can; whether it took anything.
    pub(crate) fn pump(&mut self) -> bool {
        let mut moved = false;
        while self.takes() {
            let Some(buffer) = self.outbound.pop_front() else {
                break;
            };
            moved = true;
            if self.unread {
                self.in_socket += buffer.len() + PER_MESSAGE;
            }
            self.received.extend(buffer);
        }
        moved
    }

    fn takes(&self) -> bool {
        self.client && (!self.unread || self.in_socket < SOCKET)
    }

    /// What the client has got and not taken yet.
    pub(crate) fn received(&mut self) -> &mut Vec<u8> {
        &mut self.received
    }

    /// Writes that the hypervisor has not taken.
    pub(crate) fn queued(&self) -> usize {
        self.outbound.len()
    }

    pub(crate) fn unplug(&mut self, absence: Absence) {
        self.absence = absence;
        self.dead = self.open;
        self.connected = false;
        self.inbound.clear();
        self.outbound.clear();
    }

    /// A client stays at its socket, and a descriptor of the old port stays dead.
    pub(crate) fn plug(&mut self) {
        self.absence = Absence::Not;
        self.announce();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Line {
        let mut line = Line::default();
        line.open().unwrap();
        line
    }

    fn with_client() -> Line {
        let mut line = opened();
        line.connect();
        line.announce();
        line
    }

    #[test]
    fn without_a_client_it_reads_as_ended_and_takes_nothing() {
        let mut line = opened();
        assert_eq!(line.poll(), 0x11);
        assert_eq!(line.read(10), Ok(Vec::new()));
        assert_eq!(line.write(b"x"), Err(libc::EAGAIN));
    }

    #[test]
    fn an_idle_client_can_be_written_to() {
        let mut line = with_client();
        assert_eq!(line.poll(), 0x4);
        assert_eq!(line.read(10), Err(libc::EAGAIN));
        assert_eq!(line.write(b"reply\n"), Ok(6));
        assert!(line.pump());
        assert_eq!(line.received().as_slice(), b"reply\n");
    }

    #[test]
    fn a_read_gives_one_write_of_the_client_and_4096_bytes_at_most() {
        let mut line = with_client();
        line.send(&[7; 5000]);
        line.send(b"next");
        assert_eq!(line.poll(), 0x5);
        let lengths: Vec<_> = (0..3).map(|_| line.read(9000).unwrap().len()).collect();
        assert_eq!(lengths, [4096, 904, 4]);
        line.send(b"abcdef");
        assert_eq!(line.read(4).unwrap(), b"abcd");
        assert_eq!(line.read(4).unwrap(), b"ef");
        assert_eq!(line.poll(), 0x4);
    }

    #[test]
    fn a_write_takes_32768_bytes_at_most() {
        let mut line = with_client();
        assert_eq!(line.write(&[1; 40_000]), Ok(32_768));
    }

    #[test]
    fn bytes_of_a_client_that_left_stay_readable() {
        let mut line = with_client();
        line.send(b"order");
        line.leave();
        assert_eq!(line.poll(), 0x11);
        assert_eq!(line.write(b"x"), Err(libc::EAGAIN));
        assert_eq!(line.read(10).unwrap(), b"order");
        assert_eq!(line.read(10).unwrap(), b"");
    }

    #[test]
    fn what_was_written_to_a_client_that_leaves_is_thrown_away() {
        let mut line = with_client();
        line.set_unread(true);
        line.write(b"stale\n").unwrap();
        line.leave();
        line.connect();
        line.announce();
        line.pump();
        assert!(line.received().is_empty());
    }

    #[test]
    fn the_first_bytes_of_a_client_may_come_before_the_news_of_it() {
        let mut line = opened();
        line.connect();
        line.send(b"ping");
        assert_eq!(line.poll(), 0x11);
        assert_eq!(line.read(10).unwrap(), b"ping");
        assert_eq!(line.write(b"x"), Err(libc::EAGAIN));
        line.announce();
        assert_eq!(line.poll(), 0x4);
        assert_eq!(line.write(b"x"), Ok(1));
    }

    #[test]
    fn a_client_that_does_not_read_fills_about_4_2_mib() {
        let mut line = with_client();
        line.set_unread(true);
        let mut taken = 0;
        while let Ok(len) = line.write(&[0; WRITE_AT_MOST]) {
            taken += len;
            line.pump();
        }
        assert!((4_300_000..4_600_000).contains(&taken), "{taken}");
        assert_eq!(line.poll(), 0);
        assert_eq!(line.read(10), Err(libc::EAGAIN));
        line.set_unread(false);
        assert!(line.pump());
        assert_eq!(line.poll(), 0x4);
        assert_eq!(line.received().len(), taken);
    }

    #[test]
    fn an_unplugged_port_is_dead_for_whoever_has_it_open() {
        for (absence, errno) in [
            (Absence::NoNode, libc::ENOENT),
            (Absence::NoDevice, libc::ENXIO),
        ] {
            let mut line = with_client();
            line.send(b"lost");
            line.unplug(absence);
            assert_eq!(line.poll(), 0x10);
            assert_eq!(line.read(10), Err(libc::ENODEV));
            assert_eq!(line.write(b"x"), Err(libc::ENODEV));
            line.close();
            assert_eq!(line.open(), Err(errno));
            line.plug();
            assert_eq!(line.open(), Ok(()));
            assert_eq!(line.poll(), 0x4, "its client is still there");
        }
        let mut line = with_client();
        line.unplug(Absence::NoNode);
        line.plug();
        assert_eq!(line.poll(), 0x10, "an old descriptor stays dead");
    }

    #[test]
    fn only_one_may_have_it_open() {
        let mut line = opened();
        assert_eq!(line.open(), Err(libc::EBUSY));
        line.close();
        line.held = true;
        assert_eq!(line.open(), Err(libc::EBUSY));
        line.held = false;
        assert_eq!(line.open(), Ok(()));
    }

    #[test]
    fn bytes_sent_before_the_port_is_open_arrive_unless_the_client_leaves() {
        let mut line = Line::default();
        line.connect();
        line.announce();
        line.send(b"early");
        line.open().unwrap();
        assert_eq!(line.read(10).unwrap(), b"early");
        line.close();
        line.send(b"gone");
        line.leave();
        line.open().unwrap();
        assert_eq!(line.read(10).unwrap(), b"");
    }

    #[test]
    fn bytes_unread_at_a_close_are_lost() {
        let mut line = with_client();
        line.send(b"unread");
        line.close();
        line.open().unwrap();
        assert_eq!(line.read(10), Err(libc::EAGAIN));
    }
}
