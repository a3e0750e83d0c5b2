//! Another agent of the same node registers under the same name, and the host takes the channel from us.

use std::time::Duration;

use vmx::{EventKind, VsockPolicy};

use crate::support::{Run, SOON, Talos, pass};

/// How often the channel was greeted so far.
fn sessions(run: &Run) -> usize {
    let events = run.events();
    let greeted = |event: &&vmx::Event| matches!(event.kind, EventKind::Greeted(_));
    events.iter().filter(greeted).count()
}

#[test]
fn a_second_agent_is_named_in_one_warning_and_left_alone_for_longer_and_longer() {
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        for after in [Duration::ZERO, Duration::from_millis(500)] {
            let talos = Talos::new();
            let run = Run::start(talos.agent().vsock(policy.clone()));
            run.informed();
            let before = run.log().len();
            run.host(|host, _| host.rival(Some(after)));
            let warning = run.logs(&["WARN", "second guest agent", "remedy"], SOON);
            pass(&run, Duration::from_secs(8));
            assert!(sessions(&run) <= 12, "{} sessions", sessions(&run));
            let log = run.log().split_off(before);
            assert_eq!(run.log_lines(&["WARN"]), [warning], "{log:#?}");
            assert!(log.len() <= 12, "{log:#?}");
            let told = run.sent("SetGuestInfo  10 ").len();
            assert!(told <= 2, "the network was told {told} times");
        }
    }
}

#[test]
fn requests_in_short_sessions_are_answered_and_guest_information_follows_once_one_has_held() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, _| host.rival(Some(Duration::from_millis(700))));
    run.until("three more sessions", SOON, |host, _| {
        let greeted = |event: &&vmx::Event| matches!(event.kind, EventKind::Greeted(_));
        (host.events().iter().filter(greeted).count() >= 4).then_some(())
    });
    talos.set_hostname("meanwhile", "");
    let answered = (0..20).any(|_| {
        let ping = run.ask("ping");
        run.until("a reply, or its loss", SOON, |host, _| {
            let exchange = host.exchange_of(ping)?;
            let answered = exchange.replied.is_some();
            (answered || exchange.lost).then_some(answered)
        })
    });
    assert!(answered, "no short session answers");
    let told = |name: &str| run.sent(&format!("SetGuestInfo  1 {name}")).len();
    assert_eq!(told("meanwhile"), 0);
    run.host(|host, _| host.rival(None));
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("meanwhile")
    });
    assert!(run.vcenter().is_green());
}
