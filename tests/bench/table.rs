//! The table, and the goals it is held against.

#![allow(clippy::print_stdout, reason = "the table is what the program is for")]

use std::time::Duration;

use crate::measure::Measured;
use crate::{idle, qemu, qemu_snapshot, snapshot, transfer};

type Column<M = Measured> = (&'static str, M);
type Row<M = Measured> = (&'static str, fn(&M) -> String);

type Earlier = (&'static str, &'static str, &'static str);

/// Row, column and figure of the same machine with what the agent reported before disks, statistics, guest variables and
/// the whole of the network were added; only figures that were written down then.
const EARLIER: [Earlier; 2] = [
    (RESIDENT_MEMORY, "ours", "4008"),
    (WAKE_UPS, "ours, vsock", "2.0"),
];

const RESIDENT_MEMORY: &str = "resident memory, KiB";
const WAKE_UPS: &str = "own wake-ups, 1/s";
const STOOD_LONGER: &str = "writers stood longer than it, ms";

/// Prints all columns.
pub(crate) fn print(columns: &[Column]) {
    let rows: [Row; 11] = [
        (RESIDENT_MEMORY, |m| m.rss_kib.to_string()),
        ("  of it anonymous, KiB", |m| m.rss_anon_kib.to_string()),
        ("start to green, ms", |m| milliseconds(m.green)),
        ("start to green with address, ms", |m| {
            milliseconds(m.addresses)
        }),
        ("idle processor time, ms/s", |m| {
            format!("{:.3}", m.idle_cpu_ms)
        }),
        (WAKE_UPS, |m| format!("{:.1}", m.wakeups)),
        ("backdoor exits, 1/s", |m| format!("{:.1}", m.exits)),
        ("ping to pick-up, ms (median)", |m| milliseconds(m.pick_up)),
        ("pick-up to reply, ms (median)", |m| milliseconds(m.reply)),
        ("address change to host, ms (median)", |m| {
            m.change
                .map_or_else(|| "polls (30 s)".to_owned(), milliseconds)
        }),
        ("Talos API calls while idle", |m| {
            m.api_calls
                .map_or_else(|| "-".to_owned(), |calls| calls.to_string())
        }),
    ];
    draw(columns, &rows, &EARLIER);
    println!("(in brackets: before guest information was complete, where it was measured)");
}

/// Prints a table, with what was measured earlier in brackets.
fn draw<M>(columns: &[Column<M>], rows: &[Row<M>], earlier: &[Earlier]) {
    print!("{:38}", "");
    for (name, _) in columns {
        print!("{name:>14}");
    }
    println!();
    for (label, value) in rows {
        print!("{label:38}");
        for (column, measured) in columns {
            let mut earlier = earlier.iter();
            let earlier = earlier.find(|(row, of, _)| (row, of) == (label, column));
            let earlier = earlier.map_or_else(String::new, |(.., figure)| format!(" ({figure})"));
            print!("{:>14}", value(measured) + &earlier);
        }
        println!();
    }
}

/// Prints each goal and whether it is met; true when all are.
pub(crate) fn goals(columns: &[Column]) -> bool {
    let column = |name: &str| columns.iter().find(|(n, _)| *n == name).map(|(_, m)| m);
    let (ours, tls, vsock) = (column("ours"), column("ours, TLS"), column("ours, vsock"));
    let theirs = column("vmtoolsd");
    let mut goals: Vec<(String, bool)> = Vec::new();
    let mut goal = |text: &str, met: Option<bool>| {
        if let Some(met) = met {
            goals.push((text.to_owned(), met));
        }
    };
    goal(
        "RSS ≤ 4 MiB on machined's socket",
        ours.map(|m| m.rss_kib <= 4096),
    );
    goal("RSS ≤ 5 MiB with TLS", tls.map(|m| m.rss_kib <= 5120));
    goal(
        "idle processor time, pinged every 15 s, ≤ 0.45 of vmtoolsd's",
        ours.zip(theirs)
            .map(|(a, b)| a.idle_cpu_ms <= b.idle_cpu_ms * 0.45),
    );
    goal(
        "own wake-ups ≤ 10/s on the backdoor",
        ours.map(|m| m.wakeups <= 10.0),
    );
    goal(
        "own wake-ups ≤ 2/s on vsock",
        vsock.map(|m| m.wakeups <= 2.0),
    );
    goal(
        "ping answered ≤ 0.1 ms after pick-up",
        ours.map(|m| m.reply <= Duration::from_micros(100)),
    );
    goal(
        "green ≤ 50 ms after start",
        ours.map(|m| m.green <= Duration::from_millis(50)),
    );
    goal(
        "an address change on the host ≤ 100 ms",
        ours.map(|m| m.change.is_some_and(|d| d <= Duration::from_millis(100))),
    );
    goal(
        "no Talos API calls while nothing changes (free space is asked for every 5 min)",
        ours.map(|m| m.api_calls == Some(0)),
    );
    all_met(&goals)
}

/// Prints what notice of migrations costs and whether its goals are met; true when all are.
pub(crate) fn vmotion(columns: &[Column<idle::Measured>]) -> bool {
    let rows: [Row<idle::Measured>; 4] = [
        ("questions to the host, 1/min", |m| {
            format!("{:.1}", m.requests)
        }),
        ("idle processor time, ms/s", |m| format!("{:.3}", m.cpu_ms)),
        (WAKE_UPS, |m| format!("{:.1}", m.wakeups)),
        (RESIDENT_MEMORY, |m| m.rss_kib.to_string()),
    ];
    println!("\nWith notice of migrations:");
    draw(columns, &rows, &[]);
    let is_by_period = |(_, m): &Column<idle::Measured>| (28.0..=31.0).contains(&m.requests);
    all_met(&[(
        "one question every 2 s".to_owned(),
        columns.iter().all(is_by_period),
    )])
}

/// Prints the columns of transfers.
pub(crate) fn print_transfers(columns: &[Column<transfer::Measured>]) {
    let rows: [Row<transfer::Measured>; 4] = [
        ("a download of 5 MB, MB/s", |m| {
            format!("{:.1}", m.megabytes_per_second)
        }),
        ("  processor time, ms/MB", |m| {
            format!("{:.2}", m.cpu_ms_per_megabyte)
        }),
        ("resident memory before it, KiB", |m| {
            m.before_kib.to_string()
        }),
        ("  20 s after it, KiB", |m| m.after_kib.to_string()),
    ];
    println!("\nWith guest operations:");
    draw(columns, &rows, &[]);
}

/// Prints each goal of transfers and whether it is met; true when all are. `without` is the resident memory without
/// guest operations.
pub(crate) fn goals_of_transfers(
    columns: &[Column<transfer::Measured>],
    without: Option<u64>,
) -> bool {
    let [(_, backdoor), _] = columns else {
        return false;
    };
    all_met(&[
        (
            "a download ≥ 5 MB/s on the backdoor".to_owned(),
            backdoor.megabytes_per_second >= 5.0,
        ),
        (
            "guest operations cost ≤ 512 KiB while none is asked for".to_owned(),
            without.is_some_and(|without| backdoor.before_kib <= without + 512),
        ),
        (
            "and ≤ 3 MiB 20 s after a transfer".to_owned(),
            without.is_some_and(|without| backdoor.after_kib <= without + 3 * 1024),
        ),
    ])
}

/// Prints what was measured of snapshots, each goal and whether it is met; true when all are.
pub(crate) fn snapshots(measured: &snapshot::Measured) -> bool {
    let rows: [Row<snapshot::Measured>; 4] = [
        ("start to commit, ms", |m| milliseconds(m.to_commit)),
        (STOOD_LONGER, |m| milliseconds(m.more)),
        ("agent, resident memory, KiB", |m| m.agent_kib.to_string()),
        ("freezer, resident memory, KiB", |m| {
            m.freezer_kib.to_string()
        }),
    ];
    println!("\nSnapshots of 3 s with file systems frozen (the worst of three):");
    draw(&[("ours", measured.clone())], &rows, &[]);
    all_met(&[
        (
            "start to commit ≤ 2 s".to_owned(),
            measured.to_commit <= Duration::from_secs(2),
        ),
        (
            "writers stand ≤ the snapshot + 0.5 s".to_owned(),
            measured.more <= Duration::from_millis(500),
        ),
        (
            "the freezer's RSS ≤ 2 MiB".to_owned(),
            measured.freezer_kib <= 2048,
        ),
    ])
}

/// Prints the columns of the QEMU guest.
pub(crate) fn print_qemu(columns: &[Column<qemu::Measured>]) {
    let rows: [Row<qemu::Measured>; 7] = [
        (RESIDENT_MEMORY, |m| m.rss_kib.to_string()),
        ("  of it anonymous, KiB", |m| m.rss_anon_kib.to_string()),
        ("wake-ups without a client, 1/s", |m| {
            format!("{:.1}", m.wakeups_alone)
        }),
        ("wake-ups with an idle client, 1/s", |m| {
            format!("{:.1}", m.wakeups_with_client)
        }),
        ("processor, an hour of KubeVirt, ms", |m| {
            format!("{:.0}", m.kubevirt_cpu_ms)
        }),
        ("ping from the host and back, ms", |m| milliseconds(m.ping)),
        ("Talos API calls while idle", |m| {
            m.api_calls
                .map_or_else(|| "-".to_owned(), |calls| calls.to_string())
        }),
    ];
    println!("\nIn one QEMU guest (TCG: the processor is emulated, so times are long):");
    draw(columns, &rows, &[]);
}

/// Prints each goal on QEMU and whether it is met; true when all are.
pub(crate) fn goals_qemu(columns: &[Column<qemu::Measured>]) -> bool {
    let [(_, ours), (_, theirs)] = columns else {
        return false;
    };
    all_met(&[
        ("RSS ≤ 4.2 MiB".to_owned(), ours.rss_kib <= 4300),
        (
            "of it anonymous ≤ 0.75 MiB".to_owned(),
            ours.rss_anon_kib <= 768,
        ),
        (
            "wake-ups ≤ 1/s, with or without a client".to_owned(),
            ours.wakeups_alone <= 1.0 && ours.wakeups_with_client <= 1.0,
        ),
        (
            "polled as KubeVirt does, no more processor time than qemu-ga".to_owned(),
            ours.kubevirt_cpu_ms <= theirs.kubevirt_cpu_ms,
        ),
        (
            "a ping takes no longer than qemu-ga's and 1 ms".to_owned(),
            ours.ping <= theirs.ping + Duration::from_millis(1),
        ),
        (
            "no Talos API calls while nothing is asked".to_owned(),
            ours.api_calls == Some(0),
        ),
    ])
}

/// Prints the columns of snapshots in QEMU guests, each goal and whether it is met; true when all are.
pub(crate) fn snapshots_in_qemu(columns: &[Column<qemu_snapshot::Measured>]) -> bool {
    let rows: [Row<qemu_snapshot::Measured>; 2] = [
        ("freeze to frozen, ms", |m| milliseconds(m.to_frozen)),
        (STOOD_LONGER, |m| milliseconds(m.more)),
    ];
    println!("\nSnapshots of 3 s in a QEMU guest each (the worst of three):");
    draw(columns, &rows, &[]);
    let [(_, ours), (_, theirs)] = columns else {
        return false;
    };
    all_met(&[(
        "writers stand no longer than with qemu-ga and 0.5 s".to_owned(),
        ours.more <= theirs.more + Duration::from_millis(500),
    )])
}

fn all_met(goals: &[(String, bool)]) -> bool {
    println!();
    for (text, met) in goals {
        println!("{}  {text}", if *met { "met   " } else { "MISSED" });
    }
    goals.iter().all(|(_, met)| *met)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}
