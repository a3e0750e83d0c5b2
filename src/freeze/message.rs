//! What goes between the agent and the freezer, over a socket pair that keeps messages apart.
//!
//! All messages are of a fixed size and without an allocation: the freezer must do without while file systems are
//! frozen. A message that is cut, or has values of no meaning, decodes to nothing.

use std::time::Duration;

/// File systems in one command at most.
pub const MOST_DEVICES: usize = 32;

/// Bytes of a device's name at most (DISK_NAME_LEN of the kernel, its NUL left out).
pub const LONGEST_NAME: usize = 31;

/// Name of a block device, as in /sys/class/block: `sda6`, `dm-1`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DeviceName {
    bytes: [u8; LONGEST_NAME],
    length: u8,
}

impl DeviceName {
    /// `None` for what can be no name of a device there: empty, too long, with a slash or a NUL, `.` and `..`.
    pub fn new(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        let is_name =
            !matches!(name, "" | "." | "..") && !bytes.iter().any(|byte| matches!(byte, b'/' | 0));
        let mut kept = [0; LONGEST_NAME];
        kept.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let length = u8::try_from(bytes.len()).ok()?;
        is_name.then_some(Self {
            bytes: kept,
            length,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let bytes = self
            .bytes
            .get(..usize::from(self.length))
            .unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl std::fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Names of devices, at most [`MOST_DEVICES`], in the order in which they are to be frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    names: [Option<DeviceName>; MOST_DEVICES],
}

impl Devices {
    /// `None` when there are too many.
    pub fn new(names: impl IntoIterator<Item = DeviceName>) -> Option<Self> {
        let mut all = [None; MOST_DEVICES];
        let mut places = all.iter_mut();
        for name in names {
            *places.next()? = Some(name);
        }
        Some(Self { names: all })
    }

    /// The names, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &DeviceName> {
        self.names.iter().flatten()
    }
}

/// What is done to each file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// syncfs.
    Sync,
    /// FIFREEZE.
    Freeze,
}

/// What the agent asks of the freezer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a message of a fixed size")]
pub enum Command {
    /// Freeze these, all or none; [`Report::Frozen`], [`Report::Synced`] or [`Report::Failed`] follows.
    Freeze {
        /// Names this run in its reports.
        run: u32,
        /// What is done to each.
        how: How,
        /// How long they stay frozen at most, counted from the first FIFREEZE.
        limit: Duration,
        /// Which.
        devices: Devices,
    },
    /// Thaw what is frozen; [`Report::Thawed`] follows if anything was.
    Thaw,
    /// Thaw what a predecessor may have left frozen; [`Report::Rescued`] follows.
    Rescue(Devices),
    /// Open them and let go of them, to see whether a freeze would work; [`Report::Probed`] follows.
    Probe(Devices),
}

/// What became of one file system, in the order of the command's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: frozen, synced, opened; of a rescue: thawed.
    Done,
    /// Left alone: frozen already by another; of a rescue: was not frozen.
    Left,
    /// Left alone: not mounted any more, or a file system that cannot be frozen (EOPNOTSUPP), or mounted read-only.
    Skipped,
    /// It could not be done; the errno.
    Failed(i32),
}

/// The outcomes of all devices of a command, in its order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    outcomes: [Option<Outcome>; MOST_DEVICES],
}

impl Outcomes {
    /// `None` when there are too many.
    pub fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Option<Self> {
        let mut all = [None; MOST_DEVICES];
        let mut places = all.iter_mut();
        for outcome in outcomes {
            *places.next()? = Some(outcome);
        }
        Some(Self { outcomes: all })
    }

    /// The outcomes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().flatten()
    }

    /// How many are [`Outcome::Done`].
    pub fn done(&self) -> usize {
        self.iter()
            .filter(|outcome| **outcome == Outcome::Done)
            .count()
    }
}

/// Why the freezer has thawed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// [`Command::Thaw`].
    Asked,
    /// The limit of the run was reached.
    Limit,
    /// SIGTERM.
    Terminated,
}

/// What the freezer reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "a message of a fixed size")]
pub enum Report {
    /// It is there, and has given up all rights but those it needs. The errno is why it could freeze nothing: it lacks
    /// CAP_SYS_ADMIN (EPERM).
    Ready(Option<i32>),
    /// The file systems of this run are frozen.
    Frozen {
        /// The run.
        run: u32,
        /// Of each device.
        outcomes: Outcomes,
    },
    /// What was written to the file systems of this run is on the disks.
    Synced {
        /// The run.
        run: u32,
        /// Of each device.
        outcomes: Outcomes,
    },
    /// Nothing is frozen: what had been is thawed again. At least one outcome is [`Outcome::Failed`], or the limit was
    /// reached before all were frozen.
    Failed {
        /// The run.
        run: u32,
        /// Of each device that was tried.
        outcomes: Outcomes,
    },
    /// All that was frozen is thawed.
    Thawed {
        /// The run.
        run: u32,
        /// Why.
        cause: Cause,
        /// From the first FIFREEZE to the last FITHAW.
        lasted: Duration,
    },
    /// Of a [`Command::Rescue`].
    Rescued(Outcomes),
    /// Of a [`Command::Probe`].
    Probed(Outcomes),
    /// The freezer has ended, or could not be started; the last report.
    Gone,
}

impl Report {
    /// Whether nothing of a run is frozen after this.
    pub const fn ends_run(&self) -> bool {
        matches!(
            self,
            Self::Synced { .. } | Self::Failed { .. } | Self::Thawed { .. } | Self::Gone
        )
    }
}

/// Bytes of the longest message, which is [`Command::Freeze`]: its kind, run, how, limit and devices.
pub const LONGEST_MESSAGE: usize = 1 + 4 + 1 + 12 + MOST_DEVICES * (1 + LONGEST_NAME);
