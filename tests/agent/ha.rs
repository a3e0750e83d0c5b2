//! vSphere HA application monitoring: the marks go on whatever happens, and end before each planned end.

use std::time::{Duration, Instant};

use apid::{Method, Stage};
use nix::sys::signal::Signal;
use vmx::{AppStatus, RpciEntry, Stream, VmxBuilder, VsockPolicy};

use crate::support::{Run, SOON, Talos, pass};

const ENABLE: &str = "GuestAppMonitor.Cmd.Enable";
const MARK: &str = "GuestAppMonitor.Cmd.MarkActive";
const DISABLE: &str = "GuestAppMonitor.Cmd.Disable";
const ANY: &str = "GuestAppMonitor.Cmd.";
/// As the agent marks.
const MARK_EVERY: Duration = Duration::from_secs(8);
const FILE: &str = "ha.yaml";

fn settings(text: &str) -> String {
    format!("vmware:\n  ha: {{{text}}}\n")
}

/// A node that is ready, and its agent with these settings of HA.
fn monitored(talos: &Talos, text: &str) -> VmxBuilder {
    talos.set_conditions(Stage::MachineStageRunning, &[]);
    let file = talos.folder.write(FILE, &settings(text));
    talos.agent().args(["--config"]).args([file])
}

/// Waits until the host counts and has a mark.
fn marked(run: &Run) {
    run.until_sent(ENABLE, 1, SOON);
    run.until_sent(MARK, 1, SOON);
    assert_eq!(status(run), AppStatus::Green);
}

fn status(run: &Run) -> AppStatus {
    run.host(|host, now| host.app_status(now))
}

fn unharmed(run: &Run) {
    let reset = run.host(|host, now| host.would_reset(now));
    assert_eq!(reset, None);
}

/// When these were sent.
fn times(entries: &[RpciEntry]) -> Vec<Instant> {
    entries.iter().map(|entry| entry.instant).collect()
}

/// No two marks so far lie further apart than they may, and the last is not old.
fn marks_are_in_time(run: &Run) {
    let mut times = times(&run.sent(MARK));
    times.push(Instant::now());
    let longest = times.windows(2).map(|two| two[1] - two[0]).max();
    assert!(longest < Some(Duration::from_secs(12)), "{longest:?}");
    unharmed(run);
}

/// Moves the machine's clock until this is logged: by less at a time than what counts as a sleep.
fn time_flies(run: &Run, line: &[&str]) {
    for _ in 0..10 {
        if !run.log_lines(line).is_empty() {
            return;
        }
        run.host(|host, now| host.suspend(Duration::from_secs(12), now));
        assert_eq!(run.reply("ping"), "OK ");
        pass(run, Duration::from_millis(500));
    }
    panic!("{line:?} is not logged");
}

#[test]
fn it_is_off_by_default_and_asks_for_nothing() {
    let talos = Talos::new();
    let run = talos.run();
    let calls = talos.calls_of(Method::Version).len();
    pass(&run, Duration::from_secs(12));
    assert!(run.sent(ANY).is_empty());
    assert_eq!(talos.calls_of(Method::Version).len(), calls);
    run.stop();
}

#[test]
fn it_is_enabled_after_settle_and_ends_before_sigterm_closes_the_channels() {
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        let talos = Talos::new();
        let agent = monitored(&talos, "monitor: node, settle: 3s");
        let run = Run::start(agent.vsock(policy));
        marked(&run);
        let started = run.host(|host, _| host.started());
        let enabled = times(&run.sent(ENABLE))[0];
        assert!(enabled - started >= Duration::from_secs(3));
        run.stop();
        let last = run.sent(ANY).pop().unwrap();
        assert!(last.is(DISABLE) && last.accepted());
        assert_eq!(status(&run), AppStatus::Gray);
    }
}

#[test]
fn marks_go_on_while_talos_is_away_and_while_it_hangs() {
    let talos = Talos::new();
    let agent = monitored(&talos, "monitor: node, settle: 1s");
    let run = Run::start(agent);
    marked(&run);
    talos.stop();
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    marks_are_in_time(&run);
    talos.restart().unwrap();
    talos.hang();
    pass(&run, MARK_EVERY + Duration::from_secs(3));
    marks_are_in_time(&run);
    talos.resume();
    run.stop();
}

#[test]
fn marks_go_on_through_a_flood_of_requests() {
    let talos = Talos::new();
    let run = Run::start(monitored(&talos, "monitor: node, settle: 1s"));
    marked(&run);
    let end = Instant::now() + MARK_EVERY * 2 + Duration::from_secs(2);
    while Instant::now() < end {
        let last = run.host(|host, now| {
            for _ in 1..5_000 {
                host.ask("ping", now);
            }
            host.ask("ping", now)
        });
        run.until("the end of the flood", 3 * SOON, |host, _| {
            host.exchange_of(last).and_then(|exchange| exchange.replied)
        });
    }
    assert!(run.sent(MARK).len() >= 3);
    marks_are_in_time(&run);
    run.stop();
}

#[test]
fn a_dead_talos_stops_the_marks_after_a_warning_and_they_go_on_when_it_is_back() {
    let talos = Talos::new();
    let agent = monitored(&talos, "monitor: node, settle: 1s, silent_for: 1m");
    let run = Run::start(agent.move_clocks());
    marked(&run);
    talos.stop();
    let warning = [
        "WARN",
        "will reset this machine unless it recovers",
        "Talos does not answer",
    ];
    time_flies(&run, &warning);
    time_flies(&run, &["WARN", "no more marks are sent"]);
    let marks = run.sent(MARK).len();
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    assert_eq!(run.sent(MARK).len(), marks);
    talos.restart().unwrap();
    run.logs(&["the machine lives"], 2 * SOON);
    run.until_sent(MARK, marks + 1, SOON);
    unharmed(&run);
    run.stop();
}

#[test]
fn a_power_operation_comes_after_disable_and_one_that_fails_is_followed_by_enable() {
    let talos = Talos::new();
    let run = Run::start(monitored(&talos, "monitor: ready, settle: 1s"));
    marked(&run);
    let busy = apid::Status::failed_precondition("locked");
    talos.fail_next(Method::Reboot, &busy, 100);
    run.asked("OS_Reboot");
    let disabled = times(&run.until_sent(DISABLE, 1, SOON))[0];
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    run.until_sent("tools.os.statechange.status 0 2", 1, SOON);
    run.until_sent(ENABLE, 2, SOON);
    assert_eq!(status(&run), AppStatus::Green);
    // So long that another Enable might go.
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    run.asked("OS_Halt");
    run.until_sent(DISABLE, 2, SOON);
    let status_sent = times(&run.until_sent("tools.os.statechange.status 1 1", 1, SOON))[0];
    assert!(disabled < status_sent);
    let order: Vec<_> = run
        .rpci_log()
        .iter()
        .filter_map(|entry| {
            let all = [ENABLE, DISABLE, "tools.os.statechange"];
            all.into_iter().find(|what| entry.is(what))
        })
        .collect();
    let status = "tools.os.statechange";
    let expected = [ENABLE, DISABLE, status, ENABLE, DISABLE, status];
    assert_eq!(
        order, expected,
        "Disable goes first, and no Enable after it"
    );
    unharmed(&run);
    run.stop();
}

#[test]
fn a_stage_that_ends_by_itself_ends_it_and_running_begins_it_again() {
    let talos = Talos::new();
    let run = Run::start(monitored(&talos, "monitor: node, settle: 1s"));
    marked(&run);
    talos.set_conditions(Stage::MachineStageUpgrading, &[]);
    run.until_sent(DISABLE, 1, SOON);
    talos.set_conditions(Stage::MachineStageRunning, &[]);
    run.until_sent(ENABLE, 2, SOON);
    run.stop();
}

#[test]
fn a_host_that_forgets_is_asked_again() {
    let talos = Talos::new();
    let run = Run::start(monitored(&talos, "monitor: node, settle: 1s"));
    marked(&run);
    run.host(|host, now| host.resume_elsewhere(now));
    run.until_sent(ENABLE, 2, SOON);
    // Without a session of its own it shows at the next mark.
    run.host(|host, _| host.forget_app_monitor());
    run.until_sent(ENABLE, 3, SOON);
    assert_eq!(status(&run), AppStatus::Green);
    run.stop();
}

#[test]
fn an_agent_that_was_killed_goes_on_with_the_marks_when_it_is_started_again() {
    // Whatever it waits for otherwise; this machine has run for longer.
    let talos = Talos::new();
    let agent = monitored(&talos, "monitor: node, settle: 60s").host(|host| {
        // What the run before has left behind.
        let now = host.started();
        host.enable_app_monitor(now);
    });
    let run = Run::start(agent);
    let marks = times(&run.until_sent(MARK, 1, SOON));
    let started = run.host(|host, _| host.started());
    assert!(marks[0] - started < Duration::from_secs(5));
    assert!(run.sent(ENABLE).is_empty());
    run.logs(&["an earlier run of the agent"], SOON);
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    marks_are_in_time(&run);
    run.signal(Signal::SIGKILL);
    run.wait_exit(SOON).unwrap();
    assert_eq!(status(&run), AppStatus::Green, "it counts on");
}

#[test]
fn a_host_without_it_is_named_once() {
    let talos = Talos::new();
    let agent = monitored(&talos, "monitor: node, settle: 1s");
    let run = Run::start(agent.config(|host| host.app_monitoring = false));
    run.logs(
        &[
            "WARN",
            "not offer vSphere HA application monitoring",
            "remedy=",
        ],
        SOON,
    );
    run.host(|host, now| host.resume_elsewhere(now));
    run.informed();
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    assert_eq!(
        run.log_lines(&["not offer vSphere HA application monitoring"])
            .len(),
        1
    );
    assert!(run.sent(ENABLE).is_empty() && run.sent(MARK).is_empty());
    run.stop();
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let reload = |run: &Run, talos: &Talos, text: &str| {
        let reloaded = "configuration reloaded";
        let before = run.log_lines(&[reloaded]).len();
        talos.folder.write(FILE, &settings(text));
        run.signal(Signal::SIGHUP);
        run.until(reloaded, SOON, |host, _| {
            let lines = host.output(Stream::Stderr);
            let count = lines.iter().filter(|line| line.contains(reloaded)).count();
            (count > before).then_some(())
        });
    };
    let talos = Talos::new();
    let run = Run::start(monitored(&talos, "monitor: off, settle: 1s"));
    run.informed();
    assert!(run.sent(ANY).is_empty());
    reload(&run, &talos, "monitor: ready, settle: 1s");
    marked(&run);
    reload(&run, &talos, "monitor: off");
    run.until_sent(DISABLE, 1, SOON);
    let sent = run.sent(ANY).len();
    pass(&run, MARK_EVERY + Duration::from_secs(1));
    assert_eq!(run.sent(ANY).len(), sent);
    run.stop();
}
