//! A host that answers late, closes what is idle, reads nothing, or has no channel left.

use std::time::Duration;

use vmx::codec::datamap::Packet;
use vmx::{By, EventKind, Link, Protocol, VsockPolicy};

use crate::support::{Run, SOON, Talos, pass};

/// Both transports.
fn policies() -> [VsockPolicy; 2] {
    [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ]
}

/// Waits until the channels of a protocol were closed so often in all.
fn closed(run: &Run, protocol: Protocol, by: By, count: usize) {
    run.until("closed channels", SOON, |host, _| {
        let events = host.events().iter();
        let closed = events.filter(|event| {
            matches!(event.kind, EventKind::Closed { protocol: of, by: who, .. }
                if of == protocol && who == by)
        });
        (closed.count() >= count).then_some(())
    });
}

/// Waits until vCenter shows this name.
fn named(run: &Run, name: &str) {
    run.sees(name, SOON, |view| view.host_name.as_deref() == Some(name));
}

#[test]
fn rpci_replies_that_take_their_time_arrive_and_requests_do_not_wait_for_them() {
    for policy in policies() {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy));
        run.informed();
        run.host(|host, _| host.slow_rpci(Duration::from_millis(700)));
        talos.set_hostname("slowly", "");
        named(&run, "slowly");
        talos.set_hostname("still-slowly", "");
        let ping = run.asked("ping");
        let told = run.sent("SetGuestInfo  1 still-slowly").len();
        assert!(told <= 1 && ping.latency().unwrap() < Duration::from_secs(1));
        named(&run, "still-slowly");
        assert_eq!(
            run.sent("SetGuestInfo  1 slowly").len(),
            1,
            "sent once more"
        );
        // On the backdoor the command may have got lost, so it goes twice.
        run.host(|host, _| host.slow_rpci(Duration::from_secs(3)));
        talos.set_hostname("very-slowly", "");
        named(&run, "very-slowly");
        talos.set_hostname("at-last", "");
        named(&run, "at-last");
        assert!(run.sent("SetGuestInfo  1 very-slowly").len() <= 2);
        assert_eq!(run.log_lines(&["refused"]), [""; 0]);
    }
}

#[test]
fn an_rpci_reply_after_the_time_out_is_not_taken_for_the_next_one() {
    for policy in policies() {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy));
        run.informed();
        // What else a start sends must not wait for these replies.
        pass(&run, Duration::from_secs(1));
        // A reply with text means that the host does not have the name.
        run.host(|host, _| {
            host.answer(
                "SetGuestInfo  1 late",
                *b"1 not updated",
                vmx::Times::Count(1),
            );
            host.slow_rpci(Duration::from_millis(5_500));
        });
        talos.set_hostname("late", "");
        run.until_sent("SetGuestInfo  1 late", 1, SOON);
        run.until_sent("SetGuestInfo  1 late", 2, SOON);
        run.host(|host, _| host.slow_rpci(Duration::ZERO));
        named(&run, "late");
        assert_eq!(run.log_lines(&["not updated"]), [""; 0]);
        assert_eq!(run.reply("ping"), "OK ");
    }
}

#[test]
fn channels_that_the_host_closes_when_idle_are_opened_again_without_a_word() {
    for policy in policies() {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy));
        run.informed();
        let before = run.log();
        run.host(|host, _| host.close_idle(Some(Duration::from_millis(300))));
        for round in 1..=3 {
            closed(&run, Protocol::Rpci, By::Host, round);
            let name = format!("round-{round}");
            talos.set_hostname(&name, "");
            named(&run, &name);
        }
        assert_eq!(run.log(), before);
    }
}

#[test]
fn a_start_that_meets_the_channels_of_a_killed_agent_opens_others() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| {
        let now = host.started();
        host.stale_channels(Protocol::Tclo, 1, now);
        host.stale_channels(Protocol::Rpci, 3, now);
    }));
    run.informed();
    run.stop();
}

#[test]
fn a_host_without_a_channel_to_spare_is_named_and_served_once_it_has_one() {
    for (stale, refused) in [(127, "rpci"), (128, "tclo")] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().host(move |host| {
            let now = host.started();
            host.stale_channels(Protocol::Rpci, stale, now);
        }));
        let channel = format!("channel={refused}");
        run.logs(&["cannot reach the host this way", &channel], SOON);
        run.host(|host, _| host.drop_stale_channels());
        run.informed();
        assert!(run.log().len() < 20, "{:#?}", run.log());
    }
}

#[test]
fn a_vsock_that_the_host_does_not_read_is_left_for_a_new_connection() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().vsock(VsockPolicy::served()));
    run.informed();
    let memory = run.rss_kib().unwrap();
    let requests = Packet::data(*b"ping").encode().repeat(5_000);
    run.host(|host, _| {
        host.leave_unread(Protocol::Tclo, true);
        host.vsock_raw(Protocol::Tclo, requests);
    });
    run.logs(&["the host has read nothing for"], SOON);
    let grown = run.rss_kib().unwrap().saturating_sub(memory);
    assert!(grown < 1_024, "{grown} KiB more");
    closed(&run, Protocol::Tclo, By::Guest, 1);
    run.host(|host, _| host.leave_unread(Protocol::Tclo, false));
    run.until("a greeting of another connection", SOON, |host, _| {
        let link = host.tclo_link()?;
        (link != Link::Vsock(0) && host.greeting_done()).then_some(())
    });
    assert_eq!(run.reply("ping"), "OK ");
}
