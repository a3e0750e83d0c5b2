//! A freezer with its link, and disks to freeze.

use std::path::PathBuf;
use std::time::Duration;

use disks::{Disk, Disks, Kind};
use talos_vmtoolsd::freeze::Command;
use talos_vmtoolsd::freeze::message::{DeviceName, Devices, How, Outcome, Outcomes, Report};
use talos_vmtoolsd::freezer::{Freezer, Link};

/// Within which everything happens that must.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// A limit that no test waits for.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// The program under test.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("TALOS_VMTOOLSD").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_talos-vmtoolsd")),
        PathBuf::from,
    )
}

/// A freezer that is ready.
pub(crate) struct Bench {
    pub(crate) freezer: Freezer,
    pub(crate) link: Link,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let (freezer, link) = Freezer::start_program(&program()).unwrap();
        let mut bench = Self { freezer, link };
        assert_eq!(bench.next().await, Report::Ready(None));
        bench
    }

    /// These are frozen.
    pub(crate) async fn with_frozen(disks: &[&Disk]) -> Self {
        let mut bench = Self::start().await;
        bench.freeze(1, disks, LONG);
        let frozen = bench.next().await;
        let (run, outcomes) = (1, all(&vec![Outcome::Done; disks.len()]));
        assert_eq!(frozen, Report::Frozen { run, outcomes });
        bench
    }

    pub(crate) fn send(&mut self, command: &Command) {
        self.link.send(command);
    }

    pub(crate) fn freeze(&mut self, run: u32, disks: &[&Disk], limit: Duration) {
        let (how, devices) = (How::Freeze, devices(disks));
        self.send(&Command::Freeze {
            run,
            how,
            limit,
            devices,
        });
    }

    pub(crate) async fn next(&mut self) -> Report {
        let report = tokio::time::timeout(SOON, self.link.next()).await;
        report.expect("a report")
    }
}

/// Their names.
pub(crate) fn devices(disks: &[&Disk]) -> Devices {
    let names = disks.iter().map(|disk| {
        assert!(disk.name().starts_with("loop"), "{}", disk.name());
        DeviceName::new(disk.name()).unwrap()
    });
    Devices::new(names).unwrap()
}

pub(crate) fn all(outcomes: &[Outcome]) -> Outcomes {
    Outcomes::new(outcomes.iter().copied()).unwrap()
}

/// Runs a test on each kind of file system that can be made here.
pub(crate) async fn for_each_kind(test: impl AsyncFn(Disks, Kind)) {
    if disks::installed() {
        for kind in disks::kinds() {
            test(Disks::new().unwrap(), kind).await;
        }
    }
}
