//! What the host may ask and what it is told: one file per service, joined in [`Services`].
//!
//! Sans-IO. Requests, replies, facts and the passing of time go in; [`Output`]s come out. `now` is always
//! the time since boot (CLOCK_BOOTTIME), which serves both as clock and as the uptime that is reported.

use std::time::Duration;

use crate::facts::Facts;

/// Ties an RPCI command to its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RpciId(pub u64);

/// What the daemon shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this RPCI command (exact bytes) after all earlier ones and hand its outcome back.
    Rpci {
        /// To be given to [`Services::handle_rpci`].
        id: RpciId,
        /// The bytes of the message, NUL or not as the command wants it.
        message: Vec<u8>,
    },
    /// Answer the TCLO request that was handed in last (exact bytes, no NUL added).
    Reply(Vec<u8>),
    /// Ask Talos for a power operation and hand the outcome to [`Services::handle_power`].
    Power(PowerOperation),
}

/// What became of an RPCI command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpciOutcome {
    /// The host answered `1 …`; the text after the status.
    Accepted(Vec<u8>),
    /// The host answered `0 …`; the text after the status.
    Refused(Vec<u8>),
    /// No answer: the channel is broken and could not be mended at once.
    Failed,
}

/// A power operation that reaches Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PowerOperation {
    /// OS_Halt → MachineService.Shutdown.
    Shutdown,
    /// OS_Reboot → MachineService.Reboot.
    Reboot,
}

/// What became of a power operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PowerOutcome {
    /// Talos accepted the call.
    Accepted,
    /// Talos did not accept the call within the deadline; why, in one phrase.
    Rejected(String),
    /// Talos had accepted but then showed that nothing will happen; why, in one phrase.
    DidNotHappen(String),
}

/// What the daemon knows of the machine before Talos says anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Kernel release as uname prints it, such as `6.18.1-talos`.
    pub kernel_release: String,
    /// Kernel machine name as uname prints it, `x86_64` or `aarch64`.
    pub machine: String,
}

/// All services behind one TCLO channel.
#[derive(Debug)]
pub struct Services {}

impl Services {
    /// Services of a fresh process.
    pub fn new(_machine: Machine) -> Self {
        todo!()
    }

    /// The channels to the host are (again) open.
    pub fn handle_connected(&mut self, _now: Duration) {
        todo!()
    }

    /// One TCLO request, as received. Exactly one [`Output::Reply`] follows, maybe after RPCI outcomes.
    pub fn handle_request(&mut self, _request: &[u8], _now: Duration) {
        todo!()
    }

    /// The outcome of an [`Output::Rpci`].
    pub fn handle_rpci(&mut self, _id: RpciId, _outcome: RpciOutcome, _now: Duration) {
        todo!()
    }

    /// The facts have changed.
    pub fn handle_facts(&mut self, _facts: &Facts, _now: Duration) {
        todo!()
    }

    /// The outcome of an [`Output::Power`].
    pub fn handle_power(
        &mut self,
        _operation: PowerOperation,
        _outcome: PowerOutcome,
        _now: Duration,
    ) {
        todo!()
    }

    /// The time of [`Services::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Duration) {
        todo!()
    }

    /// The next thing to do; call until `None` after every `handle_*`.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// When [`Services::handle_timeout`] wants to be called, as time since boot.
    pub fn poll_timeout(&self) -> Option<Duration> {
        todo!()
    }
}
