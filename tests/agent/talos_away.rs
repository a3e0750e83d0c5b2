//! Talos away, failing, or silent: the host is served, and told nothing wrong.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use apid::{Apid, Code, Method, Status, resources, scene};
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;
use vmx::{Exchange, Origin, RpciEntry};

use crate::support::{ADDRESS, Folder, NAME, Run, SOON, Talos, agent_with, pass};

/// From Talos' arrival until the host knows what is new.
const ARRIVAL: Duration = Duration::from_secs(6);

/// Whatever was sent, nothing of it is wrong.
pub(crate) fn nothing_wrong_was_sent(log: &[RpciEntry]) {
    for entry in log {
        let text = String::from_utf8_lossy(&entry.message).to_ascii_lowercase();
        assert!(!text.contains("unknown"), "{text}");
        match &entry.command {
            Ok(Command::GuestInfo(GuestInfo::Uptime(centis))) => assert_ne!(*centis, 0),
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
    nothing_wrong_was_sent(&run.rpci_log());
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
    let slow = run.host(|host, _| host.exchanges().iter().filter_map(Exchange::latency).max());
    assert!(slow < Some(Duration::from_millis(500)), "{slow:?}");
}

#[test]
fn while_talos_is_away_the_last_known_state_stands_through_resets() {
    let talos = Talos::new();
    let run = talos.run();
    talos.stop();
    run.logs(&["lost connection to Talos"], SOON);
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
        nothing_wrong_was_sent(&run.rpci_log());
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
    nothing_wrong_was_sent(&run.rpci_log());
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
    nothing_wrong_was_sent(&run.rpci_log());
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
    run.logs(&["lost connection to Talos"], SOON);
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
    nothing_wrong_was_sent(&run.rpci_log());
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
    nothing_wrong_was_sent(&run.rpci_log());
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

/// What is found where machined's socket should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instead {
    Nothing,
    /// As a container runtime makes one for a mount without a source.
    Directory,
    /// A socket whose owner is gone.
    Refusal,
    /// Accepts, reads nothing and says nothing.
    Mute,
    /// Accepts and hangs up.
    HangUp,
    /// Accepts and speaks something else.
    Babble,
}

const INSTEADS: [Instead; 6] = [
    Instead::Nothing,
    Instead::Directory,
    Instead::Refusal,
    Instead::Mute,
    Instead::HangUp,
    Instead::Babble,
];

/// A peer at a socket that is not Talos, until it is dropped.
struct Impostor {
    socket: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    fn at(socket: &Path, manner: Instead) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let thread = thread::spawn(move || {
            let mut guests = Vec::new();
            for guest in listener.incoming() {
                let mut guest = guest.unwrap();
                if told.load(Ordering::SeqCst) {
                    return;
                }
                // Whoever has gone meanwhile hears nothing of it.
                let _gone = match manner {
                    Instead::HangUp => guest.shutdown(Shutdown::Both),
                    Instead::Babble => guest.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
                    _ => Ok(()),
                };
                guests.push(guest);
            }
        });
        Self {
            socket: socket.to_owned(),
            over,
            thread: Some(thread),
        }
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(UnixStream::connect(&self.socket));
        drop(self.thread.take().map(JoinHandle::join));
        drop(std::fs::remove_file(&self.socket));
    }
}

impl Instead {
    /// Is there while `during` runs, and nothing is afterwards.
    fn takes_the_place_of(self, socket: &Path, during: impl FnOnce()) {
        drop(std::fs::remove_file(socket));
        let impostor = match self {
            Self::Nothing => None,
            Self::Directory => {
                std::fs::create_dir(socket).unwrap();
                None
            }
            Self::Refusal => {
                drop(UnixListener::bind(socket).unwrap());
                None
            }
            Self::Mute | Self::HangUp | Self::Babble => Some(Impostor::at(socket, self)),
        };
        during();
        drop(impostor);
        drop(std::fs::remove_file(socket).or_else(|_| std::fs::remove_dir(socket)));
    }
}

/// The host's pings so far were answered: the middle one within 10 ms, all within half a second.
fn pings_were_answered(run: &Run, at_least: usize, context: &str) {
    let (mut latencies, open) = run.host(|host, now| {
        let pings = || host.exchanges().iter().filter(|e| e.origin == Origin::Ping);
        let latencies: Vec<_> = pings().filter_map(Exchange::latency).collect();
        let late = |at: Instant| now - at > Duration::from_millis(500);
        let open = pings().filter(|e| e.replied.is_none() && (e.lost || late(e.queued)));
        (latencies, open.count())
    });
    latencies.sort();
    assert!(latencies.len() >= at_least, "{context}: {latencies:?}");
    assert_eq!(open, 0, "{context}: pings without an answer");
    let middle = latencies[latencies.len() / 2];
    assert!(middle <= Duration::from_millis(10), "{context}: {middle:?}");
    let last = latencies[latencies.len() - 1];
    assert!(last < Duration::from_millis(500), "{context}: {last:?}");
}

#[test]
fn whatever_is_in_talos_place_the_host_is_served_throughout_and_all_is_right_afterwards() {
    // All at once: they wait more than they work.
    thread::scope(|scope| {
        for instead in INSTEADS {
            scope.spawn(move || {
                let context = format!("{instead:?}");
                let folder = Folder::new();
                let socket = folder.path("machine.sock");

                // At the start, long enough for the back-off to grow.
                let mut run = None;
                instead.takes_the_place_of(&socket, || {
                    let fresh =
                        Run::start(agent_with(&socket).ping_every(Duration::from_millis(300)));
                    fresh.green();
                    pass(&fresh, Duration::from_secs(3));
                    assert!(fresh.vcenter().is_green(), "{context}");
                    pings_were_answered(&fresh, 5, &context);
                    if instead == Instead::Directory {
                        fresh.logs(&["there is a directory", "restart the service"], SOON);
                    }
                    run = Some(fresh);
                });
                let run = run.unwrap();
                let talos = Apid::machined(&socket).unwrap();
                scene::single_nic(&talos);
                run.sees("name and address", ARRIVAL, |view| {
                    view.host_name.as_deref() == Some(NAME)
                        && view.ip_address.as_deref() == Some(ADDRESS)
                });

                // And once Talos was known.
                talos.stop();
                run.logs(&["lost connection to Talos"], SOON);
                instead.takes_the_place_of(&socket, || {
                    pass(&run, Duration::from_secs(2));
                    run.asked("reset");
                    run.asked("Capabilities_Register");
                });
                last_state_stands(&run);
                pings_were_answered(&run, 10, &context);
                talos.set_hostname("came-back", "");
                talos.restart().unwrap();
                run.sees("the new name", ARRIVAL, |view| {
                    view.host_name.as_deref() == Some("came-back")
                });
                nothing_wrong_was_sent(&run.rpci_log());
                pings_were_answered(&run, 10, &context);
                assert!(run.log().len() < 20, "{context}: {:#?}", run.log());
                run.stop();
            });
        }
    });
}

#[test]
fn restarts_in_the_middle_of_a_burst_of_changes_leave_the_last_of_them() {
    let talos = Talos::new();
    let run = talos.run();
    for change in 0..40u8 {
        talos.set_address("eth0", &format!("10.5.1.{change}/24"));
        talos.set_hostname(&format!("talos-{change}"), "");
        if change % 10 != 9 {
            talos.remove_address("eth0", &format!("10.5.1.{change}/24"));
        }
        // Watches are cut while news is on its way, and while they are being opened.
        match change % 8 {
            3 => talos.drop_connections(),
            7 => talos.restart().unwrap(),
            5 => assert_eq!(run.reply("ping"), "OK "),
            _ => {}
        }
    }
    let kept = ["10.5.1.9", "10.5.1.19", "10.5.1.29", "10.5.1.39"];
    run.sees("the last change", ARRIVAL, |view| {
        let addresses = view.addresses();
        let others = addresses.iter().filter(|ip| ip.starts_with("10.5.1."));
        view.host_name.as_deref() == Some("talos-39")
            && others.count() == kept.len()
            && kept
                .iter()
                .all(|ip| addresses.iter().any(|other| other == ip))
    });
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
    nothing_wrong_was_sent(&run.rpci_log());
}
