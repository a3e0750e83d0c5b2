//! File transfers as the host makes them: whole files and archives, lies, many sessions and handles, clients that
//! vanish, and what else the host wants meanwhile.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vmx::guest_operations::hgfs::{self, op};
use vmx::guest_operations::{GuestClient, Refused};
use vmx::{Event, EventKind, Exchange, FaultKind, Origin, Protocol, Step, VsockPolicy};

use crate::support::{PASSWORD, Run, SOON, Talos, guest_operations};

/// A service with a long log.
const LOG: &str = "/talos/services/etcd.log";
/// HGFS_STATUS_…
const NO_SUCH_FILE: u32 = 1;
const INVALID_HANDLE: u32 = 2;
const PROTOCOL_ERROR: u32 = 7;
const ACCESS_DENIED: u32 = 8;
const INVALID_NAME: u32 = 9;
const GENERIC_ERROR: u32 = 10;
const STALE_SESSION: u32 = 17;

/// So many bytes of log, in lines of which no two are the same.
fn lines(len: usize) -> impl Iterator<Item = String> {
    (0..len / 996).map(|number| format!("{number:09} {}", "word ".repeat(197)))
}

/// A node whose service etcd has said this much.
fn verbose(len: usize) -> Talos {
    let talos = Talos::new();
    talos.set_log("etcd", lines(len).collect());
    talos
}

/// The agent with the users `ops` and `eve`, and `bob` who may only start programs.
fn serving(talos: &Talos) -> Run {
    let users = [("ops", ""), ("eve", ""), ("bob", "programs")];
    let run = Run::start(talos.for_users(&users));
    run.informed();
    run
}

fn client<'a>(run: &'a Run, user: &str) -> GuestClient<'a> {
    GuestClient::new(run, user, PASSWORD)
}

/// The log as it comes.
fn log_of(len: usize) -> Vec<u8> {
    let text: String = lines(len).map(|line| line + "\n").collect();
    text.into_bytes()
}

#[test]
fn a_log_comes_whole_with_the_size_that_was_announced_over_both_ways_to_the_host() {
    let talos = verbose(1 << 20);
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        let run = Run::start(talos.for_users(&[("ops", "")]).vsock(policy.clone()));
        run.informed();
        let client = client(&run, "ops");
        let announced = client.initiate_download(LOG).unwrap().size;
        let session = client.session().unwrap();
        assert_eq!(session.attributes(LOG).unwrap(), (0, announced));
        let bytes = session.read_whole(LOG).unwrap();
        assert!(bytes == log_of(1 << 20), "{policy:?}: {}", bytes.len());
        assert_eq!(bytes.len() as u64, announced);
        session.close().unwrap();
        run.stop();
    }
}

#[test]
fn a_log_comes_word_by_word_where_the_host_has_no_high_bandwidth() {
    let talos = verbose(100_000);
    let run = Run::start(talos.for_users(&[("ops", "")]).low_bandwidth_only());
    run.informed();
    assert_eq!(client(&run, "ops").download(LOG).unwrap(), log_of(100_000));
    run.stop();
}

#[test]
fn a_transfer_that_has_begun_comes_as_it_was_announced_whatever_happens_to_talos() {
    let talos = verbose(300_000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let announced = client.initiate_download(LOG).unwrap().size;
    talos.log("etcd", "one more line");
    let session = client.session().unwrap();
    let handle = session.open_file(LOG, false).unwrap();
    let mut bytes = session.read(handle, 0, 61_440).unwrap();
    talos.stop();
    run.logs(&["lost connection to Talos"], SOON);
    while (bytes.len() as u64) < announced {
        let piece = session.read(handle, bytes.len() as u64, 61_440).unwrap();
        assert!(!piece.is_empty());
        bytes.extend(piece);
    }
    assert_eq!(session.read(handle, announced, 61_440).unwrap(), b"");
    assert!(bytes == log_of(300_000));
    session.close().unwrap();
    run.stop();
}

#[test]
fn a_user_who_is_none_any_more_reads_nothing_of_an_open_file() {
    let talos = verbose(100_000);
    let run = serving(&talos);
    let ops = client(&run, "ops");
    let session = ops.session().unwrap();
    let handle = session.open_file(LOG, false).unwrap();
    session.read(handle, 0, 100).unwrap();
    let left = guest_operations(&[("eve", "")]);
    talos.folder.write("users.yaml", &left);
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    let refused = session.read(handle, 0, 100).unwrap_err();
    assert!(matches!(refused, Refused::Vix(3050 | 3015)), "{refused:?}");
    assert_eq!(client(&run, "eve").fetch(LOG).unwrap(), log_of(100_000));
    run.stop();
}

#[test]
fn a_reload_of_other_settings_does_not_end_a_transfer() {
    let talos = verbose(100_000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let session = client.session().unwrap();
    let handle = session.open_file(LOG, false).unwrap();
    let file = talos.folder.path("users.yaml");
    let more = std::fs::read_to_string(&file).unwrap() + "log: {level: debug}\n";
    std::fs::write(file, more).unwrap();
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    assert_eq!(session.read(handle, 0, 100).unwrap().len(), 100);
    run.stop();
}

#[test]
fn each_form_of_an_operation_does_the_same() {
    let talos = verbose(300_000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let session = client.session().unwrap();
    let whole = session.read_whole(LOG).unwrap();
    let old = [
        &hgfs::old(op::OPEN)[..],
        &[0; 8],
        &[4],
        &hgfs::name_v1(&hgfs::name(LOG)),
    ]
    .concat();
    let opened = session.ask(op::OPEN, old).unwrap();
    let handle = u32::from_le_bytes(opened.payload[8..12].try_into().unwrap());
    assert_eq!(session.read(handle, 0, 61_440).unwrap(), whole[..61_440]);
    // By the handle.
    let by_handle = [
        &[4, 0, 0, 0, 0, 0, 0, 0][..],
        &[0; 8],
        &[0; 4],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &handle.to_le_bytes(),
        b"\0",
    ]
    .concat();
    let attributes = session.ask(op::GETATTR_V3, by_handle).unwrap();
    let size = u64::from_le_bytes(attributes.payload[12..20].try_into().unwrap());
    assert_eq!(size, whole.len() as u64);
    let close = [&handle.to_le_bytes()[..], &[0; 8]].concat();
    session.ask(op::CLOSE_V3, close.clone()).unwrap();
    let again = session.ask(op::CLOSE_V3, close);
    assert_eq!(again.unwrap_err(), Refused::Hgfs(INVALID_HANDLE));
    run.stop();
}

#[test]
fn a_folder_comes_as_an_archive_that_ends_in_the_second_gzip_header() {
    let talos = verbose(200_000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    for path in [
        "/talos/services?format=tgz",
        "/archive:/talos/services?format=tgz",
    ] {
        assert_eq!(
            client.initiate_download(path).unwrap().size,
            i64::MAX as u64
        );
        let archive = client.fetch(path).unwrap();
        assert_eq!(archive[..3], [0x1f, 0x8b, 8], "{path}");
        assert!(archive.ends_with(&[0x1f, 0x8b, 8]), "{path}");
        assert!(archive.len() < 100_000, "{path}: {}", archive.len());
    }
    let tar = client.fetch("/talos/services?format=tar").unwrap();
    let has = |name: &[u8]| tar.windows(name.len()).any(|window| window == name);
    assert!(has(b"etcd.log\0") && has(b"000000001 word word"));
    assert!(tar.ends_with(&[0x1f, 0x8b, 8]));
    run.stop();
}

#[test]
fn names_that_climb_other_shares_and_lies_are_refused() {
    let talos = verbose(1000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let session = client.session().unwrap();
    for name in [
        &b"root\0..\0etc\0shadow"[..],
        b"root\0../etc/shadow",
        b"root\0talos\0.\0README.txt",
        b"root\0talos\0\0README.txt",
        b"root\0talos\0README.txt\0",
        b"root\0talos/README.txt",
        b"ROOT\0talos\0README.txt",
        b"other\0talos\0README.txt",
        b"\0root\0talos",
        b"",
        b"root\0\xff\xfe",
    ] {
        for (op, payload) in [
            (op::GETATTR_V2, hgfs::getattr_v2(name)),
            (op::OPEN_V3, hgfs::open_v3(name, false)),
        ] {
            let answer = session.answer(op, payload).unwrap();
            assert_eq!(answer.status, INVALID_NAME, "{op} {name:?}");
        }
    }
    // A name that reaches beyond its packet.
    let mut payload = hgfs::getattr_v2(&hgfs::name(LOG));
    payload[20..24].copy_from_slice(&60_000_u32.to_le_bytes());
    let answer = session.answer(op::GETATTR_V2, payload).unwrap();
    assert_eq!(answer.status, PROTOCOL_ERROR);
    // A packet that says it is longer, or shorter, than what came.
    let packet = hgfs::Packet {
        id: 99,
        op: op::DESTROY_SESSION,
        session: session.id,
        payload: vec![0; 8],
    };
    for lie in [0, 51, 52, 61, 0xFFFF_FFFF_u32] {
        let mut bytes = packet.encode();
        bytes[8..12].copy_from_slice(&lie.to_le_bytes());
        let answer = hgfs::Answer::decode(&client.packet(&bytes).unwrap()).unwrap();
        assert_eq!((answer.id, answer.status), (99, PROTOCOL_ERROR), "{lie}");
    }
    assert_eq!(
        session.attributes("/talos/none").unwrap_err(),
        Refused::Hgfs(NO_SUCH_FILE)
    );
    assert!(session.read_whole("/talos/README.txt").is_ok());
    run.stop();
}

#[test]
fn nothing_is_written() {
    let talos = verbose(1000);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let session = client.session().unwrap();
    for path in ["/talos/README.txt", "/talos/new", "/etc/passwd", LOG] {
        let opened = session.open_file(path, true);
        assert_eq!(opened.unwrap_err(), Refused::Hgfs(ACCESS_DENIED), "{path}");
    }
    // To read, but to empty it first.
    let mut payload = hgfs::open_v3(&hgfs::name("/talos/README.txt"), false);
    payload[12..16].copy_from_slice(&4_u32.to_le_bytes());
    let answer = session.answer(op::OPEN_V3, payload).unwrap();
    assert_eq!(answer.status, ACCESS_DENIED);
    let announced: Vec<u32> = session.capabilities.iter().map(|(op, _)| *op).collect();
    assert_eq!(announced, [41, 42, 0, 3, 15, 24, 25, 26, 27, 31]);
    for op in (0..64).filter(|op| !announced.contains(op)) {
        let answer = session.answer(op, vec![0; 200]).unwrap();
        assert_eq!(answer.status, 13, "{op}");
    }
    run.stop();
}

#[test]
fn two_hundred_sessions_that_nobody_ends_block_nobody() {
    let talos = verbose(200_000);
    let run = serving(&talos);
    let (ops, eve) = (client(&run, "ops"), client(&run, "eve"));
    let theirs = eve.session().unwrap();
    let open = theirs.open_file(LOG, false).unwrap();
    let first = ops.session().unwrap();
    for _ in 0..200 {
        let session = ops.session().unwrap();
        session.open_file(LOG, false).unwrap();
    }
    assert_eq!(
        first.attributes(LOG).unwrap_err(),
        Refused::Hgfs(STALE_SESSION)
    );
    assert_eq!(theirs.read(open, 0, 61_440).unwrap().len(), 61_440);
    assert_eq!(ops.fetch(LOG).unwrap(), log_of(200_000));
    run.stop();
}

#[test]
fn a_thousand_handles_are_refused_and_cost_nothing() {
    let talos = verbose(1 << 20);
    let run = serving(&talos);
    let client = client(&run, "ops");
    let session = client.session().unwrap();
    let first = session.open_file(LOG, false).unwrap();
    let before = run.rss_kib().unwrap();
    let refused = (1..1000).filter(|_| {
        session
            .open_file(LOG, false)
            .is_err_and(|refused| refused == Refused::Hgfs(GENERIC_ERROR))
    });
    assert_eq!(refused.count(), 1000 - 64);
    let more = run.rss_kib().unwrap().saturating_sub(before);
    assert!(more < 4096, "{more} KiB for handles of one file");
    assert_eq!(session.read(first, 0, 61_440).unwrap().len(), 61_440);
    session.close().unwrap();
    assert_eq!(client.fetch(LOG).unwrap().len(), log_of(1 << 20).len());
    run.stop();
}

#[test]
fn sessions_and_handles_are_those_of_their_user() {
    let talos = verbose(100_000);
    let run = serving(&talos);
    let (ops, eve) = (client(&run, "ops"), client(&run, "eve"));
    let mine = ops.session().unwrap();
    let handle = mine.open_file(LOG, false).unwrap();
    let theirs = eve.session().unwrap();
    assert_eq!(
        theirs.read(handle, 0, 100).unwrap_err(),
        Refused::Hgfs(INVALID_HANDLE)
    );
    let other = ops.session().unwrap();
    assert_eq!(
        other.read(handle, 0, 100).unwrap_err(),
        Refused::Hgfs(INVALID_HANDLE)
    );
    // Another user's session.
    let packet = hgfs::Packet {
        id: 1,
        op: op::READ_V3,
        session: mine.id,
        payload: hgfs::read_v3(handle, 0, 100),
    };
    let answer = hgfs::Answer::decode(&eve.packet(&packet.encode()).unwrap()).unwrap();
    assert_eq!(answer.status, STALE_SESSION);
    assert_eq!(mine.read(handle, 0, 100).unwrap().len(), 100);
    run.stop();
}

#[test]
fn a_user_without_the_right_to_files_gets_none() {
    let talos = verbose(1000);
    let run = serving(&talos);
    let bob = client(&run, "bob");
    let refused = bob.initiate_download(LOG).unwrap_err();
    assert_eq!(refused, Refused::Vix(3015));
    let session = bob.session().unwrap();
    assert!(session.attributes(LOG).is_err());
    assert!(session.open_file(LOG, false).is_err());
    run.stop();
}

#[test]
fn a_wrong_password_reads_nothing_of_an_open_file() {
    let talos = verbose(100_000);
    let run = serving(&talos);
    let ops = client(&run, "ops");
    let session = ops.session().unwrap();
    let handle = session.open_file(LOG, false).unwrap();
    let packet = hgfs::Packet {
        id: 1,
        op: op::READ_V3,
        session: session.id,
        payload: hgfs::read_v3(handle, 0, 100),
    };
    let wrong = GuestClient::new(&*run, "ops", "wrong");
    let refused = wrong.packet(&packet.encode()).unwrap_err();
    assert!(matches!(refused, Refused::Vix(3050 | 3015)), "{refused:?}");
    assert_eq!(session.read(handle, 0, 100).unwrap().len(), 100);
    run.stop();
}

#[test]
fn downloads_do_not_disturb_each_other() {
    let talos = verbose(500_000);
    let run = serving(&talos);
    let (ops, eve) = (client(&run, "ops"), client(&run, "eve"));
    let sessions = [ops.session().unwrap(), eve.session().unwrap()];
    let paths = [LOG, "/talos/dmesg.log"];
    let whole = paths.map(|path| ops.fetch(path).unwrap());
    let handles = [0, 1].map(|one| sessions[one].open_file(paths[one], false).unwrap());
    let mut got = [Vec::new(), Vec::new()];
    for _ in 0..whole[0].len().max(whole[1].len()).div_ceil(7001) + 1 {
        for one in [0, 1] {
            let piece = sessions[one].read(handles[one], got[one].len() as u64, 7001);
            got[one].extend(piece.unwrap());
        }
    }
    assert!(got == whole);
    run.stop();
}

#[test]
fn a_client_that_vanishes_leaves_nothing_in_the_way() {
    let talos = verbose(1 << 20);
    let run = serving(&talos);
    let client = client(&run, "ops");
    for _ in 0..30 {
        client.initiate_download(LOG).unwrap();
        let session = client.session().unwrap();
        let handle = session.open_file(LOG, false).unwrap();
        session.read(handle, 0, 61_440).unwrap();
    }
    assert_eq!(client.fetch(LOG).unwrap(), log_of(1 << 20));
    run.stop();
}

#[test]
fn a_checkpoint_in_the_middle_of_a_transfer_costs_no_byte() {
    let talos = verbose(600_000);
    let steps = [Step::HighBandwidthIn, Step::HighBandwidthOut];
    for (step, nth) in steps.into_iter().flat_map(|step| [(step, 0), (step, 5)]) {
        let run = serving(&talos);
        let client = client(&run, "ops");
        let session = client.session().unwrap();
        let handle = session.open_file(LOG, false).unwrap();
        let mut bytes = session.read(handle, 0, 61_440).unwrap();
        run.host(|host, _| {
            host.fault_on(step, Some(Protocol::Tclo), nth, FaultKind::Checkpoint);
        });
        loop {
            let piece = session.read(handle, bytes.len() as u64, 61_440).unwrap();
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        assert!(bytes == log_of(600_000), "{step:?} {nth}: {}", bytes.len());
        let is_fault = |event: &Event| matches!(event.kind, EventKind::Fault(_));
        assert!(
            run.events().iter().any(is_fault),
            "{step:?} {nth}: no checkpoint"
        );
        run.stop();
    }
}

#[test]
fn pings_are_answered_between_the_reads_of_a_long_transfer() {
    let talos = verbose(4 << 20);
    let run = Run::start(
        talos
            .for_users(&[("ops", "")])
            .ping_every(Duration::from_millis(50)),
    );
    run.informed();
    let client = client(&run, "ops");
    let started = Instant::now();
    let bytes = client.fetch(LOG).unwrap();
    let ended = Instant::now();
    assert_eq!(bytes.len(), log_of(4 << 20).len());
    let waits: Vec<Duration> = run.host(|host, _| {
        let during = |exchange: &&Exchange| {
            exchange.origin == Origin::Ping && (started..ended).contains(&exchange.queued)
        };
        let pings = host.exchanges().iter().filter(during);
        pings
            .filter_map(|ping| Some(ping.replied? - ping.queued))
            .collect()
    });
    assert!(waits.len() > 1, "{waits:?} in {:?}", ended - started);
    let longest = waits.iter().max().copied();
    assert!(longest < Some(Duration::from_secs(1)), "{waits:?}");
    run.sees("a green heartbeat", SOON, vmx::Vcenter::is_green);
    run.stop();
}
