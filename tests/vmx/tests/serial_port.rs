//! The pseudo virtio-serial port, seen by a small program of ours that waits edge-triggered, and by Debian's
//! qemu-ga, which keeps it honest.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use vmx::{Client, PortCall, PortFault, Profile, SerialPort, Stream, Vmx};

const SOON: Duration = Duration::from_secs(20);

/// A folder of the test's own, and a path for a port in it.
fn fresh(name: &str) -> (PathBuf, PathBuf) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("serial-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    (folder, path)
}

/// The small program at a port.
fn echo(port: &SerialPort) -> Vmx {
    echo_with(port, &[])
}

fn echo_with(port: &SerialPort, args: &[&str]) -> Vmx {
    Vmx::builder(env!("CARGO_BIN_EXE_vmx-serial"))
        .profile(Profile::Kvm)
        .serial_port(port)
        .args([port.path()])
        .args(args.iter().copied())
        .spawn()
        .unwrap()
}

/// Waits until the program has printed these lines after the first `skip`.
fn prints(vmx: &Vmx, skip: usize, wanted: &[&str]) {
    let seen = vmx.wait_for("its lines", SOON, |host, _| {
        let lines = host.output(Stream::Stdout);
        (lines.len() >= skip + wanted.len()).then_some(lines)
    });
    let lines = seen.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(lines[skip..skip + wanted.len()], *wanted, "{lines:#?}");
}

const START: [&str; 5] = [
    "device true",
    "device true",
    "second EBUSY: Device or resource busy",
    "events 0x11, poll 0x11",
    "read 0",
];

const AGAIN: &str = "EAGAIN: Try again";

#[test]
fn an_edge_triggered_program_hears_of_each_change_once() {
    let (_folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    let vmx = echo(&port);
    prints(&vmx, 0, &START);
    let read_again = format!("read {AGAIN}");
    let client = port.connect();
    prints(&vmx, 5, &["events 0x4, poll 0x0", &read_again]);
    client.send("ping\n");
    // The driver wakes its waiters when the hypervisor has taken the reply, too.
    let wanted = ["events 0x5, poll 0x1", "read 5", "write 5", &read_again];
    prints(&vmx, 7, &wanted);
    prints(&vmx, 11, &["events 0x4, poll 0x0", &read_again]);
    assert_eq!(client.line(SOON).unwrap(), b"ping");
    client.leave();
    prints(&vmx, 13, &["events 0x11, poll 0x11", "read 0"]);
    port.unplug();
    let end = [
        "events 0x10, poll 0x10",
        "read ENODEV: No such device",
        "unplugged",
    ];
    prints(&vmx, 15, &end);
    assert!(vmx.wait_exit(SOON).unwrap().success());
    assert_eq!(vmx.output(Stream::Stdout).len(), 18);
    assert_eq!(port.count(PortCall::Close), 1);
    assert!(vmx.violations().is_empty(), "{:?}", vmx.violations());
}

#[test]
fn the_first_bytes_of_a_client_may_be_read_before_it_can_be_answered() {
    let (_folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    let vmx = echo(&port);
    prints(&vmx, 0, &START);
    let client = port.connect_unannounced("early");
    let refused = format!("write {AGAIN}");
    let wanted = ["events 0x11, poll 0x11", "read 5", &refused, "read 0"];
    prints(&vmx, 5, &wanted);
    port.announce();
    prints(&vmx, 9, &["events 0x4, poll 0x0"]);
    client.send("late");
    port.wait_result(PortCall::Write, Ok(4), 0, SOON).unwrap();
    assert_eq!(client.take(), b"late");
}

#[test]
fn a_port_that_was_unplugged_can_be_taken_again_by_the_same_epoll() {
    let (_folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    let vmx = echo_with(&port, &["again"]);
    prints(&vmx, 0, &START);
    port.unplug();
    port.wait_count(PortCall::Close, 1, SOON).unwrap();
    let client = port.connect();
    client.send("waits");
    port.plug();
    assert_eq!(client.bytes(5, SOON).unwrap(), b"waits");
    port.unplug();
    assert!(vmx.wait_exit(SOON).unwrap().success());
    assert!(vmx.violations().is_empty(), "{:?}", vmx.violations());
}

#[test]
fn faults_come_at_the_call_they_are_ordered_for() {
    let (_folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    port.fault(PortCall::Open, 2, PortFault::Errno(libc::EIO));
    port.fault(PortCall::Write, 1, PortFault::Short(3));
    port.fault(PortCall::Write, 2, PortFault::Errno(libc::EIO));
    port.fault(PortCall::Write, 3, PortFault::ClientLeaves);
    let client = port.connect();
    let vmx = echo(&port);
    let outcomes = [Ok(3), Err(libc::EIO), Err(libc::EAGAIN)];
    for (count, _) in outcomes.iter().enumerate() {
        client.send("bytes");
        port.wait_count(PortCall::Write, count + 1, SOON).unwrap();
    }
    let results = |call| {
        let entries = port.journal();
        let of_call = entries.iter().filter(move |entry| entry.call == call);
        of_call.map(|entry| entry.result).collect::<Vec<_>>()
    };
    assert_eq!(results(PortCall::Write), outcomes);
    assert_eq!(results(PortCall::Open), [Ok(0), Err(libc::EIO)]);
    drop(vmx);
}

#[test]
fn a_port_that_is_not_there_or_held_cannot_be_opened() {
    let (_folder, path) = fresh("port");
    let port = SerialPort::unplugged(path).unwrap();
    let vmx = echo(&port);
    vmx.wait_exit(SOON).unwrap();
    let missing = "ended ENOENT: No such file or directory";
    assert_eq!(vmx.output(Stream::Stdout), [missing]);
    port.plug();
    port.hold(true);
    let vmx = echo(&port);
    vmx.wait_exit(SOON).unwrap();
    let busy = "ended EBUSY: Device or resource busy";
    assert_eq!(vmx.output(Stream::Stdout), ["device true", busy]);
    port.hold(false);
    port.unplug_leaving_node();
    let vmx = echo(&port);
    vmx.wait_exit(SOON).unwrap();
    let gone = "ended ENXIO: No such device or address";
    assert_eq!(vmx.output(Stream::Stdout), ["device true", gone]);
}

/// Debian's agent at a port; `None`, said loudly, where it is not installed. In CI that is a failure.
fn qemu_ga(folder: &Path, port: &SerialPort) -> Option<Vmx> {
    let program = Path::new("/usr/sbin/qemu-ga");
    if !program.exists() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "qemu-ga is not installed, and this is CI: install qemu-guest-agent"
        );
        eprintln!("\n*** SKIP: qemu-ga is not installed (package qemu-guest-agent) ***\n");
        return None;
    }
    // Commands that could do this machine harm are off.
    let off =
        "--blacklist=guest-shutdown,guest-exec,guest-suspend-ram,guest-suspend-disk,guest-set-time";
    let vmx = Vmx::builder(program)
        .profile(Profile::Kvm)
        .serial_port(port)
        .args(["-m", "virtio-serial", "-p"])
        .args([port.path()])
        .args([off, "-t"])
        .args([folder])
        .spawn();
    Some(vmx.unwrap())
}

fn asked(client: &Client, request: &str) -> String {
    client.send(request);
    String::from_utf8(client.line(SOON).unwrap()).unwrap()
}

#[test]
fn qemu_ga_serves_one_client_after_another() {
    let (folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    let Some(vmx) = qemu_ga(&folder, &port) else {
        return;
    };
    port.wait_open(SOON).unwrap();
    for id in 1..=3 {
        let client = port.connect();
        let sync = format!("{{\"execute\":\"guest-sync\",\"arguments\":{{\"id\":{id}}}}}\n");
        assert_eq!(asked(&client, &sync), format!("{{\"return\": {id}}}"));
        let reply = asked(&client, "{\"execute\":\"guest-ping\"}");
        assert_eq!(reply, "{\"return\": {}}");
        assert!(asked(&client, "{\"execute\":\"guest-info\"}").len() > 2000);
        client.leave();
    }
    assert!(vmx.violations().is_empty(), "{:?}", vmx.violations());
}

#[test]
fn qemu_ga_polls_while_nobody_is_there_and_sleeps_with_a_client() {
    let (folder, path) = fresh("port");
    let port = SerialPort::new(path).unwrap();
    let Some(_vmx) = qemu_ga(&folder, &port) else {
        return;
    };
    // It reads 0 ten times a second.
    let reads = port.count(PortCall::Read);
    port.wait_count(PortCall::Read, reads + 5, SOON).unwrap();
    let client = port.connect();
    assert_eq!(
        asked(&client, "{\"execute\":\"guest-ping\"}"),
        "{\"return\": {}}"
    );
    let before = port.count(PortCall::Read);
    let idle = port.wait_count(PortCall::Read, before + 3, Duration::from_millis(700));
    assert!(idle.is_err(), "it reads although nothing is there");
}
