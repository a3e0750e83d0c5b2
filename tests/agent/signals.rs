//! Signals: how it stops and reloads.

use std::time::{Duration, Instant};

use apid::Method;
use nix::sys::signal::Signal;
use vmx::{By, EventKind, Link, PortPolicy, Profile, Protocol, VsockPolicy};

use crate::support::{Run, SOON, Talos, agent, pass};

/// Stops within a second, exit 0, every channel closed by the guest.
pub(crate) fn stops(run: &Run, signal: Signal) {
    let asked = Instant::now();
    run.signal(signal);
    let status = run.wait_exit(SOON).unwrap();
    let took = asked.elapsed();
    assert!(status.success(), "{signal}: ended with {status}");
    assert!(took < Duration::from_secs(1), "{signal}: {took:?}");
    let open = left_open(run);
    assert!(open.is_empty(), "{signal}: left open: {open:?}");
}

/// The channels of the backdoor that the guest has opened and not closed. A vsock connection is closed by the
/// kernel with the process, whatever that does, and the host may hear of it a moment later.
fn left_open(run: &Run) -> Vec<Link> {
    let mut open = Vec::new();
    for event in run.events() {
        match event.kind {
            EventKind::Opened {
                link: link @ Link::Backdoor(_),
                ..
            } => open.push(link),
            EventKind::Closed { link, by, .. } => {
                assert_eq!(by, By::Guest);
                open.retain(|other| *other != link);
            }
            _ => {}
        }
    }
    open
}

#[test]
fn sigterm_and_sigint_stop_it_within_a_second_with_the_channels_closed() {
    let talos = Talos::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for policy in [
            VsockPolicy::refused(nix::libc::EPERM),
            VsockPolicy::served(),
        ] {
            let run = Run::start(talos.agent().vsock(policy));
            run.informed();
            stops(&run, signal);
        }
    }
}

#[test]
fn it_stops_as_fast_while_talos_hangs_and_a_power_call_is_under_way() {
    let talos = Talos::new();
    let run = talos.run();
    talos.hang();
    run.asked("OS_Halt");
    run.asked("reset");
    stops(&run, Signal::SIGTERM);
}

#[test]
fn it_stops_as_fast_while_the_host_does_not_answer() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, now| host.dead_port(true, now));
    pass(&run, Duration::from_millis(500));
    run.stop();
    let run = Run::start(talos.agent().profile(Profile::VmwareNoBackdoor));
    run.logs(&["started"], SOON);
    run.stop();
}

/// Generous, for a loaded machine; the bound of a second is held on virtual time, in `daemon::core`.
const BOUND: Duration = Duration::from_secs(3);

#[test]
fn it_stops_soon_while_rpci_is_mute_on_vsock() {
    let talos = Talos::new();
    let policy = VsockPolicy {
        rpci: PortPolicy::Mute,
        ..VsockPolicy::served()
    };
    let run = Run::start(talos.agent().args(["--transport=vsock"]).vsock(policy));
    // Capabilities_Register waits for commands that get no answer.
    run.tolerate("took");
    run.until("a greeting", SOON, |host, _| {
        host.greeting_done().then_some(())
    });
    run.asked("OS_Halt");
    talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    let asked = Instant::now();
    run.signal(Signal::SIGTERM);
    assert!(run.wait_exit(SOON).unwrap().success());
    assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
}

#[test]
fn the_status_of_an_operation_that_talos_has_just_accepted_gets_out_before_the_end() {
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy));
        run.informed();
        run.ask("OS_Halt");
        talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
        let asked = Instant::now();
        run.signal(Signal::SIGTERM);
        assert!(run.wait_exit(SOON).unwrap().success());
        assert!(asked.elapsed() < BOUND, "{:?}", asked.elapsed());
        let statuses = run.sent("tools.os.statechange.status 1 1");
        assert_eq!(statuses.len(), 1, "{:?}", run.vcenter().power);
    }
}

#[test]
fn sighup_reads_the_configuration_again() {
    let talos = Talos::new();
    let config = talos.folder.write("config.yaml", "log:\n  level: info\n");
    let run = Run::start(talos.agent().args(["--config"]).args([&config]));
    run.informed();
    assert!(run.log_lines(&["DEBUG"]).is_empty());

    talos.folder.write(
        "config.yaml",
        "log:\n  level: debug\npower:\n  deadline: 1s\n",
    );
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    run.asked("Set_Option a b");
    run.logs(&["DEBUG"], SOON);

    // The new deadline counts.
    talos.stop();
    let pressed = Instant::now();
    run.asked("OS_Halt");
    run.sees("status 0", Duration::from_secs(5), |view| {
        view.power.iter().any(|status| !status.success)
    });
    assert!(pressed.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_bad_file_at_sighup_changes_nothing_and_is_logged() {
    let talos = Talos::new();
    let config = talos
        .folder
        .write("config.yaml", "power:\n  reboot_mode: powercycle\n");
    let run = Run::start(talos.agent().args(["--config"]).args([&config]));
    run.informed();
    for bad in [
        "power:\n  reboot_mode: sideways\n",
        "log:\n  colour: true\n",
        "log: [\n",
    ] {
        let before = run
            .log_lines(&["ERROR", "keeping the previous configuration"])
            .len();
        talos.folder.write("config.yaml", bad);
        run.signal(Signal::SIGHUP);
        run.until("an error in the log", SOON, |host, _| {
            let lines = host.output(vmx::Stream::Stderr);
            let errors = lines
                .iter()
                .filter(|line| line.contains("keeping the previous configuration"))
                .count();
            (errors > before).then_some(())
        });
    }
    assert!(!run.log_lines(&["line 3"]).is_empty() || !run.log_lines(&["line 2"]).is_empty());
    run.asked("OS_Reboot");
    let calls = talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    assert_eq!(calls[0].request, "mode=POWERCYCLE");
    run.stop();
}

#[test]
fn the_channels_are_not_disturbed_by_sighup() {
    let talos = Talos::new();
    let run = talos.run();
    let before = run.host(|host, _| host.open_channels(Protocol::Tclo));
    let connections = talos.connections_accepted();
    for _ in 0..3 {
        run.signal(Signal::SIGHUP);
    }
    run.logs(&["configuration reloaded"], SOON);
    assert_eq!(run.reply("ping"), "OK ");
    assert_eq!(
        run.host(|host, _| host.open_channels(Protocol::Tclo)),
        before
    );
    assert_eq!(talos.connections_accepted(), connections);
}

#[test]
fn sighup_can_turn_to_another_talos() {
    let [one, other] = [Talos::new(), Talos::new()];
    other.set_hostname("the-other-one", "");
    let text = |talos: &Talos| {
        let socket = talos.socket_path();
        format!(
            "talos:\n  use_machined: true\n  machined_socket: {}\n",
            socket.display()
        )
    };
    let config = one.folder.write("config.yaml", &text(&one));
    let run = Run::start(agent().args(["--config"]).args([&config]));
    run.informed();
    one.folder.write("config.yaml", &text(&other));
    run.signal(Signal::SIGHUP);
    run.sees("the other's name", SOON, |view| {
        view.host_name.as_deref() == Some("the-other-one")
    });
    run.asked("OS_Reboot");
    other.wait_calls(Method::Reboot, 1, SOON).unwrap();
    assert!(one.calls_of(Method::Reboot).is_empty());
    run.stop();
}
