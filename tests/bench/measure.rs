//! The measurements, one run for each that would disturb another.

use std::error::Error;
use std::time::{Duration, Instant};

use apid::Method;
use vmx::VmxBuilder;

use crate::candidate::{Candidate, Running};

/// vmtoolsd gathers its first guest info 30 s after its start.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);
/// How long the idle candidate is watched.
const IDLE: Duration = Duration::from_secs(60);
/// Pings in the latency measurement, spread over the phases of the poll loop.
const PINGS: u32 = 40;

/// One column of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// VmRSS when idle, KiB.
    pub(crate) rss_kib: u64,
    /// Of it: anonymous memory, KiB.
    pub(crate) rss_anon_kib: u64,
    /// Start of the program to green.
    pub(crate) green: Duration,
    /// Start of the program to green with an address in vCenter.
    pub(crate) addresses: Duration,
    /// Processor time per second of idling, milliseconds.
    pub(crate) idle_cpu_ms: f64,
    /// Returns from blocking system calls per second of idling.
    pub(crate) wakeups: f64,
    /// Backdoor exits per second of idling.
    pub(crate) exits: f64,
    /// Median time from the host's ping to its pick-up.
    pub(crate) pick_up: Duration,
    /// Median time from pick-up to the first word of the reply.
    pub(crate) reply: Duration,
    /// Talos' change of an address to the host's view of it; for vmtoolsd its poll interval says it all.
    pub(crate) change: Option<Duration>,
    /// Talos API calls during the idle time.
    pub(crate) api_calls: Option<usize>,
}

/// Measures one candidate.
pub(crate) fn measure(candidate: &Candidate) -> Result<Measured, Box<dyn Error>> {
    let quiet = candidate.start(std::convert::identity)?;
    let started = quiet.vmx.host(|host, _| host.started());
    let green = since(
        started,
        quiet.vmx.wait_for("green", PATIENCE, |host, now| {
            host.vcenter(now).is_green().then_some(now)
        })?,
    );
    let addresses = since(
        started,
        quiet.vmx.wait_for("an address", PATIENCE, |host, now| {
            host.vcenter(now).ip_address.map(|_| now)
        })?,
    );
    let change = change(&quiet)?;
    settle(&quiet)?;
    let calls_before = quiet.talos.as_ref().map(apid::Apid::call_count);
    let (cpu_before, stats_before, at) = (quiet.vmx.cpu_time()?, quiet.vmx.stats(), Instant::now());
    idle(&quiet)?;
    let seconds = at.elapsed().as_secs_f64();
    let cpu = quiet.vmx.cpu_time()?.saturating_sub(cpu_before);
    let exits = quiet.vmx.stats().backdoor_exits() - stats_before.backdoor_exits();
    let api_calls = quiet
        .talos
        .as_ref()
        .map(apid::Apid::call_count)
        .zip(calls_before)
        .map(|(after, before)| after - before);
    let rss = quiet.vmx.rss()?;
    let (pick_up, reply) = pings(&quiet)?;
    drop(quiet);

    let wakeups = wakeups(candidate)?;

    Ok(Measured {
        rss_kib: rss.total_kib,
        rss_anon_kib: rss.anon_kib,
        green,
        addresses,
        idle_cpu_ms: cpu.as_secs_f64() * 1e3 / seconds,
        wakeups,
        exits: exits as f64 / seconds,
        pick_up,
        reply,
        change,
        api_calls,
    })
}

/// Returns from blocking system calls per second of idling. Counting costs stops of its own, so it has a run of its own.
pub(crate) fn wakeups(candidate: &Candidate) -> Result<f64, Box<dyn Error>> {
    let counted = candidate.start(VmxBuilder::count_wakeups)?;
    counted.vmx.wait_green(PATIENCE)?;
    settle(&counted)?;
    let (before, at) = (counted.vmx.stats().wakeups, Instant::now());
    idle(&counted)?;
    Ok((counted.vmx.stats().wakeups - before) as f64 / at.elapsed().as_secs_f64())
}

fn since(started: Instant, at: Instant) -> Duration {
    at.saturating_duration_since(started)
}

/// Lets the host pass a time in which nothing is asked.
pub(crate) fn pass(running: &Running, time: Duration) -> Result<(), Box<dyn Error>> {
    let ended = running
        .vmx
        .wait_for("time to pass", time, |_, _| None::<()>);
    match running.vmx.host(|host, _| host.exit_status()) {
        None => {
            // Passing is what was waited for.
            let _ = ended;
            Ok(())
        }
        Some(status) => Err(format!("the program ended with {status}").into()),
    }
}

pub(crate) fn settle(running: &Running) -> Result<(), Box<dyn Error>> {
    pass(running, Duration::from_secs(3))
}

pub(crate) fn idle(running: &Running) -> Result<(), Box<dyn Error>> {
    pass(running, IDLE)
}

fn change(running: &Running) -> Result<Option<Duration>, Box<dyn Error>> {
    let Some(talos) = &running.talos else {
        return Ok(None);
    };
    let mut delays = Vec::new();
    for last in 30..39 {
        let address = format!("10.5.0.{last}");
        let at = Instant::now();
        talos.set_address("eth0", &format!("{address}/24"));
        let seen = running.vmx.wait_for("the address", PATIENCE, |host, now| {
            host.vcenter(now)
                .addresses()
                .contains(&address)
                .then_some(now)
        })?;
        delays.push(since(at, seen));
        // Long enough for the burst to be over, so that the next change is a burst of its own.
        pass(running, Duration::from_millis(300))?;
    }
    debug_assert!(talos.calls_of(Method::Shutdown).is_empty());
    Ok(Some(median(delays)))
}

fn pings(running: &Running) -> Result<(Duration, Duration), Box<dyn Error>> {
    let (mut pick_ups, mut replies) = (Vec::new(), Vec::new());
    for number in 0..PINGS {
        // 7 ms is coprime to the poll interval: every phase has its turn.
        pass(
            running,
            Duration::from_millis(u64::from(number % 14) * 7 + 150),
        )?;
        let exchange = running.vmx.request("ping", PATIENCE)?;
        pick_ups.push(exchange.pick_up().ok_or("a ping was not picked up")?);
        replies.push(exchange.thinking().ok_or("a ping was not answered")?);
    }
    Ok((median(pick_ups), median(replies)))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
