//! Machines that are not VMware, or hardly.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vmx::{Profile, Stream};

use crate::support::{Folder, Run, SOON, Talos, agent, agent_with, pass};

const ELSEWHERE: [Profile; 4] = [
    Profile::Kvm,
    Profile::BareMetal,
    Profile::QemuVmport,
    Profile::QemuVmportOld,
];

/// Ends well within `limit`, with one line that names VMware.
fn ends_with_one_line(run: &Run, limit: Duration, context: &str) {
    let status = run.wait_exit(SOON).unwrap();
    let took = run.until("the end", SOON, |host, _| {
        host.events()
            .iter()
            .rev()
            .find(|event| matches!(event.kind, vmx::EventKind::Exited(_)))
            .map(|event| event.at)
    });
    assert!(status.success(), "{context}: ended with {status}");
    assert!(took < limit, "{context}: took {took:?}");
    let lines = [run.log(), run.output(Stream::Stdout)].concat();
    assert_eq!(lines.len(), 1, "{context}: {lines:#?}");
    assert!(lines[0].contains("VMware"), "{context}: {lines:#?}");
}

#[test]
fn off_vmware_it_says_so_in_one_line_and_exits_with_0_within_2_s() {
    for profile in ELSEWHERE {
        let folder = Folder::new();
        let run = Run::start(agent_with(folder.path("machine.sock")).profile(profile));
        ends_with_one_line(&run, Duration::from_secs(2), &format!("{profile:?}"));
        assert_eq!(
            run.stats().backdoor_exits(),
            0,
            "{profile:?} was left alone"
        );
    }
}

#[test]
fn with_detection_skipped_it_is_the_same_within_5_s() {
    for profile in ELSEWHERE {
        let folder = Folder::new();
        let run = Run::start(
            agent_with(folder.path("machine.sock"))
                .args(["--skip-vmware-detection"])
                .profile(profile),
        );
        ends_with_one_line(&run, Duration::from_secs(5), &format!("{profile:?}"));
    }
}

#[test]
fn off_vmware_talos_need_not_be_configured() {
    let run = Run::start(agent().profile(Profile::Kvm));
    ends_with_one_line(&run, Duration::from_secs(2), "no configuration");
    let run = Run::start(
        agent()
            .env("VMTOOLSD_TALOS_CONFIG", "/does/not/exist")
            .profile(Profile::Kvm),
    );
    ends_with_one_line(&run, Duration::from_secs(2), "no talosconfig");
}

#[test]
fn idle_off_vmware_stays_up_until_asked_to_stop() {
    let folder = Folder::new();
    let run = Run::start(
        agent_with(folder.path("machine.sock"))
            .args(["--idle-off-vmware"])
            .profile(Profile::Kvm),
    );
    run.logs(&["VMware"], SOON);
    // A SIGHUP is no wish to stop.
    run.signal(Signal::SIGHUP);
    pass(&run, Duration::from_secs(1));
    assert_eq!(run.host(|host, _| host.exit_status()), None);
    assert_eq!(run.log().len(), 1, "{:#?}", run.log());
    run.stop();
}

#[test]
fn vmware_with_a_backdoor_that_does_not_work_is_tried_slowly_and_quietly() {
    let folder = Folder::new();
    let run = Run::start(
        agent_with(folder.path("machine.sock"))
            .profile(Profile::VmwareNoBackdoor)
            .ping_every(Duration::from_secs(1)),
    );
    run.logs(&["backdoor"], SOON);
    let tries = run.stats().faulted;
    let measured = Instant::now();
    pass(&run, Duration::from_secs(3));
    let rate = (run.stats().faulted - tries) as f64 / measured.elapsed().as_secs_f64();
    assert!(rate < 20.0, "{rate} accesses a second");
    assert_eq!(run.host(|host, _| host.exit_status()), None);
    assert!(run.log().len() <= 8, "{:#?}", run.log());

    // The host begins to serve it: nobody need restart anything.
    run.host(|host, _| host.config.profile = Profile::Vmware);
    run.green();
    run.stop();
}

#[test]
fn behind_cpuid_of_another_hypervisor_a_vmx_is_found_when_detection_is_skipped() {
    // VMware with its CPUID leaves hidden: nothing but the port tells.
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .profile(Profile::Vmware)
            .env("VMTOOLSD_SKIP_VMWARE_DETECTION", "true"),
    );
    run.informed();
    run.stop();
}
