//! vMotion notifications: the host says that it migrates the machine, and waits for an acknowledgement.

use std::time::{Duration, Instant};

use apid::Status;
use apid::{MachineType, Method, Stage, scene};
use nix::sys::signal::Signal;
use vmx::{Operation, Stream, Times, VmOperations, Vmx, VmxBuilder};

use crate::support::{Run, SOON, Talos, binary, pass};

const TOKEN: &str = "talos-vmtoolsd.vmotion.token";
const COMMANDS: &str = "vm-operation-notification.";
const ON: &str = "vmware: {vmotion: {notify: true, period: 500ms}}\n";
const FILE: &str = "config.yaml";

/// A running control plane.
fn node() -> Talos {
    Talos::with(|apid| {
        scene::single_nic(apid);
        apid.set_machine_type(MachineType::ControlPlane);
        apid.set_stage(Stage::MachineStageRunning, true);
    })
}

/// Its agent with these settings, under a host that gives notice like this.
fn configured(talos: &Talos, settings: &str, host: VmOperations) -> VmxBuilder {
    let file = talos.folder.write(FILE, settings);
    let agent = talos.agent().args(["--config"]).args([file]);
    agent.host(move |seen| *seen.vm_operations_mut() = host)
}

fn start(talos: &Talos) -> Run {
    let run = Run::start(configured(talos, ON, VmOperations::enabled()));
    registered(&run);
    run
}

/// Waits for a registration whose token is kept; gives the token.
fn registered(run: &Run) -> String {
    run.until("a registration", SOON, |host, _| {
        let token = host.vm_operations().app()?.token.clone();
        (host.variable(TOKEN).as_ref() == Some(&token)).then_some(token)
    })
}

fn begin(run: &Run) -> u64 {
    run.host(|host, now| host.vm_operations_mut().start(now))
}

fn end(run: &Run, id: u64, status: &str) {
    run.host(|host, _| host.vm_operations_mut().end(id, status));
}

fn acked(run: &Run, id: u64) -> Operation {
    run.until("an acknowledgement", SOON, |host, _| {
        let operation = host.vm_operations().operation(id)?;
        operation.acked.map(|_| operation.clone())
    })
}

/// Waits until the guest variable says something that begins so.
fn shows(run: &Run, what: &str) -> String {
    run.until(what, SOON, |host, _| {
        let shown = host.variable("vmtools.talos.vmotion")?;
        shown.starts_with(what).then_some(shown)
    })
}

/// What the next agent in the same machine finds.
fn left(run: &Run) -> (VmOperations, Option<String>) {
    run.host(|host, _| (host.vm_operations().clone(), host.variable(TOKEN)))
}

#[test]
fn a_migration_is_shown_acknowledged_at_once_and_timed() {
    let talos = node();
    let run = start(&talos);
    shows(&run, "idle");
    let id = begin(&run);
    let operation = acked(&run, id);
    let seen = operation.seen.unwrap() - operation.since;
    let waited = operation.acked.unwrap() - seen;
    assert!(waited < Duration::from_millis(200), "{waited:?}");
    shows(&run, "migrating");
    run.logs(&["a migration begins", &id.to_string()], SOON);
    // The machine is on another host, with the registration.
    run.host(|host, now| host.resume_elsewhere(now));
    end(&run, id, "success");
    let shown = shows(&run, "last took ");
    assert!(shown.ends_with(" s"), "{shown}");
    run.logs(&["the migration is over", "success"], SOON);
    let id = begin(&run);
    acked(&run, id);
    end(&run, id, "failure");
    shows(&run, "last failed after ");
    run.logs(&["WARN", "the migration failed", "failure"], SOON);
    assert_eq!(run.sent(&format!("{COMMANDS}register")).len(), 1);
    run.stop();
}

#[test]
fn events_that_wait_are_fetched_one_after_the_other_without_a_pause() {
    let talos = node();
    let slow = "vmware: {vmotion: {notify: true, period: 30s}}\n";
    let run = Run::start(configured(&talos, slow, VmOperations::enabled()));
    registered(&run);
    let (first, change) = run.host(|host, now| {
        let host = host.vm_operations_mut();
        let first = host.start(now);
        host.end(first, "success");
        (first, host.change_timeout(60, now))
    });
    // A new session is a reason to ask.
    run.host(|host, now| host.resume_elsewhere(now));
    let operation = acked(&run, first);
    assert_eq!(operation.acks, 1);
    acked(&run, change);
    run.logs(
        &["changed how long it waits before a migration", "60"],
        SOON,
    );
    run.stop();
}

#[test]
fn a_clean_stop_ends_the_registration_and_clears_the_variable() {
    let talos = node();
    let run = start(&talos);
    run.stop();
    let (host, variable) = left(&run);
    assert_eq!(host.app(), None);
    assert_eq!(variable.as_deref(), Some(" "));
    // Nothing is taken over from that.
    let next = Run::start(configured(&talos, ON, host).variable(TOKEN, " "));
    registered(&next);
    assert!(next.log_lines(&["taken over"]).is_empty());
    next.stop();
}

#[test]
fn an_agent_that_was_killed_leaves_its_registration_to_the_next() {
    let talos = node();
    let run = start(&talos);
    let token = registered(&run);
    run.signal(Signal::SIGKILL);
    drop(run.wait_exit(SOON));
    let (mut host, variable) = left(&run);
    assert_eq!(variable.as_ref(), Some(&token));
    // A migration begins while there is no agent.
    let id = host.start(Instant::now());
    let next = Run::start(configured(&talos, ON, host).variable(TOKEN, token.clone()));
    assert!(acked(&next, id).is_in_time());
    next.logs(
        &["the registration of an earlier agent is taken over"],
        SOON,
    );
    assert_eq!(registered(&next), token);
    assert!(next.sent(&format!("{COMMANDS}register")).is_empty());
    next.stop();
    assert_eq!(left(&next).0.app(), None);
}

#[test]
fn a_token_that_the_host_does_not_know_is_replaced() {
    let talos = node();
    for left in ["gone", "\"}, {\"", &"x".repeat(4000)] {
        let agent = configured(&talos, ON, VmOperations::enabled());
        let run = Run::start(agent.variable(TOKEN, left));
        let token = registered(&run);
        // And again, while it runs.
        run.host(|host, _| host.vm_operations_mut().forget());
        run.until("another registration", SOON, |host, _| {
            (host.variable(TOKEN)? != token).then_some(())
        });
        let id = begin(&run);
        acked(&run, id);
        run.stop();
    }
}

#[test]
fn a_host_that_refuses_is_spoken_of_once_with_the_remedy() {
    for with_status in [false, true] {
        let talos = node();
        let mut host = VmOperations::default();
        host.refuses_with_status = with_status;
        let run = Run::start(configured(&talos, ON, host));
        let words = [
            "WARN",
            "no notice of migrations",
            "vmOpNotificationToAppEnabled",
        ];
        run.logs(&words, SOON);
        shows(&run, "unavailable: not enabled");
        pass(&run, Duration::from_secs(2));
        assert_eq!(run.sent(COMMANDS).len(), 1);
        // Another session, or the administrator's signal, is a reason to ask again; not one to log it again.
        run.host(|host, now| host.resume_elsewhere(now));
        run.until_sent(COMMANDS, 2, SOON);
        assert_eq!(run.log_lines(&words).len(), 1);
        run.host(|host, _| host.vm_operations_mut().is_enabled = true);
        run.signal(Signal::SIGHUP);
        registered(&run);
        shows(&run, "idle");
        run.stop();
    }
}

#[test]
fn another_application_that_has_the_one_registration_is_named_in_the_log_and_left_alone() {
    let talos = node();
    let mut host = VmOperations::enabled();
    host.occupy("database");
    let run = Run::start(configured(&talos, ON, host));
    run.logs(&["WARN", "one is the limit", "unregister"], SOON);
    shows(&run, "unavailable: another application");
    run.stop();
    assert_eq!(left(&run).0.app().unwrap().name, "database");
}

#[test]
fn an_older_host_is_asked_once_a_session_and_nothing_is_to_be_done() {
    let talos = node();
    let mut host = VmOperations::default();
    host.is_known = false;
    let run = Run::start(configured(&talos, ON, host));
    run.logs(&["INFO", "knows no vMotion notifications"], SOON);
    pass(&run, Duration::from_secs(1));
    assert_eq!(run.sent(COMMANDS).len(), 1);
    run.host(|host, now| {
        *host.vm_operations_mut() = VmOperations::enabled();
        host.resume_elsewhere(now);
    });
    registered(&run);
    assert!(run.log_lines(&["WARN"]).is_empty(), "{:#?}", run.log());
    run.stop();
}

#[test]
fn nothing_is_asked_unless_it_is_switched_on_and_a_reload_switches_it() {
    let talos = node();
    let run = Run::start(configured(&talos, "", VmOperations::enabled()));
    run.informed();
    pass(&run, Duration::from_millis(500));
    assert!(run.sent(COMMANDS).is_empty());
    assert!(run.sent(&format!("info-get guestinfo.{TOKEN}")).is_empty());
    talos.folder.write(FILE, ON);
    run.signal(Signal::SIGHUP);
    let token = registered(&run);
    talos.folder.write(FILE, "");
    run.signal(Signal::SIGHUP);
    run.until("no registration", SOON, |host, _| {
        let is_clear = host.variable(TOKEN).as_deref() == Some(" ");
        (host.vm_operations().app().is_none() && is_clear).then_some(())
    });
    shows(&run, "off");
    let polls = run.sent(COMMANDS).len();
    pass(&run, Duration::from_secs(1));
    assert_eq!(run.sent(COMMANDS).len(), polls);
    talos.folder.write(FILE, ON);
    run.signal(Signal::SIGHUP);
    assert_ne!(registered(&run), token);
    run.stop();
}

#[test]
fn garbage_of_the_host_disturbs_nothing() {
    let talos = node();
    let run = start(&talos);
    run.host(|host, _| {
        let host = host.vm_operations_mut();
        for reply in [
            "",
            "{",
            "[]",
            r#"{"result": "yes"}"#,
            r#"{"result": true, "eventType": "start"}"#,
            r#"{"result": true, "eventType": [], "operationId": 1.5}"#,
            r#"{"result": true, "eventType": "quake", "operationId": 18446744073709551615}"#,
            r#"{"result": true, "eventType": "end", "operationId": 7, "opStatus": 3}"#,
        ] {
            host.queue(reply);
        }
    });
    let id = begin(&run);
    assert!(acked(&run, id).is_in_time());
    let ack = format!("{COMMANDS}ack-event {{\"operationId\": 18446744073709551615, ");
    assert!(
        !run.sent(&ack).is_empty(),
        "what is not known is acknowledged"
    );
    assert_eq!(run.log_lines(&["WARN", "makes no sense"]).len(), 1);
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}

#[test]
fn an_acknowledgement_that_was_not_taken_is_repeated() {
    let talos = node();
    let run = start(&talos);
    let ack = format!("{COMMANDS}ack-event");
    run.host(|host, _| {
        let busy = br#"0 {"version":"1.0.0", "result": false, "errorMessage": "busy"}"#;
        host.answer(ack.clone(), *b"1 ", Times::Count(1));
        host.answer(ack.clone(), *busy, Times::Count(2));
    });
    let id = begin(&run);
    acked(&run, id);
    assert!(run.sent(&ack).len() >= 3);
    run.stop();
}

#[test]
fn leadership_is_handed_over_before_the_acknowledgement_and_a_follower_keeps_still() {
    let talos = node();
    talos.set_etcd(3, 0);
    talos.set_api_servers(&["10.5.0.2", "10.5.0.3", "10.5.0.4"]);
    let settings = format!("{ON}power: {{etcd: {{forfeit: [vmotion]}}}}\n");
    let run = Run::start(configured(&talos, &settings, VmOperations::enabled()));
    registered(&run);
    let forfeited = || talos.calls_of(Method::EtcdForfeitLeadership);
    let first = begin(&run);
    let operation = acked(&run, first);
    let calls = forfeited();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].roles, ["os:admin"]);
    let waited = operation.acked.unwrap();
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    run.logs(
        &[
            "leadership of etcd handed over before a migration",
            "talos-cp-2",
        ],
        SOON,
    );
    end(&run, first, "success");
    let second = begin(&run);
    acked(&run, second);
    assert_eq!(forfeited().len(), 1);
    // A member is missing: it leads again, and keeps that.
    talos.set_etcd_leader(1);
    talos.set_api_servers(&["10.5.0.2", "10.5.0.3"]);
    end(&run, second, "success");
    let third = begin(&run);
    acked(&run, third);
    run.logs(
        &["WARN", "was not handed over before a migration", "2 of 3"],
        SOON,
    );
    assert_eq!(forfeited().len(), 1);
    // Nor does a refusal of Talos hold anything up.
    talos.set_api_servers(&["10.5.0.2", "10.5.0.3", "10.5.0.4"]);
    let denied = Status::permission_denied("not authorized");
    talos.fail_next(Method::EtcdForfeitLeadership, &denied, 1);
    end(&run, third, "success");
    let fourth = begin(&run);
    acked(&run, fourth);
    run.logs(&["was not handed over before a migration", "denies"], SOON);
    run.stop();
}

#[test]
fn a_talos_that_is_silent_holds_a_migration_up_for_no_longer_than_the_bound() {
    let talos = node();
    let settings = format!("{ON}power: {{etcd: {{forfeit: [vmotion]}}}}\n");
    let mut host = VmOperations::enabled();
    host.timeout_there = 6;
    let run = Run::start(configured(&talos, &settings, host));
    registered(&run);
    talos.stop();
    let id = begin(&run);
    let operation = acked(&run, id);
    let waited = operation.acked.unwrap();
    assert!(waited < Duration::from_millis(4500), "{waited:?}");
    let polls = run.output(Stream::Stderr);
    assert!(polls.iter().any(|line| line.contains("a migration begins")));
    run.stop();
}

#[test]
fn check_asks_who_is_registered_and_registers_nothing() {
    let talos = node();
    let mut occupied = VmOperations::enabled();
    occupied.occupy("database");
    for (host, words) in [
        (VmOperations::enabled(), "the host takes a registration"),
        (occupied, "database is registered, and one is the limit"),
        (VmOperations::default(), "vmOpNotificationToAppEnabled"),
    ] {
        let before = host.app().cloned();
        let check = Vmx::builder(binary())
            .args([
                "check",
                "--vmotion-notify",
                "--use-machined",
                "--machined-socket",
            ])
            .args([talos.socket_path()])
            .host(move |seen| *seen.vm_operations_mut() = host);
        let run = Run::start(check);
        run.wait_exit(SOON).unwrap();
        let lines = run.output(Stream::Stdout);
        let line = lines.iter().position(|line| line.contains("vmotion"));
        let line = &lines[line.unwrap()..];
        assert!(line.iter().any(|line| line.contains(words)), "{lines:#?}");
        assert_eq!(left(&run).0.app(), before.as_ref());
    }
}
