//! A pseudo virtio-serial port: to the program under test a character device, to a test the hypervisor's end.
//!
//! ```text
//! program ── openat, read, write, poll, epoll_wait ──▶ trace::serial ──▶ Line ◀── SerialPort, Client: test
//!         ◀── wakes up ──────── bell (an eventfd) ◀──────────────────────┘
//! ```
//! The program's descriptor is the bell: readable while the port's state is of interest, rung at each piece of
//! news, as the driver wakes its waiters. What the program reads from its calls is the line's, never the bell's.

mod client;
mod line;

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

pub use client::Client;
use line::{Absence, HUP, Line};

/// How long after its first bytes the news of a client comes.
pub const LATE_NEWS: Duration = Duration::from_micros(500);

/// How long a client waits for the guest to hear of the last change, at most.
const HEARING: Duration = Duration::from_millis(500);

/// A call of the program on the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCall {
    /// `open`.
    Open,
    /// `read`.
    Read,
    /// `write`.
    Write,
    /// An `epoll_wait` that reported the port.
    Woken,
    /// A `poll`.
    Polled,
    /// `close`.
    Close,
}

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortFault {
    /// It fails.
    Errno(i32),
    /// It handles no more bytes than these.
    Short(usize),
    /// The client leaves just before it.
    ClientLeaves,
    /// The port is unplugged just before it, and its node goes.
    Unplugged,
}

/// A call that was made.
#[derive(Clone, Copy, Debug)]
pub struct PortEntry {
    /// When.
    pub at: Instant,
    /// Which.
    pub call: PortCall,
    /// Its bytes, or its errno; of [`PortCall::Woken`] and [`PortCall::Polled`] the events.
    pub result: Result<usize, i32>,
}

/// A pseudo virtio-serial port. Clones are the same one.
#[derive(Clone, Debug)]
pub struct SerialPort(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    bell: EventFd,
}

/// What is new of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Came,
    Left,
}

#[derive(Debug, Default)]
struct State {
    line: Line,
    /// Events that an epoll of the program waits for.
    interest: u32,
    /// Those that a `poll` which is under way waits for.
    asked: u32,
    /// The bell is readable.
    rung: bool,
    /// News of a client that the program has not heard yet.
    news: Option<News>,
    faults: Vec<(PortCall, u64, PortFault)>,
    journal: Vec<PortEntry>,
}

/// What a test asks of it.
impl SerialPort {
    /// A port at this path, plugged in. A file there stands for its node, for whoever watches the folder.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        let port = Self::unplugged(path)?;
        port.plug();
        Ok(port)
    }

    /// A port that is not there yet.
    ///
    /// # Errors
    /// When the kernel has no descriptor left.
    pub fn unplugged(path: impl Into<PathBuf>) -> io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        let mut state = State::default();
        state.line.absence = Absence::NoNode;
        Ok(Self(Arc::new(Inner {
            path: path.into(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            bell: EventFd::from_flags(flags)?,
        })))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// A client comes, and the guest knows. Clients do not follow one another faster than a guest hears of it.
    ///
    /// # Panics
    /// When there is one already.
    pub fn connect(&self) -> Client {
        self.wait_heard();
        self.host(Line::connect);
        self.announce();
        self.wait_heard();
        Client::new(self.clone())
    }

    /// A client comes and sends this before the guest knows of it. The news comes by [`Self::announce`].
    ///
    /// # Panics
    /// When there is one already.
    pub fn connect_unannounced(&self, bytes: impl AsRef<[u8]>) -> Client {
        self.wait_heard();
        self.host(|line| {
            line.connect();
            line.send(bytes.as_ref());
        });
        Client::new(self.clone())
    }

    /// The guest hears of the client.
    pub fn announce(&self) {
        self.lock().news = Some(News::Came);
        self.host(Line::announce);
    }

    /// The client goes.
    fn leave(&self) {
        self.lock().news = Some(News::Left);
        self.host(Line::leave);
    }

    fn wait_heard(&self) {
        // A program that is busy with something else does not hold up its host for ever.
        let _heard_or_busy = self.wait("the news heard", HEARING, |state| {
            (state.news.is_none() || !state.line.is_open()).then_some(())
        });
    }

    /// A client comes and sends this; the news of it comes [`LATE_NEWS`] later.
    ///
    /// # Panics
    /// When there is one already.
    pub fn connect_sending(&self, bytes: impl AsRef<[u8]>) -> Client {
        let client = self.connect_unannounced(bytes);
        // The hypervisor's own delay, which is part of what is simulated.
        std::thread::sleep(LATE_NEWS);
        self.announce();
        client
    }

    /// Plugs it in (again).
    ///
    /// # Panics
    /// When the file that stands for the node cannot be made.
    pub fn plug(&self) {
        self.host(Line::plug);
        std::fs::write(&self.0.path, b"").expect("the node");
    }

    /// Unplugs it; its node goes.
    pub fn unplug(&self) {
        // The other order than udev's would do as well; whoever hears of the file finds the port gone.
        self.host(|line| line.unplug(Absence::NoNode));
        drop(std::fs::remove_file(&self.0.path));
    }

    /// Unplugs it; its node stays, as one made by hand does.
    pub fn unplug_leaving_node(&self) {
        self.host(|line| line.unplug(Absence::NoDevice));
    }

    /// Another program of the guest has it open, or no longer.
    pub fn hold(&self, held: bool) {
        self.host(|line| line.held = held);
    }

    /// Something goes wrong at the `nth` call of this kind from the start, counted from 1.
    pub fn fault(&self, call: PortCall, nth: u64, fault: PortFault) {
        self.lock().faults.push((call, nth, fault));
    }

    /// Whether the program has it open.
    pub fn is_open(&self) -> bool {
        self.lock().line.is_open()
    }

    /// Writes of the program that lie unread.
    pub fn queued(&self) -> usize {
        self.lock().line.queued()
    }

    /// Every call so far.
    pub fn journal(&self) -> Vec<PortEntry> {
        self.lock().journal.clone()
    }

    /// How many calls of this kind there were.
    pub fn count(&self, call: PortCall) -> usize {
        self.lock().count(call)
    }

    /// Waits until the program has it open.
    ///
    /// # Errors
    /// When it has not within the time.
    pub fn wait_open(&self, within: Duration) -> Result<(), String> {
        self.wait("the port open", within, |state| {
            state.line.is_open().then_some(())
        })
    }

    /// Waits until so many calls of a kind were made.
    ///
    /// # Errors
    /// When they were not within the time.
    pub fn wait_count(&self, call: PortCall, count: usize, within: Duration) -> Result<(), String> {
        self.wait(&format!("{count} × {call:?}"), within, |state| {
            (state.count(call) >= count).then_some(())
        })
    }

    /// Waits for a call with this result, those before the `nth` of its kind left out.
    ///
    /// # Errors
    /// When there was none within the time.
    pub fn wait_result(
        &self,
        call: PortCall,
        result: Result<usize, i32>,
        nth: usize,
        within: Duration,
    ) -> Result<(), String> {
        self.wait(&format!("{call:?} with {result:?}"), within, |state| {
            let of_call = |entry: &&PortEntry| entry.call == call;
            let mut later = state.journal.iter().filter(of_call).skip(nth);
            later.any(|entry| entry.result == result).then_some(())
        })
    }

    fn wait<T>(
        &self,
        what: &str,
        within: Duration,
        mut is_so: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some(found) = is_so(&mut state) {
                return Ok(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("{what} did not come within {within:?}; {state}"));
            }
            let woken = self.0.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes the hypervisor's side and wakes the guest.
    fn host<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state.line);
        state.line.pump();
        self.ring(&mut state);
        drop(state);
        self.0.changed.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// News: whoever waits looks again.
    fn ring(&self, state: &mut State) {
        self.silence(state);
        self.settle(state);
    }

    fn silence(&self, state: &mut State) {
        if std::mem::take(&mut state.rung) {
            // It was rung once, and is silent after one read.
            let _silent = self.0.bell.read();
        }
    }

    /// Makes the bell's level that of the port. A level that stays is no news.
    fn settle(&self, state: &mut State) {
        if state.events(state.interest | state.asked) == 0 {
            self.silence(state);
        } else if !state.rung {
            state.rung = true;
            // It does not run full: it is silenced before it is rung.
            let _rung = self.0.bell.write(1);
        }
    }
}

/// What the tracer asks of it.
impl SerialPort {
    pub(crate) fn bell(&self) -> RawFd {
        self.0.bell.as_raw_fd()
    }

    pub(crate) fn open(&self) -> Result<(), i32> {
        self.call(PortCall::Open, |line, _| line.open().map(|()| ((), 0)))
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.line.close();
        state.interest = 0;
        state.note(PortCall::Close, Ok(0));
        self.silence(&mut state);
        drop(state);
        self.0.changed.notify_all();
    }

    pub(crate) fn read(&self, at_most: usize) -> Result<Vec<u8>, i32> {
        self.call(PortCall::Read, |line, short| {
            let bytes = line.read(at_most.min(short))?;
            let len = bytes.len();
            Ok((bytes, len))
        })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, i32> {
        self.call(PortCall::Write, |line, short| {
            let len = line.write(&bytes[..bytes.len().min(short)])?;
            Ok((len, len))
        })
    }

    /// An epoll waits for these events from now on.
    pub(crate) fn watch(&self, interest: u32) {
        let mut state = self.lock();
        state.interest = interest;
        self.settle(&mut state);
    }

    /// A `poll` for these events begins.
    pub(crate) fn asked(&self, interest: u32) {
        let mut state = self.lock();
        state.asked = interest;
        self.settle(&mut state);
    }

    /// It ends: what it reports, and what it had asked for.
    pub(crate) fn polled(&self) -> (u32, u32) {
        let mut state = self.lock();
        let asked = std::mem::take(&mut state.asked);
        let events = state.events(asked);
        self.settle(&mut state);
        state.hears(News::Came);
        state.note(PortCall::Polled, Ok(events as usize));
        drop(state);
        self.0.changed.notify_all();
        (events, asked)
    }

    /// A wait has ended and reports the port: what for. 0 when that has passed.
    pub(crate) fn reported(&self) -> u32 {
        let mut state = self.lock();
        let events = state.events(state.interest);
        if events != 0 {
            state.note(PortCall::Woken, Ok(events as usize));
            drop(state);
            self.0.changed.notify_all();
        }
        events
    }

    /// One call, with its fault if it has one. The second argument is how many bytes it may handle.
    fn call<T>(
        &self,
        call: PortCall,
        run: impl FnOnce(&mut Line, usize) -> Result<(T, usize), i32>,
    ) -> Result<T, i32> {
        let mut state = self.lock();
        let fault = state.fault(call);
        let mut short = usize::MAX;
        match fault {
            Some(PortFault::ClientLeaves) => state.line.leave(),
            Some(PortFault::Unplugged) => {
                state.line.unplug(Absence::NoNode);
                drop(std::fs::remove_file(&self.0.path));
            }
            Some(PortFault::Short(len)) => short = len,
            Some(PortFault::Errno(_)) | None => {}
        }
        let result = match fault {
            Some(PortFault::Errno(errno)) => Err(errno),
            _ => run(&mut state.line, short),
        };
        // What was written is taken at once if it can be, and the driver wakes its waiters for that, too.
        let news = state.line.pump() || fault.is_some();
        match result.as_ref().map(|(_, len)| *len) {
            Ok(0) if call == PortCall::Read => state.news = None,
            Err(_) if call == PortCall::Read => state.hears(News::Came),
            Ok(_) if call == PortCall::Write => state.hears(News::Came),
            _ => {}
        }
        state.note(
            call,
            result.as_ref().map(|(_, len)| *len).map_err(|errno| *errno),
        );
        if news {
            self.ring(&mut state);
        } else {
            self.settle(&mut state);
        }
        drop(state);
        self.0.changed.notify_all();
        result.map(|(value, _)| value)
    }
}

impl State {
    /// The port's state as far as it is waited for; HUP always counts.
    fn events(&self, interest: u32) -> u32 {
        if self.line.is_open() {
            self.line.poll() & (interest | HUP)
        } else {
            0
        }
    }

    fn hears(&mut self, news: News) {
        self.news.take_if(|waiting| *waiting == news);
    }

    fn count(&self, call: PortCall) -> usize {
        let calls = self.journal.iter().filter(|entry| entry.call == call);
        calls.count()
    }

    /// The fault of the call that is about to be made, which is thereby used up.
    fn fault(&mut self, call: PortCall) -> Option<PortFault> {
        let number = self.count(call) as u64 + 1;
        let is_it = |(of, nth, _): &(PortCall, u64, PortFault)| *of == call && *nth == number;
        let at = self.faults.iter().position(is_it)?;
        Some(self.faults.remove(at).2)
    }

    fn note(&mut self, call: PortCall, result: Result<usize, i32>) {
        self.journal.push(PortEntry {
            at: Instant::now(),
            call,
            result,
        });
    }
}

impl fmt::Display for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.line.is_open() {
            "open"
        } else {
            "closed"
        };
        write!(
            f,
            "the port is {open}, poll {:#x}; last calls:",
            self.line.poll()
        )?;
        let journal = &self.journal;
        for entry in &journal[journal.len().saturating_sub(20)..] {
            write!(f, " {:?}", entry.call)?;
            match entry.result {
                Ok(len) => write!(f, "={len}")?,
                Err(errno) => write!(f, "={}", nix::errno::Errno::from_raw(errno))?,
            }
        }
        Ok(())
    }
}
