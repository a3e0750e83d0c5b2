//! The process and what is around it: process 1, privileges, limits, and a log that nobody reads.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use apid::{Method, TlsOptions};
use nix::sys::signal::Signal;
use vmx::{Sandbox, Stream, Vmx, VmxBuilder, VsockPolicy};

use crate::signals::stops;
use crate::support::{Run, SOON, Talos, agent_with, binary, copy_binary, pass};

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

/// A copy of the binary that a user without any rights may run, and the same for the socket.
fn for_nobody(talos: &Talos) -> PathBuf {
    let all = PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(talos.socket_path(), all).unwrap();
    let copy = talos.folder.path("talos-vmtoolsd");
    copy_binary(&copy);
    copy
}

#[test]
fn it_needs_no_privileges() {
    if !may_sandbox() {
        return;
    }
    // Neither root nor any capability, as in an extension's container.
    let talos = Talos::new();
    let copy = for_nobody(&talos);
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
    // A reader makes room bit by bit, and each time the next line says how many are missing before it.
    run.until("many dropped lines", SOON, |host, _| {
        let lines = host.output(Stream::Stderr).into_iter();
        let dropped = lines.filter_map(|line| {
            let (_, dropped) = line
                .rsplit_once("log lines were dropped")?
                .1
                .rsplit_once("dropped=")?;
            dropped.parse::<u32>().ok()
        });
        (dropped.sum::<u32>() > 100).then_some(())
    });
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
    let copy = for_nobody(&talos);
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
