//! Power buttons: never lost, never twice, and the host is told what is true.

use std::time::{Duration, Instant};

use apid::{Code, MachineType, Method, OPERATOR, PowerBehaviour, Stage, Status, TlsOptions, scene};
use vmx::{Exchange, FaultKind, PowerStatus, Protocol, Step, Stream, Times, ToolsRunning};

use crate::support::{Run, SOON, Talos, pass};

const HALT_DONE: PowerStatus = PowerStatus {
    state: 1,
    success: true,
};
const HALT_FAILED: PowerStatus = PowerStatus {
    state: 1,
    success: false,
};
const REBOOT_DONE: PowerStatus = PowerStatus {
    state: 2,
    success: true,
};
const REBOOT_FAILED: PowerStatus = PowerStatus {
    state: 2,
    success: false,
};

/// Presses a button: `OK ` comes at once, whatever Talos does.
fn press(run: &Run, command: &str) -> Exchange {
    let exchange = run.asked(command);
    assert_eq!(exchange.reply_text().unwrap(), "OK ", "{command}");
    assert!(exchange.latency().unwrap() < Duration::from_millis(500));
    exchange
}

/// Waits for so many statuses in all.
fn statuses(run: &Run, count: usize) -> Vec<PowerStatus> {
    run.sees(&format!("{count} statuses"), SOON, |view| {
        view.power.len() >= count
    })
    .power
}

/// No more statuses and calls come.
fn that_was_all(run: &Run, talos: &Talos, method: Method, calls: usize) {
    let before = run.vcenter().power.len();
    pass(run, Duration::from_millis(700));
    assert_eq!(run.vcenter().power.len(), before);
    assert_eq!(talos.calls_of(method).len(), calls);
}

#[test]
fn os_halt_becomes_shutdown_and_os_reboot_becomes_reboot_with_talos_defaults() {
    for (command, method, status, request) in [
        ("OS_Halt", Method::Shutdown, HALT_DONE, "force=false"),
        ("OS_Reboot", Method::Reboot, REBOOT_DONE, "mode=DEFAULT"),
    ] {
        let talos = Talos::new();
        let run = talos.run();
        let exchange = press(&run, command);
        assert_eq!(statuses(&run, 1), [status]);
        let calls = talos.calls_of(method);
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].request, request);
        assert_eq!(calls[0].roles, [OPERATOR]);
        // OK first, the call beside it, then the status.
        let sent = &run.sent("tools.os.statechange.status")[0];
        assert_eq!(
            sent.message,
            format!("tools.os.statechange.status 1 {}\0", status.state).into_bytes()
        );
        assert!(sent.instant >= exchange.replied.unwrap(), "OK comes first");
        assert!(
            sent.instant > calls[0].when,
            "the status tells what Talos said"
        );
        run.logs(&["INFO", "accepted"], SOON);
        that_was_all(&run, &talos, method, 1);
        run.stop();
    }
}

#[test]
fn liveness_goes_on_and_vcenter_shows_running_after_the_status() {
    let talos = Talos::new();
    let run = talos.run();
    talos.delay(Method::Reboot, Duration::from_millis(800));
    run.host(|host, _| host.forget_silence());
    press(&run, "OS_Reboot");
    assert_eq!(run.vcenter().tools_running, ToolsRunning::ExecutingScripts);
    assert_eq!(run.reply("ping"), "OK ");
    assert!(run.vcenter().power.is_empty());
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    assert_eq!(run.vcenter().tools_running, ToolsRunning::Running);
    let silence = run.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_millis(1500), "{silence:?}");
}

#[test]
fn talos_away_for_two_seconds_still_gives_status_1() {
    let talos = Talos::new();
    let run = talos.run();
    talos.stop();
    press(&run, "OS_Halt");
    pass(&run, Duration::from_secs(2));
    assert!(run.vcenter().power.is_empty());
    talos.restart().unwrap();
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    that_was_all(&run, &talos, Method::Shutdown, 1);
}

#[test]
fn unavailable_is_retried_within_the_deadline() {
    let talos = Talos::new();
    let run = talos.run();
    talos.fail_next(Method::Reboot, &Status::unavailable("machined restarts"), 2);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    that_was_all(&run, &talos, Method::Reboot, 3);
}

#[test]
fn a_call_that_talos_rejects_is_status_0_with_the_reason_in_the_log() {
    let talos = Talos::new();
    let run = talos.run();
    talos.set_power(PowerBehaviour::ContainerMode);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_FAILED]);
    run.logs(&["ERROR", "not supported in container mode"], SOON);
    that_was_all(&run, &talos, Method::Reboot, 1);

    // The next press is a new request.
    talos.set_power(PowerBehaviour::Accept);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 2), [REBOOT_FAILED, REBOOT_DONE]);
}

#[test]
fn talos_away_beyond_the_deadline_is_status_0_and_says_why() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().args(["--power-deadline", "1s"]));
    run.informed();
    talos.stop();
    let pressed = Instant::now();
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_FAILED]);
    let took = pressed.elapsed();
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(3)).contains(&took),
        "{took:?}"
    );
    run.logs(&["ERROR", "did not accept", "machine.sock"], SOON);
    talos.restart().unwrap();
    that_was_all(&run, &talos, Method::Shutdown, 0);
}

#[test]
fn a_talos_that_hangs_is_given_up_at_the_deadline() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().env("VMTOOLSD_POWER_DEADLINE", "1s"));
    run.informed();
    talos.hang();
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_FAILED]);
}

#[test]
fn the_same_command_again_is_answered_and_not_sent_twice() {
    let talos = Talos::new();
    let run = talos.run();
    talos.delay(Method::Shutdown, Duration::from_millis(600));
    // While one is under way …
    press(&run, "OS_Halt");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 2), [HALT_DONE, HALT_DONE]);
    // … and after it was accepted.
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 3), [HALT_DONE; 3]);
    that_was_all(&run, &talos, Method::Shutdown, 1);
}

#[test]
fn an_accepted_command_is_not_repeated_after_a_lost_channel_and_a_reset() {
    let talos = Talos::new();
    let run = talos.run();
    press(&run, "OS_Halt");
    statuses(&run, 1);
    // Answered after all that was sent before, so the status has certainly been taken.
    run.asked("Set_Option broadcastIP 1");
    run.host(|host, now| host.resume_elsewhere(now));
    run.green();
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 2), [HALT_DONE; 2]);
    that_was_all(&run, &talos, Method::Shutdown, 1);
}

#[test]
fn a_reboot_that_fails_after_its_start_is_logged_and_the_next_is_sent_again() {
    let talos = Talos::new();
    let run = talos.run();
    talos.set_power(PowerBehaviour::AcceptFail);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_DONE], "Talos had accepted");
    run.logs(&["ERROR", "did not happen"], SOON);
    talos.set_power(PowerBehaviour::Accept);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 2), [REBOOT_DONE; 2]);
    that_was_all(&run, &talos, Method::Reboot, 2);
}

/// As in maintenance mode before Talos 1.13, and during an upgrade that the operator lets the host interrupt.
#[test]
fn a_reboot_that_is_locked_out_is_status_0_and_the_next_is_sent_again() {
    for (stage, arguments) in [
        (Stage::MachineStageMaintenance, &[][..]),
        (Stage::MachineStageUpgrading, &["--power-busy=pass"]),
    ] {
        let talos = Talos::new();
        talos.set_stage(stage, true);
        let run = Run::start(talos.agent().args(arguments));
        run.informed();
        talos.set_power(PowerBehaviour::AcceptLocked);
        press(&run, "OS_Reboot");
        assert_eq!(statuses(&run, 1), [REBOOT_FAILED], "{stage:?}");
        run.logs(&["ERROR", "busy with another sequence"], SOON);
        talos.set_power(PowerBehaviour::Accept);
        press(&run, "OS_Reboot");
        assert_eq!(statuses(&run, 2), [REBOOT_FAILED, REBOOT_DONE]);
        that_was_all(&run, &talos, Method::Reboot, 2);
    }
}

#[test]
fn a_machine_that_upgrades_installs_or_resets_itself_is_left_alone_and_the_status_is_0() {
    let talos = Talos::new();
    let run = talos.run();
    let mut count = 0;
    for (stage, name) in [
        (Stage::MachineStageInstalling, "installing"),
        (Stage::MachineStageUpgrading, "upgrading"),
        (Stage::MachineStageResetting, "resetting"),
    ] {
        talos.set_stage(stage, false);
        for (command, status) in [("OS_Halt", HALT_FAILED), ("OS_Reboot", REBOOT_FAILED)] {
            press(&run, command);
            count += 1;
            assert_eq!(statuses(&run, count).last(), Some(&status), "{stage:?}");
        }
        run.logs(&["ERROR", name, "power.busy"], SOON);
    }
    assert_eq!(run.log_lines(&["ERROR", "power.busy"]).len(), count);
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 0);
    that_was_all(&run, &talos, Method::Reboot, 0);
}

#[test]
fn a_shutdown_where_nothing_can_be_drained_is_forced_and_the_log_says_why() {
    let running = (Stage::MachineStageRunning, MachineType::Worker);
    for ((stage, machine_type), force, reason) in [
        (running, false, None),
        (
            (Stage::MachineStageMaintenance, MachineType::Unknown),
            true,
            Some("maintenance mode"),
        ),
        (
            (Stage::MachineStageUnknown, MachineType::Worker),
            true,
            Some("does not say what the machine is doing"),
        ),
        (
            (Stage::MachineStageBooting, MachineType::Unknown),
            true,
            Some("no machine type"),
        ),
    ] {
        let talos = Talos::with(|api| {
            scene::single_nic(api);
            api.set_stage(stage, true);
            api.set_machine_type(machine_type);
        });
        let run = talos.run();
        press(&run, "OS_Halt");
        assert_eq!(statuses(&run, 1), [HALT_DONE]);
        let request = &talos.calls_of(Method::Shutdown)[0].request;
        assert_eq!(*request, format!("force={force}"), "{stage:?}");
        match reason {
            Some(reason) => {
                run.logs(&["INFO", "without cordon and drain", reason], SOON);
            }
            None => assert!(run.log_lines(&["without cordon and drain"]).is_empty()),
        }
    }
}

/// Talos accepts, does not let the agent listen to its events, and the node runs on.
#[test]
fn a_node_that_runs_on_after_an_acceptance_is_called_again_at_the_next_press() {
    let talos = Talos::new();
    talos.allow(Method::Events, &[]);
    talos.set_power(PowerBehaviour::AcceptSilently);
    // With a limit the agent would wait for it, and call again by itself.
    let run = Run::start(talos.agent().args(["--drain-deadline=talos"]));
    run.informed();
    for count in 1..=3 {
        press(&run, "OS_Halt");
        assert_eq!(statuses(&run, count), vec![HALT_DONE; count]);
        assert_eq!(talos.calls_of(Method::Shutdown).len(), count);
        let words = "is no longer followed";
        run.until(words, SOON, |host, _| {
            let lines = host.output(Stream::Stderr);
            let said = lines.iter().filter(|line| line.contains(words)).count();
            (said == count).then_some(())
        });
    }
    // Now it goes down.
    talos.set_stage(Stage::MachineStageShuttingDown, false);
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 4), [HALT_DONE; 4]);
    that_was_all(&run, &talos, Method::Shutdown, 3);
}

#[test]
fn a_denial_by_apid_is_status_0_at_once() {
    let talos = Talos::tls(TlsOptions::default());
    talos.allow(Method::Reboot, &[]);
    let run = talos.run();
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_FAILED]);
    // Its certificate has os:operator.
    run.logs(&["ERROR", "denies Reboot", "large enough"], SOON);
    that_was_all(&run, &talos, Method::Reboot, 1);
}

#[test]
fn a_server_that_says_nothing_before_the_first_event_does_not_hold_up_a_call() {
    for mute in [false, true] {
        let talos = Talos::new();
        if mute {
            talos.mute_events();
        }
        let run = talos.run();
        let pressed = press(&run, "OS_Reboot").replied.unwrap();
        let call = &talos.wait_calls(Method::Reboot, 1, SOON).unwrap()[0];
        let took = call.when.saturating_duration_since(pressed);
        assert!(took < Duration::from_millis(600), "{took:?}");
        assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    }
}

#[test]
fn a_talos_that_dies_before_its_answer_is_out_is_not_asked_twice() {
    let talos = Talos::new();
    let run = talos.run();
    talos.set_power(PowerBehaviour::DieBeforeReply);
    press(&run, "OS_Halt");
    talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    talos.restart().unwrap();
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    that_was_all(&run, &talos, Method::Shutdown, 1);
}

#[test]
fn a_talos_that_goes_down_after_its_answer_leaves_one_status() {
    let talos = Talos::new();
    let run = talos.run();
    talos.set_power(PowerBehaviour::AcceptThenDie);
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    that_was_all(&run, &talos, Method::Reboot, 1);
    assert!(run.log_lines(&["ERROR"]).is_empty(), "{:#?}", run.log());
}

#[test]
fn a_peer_that_machined_does_not_know_yet_is_retried() {
    let talos = Talos::new();
    talos.unregister_peer(Duration::from_millis(300));
    let run = Run::start(talos.agent());
    run.green();
    press(&run, "OS_Reboot");
    pass(&run, Duration::from_secs(1));
    assert!(run.vcenter().power.is_empty());
    assert!(
        run.log_lines(&["WARN"]).is_empty(),
        "normal at a start: {:#?}",
        run.log()
    );
    talos.register_peer();
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
}

#[test]
fn a_role_that_may_not_is_status_0_and_named() {
    let talos = Talos::new();
    let run =
        Run::start(
            talos
                .agent()
                .args(["--machined-role", "os:reader", "--power-deadline=2s"]),
        );
    run.informed();
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_FAILED]);
    run.logs(&["ERROR", "os:reader", "os:operator"], SOON);
}

#[test]
fn power_on_suspend_and_resume_are_status_1_at_once() {
    let talos = Talos::new();
    let run = talos.run();
    talos.stop();
    for (command, state) in [("OS_PowerOn", 3), ("OS_Suspend", 5), ("OS_Resume", 4)] {
        let pressed = Instant::now();
        press(&run, command);
        run.until_sent(
            &format!("tools.os.statechange.status 1 {state}\0"),
            1,
            Duration::from_secs(1),
        );
        assert!(pressed.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(run.vcenter().power.len(), 3);
    assert_eq!(
        talos.calls_of(Method::Reboot).len() + talos.calls_of(Method::Shutdown).len(),
        0
    );
}

#[test]
fn after_resume_everything_is_told_again() {
    let talos = Talos::new();
    let run = talos.run();
    let before = run.sent("SetGuestInfo  10 ").len();
    press(&run, "OS_Resume");
    run.until_sent("SetGuestInfo  10 ", before + 1, Duration::from_secs(1));
}

#[test]
fn a_status_survives_the_loss_of_its_channel() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, _| {
        host.fault_on(Step::SendSize, Some(Protocol::Rpci), 1, FaultKind::Close);
        host.refuse_open(Protocol::Rpci, Times::Count(3));
    });
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    that_was_all(&run, &talos, Method::Shutdown, 1);
}

#[test]
fn force_and_reboot_mode_can_be_configured() {
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .args(["--force-shutdown", "--reboot-mode", "powercycle"]),
    );
    run.informed();
    press(&run, "OS_Halt");
    statuses(&run, 1);
    assert_eq!(talos.calls_of(Method::Shutdown)[0].request, "force=true");
    press(&run, "OS_Reboot");
    statuses(&run, 2);
    assert_eq!(talos.calls_of(Method::Reboot)[0].request, "mode=POWERCYCLE");
}

#[test]
fn another_operation_while_one_is_under_way_is_refused_by_name() {
    let talos = Talos::new();
    let run = talos.run();
    talos.delay(Method::Shutdown, Duration::from_millis(500));
    press(&run, "OS_Halt");
    assert_eq!(
        run.reply("OS_Reboot"),
        "ERROR State change already in progress"
    );
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    that_was_all(&run, &talos, Method::Reboot, 0);
}

#[test]
fn without_events_the_operation_goes_on() {
    let talos = Talos::new();
    let run = talos.run();
    talos.fail_next(
        Method::Events,
        &Status::new(Code::PermissionDenied, "not authorized"),
        5,
    );
    press(&run, "OS_Reboot");
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    that_was_all(&run, &talos, Method::Reboot, 1);
}

#[test]
fn a_talos_that_hangs_for_a_while_is_asked_once_in_effect() {
    let talos = Talos::new();
    let run = talos.run();
    // Longer than one call may take, shorter than the deadline.
    talos.delay(Method::Shutdown, Duration::from_millis(6500));
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    pass(&run, Duration::from_secs(7));
    let carried_out = talos
        .calls_of(Method::Shutdown)
        .into_iter()
        .filter(|call| call.answer == Some(Code::Ok))
        .count();
    assert_eq!(carried_out, 1);
    assert_eq!(run.vcenter().power.len(), 1);
}

#[test]
fn a_status_waits_for_a_host_that_is_gone_when_talos_accepts() {
    let talos = Talos::new();
    let run = talos.run();
    talos.delay(Method::Reboot, Duration::from_millis(300));
    press(&run, "OS_Reboot");
    run.host(|host, now| host.dead_port(true, now));
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    run.logs(&["INFO", "accepted"], SOON);
    pass(&run, Duration::from_millis(500));
    run.host(|host, now| host.dead_port(false, now));
    assert_eq!(statuses(&run, 1), [REBOOT_DONE]);
    that_was_all(&run, &talos, Method::Reboot, 1);
}

#[test]
fn a_suspend_whose_status_did_not_get_out_is_not_reported_behind_the_resume() {
    let talos = Talos::new();
    let run = talos.run();
    run.host(|host, now| {
        host.refuse_open(Protocol::Rpci, Times::Forever);
        host.close_channels(Some(Protocol::Rpci), now);
    });
    assert_eq!(run.reply("OS_Suspend"), "OK ");
    run.host(|host, now| host.resume_elsewhere(now));
    run.until("a new channel", SOON, |host, _| {
        host.is_greeted().then_some(())
    });
    run.host(|host, _| host.refuse_open(Protocol::Rpci, Times::Count(0)));
    assert_eq!(run.reply("OS_Resume"), "OK ");
    run.until_sent("tools.os.statechange.status 1 4", 1, SOON);
    pass(&run, Duration::from_secs(3));
    assert_eq!(run.sent("tools.os.statechange.status").len(), 1);
}
