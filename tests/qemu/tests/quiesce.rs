//! Snapshots of a guest whose file systems stand still: an ext4 and an XFS with a writer on each, in the words of Proxmox,
//! and what ends a freeze that is never thawed. Debian's qemu-ga passes what is not ours alone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use apid::Method;
use qemu::{Agent, BOOT, Guest, PAUSE, Parts, SOON, Writers, file_systems_installed, installed};
use serde_json::{Value, json};

use crate::binary;
use crate::proxmox::exchange;

/// Ours freezes no longer than this.
pub(crate) const LIMIT: Duration = Duration::from_secs(4);

/// What our agent is started with. On an emulated processor Talos' word on etcd may come too late.
const OPTIONS: [&str; 3] = [
    "--quiesce=freeze",
    "--quiesce-max-freeze=4s",
    "--quiesce-etcd=warn",
];

/// The parts of a guest with two file systems.
pub(crate) fn parts() -> Parts {
    let relay = Path::new(env!("CARGO_BIN_EXE_relay"));
    Parts::quiesced(&binary(), relay, &OPTIONS).unwrap()
}

/// A guest with two file systems and writers on them.
fn guest(agent: Agent) -> (Guest, Writers) {
    let guest = Guest::start(parts(), agent).unwrap();
    guest.opens_since(0);
    let writers = Writers::start(guest.parts.shell().unwrap());
    (guest, writers)
}

/// A check, and whether qemu-ga passes it too.
type Check = (&'static str, fn(&Guest, &Writers), bool);

/// In this order, in one guest: after the last one Talos shuts down, and nothing is frozen any more.
const CHECKS: [Check; 8] = [
    (
        "a backup as Proxmox makes it holds what stood still",
        a_backup_holds_what_stood_still,
        true,
    ),
    (
        "mount points narrow a freeze, and unknown ones are none",
        mount_points_narrow_a_freeze,
        true,
    ),
    (
        "while frozen what is not needed is disabled",
        what_is_not_needed_is_disabled,
        true,
    ),
    (
        "the freeze outlives its client and ends by itself, and the thaw that follows says so once",
        the_limit_ends_a_freeze,
        false,
    ),
    (
        "unplugged while frozen, the guest writes at once",
        an_unplugged_port_thaws,
        false,
    ),
    (
        "an agent killed while frozen is started again and thaws",
        a_killed_agent_is_followed_by_a_rescue,
        false,
    ),
    (
        "an agent that is stopped while frozen thaws first",
        a_stopped_agent_thaws,
        false,
    ),
    (
        "a shutdown thaws and reaches Talos",
        a_shutdown_thaws,
        false,
    ),
];

#[test]
#[ignore = "make qemu"]
fn a_quiesced_guest_passes_every_check_and_nothing_stays_frozen() {
    if installed() && file_systems_installed() {
        let (guest, writers) = guest(Agent::Vmtoolsd);
        for (sentence, check, _) in CHECKS {
            println!("check: {sentence}");
            check(&guest, &writers);
            assert!(writers.move_within(SOON), "{sentence}: frozen");
        }
    }
}

#[test]
#[ignore = "make qemu"]
fn qemu_ga_freezes_a_guest_in_the_same_words() {
    if installed() && file_systems_installed() {
        let (guest, writers) = guest(Agent::QemuGa);
        for (sentence, check, _) in CHECKS.iter().filter(|(_, _, theirs)| *theirs) {
            println!("check: {sentence}");
            check(&guest, &writers);
            assert!(writers.move_within(SOON), "{sentence}: frozen");
        }
    }
}

/// What a command returns, asked as Proxmox does: on a connection of its own.
fn returns(guest: &Guest, command: &str) -> Value {
    let reply = asks(guest, command);
    assert!(reply.get("return").is_some(), "{command}: {reply}");
    reply["return"].clone()
}

fn asks(guest: &Guest, command: &str) -> Value {
    let (_, [_, answer]) = exchange(guest, 4711, command);
    serde_json::from_slice(&answer).unwrap()
}

fn freezes(guest: &Guest) {
    assert_eq!(returns(guest, "guest-fsfreeze-freeze"), 2);
    assert_eq!(returns(guest, "guest-fsfreeze-status"), "frozen");
}

/// Whether the ext4 in this image would have to replay its journal.
fn is_dirty(image: &Path) -> bool {
    let output = Command::new("dumpe2fs")
        .args(["-h".as_ref(), image.as_os_str()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).contains("needs_recovery")
}

fn a_backup_holds_what_stood_still(guest: &Guest, writers: &Writers) {
    let copy = guest.parts.path("copy");
    let since = writers.now();
    std::fs::copy(&guest.parts.image.disk, &copy).unwrap();
    assert!(is_dirty(&copy), "no snapshot, and yet clean");
    let started = Instant::now();
    assert_eq!(returns(guest, "guest-ping"), json!({}));
    assert_eq!(returns(guest, "guest-fsfreeze-status"), "thawed");
    assert_eq!(returns(guest, "guest-fsfreeze-freeze"), 2);
    let froze = started.elapsed();
    assert!(writers.stand_for(PAUSE), "they write on");
    std::fs::copy(&guest.parts.image.disk, &copy).unwrap();
    assert_eq!(returns(guest, "guest-fsfreeze-status"), "frozen");
    assert_eq!(returns(guest, "guest-fsfreeze-thaw"), 2);
    let whole = started.elapsed();
    assert!(writers.move_within(PAUSE * 5), "they stand still");
    assert_eq!(returns(guest, "guest-fsfreeze-status"), "thawed");
    assert_eq!(returns(guest, "guest-fsfreeze-thaw"), 0);
    assert!(!is_dirty(&copy), "the snapshot is not what stood still");
    let stood = writers.longest_stand(since);
    println!(
        "{:?}: frozen after {froze:?}, thawed after {whole:?}; a writer stood {stood:?}",
        guest.agent
    );
    assert!(stood < whole + PAUSE, "{stood:?} for {whole:?}");
}

fn mount_points_narrow_a_freeze(guest: &Guest, writers: &Writers) {
    let mut client = guest.client();
    let mut freeze = |mount_points: &[&str]| {
        let arguments = json!({"mountpoints": mount_points});
        client.ask("guest-fsfreeze-freeze-list", arguments)["return"].clone()
    };
    assert_eq!(freeze(&["/nowhere"]), 0);
    assert!(writers.move_within(SOON));
    assert_eq!(freeze(&["/var/mnt/data", "/nowhere"]), 1);
    assert!(!writers.move_within(PAUSE), "both write");
    assert_eq!(client.returns("guest-fsfreeze-thaw"), 1);
}

fn what_is_not_needed_is_disabled(guest: &Guest, _: &Writers) {
    freezes(guest);
    let mut client = guest.client();
    let info = client.returns("guest-info");
    let commands = info["supported_commands"].as_array().unwrap();
    let is_enabled = |name: &str| {
        let command = commands.iter().find(|command| command["name"] == name);
        command.unwrap_or_else(|| panic!("{name}"))["enabled"] == true
    };
    for name in [
        "guest-ping",
        "guest-info",
        "guest-sync",
        "guest-fsfreeze-status",
        "guest-fsfreeze-thaw",
    ] {
        assert!(is_enabled(name), "{name}");
    }
    for name in [
        "guest-fsfreeze-freeze",
        "guest-fsfreeze-freeze-list",
        "guest-get-fsinfo",
        "guest-network-get-interfaces",
    ] {
        assert!(!is_enabled(name), "{name}");
        let error = &client.ask(name, Value::Null)["error"];
        assert_eq!(error["class"], "CommandNotFound", "{name}");
        let text = error["desc"].as_str().unwrap();
        let start = format!("Command {name} has been disabled");
        assert!(text.starts_with(&start), "{text}");
    }
    assert_eq!(client.returns("guest-fsfreeze-thaw"), 2);
}

fn the_limit_ends_a_freeze(guest: &Guest, writers: &Writers) {
    let since = writers.now();
    freezes(guest);
    assert!(writers.move_within(LIMIT + PAUSE * 2), "it is not thawed");
    let stood = writers.longest_stand(since);
    println!("a freeze without a thaw took {stood:?}");
    assert!(stood < LIMIT + PAUSE, "{stood:?}");
    assert_eq!(returns(guest, "guest-fsfreeze-status"), "thawed");
    let error = &asks(guest, "guest-fsfreeze-thaw")["error"];
    let text = error["desc"].as_str().unwrap_or_default();
    assert!(text.contains("fsfreeze is limited"), "{error}");
    assert_eq!(returns(guest, "guest-fsfreeze-thaw"), 0);
}

fn an_unplugged_port_thaws(guest: &Guest, writers: &Writers) {
    let since = writers.now();
    freezes(guest);
    guest.unplug();
    let unplugged = writers.now();
    assert!(writers.move_within(PAUSE * 2), "they stand still");
    let stood = writers.longest_stand(since);
    println!("a freeze that an unplugged port ended took {stood:?}");
    assert!(writers.now() < unplugged + PAUSE * 2);
    let since = guest.monitor.count();
    guest.plug();
    guest.opens_since(since);
    let error = &asks(guest, "guest-fsfreeze-thaw")["error"];
    assert!(error.to_string().contains("unplugged"), "{error}");
    assert_eq!(returns(guest, "guest-fsfreeze-thaw"), 0);
}

fn a_shutdown_thaws(guest: &Guest, writers: &Writers) {
    let calls = guest.parts.talos.calls_of(Method::Shutdown).len();
    freezes(guest);
    assert_eq!(returns(guest, "guest-shutdown"), json!({}));
    assert!(writers.move_within(PAUSE * 2), "they stand still");
    let talos = &guest.parts.talos;
    let wanted = calls + 1;
    assert!(talos.wait_calls(Method::Shutdown, wanted, SOON).is_some());
    let error = &asks(guest, "guest-fsfreeze-thaw")["error"];
    assert!(error.to_string().contains("shuts down"), "{error}");
}

fn a_killed_agent_is_followed_by_a_rescue(guest: &Guest, writers: &Writers) {
    freezes(guest);
    let since = guest.monitor.count();
    let killed = Instant::now();
    writers.shell().run("kill -KILL $(cat /run/agent.pid)");
    assert!(writers.move_within(BOOT), "{}", guest.parts.console());
    println!(
        "thawed {:?} after the agent was killed, its start after a second included",
        killed.elapsed()
    );
    guest.opens_since(since);
    // Until all that may be frozen is tried, a freeze is refused.
    let until = Instant::now() + SOON;
    let mut reply = asks(guest, "guest-fsfreeze-freeze");
    while reply["return"] != 2 {
        assert!(reply.to_string().contains("frozen from before"), "{reply}");
        assert!(Instant::now() < until, "{reply}");
        reply = asks(guest, "guest-fsfreeze-freeze");
    }
    assert_eq!(returns(guest, "guest-fsfreeze-thaw"), 2);
}

fn a_stopped_agent_thaws(guest: &Guest, writers: &Writers) {
    freezes(guest);
    let since = guest.monitor.count();
    writers.shell().run("kill -TERM $(cat /run/agent.pid)");
    assert!(writers.move_within(PAUSE * 2), "they stand still");
    assert!(guest.closes_since(since), "{}", guest.parts.console());
    // It has ended with 0, so it is not started again by itself.
    let since = guest.monitor.count();
    writers.shell().run("serve </dev/null >/dev/console 2>&1 &");
    guest.opens_since(since);
}
