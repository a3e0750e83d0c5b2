//! Guest RPC over vsock, and the way back to the backdoor.

use std::time::{Duration, Instant};

use vmx::codec::datamap::Packet;
use vmx::{EventKind, Link, PortPolicy, Protocol, VsockPolicy};

use crate::support::{NAME, Run, SOON, Talos, pass};

/// From the start to green whatever fails with vsock.
const GREEN: Duration = Duration::from_secs(2);

/// Starts, is green in time and tells everything.
fn serves(talos: &Talos, policy: VsockPolicy, context: &str) -> Run {
    let run = Run::start(talos.agent().vsock(policy));
    let started = run.host(|host, _| host.started());
    let at = run.until("green", SOON, |host, now| {
        host.vcenter(now).is_green().then_some(now)
    });
    assert!(
        at - started < GREEN,
        "{context}: green after {:?}",
        at - started
    );
    run.informed();
    run
}

fn over_vsock(run: &Run) -> bool {
    run.host(|host, _| matches!(host.tclo_link(), Some(Link::Vsock(_))))
}

fn rpci_links(run: &Run) -> (usize, usize) {
    let log = run.rpci_log();
    let vsock = log
        .iter()
        .filter(|entry| matches!(entry.link, Link::Vsock(_)))
        .count();
    (vsock, log.len() - vsock)
}

#[test]
fn where_vsock_is_served_it_is_used_for_both_directions_from_a_privileged_port() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    assert!(over_vsock(&run));
    assert_eq!(rpci_links(&run).1, 0, "nothing over the backdoor");
    assert!(run.rpci_log().iter().all(|entry| entry.privileged));
    let source = run.events().into_iter().find_map(|event| match event.kind {
        EventKind::VsockConnect {
            cid: 0,
            port: 976,
            source,
            ..
        } => source,
        _ => None,
    });
    assert_eq!(source, Some(1023));
    run.stop();
}

#[test]
fn a_source_port_in_use_is_passed_over() {
    let talos = Talos::new();
    let policy = VsockPolicy {
        busy_ports: (1015..=1023).collect(),
        ..VsockPolicy::served()
    };
    let run = serves(&talos, policy, "busy ports");
    assert!(run.rpci_log().iter().all(|entry| entry.privileged));
    assert_eq!(rpci_links(&run).1, 0);
}

#[test]
fn without_the_right_to_a_privileged_port_an_ordinary_one_does() {
    let talos = Talos::new();
    let policy = VsockPolicy {
        privileged: Err(nix::libc::EACCES),
        ..VsockPolicy::served()
    };
    let run = serves(&talos, policy, "not privileged");
    assert!(over_vsock(&run));
    assert_eq!(rpci_links(&run).1, 0);
    assert!(run.rpci_log().iter().all(|entry| !entry.privileged));
}

#[test]
fn whatever_fails_with_vsock_the_backdoor_serves_within_2_s() {
    let reset = PortPolicy::Refuse(nix::libc::ECONNRESET);
    let served = VsockPolicy::served();
    let cases = [
        ("EPERM", VsockPolicy::refused(nix::libc::EPERM)),
        (
            "EAFNOSUPPORT",
            VsockPolicy::refused(nix::libc::EAFNOSUPPORT),
        ),
        ("ECONNRESET", VsockPolicy::both(reset)),
        (
            "ENODEV",
            VsockPolicy::both(PortPolicy::Refuse(nix::libc::ENODEV)),
        ),
        ("nobody answers", VsockPolicy::both(PortPolicy::Hang)),
        ("accepted and closed", VsockPolicy::both(PortPolicy::Drop)),
        ("accepted and mute", VsockPolicy::both(PortPolicy::Mute)),
        (
            "TCLO alone",
            VsockPolicy {
                rpci: reset,
                ..served.clone()
            },
        ),
        (
            "RPCI alone",
            VsockPolicy {
                tclo: reset,
                ..served.clone()
            },
        ),
        (
            "TCLO hangs",
            VsockPolicy {
                tclo: PortPolicy::Hang,
                ..served.clone()
            },
        ),
        (
            "RPCI hangs",
            VsockPolicy {
                rpci: PortPolicy::Hang,
                ..served
            },
        ),
    ];
    // All at once: they wait more than they work.
    std::thread::scope(|scope| {
        for (context, policy) in cases {
            scope.spawn(move || {
                let talos = Talos::new();
                let run = serves(&talos, policy, context);
                assert!(run.log().len() < 15, "{context}: {:#?}", run.log());
                run.stop();
            });
        }
    });
}

#[test]
fn each_direction_falls_back_by_itself() {
    let reset = PortPolicy::Refuse(nix::libc::ECONNRESET);
    let talos = Talos::new();
    let run = serves(
        &talos,
        VsockPolicy {
            rpci: reset,
            ..VsockPolicy::served()
        },
        "TCLO alone",
    );
    assert!(over_vsock(&run));
    assert_eq!(rpci_links(&run).0, 0);
    let run = serves(
        &talos,
        VsockPolicy {
            tclo: reset,
            ..VsockPolicy::served()
        },
        "RPCI alone",
    );
    assert!(!over_vsock(&run));
    assert_eq!(rpci_links(&run).1, 0);
}

#[test]
fn a_sandbox_that_refuses_vsock_is_asked_once_for_each_direction_and_for_the_own_one() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::refused(nix::libc::EPERM), "EPERM");
    run.host(|host, now| host.resume_elsewhere(now));
    run.informed();
    run.asked("reset");
    let asked = run
        .events()
        .iter()
        .filter(|event| matches!(event.kind, EventKind::VsockSocket(_)))
        .count();
    assert!(asked <= 3, "{asked} times");
}

#[test]
fn life_is_shown_by_a_ping_every_second_and_by_nothing_else() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    pass(&run, Duration::from_millis(300));
    let before = run.stats();
    run.host(|host, _| host.forget_silence());
    pass(&run, Duration::from_millis(3500));
    let after = run.stats();
    let pings = after.liveness - before.liveness;
    assert!((3..=5).contains(&pings), "{pings} in 3.5 s");
    assert_eq!(
        after.backdoor_exits(),
        before.backdoor_exits(),
        "the backdoor rests"
    );
    assert!(run.host(|host, now| host.longest_silence(now)) < Duration::from_millis(1800));
    assert!(run.vcenter().is_green());
}

#[test]
fn requests_and_large_ones_are_answered_over_vsock() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    let mut option = b"Set_Option key ".to_vec();
    option.resize(65536, b'x');
    assert_eq!(run.reply(option), "OK ");
    assert_eq!(run.tools_state(SOON).unwrap().error, 0);
    assert_eq!(run.reply("OS_PowerOn"), "OK ");
    assert_eq!(run.reply("nothing\0"), "ERROR Unknown Command");
    assert!(over_vsock(&run));
}

#[test]
fn a_vsock_connection_that_breaks_is_green_again_within_a_second_and_a_half() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    for protocol in [Some(Protocol::Tclo), None] {
        let lost = Instant::now();
        run.host(|host, now| host.close_channels(protocol, now));
        let took = run.until("another greeting", SOON, |host, _| {
            host.events()
                .iter()
                .find(|event| matches!(event.kind, EventKind::Greeted(_)) && event.instant > lost)
                .map(|event| event.instant - lost)
        });
        assert!(took < Duration::from_millis(1500), "{took:?}");
        run.green();
    }
    run.host(|host, now| host.close_channels(Some(Protocol::Rpci), now));
    talos.set_hostname("after-the-break", "");
    // After short sessions guest information waits until one has held for 5 s.
    run.sees("the name", Duration::from_secs(7), |view| {
        view.host_name.as_deref() == Some("after-the-break")
    });
}

#[test]
fn a_vsock_that_goes_away_under_the_daemon_leaves_the_backdoor() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    run.host(|host, now| {
        host.config.vsock = VsockPolicy::both(PortPolicy::Refuse(nix::libc::ECONNRESET));
        host.close_channels(None, now);
    });
    run.until(
        "TCLO over the backdoor",
        Duration::from_secs(3),
        |host, _| matches!(host.tclo_link(), Some(Link::Backdoor(_))).then_some(()),
    );
    run.informed();
    assert_eq!(run.vcenter().host_name.as_deref(), Some(NAME));
}

#[test]
fn packets_that_are_none_end_the_connection_and_not_the_daemon() {
    for bytes in [
        // A length beyond reason.
        vec![0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1],
        // An entry of no type; a string longer than its packet.
        vec![0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 2],
        vec![0, 0, 0, 12, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0xff, 0xff],
        b"GET / HTTP/1.0\r\n\r\n".to_vec(),
    ] {
        let talos = Talos::new();
        let run = serves(&talos, VsockPolicy::served(), "served");
        let before = Instant::now();
        run.host(|host, _| host.vsock_raw(Protocol::Tclo, bytes.clone()));
        run.until("another greeting", SOON, |host, _| {
            host.events()
                .iter()
                .find(|event| matches!(event.kind, EventKind::Greeted(_)) && event.instant > before)
                .map(|_| ())
        });
        run.host(|host, _| host.vsock_raw(Protocol::Rpci, bytes.clone()));
        talos.set_hostname("after-the-rubbish", "");
        run.sees("the name", SOON, |view| {
            view.host_name.as_deref() == Some("after-the-rubbish")
        });
    }
}

#[test]
fn an_empty_packet_of_the_host_is_tolerated() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    let ping = Packet {
        kind: 2,
        payload: None,
        fast_close: false,
    };
    run.host(|host, _| host.vsock_raw(Protocol::Tclo, ping.encode()));
    assert_eq!(run.reply("ping"), "OK ");
    assert!(over_vsock(&run));
}

#[test]
fn the_transport_can_be_chosen() {
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .args(["--transport", "backdoor"])
            .vsock(VsockPolicy::served()),
    );
    run.informed();
    assert!(!over_vsock(&run));
    let touched = |event: &vmx::Event| matches!(event.kind, EventKind::VsockSocket(_));
    assert!(!run.events().iter().any(touched), "vsock is left alone");
    run.stop();

    let run = Run::start(
        talos
            .agent()
            .args(["--transport=vsock"])
            .vsock(VsockPolicy::served()),
    );
    run.informed();
    assert!(over_vsock(&run));
    // It alone: no fall-back, no end, and back when it is back.
    run.host(|host, now| {
        host.config.vsock = VsockPolicy::both(PortPolicy::Refuse(nix::libc::ECONNRESET));
        host.close_channels(None, now);
    });
    let exits = run.stats().backdoor_exits();
    pass(&run, Duration::from_secs(2));
    assert_eq!(run.stats().backdoor_exits(), exits);
    assert!(run.log().len() < 20, "{:#?}", run.log());
    run.host(|host, _| host.config.vsock = VsockPolicy::served());
    run.green();
    run.stop();
}

#[test]
fn rpci_that_falls_mute_moves_to_the_backdoor_while_life_goes_on() {
    let talos = Talos::new();
    let run = serves(&talos, VsockPolicy::served(), "served");
    run.host(|host, now| {
        host.forget_silence();
        host.config.vsock.rpci = PortPolicy::Mute;
        host.close_channels(Some(Protocol::Rpci), now);
    });
    // Its messages find their way before the reply goes out, and nobody waits for long.
    assert_eq!(run.reply("Capabilities_Register"), "OK ");
    talos.set_hostname("muted", "");
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("muted")
    });
    assert!(over_vsock(&run), "TCLO stays");
    assert!(rpci_links(&run).1 > 0, "RPCI has moved");
    let silence = run.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_secs(2), "{silence:?}");
}
