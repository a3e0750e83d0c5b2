//! The sandbox on the kernel that runs the tests: in a process of its own each, since it is for good.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clap::Parser as _;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use super::*;
use crate::config::{Cli, GuestOperationsConfig, Rights, User};
use crate::vmware::transport::vsock;

/// An ignored test of this file, to be run in a process of its own.
fn command(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--test-threads=1", "--nocapture"])
        .arg(format!("sandbox::tests::{name}"));
    command
}

/// Runs it.
fn child(name: &str) -> Output {
    command(name).output().unwrap()
}

fn config(arguments: &[&str]) -> Config {
    let cli = Cli::try_parse_from(["talos-vmtoolsd"].iter().chain(arguments)).unwrap();
    let sources = crate::config::Sources {
        flags: cli.flags,
        ..Default::default()
    };
    crate::config::load(&sources).strict().unwrap()
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "enters the sandbox"]
fn lives_with_denied_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // As the daemon does; tokio makes a pair of sockets for the first signal, which is not on the list.
    let _hangup = runtime.block_on(async {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).unwrap()
    });
    let sandbox = Sandbox::enter(
        &config(&["--use-machined", "--transport=backdoor"]),
        Host::Vmware(vsock::is_there),
    )
    .unwrap();
    assert_eq!(sandbox.missing(), "");
    let reported = runtime.block_on(async {
        let mut reported = Vec::new();
        // At first without tokio's handler, then with it in front of ours.
        let mut denied = None;
        for _ in 0..2 {
            assert_eq!(nix::unistd::chdir("/"), Err(Errno::EPERM));
            denied.get_or_insert_with(|| Denied::listen().unwrap());
        }
        let mut denied = denied.unwrap();
        reported.push(denied.next().await.to_string());
        assert_eq!(nix::unistd::setsid(), Err(Errno::EPERM));
        let kill = nix::sys::signal::kill(nix::unistd::Pid::this(), None);
        assert_eq!(kill, Err(Errno::EPERM));
        reported.push(denied.next().await.to_string());
        reported.push(denied.next().await.to_string());
        // In other threads as well, which inherit everything.
        let thread = tokio::task::spawn_blocking(|| nix::unistd::chroot("/"));
        assert_eq!(thread.await.unwrap(), Err(Errno::EPERM));
        reported.push(denied.next().await.to_string());
        reported
    });
    println!("reported: {reported:?}");
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    for field in [
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapAmb",
        "NoNewPrivs",
        "Seccomp",
    ] {
        println!(
            "{}",
            status.lines().find(|line| line.starts_with(field)).unwrap()
        );
    }
    // Files.
    assert!(std::fs::read("/proc/meminfo").is_ok());
    assert!(std::fs::read("/etc/passwd").is_err());
    assert!(std::fs::write("/tmp/talos-vmtoolsd-sandbox", "x").is_err());
    let executed = nix::unistd::execv(c"/bin/true", &[c"true"]);
    assert_eq!(executed, Err(Errno::EPERM));
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", 1))
            .is_err_and(|error| { error.raw_os_error() == Some(libc::EPERM) })
    );
    println!("alive");
}

#[test]
fn a_denied_call_fails_is_reported_once_and_the_process_lives() {
    let output = child("lives_with_denied_calls");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{output:?}");
    assert!(
        text.contains(r#"reported: ["chdir", "kill", "setsid", "chroot"]"#),
        "{text}"
    );
    for line in [
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "alive",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "ends the process by design"]
fn aborts_in_the_sandbox() {
    Sandbox::enter(&config(&["--use-machined"]), Host::Vmware(vsock::is_there)).unwrap();
    std::process::abort();
}

#[test]
fn abort_ends_the_process_as_it_does_elsewhere() {
    let status = child("aborts_in_the_sandbox").status;
    assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{status}");
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "enters the sandbox"]
fn survives_signals_that_are_sent() {
    Sandbox::enter(&config(&["--use-machined"]), Host::Vmware(vsock::is_there)).unwrap();
    // To this thread, as the only process that it may send to.
    nix::sys::signal::raise(Signal::SIGSYS).unwrap();
    let guard = crate::vmware::transport::backdoor::FaultGuard::install().unwrap();
    let mut backdoor = crate::vmware::transport::backdoor::Backdoor::new(
        if cfg!(target_arch = "x86_64") {
            crate::vmware::wire::registers::Interface::Ports
        } else {
            crate::vmware::wire::registers::Interface::SystemRegister
        },
        guard,
    );
    let mut registers = crate::vmware::wire::registers::Registers::getversion();
    let _ = crate::vmware::transport::backdoor::RegisterAccess::low(&mut backdoor, &mut registers);
    println!("alive");
}

#[test]
fn the_handlers_of_faults_and_denied_calls_do_not_disturb_each_other() {
    let output = child("survives_signals_that_are_sent");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("alive"), "{text}");
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "enters the sandbox"]
fn only_watches() {
    let sandbox = Sandbox::enter(
        &config(&["--use-machined", "--sandbox=warn"]),
        Host::Vmware(vsock::is_there),
    )
    .unwrap();
    println!("{}", sandbox.holding());
    nix::unistd::chdir("/").unwrap();
    assert!(std::fs::read("/etc/passwd").is_ok());
    println!("alive");
}

#[test]
fn warn_denies_nothing() {
    let output = child("only_watches");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("alive"), "{text}");
    for part in ["capabilities: ", "system calls", "reads /proc /sys"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Not a test of its own: the child of the next one. Landlock alone, since the list of system calls forbids most
/// of this as well.
#[test]
#[ignore = "enters the sandbox"]
fn is_restricted_by_landlock() {
    let [unix, allowed, forbidden] =
        ["UNIX", "ALLOWED", "FORBIDDEN"].map(|name| std::env::var(name).unwrap());
    let ports = [&allowed, &forbidden].map(|port| port.parse::<u16>().unwrap());
    let network = match std::env::var("NETWORK").unwrap().as_str() {
        "none" => Network::None,
        "ports" => Network::Ports([ports[0]].into()),
        _ => Network::Any,
    };
    let needs = Needs {
        network,
        ..Needs::default()
    };
    let holds = landlock::restrict(&needs).unwrap();
    println!("{holds}");
    let outcome = |what: &str, result: io::Result<()>| {
        let error = result.err().and_then(|error| error.raw_os_error());
        println!("{what}: {:?}", error.map(Errno::from_raw));
    };
    let connect = |port| std::net::TcpStream::connect(("127.0.0.1", port)).map(drop);
    outcome("to the port", connect(ports[0]));
    outcome("to another", connect(ports[1]));
    for port in [0, ports[0]] {
        let listened = std::net::TcpListener::bind(("127.0.0.1", port));
        outcome("listen", listened.map(drop));
    }
    let abstract_name = SocketAddr::from_abstract_name(unix).unwrap();
    outcome(
        "to an abstract socket",
        UnixStream::connect_addr(&abstract_name).map(drop),
    );
    let signalled = nix::sys::signal::kill(nix::unistd::Pid::parent(), None);
    outcome("a signal", signalled.map_err(io::Error::from));
}

/// What is left of the network and of other processes, by the kernel that runs the tests; those before ABI 6 have
/// less.
#[test]
fn landlock_leaves_no_listening_no_signals_and_no_abstract_sockets_of_others() {
    let name = format!("talos-vmtoolsd-sandbox-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _unix = UnixListener::bind_addr(&address).unwrap();
    let tcp = [0; 2].map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [allowed, forbidden] = tcp
        .each_ref()
        .map(|listener| listener.local_addr().unwrap().port().to_string());
    let reached = |network: &str| match network {
        "none" => ["EACCES", "EACCES"],
        "ports" => ["", "EACCES"],
        _ => ["", ""],
    };
    for network in ["none", "ports", "any"] {
        let output = command("is_restricted_by_landlock")
            .envs([
                ("UNIX", &name),
                ("ALLOWED", &allowed),
                ("FORBIDDEN", &forbidden),
            ])
            .env("NETWORK", network)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{output:?}");
        let abi = text
            .split("ABI ")
            .nth(1)
            .and_then(|rest| rest.split(',').next())
            .unwrap();
        if abi.parse::<u32>().unwrap() < 6 {
            eprintln!("*** SKIPPED: this kernel has landlock ABI {abi} ***");
            continue;
        }
        let [to_the_port, to_another] = reached(network);
        for (what, errno) in [
            ("to the port", to_the_port),
            ("to another", to_another),
            ("listen", "EACCES"),
            ("to an abstract socket", "EPERM"),
            ("a signal", "EPERM"),
        ] {
            let expected = match errno {
                "" => "None".to_owned(),
                errno => format!("Some({errno})"),
            };
            let mut outcomes = text
                .lines()
                .filter_map(|line| line.split_once(&format!("{what}: ")));
            assert!(
                outcomes.all(|(_, outcome)| outcome == expected)
                    && text.contains(&format!("{what}: ")),
                "{network}, {what}, not {expected}: {text}"
            );
        }
    }
}

/// With a user who may reach the Talos API.
fn with_relay(mut config: Config) -> Config {
    config.guest_operations = GuestOperationsConfig {
        enabled: true,
        users: vec![User {
            name: "ops".to_owned(),
            password_hash: None,
            public_key: None,
            rights: Rights {
                relay: true,
                ..Rights::default()
            },
        }],
        node_files: Vec::new(),
    };
    config
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "enters the sandbox"]
fn relays_in_the_sandbox() {
    let mut config = config(&["--use-machined", "--transport=backdoor"]);
    if std::env::var_os("RELAY").is_some() {
        config = with_relay(config);
    }
    let sandbox = Sandbox::enter(&config, Host::Vmware(vsock::is_there)).unwrap();
    let connect = |port| std::net::TcpStream::connect(("127.0.0.1", port)).map(drop);
    let denied = |result: io::Result<()>| {
        result.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    println!(
        "denied: {} {} {}; {}",
        denied(connect(50000)),
        denied(connect(50001)),
        denied(std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
        sandbox.holding(),
    );
}

#[test]
fn apid_can_be_reached_where_a_user_may_relay_and_nothing_else() {
    let without = child("relays_in_the_sandbox");
    let text = String::from_utf8_lossy(&without.stdout);
    assert!(
        text.contains("denied: true true true;"),
        "{text}{without:?}"
    );
    let with = command("relays_in_the_sandbox").env("RELAY", "1").output();
    let with = with.unwrap();
    let text = String::from_utf8_lossy(&with.stdout);
    // Whether there is a listener, does not matter.
    if text.contains("TCP") {
        assert!(text.contains("denied: false true true;"), "{text}{with:?}");
        assert!(text.contains("TCP to 50000"), "{text}");
    } else {
        eprintln!("*** SKIPPED: this kernel's landlock knows no TCP ***");
        assert!(text.contains("denied: false false true;"), "{text}{with:?}");
    }
}

/// Not a test of its own: the child of the next one.
#[test]
#[ignore = "enters the sandbox"]
fn makes_the_rare_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let thread = nix::unistd::gettid();
    let sandbox =
        Sandbox::enter(&config(&["--use-machined"]), Host::Vmware(vsock::is_there)).unwrap();
    assert_eq!(sandbox.missing(), "");
    // getdents64: the disks of the kernel.
    assert!(std::fs::read_dir("/sys").unwrap().count() > 0);
    // sched_yield: what channels do when two threads meet in one.
    std::thread::yield_now();
    // restart_syscall: what the kernel makes of a wait with an end that a stop has interrupted.
    println!("waiting: {thread}");
    std::thread::park_timeout(Duration::from_secs(2));
    let denied = runtime.block_on(async {
        let mut denied = sandbox.denied().unwrap();
        tokio::time::timeout(Duration::from_millis(1), denied.next()).await
    });
    println!("denied: {:?}", denied.ok().map(|call| call.to_string()));
}

#[test]
fn calls_that_only_disks_races_and_a_stopped_process_need_go_through() {
    let mut child = command("makes_the_rare_calls")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut text = String::new();
    let mut until = |words: &str| loop {
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("no {words:?}: {text}"))
            .unwrap();
        text.push_str(&line);
        if line.contains(words) {
            return line;
        }
    };
    let line = until("waiting: ");
    let thread = line.rsplit(' ').next().unwrap();
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat")).unwrap();
        stat.rsplit(") ")
            .next()
            .and_then(|rest| rest.chars().next())
            .unwrap()
    };
    // Before it sleeps there is no wait that a stop could interrupt.
    while state() != 'S' {
        std::thread::yield_now();
    }
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        nix::sys::signal::kill(pid, signal).unwrap();
        while (state() == 'T') != (signal == Signal::SIGSTOP) {
            std::thread::yield_now();
        }
    }
    let line = until("denied: ");
    assert!(line.contains("denied: None"), "{line}");
    assert!(child.wait().unwrap().success());
}

fn entered(arguments: &[&str]) -> Sandbox {
    let config = config(arguments);
    let host = Host::Vmware(vsock::is_there);
    let needs = Needs::of(&config, &host, None);
    Sandbox {
        mode: SandboxMode::Enforce,
        host,
        talos: config.talos.is_ok(),
        ssl_cert_file: None,
        readable: needs.readable(),
        network: needs.network,
        parts: [SECCOMP, LANDLOCK]
            .map(|name| Part {
                name,
                outcome: Ok(String::new()),
            })
            .into(),
    }
}

#[test]
fn a_configuration_that_needs_more_is_objected_to() {
    let folder = std::env::temp_dir().join(format!("sandbox-objection-{}", std::process::id()));
    let (here, there) = (folder.join("here"), folder.join("there"));
    for folder in [&here, &there] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config"), "").unwrap();
    }
    let path = |folder: &Path, name: &str| folder.join(name).display().to_string();
    let (here, elsewhere) = (
        [path(&here, "config"), path(&here, "other")],
        path(&there, "config"),
    );
    let apid = |file: &str, node: &str| config(&["--talos-config", file, "--talos-node", node]);
    let machined = entered(&["--use-machined"]);
    assert_eq!(machined.objection(&config(&["--use-machined"])), None);
    let without = entered(&[]);
    assert_eq!(without.objection(&config(&[])), None);
    assert_eq!(
        without.objection(&config(&["--use-machined"])),
        Some(Objection::Talos)
    );
    assert_eq!(
        machined.objection(&apid(&here[0], "n")),
        Some(Objection::Network)
    );
    let with = entered(&["--talos-config", &here[0], "--talos-node", "n"]);
    assert_eq!(with.objection(&apid(&here[1], "other:50000")), None);
    assert_eq!(
        with.objection(&apid(&here[0], "n:50001")),
        Some(Objection::Port { port: 50001 })
    );
    let objection = with.objection(&apid(&elsewhere, "n")).unwrap();
    assert!(matches!(&objection, Objection::File { path } if *path == there));
    assert!(objection.to_string().contains("restart"), "{objection}");
    // The right to relay is not refused: all else of a reload counts.
    let relay = with_relay(config(&["--use-machined"]));
    assert_eq!(machined.objection(&relay), None);
    // What is not in force objects to nothing.
    let off = Sandbox {
        mode: SandboxMode::Warn,
        ..machined
    };
    assert_eq!(off.objection(&apid(&elsewhere, "n")), None);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn needs_follow_the_configuration() {
    let on = |host: Host, arguments: &[&str]| {
        Needs::of(&config(arguments), &host, Some("/ssl/roots.pem".into()))
    };
    let of = |arguments: &[&str]| on(Host::Vmware(vsock::is_there), arguments);
    let machined = of(&[
        "--use-machined",
        "--machined-socket=/s",
        "--transport=backdoor",
    ]);
    assert_eq!(
        machined,
        Needs {
            socket: Some("/s".into()),
            ..Needs::default()
        }
    );
    assert_eq!(
        machined.readable(),
        BTreeSet::from(["/proc".into(), "/sys".into()])
    );
    let apid = of(&[
        "--talos-config=/does/not/exist",
        "--talos-node=[fd00::1]:443",
    ]);
    assert_eq!(apid.network, Network::Ports([53, 443].into()));
    assert!(apid.vsock);
    assert!(apid.readable().contains(Path::new("/etc")));
    assert!(!apid.readable().contains(Path::new("/")));
    let unknown = of(&["--talos-config=/does/not/exist"]);
    assert_eq!(unknown.network, Network::Any);
    for (host, port) in [
        (Host::Port("/port".into()), Some("/port".into())),
        (Host::None, None),
    ] {
        let needs = on(host, &["--use-machined", "--machined-socket=/s"]);
        let expected = Needs {
            socket: Some("/s".into()),
            port,
            ..Needs::default()
        };
        assert_eq!(needs, expected);
    }
}

#[test]
fn the_right_to_relay_needs_apids_port_on_vmware_alone() {
    let vmware = || Host::Vmware(vsock::is_there);
    let of = |host: Host, arguments: &[&str], relay: bool| {
        let config = config(arguments);
        let config = if relay { with_relay(config) } else { config };
        Needs::of(&config, &host, None)
    };
    let machined = ["--use-machined"];
    let needs = of(vmware(), &machined, true);
    assert_eq!(needs.tcp(), Some([50000].into()));
    assert_eq!(needs.network, Network::None);
    assert!(!needs.readable().contains(Path::new("/etc")));
    assert_eq!(of(vmware(), &machined, false).tcp(), Some([].into()));
    assert_eq!(of(Host::None, &machined, true).tcp(), Some([].into()));
    let node = ["--talos-config=/c", "--talos-node=n:443"];
    assert_eq!(
        of(vmware(), &node, true).tcp(),
        Some([53, 443, 50000].into())
    );
    assert_eq!(of(vmware(), &["--talos-config=/c"], true).tcp(), None);
}

#[test]
fn the_ports_that_may_be_dialled_are_those_of_the_node_alone() {
    let api = apid::Apid::tls(apid::TlsOptions::default()).unwrap();
    let file = std::env::temp_dir().join(format!("talos-vmtoolsd-needs-{}", std::process::id()));
    let endpoints = ["10.0.0.1:1111".to_owned()];
    for (nodes, port) in [
        (&[][..], 50000),
        (&["10.0.0.1:2222".to_owned()], 2222),
        (&["10.0.0.1:2222".to_owned(), "10.0.0.2".to_owned()], 50000),
    ] {
        std::fs::write(&file, api.talosconfig_for(&endpoints, nodes)).unwrap();
        let arguments = format!("--talos-config={}", file.display());
        let needs = Needs::of(&config(&[&arguments]), &Host::None, None);
        assert_eq!(
            needs.network,
            Network::Ports([53, port].into()),
            "{nodes:?}"
        );
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn the_document_lists_the_calls_that_the_filter_lets_through() {
    let document = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md"));
    let (_, rest) = document.split_once("<!-- system calls: begin -->").unwrap();
    let (listed, _) = rest.split_once("<!-- system calls: end -->").unwrap();
    let documented = |processor: &str| -> BTreeSet<&str> {
        let rows = listed.lines().filter(|line| line.starts_with("| "));
        let here = rows.filter(|row| !row.contains(" alone") || row.contains(processor));
        let names = here.filter_map(|row| row.split('|').nth(1));
        names
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect()
    };
    let amd64 = calls::AMD64.allowed.iter().map(|call| {
        syscalls::x86_64::Sysno::new(call.number as usize)
            .unwrap()
            .name()
    });
    assert_eq!(documented("amd64"), amd64.collect());
    let arm64 = calls::ARM64.allowed.iter().map(|call| {
        syscalls::aarch64::Sysno::new(call.number as usize)
            .unwrap()
            .name()
    });
    assert_eq!(documented("arm64"), arm64.collect());
}
