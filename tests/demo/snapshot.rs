//! A quiesced snapshot: what a backup product has vCenter take.

use std::path::Path;
use std::time::{Duration, Instant};

use apid::Apid;
use disks::{Disk, Disks};
use vmx::{RpciEntry, Stream, VsockPolicy};

use super::{DEADLINE, Folder, Node, Outcome, Show};

/// How long the host takes.
const LENGTH: Duration = Duration::from_secs(1);

/// The chapter.
pub(super) fn snapshot(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    if !disks::installed() {
        return synced(show, binary, folder);
    }
    let node = Disks::new()?;
    let mut disks = Vec::new();
    for (kind, at) in disks::kinds()
        .into_iter()
        .rev()
        .zip(["/var", "/var/mnt/data"])
    {
        disks.push((at, node.make(kind, at.trim_start_matches('/'))?));
    }
    show.chapter("A quiesced snapshot, quiesce.mode freeze: real file systems, a writer on each");
    let settings = "quiesce: {mode: freeze}\n";
    let node = Node::start(
        show,
        binary,
        folder,
        VsockPolicy::served(),
        settings,
        |talos| {
            for (at, disk) in &disks {
                talos.set_volume(disk.name(), disk.device(), disk.device(), at);
            }
        },
    )?;
    node.is_ready_for_a_snapshot()?;
    let started = Instant::now();
    let commit = node.commits("file systems are frozen: the host takes the snapshot")?;
    // An end of the program is seen at the next step.
    let _over = node.vmx.wait_for("the snapshot", LENGTH, |_, _| None::<()>);
    node.is_done(started)?;
    for (at, disk) in &disks {
        stood(show, at, disk, commit)?;
    }
    for line in node.vmx.output(Stream::Stderr) {
        if line.contains("frozen") || line.contains("thawed") {
            show.seen(&format!("log: {line}"), None);
        }
    }
    node.stop()
}

/// Where no file systems can be made: what was written is synced, if the agent has the right to.
fn synced(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    show.chapter(
        "A snapshot with quiesce.mode sync: without root and loop devices nothing is frozen",
    );
    let settings = "quiesce: {mode: sync}\n";
    let storage = Apid::set_esxi_storage;
    let node = Node::start(
        show,
        binary,
        folder,
        VsockPolicy::served(),
        settings,
        storage,
    )?;
    let started = node.vmx.host(|host, _| host.started());
    node.sees("its disks", started, |view| !view.disks.is_empty())?;
    match node.commits("what was written is on the disks: the host takes the snapshot") {
        Ok(commit) => node.is_done(commit)?,
        Err(refusal) => show.seen(&refusal.to_string(), None),
    }
    node.stop()
}

fn stood(show: &Show, at: &str, disk: &Disk, since: Instant) -> Outcome {
    if !disk.wait_moves(DEADLINE) {
        return Err(format!("{at} stays frozen").into());
    }
    let stood = disk.longest_stand(since).lasted();
    let kind = disk.kind().name();
    show.seen(
        &format!("the writer on {at} ({kind}) stood {} ms", stood.as_millis()),
        None,
    );
    Ok(())
}

impl Node<'_> {
    fn is_ready_for_a_snapshot(&self) -> Outcome {
        let started = self.vmx.host(|host, _| host.started());
        self.sees("guestinfo.vmtools.talos.quiesce = ready", started, |v| {
            let shown = v.variables.get("vmtools.talos.quiesce");
            shown.is_some_and(|shown| shown.starts_with("ready"))
        })
    }

    /// vCenter asks; gives the time at which the host goes on.
    fn commits(&self, what: &str) -> Outcome<Instant> {
        self.show
            .step("vCenter: take a quiesced snapshot (vmbackup.start)");
        let started = Instant::now();
        self.accepts("vmbackup.start 1 ")?;
        let commit = self.event("prov.snapshotCommit", started)?;
        self.show
            .seen(&format!("host: {what}"), Some(commit - started));
        Ok(commit)
    }

    fn is_done(&self, since: Instant) -> Outcome {
        self.show
            .step("host: the snapshot is taken (vmbackup.snapshotDone)");
        let taken = Instant::now();
        self.accepts("vmbackup.snapshotDone")?;
        let done = self.event("req.done", since)?;
        self.show.seen("host: req.done", Some(done - taken));
        Ok(())
    }

    fn accepts(&self, request: &str) -> Outcome {
        let exchange = self.vmx.request(request, DEADLINE)?;
        match exchange.reply_text().as_deref() {
            Some("OK ") => Ok(()),
            other => Err(format!("{request} was answered {other:?}").into()),
        }
    }

    fn event(&self, name: &str, since: Instant) -> Outcome<Instant> {
        let prefix = format!("vmbackup.eventSet {name} ");
        let is_it = |entry: &&RpciEntry| entry.is(&prefix) && entry.instant >= since;
        Ok(self.vmx.wait_for(&prefix, DEADLINE, |host, _| {
            Some(host.rpci_log().iter().find(is_it)?.instant)
        })?)
    }
}
