//! `make soak`: the daemon between a simulated VMX and an embedded Talos API for as long as it is wished, while
//! everything happens that happens to a node in its life. It must not grow, end, or tell anything wrong.
//!
//! ```text
//!  operations, shuffled ──► everything right on the host, a ping answered ──► sample ──► operations …
//! ```
//! Two daemons run beside each other, one over each transport and each way to Talos. `SOAK_SECONDS` is how long,
//! `SOAK_SEED` gives the same order of operations again, `SOAK_SAMPLES` (the start of two file names) keeps every
//! sample. The exit code is 0 only when every check held.

mod host;
mod operation;
mod random;
mod run;
mod sample;
mod subject;
mod table;
mod talos;
mod verdict;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use run::{Plan, Report, soak};
use subject::Kind;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Shorter than this the tenths that are compared hold too little.
const SHORTEST: u64 = 120;

fn main() -> ExitCode {
    match everything() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn everything() -> Outcome<bool> {
    let binary = std::env::var_os("TALOS_VMTOOLSD")
        .map(PathBuf::from)
        .ok_or("TALOS_VMTOOLSD does not name the binary; run `make soak`")?;
    let seconds = number("SOAK_SECONDS")?.unwrap_or(600);
    if seconds < SHORTEST {
        return Err(format!("SOAK_SECONDS is {seconds}, at least {SHORTEST} are needed").into());
    }
    let length = Duration::from_secs(seconds);
    let seed = number("SOAK_SEED")?.unwrap_or_else(|| std::process::id().into());
    table::heading(&binary, length, seed);
    let plan = Plan {
        binary: &binary,
        length,
        seed,
        over: &AtomicBool::new(false),
    };
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let runs = Kind::ALL.map(|kind| scope.spawn(move || soak(plan, kind)));
        runs.into_iter()
            .map(|run| run.join().map_err(|_| "a run panicked".into()))
            .collect::<Outcome<_>>()
    })?;
    table::print(&reports);
    Ok(table::verdict(&reports))
}

fn number(name: &str) -> Outcome<Option<u64>> {
    let Ok(text) = std::env::var(name) else {
        return Ok(None);
    };
    let number = text.parse();
    let number = number.map_err(|_| format!("{name} is {text:?}, which is no number"))?;
    Ok(Some(number))
}
