//! vMotion notifications, on virtual time.

use std::time::Duration;

use super::host::{Host, machine_at, ms};
use crate::config::{Forfeit, VmotionConfig, VmwareConfig};
use crate::diagnosis::Outcome;
use crate::facts::{EtcdPart, Facts, MachineType, Stage};
use crate::front_end::Debt;
use crate::log::logged::Logged;
use crate::power::{HandOver, Phase};
use crate::vmware::services::RpciOutcome;

const REGISTER: &str = "vm-operation-notification.register";
const POLL: &str = "vm-operation-notification.check-for-event";
const ACK: &str = "vm-operation-notification.ack-event";
const UNREGISTER: &str = "vm-operation-notification.unregister";
const LOOK: &str = "info-get guestinfo.talos-vmtoolsd.vmotion.token";
const KEEP: &str = "info-set guestinfo.talos-vmtoolsd.vmotion.token";
const SHOWN: &str = "info-set guestinfo.vmtools.talos.vmotion ";

const REGISTERED: &str =
    r#"{"result": true, "uniqueToken": "t1", "notificationTimeoutInSec": 120 }"#;
const OK: &str = r#"{"version":"1.0.0", "result": true }"#;
const START: &str = r#"{"result": true, "eventType": "start", "notificationTimeoutInSec": 120, "destNotificationTimeoutInSec": 60, "operationId": 6279072692702276663 }"#;
const END: &str = r#"{"result": true, "eventType": "end", "opStatus": "success", "operationId": 6279072692702276663 }"#;
const LIMIT: &str = r#"{"result": false, "errorMessage": "vm-operation-notification.register: Failed to register additional apps. Max allowed limit of 1 concurrent apps already registered., please see schema for detail and examples" }"#;
const NOT_ENABLED: &str = r#"{"result": false, "errorMessage": "vm-operation-notification.register: Invalid input: VM operation notification not enabled on this VM, please see schema for detail and examples" }"#;
const NO_TOKEN: &str = r#"{"result": false, "errorMessage": "vm-operation-notification.check-for-event: Invalid input: Could not find application with the token., please see schema for detail and examples" }"#;

const FORFEIT: Forfeit = Forfeit {
    force_reboot: false,
    vmotion: true,
};

fn on() -> VmwareConfig {
    VmwareConfig {
        vmotion: VmotionConfig {
            notify: true,
            period: ms(2000),
        },
        ..VmwareConfig::default()
    }
}

fn yes(text: &str) -> RpciOutcome {
    RpciOutcome::Accepted(text.into())
}

/// A control plane that leads, registered.
fn registered(forfeit: Forfeit) -> Host {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.facts(&part(Some(EtcdPart::Leader)));
    host.pass(ms(1000));
    host.take();
    host.scripted.push_back((REGISTER, yes(REGISTERED)));
    polls(&mut host, &[]);
    host.vmware(on(), forfeit);
    host
}

fn part(part: Option<EtcdPart>) -> Facts {
    Facts {
        etcd_part: part,
        ..machine_at(Stage::Running, true)
    }
}

/// What the next polls bring; nothing after that.
fn polls(host: &mut Host, replies: &[&str]) {
    let is_poll = |start: &str| start == POLL;
    host.scripted.retain(|(start, _)| !is_poll(start));
    for reply in replies {
        host.scripted.push_back((POLL, yes(reply)));
    }
    for _ in 0..2000 {
        host.scripted.push_back((POLL, yes(OK)));
    }
}

/// What is said about this, in order, polls and the token aside.
fn said(host: &mut Host) -> Vec<String> {
    let heard = host.take();
    let about = |line: &&String| {
        let about = ["vm-operation", "vmotion", "! "];
        about.iter().any(|word| line.contains(word)) && !line.contains(POLL)
    };
    let lines = heard.iter().filter(about);
    let lines = lines.map(|line| match line.split_once(" {") {
        Some((command, _)) => command.trim_start_matches("> ").to_owned(),
        None => line.trim_start_matches("> ").replace(r"\x00", ""),
    });
    lines.collect()
}

fn count(host: &mut Host, what: &str) -> usize {
    let heard = host.take();
    heard.iter().filter(|line| line.contains(what)).count()
}

#[test]
fn nothing_is_asked_while_it_is_off_and_the_check_is_silent() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.vmware(VmwareConfig::default(), FORFEIT);
    host.pass(ms(60_000));
    assert!(said(&mut host).is_empty());
    assert!(
        host.services
            .checks()
            .iter()
            .all(|check| check.name != "vmotion")
    );
}

#[test]
fn a_registration_keeps_its_token_and_polls_by_its_period_alone() {
    let mut host = registered(Forfeit::default());
    assert_eq!(
        said(&mut host),
        [
            LOOK,
            REGISTER,
            &format!("{KEEP} t1"),
            &format!("{SHOWN}idle")
        ]
    );
    host.pass(ms(60_000));
    assert_eq!(count(&mut host, POLL), 30);
    let outcome = host
        .services
        .checks()
        .into_iter()
        .find(|check| check.name == "vmotion");
    assert!(matches!(outcome.unwrap().outcome, Outcome::Works(_)));
}

#[test]
fn before_the_reset_of_a_first_session_nothing_is_asked() {
    let mut host = Host::new();
    host.vmware(on(), FORFEIT);
    host.open();
    assert!(said(&mut host).is_empty());
    host.scripted.push_back((REGISTER, yes(REGISTERED)));
    polls(&mut host, &[]);
    host.request(b"reset");
    assert!(said(&mut host).contains(&REGISTER.to_owned()));
}

#[test]
fn with_nothing_to_do_a_migration_is_acknowledged_at_once() {
    let facts = [
        (
            Forfeit::default(),
            Some(EtcdPart::Leader),
            MachineType::ControlPlane,
        ),
        (
            FORFEIT,
            Some(EtcdPart::NotMember),
            MachineType::ControlPlane,
        ),
        (FORFEIT, Some(EtcdPart::Learner), MachineType::ControlPlane),
        (FORFEIT, None, MachineType::Worker),
    ];
    for (forfeit, etcd, machine_type) in facts {
        let mut host = registered(forfeit);
        let mut node = part(etcd);
        node.node.machine_type = Some(machine_type);
        host.facts(&node);
        host.pass(ms(1000));
        host.take();
        polls(&mut host, &[START]);
        host.scripted.push_back((ACK, yes(OK)));
        host.pass(ms(2000));
        assert_eq!(said(&mut host), [ACK, &format!("{SHOWN}migrating")]);
        polls(&mut host, &[END]);
        host.pass(ms(3000));
        assert_eq!(said(&mut host), [format!("{SHOWN}last took 2.0 s")]);
    }
}

#[test]
fn leadership_is_handed_over_before_the_acknowledgement() {
    for (etcd, outcome, words) in [
        (
            Some(EtcdPart::Leader),
            HandOver::Moved("cp2".into()),
            "handed over before",
        ),
        (Some(EtcdPart::Voter), HandOver::NotLeader, ""),
        (None, HandOver::Kept("why".into()), "was not handed over"),
        (None, HandOver::Failed("why".into()), "was not handed over"),
    ] {
        let logged = Logged::new();
        let mut host = registered(FORFEIT);
        host.facts(&part(etcd));
        host.pass(ms(1000));
        host.take();
        polls(&mut host, &[START]);
        host.scripted.push_back((ACK, yes(OK)));
        host.pass(ms(1000));
        let first = said(&mut host);
        assert_eq!(
            first,
            ["! hand over".to_owned(), format!("{SHOWN}migrating")]
        );
        host.handed_over(&outcome);
        assert_eq!(said(&mut host), [ACK]);
        let lines = logged.take();
        let about: Vec<_> = lines
            .iter()
            .filter(|(_, line)| line.contains("handed over"))
            .collect();
        assert_eq!(about.len(), usize::from(!words.is_empty()), "{lines:?}");
        assert!(about.iter().all(|(_, line)| line.contains(words)));
    }
}

#[test]
fn a_hand_over_before_a_reboot_is_none_of_a_migrations() {
    let logged = Logged::new();
    let mut host = registered(FORFEIT);
    host.handed_over(&HandOver::Failed("why".into()));
    let lines = logged.take();
    assert!(!lines.is_empty());
    assert!(!lines.iter().any(|(_, line)| line.contains("leadership")));
}

#[test]
fn an_end_without_an_id_is_that_of_the_migration_under_way() {
    let end = END.replace("6279072692702276663", "\"?\"");
    let mut host = registered(Forfeit::default());
    polls(&mut host, &[START, &end, &end]);
    host.scripted.push_back((ACK, RpciOutcome::Failed));
    host.pass(ms(30_000));
    let said = said(&mut host);
    assert!(
        said.last()
            .is_some_and(|line| line.starts_with(SHOWN) && line.contains("last took")),
        "{said:?}"
    );
}

#[test]
fn a_start_without_an_id_is_warned_of_once_until_its_end() {
    let nameless = |event: &str| event.replace("6279072692702276663", "\"?\"");
    let (start, end) = (nameless(START), nameless(END));
    let mut host = registered(Forfeit::default());
    host.take();
    let logged = Logged::new();
    polls(&mut host, &[&start, &start, &end, &start]);
    host.pass(ms(30_000));
    assert_eq!(count(&mut host, ACK), 0);
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("waits for the full time-out"));
}

#[test]
fn a_talos_that_says_nothing_holds_a_migration_up_for_five_seconds_or_half_of_the_time() {
    for (there, bound) in [(60, 5000), (8, 4000), (1, 500), (0, 0)] {
        let mut host = registered(FORFEIT);
        host.take();
        let start = START.replace("60", &there.to_string());
        polls(&mut host, &[&start]);
        host.scripted.push_back((ACK, yes(OK)));
        host.pass(ms(2000));
        assert_eq!(count(&mut host, ACK), usize::from(bound == 0), "{there}");
        if bound > 0 {
            host.pass(ms(bound) - ms(1));
            assert_eq!(count(&mut host, ACK), 0, "{there}");
            host.pass(ms(1));
            assert_eq!(count(&mut host, ACK), 1, "{there}");
        }
        // A late answer changes nothing, and the next migration asks again.
        host.handed_over(&HandOver::Moved("cp2".into()));
        host.pass(ms(60_000));
        assert_eq!(count(&mut host, ACK), 0);
        let next = START.replace("276663", "276664");
        polls(&mut host, &[&next]);
        host.pass(ms(2000));
        assert!(count(&mut host, "! hand over") == 1, "{there}");
    }
}

#[test]
fn a_second_migration_waits_for_the_same_answer() {
    let mut host = registered(FORFEIT);
    host.take();
    let second = START.replace("276663", "276664");
    polls(&mut host, &[START, START, &second]);
    for _ in 0..2 {
        host.scripted.push_back((ACK, yes(OK)));
    }
    host.pass(ms(2000));
    host.pass(ms(2000));
    assert_eq!(said(&mut host)[0], "! hand over");
    host.handed_over(&HandOver::NotLeader);
    assert_eq!(count(&mut host, ACK), 2);
}

#[test]
fn a_machine_that_goes_hands_nothing_over() {
    let mut host = registered(FORFEIT);
    host.take();
    host.services.handle_phase(&Phase::Stopping, host.now);
    polls(&mut host, &[START]);
    host.scripted.push_back((ACK, yes(OK)));
    host.pass(ms(2000));
    assert_eq!(count(&mut host, ACK), 1);
}

#[test]
fn an_acknowledgement_goes_on_until_it_is_taken_or_of_no_use() {
    let logged = Logged::new();
    let mut host = registered(Forfeit::default());
    host.take();
    polls(&mut host, &[START]);
    let busy = r#"{"result": false, "errorMessage": "busy"}"#;
    for outcome in [
        RpciOutcome::Failed,
        yes(""),
        RpciOutcome::Refused(busy.into()),
        RpciOutcome::TooLong,
        yes(OK),
    ] {
        host.scripted.push_back((ACK, outcome));
    }
    host.pass(ms(10_000));
    assert_eq!(count(&mut host, ACK), 5);
    assert!(logged.warnings().is_empty());
    // It is never taken.
    polls(&mut host, &[&START.replace("276663", "276664")]);
    host.refuses = vec![ACK];
    host.pass(ms(70_000));
    assert!((30..40).contains(&count(&mut host, ACK)));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    host.pass(ms(60_000));
    assert_eq!(count(&mut host, ACK), 0);
}

#[test]
fn an_acknowledgement_that_is_never_taken_is_in_no_others_way() {
    let mut host = registered(Forfeit::default());
    host.take();
    polls(&mut host, &[START, &START.replace("276663", "276664")]);
    host.refuses =
        vec![r#"vm-operation-notification.ack-event {"operationId": 6279072692702276663"#];
    host.scripted.push_back((
        r#"vm-operation-notification.ack-event {"operationId": 6279072692702276664"#,
        yes(OK),
    ));
    host.pass(ms(2000));
    assert_eq!(count(&mut host, "276664"), 1);
    host.pass(ms(2000));
    assert!(count(&mut host, "276663") > 2);
}

#[test]
fn a_host_of_little_patience_is_asked_four_times_in_it() {
    for (timeout, pause) in [(120, 20_000), (20, 5000), (8, 2000), (1, 500), (0, 500)] {
        let mut host = Host::with_node(&machine_at(Stage::Running, true));
        let reply = REGISTERED.replace("120", &timeout.to_string());
        host.scripted.push_back((REGISTER, yes(&reply)));
        polls(&mut host, &[]);
        let mut config = on();
        config.vmotion.period = ms(20_000);
        host.vmware(config, Forfeit::default());
        host.pass(ms(1000));
        host.take();
        host.pass(ms(60_000));
        let asked = count(&mut host, POLL) as u64;
        assert_eq!(asked, 60_000 / pause, "{timeout}");
    }
}

#[test]
fn a_host_that_answers_badly_every_other_time_is_warned_of_every_ten_minutes() {
    let mut host = registered(Forfeit::default());
    let logged = Logged::new();
    polls(&mut host, &["{}", OK].repeat(600));
    host.pass(Duration::from_secs(1190));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn a_repeated_event_is_not_asked_for_without_a_pause() {
    let mut host = registered(Forfeit::default());
    host.take();
    polls(&mut host, &[START; 20]);
    host.pass(ms(10_000));
    let asked = count(&mut host, POLL);
    assert!((5..=8).contains(&asked), "{asked}");
}

#[test]
fn events_that_never_end_are_asked_for_a_few_at_a_time() {
    let mut host = registered(Forfeit::default());
    host.take();
    let ids = (0..1000).map(|id| START.replace("276663", &format!("{id:06}")));
    let alternating: Vec<_> = ids.flat_map(|start| [start, END.to_owned()]).collect();
    let events: Vec<_> = alternating.iter().map(String::as_str).collect();
    polls(&mut host, &events);
    host.pass(ms(10_000));
    let asked = count(&mut host, POLL);
    assert!((20..=45).contains(&asked), "{asked}");
}

#[test]
fn a_token_that_was_left_is_proven_by_the_first_poll() {
    let logged = Logged::new();
    for is_known in [true, false] {
        let mut host = Host::new();
        host.variables
            .insert("talos-vmtoolsd.vmotion.token", b"old".to_vec());
        host.vmware(on(), FORFEIT);
        polls(&mut host, if is_known { &[] } else { &[NO_TOKEN] });
        host.scripted.push_back((REGISTER, yes(REGISTERED)));
        host.connect();
        let polled = host.heard.iter().find(|line| line.contains(POLL)).unwrap();
        assert!(polled.contains("old"), "{polled}");
        let kept = host.variables["talos-vmtoolsd.vmotion.token"].clone();
        let said = said(&mut host);
        assert_eq!(said.contains(&REGISTER.to_owned()), !is_known, "{said:?}");
        assert_eq!(kept, if is_known { &b"old"[..] } else { b"t1" });
    }
    let lines = logged.take();
    assert!(lines.iter().any(|(_, line)| line.contains("taken over")));
}

#[test]
fn a_new_session_polls_at_once_and_keeps_the_registration_unless_it_is_gone() {
    let mut host = registered(Forfeit::default());
    host.pass(ms(500));
    host.take();
    host.lose();
    host.connect();
    assert_eq!(count(&mut host, POLL), 1);
    polls(&mut host, &[NO_TOKEN]);
    host.scripted
        .push_back((REGISTER, yes(&REGISTERED.replace("t1", "t2"))));
    host.request(b"reset");
    let mut found = said(&mut host);
    found.retain(|line| !line.starts_with(SHOWN));
    assert_eq!(found, [REGISTER, &format!("{KEEP} t2")]);
}

#[test]
fn a_refusal_is_logged_once_and_asked_again_after_ten_minutes_and_in_a_new_session() {
    for (reply, remedy, shown) in [
        (
            LIMIT,
            "have the other application unregister",
            "one is the limit",
        ),
        (NOT_ENABLED, "vmOpNotificationToAppEnabled", "not enabled"),
        ("{}", "vmware.log", "makes no sense"),
        ("", "vmware.log", "makes no sense"),
        (r#"{"result": false}"#, "vmware.log", "refuses"),
    ] {
        let logged = Logged::new();
        let mut host = Host::with_node(&machine_at(Stage::Running, true));
        for _ in 0..20 {
            host.scripted.push_back((REGISTER, yes(reply)));
        }
        host.vmware(on(), FORFEIT);
        host.pass(ms(1000));
        let said = said(&mut host);
        assert!(
            said[2].starts_with(&format!("{SHOWN}unavailable: ")),
            "{said:?}"
        );
        assert!(said[2].contains(shown), "{said:?}");
        host.pass(Duration::from_secs(3600));
        assert_eq!(count(&mut host, REGISTER), 6, "{reply}");
        host.request(b"reset");
        assert_eq!(count(&mut host, REGISTER), 1);
        let warnings = logged.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(remedy), "{warnings:?}");
        let checks = host.services.checks();
        let check = checks.iter().find(|check| check.name == "vmotion").unwrap();
        assert!(matches!(check.outcome, Outcome::Fails { .. }));
    }
}

#[test]
fn an_older_host_is_asked_again_in_the_next_session_alone() {
    let logged = Logged::new();
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.refuses = vec!["vm-operation"];
    host.vmware(on(), FORFEIT);
    host.pass(Duration::from_secs(7200));
    assert_eq!(count(&mut host, REGISTER), 1);
    host.request(b"reset");
    assert_eq!(count(&mut host, REGISTER), 1);
    let lines = logged.take();
    let about = |words: &str| {
        lines
            .iter()
            .filter(|(_, line)| line.contains(words))
            .count()
    };
    assert_eq!(about("knows no vMotion"), 1);
    assert!(
        !lines
            .iter()
            .any(|(level, _)| *level <= tracing::Level::WARN)
    );
}

#[test]
fn a_stop_acknowledges_ends_the_registration_and_clears_the_variable() {
    let mut host = registered(FORFEIT);
    host.take();
    polls(&mut host, &[START]);
    host.pass(ms(2000));
    assert_eq!(said(&mut host)[0], "! hand over");
    host.slow = true;
    host.scripted.push_back((ACK, yes(OK)));
    host.scripted.push_back((UNREGISTER, yes(OK)));
    host.hurry();
    let mut order = Vec::new();
    while host.services.debt() == Debt::Message {
        order.extend(said(&mut host));
        host.answer();
    }
    order.retain(|line| !line.starts_with(SHOWN));
    assert_eq!(order, [ACK, UNREGISTER, &format!("{KEEP}  ")]);
}

#[test]
fn a_stop_while_the_registration_is_made_ends_it_too() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.slow = true;
    host.vmware(on(), FORFEIT);
    host.answer();
    assert_eq!(said(&mut host), [LOOK, REGISTER]);
    host.scripted.push_back((REGISTER, yes(REGISTERED)));
    host.scripted.push_back((UNREGISTER, yes(OK)));
    host.hurry();
    assert_eq!(host.services.debt(), Debt::Message);
    while host.services.debt() == Debt::Message {
        host.answer();
    }
    let mut found = said(&mut host);
    found.retain(|line| !line.starts_with(SHOWN));
    assert_eq!(found, [UNREGISTER, &format!("{KEEP}  ")]);
}

#[test]
fn a_stop_keeps_the_token_where_the_host_does_not_end_the_registration() {
    let mut host = registered(FORFEIT);
    host.take();
    host.scripted.push_back((
        UNREGISTER,
        yes(r#"{"result": false, "errorMessage": "busy"}"#),
    ));
    host.hurry();
    assert_eq!(said(&mut host), [UNREGISTER]);
    assert_eq!(host.services.debt(), Debt::None);
}

#[test]
fn switched_off_and_on_it_registers_again() {
    let mut host = registered(FORFEIT);
    host.take();
    host.scripted.push_back((UNREGISTER, yes(OK)));
    host.vmware(VmwareConfig::default(), FORFEIT);
    host.pass(ms(60_000));
    let expected = [UNREGISTER, &format!("{KEEP}  "), &format!("{SHOWN}off")];
    let mut found = said(&mut host);
    found.sort_by_key(|line| expected.iter().position(|expected| line == expected));
    assert_eq!(found, expected);
    host.scripted.push_back((REGISTER, yes(REGISTERED)));
    host.vmware(on(), FORFEIT);
    assert_eq!(said(&mut host)[..2], [LOOK, REGISTER]);
}

#[test]
fn a_host_that_keeps_no_token_is_warned_of_once_and_polled() {
    let logged = Logged::new();
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.refuses = vec![KEEP];
    host.scripted.push_back((REGISTER, yes(REGISTERED)));
    polls(&mut host, &[]);
    host.vmware(on(), FORFEIT);
    host.pass(ms(10_000));
    assert_eq!(count(&mut host, POLL), 6);
    assert_eq!(logged.warnings().len(), 1);
}

#[test]
fn no_token_is_logged() {
    let logged = Logged::new();
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    let reply = REGISTERED.replace("t1", "SECRET-TOKEN");
    host.scripted.push_back((REGISTER, yes(&reply)));
    polls(&mut host, &[START, END, NO_TOKEN]);
    host.vmware(on(), FORFEIT);
    host.pass(ms(30_000));
    let lines = logged.take();
    assert!(!lines.is_empty());
    assert!(!lines.iter().any(|(_, line)| line.contains("SECRET")));
    assert!(!format!("{:?}", host.services).contains("SECRET"));
}
