//! What to run and how, and its start.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{FcntlArg, fcntl};

use crate::ExitStatus;
use crate::host::{EventKind, Host, HostConfig, Stream, VsockPolicy};
use crate::profile::Profile;
use crate::run::Vmx;
use crate::serial::SerialPort;
use crate::shared::Shared;
use crate::trace::{How, Launch, Sandbox, Tracer, launch};
use crate::vsock_server::serve;

/// A change of the host that is still to be made.
struct Prepare(Box<dyn FnOnce(&mut Host) + Send>);

impl fmt::Debug for Prepare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepare")
    }
}

/// A tracer that ends, however it does, takes the program with it.
struct EndOfRun<'a>(&'a Shared);

impl Drop for EndOfRun<'_> {
    fn drop(&mut self) {
        self.0.end(ExitStatus::Signal(libc::SIGKILL));
    }
}

/// What to run, and under which host.
#[derive(Debug)]
pub struct VmxBuilder {
    config: HostConfig,
    variables: Vec<(String, Vec<u8>)>,
    prepare: Vec<Prepare>,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    cwd: Option<PathBuf>,
    sandbox: Sandbox,
    how: How,
    echo: bool,
    unread_stderr: bool,
}

impl VmxBuilder {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self {
            config: HostConfig::default(),
            variables: Vec::new(),
            prepare: Vec::new(),
            program,
            args: Vec::new(),
            env: Vec::new(),
            cwd: None,
            sandbox: Sandbox::default(),
            how: How::default(),
            echo: false,
            unread_stderr: false,
        }
    }

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

    /// Changes the host before the program starts (faults, variables).
    pub fn host(mut self, change: impl FnOnce(&mut Host) + Send + 'static) -> Self {
        self.prepare.push(Prepare(Box::new(change)));
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

    /// Counts blocking system calls (see [`crate::Stats::wakeups`]); each costs a stop.
    pub fn count_wakeups(mut self) -> Self {
        self.how.count_wakeups = true;
        self
    }

    /// Sees which of these functions are called (see [`Vmx::called`]), by their addresses in the file.
    pub fn see_functions(mut self, addresses: &[u64]) -> Self {
        self.how.functions = addresses.to_vec();
        self
    }

    /// Makes the program read its clocks by system call, so that [`Host::suspend`] and
    /// [`Host::step_wall_clock`] reach it; each reading of them costs two stops.
    pub fn move_clocks(mut self) -> Self {
        self.how.move_clocks = true;
        self
    }

    /// A virtio-serial port: what the program opens at its path.
    pub fn serial_port(mut self, port: &SerialPort) -> Self {
        self.how.serial = Some(port.clone());
        self
    }

    /// Copies the program's output to standard error as well.
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Gives the program a pipe of one page as standard error, which nobody reads until
    /// [`Vmx::read_stderr`](crate::Vmx::read_stderr).
    pub fn unread_stderr(mut self) -> Self {
        self.unread_stderr = true;
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
        for Prepare(change) in self.prepare {
            change(&mut host);
        }
        let shared = Arc::new(Shared::new(host)?);
        let (stdout_reader, stdout) = io::pipe()?;
        let (stderr_reader, stderr) = io::pipe()?;
        shared.lock().output_open = 2;
        let (read_stderr, when) = mpsc::channel();
        if self.unread_stderr {
            // The kernel makes one page of it, the least there is.
            fcntl(&stderr, FcntlArg::F_SETPIPE_SZ(1))?;
        } else {
            // The reader that waits for it is started below.
            let _unheard = read_stderr.send(());
        }
        let (always, now) = mpsc::channel();
        let _unheard = always.send(());
        let mut threads = vec![
            reader(
                shared.clone(),
                Stream::Stdout,
                stdout_reader,
                self.echo,
                now,
            )?,
            reader(
                shared.clone(),
                Stream::Stderr,
                stderr_reader,
                self.echo,
                when,
            )?,
        ];
        let start = Launch {
            program: self.program,
            args: self.args,
            env: self.env,
            cwd: self.cwd,
            sandbox: self.sandbox,
            how: self.how.clone(),
            stdout: Stdio::from(stdout),
            stderr: Stdio::from(stderr),
        };
        let (sender, accepted) = mpsc::channel();
        let for_server = shared.clone();
        let server = std::thread::Builder::new().name("vsock".to_owned());
        threads.push(server.spawn(move || serve(&for_server, &accepted))?);
        let how = self.how;
        let (tell, told) = mpsc::channel();
        let for_tracer = shared.clone();
        let tracer = std::thread::Builder::new()
            .name("vmx".to_owned())
            .spawn(move || {
                let started = launch(start).and_then(|pid| {
                    for_tracer.processes().push(pid);
                    Ok((pid, Tracer::new(pid, for_tracer.clone(), sender, &how)?))
                });
                match started {
                    Ok((pid, tracer)) => {
                        // Nobody listens any more if the builder's thread is gone; the run goes on.
                        let _unheard = tell.send(Ok(pid));
                        let _end = EndOfRun(&for_tracer);
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
        Ok(Vmx::new(shared, pid, threads, read_stderr))
    }
}

/// Reads from when it is asked to, or from when nobody can ask any more.
fn reader(
    shared: Arc<Shared>,
    stream: Stream,
    pipe: PipeReader,
    echo: bool,
    when: mpsc::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("{stream:?}"))
        .spawn(move || {
            let _asked_or_over = when.recv();
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
