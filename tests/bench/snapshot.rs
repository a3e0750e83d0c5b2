//! Quiesced snapshots: how long writers stand beside the length of the snapshot, and what the freezer costs.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use disks::{Disk, Disks};
use vmx::{RpciEntry, Vmx};

use crate::candidate::Candidate;
use crate::measure::{PATIENCE, pass, settle};

/// How long the host takes for one.
const LENGTH: Duration = Duration::from_secs(3);
/// How many are taken; the worst counts.
const SNAPSHOTS: usize = 3;

/// One column of numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the host's start to the event that makes it take the snapshot.
    pub(crate) to_commit: Duration,
    /// How much longer than the snapshot a writer stood, from that event to snapshotDone.
    pub(crate) more: Duration,
    /// VmRSS of the agent, KiB.
    pub(crate) agent_kib: u64,
    /// VmRSS of the freezer while file systems are frozen, KiB.
    pub(crate) freezer_kib: u64,
}

/// Measures ours; none where no file systems can be made.
pub(crate) fn measure(binary: &Path) -> Result<Option<Measured>, Box<dyn Error>> {
    if !disks::installed() {
        return Ok(None);
    }
    let node = Disks::new()?;
    let mut disks = Vec::new();
    for (kind, at) in disks::kinds().into_iter().zip(["var", "var/mnt/data"]) {
        disks.push(node.make(kind, at)?);
    }
    let running = Candidate::with_snapshots(binary).start(std::convert::identity)?;
    let talos = running.talos.as_ref().ok_or("ours has a Talos")?;
    for (disk, at) in disks.iter().zip(["/var", "/var/mnt/data"]) {
        talos.set_volume(disk.name(), disk.device(), disk.device(), at);
    }
    running.vmx.wait_green(PATIENCE)?;
    settle(&running)?;
    let mut worst = Measured::default();
    for _ in 0..SNAPSHOTS {
        let started = Instant::now();
        asked(&running.vmx, "vmbackup.start 1 ")?;
        let commit = event(&running.vmx, "prov.snapshotCommit", started)?;
        pass(&running, LENGTH)?;
        worst.agent_kib = worst.agent_kib.max(running.vmx.rss_kib()?);
        worst.freezer_kib = worst.freezer_kib.max(freezer_kib(running.vmx.pid())?);
        let taken = Instant::now();
        asked(&running.vmx, "vmbackup.snapshotDone")?;
        event(&running.vmx, "req.done", started)?;
        worst.to_commit = worst.to_commit.max(commit.instant - started);
        for disk in &disks {
            let more = stood(disk, started)?.saturating_sub(taken - commit.instant);
            worst.more = worst.more.max(more);
        }
    }
    Ok(Some(worst))
}

fn asked(vmx: &Vmx, request: &str) -> Result<(), Box<dyn Error>> {
    let exchange = vmx.request(request, PATIENCE)?;
    match exchange.reply_text().as_deref() {
        Some("OK ") => Ok(()),
        other => Err(format!("{request}: {other:?}").into()),
    }
}

fn event(vmx: &Vmx, name: &str, since: Instant) -> Result<RpciEntry, Box<dyn Error>> {
    let prefix = format!("vmbackup.eventSet {name} ");
    let is_it = |entry: &&RpciEntry| entry.is(&prefix) && entry.instant >= since;
    Ok(vmx.wait_for(&prefix, PATIENCE, |host, _| {
        host.rpci_log().iter().find(is_it).cloned()
    })?)
}

fn stood(disk: &Disk, since: Instant) -> Result<Duration, Box<dyn Error>> {
    if !disk.wait_moves(PATIENCE) {
        return Err(format!("{} stays frozen", disk.device()).into());
    }
    Ok(disk.longest_stand(since).lasted())
}

/// Of the agent's one child, which is the freezer.
fn freezer_kib(agent: i32) -> Result<u64, Box<dyn Error>> {
    let parent = format!("PPid:\t{agent}");
    for entry in std::fs::read_dir("/proc")? {
        let status = entry?.path().join("status");
        let status = std::fs::read_to_string(status).unwrap_or_default();
        if status.lines().any(|line| line == parent) {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
            return Ok(kib.ok_or("no VmRSS")?.parse()?);
        }
    }
    Err("no freezer".into())
}
