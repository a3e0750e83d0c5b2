//! The machine itself, seen from a small program of our own: what is executed, what faults, what is kept
//! from the real machine.

use std::time::Duration;

use nix::sys::signal::Signal;
use vmx::{
    EventKind, ExitStatus, FaultKind, HostConfig, PortPolicy, Profile, Sandbox, Step, Stream,
    Times, Vmx, VmxBuilder, VsockPolicy,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn guest(deeds: &[&str]) -> VmxBuilder {
    Vmx::builder(env!("CARGO_BIN_EXE_vmx-guest")).args(deeds.iter().map(|deed| deed.to_string()))
}

/// Runs to the end: what it printed, line by line, and how it ended.
fn run(builder: VmxBuilder) -> (Vec<String>, ExitStatus, Vmx) {
    let vmx = builder.spawn().unwrap();
    let exit = vmx.wait_exit(PATIENCE).unwrap();
    (vmx.output(Stream::Stdout), exit, vmx)
}

#[test]
fn every_instruction_is_executed() {
    let deeds = [
        "version",
        "version:out",
        "version:vmcall",
        "version:vmmcall",
        "rpc:in:info-get guestinfo.x",
        "rpc:vmcall:info-get guestinfo.x",
        "rpc:vmmcall:info-set guestinfo.y other",
        "vendor",
    ];
    let builder = guest(&deeds)
        .profile(Profile::VmwareVmcall)
        .variable("x", "value");
    let (lines, exit, vmx) = run(builder);
    let wanted = [
        "true",
        "true",
        "true",
        "true",
        "1 value",
        "1 value",
        "1 ",
        "VMwareVMware",
    ];
    assert_eq!(lines, wanted);
    assert!(exit.success());
    assert_eq!(
        vmx.host(|host, _| host.variable("y")).as_deref(),
        Some("other")
    );
    assert!(vmx.violations().is_empty(), "{:?}", vmx.violations());
}

#[test]
fn threads_children_and_programs_they_start_are_followed() {
    let (lines, exit, vmx) = run(guest(&[
        "threads",
        "fork",
        "exec:version",
        "exec:vendor",
        "version",
    ]));
    assert_eq!(lines, ["true", "true", "true", "VMwareVMware", "true"]);
    assert!(exit.success());
    assert_eq!(vmx.stats().low_bandwidth, 400 + 3);
}

#[test]
fn the_port_faults_where_nobody_serves_it() {
    for profile in [Profile::Kvm, Profile::BareMetal, Profile::VmwareNoBackdoor] {
        let (lines, exit, vmx) = run(guest(&["vendor", "version"]).profile(profile));
        assert_eq!(lines.len(), 1, "{profile:?}: {lines:?}");
        assert_eq!(exit, ExitStatus::Signal(libc::SIGSEGV), "{profile:?}");
        // Rust's own handler lets the instruction fault a second time.
        assert!(vmx.stats().faulted >= 1);
    }
    let (_, exit, _) = run(guest(&["version:vmcall"]).profile(Profile::Vmware));
    assert_eq!(
        exit,
        ExitStatus::Signal(libc::SIGILL),
        "no VMCALL without its feature bit"
    );
    let (lines, _, _) = run(guest(&["version:vmcall"]).profile(Profile::Kvm));
    assert_eq!(
        lines,
        ["false"],
        "KVM answers hypercalls of user mode by an error"
    );
    let (lines, _, _) = run(guest(&["version", "rpc:in:x", "vendor"]).profile(Profile::QemuVmport));
    assert_eq!(lines, ["true", "step 0: status 0x0", "TCGTCGTCGTCG"]);
}

#[test]
fn faults_of_the_program_are_its_own() {
    for profile in [Profile::Vmware, Profile::Kvm] {
        let (_, exit, _) = run(guest(&["own-fault"]).profile(profile));
        assert_eq!(exit, ExitStatus::Signal(libc::SIGSEGV));
        let (_, exit, _) = run(guest(&["own-breakpoint"]).profile(profile));
        assert_eq!(exit, ExitStatus::Signal(libc::SIGTRAP));
    }
}

#[test]
fn faults_are_played_where_they_were_asked_for() {
    let all_ones = guest(&["version", "version"]).host(|host| host.fault_at(2, FaultKind::Ones));
    assert_eq!(run(all_ones).0, ["true", "false"]);
    let checkpoint = guest(&["rpc:in:log x", "rpc:in:log y"])
        .host(|host| host.fault_on(Step::SendPayload, None, 1, FaultKind::Checkpoint));
    assert_eq!(run(checkpoint).0, ["step 2: status 0x10", "1 "]);
    let closed = guest(&["rpc:in:log x", "rpc:in:log y"])
        .host(|host| host.fault_on(Step::RecvSize, None, 1, FaultKind::Close));
    assert_eq!(run(closed).0, ["step 3: status 0x4", "1 "]);
    let refused = guest(&["rpc:in:log x", "rpc:in:log y"])
        .host(|host| host.refuse_open(vmx::Protocol::Rpci, Times::Count(1)));
    assert_eq!(run(refused).0, ["step 0: status 0x0", "1 "]);
    let dead = guest(&["version"]).host(|host| host.dead_port(true, host.started()));
    assert_eq!(run(dead).0, ["false"]);
    let restricted = guest(&["version"]).host(|host| host.restrict_backdoor(true, host.started()));
    assert_eq!(run(restricted).1, ExitStatus::Signal(libc::SIGSEGV));
    let answered = guest(&["rpc:in:log x", "rpc:in:log y"])
        .host(|host| host.answer("log", "0 not now", Times::Count(1)));
    assert_eq!(run(answered).0, ["0 not now", "1 "]);
}

#[test]
fn breaches_are_noticed() {
    let (lines, _, vmx) = run(guest(&["rpc:in:tools.capability.statechange"]));
    assert_eq!(lines, ["0 Malformed command"]);
    assert_eq!(vmx.violations().len(), 1, "{:?}", vmx.violations());
    assert!(
        vmx.events()
            .iter()
            .any(|event| matches!(event.kind, EventKind::Violation(_)))
    );
}

#[test]
fn the_real_machine_is_out_of_reach() {
    let (lines, _, vmx) = run(guest(&["iopl", "settime", "version"]));
    assert_eq!(lines, ["0", "-1", "true"]);
    assert_eq!(vmx.stats().io_privilege_calls, 1);
    assert_eq!(vmx.stats().machine_calls, 1);
}

#[test]
fn the_sandbox_holds() {
    let sandbox = Sandbox {
        pid_namespace: true,
        net_namespace: true,
        read_only: true,
        ..Sandbox::default()
    };
    let builder = guest(&[
        "pid",
        "env",
        "write:/vmx-was-here",
        "version",
        "vsock:blocking:976",
    ])
    .sandbox(sandbox)
    .vsock(VsockPolicy::served());
    let (lines, _, _) = run(builder);
    assert_eq!(
        lines,
        [
            "1",
            "0",
            "Err(ReadOnlyFilesystem)",
            "true",
            "from 52:1023 connected"
        ]
    );
}

#[test]
fn vsock_is_what_the_host_makes_of_it() {
    let connect = |policy: VsockPolicy, deed: &str| {
        let (lines, exit, vmx) = run(guest(&[deed]).vsock(policy));
        assert!(exit.success(), "{:?}", vmx.output(Stream::Stderr));
        lines.concat()
    };
    let served = VsockPolicy::served();
    let reset = VsockPolicy::both(PortPolicy::Refuse(libc::ECONNRESET));
    let hang = VsockPolicy::both(PortPolicy::Hang);
    let errno = |errno: i32| format!("errno {errno}");
    for kind in ["blocking", "nonblocking"] {
        let progress = if kind == "blocking" {
            ""
        } else {
            " in progress"
        };
        let deed = |port: u32| format!("vsock:{kind}:{port}");
        let connected = format!("from 52:1023{progress} connected");
        assert_eq!(connect(served.clone(), &deed(976)), connected);
        // The greeting's reset, 37 bytes (vsock §4.4).
        assert_eq!(
            connect(served.clone(), &deed(975)),
            format!("{connected} received 37")
        );
        assert_eq!(connect(served.clone(), &deed(1)), errno(libc::ECONNRESET));
        assert_eq!(connect(reset.clone(), &deed(975)), errno(libc::ECONNRESET));
        assert_eq!(
            connect(VsockPolicy::refused(libc::EPERM), &deed(976)),
            errno(libc::EPERM)
        );
        let busy = VsockPolicy {
            busy_ports: vec![1023],
            ..served.clone()
        };
        assert_eq!(connect(busy, &deed(976)), errno(libc::EADDRINUSE));
        let unprivileged = VsockPolicy {
            privileged: Err(libc::EACCES),
            ..served.clone()
        };
        assert_eq!(connect(unprivileged, &deed(976)), errno(libc::EACCES));
        assert_eq!(connect(hang.clone(), &deed(976)), errno(libc::ETIMEDOUT));
        let dropped = VsockPolicy::both(PortPolicy::Drop);
        assert_eq!(
            connect(dropped, &deed(975)),
            format!("{connected} received 0")
        );
    }
}

#[test]
fn wakeups_are_counted_on_demand() {
    let (_, _, vmx) = run(guest(&["sleeps:50"]).count_wakeups());
    assert!((50..60).contains(&vmx.stats().wakeups), "{:?}", vmx.stats());
    let (_, _, vmx) = run(guest(&["sleeps:50"]));
    assert_eq!(vmx.stats().wakeups, 0);
}

#[test]
fn waiting_ends_when_the_program_does() {
    let vmx = guest(&["version"]).spawn().unwrap();
    let error = vmx.wait_green(Duration::from_secs(3600)).unwrap_err();
    assert_eq!(error.exit, Some(ExitStatus::Code(0)));
    let vmx = guest(&["hang"]).spawn().unwrap();
    vmx.wait_event("a line", PATIENCE, |kind| {
        matches!(kind, EventKind::Output { .. })
    })
    .unwrap();
    let error = vmx.wait_green(Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.exit, None);
    assert!(vmx.rss_kib().unwrap() > 0);
    assert!(vmx.cpu_time().unwrap() > Duration::ZERO);
    vmx.signal(Signal::SIGTERM);
    assert_eq!(
        vmx.wait_exit(PATIENCE).unwrap(),
        ExitStatus::Signal(libc::SIGTERM)
    );
}

#[test]
fn a_stopped_program_stays_stopped_and_can_be_killed() {
    let vmx = Vmx::builder("/bin/sh")
        .args(["-c", "kill -STOP $$; echo on"])
        .spawn()
        .unwrap();
    let says = vmx.wait_for("a word", Duration::from_millis(300), |host, _| {
        (!host.output(Stream::Stdout).is_empty()).then_some(())
    });
    assert!(says.is_err(), "it goes on");
    vmx.signal(Signal::SIGKILL);
    assert_eq!(vmx.wait_exit(PATIENCE).unwrap(), ExitStatus::Signal(9));
}

#[test]
fn a_program_that_does_not_exist_is_an_error() {
    assert!(Vmx::builder("/no/such/program").spawn().is_err());
}

#[test]
fn the_defaults_are_those_of_a_talos_node() {
    let config = HostConfig::default();
    assert_eq!(config.profile, Profile::Vmware);
    assert_eq!(config.vsock.socket, Err(libc::EPERM));
    assert!(config.greeting && config.high_bandwidth);
}
