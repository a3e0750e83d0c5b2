//! A node with two volumes, one in the other, and the host's view of a snapshot.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use disks::{Disk, Disks, Kind};
use vmx::VmxBuilder;

use crate::support::{Run, SOON, Talos};

/// From the start of a snapshot to the host's turn.
const COMMIT: Duration = Duration::from_secs(2);

/// The node.
#[derive(Debug)]
pub(crate) struct Node {
    /// `u-data` at /var/mnt/data.
    pub(crate) data: Disk,
    /// EPHEMERAL at /var.
    pub(crate) var: Disk,
    _disks: Disks,
    pub(crate) talos: Talos,
}

impl Node {
    /// XFS for EPHEMERAL, as Talos has it, and ext4 for the other. None where file systems cannot be made.
    pub(crate) fn new() -> Option<Self> {
        Self::with(*disks::installed().then(disks::kinds)?.last()?, Kind::Ext4)
    }

    /// One with these.
    pub(crate) fn with(var: Kind, data: Kind) -> Option<Self> {
        if !disks::installed() {
            return None;
        }
        let disks = Disks::new().unwrap();
        let var = disks.make(var, "var").unwrap();
        let data = disks.make(data, "var/mnt/data").unwrap();
        let talos = Talos::new();
        for (id, disk, target) in [
            ("EPHEMERAL", &var, "/var"),
            ("u-data", &data, "/var/mnt/data"),
        ] {
            talos.set_volume(id, disk.device(), disk.device(), target);
        }
        assert!(var.wait_moves(SOON) && data.wait_moves(SOON));
        Some(Self {
            data,
            var,
            _disks: disks,
            talos,
        })
    }

    /// Both volumes.
    pub(crate) fn disks(&self) -> [&Disk; 2] {
        [&self.var, &self.data]
    }

    /// A configuration with mode freeze and these lines of the group more.
    pub(crate) fn config(&self, lines: &[&str]) -> PathBuf {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        let text = format!("quiesce:\n  mode: freeze\n{lines}");
        self.talos.folder.write("config.yaml", &text)
    }

    /// Its agent.
    pub(crate) fn agent(&self, lines: &[&str]) -> VmxBuilder {
        let file = self.config(lines);
        self.talos.agent().args(["--config"]).args([file])
    }

    /// Its agent, started and ready for a snapshot.
    pub(crate) fn run(&self, lines: &[&str]) -> Run {
        let run = Run::start(self.agent(lines));
        is_ready(&run);
        run
    }

    /// Waits until both can be written to.
    pub(crate) fn moves(&self, within: Duration) {
        for disk in self.disks() {
            assert!(disk.wait_moves(within), "{} stands", disk.device());
        }
    }

    /// Waits until both stand.
    pub(crate) fn stands(&self) {
        for disk in self.disks() {
            assert!(disk.wait_stands(SOON).is_some(), "{}", disk.device());
        }
    }
}

/// Waits until the agent would freeze.
pub(crate) fn is_ready(run: &Run) {
    run.informed();
    run.sees("that it is ready for a snapshot", SOON, |view| {
        let shown = view.variables.get("vmtools.talos.quiesce");
        shown.is_some_and(|shown| shown.starts_with("ready"))
    });
}

/// An event of a snapshot as the host had it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// `req.done`.
    pub(crate) name: String,
    /// `0`.
    pub(crate) code: String,
    /// When.
    pub(crate) at: Instant,
}

/// Those since.
pub(crate) fn events(run: &Run, since: Instant) -> Vec<Sent> {
    let mut log = run.sent("vmbackup.eventSet ");
    log.retain(|entry| entry.instant >= since);
    let read = |entry: &vmx::RpciEntry| {
        let text = String::from_utf8_lossy(&entry.message).into_owned();
        let mut words = text.trim_end_matches('\0').splitn(4, ' ').skip(1);
        let mut next = || words.next().unwrap_or_default().to_owned();
        Sent {
            name: next(),
            code: next(),
            at: entry.instant,
        }
    };
    log.iter().map(read).collect()
}

/// Waits for one since.
pub(crate) fn until_event(run: &Run, name: &str, since: Instant, within: Duration) -> Sent {
    let prefix = format!("vmbackup.eventSet {name} ");
    run.until(&prefix, within, |host, _| {
        let mut log = host.rpci_log().iter();
        log.any(|entry| entry.is(&prefix) && entry.instant >= since)
            .then_some(())
    });
    let found = events(run, since)
        .into_iter()
        .find(|sent| sent.name == name);
    found.unwrap()
}

/// Starts a snapshot and waits until the host has its turn, which is not long.
pub(crate) fn commits(run: &Run) -> Sent {
    let started = Instant::now();
    assert_eq!(run.reply("vmbackup.start 1 "), "OK ");
    let commit = until_event(run, "prov.snapshotCommit", started, COMMIT);
    assert_eq!(commit.code, "0", "{commit:?}");
    commit
}
