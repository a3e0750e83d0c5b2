//! Quiesced snapshots as the host sees them.

use std::time::Duration;

use super::host::{Host, machine_at, ms};
use crate::config::{QuiesceConfig, QuiesceMode};
use crate::facts::{Etcd, Facts, MachineType, Mount, Stage, Volume};
use crate::freeze::Report;
use crate::front_end::Debt;
use crate::log::logged::Logged;
use crate::power::PowerOperation;
use crate::power::PowerOutcome::Accepted;
use crate::vmware::wire::vix::VixError;

const RESET: &str = r"> vmbackup.eventSet reset 0 \x00";
const COMMIT: &str = r"> vmbackup.eventSet prov.snapshotCommit 0 \x00";
const KEEP_ALIVE: &str = r"> vmbackup.eventSet req.keepAlive 0 \x00";
const ABORTED: &str = r"> vmbackup.eventSet req.aborted 4 Quiesce canceled.\x00";
const DONE: &str = r"> vmbackup.eventSet req.done 0 \x00";
const OK: &str = "< OK ";
const THAW: &str = "! thaw";
const IDLE: &str = "< ERROR Error: no quiesce operation in progress";
const BUSY: &str = "< ERROR Quiesce operation already in progress.";

/// Manifest, applications, file systems, scripts and 900 s.
const OPTIONS: [u8; 40] = [
    0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
    0, 0, 3, 0x84, 0, 0, 0, 0,
];

fn config(mode: QuiesceMode) -> QuiesceConfig {
    QuiesceConfig {
        mode,
        max_freeze: Duration::from_secs(8),
        ..QuiesceConfig::default()
    }
}

/// A running node with /var on a disk.
fn facts(machine_type: MachineType) -> Facts {
    let mut facts = machine_at(Stage::Running, true);
    facts.node.machine_type = Some(machine_type);
    facts.storage.volumes = Some(vec![Volume {
        id: "EPHEMERAL".into(),
        location: "/dev/sda6".into(),
        mount_location: "/dev/sda6".into(),
        file_system: "xfs",
        ..Volume::default()
    }]);
    facts.storage.mounts = Some(
        [Mount {
            volume: "EPHEMERAL".into(),
            target: "/var".into(),
            ..Mount::default()
        }]
        .into(),
    );
    facts
}

/// A host of a node with a freezer, in this mode.
fn host_of(mode: QuiesceMode, facts: &Facts) -> Host {
    let mut host = Host::with_node(facts);
    host.quiesce(&config(mode));
    host.freezer_reports(&Report::Ready(None));
    // What they say has a test of its own.
    host.variables_wanted(false);
    host.pass(ms(1000));
    host.take();
    host
}

fn host() -> Host {
    host_of(QuiesceMode::Freeze, &facts(MachineType::Worker))
}

/// A host with a frozen node.
fn frozen() -> Host {
    let mut host = host();
    host.request(b"vmbackup.start 1");
    assert!(host.freezer.is_frozen());
    host.take();
    host
}

/// The events and replies among what was said, and what the freezer is ordered.
fn sent_to(host: &mut Host) -> Vec<String> {
    let mut heard = host.take();
    heard.retain(|line| !line.starts_with("> SetGuestInfo") && !line.starts_with("> info-set"));
    heard
}

fn errors(heard: &[String]) -> usize {
    let is_error = |line: &&String| line.starts_with("> vmbackup.eventSet req.error 3 ");
    heard.iter().filter(is_error).count()
}

#[test]
fn a_snapshot_is_frozen_taken_thawed_and_done() {
    for request in [
        b"vmbackup.start 1".to_vec(),
        b"vmbackup.start 1 6000C29a 6000C29b\0".to_vec(),
        b"vmbackup.start".to_vec(),
        [&b"vmbackup.startWithOpts "[..], &OPTIONS].concat(),
    ] {
        let mut host = host();
        assert_eq!(host.ask(&request), [RESET, OK, COMMIT]);
        assert!(host.freezer.is_frozen());
        host.pass(ms(2000));
        assert_eq!(host.ask(b"vmbackup.snapshotDone"), [THAW, OK, DONE]);
        assert!(!host.freezer.is_frozen());
        assert_eq!(host.ask(b"vmbackup.snapshotDone"), [IDLE]);
        host.pass(ms(60_000));
        assert_eq!(sent_to(&mut host), Vec::<String>::new());
        assert_eq!(host.ask(&request), [RESET, OK, COMMIT]);
    }
}

#[test]
fn a_host_that_hears_nothing_else_hears_that_the_guest_lives() {
    let mut host = frozen();
    host.pass(ms(2499));
    assert_eq!(host.take(), Vec::<String>::new());
    host.pass(ms(1));
    assert_eq!(host.take(), [KEEP_ALIVE]);
    host.pass(ms(5000));
    assert_eq!(host.take(), [KEEP_ALIVE, KEEP_ALIVE]);
    host.request(b"vmbackup.abort");
    host.take();
    host.pass(ms(10_000));
    assert!(!host.take().contains(&KEEP_ALIVE.to_owned()));
}

#[test]
fn while_it_is_off_each_request_is_refused_with_one_line_and_no_event() {
    let mut host = host_of(QuiesceMode::Off, &facts(MachineType::Worker));
    let logged = Logged::new();
    for request in [
        b"vmbackup.start 1".to_vec(),
        [&b"vmbackup.startWithOpts "[..], &OPTIONS].concat(),
        b"vmbackup.startWithOpts \xff\xff\xff\xff".to_vec(),
    ] {
        let refusal = "< ERROR Quiescing is off in this guest (quiesce.mode)";
        assert_eq!(host.ask(&request), [refusal]);
        let lines = logged.take();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].1.contains("quiesce.mode"), "{lines:?}");
    }
    assert_eq!(host.freezer.freezes(), 0);
}

#[test]
fn what_makes_no_sense_while_idle_is_an_error_in_open_vm_tools_words() {
    let mut host = host();
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [IDLE]);
    assert_eq!(host.ask(b"vmbackup.abort"), [IDLE]);
    let completed = "< ERROR Error: no quiesce complete in progress";
    assert_eq!(host.ask(b"vmbackup.snapshotCompleted"), [completed]);
    let version = "< ERROR Incompatible quiesce parameter version";
    let mut options = OPTIONS;
    options[3] = 2;
    let request = [&b"vmbackup.startWithOpts "[..], &options].concat();
    assert_eq!(host.ask(&request), [version]);
    for end in 0..OPTIONS.len() {
        let request = [&b"vmbackup.startWithOpts "[..], &OPTIONS[..end]].concat();
        let malformed = "< ERROR XDR deserialization failed.";
        assert_eq!(host.ask(&request), [malformed], "{end}");
    }
}

#[test]
fn a_second_start_and_what_comes_out_of_turn_change_nothing() {
    let mut host = host();
    host.freezer_is_slow = true;
    assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK]);
    assert_eq!(host.ask(b"vmbackup.start 1"), [BUSY]);
    let unexpected = "< ERROR Error: unexpected state for quiesce done message.";
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [unexpected]);
    host.freeze(None);
    assert_eq!(host.take(), [COMMIT]);
    assert_eq!(host.ask(b"vmbackup.start 1"), [BUSY]);
    assert_eq!(
        host.ask(b"vmbackup.snapshotCompleted"),
        ["< ERROR Error: no quiesce complete in progress"]
    );
    host.freezer_is_slow = false;
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [THAW, OK, DONE]);
}

#[test]
fn an_abort_thaws_and_no_commit_comes_after_it() {
    // While nothing is frozen yet.
    let mut host = host();
    host.freezer_is_slow = true;
    host.request(b"vmbackup.start 1");
    host.take();
    assert_eq!(host.ask(b"vmbackup.abort"), [THAW]);
    host.freezer_is_slow = false;
    host.freeze(None);
    assert_eq!(host.take(), [OK, ABORTED, DONE]);
    assert_eq!(host.freezer.freezes(), 0);
    // When all is frozen.
    let mut host = frozen();
    assert_eq!(host.ask(b"vmbackup.abort"), [THAW, OK, ABORTED, DONE]);
    host.pass(ms(20_000));
    assert_eq!(sent_to(&mut host), Vec::<String>::new());
    assert_eq!(host.ask(b"vmbackup.abort"), [IDLE]);
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [IDLE]);
}

#[test]
fn a_commit_that_still_waits_for_the_channel_is_dropped_by_an_abort() {
    let mut host = host();
    host.slow = true;
    host.request(b"vmbackup.start 1");
    host.answer();
    assert_eq!(host.take(), [RESET, OK, COMMIT]);
    assert_eq!(host.unanswered.len(), 1);
    host.request(b"vmbackup.abort");
    let waiting: Vec<_> = host.unanswered.iter().map(|(_, message)| message).collect();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].starts_with(b"vmbackup.eventSet req.aborted"));
    host.slow = false;
    host.answer();
    assert_eq!(host.take(), [THAW, OK, ABORTED, DONE]);
}

#[test]
fn a_freezer_that_does_not_answer_keeps_no_host_waiting() {
    let mut host = frozen();
    host.freezer_is_slow = true;
    host.request(b"vmbackup.abort");
    assert_eq!(host.take(), [THAW]);
    host.pass(ms(1500));
    assert_eq!(host.take(), [OK]);
    host.freeze(None);
    assert_eq!(host.take(), [ABORTED, DONE]);
    // A snapshot is not said to be good while it is not certain that it is.
    let mut host = frozen();
    host.freezer_is_slow = true;
    host.request(b"vmbackup.snapshotDone");
    host.pass(ms(1500));
    let heard = host.take();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(
        heard[1].starts_with("< ERROR Quiescing failed: "),
        "{heard:?}"
    );
    host.freeze(None);
    let heard = host.take();
    assert_eq!(
        (errors(&heard), heard.last().map(String::as_str)),
        (1, Some(DONE))
    );
}

#[test]
fn what_cannot_be_frozen_is_an_error_of_the_run() {
    let mut host = host();
    host.freezer_is_slow = true;
    host.request(b"vmbackup.start 1");
    host.take();
    host.freeze(Some(5));
    let heard = host.take();
    assert_eq!((errors(&heard), heard.len()), (1, 2), "{heard:?}");
    assert_eq!(heard[1], DONE);
    assert!(host.ask(b"vmbackup.snapshotDone")[0].starts_with("< ERROR "));
    assert_eq!(
        host.ask(b"vmbackup.snapshotDone"),
        [IDLE],
        "it is said once"
    );
}

#[test]
fn the_limit_ends_the_run_and_a_late_done_hears_why() {
    let mut host = frozen();
    host.pass(ms(7999));
    assert!(host.freezer.is_frozen());
    host.pass(ms(1));
    let heard = sent_to(&mut host);
    assert_eq!(errors(&heard), 1, "{heard:?}");
    assert_eq!(heard.last().map(String::as_str), Some(DONE));
    let reply = host.ask(b"vmbackup.snapshotDone");
    assert!(reply[0].contains("max_freeze"), "{reply:?}");
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [IDLE]);
}

#[test]
fn the_hosts_own_limit_narrows_ours_and_never_widens_it() {
    for (seconds, limit) in [(3_u8, 3000), (200, 8000), (0, 8000)] {
        let mut host = host();
        let mut options = OPTIONS;
        options[34..36].copy_from_slice(&[0, seconds]);
        host.request(&[&b"vmbackup.startWithOpts "[..], &options].concat());
        host.pass(ms(limit - 1));
        assert!(host.freezer.is_frozen(), "{seconds}");
        host.pass(ms(1));
        assert!(!host.freezer.is_frozen(), "{seconds}");
    }
}

#[test]
fn a_host_that_does_not_take_the_first_event_gets_no_run() {
    for is_lost in [false, true] {
        let mut host = host();
        if is_lost {
            host.deaf = true;
        } else {
            host.refuses = vec!["vmbackup.eventSet reset"];
        }
        let heard = host.ask(b"vmbackup.start 1");
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert!(heard[1].starts_with("< ERROR Error initializing quiesce operation. "));
        assert_eq!(host.freezer.freezes(), 0);
        host.deaf = false;
        host.refuses.clear();
        host.pass(ms(5000));
        assert_eq!(host.ask(b"vmbackup.snapshotDone"), [IDLE]);
        assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK, COMMIT]);
    }
}

#[test]
fn a_host_that_takes_no_event_in_time_gets_no_run() {
    let mut host = host();
    host.slow = true;
    host.request(b"vmbackup.start 1");
    host.pass(ms(1500));
    let heard = host.take();
    assert!(
        heard.iter().any(|line| line.starts_with("< ERROR ")),
        "{heard:?}"
    );
    host.slow = false;
    host.answer();
    host.pass(ms(5000));
    assert!(!host.take().contains(&COMMIT.to_owned()));
    assert_eq!(host.freezer.freezes(), 0);
}

#[test]
fn a_commit_that_is_refused_or_lost_thaws_and_ends_the_run() {
    for is_lost in [false, true] {
        let mut host = host();
        host.freezer_is_slow = true;
        host.request(b"vmbackup.start 1");
        host.take();
        host.deaf = is_lost;
        host.refuses = vec!["vmbackup.eventSet prov"];
        host.freezer_is_slow = false;
        host.freeze(None);
        assert!(!host.freezer.is_frozen());
        assert_eq!(host.take(), [COMMIT, THAW, DONE]);
        host.deaf = false;
        host.pass(ms(10_000));
        assert_eq!(sent_to(&mut host), Vec::<String>::new());
    }
}

#[test]
fn a_host_that_does_not_take_a_sign_of_life_is_gone() {
    let mut host = frozen();
    host.refuses = vec!["vmbackup.eventSet req.keepAlive"];
    host.pass(ms(2500));
    assert!(!host.freezer.is_frozen());
    assert_eq!(sent_to(&mut host), [KEEP_ALIVE, THAW, DONE]);
}

#[test]
fn after_a_lost_channel_a_sign_of_life_shows_whether_the_host_is_there() {
    // The other direction still works: the next channel carries the run on.
    let mut host = frozen();
    host.lose();
    assert_eq!(host.take(), [KEEP_ALIVE]);
    assert!(host.freezer.is_frozen());
    host.connect();
    assert!(host.freezer.is_frozen());
    host.take();
    assert_eq!(host.ask(b"vmbackup.snapshotDone")[..3], [THAW, OK, DONE]);
    // It does not: nothing stays frozen, and nothing is said.
    let mut host = frozen();
    host.deaf = true;
    host.lose();
    assert!(!host.freezer.is_frozen());
    assert_eq!(host.take(), [KEEP_ALIVE, THAW]);
    assert_eq!(host.services.debt(), Debt::None);
    host.pass(ms(60_000));
    host.deaf = false;
    host.connect();
    host.pass(ms(5000));
    assert!(
        !host.take().contains(&DONE.to_owned()),
        "it is not of this session"
    );
}

#[test]
fn a_host_that_is_lost_in_both_directions_leaves_nothing_frozen() {
    let mut host = frozen();
    host.slow = true;
    host.pass(ms(2500));
    host.deaf = true;
    host.lose();
    assert!(
        host.freezer.is_frozen(),
        "the sign of life is still on its way"
    );
    host.answer();
    assert!(!host.freezer.is_frozen());
    assert_eq!(host.services.poll_timeout(), None);
}

#[test]
fn the_next_host_hears_nothing_of_a_run_that_the_last_one_has_lost() {
    for mode in [QuiesceMode::Freeze, QuiesceMode::Sync] {
        let mut host = host_of(mode, &facts(MachineType::Worker));
        host.freezer_is_slow = true;
        assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK]);
        host.deaf = true;
        host.lose();
        assert_eq!(host.take(), [KEEP_ALIVE, THAW]);
        host.deaf = false;
        host.connect();
        host.take();
        assert_eq!(host.ask(b"vmbackup.start 1"), [BUSY]);
        let heard = host.ask(b"vmbackup.snapshotDone");
        assert!(heard[0].starts_with("< ERROR Quiescing failed: "));
        assert_eq!(host.ask(b"vmbackup.abort"), [IDLE]);
        host.pass(ms(3000));
        host.lose();
        host.freeze(None);
        host.freeze(None);
        let heard = host.take();
        assert!(
            !heard.iter().any(|line| line.contains("vmbackup")),
            "{heard:?}"
        );
        host.connect();
        host.take();
        assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK]);
        host.freeze(None);
        assert_eq!(sent_to(&mut host), [COMMIT]);
    }
}

#[test]
fn a_start_whose_channel_is_lost_is_none() {
    let mut host = host();
    host.slow = true;
    host.request(b"vmbackup.start 1");
    host.lose();
    host.slow = false;
    host.answer();
    assert_eq!(host.freezer.freezes(), 0);
    host.connect();
    host.take();
    assert_eq!(host.ask(b"vmbackup.abort"), [IDLE]);
}

#[test]
fn a_power_operation_thaws_first_and_ends_the_run() {
    for (request, operation) in [
        (&b"OS_Halt"[..], PowerOperation::Shutdown),
        (b"OS_Reboot", PowerOperation::Reboot),
    ] {
        let mut host = frozen();
        let heard = host.ask(request);
        let power = format!("! {operation:?}");
        assert_eq!(heard[..3], [OK.to_owned(), THAW.to_owned(), power]);
        assert_eq!(
            (errors(&heard), heard.last().map(String::as_str)),
            (1, Some(DONE))
        );
        host.power(operation, Accepted);
        let again = format!("! {operation:?} again");
        let heard = host.ask(request);
        assert!(heard.len() == 3 && heard.contains(&again), "{heard:?}");
        assert!(host.ask(b"vmbackup.snapshotDone")[0].starts_with("< ERROR Quiescing failed: "));
    }
}

#[test]
fn the_process_does_not_end_before_all_is_thawed_and_the_host_knows() {
    let mut host = frozen();
    host.freezer_is_slow = true;
    host.services.hurry(host.now);
    host.wake();
    assert_eq!(host.take(), [THAW]);
    assert_eq!(host.services.debt(), Debt::Message);
    host.slow = true;
    host.freeze(None);
    assert_eq!(host.services.debt(), Debt::Message);
    host.answer();
    host.answer();
    let heard = host.take();
    assert!(
        heard[0].starts_with("> vmbackup.eventSet req.aborted 4 "),
        "{heard:?}"
    );
    assert_eq!(heard[1..], [DONE]);
    assert_eq!(host.services.debt(), Debt::None);
}

#[test]
fn while_it_is_frozen_only_what_the_host_waits_for_is_sent() {
    let mut host = frozen();
    let (measurements, readings) = (host.measurements, host.readings);
    let mut changed = facts(MachineType::Worker);
    changed.stage = Some(Stage::Running);
    changed.node.node_name = Some("other".into());
    changed.storage.volumes = None;
    host.facts(&changed);
    host.pass(ms(2000));
    assert_eq!(host.ask(b"ping"), [OK]);
    host.pass(ms(5000));
    let heard = host.take();
    assert!(heard.iter().all(|line| line == KEEP_ALIVE), "{heard:?}");
    host.request(b"vmbackup.snapshotDone");
    host.pass(ms(20_000));
    let heard = host.take();
    assert!(
        heard
            .iter()
            .any(|line| line.contains("SetGuestInfo  1 other")),
        "{heard:?}"
    );
    assert!(host.measurements > measurements && host.readings > readings);
}

#[test]
fn the_tools_can_be_registered_while_it_is_frozen() {
    let mut host = frozen();
    let heard = host.ask(b"reset");
    assert_eq!(
        heard[..2],
        [
            "< OK ATR toolbox",
            r"> vmx.capability.unified_loop toolbox\x00"
        ]
    );
    let heard = host.ask(b"Capabilities_Register");
    assert!(
        heard.contains(&"> tools.capability.statechange ".to_owned()),
        "{heard:?}"
    );
    assert_eq!(heard.last().map(String::as_str), Some(OK));
    assert!(!heard.iter().any(|line| line.contains("SetGuestInfo  1 ")));
    assert!(host.freezer.is_frozen());
}

#[test]
fn guest_operations_are_busy_while_it_is_frozen() {
    let request = [
        &b"Vix_1_Relayed_Command \"x\"\0"[..],
        &0xd00d_0001_u32.to_le_bytes(),
        &5_u16.to_le_bytes(),
        &[51_u32, 51, 0, 0].map(u32::to_le_bytes).concat(),
        &[5],
        // ReadEnvironment
        &[187_u32, 0, 0, 0, 0, 0, 0].map(u32::to_le_bytes).concat(),
    ]
    .concat();
    let error = |host: &mut Host| {
        let reply = host.ask(&request).concat();
        reply.split(' ').nth(2).unwrap().to_owned()
    };
    let mut host = host();
    assert_eq!(error(&mut host), VixError::OPERATION_DISABLED.0.to_string());
    host.request(b"vmbackup.start 1");
    assert_eq!(error(&mut host), VixError::BUSY.0.to_string());
    host.request(b"vmbackup.abort");
    assert_eq!(error(&mut host), VixError::OPERATION_DISABLED.0.to_string());
}

#[test]
fn in_mode_sync_nothing_is_frozen_and_the_host_may_take_its_time() {
    let mut host = host_of(QuiesceMode::Sync, &facts(MachineType::ControlPlane));
    assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK, COMMIT]);
    assert_eq!(host.freezer.freezes(), 0);
    host.pass(ms(120_000));
    let heard = host.take();
    assert_eq!(heard.iter().filter(|line| *line == KEEP_ALIVE).count(), 48);
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [OK, DONE]);
    host.request(b"vmbackup.start 1");
    assert_eq!(host.ask(b"vmbackup.abort"), [OK, ABORTED, DONE]);
    host.request(b"vmbackup.start 1");
    host.pass(ms(899_000));
    host.take();
    host.pass(ms(1000));
    assert_eq!(sent_to(&mut host), [ABORTED, DONE]);
}

#[test]
fn a_host_that_wants_no_file_system_frozen_gets_none_frozen() {
    let mut host = host();
    let mut options = OPTIONS;
    options[19] = 0;
    let request = [&b"vmbackup.startWithOpts "[..], &options].concat();
    assert_eq!(host.ask(&request), [RESET, OK, COMMIT]);
    assert_eq!(host.freezer.freezes(), 0);
    assert_eq!(host.ask(b"vmbackup.snapshotDone"), [OK, DONE]);
}

#[test]
fn on_a_control_plane_etcd_is_looked_at_before() {
    let mut host = host_of(QuiesceMode::Freeze, &facts(MachineType::ControlPlane));
    assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK, "! etcd"]);
    host.etcd(Some(Etcd { voters: 3, live: 3 }));
    assert_eq!(host.take(), [COMMIT]);
    host.request(b"vmbackup.snapshotDone");
    assert_eq!(host.ask(b"vmbackup.start 1"), [RESET, OK, "! etcd"]);
    host.etcd(Some(Etcd { voters: 3, live: 2 }));
    let heard = host.take();
    assert_eq!((errors(&heard), heard.len()), (1, 2), "{heard:?}");
}

#[test]
fn a_machine_that_does_not_run_is_refused() {
    let mut facts = facts(MachineType::Worker);
    facts.stage = Some(Stage::ShuttingDown);
    let mut host = host_of(QuiesceMode::Freeze, &facts);
    let heard = host.ask(b"vmbackup.start 1");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard[1].starts_with("< ERROR Error initializing quiesce operation. "));
    assert_eq!(host.ask(b"vmbackup.abort"), [IDLE]);
}

#[test]
fn a_freezer_that_is_gone_is_an_error_of_the_run() {
    let mut host = frozen();
    let report = host.freezer.end();
    host.freezer_reports(&report);
    let heard = sent_to(&mut host);
    assert_eq!(
        (errors(&heard), heard.last().map(String::as_str)),
        (1, Some(DONE))
    );
}

#[test]
fn a_guest_variable_says_frozen_after_the_commit_and_then_what_came_of_it() {
    let mut host = host();
    host.variables_wanted(true);
    host.pass(ms(1000));
    let variable = |value: &str| format!(r"> info-set guestinfo.vmtools.talos.quiesce {value}\x00");
    assert!(host.take().contains(&variable("ready")));
    // Nothing of the node goes, nor anything before what the host waits for.
    let commit = host.ask(b"vmbackup.start 1");
    assert_eq!(commit, [RESET, OK, COMMIT, &variable("frozen")]);
    let mut unready = facts(MachineType::Worker);
    unready.node.readiness.as_mut().unwrap().ready = false;
    host.facts(&unready);
    host.pass(ms(2000));
    assert_eq!(host.take(), Vec::<String>::new());
    let heard = host.ask(b"vmbackup.snapshotDone");
    assert_eq!(heard.get(..2), Some(&[THAW.to_owned(), OK.to_owned()][..]));
    host.pass(ms(100));
    let heard = [heard, host.take()].concat();
    let last = heard
        .iter()
        .find(|line| line.contains("talos.quiesce"))
        .unwrap();
    for words in ["quiesce ready; last ", " 2000 ms done"] {
        assert!(last.contains(words), "{last}");
    }
    assert!(heard.contains(&r"> info-set guestinfo.vmtools.talos.ready false\x00".to_owned()));
}
