//! The host: everything a VMX knows of one guest, driven by what the guest does.
//!
//! `channel` turns register calls into messages, `tclo` keeps the requests to the guest, `rpci` answers
//! the guest's, `fault` spoils any of it on demand, `vcenter` says what an administrator would see.
//! Nothing in here waits, sleeps or reads a clock: the time comes in with every call.

mod app_monitor;
mod backup;
mod channel;
mod clock;
mod event;
mod fault;
mod high_bandwidth;
mod panel;
mod port;
mod rpci;
mod session;
mod tclo;
#[cfg(test)]
mod tests;
mod vcenter;
mod vm_operations;
mod vsock;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use app_monitor::AppStatus;
pub use backup::BackupEvent;
pub use clock::Clock;
pub use event::{By, Event, EventKind, Link, Protocol, Stream};
pub use fault::{FaultKind, Step, Times};
pub use port::{Direction, GuestMemory, Registers, Verdict};
pub use rpci::RpciEntry;
pub use tclo::{Exchange, ExchangeId, Origin};
pub use vcenter::{Heartbeat, PowerStatus, ToolsRunning, Vcenter};
pub use vm_operations::{App, Operation, VmOperations};
pub(crate) use vsock::CONNECT_TIMEOUT;
pub use vsock::{GUEST_CID, HOST_CID, PortPolicy, RPCI_PORT, Reaction, TCLO_PORT, VsockPolicy};

use crate::profile::{Form, Profile};

/// What kind of host it is; set before the start, changeable at any time.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// The machine.
    pub profile: Profile,
    /// Whether the host offers high bandwidth.
    pub high_bandwidth: bool,
    /// Whether OPEN with GUESTMSG_FLAG_COOKIE is known (old hosts refuse it).
    pub cookies: bool,
    /// Whether registers without a meaning in a reply come back as junk.
    pub scramble: bool,
    /// Whether a new TCLO channel is greeted with `reset`, `Capabilities_Register` and the options.
    pub greeting: bool,
    /// The `Set_Option`s of the greeting, `key value`.
    pub options: Vec<String>,
    /// Whether the greeting ends in `OS_PowerOn`.
    pub power_on: bool,
    /// How often the host pings.
    pub ping_every: Option<Duration>,
    /// A TCLO reply that takes longer is a violation.
    pub reply_deadline: Duration,
    /// The same for guest operations, which may have to wait for others; a longer [`Self::reply_deadline`] counts.
    pub vix_reply_deadline: Duration,
    /// Longest message from the guest. The host's 64 KiB include a part of its own, which nobody has measured.
    pub longest_message: usize,
    /// Whether the host knows application monitoring (vSphere HA).
    pub app_monitoring: bool,
    /// What the guest may do with vsock. Default: no socket, EPERM.
    pub vsock: VsockPolicy,
}

impl Default for HostConfig {
    fn default() -> Self {
        let options = [
            "toolScripts.afterPowerOn 1",
            "toolScripts.beforePowerOff 1",
            "synctime 0",
            "time.synchronize.tools.startup 1",
            "guestLogLevel 0",
            "broadcastIP 1",
        ];
        Self {
            profile: Profile::Vmware,
            high_bandwidth: true,
            cookies: true,
            scramble: true,
            greeting: true,
            options: options.map(str::to_owned).to_vec(),
            power_on: false,
            ping_every: None,
            reply_deadline: Duration::from_secs(2),
            vix_reply_deadline: Duration::from_secs(4),
            longest_message: 63 * 1024,
            app_monitoring: true,
            vsock: VsockPolicy::refused(libc::EPERM),
        }
    }
}

/// Counters of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Low-bandwidth backdoor calls, whatever carried them.
    pub low_bandwidth: u64,
    /// High-bandwidth calls to the host.
    pub high_bandwidth_out: u64,
    /// High-bandwidth calls from the host.
    pub high_bandwidth_in: u64,
    /// Those of the three above that came by VMCALL or VMMCALL.
    pub hypercalls: u64,
    /// CPUID executions.
    pub cpuid: u64,
    /// Backdoor accesses that were answered with a fault.
    pub faulted: u64,
    /// TCLO polls (backdoor) and PINGs (vsock).
    pub liveness: u64,
    /// Stops of any thread for any reason.
    pub ptrace_stops: u64,
    /// Blocking system calls entered (only counted on demand, see `VmxBuilder::count_wakeups`).
    pub wakeups: u64,
    /// Calls of iopl and ioperm (they succeed without effect).
    pub io_privilege_calls: u64,
    /// Calls of reboot, clock_settime and the like (they are refused).
    pub machine_calls: u64,
    /// Readings of the wall clock (only counted on demand, see `VmxBuilder::move_clocks`).
    pub wall_clock_reads: u64,
}

impl Stats {
    /// All backdoor calls.
    pub fn backdoor_exits(&self) -> u64 {
        self.low_bandwidth + self.high_bandwidth_out + self.high_bandwidth_in
    }
}

/// The host's memory of one guest.
#[derive(Debug)]
pub struct Host {
    /// May be changed at any time.
    pub config: HostConfig,
    /// Counters.
    pub stats: Stats,
    /// Addresses of the functions that were called, in this order (`VmxBuilder::see_functions`).
    pub(crate) called: Vec<u64>,
    pub(crate) started: Instant,
    /// The wall clock at the creation of the host.
    epoch: (Instant, Duration),
    clocks: clock::Clocks,
    pub(crate) exit: Option<crate::ExitStatus>,
    pub(crate) output_open: usize,
    events: Vec<Event>,
    violations: Vec<String>,
    interactions: u64,
    /// /proc/PID/status of the thread that made the first access.
    first_access: Option<String>,
    junk: u32,
    channels: BTreeMap<u16, channel::Channel>,
    next_channel: u16,
    closed_by_host: Vec<u16>,
    faults: fault::Faults,
    backup: backup::Backup,
    vm_operations: VmOperations,
    app_monitor: app_monitor::AppMonitor,
    rpci_log: Vec<RpciEntry>,
    guest: vcenter::Guest,
    sessions: Vec<tclo::Session>,
    session_book: session::Session,
    exchanges: Vec<Exchange>,
    script: VecDeque<ExchangeId>,
    last_alive: Option<Instant>,
    longest_silence: Duration,
    announced_version: bool,
    vsock: BTreeMap<u32, vsock::Connection>,
    next_vsock: u32,
    next_vsock_port: u32,
    vsock_closing: Vec<u32>,
    vsock_raw: Vec<(u32, Vec<u8>)>,
}

impl Host {
    /// A host without a guest; `wall_clock` is the time since 1970 at `now`.
    pub fn new(config: HostConfig, now: Instant, wall_clock: Duration) -> Self {
        Self {
            config,
            stats: Stats::default(),
            called: Vec::new(),
            started: now,
            epoch: (now, wall_clock),
            clocks: clock::Clocks::default(),
            exit: None,
            output_open: 0,
            events: Vec::new(),
            violations: Vec::new(),
            interactions: 0,
            first_access: None,
            junk: 0x9e37_79b9,
            channels: BTreeMap::new(),
            next_channel: 0,
            closed_by_host: Vec::new(),
            faults: fault::Faults::default(),
            backup: backup::Backup::default(),
            vm_operations: VmOperations::default(),
            app_monitor: app_monitor::AppMonitor::default(),
            rpci_log: Vec::new(),
            guest: vcenter::Guest::default(),
            sessions: Vec::new(),
            session_book: session::Session::default(),
            exchanges: Vec::new(),
            script: VecDeque::new(),
            last_alive: None,
            longest_silence: Duration::ZERO,
            announced_version: false,
            vsock: BTreeMap::new(),
            next_vsock: 0,
            next_vsock_port: 1023,
            vsock_closing: Vec::new(),
            vsock_raw: Vec::new(),
        }
    }

    /// The program's first instruction.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Everything that happened, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every breach of the protocol, in order.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Every RPCI command and its reply, in order.
    pub fn rpci_log(&self) -> &[RpciEntry] {
        &self.rpci_log
    }

    /// Every TCLO request, in order of queueing.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// How many backdoor calls the guest has made (the `k` of [`Host::fault_at`]).
    pub fn interactions(&self) -> u64 {
        self.interactions
    }

    /// What the kernel says of the thread that made the first backdoor access, at that moment: its
    /// /proc/PID/status. Nothing of the host's has reached the guest by then.
    pub fn status_at_first_access(&self) -> Option<&str> {
        self.first_access.as_deref()
    }

    /// How the program ended, once it has.
    pub fn exit_status(&self) -> Option<crate::ExitStatus> {
        self.exit
    }

    /// Lines written to `stream` so far.
    pub fn output(&self, stream: Stream) -> Vec<String> {
        let lines = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Output { stream: of, line } if *of == stream => Some(line.clone()),
            _ => None,
        });
        lines.collect()
    }

    /// How many channels of the backdoor the guest has open for a protocol.
    pub fn open_channels(&self, protocol: Protocol) -> usize {
        self.channels
            .values()
            .filter(|channel| channel.protocol() == protocol)
            .count()
    }

    /// A thread is about to make its access; what the kernel says of it is kept the first time.
    pub(crate) fn accessed(&mut self, status: impl FnOnce() -> Option<String>) {
        if self.first_access.is_none() {
            self.first_access = status();
        }
    }

    pub(crate) fn event(&mut self, now: Instant, kind: EventKind) {
        let at = now.saturating_duration_since(self.started);
        self.events.push(Event {
            at,
            instant: now,
            kind,
        });
    }

    pub(crate) fn violation(&mut self, now: Instant, text: impl Into<String>) {
        let text = text.into();
        self.event(now, EventKind::Violation(text.clone()));
        self.violations.push(text);
    }

    fn wall_clock(&self, now: Instant) -> Duration {
        self.epoch.1 + now.saturating_duration_since(self.epoch.0)
    }

    /// The next junk value (a xorshift; the same in every run).
    fn junk(&mut self) -> u32 {
        self.junk ^= self.junk << 13;
        self.junk ^= self.junk >> 17;
        self.junk ^= self.junk << 5;
        self.junk
    }

    fn count(&mut self, form: Form) {
        self.interactions += 1;
        if form != Form::Port {
            self.stats.hypercalls += 1;
        }
    }
}
