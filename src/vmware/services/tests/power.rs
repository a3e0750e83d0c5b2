//! One reply, one status, one call: power operations are never lost and never done twice.

use super::host::{Host, ms, node};
use crate::power::PowerOperation::{Reboot, Shutdown};
use crate::power::PowerOutcome::{Accepted, DidNotHappen, NotFollowed, Rejected};

fn host() -> Host {
    Host::with_node(&node("cp1", &["10.0.0.5"]))
}

#[test]
fn the_reply_comes_at_once_and_the_status_when_talos_has_spoken() {
    for (request, operation, status) in [
        (
            &b"OS_Halt"[..],
            Shutdown,
            r"> tools.os.statechange.status 1 1\x00",
        ),
        (
            b"OS_Reboot\0",
            Reboot,
            r"> tools.os.statechange.status 1 2\x00",
        ),
    ] {
        let mut host = host();
        assert_eq!(
            host.ask(request),
            ["< OK ".to_owned(), format!("! {operation:?}")]
        );
        host.pass(ms(20_000));
        assert_eq!(host.take(), Vec::<String>::new());
        assert_eq!(host.ask(b"ping"), ["< OK "]);
        host.power(operation, Accepted);
        assert_eq!(host.take(), [status]);
    }
}

#[test]
fn a_refused_operation_is_reported_and_the_next_request_sent_anew() {
    let mut host = host();
    host.request(b"OS_Reboot");
    host.take();
    host.power(Reboot, Rejected("no permission".into()));
    assert_eq!(host.take(), [r"> tools.os.statechange.status 0 2\x00"]);
    assert_eq!(host.ask(b"OS_Reboot"), ["< OK ", "! Reboot"]);
}

#[test]
fn a_repeated_request_is_answered_but_not_sent_again() {
    let mut host = host();
    host.request(b"OS_Halt");
    host.take();
    assert_eq!(host.ask(b"OS_Halt"), ["< OK ", "! Shutdown again"]);
    host.power(Shutdown, Accepted);
    let status = r"> tools.os.statechange.status 1 1\x00";
    assert_eq!(host.take(), [status, status], "one for each request");
    let mut heard = host.ask(b"OS_Halt");
    heard.sort();
    assert_eq!(heard, ["! Shutdown again", "< OK ", status]);
}

#[test]
fn repeated_requests_share_a_bad_outcome_too() {
    let mut host = host();
    host.request(b"OS_Halt");
    host.request(b"OS_Halt");
    host.take();
    host.power(Shutdown, Rejected("deadline".into()));
    let status = r"> tools.os.statechange.status 0 1\x00";
    assert_eq!(host.take(), [status, status]);
}

#[test]
fn another_operation_has_to_wait_for_the_one_under_way() {
    let mut host = host();
    host.request(b"OS_Reboot");
    for request in [&b"OS_Halt"[..], b"OS_PowerOn", b"OS_Suspend"] {
        assert_eq!(
            host.ask(request),
            ["< ERROR State change already in progress"]
        );
    }
    host.power(Reboot, Accepted);
    assert_eq!(host.take(), [r"> tools.os.statechange.status 1 2\x00"]);
    assert_eq!(host.ask(b"OS_Halt"), ["< OK ", "! Shutdown"]);
    assert_eq!(
        host.ask(b"OS_Halt"),
        ["< OK ", "! Shutdown again"],
        "each operation has its own story"
    );
}

#[test]
fn an_accepted_operation_that_did_not_happen_can_be_asked_for_again() {
    let mut host = host();
    host.request(b"OS_Reboot");
    host.power(Reboot, Accepted);
    host.take();
    host.power(Reboot, DidNotHappen("sequence is locked".into()));
    assert_eq!(
        host.take(),
        Vec::<String>::new(),
        "its status has been sent"
    );
    assert_eq!(host.ask(b"OS_Reboot"), ["< OK ", "! Reboot"]);
    host.power(Reboot, Accepted);
    assert_eq!(host.take(), [r"> tools.os.statechange.status 1 2\x00"]);
}

#[test]
fn what_concerns_the_hypervisor_alone_is_done_at_once() {
    let mut host = host();
    assert_eq!(
        host.ask(b"OS_PowerOn"),
        ["< OK ", r"> tools.os.statechange.status 1 3\x00"]
    );
    assert_eq!(
        host.ask(b"OS_Suspend"),
        ["< OK ", r"> tools.os.statechange.status 1 5\x00"]
    );
    let heard = host.ask(b"OS_Resume");
    assert_eq!(heard[0], "< OK ");
    assert!(heard.contains(&r"> tools.os.statechange.status 1 4\x00".to_owned()));
    for start in [
        "> SetGuestInfo  1 ",
        "> SetGuestInfo  10 ",
        "> SetGuestInfo  11 ",
    ] {
        assert!(heard.iter().any(|line| line.starts_with(start)), "{start}");
    }
}

#[test]
fn a_status_is_repeated_until_the_channel_took_it_and_then_no_more() {
    let mut host = host();
    host.request(b"OS_Halt");
    host.deaf = true;
    host.take();
    host.power(Shutdown, Accepted);
    host.pass(ms(5000));
    let status = r"> tools.os.statechange.status 1 1\x00";
    let tries = host.take();
    assert!((4..=10).contains(&tries.len()), "{tries:?}");
    assert!(tries.iter().all(|line| line == status));
    host.deaf = false;
    host.pass(ms(2000));
    assert_eq!(host.take(), [status]);
    host.pass(ms(10_000));
    assert_eq!(host.take(), Vec::<String>::new());
}

#[test]
fn a_new_connection_gets_a_waiting_status_at_once() {
    let mut host = host();
    host.request(b"OS_Halt");
    host.deaf = true;
    host.power(Shutdown, Accepted);
    host.pass(ms(9000));
    host.deaf = false;
    host.take();
    host.open();
    let status = r"> tools.os.statechange.status 1 1\x00".to_owned();
    assert_eq!(
        host.take().iter().filter(|line| **line == status).count(),
        1
    );
}

/// The statuses among what was said.
fn statuses(heard: Vec<String>) -> Vec<String> {
    let is_status = |line: &String| line.starts_with("> tools.os.");
    heard.into_iter().filter(is_status).collect()
}

#[test]
fn a_status_that_did_not_get_out_before_a_suspend_is_not_sent_after_the_resume() {
    for new_channel in [true, false] {
        let mut host = host();
        host.deaf = true;
        host.request(b"OS_Suspend");
        host.pass(ms(50));
        host.sleep(ms(60_000));
        host.deaf = false;
        host.take();
        if new_channel {
            host.connect();
        }
        host.request(b"OS_Resume");
        host.pass(ms(5000));
        assert_eq!(
            statuses(host.take()),
            [r"> tools.os.statechange.status 1 4\x00"],
            "new channel: {new_channel}"
        );
    }
}

#[test]
fn a_reset_makes_old_statuses_untrue() {
    for (request, lasts) in [
        (&b"OS_PowerOn"[..], false),
        (b"OS_Suspend", false),
        (b"OS_Halt", true),
    ] {
        for (age, in_time) in [(9000, true), (11_000, false)] {
            let mut host = host();
            host.deaf = true;
            host.request(request);
            host.power(Shutdown, Accepted);
            host.pass(ms(age));
            host.deaf = false;
            host.take();
            host.request(b"reset");
            host.pass(ms(5000));
            let sent = statuses(host.take()).len();
            assert_eq!(sent, usize::from(lasts && in_time), "{age}");
        }
    }
}

#[test]
fn a_refused_status_is_not_repeated() {
    let mut host = host();
    host.refuses = vec!["tools.os"];
    assert_eq!(host.ask(b"OS_PowerOn").len(), 2);
    host.pass(ms(10_000));
    assert_eq!(host.take(), Vec::<String>::new());
}

#[test]
fn an_accepted_operation_that_nobody_follows_any_more_is_sent_again_and_answered_by_what_comes_of_it()
 {
    let mut host = host();
    host.request(b"OS_Halt");
    host.power(Shutdown, Accepted);
    host.take();
    host.power(Shutdown, NotFollowed);
    assert_eq!(host.take(), Vec::<String>::new());
    assert_eq!(host.ask(b"OS_Halt"), ["< OK ", "! Shutdown"]);
    host.power(Shutdown, Rejected("locked".into()));
    assert_eq!(host.take(), [r"> tools.os.statechange.status 0 1\x00"]);
}

const READ: &str = "> info-get guestinfo.talos-vmtoolsd.shutdown";

/// A host whose administrator may have set the variable.
fn with_policy(value: Option<&str>) -> Host {
    let mut host = host();
    host.services.set_host_policy(true);
    if let Some(value) = value {
        let key = "talos-vmtoolsd.shutdown";
        host.variables.insert(key, value.as_bytes().to_vec());
    }
    host
}

#[test]
fn the_administrators_word_makes_an_operation_quicker_and_anything_else_leaves_it_as_it_is() {
    for (value, press) in [
        (Some("force"), "! Shutdown now"),
        (Some(" force\n"), "! Shutdown now"),
        (Some("force\0"), "! Shutdown now"),
        (Some("Force"), "! Shutdown"),
        (Some("forced"), "! Shutdown"),
        (Some("\u{1b}[2J"), "! Shutdown"),
        (Some(""), "! Shutdown"),
        (Some(" "), "! Shutdown"),
        (None, "! Shutdown"),
    ] {
        let logged = crate::log::logged::Logged::new();
        let mut host = with_policy(value);
        assert_eq!(host.ask(b"OS_Halt"), ["< OK ", READ, press], "{value:?}");
        let warnings = logged.warnings();
        let is_odd = value.is_some_and(|value| {
            !value.contains("force") && !value.trim().is_empty() || value == "forced"
        });
        assert_eq!(warnings.len(), usize::from(is_odd), "{warnings:?}");
        assert!(!warnings.concat().contains('\u{1b}'), "{warnings:?}");
        assert_eq!(host.ask(b"OS_Halt"), ["< OK ", "! Shutdown again"], "once");
    }
}

#[test]
fn a_host_that_does_not_answer_delays_an_operation_by_a_second_and_loses_none() {
    let mut host = with_policy(Some("force"));
    host.slow = true;
    assert_eq!(host.ask(b"OS_Halt"), ["< OK ", READ]);
    assert_eq!(host.ask(b"OS_Halt"), ["< OK "]);
    host.pass(ms(999));
    assert_eq!(host.take(), [""; 0]);
    host.pass(ms(1));
    assert_eq!(host.take(), ["! Shutdown", "! Shutdown again"]);
    host.power(Shutdown, Accepted);
    // The channel breaks, or the process ends.
    let mut host = with_policy(Some("force"));
    host.deaf = true;
    assert_eq!(host.ask(b"OS_Reboot"), ["< OK ", READ, "! Reboot"]);
    let mut host = with_policy(Some("force"));
    host.slow = true;
    host.ask(b"OS_Reboot");
    host.services.hurry(host.now);
    host.wake();
    assert!(host.take().contains(&"! Reboot".to_owned()));
}
