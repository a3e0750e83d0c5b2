//! libvirt's own client, virsh: what it shows of the guest, and its power commands. And KubeVirt's poller.

mod kubevirt;

use std::time::Duration;

use apid::Method;
use qemu::{
    Agent, Libvirt, PAUSE, SOON, Writers, file_systems_installed, installed, libvirt_installed,
};

use crate::{parts, quiesce};

/// virsh waits 60 s for a silent agent.
const AT_ONCE: Duration = Duration::from_secs(10);

fn libvirt(agent: Agent) -> Option<Libvirt> {
    (installed() && libvirt_installed()).then(|| Libvirt::start(parts(), agent).unwrap())
}

/// What virsh shows by either agent.
fn shows_the_guest(libvirt: &Libvirt) {
    let (text, _) = libvirt.asks("domhostname", &["--source", "agent"]);
    assert_eq!(text.trim(), "talos-cp-1");
    let (text, _) = libvirt.asks("domifaddr", &["--source", "agent"]);
    let eth0 = text
        .lines()
        .find(|line| line.trim_start().starts_with("eth0"))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(
        eth0.contains("00:50:56:ab:cd:ef") && eth0.contains("10.5.0.2/24"),
        "{text}"
    );
    let (text, _) = libvirt.asks("domfsinfo", &[]);
    let var = text
        .lines()
        .find(|line| line.trim_start().starts_with("/var"))
        .unwrap_or_else(|| panic!("{text}"));
    // libvirt has found its own disk by the address.
    assert!(var.trim_end().ends_with("vda"), "{text}");
    let (text, _) = libvirt.asks("guestinfo", &[]);
    for wanted in [
        "user.count          : 0",
        "hostname            : talos-cp-1",
        "timezone.offset     : 0",
        "fs.0.mountpoint     : /var",
        "fs.0.disk.0.alias   : vda",
        ".hwaddr         : 00:50:56:ab:cd:ef",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing:\n{text}");
    }
    let (text, _) = libvirt.asks("qemu-agent-command", &[r#"{"execute":"guest-ping"}"#]);
    assert_eq!(text.trim(), r#"{"return":{}}"#);
    let (text, _) = libvirt.asks("domfsfreeze", &["--mountpoint", "/nowhere"]);
    assert!(text.contains("Froze 0 filesystem(s)"), "{text}");
    let (text, _) = libvirt.asks("domfsthaw", &[]);
    assert!(text.contains("Thawed 0 filesystem(s)"), "{text}");
}

#[test]
#[ignore = "make qemu"]
fn virsh_shows_the_node_and_its_power_commands_reach_talos_at_once() {
    let Some(libvirt) = libvirt(Agent::Vmtoolsd) else {
        return;
    };
    shows_the_guest(&libvirt);
    let (text, _) = libvirt.asks("guestinfo", &["--os"]);
    assert!(
        text.contains("os.pretty-name      : Talos (v1.13.0)"),
        "{text}"
    );
    kubevirt::learns_of_talos(&libvirt);

    let (_, took) = libvirt.asks("reboot", &["--mode", "agent"]);
    assert!(took < AT_ONCE, "reboot: {took:?}");
    let calls = libvirt.parts.talos.wait_calls(Method::Reboot, 1, SOON);
    assert!(calls.is_some(), "{}", libvirt.parts.console());

    for (number, options) in [&["--mode", "agent"][..], &[]].into_iter().enumerate() {
        libvirt.destroy();
        libvirt.boot();
        let (_, took) = libvirt.asks("shutdown", options);
        assert!(took < AT_ONCE, "shutdown {options:?}: {took:?}");
        let calls = libvirt
            .parts
            .talos
            .wait_calls(Method::Shutdown, number + 1, SOON);
        assert!(
            calls.is_some(),
            "{options:?}: {:?}\n{}",
            libvirt.parts.talos.sequences(),
            libvirt.parts.console()
        );
    }
}

#[test]
#[ignore = "make qemu"]
fn virsh_shows_the_same_of_qemu_ga_and_shuts_it_down() {
    let Some(libvirt) = libvirt(Agent::QemuGa) else {
        return;
    };
    shows_the_guest(&libvirt);
    kubevirt::learns_of_the_guest(&libvirt);
    libvirt.asks("shutdown", &["--mode", "agent"]);
    libvirt.ends();
}

#[test]
#[ignore = "make qemu"]
fn virsh_and_kubevirt_take_snapshots_of_a_guest_that_stands_still() {
    if !(installed() && libvirt_installed() && file_systems_installed()) {
        return;
    }
    let libvirt = Libvirt::start(quiesce::parts(), Agent::Vmtoolsd).unwrap();
    let writers = Writers::start(libvirt.parts.shell().unwrap());

    let (text, _) = libvirt.asks("domfsfreeze", &[]);
    assert!(text.contains("Froze 2 filesystem(s)"), "{text}");
    assert!(writers.stand_for(PAUSE), "they write on");
    let text = libvirt.refuses("domfsfreeze", &[]);
    assert!(text.contains("has been disabled"), "{text}");
    let (text, _) = libvirt.asks("domfsthaw", &[]);
    assert!(text.contains("Thawed 2 filesystem(s)"), "{text}");
    assert!(writers.move_within(SOON));

    let since = writers.now();
    let snapshot = ["--quiesce", "--disk-only", "--no-metadata"];
    let (_, took) = libvirt.asks("snapshot-create-as", &snapshot);
    assert!(writers.move_within(SOON));
    let stood = writers.longest_stand(since);
    println!("libvirt's snapshot took {took:?}; a writer stood {stood:?}");
    assert!(stood < took + PAUSE, "{stood:?} for {took:?}");

    kubevirt::freezes(&libvirt);
    assert!(writers.stand_for(PAUSE), "they write on");
    kubevirt::freezes(&libvirt);
    kubevirt::thaws(&libvirt);
    assert!(writers.move_within(SOON));
    kubevirt::thaws(&libvirt);

    // Who thaws too late hears of it.
    libvirt.asks("domfsfreeze", &[]);
    assert!(writers.move_within(quiesce::LIMIT + SOON));
    let text = libvirt.refuses("domfsthaw", &[]);
    assert!(text.contains("fsfreeze is limited"), "{text}");
    libvirt.asks("domfsthaw", &[]);
}
