//! Quiesced snapshots without a file system that could be frozen: what the host hears, in every mode. The devices that
//! the node names do not exist.

use std::time::Duration;

use apid::{Stage, scene};
use vmx::{BackupEvent, Sandbox, Stream, Times, Vmx};

use crate::support::{Run, SOON, Talos, copy_binary};

const COMMIT: &str = "vmbackup.eventSet prov.snapshotCommit";
const DONE: &str = "vmbackup.eventSet req.done";

/// A running node with /var on a device of this name.
fn node(device: &str) -> Talos {
    Talos::with(|apid| {
        scene::single_nic(apid);
        apid.set_stage(Stage::MachineStageRunning, true);
        apid.set_volume(
            "EPHEMERAL",
            &format!("/dev/{device}"),
            &format!("/dev/{device}1"),
            "/var",
        );
    })
}

/// The agent with these arguments, once it knows that the machine runs.
fn run_with(talos: &Talos, arguments: &[&str]) -> Run {
    let run = Run::start(talos.agent().args(arguments.iter().copied()));
    run.informed();
    run.sees("the stage", SOON, |view| {
        view.variables
            .get("vmtools.talos.stage")
            .is_some_and(|stage| stage == "running")
    });
    run
}

/// XDR of version 1 or of another.
fn with_options(version: u8) -> Vec<u8> {
    let flags = [1, 1, 1, 1, 0, 1_u32];
    let words = [u32::from(version)].into_iter().chain(flags);
    let words: Vec<u8> = words
        .chain([0, 900, 0])
        .flat_map(u32::to_be_bytes)
        .collect();
    [&b"vmbackup.startWithOpts "[..], &words].concat()
}

fn events(run: &Run) -> Vec<BackupEvent> {
    run.host(|host, _| host.backup_events())
}

/// Asks again until the agent is ready for it: the freezer reports on its own time.
fn start(run: &Run) {
    let reply = || (run.reply("vmbackup.start 1") == "OK ").then_some(());
    let deadline = std::time::Instant::now() + SOON;
    while reply().is_none() {
        assert!(std::time::Instant::now() < deadline, "never ready");
    }
}

/// Names of the events since the last start.
fn last_run(run: &Run) -> Vec<String> {
    let events = events(run);
    let reset = events
        .iter()
        .rposition(|event| event.event == "reset")
        .unwrap();
    events[reset..]
        .iter()
        .map(|event| event.event.clone())
        .collect()
}

#[test]
fn while_quiescing_is_off_every_start_is_refused_with_a_line_that_names_the_setting() {
    let talos = node("nodisk");
    let run = run_with(&talos, &[]);
    for (count, request) in [
        (1, b"vmbackup.start 1".to_vec()),
        (2, b"vmbackup.start 1 /".to_vec()),
        (3, with_options(1)),
        (4, with_options(2)),
        (5, b"vmbackup.startWithOpts \xff\xff\xff\xff".to_vec()),
    ] {
        let reply = run.reply(request);
        assert_eq!(reply, "ERROR Quiescing is off in this guest (quiesce.mode)");
        run.until("its line", SOON, |host, _| {
            let lines = host.output(Stream::Stderr);
            let lines = lines.iter().filter(|line| line.contains("quiesce.mode"));
            (lines.count() == count).then_some(())
        });
    }
    assert_eq!(run.reply("ping"), "OK ");
    assert!(events(&run).is_empty());
    run.stop();
}

#[test]
fn what_makes_no_sense_is_answered_in_open_vm_tools_words() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    let idle = "ERROR Error: no quiesce operation in progress";
    for (request, reply) in [
        (b"vmbackup.snapshotDone".to_vec(), idle),
        (b"vmbackup.abort".to_vec(), idle),
        (
            b"vmbackup.snapshotCompleted".to_vec(),
            "ERROR Error: no quiesce complete in progress",
        ),
        (
            with_options(2),
            "ERROR Incompatible quiesce parameter version",
        ),
        (
            b"vmbackup.startWithOpts \0\0\0\x01".to_vec(),
            "ERROR XDR deserialization failed.",
        ),
    ] {
        assert_eq!(run.reply(request), reply);
    }
    assert!(events(&run).is_empty());
    run.stop();
}

#[test]
fn in_mode_sync_the_host_gets_its_snapshot_and_hears_that_the_guest_lives_meanwhile() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    start(&run);
    run.until_sent(COMMIT, 1, SOON);
    let busy = "ERROR Quiesce operation already in progress.";
    assert_eq!(run.reply("vmbackup.start 1"), busy);
    run.until_sent("vmbackup.eventSet req.keepAlive", 2, SOON);
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    run.until_sent(DONE, 1, SOON);
    let names = last_run(&run);
    let expected = [
        "reset",
        "prov.snapshotCommit",
        "req.keepAlive",
        "req.keepAlive",
        "req.done",
    ];
    assert_eq!(names, expected);
    let events = events(&run);
    let reset = events.len() - names.len();
    let silence = |at: usize| events[reset + at].at - events[reset + at - 1].at;
    assert!(silence(1) < Duration::from_secs(2), "{:?}", silence(1));
    for at in [2, 3] {
        assert!(
            silence(at) >= Duration::from_millis(2400),
            "{:?}",
            silence(at)
        );
    }
    run.logs(&["synced and not frozen"], SOON);
    run.stop();
}

#[test]
fn the_reply_to_a_start_comes_after_its_event_and_an_abort_ends_the_run() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    start(&run);
    run.until_sent(COMMIT, 1, SOON);
    let exchange = run.asked("vmbackup.abort");
    assert_eq!(exchange.reply_text().as_deref(), Some("OK "));
    run.until_sent(DONE, 1, SOON);
    let expected = ["reset", "prov.snapshotCommit", "req.aborted", "req.done"];
    assert_eq!(last_run(&run), expected);
    let exchange = run.asked("vmbackup.start 1");
    assert_eq!(exchange.reply_text().as_deref(), Some("OK "));
    let resets = run.sent("vmbackup.eventSet reset");
    assert!(resets.last().unwrap().instant <= exchange.replied.unwrap());
    run.stop();
}

#[test]
fn a_host_that_refuses_the_first_event_or_the_commit_gets_no_snapshot() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    start(&run);
    run.until_sent(COMMIT, 1, SOON);
    run.reply("vmbackup.snapshotDone");
    let refusal = b"0 Guest is not privileged";
    run.host(|host, _| host.answer(COMMIT, *refusal, Times::Count(1)));
    assert_eq!(run.reply("vmbackup.start 1"), "OK ");
    run.until_sent(DONE, 2, SOON);
    assert_eq!(last_run(&run), ["reset", "prov.snapshotCommit", "req.done"]);
    run.logs(
        &["does not take the events", "Guest is not privileged"],
        SOON,
    );
    run.host(|host, _| host.answer("vmbackup.eventSet reset", *refusal, Times::Count(1)));
    let reply = run.reply("vmbackup.start 1");
    assert!(
        reply.starts_with("ERROR Error initializing quiesce operation."),
        "{reply}"
    );
    assert_eq!(last_run(&run), ["reset"]);
    assert_eq!(run.reply("vmbackup.start 1"), "OK ");
    run.stop();
}

#[test]
fn an_agent_that_is_stopped_meanwhile_says_so() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    start(&run);
    run.until_sent(COMMIT, 1, SOON);
    run.stop();
    assert_eq!(last_run(&run)[2..], ["req.aborted", "req.done"]);
}

#[test]
fn a_machine_that_does_not_run_is_not_quiesced() {
    let talos = node("nodisk");
    let run = run_with(&talos, &["--quiesce", "sync"]);
    start(&run);
    run.reply("vmbackup.abort");
    talos.set_stage(Stage::MachineStageShuttingDown, false);
    run.sees("the stage", SOON, |view| {
        view.variables
            .get("vmtools.talos.stage")
            .is_some_and(|stage| stage != "running")
    });
    let reply = run.reply("vmbackup.start 1");
    assert!(reply.contains("and not running"), "{reply}");
    run.stop();
}

#[test]
fn without_the_right_to_freeze_a_start_is_refused_with_the_reason() {
    let talos = node("nodisk");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(talos.socket_path(), all).unwrap();
    let copy = talos.folder.path("talos-vmtoolsd");
    copy_binary(&copy);
    let run = Run::start(
        Vmx::builder(&copy)
            .args(["vmtoolsd", "--quiesce", "freeze", "--use-machined"])
            .args(["--machined-socket".into(), talos.socket_path()])
            .sandbox(Sandbox {
                user: Some(65534),
                ..Sandbox::default()
            }),
    );
    run.informed();
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let reply = run.reply("vmbackup.start 1");
        assert!(
            reply.starts_with("ERROR Error initializing quiesce operation."),
            "{reply}"
        );
        if reply.contains("CAP_SYS_ADMIN") || reply.contains("not permitted") {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{reply}");
    }
    assert!(run.sent(COMMIT).is_empty());
    run.stop();
}
