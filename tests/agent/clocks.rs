//! Clocks that jump: the wall clock, which nothing may depend on, and the time since boot after a suspend.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;

use crate::support::{Run, SOON, Talos, pass};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: i64 = 365 * 86_400;

/// The machine's own time since boot, in seconds.
fn since_boot() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Every uptime that was told, in seconds, and the time since boot beside it.
fn uptimes(run: &Run) -> Vec<(Instant, f64)> {
    let log = run.rpci_log();
    let told = log.iter().filter_map(|entry| match entry.command {
        Ok(Command::GuestInfo(GuestInfo::Uptime(centis))) => {
            Some((entry.instant, centis as f64 / 100.0))
        }
        _ => None,
    });
    told.collect()
}

/// How far the last uptime that was told is ahead of this machine's, in seconds.
fn ahead(run: &Run) -> f64 {
    let (at, told) = *uptimes(run).last().unwrap();
    told - (since_boot() - at.elapsed().as_secs_f64())
}

/// A daemon whose clocks can be moved, with short intervals.
fn start(talos: &Talos) -> Run {
    let config = talos
        .folder
        .write("config.yaml", "guestinfo:\n  stats_interval: 1s\n");
    let run = Run::start(
        talos
            .agent()
            .args(["--config"])
            .args([&config])
            .move_clocks(),
    );
    run.informed();
    run
}

/// The host is served, the node's changes reach it, the uptime is that of this machine and a jump more.
fn serves(run: &Run, talos: &Talos, name: &str, jump: f64) {
    assert_eq!(run.reply("ping"), "OK ");
    talos.set_hostname(name, "");
    run.sees("the name", Duration::from_secs(2), |view| {
        view.host_name.as_deref() == Some(name)
    });
    assert_eq!(run.reply("Capabilities_Register"), "OK ");
    let off = ahead(run) - jump;
    assert!(off.abs() < 1.0, "the uptime is {off} s off");
}

#[test]
fn a_wall_clock_that_is_set_forward_or_back_shows_in_the_log_alone() {
    let talos = Talos::new();
    let run = start(&talos);
    run.host(|host, _| host.forget_silence());
    let sent = run.sent("SetGuestInfo  10 ").len();
    let mut year = None;
    for (step, name) in [(50 * YEAR, "ahead"), (-90 * YEAR, "behind"), (1, "almost")] {
        run.host(|host, now| host.step_wall_clock(step, now));
        serves(&run, &talos, name, 0.0);
        // The step has reached it.
        let lines = run.log().len();
        run.signal(Signal::SIGHUP);
        let line = run.until("another line of the log", SOON, |host, _| {
            host.output(vmx::Stream::Stderr).get(lines).cloned()
        });
        let stamped: String = line.chars().take(4).collect();
        if step.abs() > YEAR {
            assert_ne!(Some(&stamped), year.as_ref(), "{line}");
        }
        year = Some(stamped);
    }
    pass(&run, Duration::from_millis(2500));
    let silence = run.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_millis(1500), "{silence:?}");
    // The name is in the NIC list's DNS part, too; nothing else was told again.
    assert_eq!(run.sent("SetGuestInfo  10 ").len(), sent + 3);
    run.stop();
}

#[test]
fn the_wall_clock_is_read_for_lines_of_the_log_and_for_nothing_else() {
    let talos = Talos::new();
    let run = start(&talos);
    let (reads, lines) = (run.stats().wall_clock_reads, run.log().len());
    assert!(reads > 0, "the readings are seen");
    serves(&run, &talos, "quiet", 0.0);
    run.asked("reset");
    pass(&run, Duration::from_millis(2500));
    let fresh = run.log().len() - lines;
    assert_eq!(run.stats().wall_clock_reads - reads, fresh as u64);
    assert_eq!(fresh, 0, "{:#?}", run.log());
    run.stop();
}

#[test]
fn after_days_of_suspend_the_uptime_is_true_and_everything_is_told_once() {
    let talos = Talos::new();
    let run = start(&talos);
    let kinds = ["1 ", "10 ", "11 "].map(|kind| format!("SetGuestInfo  {kind}"));
    let sent = |run: &Run| kinds.each_ref().map(|kind| run.sent(kind).len());
    let (before, uptimes_before) = (sent(&run), uptimes(&run).len());
    run.host(|host, now| {
        host.forget_silence();
        host.suspend(3 * DAY, now);
    });
    assert_eq!(run.reply("OS_Resume"), "OK ");
    for (kind, before) in kinds.iter().zip(before) {
        run.until_sent(kind, before + 1, SOON);
    }
    let off = ahead(&run) - (3 * DAY).as_secs_f64();
    assert!(off.abs() < 1.0, "the uptime is {off} s off");
    // The timer for the next one was due, too.
    let told = uptimes(&run).len() - uptimes_before;
    assert!((1..=2).contains(&told), "{told} times");
    let statistics = run.sent("SetGuestInfo  8 ").len();
    pass(&run, Duration::from_millis(3500));
    assert_eq!(sent(&run), before.map(|before| before + 1));
    assert_eq!(uptimes(&run).len() - uptimes_before, told);
    let ticks = run.sent("SetGuestInfo  8 ").len() - statistics;
    assert!((2..=5).contains(&ticks), "{ticks} in 3.5 s");
    let silence = run.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_millis(1500), "{silence:?}");
    serves(&run, &talos, "awake", (3 * DAY).as_secs_f64());
    run.stop();
}

#[test]
fn a_suspend_that_the_host_does_not_speak_of_is_noticed_at_the_next_tick() {
    let talos = Talos::new();
    let run = start(&talos);
    let before = run.sent("SetGuestInfo  7 ").len();
    run.host(|host, now| host.suspend(3 * DAY, now));
    run.until_sent("SetGuestInfo  7 ", before + 1, Duration::from_secs(3));
    let off = ahead(&run) - (3 * DAY).as_secs_f64();
    assert!(off.abs() < 1.0, "the uptime is {off} s off");
    pass(&run, Duration::from_millis(2500));
    assert_eq!(run.sent("SetGuestInfo  7 ").len(), before + 1, "no burst");
    // The host would take a smaller value for a reboot.
    let told: Vec<f64> = uptimes(&run).into_iter().map(|(_, told)| told).collect();
    assert!(told.is_sorted(), "{told:?}");
    run.stop();
}
