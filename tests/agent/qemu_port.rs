//! The port: when it is opened, who comes and goes at it, and what it costs.

use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;
use vmx::{PortCall, PortFault, Profile, SerialPort};

use crate::qemu::{Guest, agent_at, line, parsed, port_of, reply, sync};
use crate::support::{Run, SOON, Talos, pass};

const PING: &str = "{\"execute\":\"guest-ping\"}\n";
const INFO: &str = "{\"execute\":\"guest-info\"}\n";

/// Calls on the port so far that are no work for a client.
fn calls(port: &SerialPort) -> usize {
    port.journal().len()
}

#[test]
fn the_port_is_opened_with_the_first_facts_and_stays_open_while_talos_is_away() {
    let talos = Talos::new();
    talos.stop();
    let port = port_of(&talos);
    let guest = Guest::begin(&talos, &port);
    guest.pass(Duration::from_secs(1));
    assert!(!port.is_open(), "open with nothing to answer");
    talos.restart().unwrap();
    guest.opens();
    guest.serves();
    talos.stop();
    guest.pass(Duration::from_secs(1));
    guest.serves();
    assert_eq!(port.count(PortCall::Open), 1);
    assert_eq!(port.count(PortCall::Close), 0);
}

#[test]
fn the_start_is_one_line_that_names_the_port_and_nothing_of_vmware() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    guest.serves();
    let path = guest.port.path().display().to_string();
    guest.logs(&["INFO", "QEMU guest agent", &path], SOON);
    for word in ["VMware", "VMX", "backdoor", "vCenter"] {
        assert!(guest.log_lines(&[word]).is_empty(), "{:#?}", guest.log());
    }
    assert_eq!(guest.stats().backdoor_exits(), 0);
}

#[test]
fn a_request_that_waits_when_the_port_is_opened_is_answered() {
    let talos = Talos::new();
    let port = port_of(&talos);
    let client = port.connect();
    client.send(sync(1));
    let _guest = Guest::begin(&talos, &port);
    assert_eq!(reply(&client)["return"], 1);
}

#[test]
fn a_client_whose_first_bytes_come_before_the_news_of_it_is_answered() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for round in 0..10 {
        let request = sync(round);
        let read = guest.port.count(PortCall::Read);
        let client = guest.port.connect_unannounced(&request);
        let taken = guest
            .port
            .wait_result(PortCall::Read, Ok(request.len()), read, SOON);
        taken.unwrap_or_else(|late| panic!("{late}"));
        // Some of the time it may take; the agent must look again by itself.
        guest.pass(Duration::from_millis(5 * u64::try_from(round).unwrap()));
        guest.port.announce();
        assert_eq!(reply(&client)["return"], round);
    }
}

#[test]
fn hundreds_of_clients_one_after_another_are_all_answered() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for round in 0..150 {
        let client = guest.port.connect_sending(sync(round));
        assert_eq!(reply(&client)["return"], round);
        client.leave();
        let client = guest.port.connect();
        client.send(sync(1000 + round));
        assert_eq!(reply(&client)["return"], 1000 + round);
    }
    assert_eq!(guest.port.count(PortCall::Open), 1);
}

#[test]
fn a_torn_request_does_not_spoil_the_next_client() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for torn in ["{\"execute\": \"guest-pi", "{", "{\"a\":\"\\", "hello"] {
        let client = guest.port.connect_sending(torn);
        guest.pass(Duration::from_millis(50));
        client.leave();
        guest.pass(Duration::from_millis(50));
        guest.serves();
    }
}

#[test]
fn a_client_that_leaves_before_its_reply_leaves_none_for_the_next() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for _ in 0..20 {
        let client = guest.port.connect();
        client.read_nothing(true);
        for _ in 0..50 {
            client.send(INFO);
        }
        client.leave();
        guest.serves();
    }
}

#[test]
fn a_client_that_never_reads_costs_nothing_and_gets_whole_lines_once_it_does() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let client = guest.port.connect();
    client.read_nothing(true);
    for _ in 0..1000 {
        client.send(INFO);
    }
    let full = Instant::now();
    while guest.port.queued() < 128 {
        assert!(full.elapsed() < SOON, "{}", guest.port);
        guest.pass(Duration::from_millis(20));
    }
    // Until the deadline of one reply and beyond it.
    guest.pass(Duration::from_secs(1));
    let (before, time) = (calls(&guest.port), guest.cpu_time().unwrap());
    guest.pass(Duration::from_secs(12));
    let made = calls(&guest.port) - before;
    let time = guest.cpu_time().unwrap() - time;
    // What was queued behind the reply is read and dropped; it is not tried again and again.
    assert!(made < 2500, "{made} calls while nobody reads");
    assert!(time < Duration::from_secs(1), "{time:?}");

    client.read_nothing(false);
    client.send(sync(99));
    let end = Instant::now() + SOON;
    loop {
        let line = line(&client);
        // One reply may have been cut off by the deadline; what follows it is a line of its own.
        if serde_json::from_slice::<serde_json::Value>(&line).is_ok_and(|it| it["return"] == 99) {
            break;
        }
        assert!(Instant::now() < end);
    }
    client.leave();
    guest.serves();
}

#[test]
fn long_replies_arrive_whole_however_the_port_cuts_them() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let whole = guest.value("guest-info");
    for len in [1, 7, 4095] {
        let next = guest.port.count(PortCall::Write) as u64 + 1;
        for nth in next..next + 40 {
            guest
                .port
                .fault(PortCall::Write, nth, PortFault::Short(len));
        }
        assert_eq!(guest.value("guest-info"), whole, "pieces of {len}");
        // What of the faults is left must not meet the next.
        while (guest.port.count(PortCall::Write) as u64) < next + 40 {
            guest.serves();
        }
    }
}

#[test]
fn an_unplugged_port_is_waited_for_and_taken_again() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    for (round, keeps_node) in [false, true, false].into_iter().enumerate() {
        let client = guest.port.connect();
        client.send("{\"execute\": \"guest-");
        let before = guest.log().len();
        if keeps_node {
            guest.port.unplug_leaving_node();
        } else {
            guest.port.unplug();
        }
        let closed = guest.port.wait_count(PortCall::Close, round + 1, SOON);
        closed.unwrap_or_else(|late| panic!("{late}"));
        client.leave();
        let tries = guest.port.count(PortCall::Open);
        guest.pass(Duration::from_secs(3));
        let tries = guest.port.count(PortCall::Open) - tries;
        assert!(tries <= 4, "opened {tries} times while it was away");
        guest.port.plug();
        guest.opens();
        guest.serves();
        let said = guest.log().split_off(before);
        assert!(said.len() <= 2, "{said:#?}");
    }
}

#[test]
fn a_port_that_comes_later_is_waited_for() {
    let talos = Talos::new();
    let port = SerialPort::unplugged(talos.folder.path("port")).unwrap();
    let guest = Guest::begin(&talos, &port);
    guest.pass(Duration::from_secs(2));
    assert_eq!(guest.host(|host, _| host.exit_status()), None);
    assert!(guest.log().len() <= 4, "{:#?}", guest.log());
    port.plug();
    guest.opens();
    guest.serves();
}

#[test]
fn a_port_that_another_agent_holds_is_named_in_one_warning_and_taken_when_it_is_free() {
    let talos = Talos::new();
    let port = port_of(&talos);
    port.hold(true);
    let guest = Guest::begin(&talos, &port);
    guest.logs(&["WARN", "held"], SOON);
    guest.pass(Duration::from_secs(8));
    assert_eq!(guest.log_lines(&["WARN"]).len(), 1, "{:#?}", guest.log());
    let tries = port.count(PortCall::Open);
    assert!(tries <= 4, "tried {tries} times in 8 s");
    port.hold(false);
    guest.opens();
    guest.serves();
}

#[test]
fn a_plain_file_is_no_port_and_that_is_said() {
    let talos = Talos::new();
    let file = talos.folder.write("plain", "");
    let run = Run::start(
        talos
            .agent()
            .profile(Profile::Kvm)
            .args(["--qga-port"])
            .args([&file]),
    );
    let path = file.display().to_string();
    let said = run.logs(&[&path, "character device"], SOON);
    assert!(said.contains("WARN") || said.contains("ERROR"), "{said}");
    pass(&run, Duration::from_secs(1));
    assert!(run.log_lines(&[&path]).len() <= 2, "{:#?}", run.log());
    assert_eq!(std::fs::read(&file).unwrap(), b"");
}

/// Plugs the port in until it is open: on a busy machine the fault may come later than the first time.
fn opens_again(port: &SerialPort) {
    let since = Instant::now();
    loop {
        port.plug();
        if port.wait_open(Duration::from_millis(200)).is_ok() {
            return;
        }
        assert!(since.elapsed() < SOON, "the port stays closed");
    }
}

/// Each fault at each of the first calls: whatever it does to the client it meets, the next one is served.
#[test]
fn after_a_fault_at_any_call_the_next_client_is_served() {
    let read = [
        PortFault::Errno(libc::EAGAIN),
        PortFault::Errno(libc::EINTR),
        PortFault::Errno(libc::EIO),
        PortFault::Short(1),
        PortFault::ClientLeaves,
        PortFault::Unplugged,
    ];
    let open = [libc::EBUSY, libc::ENXIO, libc::ENODEV].map(PortFault::Errno);
    let faults = [
        (PortCall::Open, &open[..], 1),
        (PortCall::Read, &read[..], 4),
        (PortCall::Write, &read[..], 2),
    ];
    let talos = Talos::new();
    for (call, kinds, last) in faults {
        for fault in kinds {
            for nth in 1..=last {
                let port = port_of(&talos);
                port.fault(call, nth, *fault);
                let guest = Guest::begin(&talos, &port);
                // A fault of the first call may close it again before anyone has seen it open.
                opens_again(&port);
                let client = port.connect();
                client.send(PING);
                client.send(sync(5));
                // It may be answered, or not.
                let _either = client.line(Duration::from_millis(200));
                client.leave();
                opens_again(&port);
                eprintln!("{call:?} {nth}: {fault:?}");
                // Whom the fault meets may lose a reply; it has met somebody before the last one comes.
                while (port.count(call) as u64) < nth {
                    let client = port.connect_sending(PING);
                    let _either = client.line(Duration::from_millis(200));
                    client.leave();
                    opens_again(&port);
                }
                opens_again(&port);
                guest.serves();
                guest.stop();
            }
        }
    }
}

#[test]
fn sigterm_ends_it_at_once_whatever_the_port_does() {
    type Scene = fn(&Talos, &Guest);
    let scenes: [(&str, Scene); 6] = [
        ("no client", |_, _| {}),
        ("a client in mid-request", |_, guest| {
            let client = guest.port.connect();
            client.send("{\"execute\":");
            std::mem::forget(client);
        }),
        ("a client that reads nothing", |_, guest| {
            let client = guest.port.connect();
            client.read_nothing(true);
            for _ in 0..400 {
                client.send(INFO);
            }
            guest.pass(Duration::from_millis(500));
            std::mem::forget(client);
        }),
        ("unplugged", |_, guest| guest.port.unplug()),
        ("Talos hangs", |talos, _| talos.hang()),
        ("a client whose news does not come", |_, guest| {
            std::mem::forget(guest.port.connect_unannounced(PING));
        }),
    ];
    for (what, scene) in scenes {
        let talos = Talos::new();
        let guest = Guest::start(&talos);
        scene(&talos, &guest);
        guest.pass(Duration::from_millis(50));
        eprintln!("{what}");
        guest.stop();
    }
    let talos = Talos::new();
    let port = port_of(&talos);
    port.hold(true);
    let guest = Guest::begin(&talos, &port);
    guest.logs(&["held"], SOON);
    guest.stop();
    talos.stop();
    let guest = Guest::begin(&talos, &port);
    guest.pass(Duration::from_millis(300));
    guest.signal(Signal::SIGINT);
    assert!(guest.wait_exit(SOON).unwrap().success());
}

#[test]
fn idle_it_neither_wakes_up_nor_asks_talos_with_and_without_a_client() {
    let talos = Talos::new();
    let port = port_of(&talos);
    let guest = Guest::of(agent_at(&talos, &port).count_wakeups(), &port);
    guest.opens();
    guest.serves();
    let quiet = |what: &str| {
        guest.pass(Duration::from_secs(2));
        let (wakeups, asked) = (guest.stats().wakeups, talos.call_count());
        let (made, began) = (calls(&port), Instant::now());
        guest.pass(Duration::from_secs(6));
        let seconds = began.elapsed().as_secs_f64();
        let wakeups = (guest.stats().wakeups - wakeups) as f64 / seconds;
        assert!(wakeups <= 1.0, "{what}: {wakeups} wake-ups a second");
        assert_eq!(calls(&port), made, "{what}: {port}");
        assert_eq!(talos.call_count(), asked, "{what}: {:#?}", talos.calls());
    };
    quiet("no client");
    let client = port.connect();
    client.send(sync(1));
    assert_eq!(parsed(&line(&client))["return"], 1);
    quiet("an idle client");
    client.read_nothing(true);
    client.send(PING);
    quiet("a client that does not read");
}
