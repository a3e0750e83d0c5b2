//! A log of 5 MB, as a host fetches it: each packet with its credentials, as fast as the simulated VMX takes it.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use vmx::guest_operations::GuestClient;

use crate::candidate::{Candidate, USER};
use crate::measure::{PATIENCE, pass, settle};

/// Bytes of the log.
const SIZE: usize = 5_000_000;
/// One of its lines, with the line feed: Talos sends a message for each.
const LINE: usize = 10_000;
/// A service that says much.
const SERVICE: &str = "etcd";
/// How long memory that was used for a transfer may take to be free.
const AFTER: Duration = Duration::from_secs(20);

/// One column of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// From the request for the transfer to its last byte, without the first login.
    pub(crate) megabytes_per_second: f64,
    /// Processor time of the agent for a megabyte.
    pub(crate) cpu_ms_per_megabyte: f64,
    /// VmRSS before, KiB.
    pub(crate) before_kib: u64,
    /// VmRSS a while after, KiB.
    pub(crate) after_kib: u64,
}

/// Measures transfers over the backdoor and over vsock.
pub(crate) fn measure(binary: &Path) -> Result<Vec<(&'static str, Measured)>, Box<dyn Error>> {
    let measured = Candidate::with_guest_operations(binary)
        .map(|candidate| Ok((candidate.name(), measure_one(&candidate)?)));
    measured.into_iter().collect()
}

fn measure_one(candidate: &Candidate) -> Result<Measured, Box<dyn Error>> {
    let running = candidate.start(std::convert::identity)?;
    let talos = running.talos.as_ref().ok_or("ours has a Talos")?;
    talos.set_log(SERVICE, vec!["x".repeat(LINE - 1); SIZE / LINE]);
    running.vmx.wait_green(PATIENCE)?;
    settle(&running)?;
    let before_kib = running.vmx.rss_kib()?;
    let (name, password) = USER;
    let client = GuestClient::new(&running.vmx, name, password);
    client.validate()?;
    let (cpu, started) = (running.vmx.cpu_time()?, Instant::now());
    let bytes = client.download(&format!("/talos/services/{SERVICE}.log"))?;
    let took = started.elapsed();
    let cpu = running.vmx.cpu_time()?.saturating_sub(cpu);
    if bytes.len() != SIZE {
        return Err(format!("{} bytes of {SIZE}", bytes.len()).into());
    }
    pass(&running, AFTER)?;
    let megabytes = SIZE as f64 / 1e6;
    Ok(Measured {
        megabytes_per_second: megabytes / took.as_secs_f64(),
        cpu_ms_per_megabyte: cpu.as_secs_f64() * 1e3 / megabytes,
        before_kib,
        after_kib: running.vmx.rss_kib()?,
    })
}
