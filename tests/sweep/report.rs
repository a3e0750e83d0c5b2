//! What came of many cases.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What came of a session.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Broken promises.
    pub(crate) wrong: Vec<String>,
    /// The longest time the host heard nothing of the guest.
    pub(crate) silence: Duration,
    /// How long it took until all was right.
    pub(crate) took: Duration,
}

#[derive(Default)]
struct Tally {
    cases: usize,
    longest_silence: Duration,
    longest: Duration,
    failures: Vec<String>,
}

/// Runs all cases, so many at once, and prints a line for each kind of fault. Each case is a kind, for the table,
/// and what to run.
pub(crate) fn run<C: Debug + Sync>(
    title: &str,
    cases: &[C],
    at_once: usize,
    kind: impl Fn(&C) -> String + Sync,
    play: impl Fn(&C) -> Outcome + Sync,
) {
    let begun = Instant::now();
    let next = AtomicUsize::new(0);
    let tallies: Mutex<BTreeMap<String, Tally>> = Mutex::default();
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(case)));
            let mut tallies = tallies.lock().unwrap();
            let tally = tallies.entry(kind(case)).or_default();
            tally.cases += 1;
            match played {
                Ok(outcome) => {
                    tally.longest_silence = tally.longest_silence.max(outcome.silence);
                    tally.longest = tally.longest.max(outcome.took);
                    let wrong = outcome.wrong.iter();
                    tally
                        .failures
                        .extend(wrong.map(|wrong| format!("{case:?}: {wrong}")));
                }
                Err(_) => tally.failures.push(format!("{case:?}: panicked")),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let tallies = tallies.into_inner().unwrap();
    let mut text = format!("\n{title}\n");
    for (kind, tally) in &tallies {
        text += &format!(
            "  {kind:<32} {:>5} cases  longest silence {:>5.2} s  all right within {:>5.2} s{}\n",
            tally.cases,
            tally.longest_silence.as_secs_f64(),
            tally.longest.as_secs_f64(),
            match tally.failures.len() {
                0 => String::new(),
                count => format!("  {count} FAILED"),
            }
        );
    }
    text += &format!(
        "  {:<32} {:>5} cases  in {:.1} s\n",
        "in all",
        cases.len(),
        begun.elapsed().as_secs_f64()
    );
    // Past the capture of the test harness: the figures belong into the log of every run.
    let _ = std::io::stderr().write_all(text.as_bytes());
    let failures: Vec<&String> = tallies.values().flat_map(|tally| &tally.failures).collect();
    let shown = failures.len().min(20);
    assert!(
        failures.is_empty(),
        "{} of {} cases failed, such as\n{:#?}",
        failures.len(),
        cases.len(),
        &failures[..shown]
    );
}
