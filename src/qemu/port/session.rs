//! What happens on an open port, as a machine: who is there, what is read, what is written. No clock and no waiting.
//!
//! ```text
//!            bytes read                 poll without HUP, or a write taken
//!  Absent ──────────────► Unannounced ──────────────────────────────────► Present
//!    ▲                         │ 250 ms without news                         │ HUP
//!    │    nothing more to read ▼                                             ▼
//!    └────────────────────── Leaving ◄───────────────────────────────────────┘
//! ```
//! A client and its first bytes come by different queues, so the news of a client may be later than its bytes: then
//! a write fails with EAGAIN although the client is there. Of a client that was seen HUP says that it has gone, and what
//! can still be read is what it left behind: that is carried out, and not answered. Unless it has had a reply and waits
//! for none: then it is one of those that come for one command each, and what can be read is the next one's, if the
//! news of that one follows at once.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::PortEvent;

/// The kernel gives no more at a time.
const READ: usize = 4096;
/// The kernel takes no more at a time.
const WRITE: usize = 32 * 1024;
/// How much later than its bytes the news of a client may come. 0.6 ms were seen.
const LATE: Duration = Duration::from_millis(250);
/// The same where the bytes may as well be the last of a client that has gone.
const LATE_BEHIND_ANOTHER: Duration = Duration::from_millis(20);
/// How often the port is looked at meanwhile, should the news itself get lost.
const LOOK: Duration = Duration::from_millis(10);
/// How long a client may take nothing of a reply.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An open port. Nothing here blocks: what would is [`ErrorKind::WouldBlock`].
pub(super) trait Device {
    /// read(2): 0 while there is no client.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// write(2), which may take a part.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// poll(2).
    fn poll(&mut self) -> io::Result<Readiness>;
}

/// What poll says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    /// Not HUP: there is a client, as far as the news of it has come.
    pub(super) has_client: bool,
    /// OUT.
    pub(super) is_writable: bool,
}

/// What comes of a turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// An event; the next turn may have one more.
    Event(PortEvent),
    /// Nothing until the port changes, or until then.
    Wait(Option<Duration>),
    /// The port has gone, or it is no port.
    Gone(io::Error),
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Nobody, as far as is known.
    Absent,
    /// Who has sent something, and whose news has not come; it may until then.
    Unannounced(Duration),
    /// Somebody.
    Present,
    /// Nobody, but something is still to be read.
    Leaving,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    /// Replies to be written, none of them empty.
    replies: VecDeque<Vec<u8>>,
    /// How much of the first has been.
    written: usize,
    /// Since when the client takes nothing.
    stuck_since: Option<Duration>,
    /// The client has taken nothing for so long that it gets nothing until the port is writable.
    is_deaf: bool,
    /// A part of a reply was written, and the rest never will be.
    is_torn: bool,
    /// The client has had a reply.
    is_served: bool,
    /// A client that was served has just gone: what comes may be the next one's, or the last of its own.
    is_handover: bool,
    /// Nothing is read any more.
    is_stopped: bool,
}

impl Session {
    /// A port that has just been opened.
    pub(super) const fn new() -> Self {
        Self {
            client: Client::Absent,
            replies: VecDeque::new(),
            written: 0,
            stuck_since: None,
            is_deaf: false,
            is_torn: false,
            is_served: false,
            is_handover: false,
            is_stopped: false,
        }
    }

    /// The port, opened once more: nothing is left but that nothing is to be read any more.
    pub(super) fn successor(&self) -> Self {
        Self {
            is_stopped: self.is_stopped,
            ..Self::new()
        }
    }

    /// Sends a reply, if there is somebody who would read it.
    pub(super) fn send(&mut self, mut reply: Vec<u8>) {
        if matches!(self.client, Client::Absent | Client::Leaving) || self.is_deaf {
            return;
        }
        if std::mem::take(&mut self.is_torn) {
            // On a line of its own. Readers skip the rest of the torn one.
            reply.insert(0, b'\n');
        }
        if !reply.is_empty() {
            self.replies.push_back(reply);
        }
    }

    /// Whether something is still to be written.
    pub(super) fn is_writing(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Reads nothing any more.
    pub(super) const fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Does what can be done now.
    pub(super) fn turn(&mut self, device: &mut impl Device, now: Duration) -> Turn {
        match self.attempt(device, now) {
            Ok(turn) => turn,
            Err(error) => Turn::Gone(error),
        }
    }

    fn attempt(&mut self, device: &mut impl Device, now: Duration) -> io::Result<Turn> {
        let was_writing = self.is_writing();
        let readiness = device.poll()?;
        if self.client == Client::Present
            && !readiness.has_client
            && self.is_served
            && !was_writing
            && !self.is_deaf
        {
            self.leave();
            self.client = Client::Absent;
            self.is_handover = true;
            return Ok(Turn::Event(PortEvent::Left));
        }
        self.notice(readiness, now);
        let until = self.write(device, now)?;
        if was_writing && !self.is_writing() {
            return Ok(Turn::Event(PortEvent::Written));
        }
        // While a reply waits, nothing more is taken that would need one: so no more waits here than one read asks for.
        if self.is_writing() || self.is_stopped {
            return Ok(Turn::Wait(until));
        }
        self.read(device, now)
    }

    /// Takes what poll says.
    fn notice(&mut self, readiness: Readiness, now: Duration) {
        match self.client {
            Client::Absent | Client::Unannounced(_) if readiness.has_client => self.meet(),
            Client::Unannounced(until) if now >= until => self.leave(),
            Client::Present if !readiness.has_client => self.leave(),
            _ => {}
        }
        if readiness.is_writable {
            self.is_deaf = false;
        }
    }

    /// There is a client.
    const fn meet(&mut self) {
        self.client = Client::Present;
        self.is_handover = false;
    }

    /// The client has gone. The host throws away what it has not read.
    fn leave(&mut self) {
        self.client = Client::Leaving;
        self.drop_replies();
        self.is_torn = false;
        self.is_deaf = false;
        self.is_served = false;
    }

    fn drop_replies(&mut self) {
        self.replies.clear();
        self.written = 0;
        self.stuck_since = None;
    }

    /// Writes as much as is taken. When to try again, should the port not say so.
    fn write(&mut self, device: &mut impl Device, now: Duration) -> io::Result<Option<Duration>> {
        while let Some(reply) = self.replies.front() {
            let rest = reply.get(self.written..).unwrap_or_default();
            let chunk = rest.get(..WRITE).unwrap_or(rest);
            let whole = reply.len();
            match device.write(chunk) {
                Ok(count) if count > 0 => {
                    self.meet();
                    self.stuck_since = None;
                    self.written += count;
                    if self.written >= whole {
                        self.written = 0;
                        self.replies.pop_front();
                        self.is_served = true;
                    }
                }
                Ok(_) => return Ok(self.stuck(now)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.stuck(now)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Nothing is taken: for want of news, or because the client does not read.
    fn stuck(&mut self, now: Duration) -> Option<Duration> {
        if let Client::Unannounced(until) = self.client {
            return Some(until.min(now.saturating_add(LOOK)));
        }
        let since = *self.stuck_since.get_or_insert(now);
        let until = since.saturating_add(PATIENCE);
        if now < until {
            return Some(until);
        }
        self.is_torn |= self.written > 0;
        self.is_deaf = true;
        self.drop_replies();
        None
    }

    fn read(&mut self, device: &mut impl Device, now: Duration) -> io::Result<Turn> {
        let mut buffer = [0; READ];
        let count = match device.read(&mut buffer) {
            Ok(0) if self.client == Client::Present => {
                // It has gone since poll was asked.
                self.leave();
                0
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if !bytes.is_empty() {
            if matches!(self.client, Client::Absent | Client::Unannounced(_)) {
                let late = if self.is_handover {
                    LATE_BEHIND_ANOTHER
                } else {
                    LATE
                };
                self.client = Client::Unannounced(now.saturating_add(late));
            }
            return Ok(Turn::Event(PortEvent::Bytes(bytes.to_vec())));
        }
        Ok(match self.client {
            Client::Absent | Client::Present => {
                self.is_handover = false;
                Turn::Wait(None)
            }
            Client::Unannounced(until) => Turn::Wait(Some(until)),
            Client::Leaving => {
                self.client = Client::Absent;
                self.is_handover = false;
                Turn::Event(PortEvent::Left)
            }
        })
    }
}
