//! One run: the handle a test holds, and its ways of waiting.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ExitStatus;
use crate::builder::VmxBuilder;
use crate::codec::vix;
use crate::host::{
    Event, EventKind, Exchange, ExchangeId, Host, RpciEntry, Stats, Stream, Vcenter,
};
use crate::shared::Shared;

/// Why [`Vmx::wait_for`] gave up. Shows the last events.
#[derive(Clone, Debug)]
pub struct WaitError {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub waited: Duration,
    /// The program ended meanwhile.
    pub exit: Option<ExitStatus>,
    /// The last events.
    pub tail: Vec<Event>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} did not happen within {:?}", self.what, self.waited)?;
        if let Some(exit) = self.exit {
            write!(f, ", the program has ended ({exit})")?;
        }
        f.write_str("; last events:")?;
        for event in &self.tail {
            write!(f, "\n{event}")?;
        }
        Ok(())
    }
}

impl std::error::Error for WaitError {}

/// A running program and its host. Dropping it kills the program and everything it started.
#[derive(Debug)]
pub struct Vmx {
    shared: Arc<Shared>,
    pid: i32,
    threads: Vec<JoinHandle<()>>,
    /// Whoever reads standard error waits for this; `None` from the end on.
    read_stderr: Option<mpsc::Sender<()>>,
}

impl Vmx {
    /// A run of `program` (a path; `PATH` is searched for a bare name).
    pub fn builder(program: impl Into<PathBuf>) -> VmxBuilder {
        VmxBuilder::new(program.into())
    }

    pub(crate) fn new(
        shared: Arc<Shared>,
        pid: i32,
        threads: Vec<JoinHandle<()>>,
        read_stderr: mpsc::Sender<()>,
    ) -> Self {
        Self {
            shared,
            pid,
            threads,
            read_stderr: Some(read_stderr),
        }
    }

    /// Reads standard error from here on, with [`VmxBuilder::unread_stderr`].
    pub fn read_stderr(&self) {
        if let Some(read) = &self.read_stderr {
            // It reads already, or has read all there is.
            let _unheard = read.send(());
        }
    }

    /// Its process id, as seen from here.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Looks at the host and changes it (faults, variables, configuration). Not for long work: the
    /// program's next access waits for it. The second argument is the time now.
    pub fn host<T>(&self, with: impl FnOnce(&mut Host, Instant) -> T) -> T {
        let mut host = self.shared.lock();
        let result = with(&mut host, Instant::now());
        drop(host);
        self.shared.changed();
        self.shared.wake_server();
        result
    }

    /// Waits until `is_so` gives something, looking again after every change.
    ///
    /// # Errors
    /// [`WaitError`] when the deadline passes, or at once when the program has ended and it still is not
    /// so (whatever the program wrote is read first).
    pub fn wait_for<T>(
        &self,
        what: &str,
        deadline: Duration,
        mut is_so: impl FnMut(&Host, Instant) -> Option<T>,
    ) -> Result<T, WaitError> {
        let start = Instant::now();
        let end = start + deadline;
        let mut host = self.shared.lock();
        loop {
            let now = Instant::now();
            if let Some(found) = is_so(&host, now) {
                return Ok(found);
            }
            let over = host.exit.is_some() && host.output_open == 0;
            if now >= end || over {
                let tail = host.events();
                return Err(WaitError {
                    what: what.to_owned(),
                    waited: now - start,
                    exit: host.exit,
                    tail: tail[tail.len().saturating_sub(30)..].to_vec(),
                });
            }
            let wake = host.next_colour(now).map_or(end, |at| at.min(end));
            host = self.shared.wait(host, wake.saturating_duration_since(now));
        }
    }

    /// Waits until vCenter's view is so.
    ///
    /// # Errors
    /// As [`Vmx::wait_for`].
    pub fn wait_vcenter(
        &self,
        what: &str,
        deadline: Duration,
        mut is_so: impl FnMut(&Vcenter) -> bool,
    ) -> Result<Vcenter, WaitError> {
        self.wait_for(what, deadline, |host, now| {
            let view = host.vcenter(now);
            is_so(&view).then_some(view)
        })
    }

    /// Waits for an event and gives its time since the program's start. Looks at those that happened
    /// already, too.
    ///
    /// # Errors
    /// As [`Vmx::wait_for`].
    pub fn wait_event(
        &self,
        what: &str,
        deadline: Duration,
        mut is_it: impl FnMut(&EventKind) -> bool,
    ) -> Result<Event, WaitError> {
        let mut seen = 0;
        self.wait_for(what, deadline, |host, _| {
            let fresh = &host.events()[seen..];
            let found = fresh.iter().find(|event| is_it(&event.kind)).cloned();
            seen = host.events().len();
            found
        })
    }

    /// Waits for tools running with a green heartbeat.
    ///
    /// # Errors
    /// As [`Vmx::wait_for`].
    pub fn wait_green(&self, deadline: Duration) -> Result<Vcenter, WaitError> {
        self.wait_vcenter("green", deadline, Vcenter::is_green)
    }

    /// Waits until the greeting is over: every request of it answered.
    ///
    /// # Errors
    /// As [`Vmx::wait_for`].
    pub fn wait_greeted(&self, deadline: Duration) -> Result<(), WaitError> {
        self.wait_for("the end of the greeting", deadline, |host, _| {
            (host.is_greeted() && host.greeting_done()).then_some(())
        })
    }

    /// Queues a TCLO request.
    pub fn ask(&self, request: impl Into<Vec<u8>>) -> ExchangeId {
        self.host(|host, now| host.ask(request, now))
    }

    /// Waits for the reply to a queued request.
    ///
    /// # Errors
    /// As [`Vmx::wait_for`]; also when the request was lost with its channel.
    pub fn wait_reply(&self, id: ExchangeId, deadline: Duration) -> Result<Exchange, WaitError> {
        let exchange = self.wait_for("the reply", deadline, |host, _| {
            host.exchange_of(id)
                .filter(|e| e.replied.is_some() || e.lost)
                .cloned()
        })?;
        if exchange.replied.is_some() {
            return Ok(exchange);
        }
        self.wait_for(
            "the reply (the channel went away)",
            Duration::ZERO,
            |_, _| None,
        )
    }

    /// Asks the guest over TCLO and waits for the reply.
    ///
    /// # Errors
    /// As [`Vmx::wait_reply`].
    pub fn request(
        &self,
        request: impl Into<Vec<u8>>,
        deadline: Duration,
    ) -> Result<Exchange, WaitError> {
        let id = self.ask(request);
        self.wait_reply(id, deadline)
    }

    /// Relays VIX GetToolsState and reads the reply.
    ///
    /// # Errors
    /// As [`Vmx::wait_reply`]; a reply that cannot be read is a [`WaitError`] that says why.
    pub fn tools_state(&self, deadline: Duration) -> Result<vix::Reply, WaitError> {
        let exchange = self.request(vix::get_tools_state("req1"), deadline)?;
        vix::Reply::decode(exchange.reply.as_deref().unwrap_or_default()).map_err(|malformed| {
            WaitError {
                what: malformed.to_string(),
                waited: Duration::ZERO,
                exit: None,
                tail: Vec::new(),
            }
        })
    }

    /// vCenter's view now.
    pub fn vcenter(&self) -> Vcenter {
        self.shared.lock().vcenter(Instant::now())
    }

    /// Everything that happened so far.
    pub fn events(&self) -> Vec<Event> {
        self.shared.lock().events().to_vec()
    }

    /// Every RPCI command so far.
    pub fn rpci_log(&self) -> Vec<RpciEntry> {
        self.shared.lock().rpci_log().to_vec()
    }

    /// Every breach of the protocol so far.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock().violations().to_vec()
    }

    /// The functions that were called, in the order of their first calls
    /// (only seen on demand, see [`VmxBuilder::see_functions`]).
    pub fn called(&self) -> Vec<u64> {
        self.shared.lock().called.clone()
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        let stops = self.shared.stops.load(Ordering::Relaxed);
        Stats {
            ptrace_stops: stops,
            ..self.shared.lock().stats
        }
    }

    /// The lines of one output stream so far.
    pub fn output(&self, stream: Stream) -> Vec<String> {
        self.shared.lock().output(stream)
    }

    /// Sends the program a signal. A program that is gone is no error; one that was stopped can only be killed.
    pub fn signal(&self, signal: Signal) {
        if self.shared.lock().exit.is_none() {
            // Gone between the look and the call: nothing to do.
            let _gone = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits for the end of the program and of its output (which something it started may keep open: a
    /// second at most is spent on that).
    ///
    /// # Errors
    /// As [`Vmx::wait_for`].
    pub fn wait_exit(&self, deadline: Duration) -> Result<ExitStatus, WaitError> {
        let status = self.wait_for("the end of the program", deadline, |host, _| host.exit)?;
        // The status stands whether or not the output ends.
        let _still_open = self.wait_for(
            "the end of its output",
            Duration::from_secs(1),
            |host, _| (host.output_open == 0).then_some(()),
        );
        Ok(status)
    }

    /// Resident memory of the program in KiB: VmRSS, RssAnon, RssFile.
    ///
    /// # Errors
    /// The program has ended.
    pub fn rss(&self) -> io::Result<Rss> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| {
                    line.strip_prefix(name)?
                        .trim()
                        .strip_suffix(" kB")?
                        .parse()
                        .ok()
                })
                .ok_or_else(|| io::Error::other(format!("no {name} in the process status")))
        };
        Ok(Rss {
            total_kib: field("VmRSS:")?,
            anon_kib: field("RssAnon:")?,
            file_kib: field("RssFile:")?,
        })
    }

    /// VmRSS in KiB.
    ///
    /// # Errors
    /// The program has ended.
    pub fn rss_kib(&self) -> io::Result<u64> {
        Ok(self.rss()?.total_kib)
    }

    /// Processor time of the whole program so far, kernel and user.
    ///
    /// # Errors
    /// The program has ended.
    // The clock of another process, which is none that can jump.
    #[allow(clippy::disallowed_methods)]
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let clock = nix::time::clock_getcpuclockid(Pid::from_raw(self.pid))?;
        Ok(Duration::from(nix::time::clock_gettime(clock)?))
    }
}

/// Resident memory, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rss {
    /// VmRSS.
    pub total_kib: u64,
    /// RssAnon.
    pub anon_kib: u64,
    /// RssFile.
    pub file_kib: u64,
}

impl Drop for Vmx {
    fn drop(&mut self) {
        self.shared.kill();
        self.read_stderr = None;
        for pid in self.shared.processes().drain(..) {
            // It may be gone already.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _panicked = thread.join();
        }
    }
}
