//! What a SIGHUP changes, setting by setting: what can change while the daemon runs does, at once; what cannot is
//! named, and left as it was.

use std::time::{Duration, Instant};

use apid::{Method, Stage, TlsOptions};
use nix::sys::signal::Signal;
use vmx::{Link, Stream, VmxBuilder, VsockPolicy};

use crate::support::{FQDN, NAME, Run, SOON, Talos, agent, pass};

const RELOADED: &str = "configuration reloaded";
const FILE: &str = "config.yaml";

/// A node's agent with a configuration file of this text.
fn configured(talos: &Talos, text: &str) -> VmxBuilder {
    let file = talos.folder.write(FILE, text);
    talos.agent().args(["--config"]).args([file])
}

/// Gives the file this text, and waits until the daemon has it.
fn reload(run: &Run, talos: &Talos, text: &str) {
    let before = run.log_lines(&[RELOADED]).len();
    talos.folder.write(FILE, text);
    run.signal(Signal::SIGHUP);
    run.until(RELOADED, SOON, |host, _| {
        let lines = host.output(Stream::Stderr);
        let count = lines.iter().filter(|line| line.contains(RELOADED));
        (count.count() > before).then_some(())
    });
}

#[test]
fn the_network_policy_counts_at_once_and_can_be_taken_back() {
    const SECOND: &str = "10.5.0.50";
    let talos = Talos::new();
    talos.set_address("eth0", &format!("{SECOND}/24"));
    let run = Run::start(configured(&talos, ""));
    let shown = |is_shown: bool| {
        run.sees("the second address", SOON, |view| {
            view.addresses().iter().any(|ip| ip == SECOND) == is_shown
                && view.host_name.as_deref() == Some(NAME)
        })
    };
    shown(true);
    let exclude = format!("network:\n  exclude_subnets: [{SECOND}/32]\n");
    reload(&run, &talos, &exclude);
    shown(false);
    reload(&run, &talos, "");
    shown(true);
    run.stop();
}

#[test]
fn the_form_of_the_host_name_counts_at_once() {
    let talos = Talos::new();
    let run = Run::start(configured(&talos, ""));
    run.informed();
    for (text, name) in [
        ("guestinfo: {host_name: fqdn}\n", FQDN),
        ("guestinfo: {host_name: node}\n", NAME),
    ] {
        reload(&run, &talos, text);
        run.sees(name, SOON, |view| view.host_name.as_deref() == Some(name));
    }
    run.stop();
}

#[test]
fn a_reload_that_is_refused_changes_nothing_of_the_log_either() {
    let talos = Talos::new();
    let good = format!(
        "log: {{level: info}}\ntalos: {{use_machined: true, machined_socket: {}}}\n",
        talos.socket_path().display()
    );
    let file = talos.folder.write(FILE, &good);
    let run = Run::start(agent().args(["--config"]).args([&file]));
    run.informed();
    // The sandbox objects: there is no network where there is machined's socket.
    let text = "log: {level: trace, format: json}\ntalos: {config: /etc/c, node: n}\n";
    talos.folder.write(FILE, text);
    run.signal(Signal::SIGHUP);
    run.logs(&["keeping the previous configuration"], SOON);
    // A reload is followed by the lines of `check`.
    let log = || {
        let mut log = run.log();
        log.retain(|line| !line.contains(" check: "));
        log
    };
    let before = log().len();
    assert_eq!(run.reply("Set_Option a b"), "OK ");
    talos.folder.write(FILE, &good);
    run.signal(Signal::SIGHUP);
    run.logs(&[RELOADED], SOON);
    let log = log();
    assert_eq!(log.len(), before + 1, "{:#?}", &log[before..]);
    assert!(log[before].contains(RELOADED) && !log[before].starts_with('{'));
    run.stop();
}

#[test]
fn scrubbing_begins_when_it_is_switched_on() {
    const KEY: &str = "userdata";
    let talos = Talos::new();
    talos.set_conditions(Stage::MachineStageRunning, &[]);
    let agent = configured(&talos, "guestinfo:\n  scrub: false\n");
    let run = Run::start(agent.variable(KEY, "I2Nsb3VkLWNvbmZpZw=="));
    run.logs(&["readable by every process in the guest", KEY], SOON);
    pass(&run, Duration::from_millis(500));
    assert!(run.log_lines(&["blanked: "]).is_empty(), "{:#?}", run.log());
    reload(&run, &talos, "guestinfo:\n  scrub: true\n");
    run.until("a blank variable", SOON, |host, _| {
        let value = host.variable(KEY);
        value
            .is_some_and(|value| value.trim_ascii().is_empty())
            .then_some(())
    });
    run.stop();
}

#[test]
fn the_intervals_count_from_the_next_time_on() {
    /// Between the two intervals, near the longer one: a busy machine may be late.
    const SHORTER: Duration = Duration::from_secs(4);
    let intervals = |seconds: u32| {
        format!("guestinfo:\n  disk_interval: {seconds}s\n  stats_interval: {seconds}s\n")
    };
    let talos = Talos::new();
    talos.set_esxi_storage();
    let run = Run::start(configured(&talos, &intervals(6)));
    run.informed();
    reload(&run, &talos, &intervals(1));
    // The next time was settled before.
    let measured = talos.calls_of(Method::Mounts).len();
    talos
        .wait_calls(Method::Mounts, measured + 1, SOON)
        .unwrap();
    let began = Instant::now();
    talos
        .wait_calls(Method::Mounts, measured + 2, SOON)
        .unwrap();
    assert!(began.elapsed() < SHORTER, "{:?}", began.elapsed());
    run.until_sent("SetGuestInfo  8 ", 3, SOON);
    let sent = run.events();
    let sent: Vec<Duration> = sent
        .iter()
        .filter(|event| matches!(&event.kind, vmx::EventKind::Rpci { message, .. } if message.starts_with("SetGuestInfo  8 ")))
        .map(|event| event.at)
        .collect();
    assert!(sent[2] - sent[0] < 2 * SHORTER, "{sent:?}");
    assert!(sent[1] - sent[0] < SHORTER, "{sent:?}");
    run.stop();
}

#[test]
fn the_power_settings_count_for_the_next_operation() {
    let talos = Talos::new();
    let run = Run::start(configured(&talos, "power:\n  reboot_mode: default\n"));
    run.informed();
    reload(&run, &talos, "power:\n  reboot_mode: powercycle\n");
    run.asked("OS_Reboot");
    let calls = talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    assert_eq!(calls[0].request, "mode=POWERCYCLE");
    run.stop();
}

#[test]
fn settings_for_the_start_stay_as_they_were_and_are_warned_of_until_they_are_back() {
    const START: &str = "host:\n  transport: auto\nsandbox:\n  mode: enforce\n";
    const CHANGED: &str = "host:\n  transport: backdoor\nsandbox:\n  mode: warn\n";
    let talos = Talos::new();
    let run = Run::start(configured(&talos, START).vsock(VsockPolicy::served()));
    run.informed();
    let warnings = || {
        run.log_lines(&["WARN", "host.transport", "sandbox.mode"])
            .len()
    };
    reload(&run, &talos, CHANGED);
    assert_eq!(warnings(), 1);
    // A connection made after it still goes the way that was configured at the start.
    run.host(|host, now| host.resume_elsewhere(now));
    let link = run.until("a new channel", SOON, |host, _| host.tclo_link());
    assert!(matches!(link, Link::Vsock(_)), "{link:?}");
    run.informed();
    // The file still differs from what counts.
    reload(&run, &talos, CHANGED);
    assert_eq!(warnings(), 2);
    reload(&run, &talos, START);
    assert_eq!(warnings(), 2, "{:#?}", run.log());
    run.stop();
}

#[test]
fn after_turning_to_another_talos_the_first_is_left_and_no_longer_believed() {
    let [one, other] = [Talos::new(), Talos::new()];
    other.set_hostname("the-other-one", "");
    let through = |talos: &Talos| {
        let socket = talos.socket_path();
        format!(
            "talos:\n  use_machined: true\n  machined_socket: {}\n",
            socket.display()
        )
    };
    let file = one.folder.write(FILE, &through(&one));
    let run = Run::start(agent().args(["--config"]).args([&file]));
    run.informed();
    reload(&run, &one, &through(&other));
    run.sees("the other's name", SOON, |view| {
        view.host_name.as_deref() == Some("the-other-one")
    });
    let left = one.wait_for(SOON, |one| (one.connection_count() == 0).then_some(()));
    assert!(left.is_some(), "{} connections", one.connection_count());
    let (calls, connections) = (one.call_count(), one.connections_accepted());
    one.set_hostname("the-first-one", "");
    pass(&run, Duration::from_secs(1));
    assert_eq!(
        (one.call_count(), one.connections_accepted()),
        (calls, connections)
    );
    assert!(run.sent("SetGuestInfo  1 the-first-one").is_empty());
    run.stop();
}

#[test]
fn the_talosconfig_that_is_named_last_is_the_one_that_is_watched() {
    const CHANGED: &str = "talosconfig has changed";
    let talos = Talos::tls(TlsOptions::default());
    let (first, second) = (talos.talosconfig_path(), talos.folder.path("second"));
    std::fs::copy(&first, &second).unwrap();
    let naming = |path: &std::path::Path| format!("talos:\n  config: {}\n", path.display());
    let file = talos.folder.write(FILE, &naming(&first));
    let run = Run::start(agent().args(["--config"]).args([&file]));
    run.informed();
    reload(&run, &talos, &naming(&second));

    // The one that was left may do what it likes.
    talos.folder.write("talosconfig", "");
    pass(&run, Duration::from_secs(1));
    assert!(run.log_lines(&[CHANGED]).is_empty(), "{:#?}", run.log());

    // As kubelet: another file under the same name, in one step.
    let connections = talos.connections_accepted();
    talos.reissue(|_| {}).unwrap();
    let fresh = talos.folder.write("fresh", &talos.talosconfig());
    std::fs::rename(fresh, &second).unwrap();
    run.logs(&[CHANGED], SOON);
    let connected = talos.wait_for(SOON, |talos| {
        (talos.connections_accepted() > connections).then_some(())
    });
    assert!(connected.is_some(), "{:#?}", run.log());
    run.stop();
}
