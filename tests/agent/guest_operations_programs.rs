//! Programs of guest operations, as each client starts them, and the two that reach the Talos API.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use apid::Method;
use nix::sys::signal::Signal;
use vmx::Vmx;
use vmx::guest_operations::{Finished, GuestClient, Refused};

use crate::support::{FQDN, PASSWORD, Run, SOON, Talos, guest_operations};

/// A node with two users, who may do everything.
fn started(talos: &Talos) -> Run {
    let everything = "processes, environment, files, programs, relay";
    let run = Run::start(talos.for_users(&[("ops", everything), ("dev", "programs")]));
    run.informed();
    run
}

fn client<'a>(run: &'a Run, name: &str) -> GuestClient<'a, Vmx> {
    GuestClient::new(run, name, PASSWORD)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Starts a program as it is, with two temporary files for what it writes.
fn by_files(
    client: &GuestClient<'_>,
    path: &str,
    arguments: impl Fn(&str, &str) -> String,
) -> Finished {
    let make = || client.make_temporary("govmomi-", "", "").unwrap();
    let (out, err) = (make(), make());
    let pid = client.start(path, &arguments(&out, &err)).unwrap();
    let code = client.wait(pid).unwrap();
    let finished = Finished {
        code,
        stdout: client.download(&out).unwrap(),
        stderr: client.download(&err).unwrap(),
    };
    client.delete(&out).unwrap();
    client.delete(&err).unwrap();
    finished
}

#[test]
fn each_client_gets_what_a_program_writes_in_its_own_form() {
    let talos = Talos::new();
    talos.set_log("apid", vec!["first".to_owned(), "second".to_owned()]);
    let run = started(&talos);
    let client = client(&run, "ops");
    let wanted = Finished {
        code: 0,
        stdout: b"second\n".to_vec(),
        stderr: Vec::new(),
    };
    let command = "talosctl logs apid --tail 1";
    for (who, finished) in [
        ("govc, a bare name", client.run_as_govc(command).unwrap()),
        (
            "govc, a path",
            by_files(&client, "/usr/bin/talosctl", |out, err| {
                format!("logs apid --tail 1 1> {out} 2> {err}")
            }),
        ),
        (
            "Ansible",
            by_files(&client, "/bin/sh", |out, err| {
                format!("-c '{command}' 1> {out} 2> {err}")
            }),
        ),
        (
            "PowerCLI",
            by_files(&client, "/bin/bash", |out, _| {
                format!("> {out} 2>&1 -c \"{command}\r\n\"")
            }),
        ),
        (
            "toolbox",
            client.run("talosctl", "logs apid --tail 1").unwrap(),
        ),
    ] {
        assert_eq!(finished, wanted, "{who}");
    }
}

#[test]
fn the_commands_of_the_help_give_something_of_the_node() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    for (command, part) in [
        ("talosctl help", "talosctl dmesg"),
        ("talosctl version", "v1."),
        ("talosctl get hostnamestatus", "hostname"),
        ("talosctl get hostnamestatus hostname -o yaml", "talos-cp-1"),
        ("talosctl list /talos", "README.txt"),
        ("talosctl read /talos/README.txt", "Talos"),
        ("talosctl processes", "init"),
        ("talosctl services", "apid"),
        ("talosctl memory", ""),
        ("talosctl mounts", ""),
    ] {
        let finished = client.run_as_govc(command).unwrap();
        let (stdout, stderr) = (text(finished.stdout), text(finished.stderr));
        assert_eq!(finished.code, 0, "{command}: {stderr}");
        assert!(stdout.contains(part), "{command}: {stdout}");
    }
    // Not everything works under test, and the code says so.
    let checks = client.run_as_govc("talos-vmtoolsd check").unwrap();
    let stdout = text(checks.stdout);
    assert!(stdout.contains("ok    talos"), "{stdout}");
    assert_eq!(
        checks.code,
        i64::from(stdout.lines().any(|line| !line.starts_with("ok ")))
    );
}

#[test]
fn what_is_no_command_or_would_write_ends_with_a_reason_and_changes_nothing() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    for (command, code, reason) in [
        ("talosctl dmesg | head", 2, "there are no pipes"),
        ("talosctl reboot", 1, "only reading commands"),
        ("talosctl shutdown; talosctl version", 2, "only one command"),
        ("ls /", 127, "ls: no such program"),
        ("talosctl get $TYPE", 2, "no variables"),
        ("talosctl frobnicate", 1, "unknown command"),
        ("talosctl logs no-such-service", 1, "talosctl: "),
    ] {
        let finished = client.run_as_govc(command).unwrap();
        let stderr = text(finished.stderr);
        assert_eq!(finished.code, code, "{command}: {stderr}");
        assert!(stderr.contains(reason), "{command}: {stderr}");
        assert_eq!(text(finished.stdout), "", "{command}");
    }
    let refused = client.run("talosctl", "version > /etc/passwd").unwrap();
    assert_eq!(refused.code, 1);
    assert!(text(refused.stderr).contains("/etc/passwd: cannot be written"));
    for path in ["/bin/ls", "ls", "/sbin/talosctl"] {
        assert_eq!(client.start(path, ""), Err(Refused::Vix(4)), "{path}");
    }
    assert!(talos.calls_of(Method::Reboot).is_empty());
    assert!(talos.calls_of(Method::Shutdown).is_empty());
}

#[test]
fn a_program_that_follows_runs_until_it_is_terminated_and_its_call_ends_with_it() {
    let talos = Talos::new();
    talos.set_log("apid", vec!["first".to_owned()]);
    let run = started(&talos);
    let (ops, dev) = (client(&run, "ops"), client(&run, "dev"));
    let pid = ops.start("talosctl", "logs apid -f").unwrap();
    until("a follower", || talos.follower_count() == 1);
    let stdout = format!("/proc/{pid}/stdout");
    let asked = Instant::now();
    assert_eq!(ops.initiate_download(&stdout), Err(Refused::Vix(13)));
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );

    let list = ops.processes(&[]).unwrap();
    assert_eq!(
        (list[0].pid, list[0].end, &list[0].user[..]),
        (pid, 0, "ops")
    );
    assert!(list.len() > 1, "those of the node come next");
    assert!(dev.processes(&[]).unwrap().is_empty());
    assert_eq!(dev.terminate(pid), Err(Refused::Vix(20003)));

    ops.terminate(pid).unwrap();
    assert_eq!(ops.wait(pid), Ok(143));
    until("no follower", || talos.follower_count() == 0);
    assert_eq!(text(ops.download(&stdout).unwrap()), "first\n");
    assert_eq!(ops.terminate(pid), Err(Refused::Vix(20003)));
}

#[test]
fn a_user_who_is_taken_away_loses_the_program_that_runs() {
    let talos = Talos::new();
    let run = started(&talos);
    let ops = client(&run, "ops");
    ops.start("talosctl", "logs apid -f").unwrap();
    until("a follower", || talos.follower_count() == 1);
    talos
        .folder
        .write("users.yaml", &guest_operations(&[("dev", "programs")]));
    run.signal(Signal::SIGHUP);
    until("no follower", || talos.follower_count() == 0);
    assert_eq!(ops.processes(&[]), Err(Refused::Vix(3050)));
}

#[test]
fn a_program_ends_with_a_reason_while_talos_is_away() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    talos.stop();
    let finished = client.run_as_govc("talosctl version").unwrap();
    assert_eq!(finished.code, 1);
    assert!(text(finished.stderr).starts_with("talosctl: "));
    let help = client.run_as_govc("talosctl help").unwrap();
    assert_eq!(help.code, 0, "this needs no Talos");
}

#[test]
fn each_program_needs_its_right() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "dev");
    for (path, arguments) in [("http.RoundTrip", "talos"), ("apid.Stream", "")] {
        assert_eq!(client.start(path, arguments), Err(Refused::Vix(3015)));
    }
    for (command, right) in [
        ("talosctl read /talos/README.txt", "files"),
        ("talosctl support", "files"),
        ("talosctl processes", "processes"),
    ] {
        let finished = client.run_as_govc(command).unwrap();
        assert_eq!(finished.code, 1, "{command}");
        assert!(text(finished.stderr).contains(right), "{command}");
    }
    assert_eq!(client.run_as_govc("talosctl version").unwrap().code, 0);
}

#[test]
fn the_environment_is_what_is_known_of_the_node() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    let all = client.environment(&[]).unwrap();
    let known = |name: &str| all.iter().find(|(known, _)| known == name);
    assert!(known("TALOS_VERSION").is_some_and(|(_, tag)| tag.starts_with('v')));
    assert_eq!(known("HOSTNAME").unwrap().1, FQDN);
    assert!(
        all.iter()
            .all(|(name, _)| name.starts_with("TALOS_") || name == "HOSTNAME"),
        "{all:?}"
    );
    assert_eq!(client.environment(&["HOSTNAME", "PATH"]).unwrap().len(), 1);
}

/// One request through `http.RoundTrip talos`, as toolbox' RoundTripper makes it.
fn round_trip(client: &GuestClient<'_>, method: &str) -> Vec<u8> {
    let pid = client.start("http.RoundTrip", "talos").unwrap();
    let request = format!(
        "POST {method} HTTP/1.1\r\nHost: talos\r\nUser-Agent: Go-http-client/1.1\r\nConnection: close\r\n\
         Content-Length: 5\r\nContent-Type: application/grpc-web+proto\r\n\r\n\0\0\0\0\0"
    );
    let stdin = format!("/proc/{pid}/stdin");
    client.upload(&stdin, request.as_bytes()).unwrap();
    let answer = client.download(&format!("/proc/{pid}/stdout")).unwrap();
    assert_eq!(client.wait(pid), Ok(0));
    answer
}

#[test]
fn the_relay_makes_calls_that_only_read() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    let before = talos.calls_of(Method::Version).len();
    let answer = round_trip(&client, "/machine.MachineService/Version");
    let head = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .unwrap();
    let (head, body) = answer.split_at(head + 4);
    let head = text(head.to_vec());
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("Content-Type: application/grpc-web+proto\r\n"),
        "{head}"
    );
    let len = usize::try_from(u32::from_be_bytes(body[1..5].try_into().unwrap())).unwrap();
    assert_eq!(body[0], 0, "a message");
    let message = String::from_utf8_lossy(&body[5..5 + len]).into_owned();
    assert!(message.contains("v1."), "{message:?}");
    assert_eq!(&body[5 + len..], b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    let calls = talos.calls_of(Method::Version);
    assert_eq!(calls.len(), before + 1);
    assert_eq!(calls.last().unwrap().metadata("talos-role"), ["os:reader"]);

    let answer = round_trip(&client, "/machine.MachineService/Reboot");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("grpc-status:7\r\n"), "{answer}");
    assert!(talos.calls_of(Method::Reboot).is_empty());
    let elsewhere = client.run("http.RoundTrip", "10.5.0.1:50000").unwrap();
    assert_eq!(elsewhere.code, 1);
    assert!(text(elsewhere.stderr).contains("the only host is talos"));
}

#[test]
fn a_stream_is_a_connection_to_apid() {
    let apid = listener();
    let talos = Talos::new();
    let run = started(&talos);
    let client = client(&run, "ops");
    let pid = client.start("apid.Stream", "").unwrap();
    let (stdin, stdout) = (format!("/proc/{pid}/stdin"), format!("/proc/{pid}/stdout"));
    let mut connection = accepted(&apid);
    client.upload(&stdin, b"hello").unwrap();
    client.upload(&stdin, b", apid").unwrap();
    let mut heard = [0; 11];
    connection.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello, apid");

    // More than the window and the buffer hold, and every byte once.
    let said: Vec<u8> = (0..1 << 20)
        .map(|byte: u32| byte.to_le_bytes()[byte as usize % 3])
        .collect();
    let sent = said.clone();
    let speaker = std::thread::spawn(move || {
        connection.write_all(&sent).unwrap();
        connection
    });
    let mut read = Vec::new();
    while read.len() < said.len() {
        read.extend(client.download(&stdout).unwrap());
    }
    assert!(read == said, "{} bytes", read.len());
    // The other side closes: it has ended.
    drop(speaker.join().unwrap());
    assert_eq!(client.wait(pid), Ok(0));
    assert_eq!(client.download(&stdout).unwrap(), b"");

    // We close: the other side hears it.
    let pid = client.start("apid.Stream", "").unwrap();
    let mut connection = accepted(&apid);
    client.terminate(pid).unwrap();
    assert_eq!(connection.read(&mut [0; 1]).unwrap_or(0), 0);

    drop(apid);
    let pid = client.start("apid.Stream", "").unwrap();
    assert_eq!(client.wait(pid), Ok(1));
    let stderr = text(client.download(&format!("/proc/{pid}/stderr")).unwrap());
    assert!(stderr.starts_with("apid.Stream: "), "{stderr}");
}

/// apid's port: other tests on this machine may have it for a while.
fn listener() -> TcpListener {
    let until = Instant::now() + SOON;
    loop {
        match TcpListener::bind("127.0.0.1:50000") {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < until, "port 50000: {error}"),
        }
        std::thread::yield_now();
    }
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(SOON)).unwrap();
    connection
}

/// Waits until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "{what} does not come");
        std::thread::yield_now();
    }
}
