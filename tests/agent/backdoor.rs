//! The backdoor in all its forms: instructions, bandwidths, cookies, checkpoints.

use std::time::Duration;

use vmx::{EventKind, FaultKind, Host, Profile, Protocol, Step, Times};

use crate::support::{ADDRESS, Run, SOON, Talos};

/// The guest tells the host that it could not receive, as message.c does; the host had failed before.
const FAILURE_TOLD: &str = "with status 0x0 from the guest";

/// A message that is larger than a register in both directions.
fn exercise(run: &Run) {
    run.informed();
    let option = format!("Set_Option key {}", "v".repeat(4321));
    assert_eq!(run.reply(option), "OK ");
    assert_eq!(run.tools_state(SOON).unwrap().error, 0);
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
    run.stop();
}

#[test]
fn the_hypercall_that_cpuid_offers_is_used() {
    for (profile, name) in [
        (Profile::VmwareVmcall, "vmcall"),
        (Profile::VmwareVmmcall, "vmmcall"),
    ] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().profile(profile));
        exercise(&run);
        let stats = run.stats();
        assert!(
            stats.high_bandwidth_out > 0 && stats.high_bandwidth_in > 0,
            "{stats:?}"
        );
        assert_eq!(stats.hypercalls, stats.backdoor_exits(), "{profile:?}");
        assert!(run.log()[0].contains(name), "{:#?}", run.log());
    }
}

#[test]
fn the_ports_are_used_where_cpuid_offers_no_hypercall() {
    let talos = Talos::new();
    let run = Run::start(talos.agent());
    exercise(&run);
    let stats = run.stats();
    assert!(
        stats.high_bandwidth_out > 0 && stats.high_bandwidth_in > 0,
        "{stats:?}"
    );
    assert_eq!(stats.hypercalls, 0);
}

#[test]
fn a_host_without_high_bandwidth_is_served_with_low() {
    for profile in [Profile::Vmware, Profile::VmwareVmcall] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().profile(profile).low_bandwidth_only());
        exercise(&run);
        let stats = run.stats();
        assert_eq!((stats.high_bandwidth_out, stats.high_bandwidth_in), (0, 0));
    }
}

#[test]
fn a_switch_forces_low_bandwidth() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().args(["--low-bandwidth"]));
    exercise(&run);
    let stats = run.stats();
    assert_eq!((stats.high_bandwidth_out, stats.high_bandwidth_in), (0, 0));
}

#[test]
fn an_old_host_without_cookies_is_served() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().config(|host| host.cookies = false));
    exercise(&run);
}

#[test]
fn a_checkpoint_at_any_step_restarts_the_operation_and_nothing_is_lost() {
    let steps = [
        Step::Open,
        Step::SendSize,
        Step::SendPayload,
        Step::RecvSize,
        Step::RecvPayload,
        Step::RecvStatus,
        Step::HighBandwidthOut,
        Step::HighBandwidthIn,
    ];
    let run_with = |step: Step, protocol: Protocol, low: bool| {
        let talos = Talos::new();
        let agent = if low {
            talos.agent().low_bandwidth_only()
        } else {
            talos.agent()
        };
        let run = Run::start(agent.host(move |host| {
            for nth in [1, 4] {
                host.fault_on(step, Some(protocol), nth, FaultKind::Checkpoint);
            }
        }));
        run.informed();
        assert_eq!(run.reply("ping"), "OK ", "{step:?} {protocol:?}");
        let view = run.vcenter();
        assert!(view.state_change_supported, "{step:?} {protocol:?}");
    };
    for step in steps {
        for protocol in [Protocol::Rpci, Protocol::Tclo] {
            let low = matches!(step, Step::SendPayload | Step::RecvPayload);
            run_with(step, protocol, low);
        }
    }
}

#[test]
fn checkpoints_without_end_are_given_up_and_tried_again_later() {
    let talos = Talos::new();
    let run = talos.run();
    let checkpoints = |host: &Host| {
        let is = |event: &&vmx::Event| event.to_string().contains("Checkpoint at HighBandwidthOut");
        host.events().iter().filter(is).count()
    };
    run.host(|host, _| {
        for nth in 1..=250 {
            host.fault_on(
                Step::HighBandwidthOut,
                Some(Protocol::Rpci),
                nth,
                FaultKind::Checkpoint,
            );
        }
    });
    talos.set_hostname("checkpointed", "");
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("checkpointed")
    });
    assert_eq!(run.host(|host, _| checkpoints(host)), 250);
    let reopened = run
        .events()
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Opened { .. }))
        .count();
    assert!(reopened >= 4, "bounded: a new channel now and then");
    assert!(run.log().len() < 15, "{:#?}", run.log());
}

#[test]
fn an_rpci_channel_that_breaks_is_reopened_and_the_message_resent_once() {
    for (step, kind) in [
        (Step::SendSize, FaultKind::Close),
        (Step::HighBandwidthOut, FaultKind::Fail),
        (Step::RecvSize, FaultKind::Close),
        (Step::RecvStatus, FaultKind::Fail),
    ] {
        let talos = Talos::new();
        let run = talos.run();
        run.tolerate(FAILURE_TOLD);
        run.host(|host, _| host.fault_on(step, Some(Protocol::Rpci), 1, kind));
        talos.set_hostname("resent", "");
        run.sees("the name", Duration::from_secs(1), |view| {
            view.host_name.as_deref() == Some("resent")
        });
        let sent = run.sent("SetGuestInfo  1 resent");
        assert!(
            (1..=2).contains(&sent.len()),
            "{step:?}: {} times",
            sent.len()
        );
        assert!(run.vcenter().is_green());
    }
}

#[test]
fn single_faults_at_many_points_of_a_run_do_no_lasting_harm() {
    let kinds = [
        FaultKind::Fail,
        FaultKind::Close,
        FaultKind::Unsent,
        FaultKind::Timeout,
        FaultKind::Ones,
        FaultKind::Checkpoint,
    ];
    let talos = Talos::new();
    for (round, kind) in kinds.into_iter().enumerate() {
        // After the probe, every eleventh call from a start of its own.
        let run = Run::start(talos.agent().host(move |host| {
            for k in 0..12 {
                host.fault_at(8 + round as u64 + 11 * k, kind);
            }
        }));
        run.tolerate(FAILURE_TOLD);
        run.informed();
        run.sees("the registration", SOON, |view| view.state_change_supported);
        assert_eq!(run.reply("ping"), "OK ", "{kind:?}");
        assert!(run.log().len() < 40, "{kind:?}: {:#?}", run.log());
        run.stop();
    }
}

#[test]
fn open_refused_at_the_start_is_tried_until_it_is_served() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| {
        host.refuse_open(Protocol::Rpci, Times::Count(3));
        host.refuse_open(Protocol::Tclo, Times::Count(4));
    }));
    run.informed();
    assert!(run.log().len() < 12, "{:#?}", run.log());
    // Nothing was left behind by the attempts.
    let open = |protocol| run.host(|host, _| host.open_channels(protocol));
    assert_eq!((open(Protocol::Tclo), open(Protocol::Rpci)), (1, 1));
    run.stop();
}

#[test]
fn a_host_that_returns_garbage_in_all_registers_is_survived() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| {
        // After the probe; the garbage is the same in every run.
        for k in 0..40 {
            host.fault_at(9 + 7 * k, FaultKind::Garbage);
        }
        for k in 0..60 {
            host.fault_at(300 + k, FaultKind::Garbage);
        }
    }));
    // Whatever is read from garbage, such as another cookie, is not the guest's fault.
    run.tolerate("");
    talos.set_hostname("after-the-garbage", "");
    // Channels whose CLOSE was answered by garbage stay with the host, their greetings unfinished.
    run.sees("all of it", SOON, |view| {
        view.is_green()
            && view.host_name.as_deref() == Some("after-the-garbage")
            && view.ip_address.as_deref() == Some(ADDRESS)
            && view.state_change_supported
    });
    assert!(run.log().len() < 40, "{:#?}", run.log());
    run.stop();
}
