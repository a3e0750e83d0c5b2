//! What went wrong in the agents before this one (docs/predecessor.md), as far as no other theme has it.

use std::time::Duration;

use vmx::codec::vix::{self, Reply};
use vmx::{FaultKind, Protocol, Step};

use crate::support::{ADDRESS, Run, SOON, Talos};

#[test]
fn a_host_that_does_not_let_a_channel_be_closed_keeps_nobody_from_stopping() {
    for kind in [
        FaultKind::Fail,
        FaultKind::Close,
        FaultKind::Ones,
        FaultKind::Garbage,
        FaultKind::Fault,
    ] {
        let talos = Talos::new();
        let run = talos.run();
        for protocol in [Protocol::Tclo, Protocol::Rpci] {
            run.host(|host, _| host.fault_on(Step::Close, Some(protocol), 1, kind));
        }
        run.stop();
        assert!(run.log_lines(&["panic"]).is_empty(), "{:#?}", run.log());
    }
}

/// govmomi's toolbox slices what it was sent without a look at its length.
#[test]
fn guest_operations_are_refused_whatever_their_body_is() {
    let talos = Talos::new();
    let run = talos.run();
    for opcode in (177..=195).chain([84]) {
        for body in [&b""[..], b"\0", &[0xff; 7], &[0xff; 64], &[0; 200]] {
            let reply = run.asked(vix::request("op", opcode, body, 1, b"x"));
            let reply = Reply::decode(&reply.reply.unwrap()).unwrap();
            assert_ne!(reply.error, 0, "opcode {opcode} with {body:?}");
        }
    }
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}

#[test]
fn what_other_agents_do_with_files_and_programs_is_an_unknown_command() {
    let talos = Talos::new();
    let run = talos.run();
    for request in [
        &b"f "[..],
        b"f \0\0\0\x01",
        b"f \xff\xff\xff\xff\xff\xff\xff\xff",
        b"Vix_1_Run_Program \"a\" \"/bin/sh\"",
        b"Vix_1_SyncDriver_Freeze \"a\" /",
        b"deployPkg.begin",
        b"vmsupport.start",
    ] {
        let text = String::from_utf8_lossy(request);
        assert_eq!(run.reply(request), "ERROR Unknown Command", "{text:?}");
    }
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}

/// open-vm-tools knows one half of fc00::/7 alone.
#[test]
fn unique_local_addresses_of_both_halves_are_treated_alike() {
    let talos = Talos::new();
    talos.set_address("eth0", "fc01::5/64");
    talos.set_address("eth0", "fd01::5/64");
    let run = Run::start(talos.agent());
    let view = run.sees("both", SOON, |view| {
        let has = |text| view.addresses().iter().any(|ip| ip == text);
        has("fc01::5") && has("fd01::5")
    });
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
    run.stop();
}

/// The Go daemon stops at the first message that is lost.
#[test]
fn a_registration_is_complete_although_the_host_drops_a_message_of_it() {
    const MESSAGES: [&str; 3] = [
        "tools.capability.statechange ",
        "tools.capability.softpowerop_retry ",
        "tools.set.versiontype ",
    ];
    let talos = Talos::new();
    let run = talos.run();
    for kind in [FaultKind::Close, FaultKind::Checkpoint, FaultKind::Ones] {
        for lost in 1..=MESSAGES.len() as u64 {
            let before = MESSAGES.map(|message| run.sent(message).len());
            run.host(|host, _| host.fault_on(Step::SendSize, Some(Protocol::Rpci), lost, kind));
            assert_eq!(run.reply("Capabilities_Register"), "OK ");
            for (message, before) in MESSAGES.iter().zip(before) {
                run.until_sent(message, before + 1, Duration::from_secs(2));
            }
        }
    }
    run.stop();
}
