//! `rpc`, side by side with Debian's vmware-rpctool under the same host.

use std::path::Path;

use vmx::{Profile, Protocol, Stream, Times, Vmx, VsockPolicy};

use crate::support::{Run, SOON, binary};

const RPCTOOL: &str = "/usr/bin/vmware-rpctool";

/// What a run wrote and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    stdout: Vec<String>,
    stderr: Vec<String>,
    code: Option<i32>,
}

fn said(run: &Run) -> Said {
    let status = run.wait_exit(SOON).unwrap();
    Said {
        stdout: run.output(Stream::Stdout),
        stderr: run.output(Stream::Stderr),
        code: status.code(),
    }
}

fn ours(change: impl FnOnce(vmx::VmxBuilder) -> vmx::VmxBuilder, arguments: &[&str]) -> Run {
    let builder = Vmx::builder(binary()).args(["rpc"]).args(arguments);
    Run::start(change(builder))
}

/// Whether vmware-rpctool is there to be compared with.
fn rpctool_is_installed() -> bool {
    let installed = Path::new(RPCTOOL).exists();
    assert!(
        installed || std::env::var("CI").as_deref() != Ok("true"),
        "{RPCTOOL} is missing, and nothing may be skipped in CI"
    );
    if !installed {
        eprintln!("*** SKIPPED: {RPCTOOL} is not installed; nothing is compared with it ***");
    }
    installed
}

#[test]
fn it_writes_and_exits_as_vmware_rpctool_does() {
    if !rpctool_is_installed() {
        return;
    }
    for command in [
        "info-get guestinfo.greeting",
        "info-get guestinfo.nobody",
        "info-get guestinfo.empty",
        "info-get guestinfo.lines",
        "info-set guestinfo.a b  c",
        "machine.id.get",
        "no.such.command",
        "log a line",
    ] {
        let prepare = |builder: vmx::VmxBuilder| {
            builder
                .variable("greeting", "hello world")
                .variable("empty", "")
                .variable("lines", "one\ntwo\n")
        };
        let ours = said(&ours(prepare, &[command]));
        let theirs = said(&Run::start(prepare(Vmx::builder(RPCTOOL).args([command]))));
        assert_eq!(ours, theirs, "{command}");
    }
}

#[test]
fn off_vmware_both_exit_alike_and_ours_says_so_in_one_line() {
    for profile in [Profile::Kvm, Profile::BareMetal, Profile::QemuVmport] {
        let ours = said(&ours(
            |builder| builder.profile(profile),
            &["info-get guestinfo.ip"],
        ));
        assert_eq!((ours.stdout.len(), ours.stderr.len()), (0, 1), "{ours:?}");
        assert!(ours.stderr[0].contains("VMware"), "{ours:?}");
        assert_ne!(ours.code, Some(0));
        if profile == Profile::Kvm && rpctool_is_installed() {
            let theirs = Run::start(
                Vmx::builder(RPCTOOL)
                    .args(["info-get guestinfo.ip"])
                    .profile(profile),
            );
            assert_eq!(ours.code, said(&theirs).code);
        }
    }
}

#[test]
fn a_value_goes_to_stdout_and_a_refusal_to_stderr() {
    let found = ours(
        |builder| builder.variable("x", "y"),
        &["info-get guestinfo.x"],
    );
    assert_eq!(
        said(&found),
        Said {
            stdout: vec!["y".into()],
            stderr: vec![],
            code: Some(0)
        }
    );
    let missing = ours(|builder| builder, &["info-get guestinfo.x"]);
    let Said {
        stdout,
        stderr,
        code,
    } = said(&missing);
    assert_eq!((stdout.len(), code), (0, Some(1)));
    assert_eq!(stderr, ["No value found"]);
}

#[test]
fn large_values_come_whole_over_every_form_of_transport() {
    let value = "v".repeat(60_000);
    for (profile, high_bandwidth, vsock) in [
        (
            Profile::Vmware,
            true,
            VsockPolicy::refused(nix::libc::EPERM),
        ),
        (
            Profile::Vmware,
            false,
            VsockPolicy::refused(nix::libc::EPERM),
        ),
        (
            Profile::VmwareVmcall,
            true,
            VsockPolicy::refused(nix::libc::EPERM),
        ),
        (Profile::Vmware, true, VsockPolicy::served()),
    ] {
        let run = ours(
            |builder| {
                builder
                    .profile(profile)
                    .vsock(vsock)
                    .config(|host| host.high_bandwidth = high_bandwidth)
                    .variable("large", value.clone())
            },
            &["info-get guestinfo.large"],
        );
        let said = said(&run);
        assert_eq!(
            (said.code, said.stdout.len()),
            (Some(0), 1),
            "{:?}",
            said.stderr
        );
        assert!(said.stdout[0] == value, "{} bytes", said.stdout[0].len());
    }
}

#[test]
fn a_host_that_serves_no_channel_is_one_line_and_not_success() {
    let run = ours(
        |builder| builder.host(|host| host.refuse_open(Protocol::Rpci, Times::Forever)),
        &["info-get guestinfo.x"],
    );
    let said = said(&run);
    assert_eq!(
        (said.stdout.len(), said.stderr.len(), said.code),
        (0, 1, Some(1)),
        "{said:?}"
    );
}

#[test]
fn the_channel_is_closed_afterwards() {
    let run = ours(|builder| builder, &["info-set guestinfo.a b"]);
    said(&run);
    let mut open = 0;
    for event in run.events() {
        match event.kind {
            vmx::EventKind::Opened { .. } => open += 1,
            vmx::EventKind::Closed {
                by: vmx::By::Guest, ..
            } => open -= 1,
            _ => {}
        }
    }
    assert_eq!(open, 0);
    assert_eq!(run.host(|host, _| host.variable("a")).as_deref(), Some("b"));
}
