//! What the daemon gives up, and that it works all the same. Every other test of this program runs in the
//! sandbox, too, and fails when a system call is denied.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::thread;
use std::time::Duration;

use apid::{Method, TlsOptions};
use nix::libc;
use nix::sys::signal::Signal;
use serde_json::Value;
use vmx::{EventKind, Link, Profile, Sandbox, Stream, VmxBuilder, VsockPolicy};

use crate::support::{ADDRESS, Folder, NAME, Run, SOON, Talos, agent, agent_with, pass};

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_NET_BIND_SERVICE: u64 = 1 << 10;
/// apid's user, to whom machined's socket belongs on Talos.
const APID: u32 = 50;
const DENIED: &str = "denied a system call";

#[test]
fn relative_paths_raise_no_alarm_when_they_are_read_again() {
    let talos = Talos::tls(TlsOptions::default());
    let config = talos.folder.write("config.yaml", "log:\n  level: info\n");
    let run = Run::start(
        agent()
            .args(["--config", "config.yaml", "--talos-config", "talosconfig"])
            .args(["--talos-node", &talos.endpoint().unwrap().to_string()])
            .env("SSL_CERT_FILE", "roots.pem")
            .cwd(config.parent().unwrap()),
    );
    run.informed();
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    talos.reissue(|_| {}).unwrap();
    talos.write_talosconfig();
    run.logs(&["talosconfig has changed"], SOON);
    assert_eq!(run.reply("ping"), "OK ");
    // The end of the run looks for denied calls.
    run.stop();
}

/// The fields of a /proc/PID/status.
fn fields(status: &str) -> BTreeMap<String, String> {
    let fields = status.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The fields of /proc/PID/status, for each thread that there is.
fn threads(run: &Run) -> Vec<BTreeMap<String, String>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", run.pid())).unwrap();
    tasks
        .map(|task| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            fields(&status)
        })
        .collect()
}

/// Every thread has these capabilities and no others, and both filters.
fn is_confined(run: &Run, capabilities: u64) {
    for thread in threads(run) {
        thread_is_confined(&thread, capabilities);
    }
}

fn thread_is_confined(thread: &BTreeMap<String, String>, capabilities: u64) {
    let set = |name: &str| u64::from_str_radix(&thread[name], 16).unwrap();
    assert_eq!(set("CapEff"), capabilities, "{thread:#?}");
    assert_eq!(set("CapPrm"), capabilities, "{thread:#?}");
    for none in ["CapInh", "CapBnd", "CapAmb"] {
        assert_eq!(set(none), 0, "{none}: {thread:#?}");
    }
    assert_eq!(thread["NoNewPrivs"], "1");
    assert_eq!(thread["Seccomp"], "2");
    // The simulator's and two of the daemon's.
    assert_eq!(thread["Seccomp_filters"], "3");
}

#[test]
fn the_sandbox_is_entered_before_the_first_access_to_the_host() {
    let talos = Talos::new();
    for profile in [Profile::Vmware, Profile::VmwareNoBackdoor] {
        let run = Run::start(talos.agent().profile(profile));
        run.logs(&["talos-vmtoolsd started"], SOON);
        // The kernel's word for that moment: by then the host has sent nothing.
        let status = run.host(|host, _| host.status_at_first_access().map(str::to_owned));
        thread_is_confined(&fields(&status.unwrap()), 0);
        run.stop();
    }
    // It is looked at the process itself, not at what it says.
    let run = Run::start(talos.agent().args(["--sandbox=off"]));
    run.informed();
    let status = run.host(|host, _| host.status_at_first_access().map(str::to_owned));
    assert_eq!(fields(&status.unwrap())["Seccomp_filters"], "1");
    run.stop();
}

#[test]
fn the_running_daemon_has_no_capability_and_is_filtered() {
    let talos = Talos::new();
    let run = talos.run();
    is_confined(&run, 0);
    let line = run.logs(&["sandbox is in force"], SOON);
    for words in [
        "capabilities: none",
        "no_new_privs: set",
        "system calls",
        "no TCP",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!line.contains("missing"), "{line}");
    // All kinds of work, after that.
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    talos.stop();
    run.logs(&["lost connection to Talos"], SOON);
    talos.set_hostname("again", "");
    talos.restart().unwrap();
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("again")
    });
    run.host(|host, now| host.resume_elsewhere(now));
    run.informed();
    run.asked("OS_Reboot");
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    is_confined(&run, 0);
    run.stop();
}

#[test]
fn with_a_talosconfig_names_are_looked_up_over_dns_and_a_swap_is_followed() {
    let talos = Talos::tls(TlsOptions::default());
    let resolver = name_server();
    let resolv_conf = talos
        .folder
        .write("resolv.conf", &format!("nameserver {resolver}\n"));
    let run = Run::start(talos.agent().sandbox(Sandbox {
        binds: vec![(resolv_conf, "/etc/resolv.conf".into())],
        ..Sandbox::default()
    }));
    run.informed();
    is_confined(&run, 0);
    let line = run.logs(&["sandbox is in force"], SOON);
    assert!(line.contains("TCP to 53 "), "{line}");
    // A thread looks the names up, and inherits everything; the certificate is for the address.
    for name in ["localhost", "cp.talos.test"] {
        let text = talos.talosconfig().replace("127.0.0.1", name);
        assert_ne!(text, talos.talosconfig());
        swap(&talos, &text);
        run.logs(&[name, "wrong host name"], SOON);
    }
    swap(&talos, &talos.talosconfig());
    run.until("a connection by the new talosconfig", SOON, |host, _| {
        let lines = host.output(Stream::Stderr);
        let connected = lines
            .iter()
            .filter(|line| line.contains("connected to Talos"));
        (connected.count() > 1).then_some(())
    });
    run.asked("OS_Halt");
    talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    run.stop();
}

/// As kubelet: another file under the same name, in one step.
fn swap(talos: &Talos, text: &str) {
    let fresh = talos.folder.write("talosconfig.new", text);
    std::fs::rename(fresh, talos.talosconfig_path()).unwrap();
}

/// A name server that answers every question for an IPv4 address, with the same one twice, so that the resolver
/// has something to put in order. It ends with the test program.
fn name_server() -> Ipv4Addr {
    const HEADER: usize = 12;
    let address = Ipv4Addr::new(127, 77, 0, 53);
    let socket = UdpSocket::bind((address, 53)).unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut query) {
            let name = query[HEADER..len]
                .iter()
                .position(|&byte| byte == 0)
                .unwrap();
            let question = &query[HEADER..HEADER + name + 5];
            let addresses: &[[u8; 4]] = match question[name + 2] {
                1 => &[[127, 0, 0, 1], [127, 0, 0, 1]],
                _ => &[],
            };
            let count = addresses.len() as u8;
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]);
            answer.extend(question);
            for address in addresses {
                answer.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address);
            }
            socket.send_to(&answer, from).unwrap();
        }
    });
    address
}

#[test]
fn over_vsock_the_privileged_port_is_kept_for_reconnects() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().vsock(VsockPolicy::served()));
    run.informed();
    is_confined(&run, CAP_NET_BIND_SERVICE);
    let before = run.rpci_log().len();
    run.host(|host, now| host.resume_elsewhere(now));
    run.until("RPCI again", SOON, |host, _| {
        (host.rpci_log().len() > before).then_some(())
    });
    run.informed();
    assert!(run.rpci_log().iter().all(|entry| entry.privileged));
    assert!(run.log_lines(&["CAP_NET_BIND_SERVICE"]).len() == 1);
    run.stop();
}

#[test]
fn a_socket_of_apids_user_is_connected_to_as_on_talos() {
    let talos = Talos::new();
    let socket = talos.socket_path();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o755)).unwrap();
    chown(&socket, Some(APID), Some(APID)).unwrap();
    let run = talos.run();
    is_confined(&run, CAP_DAC_OVERRIDE);
    run.logs(&["capabilities: CAP_DAC_OVERRIDE;"], SOON);
    run.stop();
}

#[test]
fn a_denied_call_is_named_once_and_the_daemon_goes_on() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().vsock(VsockPolicy::served()));
    run.informed();
    run.tolerate("system_call=ptrace");
    run.host(|host, now| {
        host.config.vsock.taken_over = Some(libc::SYS_ptrace);
        host.resume_elsewhere(now);
    });
    let line = run.logs(&[DENIED], SOON);
    assert!(
        line.contains("WARN") && line.contains("system_call=ptrace"),
        "{line}"
    );
    assert!(line.contains("--sandbox=warn"), "{line}");
    // What took over a vsock has no more of it; the backdoor serves.
    run.until("the backdoor in its place", SOON, |host, _| {
        matches!(host.tclo_link(), Some(Link::Backdoor(_))).then_some(())
    });
    run.informed();
    assert_eq!(run.reply("ping"), "OK ");
    pass(&run, Duration::from_secs(1));
    assert_eq!(run.log_lines(&[DENIED]).len(), 1);
    run.stop();
}

#[test]
fn warn_denies_nothing_and_says_so() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().args(["--sandbox=warn"]));
    run.informed();
    let line = run.logs(&["WARN", "sandbox denies nothing"], SOON);
    for words in [
        "capabilities: none",
        "system calls",
        "reads /proc /sys",
        "audit",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    for thread in threads(&run) {
        assert_ne!(thread["CapEff"], "0000000000000000");
        assert_eq!(thread["Seccomp_filters"], "3");
    }
    run.asked("OS_Reboot");
    talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    run.stop();
}

#[test]
fn off_is_off_by_flag_variable_and_file() {
    let talos = Talos::new();
    let file = talos.folder.write("off.yaml", "sandbox:\n  mode: off\n");
    let off: [fn(VmxBuilder, &str) -> VmxBuilder; 3] = [
        |agent, _| agent.args(["--sandbox", "off"]),
        |agent, _| agent.env("VMTOOLSD_SANDBOX", "off"),
        |agent, file| agent.env("VMTOOLSD_CONFIG", file),
    ];
    for off in off {
        let run = Run::start(off(talos.agent(), file.to_str().unwrap()));
        run.informed();
        run.logs(&["INFO", "the sandbox is off"], SOON);
        for thread in threads(&run) {
            assert_ne!(thread["CapEff"], "0000000000000000");
            // The simulator's.
            assert_eq!(thread["Seccomp_filters"], "1");
        }
        run.stop();
    }
}

#[test]
fn a_mode_that_there_is_not_is_named_and_leaves_the_sandbox_in_force() {
    let folder = Folder::new();
    let file = folder.write("config.yaml", "sandbox:\n  mode: strict\n");
    let wrong: [VmxBuilder; 3] = [
        agent().args(["--sandbox=strict"]),
        agent().env("VMTOOLSD_SANDBOX", "strict"),
        agent().env("VMTOOLSD_CONFIG", &file),
    ];
    for wrong in wrong {
        let run = Run::start(wrong);
        run.green();
        run.logs(&["ERROR", "strict", "enforce"], SOON);
        run.logs(&["the sandbox is in force"], SOON);
        run.stop();
    }
}

#[test]
fn a_configuration_read_again_cannot_have_more_than_the_first() {
    let talos = Talos::tls(TlsOptions::default());
    let elsewhere = Folder::new();
    let moved = elsewhere.write("talosconfig", &talos.talosconfig());
    let inside = talos.talosconfig_path().display().to_string();
    let file = talos
        .folder
        .write("config.yaml", &format!("talos:\n  config: {inside}\n"));
    let run = Run::start(agent().env("VMTOOLSD_CONFIG", &file));
    run.informed();
    for (text, words) in [
        (
            format!("talos:\n  config: {}\n", moved.display()),
            "was not readable when the sandbox was set up",
        ),
        (
            format!("talos:\n  config: {inside}\n  node: 127.0.0.1:1\n"),
            "port 1 was not allowed",
        ),
    ] {
        talos.folder.write("config.yaml", &text);
        run.signal(Signal::SIGHUP);
        let line = run.logs(&["ERROR", words], SOON);
        assert!(line.contains("restart"), "{line}");
    }
    talos.folder.write(
        "config.yaml",
        &format!("talos:\n  config: {inside}\nlog:\n  level: debug\n"),
    );
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
    run.stop();

    // From machined's socket there is no way to the network.
    let talos = Talos::new();
    let through = |socket: bool| {
        format!(
            "talos:\n  use_machined: {socket}\n  machined_socket: {}\n  config: {}\n",
            talos.socket_path().display(),
            moved.display()
        )
    };
    let file = talos.folder.write("config.yaml", &through(true));
    let run = Run::start(agent().env("VMTOOLSD_CONFIG", &file));
    run.informed();
    talos.folder.write("config.yaml", &through(false));
    run.signal(Signal::SIGHUP);
    run.logs(&["ERROR", "no network was allowed"], SOON);
    assert_eq!(run.vcenter().host_name.as_deref(), Some(NAME));
    run.stop();
}

/// What old kernels and other sandboxes leave out.
fn refusing(talos: &Talos, calls: &[libc::c_long], errno: i32) -> VmxBuilder {
    talos.agent().sandbox(Sandbox {
        refused: calls.iter().map(|&call| (call, errno)).collect(),
        ..Sandbox::default()
    })
}

#[test]
fn what_the_kernel_does_not_have_is_reported_and_the_rest_holds() {
    let talos = Talos::new();
    let landlock = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    for errno in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
        let run = Run::start(refusing(&talos, &landlock, errno));
        run.informed();
        is_confined(&run, 0);
        let line = run.logs(&["INFO", "in force in part", "missing=\"landlock: "], SOON);
        assert!(line.contains("system calls"), "{line}");
        run.stop();
    }
    let run = Run::start(refusing(&talos, &[libc::SYS_seccomp], libc::ENOSYS));
    run.informed();
    let line = run.logs(&["in force in part", "missing=\"seccomp: "], SOON);
    assert!(
        line.contains("capabilities: none") && line.contains("ABI"),
        "{line}"
    );
    run.stop();
    let run = Run::start(refusing(&talos, &[libc::SYS_capset], libc::EPERM));
    run.informed();
    run.logs(&["in force in part", "missing=\"capabilities: "], SOON);
    run.stop();
}

#[test]
fn check_enters_the_sandbox_and_reports_what_holds() {
    let talos = Talos::new();
    let sandbox_of = |arguments: &[&str], refused: &[libc::c_long]| -> (Value, Option<i32>) {
        let run = Run::start(
            vmx::Vmx::builder(crate::support::binary())
                .args(["check", "--json", "--use-machined", "--machined-socket"])
                .args([talos.socket_path()])
                .args(arguments)
                .sandbox(Sandbox {
                    refused: refused.iter().map(|&call| (call, libc::EPERM)).collect(),
                    ..Sandbox::default()
                }),
        );
        let status = run.wait_exit(SOON).unwrap();
        let text = run.output(Stream::Stdout).join("\n");
        let report: Value = serde_json::from_str(&text).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let last = checks.last().unwrap().clone();
        assert_eq!(last["check"], "sandbox");
        (last, status.code())
    };
    let detail = |check: &Value| check["detail"].as_str().unwrap().to_owned();
    let (check, code) = sandbox_of(&[], &[]);
    assert_eq!((code, &check["result"]), (Some(0), &Value::from("ok")));
    assert!(detail(&check).starts_with("in force: capabilities: none; no_new_privs: set"));
    assert!(!detail(&check).contains("missing"));
    let (check, code) = sandbox_of(&["--sandbox=off"], &[]);
    assert_eq!(
        (code, detail(&check)),
        (Some(0), "off, as configured".to_owned())
    );
    let (check, code) = sandbox_of(&["--sandbox=warn"], &[]);
    assert_eq!(code, Some(0));
    assert!(detail(&check).starts_with("denies nothing"), "{check}");
    // Kernels without landlock are fine otherwise, those without seccomp are not.
    let (check, code) = sandbox_of(&[], &[libc::SYS_landlock_create_ruleset]);
    assert_eq!(code, Some(0));
    assert!(detail(&check).contains("missing: landlock"), "{check}");
    let (check, code) = sandbox_of(&[], &[libc::SYS_seccomp]);
    assert_eq!((code, &check["result"]), (Some(1), &Value::from("failed")));
    assert!(detail(&check).contains("missing: seccomp"), "{check}");
    assert!(
        check["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty())
    );
}

#[test]
fn off_vmware_it_is_one_line_all_the_same() {
    let folder = Folder::new();
    let run = Run::start(agent_with(folder.path("machine.sock")).profile(Profile::Kvm));
    assert!(run.wait_exit(SOON).unwrap().success());
    assert_eq!(run.log().len(), 1, "{:#?}", run.log());
    let asked = run.events();
    let asked = asked
        .iter()
        .filter(|event| matches!(event.kind, EventKind::VsockSocket(_)));
    assert!(asked.count() <= 1);
}
