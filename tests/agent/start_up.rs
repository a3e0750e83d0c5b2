//! From the first instruction to a green node with a name and addresses.

use std::thread;
use std::time::Duration;

use apid::{Apid, Method, OPERATOR, scene};
use vmx::{EventKind, Protocol, Stream, VsockPolicy};

use crate::support::{ADDRESS, Folder, NAME, Run, SOON, Talos, agent_with, pass};

/// What an administrator waits for.
const GREEN: Duration = Duration::from_secs(2);
/// From Talos' arrival to the addresses.
const ARRIVAL: Duration = Duration::from_secs(6);

#[test]
fn green_within_two_seconds_although_talos_never_comes() {
    let folder = Folder::new();
    let run = Run::start(agent_with(folder.path("machine.sock")));
    let started = run.host(|host, _| host.started());
    let at = run.until("green", SOON, |host, now| {
        host.vcenter(now).is_green().then_some(now)
    });
    assert!(at - started < GREEN, "{:?}", at - started);
    run.stop();
}

#[test]
fn a_node_that_is_there_is_shown_with_name_addresses_system_and_power_buttons() {
    let talos = Talos::new();
    let run = Run::start(talos.agent());
    let started = run.host(|host, _| host.started());
    let at = run.until("all of it", SOON, |host, now| {
        let view = host.vcenter(now);
        (view.is_green()
            && view.host_name.as_deref() == Some(NAME)
            && view.ip_address.as_deref() == Some(ADDRESS)
            && view
                .guest_full_name
                .is_some_and(|name| name.contains("v1.13.0"))
            && view.state_change_supported)
            .then_some(now)
    });
    assert!(at - started < GREEN, "{:?}", at - started);
    assert_eq!(run.vcenter().macs(), ["00:50:56:ab:cd:ef"]);
    run.stop();
}

#[test]
fn addresses_within_six_seconds_of_talos_arrival_wherever_the_socket_was_before() {
    // Nothing there; a directory, as a bind mount makes it; a socket that nobody listens on any more.
    let prepare: [fn(&Folder); 3] = [
        |_| {},
        |folder| std::fs::create_dir(folder.path("machine.sock")).unwrap(),
        |folder| drop(std::os::unix::net::UnixListener::bind(folder.path("machine.sock")).unwrap()),
    ];
    thread::scope(|scope| {
        for prepare in prepare {
            scope.spawn(move || {
                let folder = Folder::new();
                prepare(&folder);
                let socket = folder.path("machine.sock");
                let run = Run::start(agent_with(&socket));
                run.green();
                // Long enough for the back-off to grow.
                pass(&run, Duration::from_secs(4));
                if socket.is_dir() {
                    std::fs::remove_dir(&socket).unwrap();
                }
                let talos = Apid::machined(&socket).unwrap();
                scene::single_nic(&talos);
                run.sees("the address", ARRIVAL, |view| {
                    view.ip_address.as_deref() == Some(ADDRESS)
                });
                assert!(run.log().len() < 10, "{:#?}", run.log());
            });
        }
    });
}

#[test]
fn a_restart_of_the_daemon_tells_the_host_everything_again() {
    let talos = Talos::new();
    talos.run().stop();
    let second = talos.run();
    assert_eq!(second.vcenter().host_name.as_deref(), Some(NAME));
}

#[test]
fn a_healthy_start_logs_a_handful_of_lines_on_stderr_and_nothing_on_stdout() {
    let talos = Talos::new();
    let run = talos.run();
    run.stop();
    let log = run.log();
    assert!((3..=8).contains(&log.len()), "{log:#?}");
    assert!(
        log[0].contains("talos-vmtoolsd started") && log[0].contains("ESXi"),
        "{log:#?}"
    );
    assert!(
        run.log_lines(&["ERROR"]).is_empty() && run.log_lines(&["WARN"]).is_empty(),
        "{log:#?}"
    );
    assert_eq!(run.output(Stream::Stdout), [""; 0]);
}

#[test]
fn the_daemon_claims_os_operator_and_nothing_else() {
    let talos = Talos::new();
    let run = talos.run();
    run.asked("OS_Reboot");
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    for call in talos.calls() {
        assert_eq!(call.metadata("talos-role"), [OPERATOR], "{}", call.path);
        for (key, _) in &call.metadata {
            assert!(
                !matches!(key.as_str(), "node" | "nodes"),
                "{}: {key}",
                call.path
            );
        }
    }
}

#[test]
fn no_privilege_is_needed_and_the_machine_is_left_alone() {
    let talos = Talos::new();
    let run = talos.run();
    run.reply("Time_Synchronize 1 0");
    run.stop();
    let stats = run.stats();
    assert_eq!((stats.io_privilege_calls, stats.machine_calls), (0, 0));
    assert_eq!(stats.faulted, 0);
}

#[test]
fn one_channel_a_direction_is_open_while_it_runs() {
    let talos = Talos::new();
    let run = talos.run();
    let open = |protocol| run.host(|host, _| host.open_channels(protocol));
    assert_eq!((open(Protocol::Tclo), open(Protocol::Rpci)), (1, 1));
    let opened = run
        .events()
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Opened { .. }))
        .count();
    // One more for the probe.
    assert!(opened <= 3, "{opened} channels");
}

#[test]
fn at_a_start_and_after_a_lost_channel_no_message_goes_twice() {
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy));
        let last = "info-get guestinfo.ovfenv";
        run.informed();
        run.until_sent(last, 1, SOON);
        pass(&run, Duration::from_secs(2));
        assert_eq!(run.host(|host, _| host.repetitions()), [""; 0]);
        run.host(|host, now| host.close_channels(Some(Protocol::Tclo), now));
        run.until_sent(last, 2, SOON);
        run.green();
        pass(&run, Duration::from_secs(2));
        assert_eq!(run.host(|host, _| host.repetitions()), [""; 0]);
        let names = run.sent("SetGuestInfo  1 ");
        assert_eq!(names.len(), 2, "once each");
    }
}

#[test]
fn a_host_that_resets_nothing_is_sent_everything_after_a_second() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| host.config.greeting = false));
    let names = run.until_sent("SetGuestInfo  1 ", 1, SOON);
    let first = run.sent("info-set guestinfo.vmtools.description")[0].instant;
    let waited = names[0].instant - first;
    assert!(waited >= Duration::from_millis(900), "{waited:?}");
    run.until_sent("SetGuestInfo  10 ", 1, SOON);
}
