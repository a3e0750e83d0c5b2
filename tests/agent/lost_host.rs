//! Channels that the host closes, moves, or stops serving.

use std::time::{Duration, Instant};

use apid::{MachineType, Stage};
use vmx::{EventKind, Link, PortPolicy, Protocol, Times, VsockPolicy};

use crate::support::{ADDRESS, NAME, Run, SOON, Talos, pass};

/// From a lost channel to green.
const BACK: Duration = Duration::from_millis(1500);

fn opened(run: &Run, protocol: Protocol) -> usize {
    let is = |event: &&vmx::Event| matches!(event.kind, EventKind::Opened { protocol: of, .. } if of == protocol);
    run.events().iter().filter(is).count()
}

/// Waits for the next greeting after `since`, and says how long it took.
fn greeted_again(run: &Run, since: Instant) -> Duration {
    run.until("another greeting", SOON, |host, _| {
        host.events()
            .iter()
            .find(|event| matches!(event.kind, EventKind::Greeted(_)) && event.instant > since)
            .map(|event| event.instant - since)
    })
}

#[test]
fn a_lost_tclo_channel_is_green_again_within_a_second_and_a_half() {
    let talos = Talos::new();
    let run = talos.run();
    for _ in 0..2 {
        let lost = Instant::now();
        run.host(|host, now| host.close_channels(Some(Protocol::Tclo), now));
        let took = greeted_again(&run, lost);
        assert!(took < BACK, "{took:?}");
        run.green();
    }
    assert_eq!(run.reply("ping"), "OK ");
}

#[test]
fn a_lost_rpci_channel_is_opened_again_for_the_next_message() {
    let talos = Talos::new();
    let run = talos.run();
    let before = opened(&run, Protocol::Rpci);
    run.host(|host, now| host.close_channels(Some(Protocol::Rpci), now));
    talos.set_hostname("after-the-loss", "");
    run.sees("the name", Duration::from_secs(1), |view| {
        view.host_name.as_deref() == Some("after-the-loss")
    });
    assert_eq!(opened(&run, Protocol::Rpci), before + 1);
    assert_eq!(run.sent("SetGuestInfo  1 after-the-loss").len(), 1);
}

#[test]
fn after_a_migration_the_other_host_gets_everything() {
    let talos = Talos::new();
    let run = talos.run();
    let before = [
        "SetGuestInfo  1 ",
        "SetGuestInfo  7 ",
        "SetGuestInfo  10 ",
        "SetGuestInfo  11 ",
    ]
    .map(|prefix| (prefix, run.sent(prefix).len()));
    let moved = Instant::now();
    run.host(|host, now| host.resume_elsewhere(now));
    assert!(greeted_again(&run, moved) < BACK);
    for (prefix, before) in before {
        run.until_sent(prefix, before + 1, SOON);
    }
    run.until_sent("tools.set.versiontype", 2, SOON);
    run.informed();
    let view = run.vcenter();
    assert_eq!(
        (view.host_name.as_deref(), view.ip_address.as_deref()),
        (Some(NAME), Some(ADDRESS))
    );
}

#[test]
fn a_request_lost_with_its_channel_is_answered_on_the_next_when_asked_again() {
    let talos = Talos::new();
    let run = talos.run();
    for _ in 0..5 {
        run.ask("Capabilities_Register");
        run.host(|host, now| host.close_channels(None, now));
        run.green();
    }
    assert_eq!(run.reply("ping"), "OK ");
}

#[test]
fn a_dead_port_is_asked_fewer_than_200_times_a_second_and_logged_in_few_lines() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, now| host.dead_port(true, now));
    let before = run.stats().backdoor_exits();
    let measured = Instant::now();
    pass(&run, Duration::from_secs(3));
    let rate = (run.stats().backdoor_exits() - before) as f64 / measured.elapsed().as_secs_f64();
    assert!(rate < 200.0, "{rate} accesses a second");
    assert!(run.log().len() <= 24, "{:#?}", run.log());
    // What happens meanwhile is not lost.
    talos.set_hostname("meanwhile", "");
    let served = Instant::now();
    run.host(|host, now| host.dead_port(false, now));
    greeted_again(&run, served);
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("meanwhile")
    });
}

#[test]
fn a_backdoor_that_begins_to_fault_does_not_crash_the_daemon() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, now| host.restrict_backdoor(true, now));
    let before = run.stats().faulted;
    let measured = Instant::now();
    pass(&run, Duration::from_secs(2));
    let rate = (run.stats().faulted - before) as f64 / measured.elapsed().as_secs_f64();
    assert!(rate < 200.0, "{rate} accesses a second");
    assert_eq!(run.host(|host, _| host.exit_status()), None);
    assert!(run.log().len() <= 24, "{:#?}", run.log());
    run.host(|host, now| host.restrict_backdoor(false, now));
    run.green();
    run.stop();
}

#[test]
fn a_tclo_channel_that_cannot_be_reopened_is_tried_with_a_back_off() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, now| {
        host.refuse_open(Protocol::Tclo, Times::Forever);
        host.close_channels(Some(Protocol::Tclo), now);
    });
    let refusals = |run: &Run| {
        run.events()
            .iter()
            .filter(|event| matches!(event.kind, EventKind::OpenRefused(Protocol::Tclo)))
            .count()
    };
    pass(&run, Duration::from_secs(3));
    let tried = refusals(&run);
    assert!((2..=30).contains(&tried), "{tried} times in 3 s");
    talos.set_hostname("without-tclo", "");
    run.host(|host, _| host.refuse_open(Protocol::Tclo, Times::Count(0)));
    run.green();
    run.sees("what happened meanwhile", SOON, |view| {
        view.host_name.as_deref() == Some("without-tclo")
    });
}

#[test]
fn a_host_that_falls_silent_is_polled_on_without_a_line() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, _| host.silent(true));
    let lines = run.log().len();
    pass(&run, Duration::from_secs(1));
    assert_eq!(run.log().len(), lines);
    assert!(run.vcenter().is_green());
    run.host(|host, _| host.silent(false));
    assert_eq!(run.reply("ping"), "OK ");
}

#[test]
fn of_the_commands_to_a_host_that_is_gone_one_alone_is_tried() {
    /// The times that one command opens a channel: with the cookie flag and without it.
    const OPENS: usize = 2;
    let talos = Talos::new();
    let run = talos.run();
    run.until_sent("info-set guestinfo.vmtools.talos.nodeName", 1, SOON);
    // Nothing may be on its way when the host goes.
    let mut sent = 0;
    while run.rpci_log().len() > sent {
        sent = run.rpci_log().len();
        pass(&run, Duration::from_millis(500));
    }
    let refused = |run: &Run, protocol: Protocol| {
        let events = run.events();
        let refusals = events
            .iter()
            .filter(|event| matches!(event.kind, EventKind::OpenRefused(of) if of == protocol));
        refusals.count()
    };
    run.host(|host, now| {
        for protocol in [Protocol::Tclo, Protocol::Rpci] {
            host.refuse_open(protocol, Times::Forever);
        }
        host.close_channels(None, now);
    });
    run.logs(&["lost the host", "channel=tclo"], SOON);
    // So much at once that several commands wait.
    talos.set_hostname("meanwhile", "");
    talos.set_node_name("meanwhile");
    talos.set_machine_type(MachineType::Worker);
    talos.set_address("eth0", "10.5.0.51/24");
    talos.set_extension(3, "meanwhile", "v1");
    talos.set_conditions(Stage::MachineStageBooting, &["meanwhile"]);
    run.until("a command that fails", SOON, |host, _| {
        let mut events = host.events().iter();
        events
            .any(|event| matches!(event.kind, EventKind::OpenRefused(Protocol::Rpci)))
            .then_some(())
    });
    pass(&run, Duration::from_secs(1));
    let tried = refused(&run, Protocol::Rpci);
    assert!((1..=OPENS).contains(&tried), "{tried} channels");
    // And nothing of it is lost.
    run.host(|host, _| {
        for protocol in [Protocol::Tclo, Protocol::Rpci] {
            host.refuse_open(protocol, Times::Count(0));
        }
    });
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("meanwhile")
    });
    run.until_sent(
        "info-set guestinfo.vmtools.talos.machineType worker",
        1,
        SOON,
    );
    run.stop();
}

#[test]
fn a_host_that_starts_afresh_is_tried_over_vsock_again_however_often_that_had_failed() {
    /// OPENs over the backdoor, of which a command makes two between its attempts over vsock. What is remembered of
    /// so many failures would hold for a minute.
    const REFUSED: usize = 12;
    let talos = Talos::new();
    let agent = talos
        .agent()
        .vsock(VsockPolicy::both(PortPolicy::Refuse(nix::libc::ECONNRESET)));
    let run = Run::start(agent.host(|host| host.refuse_open(Protocol::Rpci, Times::Forever)));
    run.until("failures of both", SOON, |host, _| {
        let events = host.events().iter();
        let refused =
            events.filter(|event| matches!(event.kind, EventKind::OpenRefused(Protocol::Rpci)));
        (refused.count() >= REFUSED).then_some(())
    });
    run.host(|host, _| host.refuse_open(Protocol::Rpci, Times::Count(0)));
    run.informed();
    run.host(|host, now| {
        host.config.vsock = VsockPolicy::served();
        host.resume_elsewhere(now);
    });
    run.informed();
    // A failure of the last few seconds stands; each channel that is opened after them is a new choice.
    let began = Instant::now();
    while !run
        .rpci_log()
        .iter()
        .any(|entry| matches!(entry.link, Link::Vsock(_)))
    {
        assert!(began.elapsed() < SOON / 2, "{:#?}", run.log());
        run.host(|host, now| host.close_channels(Some(Protocol::Rpci), now));
        let sent = run.rpci_log().len();
        talos.set_hostname(&format!("try-{sent}"), "");
        run.until("the name", SOON, |host, _| {
            (host.rpci_log().len() > sent).then_some(())
        });
        pass(&run, Duration::from_millis(250));
    }
    run.stop();
}
