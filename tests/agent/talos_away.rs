//! Talos away, failing, or silent: the host is served, and told nothing wrong.

use std::time::{Duration, Instant};

use apid::{Code, Method, Status, resources, scene};
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;

use crate::support::{ADDRESS, NAME, Run, SOON, Talos, pass};

/// Whatever was sent, nothing of it is wrong.
fn nothing_wrong_was_sent(run: &Run) {
    for entry in run.rpci_log() {
        let text = String::from_utf8_lossy(&entry.message).to_ascii_lowercase();
        assert!(!text.contains("unknown"), "{text}");
        match entry.command {
            Ok(Command::GuestInfo(GuestInfo::Uptime(centis))) => assert_ne!(centis, 0),
            Ok(Command::GuestInfo(GuestInfo::HostName(name))) => assert_ne!(name, ""),
            Ok(Command::GuestInfo(GuestInfo::Nics(_, list))) => {
                assert!(
                    list.nics.iter().any(|nic| !nic.ips.is_empty()),
                    "an empty NIC list"
                );
            }
            Ok(Command::InfoSet { key, value }) if key == "ip" => assert_ne!(value, b""),
            _ => {}
        }
    }
}

fn last_state_stands(run: &Run) {
    let view = run.vcenter();
    assert!(view.is_green());
    assert_eq!(view.host_name.as_deref(), Some(NAME));
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
    nothing_wrong_was_sent(run);
}

#[test]
fn a_ping_during_a_hanging_talos_is_answered_within_10_ms() {
    let talos = Talos::new();
    let run = talos.run();
    talos.hang();
    run.asked("OS_Halt");
    run.asked("reset");
    run.asked("Capabilities_Register");
    let mut latencies: Vec<Duration> = (0..9)
        .map(|_| run.asked("ping").latency().unwrap())
        .collect();
    latencies.sort();
    assert!(latencies[4] <= Duration::from_millis(10), "{latencies:?}");
    let slow = run.host(|host, _| {
        host.exchanges()
            .iter()
            .filter_map(vmx::Exchange::latency)
            .max()
    });
    assert!(slow < Some(Duration::from_millis(500)), "{slow:?}");
}

#[test]
fn while_talos_is_away_the_last_known_state_stands_through_resets() {
    let talos = Talos::new();
    let run = talos.run();
    talos.stop();
    run.logs(&["lost Talos"], SOON);
    for _ in 0..2 {
        run.asked("reset");
        run.asked("Capabilities_Register");
        run.asked("Set_Option broadcastIP 1");
    }
    pass(&run, Duration::from_millis(500));
    last_state_stands(&run);
    let sent = run.sent("SetGuestInfo  10 ");
    assert!(
        sent.len() >= 3,
        "sent anew after each reset from what is known"
    );

    talos.set_hostname("came-back", "");
    talos.restart().unwrap();
    let back = Instant::now();
    run.sees("the new name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("came-back")
    });
    assert!(back.elapsed() < Duration::from_secs(6));
    assert!(run.log().len() < 15, "{:#?}", run.log());
}

#[test]
fn calls_that_fail_send_nothing_wrong_and_are_repeated() {
    for status in [
        Status::unavailable("connection error: desc = no machined"),
        Status::permission_denied("not authorized"),
        Status::internal("something broke"),
    ] {
        let talos = Talos::new();
        talos.fail_next(Method::Version, &status, 3);
        talos.fail_next(Method::Watch, &status, 3);
        let run = Run::start(talos.agent());
        run.green();
        nothing_wrong_was_sent(&run);
        run.informed();
        last_state_stands(&run);
        assert!(run.log().len() < 15, "{:#?}", run.log());
    }
}

#[test]
fn a_watch_that_talos_ends_with_errored_is_opened_again() {
    let talos = Talos::new();
    let run = talos.run();
    let watches = talos.calls_of(Method::Watch).len();
    talos.error_watches();
    // All of them, without a word to the host.
    talos.wait_calls(Method::Watch, watches + 5, SOON).unwrap();
    last_state_stands(&run);
    talos.set_hostname("after-errored", "");
    run.sees("the new name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("after-errored")
    });
    nothing_wrong_was_sent(&run);
}

#[test]
fn watches_that_end_and_connections_that_break_are_opened_again() {
    let talos = Talos::new();
    let run = talos.run();
    talos.end_watches(&Status::new(Code::Unavailable, "shutting down"));
    talos.set_hostname("after-the-end", "");
    run.sees("the new name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("after-the-end")
    });
    talos.drop_connections();
    talos.set_hostname("after-the-break", "");
    run.sees("the new name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("after-the-break")
    });
    talos.expire_bookmarks();
    talos.drop_connections();
    talos.set_hostname("after-the-bookmarks", "");
    run.sees("the new name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("after-the-bookmarks")
    });
    nothing_wrong_was_sent(&run);
}

#[test]
fn an_address_removed_while_talos_was_away_is_gone_afterwards() {
    let talos = Talos::new();
    talos.set_address("eth0", "10.5.0.50/24");
    let run = talos.run();
    run.sees("both addresses", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "10.5.0.50")
    });
    talos.stop();
    run.logs(&["lost Talos"], SOON);
    talos.remove_address("eth0", "10.5.0.50/24");
    talos.restart().unwrap();
    run.sees("one address less", Duration::from_secs(6), |view| {
        !view.addresses().iter().any(|ip| ip == "10.5.0.50")
    });
    last_state_stands(&run);
}

#[test]
fn a_talos_that_accepts_but_never_answers_does_not_keep_the_host_waiting() {
    let talos = Talos::new();
    talos.hang();
    let run = Run::start(talos.agent());
    let started = run.host(|host, _| host.started());
    let at = run.until("green", SOON, |host, now| {
        host.vcenter(now).is_green().then_some(now)
    });
    assert!(at - started < Duration::from_secs(2), "{:?}", at - started);
    nothing_wrong_was_sent(&run);
    talos.resume();
    run.informed();
    last_state_stands(&run);
}

#[test]
fn malformed_resources_are_skipped_with_one_line() {
    let talos = Talos::new();
    talos.put(
        resources::ADDRESS_STATUS,
        "network",
        "eth0/bad",
        vec![0xff; 7],
    );
    talos.put(resources::LINK_STATUS, "network", "bad", vec![0x0a]);
    let run = talos.run();
    talos.put(
        resources::ADDRESS_STATUS,
        "network",
        "eth0/bad",
        vec![0xfe; 9],
    );
    talos.set_hostname("still-alive", "");
    run.sees("the new name", SOON, |view| {
        view.host_name.as_deref() == Some("still-alive")
    });
    assert_eq!(
        run.log_lines(&["malformed", "AddressStatus"]).len(),
        1,
        "{:#?}",
        run.log()
    );
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
}

#[test]
fn a_role_that_may_not_read_leaves_the_host_served_and_told_nothing() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().args(["--machined-role", "os:etcd:backup"]));
    run.green();
    pass(&run, Duration::from_secs(1));
    nothing_wrong_was_sent(&run);
    assert!(run.vcenter().is_green());
    for call in talos.calls() {
        assert_eq!(call.metadata("talos-role"), ["os:etcd:backup"]);
    }
}

#[test]
fn a_node_with_everything_at_once_is_told_in_full() {
    let talos = Talos::with(|talos| {
        scene::single_nic(talos);
        for nic in 0..20u8 {
            let name = format!("ens{nic}");
            talos.set_link(
                &name,
                scene::nic(100 + u32::from(nic), [0, 0x50, 0x56, 1, 1, nic]),
            );
            for address in 0..20 {
                talos.set_address(&name, &format!("10.{}.{address}.1/24", 100 + nic));
            }
        }
    });
    let run = talos.run();
    let view = run.sees("many addresses", SOON, |view| view.addresses().len() > 200);
    // nicinfo.x allows 16 NICs.
    assert_eq!(view.macs().len(), 16);
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
}
