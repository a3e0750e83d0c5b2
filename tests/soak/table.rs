//! What is printed.

#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

use std::path::Path;
use std::time::Duration;

use crate::operation::Operation;
use crate::run::Report;

/// What runs, and how to have it again.
pub(crate) fn heading(binary: &Path, length: Duration, seed: u64) {
    println!(
        "soak: {} for {} s, seed {seed}",
        binary.display(),
        length.as_secs()
    );
}

/// Every run in a column.
pub(crate) fn print(reports: &[Report]) {
    row("", reports, |report| report.kind.name().to_owned());
    row("time, s", reports, |report| {
        format!("{:.0}", report.ran.as_secs_f64())
    });
    row("operations", reports, |report| {
        report.operations.values().sum::<u64>().to_string()
    });
    for operation in Operation::every() {
        row(&format!("  {}", operation.name()), reports, |report| {
            report
                .operations
                .get(&operation)
                .map_or_else(|| "-".to_owned(), u64::to_string)
        });
    }
    row("checkpoints, guest info right", reports, |report| {
        report.checkpoints.to_string()
    });
    row("pings answered", reports, |report| {
        report.pings.answered.to_string()
    });
    row("  lost with their channel", reports, |report| {
        report.pings.lost.to_string()
    });
    row("  worst pick-up to reply, ms", reports, |report| {
        format!("{:.3}", report.pings.worst.as_secs_f64() * 1e3)
    });
    row("longest silence, outages included, s", reports, |report| {
        format!("{:.2}", report.longest_silence.as_secs_f64())
    });
    let quantities = reports.first().map_or(0, |report| report.growths.len());
    for at in 0..quantities {
        let name = reports
            .first()
            .and_then(|report| report.growths.get(at))
            .map_or("", |growth| growth.name);
        row(&format!("{name}: min/first/last/max"), reports, |report| {
            report.growths.get(at).map_or_else(
                || "-".to_owned(),
                |growth| {
                    format!(
                        "{}/{}/{}/{}",
                        growth.min, growth.first, growth.last, growth.max
                    )
                },
            )
        });
    }
    row("verdict", reports, |report| {
        let verdict = if report.failures.is_empty() {
            "held"
        } else {
            "FAILED"
        };
        verdict.to_owned()
    });
}

fn row(label: &str, reports: &[Report], value: impl Fn(&Report) -> String) {
    print!("{label:40}");
    for report in reports {
        print!("{:>24}", value(report));
    }
    println!();
}

/// Says what was wrong; true when nothing was.
pub(crate) fn verdict(reports: &[Report]) -> bool {
    for report in reports {
        for failure in &report.failures {
            println!("{}: {failure}", report.kind.name());
        }
    }
    let growths = reports.iter().flat_map(|report| &report.growths);
    if growths.clone().any(|growth| growth.allowance.is_none()) {
        println!("soak: too short to judge memory by; 600 s are needed");
    }
    let held = reports.iter().all(|report| report.failures.is_empty());
    println!("soak: {}", if held { "held" } else { "FAILED" });
    held
}
