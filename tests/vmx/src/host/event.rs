//! The timeline.

use std::fmt;
use std::time::{Duration, Instant};

use super::tclo::ExchangeId;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Since the program's first instruction.
    pub at: Duration,
    /// The same as a point in time.
    pub instant: Instant,
    /// What.
    pub kind: EventKind,
}

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// The guest asks.
    Rpci,
    /// The host asks.
    Tclo,
}

/// Where a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// A message channel of the backdoor, by id.
    Backdoor(u16),
    /// A vsock connection, by running number.
    Vsock(u32),
}

/// Who ended something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The host.
    Host,
    /// The guest.
    Guest,
}

/// Of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The program's first instruction.
    Started,
    /// The program has ended.
    Exited(crate::ExitStatus),
    /// The first GETVERSION.
    VersionAsked,
    /// A channel was opened.
    Opened {
        /// Where.
        link: Link,
        /// For which protocol.
        protocol: Protocol,
    },
    /// An OPEN was refused.
    OpenRefused(Protocol),
    /// A channel is gone.
    Closed {
        /// Where.
        link: Link,
        /// For which protocol.
        protocol: Protocol,
        /// Who did it.
        by: By,
    },
    /// An RPCI command and its reply; the index in the RPCI log and both as printable text.
    Rpci {
        /// Index in [`super::Host::rpci_log`].
        index: usize,
        /// Printable.
        message: String,
        /// Printable.
        reply: String,
    },
    /// The guest has taken a TCLO request.
    Request {
        /// Which.
        id: ExchangeId,
        /// Printable.
        text: String,
    },
    /// The guest has answered a TCLO request.
    Reply {
        /// Which.
        id: ExchangeId,
        /// Printable.
        text: String,
        /// From pick-up to the whole reply.
        latency: Duration,
    },
    /// A request that will never be answered: its channel went away.
    RequestLost(ExchangeId),
    /// The greeting's `reset` was answered: the tools run.
    Greeted(Link),
    /// A fault was played.
    Fault(String),
    /// The guest broke the protocol.
    Violation(String),
    /// `socket(AF_VSOCK)`: allowed, or the errno.
    VsockSocket(Result<(), i32>),
    /// `bind` of a vsock socket to a source port: allowed, or the errno.
    VsockBind(u32, Result<(), i32>),
    /// `connect` to a port from a source port: allowed, or the errno.
    VsockConnect {
        /// Destination CID.
        cid: u32,
        /// 975 TCLO, 976 RPCI.
        port: u32,
        /// Bound before, if it was.
        source: Option<u32>,
        /// Allowed, or the errno.
        outcome: Result<(), i32>,
    },
    /// vSphere HA would have reset the machine: a mark was late.
    WouldReset,
    /// A line of output.
    Output {
        /// Where.
        stream: Stream,
        /// Without its line end.
        line: String,
    },
    /// A system call that concerns the machine: iopl, ioperm, reboot, clock_settime …
    MachineCall(String),
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backdoor(id) => write!(f, "ch{id}"),
            Self::Vsock(id) => write!(f, "vsock{id}"),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rpci => "RPCI",
            Self::Tclo => "TCLO",
        })
    }
}

fn outcome(outcome: Result<(), i32>) -> String {
    match outcome {
        Ok(()) => "ok".to_owned(),
        Err(errno) => nix::errno::Errno::from_raw(errno).to_string(),
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => write!(f, "start"),
            Self::Exited(status) => write!(f, "exit     {status}"),
            Self::VersionAsked => write!(f, "probe    GETVERSION"),
            Self::Opened { link, protocol } => write!(f, "open     {protocol} {link}"),
            Self::OpenRefused(protocol) => write!(f, "open     {protocol} refused"),
            Self::Closed { link, protocol, by } => {
                write!(f, "close    {protocol} {link} by the {by:?}")
            }
            Self::Rpci { message, reply, .. } => write!(f, "rpci  →  {message}  ⇒ {reply}"),
            Self::Request { text, .. } => write!(f, "tclo  ←  {text}"),
            Self::Reply { text, latency, .. } => {
                write!(
                    f,
                    "tclo  →  {text}  ({:.0} µs)",
                    latency.as_secs_f64() * 1e6
                )
            }
            Self::RequestLost(_) => write!(f, "tclo     request lost with its channel"),
            Self::Greeted(link) => write!(f, "tools    running on {link}"),
            Self::Fault(text) => write!(f, "fault    {text}"),
            Self::Violation(text) => write!(f, "BREACH   {text}"),
            Self::VsockSocket(result) => write!(f, "vsock    socket: {}", outcome(*result)),
            Self::VsockBind(port, result) => {
                write!(f, "vsock    bind {port}: {}", outcome(*result))
            }
            Self::VsockConnect {
                cid,
                port,
                source,
                outcome: result,
            } => {
                write!(f, "vsock    connect {cid}:{port}")?;
                if let Some(source) = source {
                    write!(f, " from {source}")?;
                }
                write!(f, ": {}", outcome(*result))
            }
            Self::WouldReset => write!(f, "HA       would reset the machine"),
            Self::Output {
                stream: Stream::Stdout,
                line,
            } => write!(f, "stdout   {line}"),
            Self::Output {
                stream: Stream::Stderr,
                line,
            } => write!(f, "stderr   {line}"),
            Self::MachineCall(text) => write!(f, "machine  {text}"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3}  {}", self.at.as_secs_f64(), self.kind)
    }
}
