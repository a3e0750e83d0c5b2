//! Debian's vmtoolsd under the simulated VMX. It is the reference: what it does here is what the traces of
//! a real one show, and a simulator that finds fault with it, or that it finds fault with, is wrong.
//!
//! It runs in a PID and mount namespace of its own in which everything that could stop the machine is a
//! script that says so and does nothing.

mod support;

use std::time::Duration;

use support::{PATIENCE, vmtoolsd};
use vmx::codec::rpci::Command;
use vmx::codec::vix::Property;
use vmx::{
    EventKind, FaultKind, Heartbeat, Host, Link, PortPolicy, PowerStatus, Profile, Protocol, Step,
    Stream, Times, ToolsRunning, Vmx, VsockPolicy,
};

/// The greeting is over and the first gathering of guest info has come.
fn wait_settled(vmx: &Vmx) {
    vmx.wait_greeted(PATIENCE).unwrap();
    vmx.wait_vcenter("guest info", PATIENCE, |view| {
        view.nics.is_some() && view.host_name.is_some() && view.guest_id.is_some()
    })
    .unwrap();
}

fn assert_no_violations(vmx: &Vmx) {
    assert!(vmx.violations().is_empty(), "{:#?}", vmx.violations());
}

fn sent(host: &Host, prefix: &str) -> bool {
    host.rpci_log().iter().any(|entry| entry.is(prefix))
}

#[test]
fn is_greeted_and_tells_of_itself() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    wait_settled(&vmx);
    let view = vmx.vcenter();
    assert!(view.is_green());
    assert_eq!(view.tools_running, ToolsRunning::Running);
    assert_eq!(view.tools_version_status, "guestToolsUnmanaged");
    assert_eq!(view.tools_install_type, "guestToolsTypeOpenVMTools");
    assert!(view.state_change_supported);
    assert_eq!(view.capabilities["vmx.unified_loop"], "toolbox");
    assert!(view.capabilities.contains_key("softpowerop_retry"));
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(view.host_name.as_deref(), Some(host_name.trim()));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert!(view.guest_full_name.unwrap().contains(kernel.trim()));
    assert_eq!(view.detailed["kernelVersion"], kernel.trim());
    assert_eq!(view.nics_type, Some(10));
    assert!(view.uptime_centis.is_some_and(|centis| centis > 0));
    // The address it broadcast is the one in the list.
    if let Some(ip) = view.variables.get("ip").filter(|ip| !ip.is_empty()) {
        assert!(
            view.nics
                .unwrap()
                .nics
                .iter()
                .any(|nic| { nic.ips.iter().any(|entry| entry.address.to_string() == *ip) })
        );
    }
    assert_no_violations(&vmx);
}

#[test]
fn registers_in_the_order_of_the_trace() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    // traces.md, from the start to the reply to Capabilities_Register.
    let expected = [
        "info-set guestinfo.vmtools.description ",
        "info-set guestinfo.vmtools.versionString ",
        "info-set guestinfo.vmtools.versionNumber ",
        "info-set guestinfo.vmtools.buildNumber ",
        "vmx.capability.unified_loop toolbox\0",
        "log toolbox: Version: ",
        "tools.capability.hgfs_server toolbox 1\0",
        "SetGuestInfo  7 ",
        "tools.capability.statechange ",
        "tools.capability.softpowerop_retry ",
        "tools.capability.features ",
        "tools.capability.guest_conf_directory /etc/vmware-tools\0",
        "tools.set.versiontype ",
        "info-set guestinfo.ip ",
    ];
    let log = vmx.rpci_log();
    let mut rest = log.iter();
    for prefix in expected {
        assert!(
            rest.any(|entry| entry.is(prefix)),
            "{prefix:?} is missing or out of order: {:#?}",
            log.iter()
                .map(|e| String::from_utf8_lossy(&e.message))
                .collect::<Vec<_>>()
        );
    }
    assert_no_violations(&vmx);
}

#[test]
fn answers_requests_as_the_trace_says() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    for (request, reply) in [
        ("ping", "OK "),
        ("NoSuchThing", "ERROR Unknown Command"),
        ("Set_Option nonsense 1", "OK "),
        ("Set_Option broadcastIP 7", "OK "),
        ("reset", "OK ATR toolbox"),
        ("Capabilities_Register", "OK "),
    ] {
        let exchange = vmx.request(request, PATIENCE).unwrap();
        assert_eq!(exchange.reply_text().as_deref(), Some(reply), "{request}");
        assert!(exchange.thinking().unwrap() <= exchange.latency().unwrap());
    }
    let state = vmx.tools_state(PATIENCE).unwrap();
    assert_eq!(state.error, 0);
    let properties = state.properties().unwrap();
    assert_eq!(properties[&4502], Property::Integer(1), "OS family Linux");
    assert!((4540..=4557).all(|id| matches!(properties[&id], Property::Boolean(_))));
    assert_no_violations(&vmx);
}

#[test]
fn speaks_every_form_of_the_backdoor() {
    for (profile, high_bandwidth) in [
        (Profile::Vmware, false),
        (Profile::VmwareVmcall, true),
        (Profile::VmwareVmmcall, false),
    ] {
        let Some(builder) = vmtoolsd() else { return };
        let vmx = builder
            .profile(profile)
            .config(|config| config.high_bandwidth = high_bandwidth)
            .spawn()
            .unwrap();
        wait_settled(&vmx);
        let stats = vmx.stats();
        assert_eq!(stats.hypercalls > 0, profile != Profile::Vmware);
        assert_eq!(stats.high_bandwidth_out > 0, high_bandwidth);
        assert_eq!(stats.high_bandwidth_in > 0, high_bandwidth);
        assert_no_violations(&vmx);
    }
}

#[test]
fn a_reboot_reaches_the_stub() {
    let Some(builder) = vmtoolsd() else { return };
    // Asked to synchronize the time, vmtoolsd would rightly try to set the clock when the machine is slow.
    let vmx = builder
        .config(|host| host.options.retain(|option| !option.contains("sync")))
        .spawn()
        .unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    let exchange = vmx.request("OS_Reboot", PATIENCE).unwrap();
    assert_eq!(exchange.reply_text().as_deref(), Some("OK "));
    let wanted = PowerStatus {
        state: 2,
        success: true,
    };
    vmx.wait_vcenter("the status", PATIENCE, |view| view.power == [wanted])
        .unwrap();
    vmx.wait_event("the stub", PATIENCE, |kind| {
        matches!(kind, EventKind::Output { stream: Stream::Stdout, line }
            if line.starts_with("stub: ") && line.contains("shutdown") && line.contains("-r now"))
    })
    .unwrap();
    assert_eq!(
        vmx.stats().machine_calls,
        0,
        "nothing may try the real thing"
    );
    assert_no_violations(&vmx);
}

#[test]
fn restarts_an_operation_after_a_checkpoint() {
    for high_bandwidth in [true, false] {
        let steps = if high_bandwidth {
            [
                Step::HighBandwidthOut,
                Step::HighBandwidthIn,
                Step::RecvStatus,
            ]
        } else {
            [Step::SendPayload, Step::RecvPayload, Step::RecvStatus]
        };
        let Some(builder) = vmtoolsd() else { return };
        let vmx = builder
            .config(|config| config.high_bandwidth = high_bandwidth)
            .host(move |host| {
                for step in steps {
                    for protocol in [Protocol::Rpci, Protocol::Tclo] {
                        for nth in [1, 2, 5] {
                            host.fault_on(step, Some(protocol), nth, FaultKind::Checkpoint);
                        }
                    }
                }
            })
            .spawn()
            .unwrap();
        vmx.wait_greeted(PATIENCE).unwrap();
        let played = vmx
            .events()
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Fault(_)))
            .count();
        assert_eq!(played, 18);
        // Nothing was executed twice, nothing was lost, and no channel was given up.
        for prefix in ["vmx.capability.unified_loop", "tools.set.versiontype"] {
            let log = vmx.rpci_log();
            assert_eq!(
                log.iter().filter(|entry| entry.is(prefix)).count(),
                1,
                "{prefix}"
            );
        }
        let greeted = vmx
            .events()
            .iter()
            .filter(|e| matches!(e.kind, EventKind::Greeted(_)))
            .count();
        assert_eq!(greeted, 1);
        assert_no_violations(&vmx);
    }
}

#[test]
fn falls_back_when_the_host_refuses() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder
        .host(|host| {
            host.refuse("SetGuestInfo  11 ");
            host.refuse("SetGuestInfo  10 ");
            host.refuse("tools.set.versiontype ");
            host.refuse("SetGuestDiskInfo ");
        })
        .spawn()
        .unwrap();
    wait_settled(&vmx);
    vmx.wait_for("the fall-backs", PATIENCE, |host, _| {
        [
            "SetGuestInfo  5 ",
            "SetGuestInfo  6 ",
            "SetGuestInfo  9 ",
            "SetGuestInfo  3 ",
        ]
        .iter()
        .all(|prefix| sent(host, prefix))
        .then_some(())
    })
    .unwrap();
    let view = vmx.vcenter();
    assert_eq!(view.nics_type, Some(9));
    assert_eq!(view.tools_version, 0x7fff_ffff);
    assert_eq!(view.tools_install_type, "guestToolsTypeUnknown");
    assert!(
        view.guest_full_name
            .is_some_and(|name| name.starts_with("Linux"))
    );
    assert!(!view.disks.is_empty());
    assert_no_violations(&vmx);
}

#[test]
fn comes_back_when_its_channels_are_lost() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    let before = vmx.events().len();
    vmx.host(|host, now| host.resume_elsewhere(now));
    assert_eq!(vmx.vcenter().heartbeat, Heartbeat::Gray);
    let again = vmx
        .wait_for("the second greeting", PATIENCE, |host, _| {
            let fresh = host.events().get(before..)?;
            fresh
                .iter()
                .find(|e| matches!(e.kind, EventKind::Greeted(_)))
                .cloned()
        })
        .unwrap();
    assert!(vmx.vcenter().is_green(), "{again}");
    assert_no_violations(&vmx);
}

#[test]
fn opens_without_cookie_when_the_host_refuses_one() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder
        .host(|host| {
            host.refuse_open(Protocol::Rpci, Times::Count(1));
            host.refuse_open(Protocol::Tclo, Times::Count(1));
        })
        .spawn()
        .unwrap();
    vmx.wait_green(PATIENCE).unwrap();
    let refused = vmx
        .events()
        .iter()
        .filter(|e| matches!(e.kind, EventKind::OpenRefused(_)))
        .count();
    assert_eq!(refused, 2);
    assert_no_violations(&vmx);
}

#[test]
fn closes_its_channels_on_sigterm() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    vmx.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(vmx.wait_exit(PATIENCE).unwrap().code(), Some(0));
    assert_eq!(vmx.vcenter().heartbeat, Heartbeat::Gray);
    let closed = vmx
        .events()
        .iter()
        .filter(|e| matches!(e.kind, EventKind::Closed { .. }))
        .count();
    assert!(closed >= 2, "both channels were closed");
    assert_no_violations(&vmx);
}

#[test]
fn prefers_vsock_when_it_is_served() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.vsock(VsockPolicy::served()).spawn().unwrap();
    wait_settled(&vmx);
    assert!(matches!(
        vmx.host(|host, _| host.tclo_link()),
        Some(Link::Vsock(_))
    ));
    let log = vmx.rpci_log();
    assert!(
        log.iter()
            .all(|entry| entry.privileged && matches!(entry.link, Link::Vsock(_)))
    );
    assert_eq!(vmx.host(|host, _| host.open_channels(Protocol::Rpci)), 0);
    // A PING every second keeps it green.
    let start = vmx.stats().liveness;
    vmx.wait_for("three PINGs", PATIENCE, |host, _| {
        (host.stats.liveness >= start + 3).then_some(())
    })
    .unwrap();
    let silence = vmx.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_millis(1500), "{silence:?}");
    assert_no_violations(&vmx);
}

#[test]
fn falls_back_from_vsock_for_each_direction_by_itself() {
    let reset = PortPolicy::Refuse(libc::ECONNRESET);
    for (policy, tclo_on_vsock, rpci_on_vsock) in [
        (
            VsockPolicy {
                rpci: reset,
                ..VsockPolicy::served()
            },
            true,
            false,
        ),
        (
            VsockPolicy {
                tclo: reset,
                ..VsockPolicy::served()
            },
            false,
            true,
        ),
        (VsockPolicy::refused(libc::EAFNOSUPPORT), false, false),
    ] {
        let Some(builder) = vmtoolsd() else { return };
        let vmx = builder.vsock(policy).spawn().unwrap();
        vmx.wait_greeted(PATIENCE).unwrap();
        let link = vmx.host(|host, _| host.tclo_link());
        assert_eq!(matches!(link, Some(Link::Vsock(_))), tclo_on_vsock);
        let log = vmx.rpci_log();
        assert!(
            log.iter()
                .all(|e| matches!(e.link, Link::Vsock(_)) == rpci_on_vsock)
        );
        if !rpci_on_vsock && tclo_on_vsock {
            // simpleSocket.c: from 1023 downwards, eight times after the first.
            let ports: Vec<_> = vmx
                .events()
                .iter()
                .filter_map(|event| match event.kind {
                    EventKind::VsockConnect {
                        port: 976, source, ..
                    } => source,
                    _ => None,
                })
                .take(8)
                .collect();
            assert_eq!(ports, (1016..=1023).rev().collect::<Vec<_>>());
        }
        assert_no_violations(&vmx);
    }
}

#[test]
fn comes_back_when_its_vsock_connections_are_lost() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.vsock(VsockPolicy::served()).spawn().unwrap();
    vmx.wait_greeted(PATIENCE).unwrap();
    let before = vmx.events().len();
    vmx.host(|host, now| host.close_channels(None, now));
    vmx.wait_for("the second greeting", PATIENCE, |host, _| {
        let fresh = host.events().get(before..)?;
        fresh
            .iter()
            .any(|e| matches!(e.kind, EventKind::Greeted(_)))
            .then_some(())
    })
    .unwrap();
    assert_no_violations(&vmx);
}

#[test]
fn statistics_are_read() {
    let Some(builder) = vmtoolsd() else { return };
    let vmx = builder.spawn().unwrap();
    let view = vmx
        .wait_vcenter("statistics", PATIENCE, |view| !view.stats.is_empty())
        .unwrap();
    // guest-info §5.7: 20 stats, page size among them.
    assert!(
        view.stats
            .iter()
            .any(|stat| stat.id == 10 && stat.number() == Some(4096.0))
    );
    let log = vmx.rpci_log();
    assert!(
        log.iter()
            .any(|entry| matches!(&entry.command, Ok(Command::GuestInfo(_))))
    );
    assert_no_violations(&vmx);
}
