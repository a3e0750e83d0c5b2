//! Guest operations: what an authenticated user of the host may ask this node, whatever the hypervisor's protocol.
//!
//! ```text
//! request ─► Logins: who is it? ─► Caller ─► Programs   functions of the agent, with output and exit code
//!                                       ├──► Files      a tree of virtual files, and files of the node
//!                                       └──► processes, environment
//!                                                 │ Inquiries ── Step ──► Talos
//!                                                 └────────────◄── Answer ──┘
//! ```
//! Sans-IO. An operation that needs more than is known returns [`Poll::Pending`]: its caller calls it again after
//! every [`GuestOperations::handle_answer`] and [`Logins::handle_checked`], and gives up after a time of its
//! own. Asking again neither repeats what was done nor asks Talos twice.
//!
//! Nothing is executed, and nothing of the node is written. Programs are functions, files are what Talos' API says.

mod caller;
mod check;
mod environment;
mod failure;
pub mod files;
mod inquiries;
pub mod logins;
pub mod programs;
mod temporaries;

use std::task::Poll;
use std::time::Duration;

use crate::config::GuestOperationsConfig;
use crate::diagnosis::Check;
use crate::facts::Facts;
use crate::inquiry::{Answer, InquiryId, Step};

pub use caller::{Caller, Right};
pub use check::check;
pub use failure::Failure;
pub use files::Files;
use inquiries::Inquiries;
use logins::Logins;
use programs::{Programs, ShownProcess};
use temporaries::Temporaries;

/// Reads the time since 1970.
pub type WallClock = fn() -> Duration;

/// See the module.
#[derive(Debug)]
pub struct GuestOperations {
    logins: Logins,
    rooms: Rooms,
    programs: Programs,
    files: Files,
    is_enabled: bool,
    check: Check,
}

/// What programs and files have in common.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) inquiries: Inquiries,
    pub(crate) temporaries: Temporaries,
    pub(crate) clock: WallClock,
}

impl Rooms {
    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        i64::try_from((self.clock)().as_secs()).unwrap_or(i64::MAX)
    }
}

impl GuestOperations {
    /// Switched off.
    pub fn new(clock: WallClock) -> Self {
        Self {
            logins: Logins::new(clock),
            rooms: Rooms {
                inquiries: Inquiries::default(),
                temporaries: Temporaries::default(),
                clock,
            },
            programs: Programs::default(),
            files: Files::default(),
            is_enabled: false,
            check: check(&GuestOperationsConfig::default()),
        }
    }

    /// Applies the settings. Users that were removed, or have another password, are refused from here on; what
    /// a user has lost the right to ends.
    pub fn configure(&mut self, config: &GuestOperationsConfig) {
        self.is_enabled = config.enabled;
        self.check = check(config);
        self.logins.configure(config);
        self.files.configure(config, &mut self.rooms);
        self.programs.configure(config);
    }

    /// Whether there are guest operations.
    pub const fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Whether they are on, and for how many.
    pub fn check(&self) -> Check {
        self.check.clone()
    }

    /// Who it is.
    pub const fn logins(&mut self) -> &mut Logins {
        &mut self.logins
    }

    /// An answer to an inquiry.
    pub fn handle_answer(&mut self, id: InquiryId, answer: Answer, now: Duration) {
        self.rooms.inquiries.handle_answer(id, answer);
        self.advance(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let due = [
            self.files.poll_timeout(),
            self.programs.poll_timeout(),
            self.rooms.temporaries.poll_timeout(),
        ];
        due.into_iter().flatten().min()
    }

    /// The next thing to ask; called until `None`.
    pub fn poll_step(&mut self) -> Option<(InquiryId, Step)> {
        self.rooms.inquiries.poll_step()
    }

    fn advance(&mut self, now: Duration) {
        self.rooms.temporaries.expire(now);
        self.files.advance(&mut self.rooms, now);
        self.programs.advance(&mut self.files, &mut self.rooms, now);
    }

    /// The processes with these numbers that this caller sees, all of them without numbers: the programs started
    /// here first, then those of the node. Talos is asked for the node's alone.
    ///
    /// # Errors
    /// When Talos cannot say.
    pub fn processes(
        &mut self,
        caller: &Caller,
        pids: &[u64],
        now: Duration,
    ) -> Poll<Result<Vec<ShownProcess>, Failure>> {
        self.programs.list(caller, pids, &mut self.rooms, now)
    }

    /// The environment: names and values.
    ///
    /// # Errors
    /// When this caller may not read it.
    pub fn environment(
        &self,
        caller: &Caller,
        facts: &Facts,
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        caller.may(Right::Environment)?;
        Ok(environment::environment(facts))
    }

    /// Starts a program and gives its number.
    ///
    /// # Errors
    /// When there is no such program, or no room for one.
    pub fn start(
        &mut self,
        caller: &Caller,
        program: &programs::Start<'_>,
        now: Duration,
    ) -> Result<u64, Failure> {
        self.programs
            .start(caller, program, &mut self.files, &mut self.rooms, now)
    }

    /// Ends a program.
    ///
    /// # Errors
    /// When it is none of this caller's.
    pub fn terminate(&mut self, caller: &Caller, pid: u64, now: Duration) -> Result<(), Failure> {
        self.programs.terminate(caller, pid, &mut self.rooms, now)
    }

    /// The files, with what they need.
    pub(crate) fn files(&mut self) -> files::Access<'_> {
        files::Access {
            files: &mut self.files,
            programs: &mut self.programs,
            rooms: &mut self.rooms,
        }
    }
}
