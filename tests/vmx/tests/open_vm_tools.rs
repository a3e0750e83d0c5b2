//! open-vm-tools' own programs under the simulated VMX: what they do is known (the reference traces), so
//! they hold the simulator honest.

mod support;

use support::{PATIENCE, installed};
use vmx::{Profile, Stream, Vmx};

#[test]
fn checkvm_recognises_the_machine() {
    let Some(program) = installed("vmware-checkvm") else {
        return;
    };
    for (profile, code) in [
        (Profile::Vmware, 0),
        (Profile::VmwareVmcall, 0),
        (Profile::VmwareVmmcall, 0),
        (Profile::Kvm, 1),
        (Profile::BareMetal, 1),
    ] {
        let vmx = Vmx::builder(&program).profile(profile).spawn().unwrap();
        let exit = vmx.wait_exit(PATIENCE).unwrap();
        assert_eq!(
            exit.code(),
            Some(code),
            "{profile:?}: {:#?}",
            vmx.output(Stream::Stdout)
        );
        assert!(
            vmx.violations().is_empty(),
            "{profile:?}: {:#?}",
            vmx.violations()
        );
        if code == 0 {
            let text = vmx.output(Stream::Stdout).join("\n");
            assert!(text.contains("version 6 (good)"), "{profile:?}: {text}");
        }
    }
}

#[test]
fn rpctool_reads_and_writes_guest_variables() {
    let Some(program) = installed("vmware-rpctool") else {
        return;
    };
    for profile in [
        Profile::Vmware,
        Profile::VmwareVmcall,
        Profile::VmwareVmmcall,
    ] {
        for high_bandwidth in [true, false] {
            let run = |command: &str| {
                let vmx = Vmx::builder(&program)
                    .profile(profile)
                    .config(|config| config.high_bandwidth = high_bandwidth)
                    .variable("y", "from the host")
                    .args([command])
                    .spawn()
                    .unwrap();
                let exit = vmx.wait_exit(PATIENCE).unwrap();
                assert!(
                    vmx.violations().is_empty(),
                    "{profile:?}: {:#?}",
                    vmx.violations()
                );
                (exit.code(), vmx)
            };
            let (code, vmx) = run("info-set guestinfo.x hello world");
            assert_eq!(code, Some(0));
            assert_eq!(
                vmx.host(|host, _| host.variable("x")).as_deref(),
                Some("hello world")
            );
            let (code, vmx) = run("info-get guestinfo.y");
            assert_eq!(code, Some(0));
            assert_eq!(vmx.output(Stream::Stdout), ["from the host"]);
            let (code, vmx) = run("info-get guestinfo.nothing");
            assert_eq!(code, Some(1));
            let text = [vmx.output(Stream::Stdout), vmx.output(Stream::Stderr)]
                .concat()
                .join("\n");
            assert!(text.contains("No value found"), "{text}");
            assert_eq!(profile == Profile::Vmware, vmx.stats().hypercalls == 0);
        }
    }
}
