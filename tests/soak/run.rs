//! One run: operations, checkpoints, samples, until the time is over.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vmx::Origin;

use crate::Outcome;
use crate::operation::Operation;
use crate::random::Random;
use crate::sample::{Sample, look};
use crate::subject::{Kind, PATIENCE, Subject};
use crate::verdict::{Growth, growths};

/// Operations between two checkpoints.
const CHUNK: usize = 4;
/// Between the operations: long enough for one to have begun to work, too short for it to be over.
const PAUSES_MS: (u64, u64) = (10, 120);
/// After a checkpoint, before the sample: a channel that dies younger does not shorten the back-off of the next,
/// and half of the run would be waiting for the host.
const REST: Duration = Duration::from_millis(1100);
/// How often is said that it goes on.
const PROGRESS: Duration = Duration::from_secs(60);

/// The guest tells the host that it could not receive, as message.c does; the host had failed before.
const FAILURE_TOLD: &str = "with status 0x0 from the guest";

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) kind: Kind,
    pub(crate) ran: Duration,
    pub(crate) operations: BTreeMap<Operation, u64>,
    pub(crate) checkpoints: u64,
    pub(crate) pings: Pings,
    /// Longest time without a sign of life, outages of the host included.
    pub(crate) longest_silence: Duration,
    pub(crate) growths: Vec<Growth>,
    /// Everything that was wrong.
    pub(crate) failures: Vec<String>,
}

/// The host's own pings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pings {
    pub(crate) answered: u64,
    /// Their channel was closed under them.
    pub(crate) lost: u64,
    /// From pick-up to the reply.
    pub(crate) worst: Duration,
}

/// What is the same for every run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) length: Duration,
    pub(crate) seed: u64,
    /// One of the runs has failed: there is nothing more to be learnt from the others.
    pub(crate) over: &'a AtomicBool,
}

/// Soaks one daemon.
pub(crate) fn soak(plan: Plan<'_>, kind: Kind) -> Report {
    let mut report = Report {
        kind,
        ran: Duration::ZERO,
        operations: BTreeMap::new(),
        checkpoints: 0,
        pings: Pings::default(),
        longest_silence: Duration::ZERO,
        growths: Vec::new(),
        failures: Vec::new(),
    };
    let mut samples = Vec::new();
    if let Err(error) = run(plan, &mut report, &mut samples) {
        plan.over.store(true, Ordering::Relaxed);
        let error = error.to_string();
        eprintln!("soak: {}: {error}", kind.name());
        report.failures.push(error);
    }
    if let Err(error) = write(&samples, kind) {
        report.failures.push(error.to_string());
    }
    match growths(&samples, plan.length) {
        Some(growths) => report.growths = growths,
        None => report
            .failures
            .push("there are no samples to compare".to_owned()),
    }
    for growth in report.growths.iter().filter(|growth| growth.is_too_much()) {
        report.failures.push(format!(
            "{} grew from {} to {}",
            growth.name, growth.first, growth.last
        ));
    }
    report
}

fn run(plan: Plan<'_>, report: &mut Report, samples: &mut Vec<Sample>) -> Outcome {
    let mut subject = Subject::start(report.kind, plan.binary, plan.seed)?;
    let outcome = operate(plan, &mut subject, report, samples);
    report.pings = pings(&subject);
    report.longest_silence = subject.vmx.host(|host, now| host.longest_silence(now));
    let mut violations = subject.vmx.violations();
    violations.retain(|violation| !violation.contains(FAILURE_TOLD));
    report.failures.extend(violations);
    outcome?;
    subject.vmx.signal(Signal::SIGTERM);
    let status = subject.vmx.wait_exit(PATIENCE)?;
    if !status.success() {
        return Err(format!("stopped, the daemon ended with {status}").into());
    }
    Ok(())
}

fn operate(
    plan: Plan<'_>,
    subject: &mut Subject,
    report: &mut Report,
    samples: &mut Vec<Sample>,
) -> Outcome {
    let mut random = Random::new(!plan.seed);
    // Before it listens to signals it would end by the first SIGHUP, as any program.
    subject.checkpoint()?;
    let started = Instant::now();
    let mut told = started;
    let mut deck = Operation::all(report.kind);
    loop {
        random.shuffle(&mut deck);
        for chunk in deck.chunks(CHUNK) {
            for operation in chunk {
                let done = subject.carry_out(*operation);
                done.map_err(|error| format!("{}: {error}", operation.name()))?;
                *report.operations.entry(*operation).or_default() += 1;
                let pause = random.within(PAUSES_MS.0, PAUSES_MS.1);
                subject.pass(Duration::from_millis(pause))?;
            }
            if report.kind == Kind::Vsock {
                subject.back_to_vsock()?;
            }
            subject.checkpoint()?;
            report.checkpoints += 1;
            subject.pass(REST)?;
            report.ran = started.elapsed();
            let sample = look(&subject.vmx, report.ran)?;
            samples.push(sample);
            if report.ran >= plan.length || plan.over.load(Ordering::Relaxed) {
                return Ok(());
            }
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                eprintln!(
                    "soak: {:>5.0} s, {}: {} checkpoints, VmRSS {} KiB, RssAnon {} KiB, {} descriptors, {} threads",
                    report.ran.as_secs_f64(),
                    report.kind.name(),
                    report.checkpoints,
                    sample.rss_kib,
                    sample.anon_kib,
                    sample.fds,
                    sample.threads,
                );
            }
        }
    }
}

/// Writes every sample where `SOAK_SAMPLES` says, for whoever looks for the reason of a growth.
fn write(samples: &[Sample], kind: Kind) -> Outcome {
    let Some(prefix) = std::env::var_os("SOAK_SAMPLES") else {
        return Ok(());
    };
    let mut text = "seconds\trss_kib\tanon_kib\tfds\tthreads\n".to_owned();
    for sample in samples {
        writeln!(
            text,
            "{:.1}\t{}\t{}\t{}\t{}",
            sample.at.as_secs_f64(),
            sample.rss_kib,
            sample.anon_kib,
            sample.fds,
            sample.threads
        )?;
    }
    let mut path = prefix;
    path.push(format!("{kind:?}.tsv"));
    Ok(std::fs::write(path, text)?)
}

fn pings(subject: &Subject) -> Pings {
    subject.vmx.host(|host, _| {
        let pings = host.exchanges().iter();
        let pings = pings.filter(|exchange| exchange.origin == Origin::Ping);
        pings.fold(Pings::default(), |seen, ping| Pings {
            answered: seen.answered + u64::from(ping.reply.is_some()),
            lost: seen.lost + u64::from(ping.lost),
            worst: seen.worst.max(ping.latency().unwrap_or_default()),
        })
    })
}
