//! One run: the builder, the handle, and the state that the threads share.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::ExitStatus;
use crate::codec::vix;
use crate::host::{
    Event, EventKind, Exchange, ExchangeId, Host, HostConfig, RpciEntry, Stats, Stream, Vcenter,
    VsockPolicy,
};
use crate::profile::Profile;
use crate::trace::{Launch, Sandbox, Tracer, launch};
use crate::vsock_server::serve;

/// What the tracer, the vsock server, the readers of the output and the test share.
#[derive(Debug)]
pub(crate) struct Shared {
    host: Mutex<Host>,
    changed: Condvar,
    /// Events plus signs of life at the last notification.
    announced: AtomicU64,
    processes: Mutex<Vec<i32>>,
    /// Stops so far.
    pub(crate) stops: AtomicU64,
    /// Wakes the vsock server.
    pub(crate) wake: EventFd,
    /// The handle is gone: whatever stops from now on dies.
    killing: AtomicBool,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every process that is traced.
    pub(crate) fn processes(&self) -> MutexGuard<'_, Vec<i32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_killing(&self) -> bool {
        self.killing.load(Ordering::SeqCst)
    }

    pub(crate) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Wakes whoever waits, if anything happened that can be waited for.
    pub(crate) fn changed_if_new(&self) {
        let host = self.lock();
        let news = host.events().len() as u64 + host.stats.liveness;
        drop(host);
        if self.announced.swap(news, Ordering::Relaxed) != news {
            self.changed();
        }
    }

    pub(crate) fn end(&self, status: ExitStatus) {
        let mut host = self.lock();
        if host.exit.is_none() {
            host.exit = Some(status);
            let now = Instant::now();
            host.guest_ended(now);
            host.event(now, EventKind::Exited(status));
        }
        drop(host);
        self.changed();
        self.wake_server();
    }

    pub(crate) fn wake_server(&self) {
        // Full means that it will wake anyhow.
        let _woken = self.wake.write(1);
    }
}

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

/// What to run, and under which host.
#[derive(Debug)]
pub struct VmxBuilder {
    config: HostConfig,
    variables: Vec<(String, Vec<u8>)>,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    sandbox: Sandbox,
    count_wakeups: bool,
    echo: bool,
}

impl VmxBuilder {
    /// The machine. Default: [`Profile::Vmware`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.config.profile = profile;
        self
    }

    /// Everything else about the host.
    pub fn config(mut self, change: impl FnOnce(&mut HostConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Pings the guest so often. Default: never.
    pub fn ping_every(mut self, every: Duration) -> Self {
        self.config.ping_every = Some(every);
        self
    }

    /// A guest variable the host has from the start; `key` without `guestinfo.`.
    pub fn variable(mut self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.variables.push((key.into(), value.into()));
        self
    }

    /// What the guest may do with vsock. Default: no socket, EPERM.
    pub fn vsock(mut self, policy: VsockPolicy) -> Self {
        self.config.vsock = policy;
        self
    }

    /// Offers low bandwidth only.
    pub fn low_bandwidth_only(mut self) -> Self {
        self.config.high_bandwidth = false;
        self
    }

    /// Arguments after those already given.
    pub fn args<I: IntoIterator<Item = S>, S: Into<OsString>>(mut self, args: I) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One environment variable; the environment is empty otherwise.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The environment of this process.
    pub fn inherit_env(mut self) -> Self {
        self.env.extend(std::env::vars_os());
        self
    }

    /// Where the program starts.
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// How it is kept apart from this machine.
    pub fn sandbox(mut self, sandbox: Sandbox) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// Counts blocking system calls (see [`Stats::wakeups`]); each costs a stop.
    pub fn count_wakeups(mut self) -> Self {
        self.count_wakeups = true;
        self
    }

    /// Copies the program's output to standard error as well.
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// What the kernel says: no such program, no permission to trace it or for the sandbox.
    pub fn spawn(self) -> io::Result<Vmx> {
        // The host's clock is the wall clock, once; it moves on by the monotonic one.
        #[allow(clippy::disallowed_methods)]
        let wall_clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let mut host = Host::new(self.config, Instant::now(), wall_clock.unwrap_or_default());
        for (key, value) in self.variables {
            host.set_variable(&key, value);
        }
        let shared = Arc::new(Shared {
            host: Mutex::new(host),
            changed: Condvar::new(),
            announced: AtomicU64::new(0),
            processes: Mutex::new(Vec::new()),
            stops: AtomicU64::new(0),
            wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            killing: AtomicBool::new(false),
        });
        let (stdout_reader, stdout) = io::pipe()?;
        let (stderr_reader, stderr) = io::pipe()?;
        shared.lock().output_open = 2;
        let mut threads = vec![
            reader(shared.clone(), Stream::Stdout, stdout_reader, self.echo)?,
            reader(shared.clone(), Stream::Stderr, stderr_reader, self.echo)?,
        ];
        let start = Launch {
            program: self.program,
            args: self.args,
            env: self.env,
            cwd: self.cwd,
            sandbox: self.sandbox,
            count_wakeups: self.count_wakeups,
            stdout: Stdio::from(stdout),
            stderr: Stdio::from(stderr),
        };
        let (sender, accepted) = mpsc::channel();
        let for_server = shared.clone();
        let server = std::thread::Builder::new().name("vsock".to_owned());
        threads.push(server.spawn(move || serve(&for_server, &accepted))?);
        let (tell, told) = mpsc::channel();
        let for_tracer = shared.clone();
        let tracer = std::thread::Builder::new()
            .name("vmx".to_owned())
            .spawn(move || {
                let started = launch(start).and_then(|pid| {
                    for_tracer.processes().push(pid);
                    Ok((pid, Tracer::new(pid, for_tracer.clone(), sender)?))
                });
                match started {
                    Ok((pid, tracer)) => {
                        // Nobody listens any more if the builder's thread is gone; the run goes on.
                        let _unheard = tell.send(Ok(pid));
                        tracer.run();
                    }
                    Err(error) => {
                        for_tracer.end(ExitStatus::Code(127));
                        let _unheard = tell.send(Err(error));
                    }
                }
            })?;
        threads.push(tracer);
        let pid = told
            .recv()
            .map_err(|_| io::Error::other("the tracer died"))??;
        Ok(Vmx {
            shared,
            pid,
            threads,
        })
    }
}

fn reader(
    shared: Arc<Shared>,
    stream: Stream,
    pipe: PipeReader,
    echo: bool,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("{stream:?}"))
        .spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(len) if len > 0) {
                let text = String::from_utf8_lossy(&line);
                let text = text.strip_suffix('\n').unwrap_or(&text).to_owned();
                if echo {
                    eprintln!("{text}");
                }
                shared
                    .lock()
                    .event(Instant::now(), EventKind::Output { stream, line: text });
                shared.changed();
                line.clear();
            }
            shared.lock().output_open -= 1;
            shared.changed();
        })
}

/// A running program and its host. Dropping it kills the program and everything it started.
#[derive(Debug)]
pub struct Vmx {
    shared: Arc<Shared>,
    pid: i32,
    threads: Vec<JoinHandle<()>>,
}

impl Vmx {
    /// A run of `program` (a path; `PATH` is searched for a bare name).
    pub fn builder(program: impl Into<PathBuf>) -> VmxBuilder {
        VmxBuilder {
            config: HostConfig::default(),
            variables: Vec::new(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            sandbox: Sandbox::default(),
            count_wakeups: false,
            echo: false,
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
            host = self
                .shared
                .changed
                .wait_timeout(host, wake.saturating_duration_since(now))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
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

    /// Sends the program a signal. A program that is gone is no error.
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
        self.shared.killing.store(true, Ordering::SeqCst);
        self.shared.wake_server();
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
