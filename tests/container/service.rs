//! The agent does all of its work in there.

use std::time::Duration;

use apid::{Apid, Method, scene};
use vmx::{EventKind, Stream, VsockPolicy};

use super::bundle::{Bundle, specs, specs_of_qemu_ga};
use crate::support::{ADDRESS, Folder, NAME, Run, SOON, Talos};

#[test]
#[ignore = "make container"]
fn the_node_is_green_with_name_address_and_power_buttons_and_stops_with_0_at_sigterm() {
    for spec in specs() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path());
        let run = Run::start(bundle.under_vmx().ping_every(Duration::from_millis(500)));
        run.informed();
        let view = run.sees("all of it", SOON, |view| {
            view.is_green() && view.guest_full_name.is_some() && view.state_change_supported
        });
        assert_eq!(view.host_name.as_deref(), Some(NAME), "{}", spec.talos);
        assert_eq!(view.ip_address.as_deref(), Some(ADDRESS), "{}", spec.talos);
        assert_eq!(view.macs(), ["00:50:56:ab:cd:ef"], "{}", spec.talos);
        talos.set_hostname("changed-meanwhile", "");
        run.sees("the new name", SOON, |view| {
            view.host_name.as_deref() == Some("changed-meanwhile")
        });
        let took = bundle.stop(&run);
        assert!(run.log_lines(&["ERROR"]).is_empty(), "{:#?}", run.log());
        assert!(run.log_lines(&["WARN"]).is_empty(), "{:#?}", run.log());
        println!("Talos {}: SIGTERM to exit 0 in {took:?}", spec.talos);
    }
}

#[test]
#[ignore = "make container"]
fn restart_and_shut_down_reach_talos_once_each_with_status_1() {
    for spec in specs() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path());
        let run = Run::start(bundle.under_vmx());
        run.informed();
        for (request, method, done) in [
            ("OS_Reboot", Method::Reboot, 1),
            ("OS_Halt", Method::Shutdown, 2),
        ] {
            run.asked(request);
            talos.wait_calls(method, 1, SOON).unwrap();
            let view = run.sees("the status", SOON, |view| view.power.len() >= done);
            assert!(view.power.iter().all(|status| status.success), "{view:?}");
        }
        bundle.stop(&run);
        assert_eq!(talos.calls_of(Method::Reboot).len(), 1);
        assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    }
}

/// By its name alone, in the container of a package whose service file knows nothing of us.
#[test]
#[ignore = "make container"]
fn in_the_place_of_qemu_ga_the_binary_is_the_agent() {
    for spec in specs_of_qemu_ga() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path());
        let run = Run::start(bundle.under_vmx());
        run.informed();
        let view = run.sees("name and address", SOON, |view| view.ip_address.is_some());
        assert_eq!(view.host_name.as_deref(), Some(NAME), "{}", spec.talos);
        run.asked("OS_Halt");
        talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
        bundle.stop(&run);
        assert!(run.log_lines(&["ERROR"]).is_empty(), "{:#?}", run.log());
    }
}

#[test]
#[ignore = "make container"]
fn vsock_is_refused_by_the_profile_and_the_backdoor_serves_with_one_line_a_direction() {
    for spec in specs() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path());
        // This host would serve vsock: it is the container that says no.
        let run = Run::start(bundle.under_vmx().vsock(VsockPolicy::served()));
        run.informed();
        run.asked("reset");
        bundle.stop(&run);
        for channel in ["channel=tclo", "channel=rpci"] {
            let lines = run.log_lines(&["vsock", channel]);
            assert_eq!(lines.len(), 1, "{:#?}", run.log());
            assert!(lines[0].contains("Operation not permitted"), "{lines:?}");
        }
        let asked = run.events().into_iter().filter(|event| {
            matches!(
                event.kind,
                EventKind::VsockSocket(_) | EventKind::VsockConnect { .. }
            )
        });
        assert_eq!(asked.count(), 0, "the host heard of it");
    }
}

#[test]
#[ignore = "make container"]
fn check_finds_everything_well_in_there() {
    for spec in specs() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path()).subcommand(&["check"]);
        let run = Run::start(bundle.under_vmx());
        let status = run.wait_exit(SOON).unwrap();
        let lines = run.output(Stream::Stdout);
        println!("Talos {}: {lines:#?}", spec.talos);
        assert!(status.success(), "{status}: {lines:#?}");
        assert!(
            lines.iter().all(|line| line.starts_with("ok ")),
            "{lines:#?}"
        );
        for (check, words) in [
            ("hypervisor", "ESXi"),
            ("transport", "backdoor"),
            ("talos", "v1.13.0"),
            ("role", "os:operator"),
        ] {
            let line = lines
                .iter()
                .find(|line| line[2..].trim_start().starts_with(check));
            assert!(
                line.is_some_and(|line| line.contains(words)),
                "{check}: {lines:#?}"
            );
        }
    }
}

/// When machined's socket is not there, the mount's source is made, as a folder; and a container that has the folder
/// has it for its life.
#[test]
#[ignore = "make container"]
fn a_folder_in_the_sockets_place_is_told_with_its_remedy_and_the_host_is_served() {
    for spec in specs() {
        let folder = Folder::new();
        let socket = folder.path("machine.sock");
        let bundle = Bundle::new(&spec, &socket);
        assert!(socket.is_dir());
        let run = Run::start(bundle.under_vmx());
        run.green();
        let line = run.logs(&["Talos", "there is a directory"], SOON);
        assert!(line.contains("restart the service"), "{line}");
        assert_eq!(run.reply("ping"), "OK ");
        bundle.stop(&run);

        let check = Bundle::new(&spec, &socket).subcommand(&["check"]);
        let run = Run::start(check.under_vmx());
        assert_eq!(run.wait_exit(SOON).unwrap().code(), Some(1));
        let text = run.output(Stream::Stdout).join("\n");
        assert!(text.contains("there is a directory"), "{text}");
        assert!(text.contains("restart the service"), "{text}");

        // The remedy is one.
        std::fs::remove_dir(&socket).unwrap();
        let talos = Apid::machined(&socket).unwrap();
        scene::single_nic(&talos);
        let bundle = Bundle::new(&spec, &socket);
        let run = Run::start(bundle.under_vmx());
        run.informed();
        bundle.stop(&run);
    }
}
