//! What the process holds at one moment, as the kernel tells it.

use std::time::Duration;

use vmx::Vmx;

use crate::Outcome;

/// One look at the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Since the start of the run.
    pub(crate) at: Duration,
    /// VmRSS.
    pub(crate) rss_kib: u64,
    /// RssAnon: what was allocated, without the pages of the program itself.
    pub(crate) anon_kib: u64,
    /// Open file descriptors.
    pub(crate) fds: u64,
    /// Threads.
    pub(crate) threads: u64,
}

/// Looks at a process that runs.
pub(crate) fn look(vmx: &Vmx, at: Duration) -> Outcome<Sample> {
    let process = format!("/proc/{}", vmx.pid());
    let rss = vmx.rss()?;
    Ok(Sample {
        at,
        rss_kib: rss.total_kib,
        anon_kib: rss.anon_kib,
        fds: std::fs::read_dir(format!("{process}/fd"))?.count() as u64,
        threads: std::fs::read_dir(format!("{process}/task"))?.count() as u64,
    })
}

/// Seconds since boot, suspend included: what the daemon has to report.
pub(crate) fn uptime() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().ok_or("/proc/uptime is empty")?;
    Ok(seconds.parse()?)
}
