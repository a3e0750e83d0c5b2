//! What an optional service costs while nothing happens.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use crate::candidate::Candidate;
use crate::measure::{PATIENCE, idle, settle, wakeups};

/// What its requests to the host begin with.
const REQUESTS: &str = "vm-operation-notification.";

/// One column of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Requests to the host per minute.
    pub(crate) requests: f64,
    /// Processor time per second, milliseconds.
    pub(crate) cpu_ms: f64,
    /// Returns from blocking system calls per second.
    pub(crate) wakeups: f64,
    /// VmRSS, KiB.
    pub(crate) rss_kib: u64,
}

/// Measures notice of migrations, over the backdoor and over vsock.
pub(crate) fn vmotion(binary: &Path) -> Result<Vec<(&'static str, Measured)>, Box<dyn Error>> {
    let measured = |candidate: Candidate| Ok((candidate.name(), measure(&candidate)?));
    Candidate::with_vmotion(binary)
        .into_iter()
        .map(measured)
        .collect()
}

fn measure(candidate: &Candidate) -> Result<Measured, Box<dyn Error>> {
    let quiet = candidate.start(std::convert::identity)?;
    quiet.vmx.wait_green(PATIENCE)?;
    settle(&quiet)?;
    let requests = || {
        let log = quiet.vmx.rpci_log();
        log.iter().filter(|entry| entry.is(REQUESTS)).count()
    };
    let (cpu, before, at) = (quiet.vmx.cpu_time()?, requests(), Instant::now());
    idle(&quiet)?;
    let seconds = at.elapsed().as_secs_f64();
    let cpu = quiet.vmx.cpu_time()?.saturating_sub(cpu);
    let requests = requests() - before;
    let rss_kib = quiet.vmx.rss_kib()?;
    drop(quiet);
    Ok(Measured {
        requests: requests as f64 * 60.0 / seconds,
        cpu_ms: cpu.as_secs_f64() * 1e3 / seconds,
        wakeups: wakeups(candidate)?,
        rss_kib,
    })
}
