//! `make bench`: our daemon beside Debian's `vmtoolsd`, in one run, under the same simulated VMX.
//!
//! What is measured is measured for both in the same way, so the ratios count; the absolute times hold the
//! cost of the tracer, which is the same for both. Then notice of migrations, a file transfer of guest operations and
//! quiesced snapshots, which are ours alone. Then beside `qemu-ga`, in one QEMU guest. Prints a table for each and
//! whether each goal is met.
//!
//! With the argument `functions` it lists those that run instead, for `make hot-functions`.

mod candidate;
mod cold;
mod functions;
mod idle;
mod measure;
mod qemu;
mod qemu_snapshot;
mod snapshot;
mod table;
mod transfer;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candidate::Candidate;
use measure::measure;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: a goal is missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let binary = std::env::var_os("TALOS_VMTOOLSD")
        .map(PathBuf::from)
        .ok_or("TALOS_VMTOOLSD does not name the binary; run `make bench`")?;
    if std::env::args().nth(1).as_deref() == Some("functions") {
        std::io::stdout().write_all(functions::list(&binary)?.as_bytes())?;
        return Ok(true);
    }
    let mut columns = Vec::new();
    for candidate in Candidate::all(&binary) {
        cold::forget(&candidate)?;
        eprintln!("bench: measuring {}", candidate.name());
        columns.push((candidate.name(), measure(&candidate)?));
    }
    eprintln!("bench: measuring vSphere HA");
    columns.push(("ours, HA", measure(&Candidate::with_ha(&binary))?));
    table::print(&columns);
    let met = table::goals(&columns);
    eprintln!("bench: measuring notice of migrations");
    let met = table::vmotion(&idle::vmotion(&binary)?) && met;
    eprintln!("bench: measuring transfers");
    let transfers = transfer::measure(&binary)?;
    table::print_transfers(&transfers);
    let without = columns.first().map(|(_, measured)| measured.rss_kib);
    let met = table::goals_of_transfers(&transfers, without) && met;
    eprintln!("bench: measuring snapshots");
    let snapshots = snapshot::measure(&binary)?;
    let met = snapshots.is_none_or(|measured| table::snapshots(&measured)) && met;
    let relay = std::env::var_os("GUEST_RELAY").filter(|_| ::qemu::installed());
    let Some(relay) = relay else {
        eprintln!("bench: no QEMU or no kernel for a guest: no comparison with qemu-ga");
        return Ok(met);
    };
    eprintln!("bench: measuring in QEMU");
    let columns = qemu::measure(&binary, Path::new(&relay))?;
    table::print_qemu(&columns);
    let met = table::goals_qemu(&columns) && met;
    if !::qemu::file_systems_installed() {
        return Ok(met);
    }
    eprintln!("bench: measuring snapshots in QEMU");
    let columns = qemu_snapshot::measure(&binary, Path::new(&relay))?;
    Ok(table::snapshots_in_qemu(&columns) && met)
}
