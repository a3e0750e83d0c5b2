//! Guest operations while something is wrong: Talos slow, silent, away or refusing, the host's channel gone, other
//! settings.

use std::time::{Duration, Instant};

use apid::{Method, Status};
use nix::sys::signal::Signal;
use vmx::codec::vix::{Message, Reply};
use vmx::guest_operations::{Credential, GuestClient, Page, Refused, bodies, hgfs, op};
use vmx::{FaultKind, Protocol, Step, Stream};

use crate::support::{PASSWORD, Run, SOON, Talos, guest_operations, pass};

/// No request may take longer, whatever Talos does.
const LONGEST: Duration = Duration::from_secs(4);

/// A node whose user may do everything.
fn started(talos: &Talos) -> Run {
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    // The password is known from here on: what is measured is what comes after it.
    assert_eq!(GuestClient::new(&*run, "ops", PASSWORD).validate(), Ok(()));
    run
}

fn request(opcode: u32, body: &[u8]) -> Vec<u8> {
    let login = Credential::named("ops", PASSWORD);
    let message = Message::new(opcode, body).with(login.kind, &login.blob);
    message.encode("faults")
}

/// The error of an operation, which is answered in time by the host's clock.
fn error(run: &Run, opcode: u32, body: &[u8]) -> i64 {
    let exchange = run.asked(request(opcode, body));
    let took = exchange.latency().unwrap();
    assert!(took < LONGEST, "{opcode}: {took:?}");
    Reply::decode(&exchange.reply.unwrap()).unwrap().error
}

/// Waits until the node's processes are listed, once Talos has come back.
fn serves_again(run: &Run) {
    let client = GuestClient::new(&**run, "ops", PASSWORD);
    let until = Instant::now() + SOON;
    while client.processes(&[]).is_err() {
        assert!(
            Instant::now() < until,
            "no processes after Talos has come back"
        );
    }
}

/// Operations that need Talos, one for each way that leads to it.
fn asking() -> [(u32, Vec<u8>); 5] {
    [
        (op::LIST_PROCESSES, bodies::list_processes(0, 0, &[])),
        (
            op::LIST_FILES,
            bodies::list_files("/talos/services", "", 0, 100, 0),
        ),
        (op::TRANSFER_FROM, bodies::transfer_from("/talos/dmesg.log")),
        (
            op::TRANSFER_FROM,
            bodies::transfer_from("/talos/services/apid.log"),
        ),
        (
            op::TRANSFER_FROM,
            bodies::transfer_from("/talos/resources/members.yaml"),
        ),
    ]
}

#[test]
fn a_silent_talos_costs_no_request_its_answer() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.hang();
    for (opcode, body) in asking() {
        let error = error(&run, opcode, &body);
        assert!(matches!(error, 5 | 7 | 13), "{opcode}: {error}");
        assert_eq!(run.reply("ping"), "OK ");
    }
    talos.resume();
    serves_again(&run);
    run.stop();
}

#[test]
fn a_talos_that_is_away_is_an_error_at_once_and_forgotten_once_it_is_back() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.stop();
    for (opcode, body) in asking() {
        let error = error(&run, opcode, &body);
        assert!(matches!(error, 5 | 7 | 13), "{opcode}: {error}");
    }
    talos.restart().unwrap();
    serves_again(&run);
    run.stop();
}

#[test]
fn what_talos_refuses_may_be_asked_for_again() {
    let talos = Talos::new();
    let run = started(&talos);
    let denied = Status::permission_denied("not authorized");
    talos.fail_next(Method::Processes, &denied, 1);
    let (opcode, body) = &asking()[0];
    assert_eq!(error(&run, *opcode, body), 13);
    assert_eq!(error(&run, *opcode, body), 0);
    run.stop();
}

#[test]
fn a_slow_talos_is_waited_for() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.delay(Method::Processes, Duration::from_millis(1500));
    let exchange = run.asked(request(
        op::LIST_PROCESSES,
        &bodies::list_processes(0, 0, &[]),
    ));
    let took = exchange.latency().unwrap();
    assert!(
        took >= Duration::from_millis(1400) && took < LONGEST,
        "{took:?}"
    );
    assert_eq!(Reply::decode(&exchange.reply.unwrap()).unwrap().error, 0);
    run.stop();
}

#[test]
fn many_processes_come_in_pages_that_a_reply_holds() {
    const COUNT: usize = 2500;
    let talos = Talos::new();
    talos.update_node(|node| {
        let Some(first) = node.contents.processes.first().cloned() else {
            return;
        };
        node.contents.processes = (1..=COUNT)
            .map(|pid| {
                let mut process = first.clone();
                process.pid = pid as i32;
                process.args = format!("/usr/bin/thing --number {pid} --quoted '<&>\"%' --ä");
                process
            })
            .collect();
    });
    let run = started(&talos);
    let client = GuestClient::new(&*run, "ops", PASSWORD);
    let processes = client.processes(&[]).unwrap();
    let pids: Vec<u64> = processes.iter().map(|process| process.pid).collect();
    assert_eq!(pids, (1..=COUNT as u64).collect::<Vec<_>>());
    assert!(
        processes[7]
            .line
            .ends_with("--number 8 --quoted '<&>\"%' --ä"),
        "{:?}",
        processes[7]
    );
    let some = client.processes(&[9, 7, 100_000]).unwrap();
    assert_eq!(some.len(), 2, "those that are there: {some:?}");
    // A list is its user's, and goes on where the host asks.
    let first = client
        .text(op::LIST_PROCESSES, &bodies::list_processes(0, 0, &[]))
        .unwrap();
    let first = Page::read(&first).unwrap();
    let (key, total) = first.begins.unwrap();
    for (key, offset) in [(key + 1, 10), (key, total), (key, u32::MAX)] {
        let refused = client.text(
            op::LIST_PROCESSES,
            &bodies::list_processes(key, offset, &[]),
        );
        assert_eq!(refused, Err(Refused::Vix(1)), "{key} {offset}");
    }
    let again = bodies::list_processes(key, total - first.left, &[]);
    assert!(client.text(op::LIST_PROCESSES, &again).is_ok());
    run.stop();
}

#[test]
fn a_request_that_waits_is_void_with_its_channel_and_the_next_one_is_served() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.hang();
    for _ in 0..2 {
        let id = run.ask(request(
            op::LIST_PROCESSES,
            &bodies::list_processes(0, 0, &[]),
        ));
        run.until("the request is with the agent", SOON, |host, _| {
            host.exchange_of(id)?.picked_up
        });
        let lost = Instant::now();
        run.host(|host, now| host.close_channels(Some(Protocol::Tclo), now));
        run.green();
        assert_eq!(run.reply("ping"), "OK ");
        // The loss is noticed when the reply goes, and the greeting takes its time.
        assert!(
            lost.elapsed() < LONGEST + Duration::from_millis(1500),
            "{:?}",
            lost.elapsed()
        );
    }
    // Nothing of it comes late.
    pass(&run, Duration::from_secs(4));
    assert_eq!(run.reply("ping"), "OK ");
    talos.resume();
    run.stop();
}

#[test]
fn a_checkpoint_while_a_reply_goes_costs_that_request_alone() {
    let talos = Talos::new();
    let run = started(&talos);
    let client = GuestClient::new(&*run, "ops", PASSWORD);
    let bytes = client.download("/talos/README.txt").unwrap();
    for step in [Step::SendSize, Step::HighBandwidthOut] {
        run.host(|host, _| host.fault_on(step, Some(Protocol::Tclo), 1, FaultKind::Checkpoint));
        let id = run.ask(request(
            op::LIST_PROCESSES,
            &bodies::list_processes(0, 0, &[]),
        ));
        run.until("the end of the request", SOON, |host, _| {
            let exchange = host.exchange_of(id)?;
            (exchange.lost || exchange.replied.is_some()).then_some(())
        });
        run.green();
        assert!(!client.processes(&[]).unwrap().is_empty(), "{step:?}");
        assert_eq!(client.download("/talos/README.txt"), Ok(bytes.clone()));
    }
    run.stop();
}

#[test]
fn a_reload_switches_them_at_once_and_one_that_changes_nothing_ends_no_transfer() {
    let talos = Talos::new();
    let run = started(&talos);
    let reload = |text: &str| {
        const RELOADED: &str = "configuration reloaded";
        let before = run.log_lines(&[RELOADED]).len();
        talos.folder.write("users.yaml", text);
        run.signal(Signal::SIGHUP);
        run.until(RELOADED, SOON, |host, _| {
            let lines = host.output(Stream::Stderr);
            let count = lines.iter().filter(|line| line.contains(RELOADED)).count();
            (count > before).then_some(())
        });
    };
    let client = GuestClient::new(&*run, "ops", PASSWORD);
    let on = guest_operations(&[("ops", "")]);
    client.initiate_download("/talos/README.txt").unwrap();
    let session = client.session().unwrap();
    let handle = session.open_file("/talos/README.txt", false).unwrap();
    reload(&on);
    assert!(!session.read(handle, 0, hgfs::MOST_DATA).unwrap().is_empty());
    reload("");
    run.until_sent("tools.capability.hgfs_server toolbox 0", 1, SOON);
    assert_eq!(client.validate(), Err(Refused::Vix(20005)));
    reload(&on);
    run.until_sent("tools.capability.hgfs_server toolbox 1", 2, SOON);
    assert_eq!(client.validate(), Ok(()));
    let stale = session.read(handle, 0, 10);
    assert_eq!(stale, Err(Refused::Hgfs(17)), "sessions of before are none");
    run.stop();
}

#[test]
fn pings_are_answered_in_the_middle_of_a_long_transfer() {
    let talos = Talos::new();
    talos.set_log("apid", (0..40_000).map(|n| format!("{n:0>100}")).collect());
    let run = started(&talos);
    let client = GuestClient::new(&*run, "ops", PASSWORD);
    let path = "/talos/services/apid.log";
    let size = client.initiate_download(path).unwrap().size;
    let session = client.session().unwrap();
    let handle = session.open_file(path, false).unwrap();
    let mut read = 0;
    while read < size {
        let piece = session.read(handle, read, hgfs::MOST_DATA).unwrap();
        assert!(!piece.is_empty(), "{read} of {size}");
        read += piece.len() as u64;
        if read % 10 == 0 {
            assert_eq!(run.reply("ping"), "OK ");
        }
    }
    assert_eq!(read, size);
    assert!(size > 4_000_000, "{size}");
    session.close().unwrap();
    run.stop();
}
