//! The process: how it stops, reloads, and what it needs around it.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use apid::{Method, TlsOptions};
use nix::sys::signal::Signal;
use vmx::{
    By, EventKind, Link, PortPolicy, Profile, Protocol, Sandbox, Vmx, VmxBuilder, VsockPolicy,
};

use crate::support::{Run, SOON, Talos, agent, agent_with, binary, pass};

/// Stops within a second, exit 0, every channel closed by the guest.
fn stops(run: &Run, signal: Signal) {
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

/// Whether namespaces and other users may be had; without root they may not.
fn may_sandbox() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    assert!(
        root || std::env::var("CI").as_deref() != Ok("true"),
        "sandboxes need root, and nothing may be skipped in CI"
    );
    if !root {
        eprintln!("*** SKIPPED: a sandbox needs root ***");
    }
    root
}

#[test]
fn it_runs_as_process_1_with_an_empty_environment_a_read_only_root_and_no_tmp() {
    if !may_sandbox() {
        return;
    }
    // Talos' container: the binary, machined's socket, and nothing that can be written. The socket comes by a
    // bind mount, as there; /tmp is hidden unless the binary itself is in it.
    let talos = Talos::new();
    let folder = talos.socket_path().parent().unwrap().to_owned();
    let hidden = if binary().starts_with("/tmp") {
        Vec::new()
    } else {
        vec!["/tmp".into()]
    };
    let run = Run::start(agent_with("/mnt/machine.sock").cwd("/").sandbox(Sandbox {
        pid_namespace: true,
        read_only: true,
        binds: vec![(folder, "/mnt".into())],
        hidden,
        ..Sandbox::default()
    }));
    run.informed();
    run.asked("OS_Reboot");
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    stops(&run, Signal::SIGTERM);
}

#[test]
fn it_needs_no_privileges() {
    if !may_sandbox() {
        return;
    }
    // Neither root nor any capability, as in an extension's container.
    let talos = Talos::new();
    let all = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(talos.socket_path(), all).unwrap();
    let copy = talos.folder.path("talos-vmtoolsd");
    std::fs::copy(binary(), &copy).unwrap();
    let run = Run::start(
        Vmx::builder(&copy)
            .args(["vmtoolsd", "--use-machined", "--machined-socket"])
            .args([talos.socket_path()])
            .sandbox(Sandbox {
                user: Some(65534),
                ..Sandbox::default()
            }),
    );
    run.informed();
    assert_eq!(run.stats().io_privilege_calls, 0);
    stops(&run, Signal::SIGTERM);
}

/// The agent, started by a shell after these commands.
fn after(talos: &Talos, commands: &str) -> VmxBuilder {
    let script = format!(
        "{commands} exec {} vmtoolsd --use-machined --machined-socket {}",
        binary().display(),
        talos.socket_path().display()
    );
    Vmx::builder("/bin/sh").args(["-c", &script]).inherit_env()
}

#[test]
fn stderr_that_nobody_reads_costs_log_lines_and_nothing_else() {
    let talos = Talos::new();
    // Many more lines than fit.
    let run = Run::start(talos.agent().args(["--log-level=trace"]).unread_stderr());
    run.informed();
    assert_eq!(run.reply("ping"), "OK ");
    run.asked("OS_Reboot");
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    run.sees("status 1", SOON, |view| {
        view.power.iter().any(|status| status.success)
    });
    assert!(run.vcenter().is_green());
    assert_eq!(run.log(), [""; 0], "nobody has read anything");
    run.read_stderr();
    run.asked("ping");
    let line = run.logs(&["WARN", "log lines were dropped"], SOON);
    let (_, dropped) = line.rsplit_once("dropped=").unwrap();
    assert!(dropped.parse::<u32>().unwrap() > 10, "{line}");
    for line in run.log() {
        let (time, _) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "a line is whole: {line}");
    }
    run.stop();
}

#[test]
fn it_stops_although_nobody_reads_stderr() {
    let talos = Talos::new();
    let quiet = talos.agent().args(["--log-level=trace"]).unread_stderr();
    let run = Run::start(quiet);
    run.informed();
    run.signal(Signal::SIGTERM);
    let within = Duration::from_secs(1);
    let status = run.until("the end", within, |host, _| host.exit_status());
    assert!(status.success(), "{status}");
}

#[test]
fn signals_that_the_parent_has_blocked_are_heard() {
    let talos = Talos::new();
    let run = Run::start(
        Vmx::builder("env")
            .args(["--block-signal=TERM", "--block-signal=HUP"])
            .args([binary()])
            .args(["vmtoolsd", "--use-machined", "--machined-socket"])
            .args([talos.socket_path()])
            .inherit_env(),
    );
    run.informed();
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    stops(&run, Signal::SIGTERM);
}

#[test]
fn process_1_leaves_no_zombies_of_the_orphans_that_it_inherits() {
    if !may_sandbox() {
        return;
    }
    let talos = Talos::new();
    // One that ends before the agent starts, or nearly, and one that ends later.
    let run = Run::start(after(&talos, "true & sleep 1 &").sandbox(Sandbox {
        pid_namespace: true,
        ..Sandbox::default()
    }));
    run.informed();
    let children = || {
        let path = format!("/proc/{0}/task/{0}/children", run.pid());
        std::fs::read_to_string(path).unwrap()
    };
    let deadline = Instant::now() + SOON;
    while !children().trim().is_empty() {
        assert!(Instant::now() < deadline, "left: {}", children());
        pass(&run, Duration::from_millis(20));
    }
    stops(&run, Signal::SIGTERM);
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_raised_or_named_in_one_line() {
    if !may_sandbox() {
        return;
    }
    let talos = Talos::new();
    let all = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(talos.socket_path(), all).unwrap();
    let copy = talos.folder.path("talos-vmtoolsd");
    std::fs::copy(binary(), &copy).unwrap();
    let started = |limit: &str| {
        let script = format!(
            "ulimit {limit}; exec {} vmtoolsd --use-machined --machined-socket {}",
            copy.display(),
            talos.socket_path().display()
        );
        // Whoever has no capability cannot raise a hard limit.
        let sandbox = Sandbox {
            user: Some(65534),
            ..Sandbox::default()
        };
        let builder = Vmx::builder("/bin/sh").args(["-c", &script]);
        Run::start(builder.sandbox(sandbox))
    };
    for limit in [5, 6, 8, 10, 12, 14, 16, 24, 32] {
        let run = started(&format!("-n {limit}"));
        let status = run.wait_exit(SOON).unwrap();
        assert_eq!(
            status.code(),
            Some(1),
            "{limit}: {status}, {:#?}",
            run.log()
        );
        let log = run.log();
        assert_eq!(log.len(), 1, "{limit}: {log:#?}");
        let words = ["ERROR", "RLIMIT_NOFILE", &limit.to_string(), "ulimit -n"];
        assert!(words.iter().all(|word| log[0].contains(word)), "{log:#?}");
    }
    for limit in ["-S -n 8", "-n 64"] {
        let run = started(limit);
        run.informed();
        stops(&run, Signal::SIGTERM);
    }
}

#[test]
fn half_of_the_open_files_that_are_asked_for_are_enough() {
    let talos = Talos::tls(TlsOptions::default());
    let config = talos.folder.write("config.yaml", "log: {level: info}\n");
    let agent = talos.agent().args(["--config"]).args([config]);
    let run = Run::start(agent.vsock(VsockPolicy::served()));
    run.informed();
    let open = || {
        let folder = std::fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap();
        folder.count()
    };
    let before = open();
    assert!(before <= 32, "{before}");
    // Nothing is left over of connections that are made again.
    run.host(|host, now| host.resume_elsewhere(now));
    talos.reissue(|_| {}).unwrap();
    talos.write_talosconfig();
    run.logs(&["talosconfig has changed"], SOON);
    talos.set_hostname("again", "");
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("again")
    });
    assert!(open() <= before + 2, "{} after {before}", open());
    run.stop();
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
