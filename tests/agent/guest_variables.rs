//! Guest variables: what the machine tells in them, and what lies open in them.

use std::time::{Duration, Instant};

use apid::{MachineType, Stage, scene};
use vmx::{Stream, Times, Vmx, VmxBuilder, VsockPolicy};

use crate::snapshots::{self, Node};
use crate::support::{Run, SOON, Talos, binary, pass};

/// What no log may hold; base64 as Talos wants it.
const SECRET: &str = "U0VDUkVULU1BUktFUi1TRUNSRVQtTUFSS0VS";

const OVF_ENVIRONMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1">
   <PropertySection>
      <Property oe:key="hostname" oe:value="talos-cp-1"/>
      <Property oe:key="talos.config" oe:value="U0VDUkVULU1BUktFUi1TRUNSRVQtTUFSS0VS"/>
   </PropertySection>
</Environment>"#;

#[test]
fn what_talos_says_of_the_machine_is_on_the_host_within_a_second() {
    let talos = Talos::new();
    talos.set_conditions(Stage::MachineStageBooting, &["network", "nodeReady"]);
    let run = talos.run();
    sees(&run, "version", "v1.13.0");
    sees(&run, "stage", "booting");
    sees(&run, "ready", "false");
    sees(&run, "unmetConditions", "network,nodeReady");
    sees(&run, "machineType", "controlplane");
    sees(&run, "nodeName", "talos-cp-1");
    sees(&run, "extensions", "talos-vmtoolsd-guest-agent");
    sees(&run, "secureBoot", "false");
    sees(&run, "quiesce", "off");
    let schematic = run.host(|host, _| host.variable("vmtools.talos.schematic"));
    assert_eq!(schematic.unwrap().len(), 64);

    let started = Instant::now();
    talos.set_conditions(Stage::MachineStageRunning, &[]);
    sees(&run, "stage", "running");
    sees(&run, "ready", "true");
    sees(&run, "unmetConditions", "none");
    assert!(started.elapsed() < Duration::from_secs(1));
    talos.set_machine_type(MachineType::Worker);
    sees(&run, "machineType", "worker");
    talos.set_extension(2, "iscsi-tools", "v0.1.6");
    sees(&run, "extensions", "iscsi-tools,talos-vmtoolsd-guest-agent");
    talos.set_extension(3, "modules.dep", "6.18.1-talos");
    talos.set_extension(4, "embedded-config", "5e884898da28");
    talos.set_extension(5, "zfs", "2.3.0");
    sees(
        &run,
        "extensions",
        "iscsi-tools,talos-vmtoolsd-guest-agent,zfs",
    );
    let calls = talos.call_count();
    talos.set_conditions(Stage::MachineStageRunning, &["services"]);
    sees(&run, "unmetConditions", "services");
    assert_eq!(talos.call_count(), calls, "watched, not asked for");
}

#[test]
fn what_the_node_is_in_its_cluster_is_on_the_host() {
    const SERVERS: [&str; 3] = ["10.5.0.2", "10.5.0.3", "10.5.0.4"];
    let talos = Talos::new();
    talos.set_etcd(3, 0);
    talos.set_api_servers(&SERVERS);
    let run = talos.run();
    sees(&run, "etcd", "leader");
    sees(&run, "etcdMembers", "3/3");
    sees(&run, "cordoned", "false");
    talos.set_cordoned(true);
    sees(&run, "cordoned", "true");
    // A control plane goes, and so does the leadership.
    talos.set_etcd_leader(2);
    talos.set_api_servers(&SERVERS[..2]);
    sees(&run, "etcd", "voter");
    sees(&run, "etcdMembers", "2/3");
    talos.set_machine_type(MachineType::Worker);
    sees(&run, "etcd", "none");
    sees(&run, "etcdMembers", "none");
}

#[test]
fn a_snapshot_is_seen_while_it_is_taken_and_afterwards() {
    let Some(node) = Node::new() else { return };
    node.talos.set_machine_type(MachineType::Worker);
    let run = node.run(&[]);
    sees(&run, "quiesce", "ready");
    snapshots::commits(&run);
    sees(&run, "quiesce", "frozen");
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    let name = "vmtools.talos.quiesce";
    run.until("the end of the snapshot", SOON, |host, _| {
        let shown = host.variable(name)?;
        (shown.starts_with("ready; last 2") && shown.ends_with(" ms done")).then_some(())
    });
}

#[test]
fn a_virtual_ip_is_a_variable_of_the_node_that_holds_it() {
    let talos = Talos::with(scene::control_plane);
    let run = talos.run();
    sees(&run, "virtualIPs", "10.5.0.100");
    talos.lose_vip("eth0", "10.5.0.100");
    sees(&run, "virtualIPs", "none");
}

#[test]
fn a_shutdown_that_ends_in_rebooting_stays_a_shutdown_and_is_never_ready() {
    let talos = Talos::new();
    let run = talos.run();
    sees(&run, "ready", "true");
    talos.set_conditions(Stage::MachineStageShuttingDown, &[]);
    // As every Talos up to 1.13 does.
    talos.set_conditions(Stage::MachineStageRebooting, &[]);
    sees(&run, "stage", "shutting down");
    sees(&run, "ready", "false");
    talos.set_conditions(Stage::MachineStageRebooting, &["services"]);
    sees(&run, "unmetConditions", "services");
    sees(&run, "stage", "shutting down");
    talos.set_conditions(Stage::MachineStageBooting, &[]);
    sees(&run, "stage", "booting");
    talos.set_conditions(Stage::MachineStageRebooting, &[]);
    sees(&run, "stage", "rebooting");
}

#[test]
fn a_reset_brings_all_of_it_again() {
    let talos = Talos::new();
    let run = talos.run();
    sees(&run, "secureBoot", "false");
    run.host(|host, _| {
        for key in ["stage", "ready", "secureBoot"] {
            host.set_variable(&format!("vmtools.talos.{key}"), "forgotten");
        }
    });
    run.asked("reset");
    sees(&run, "ready", "true");
    sees(&run, "stage", "running");
    sees(&run, "secureBoot", "false");
}

#[test]
fn exposed_configs_are_warned_of_once_and_in_no_log_even_at_trace() {
    for bandwidth in ["--low-bandwidth=false", "--low-bandwidth=true"] {
        let talos = Talos::new();
        let run = Run::start(exposed(talos.agent()).args([bandwidth, "--log-level=trace"]));
        warned(&run);
        run.asked("reset");
        run.until_sent("info-get", 6, SOON);
        let log = run.log().join("\n");
        assert_eq!(log.matches(EXPOSED).count(), 3, "{log}");
        for key in KEYS {
            assert!(log.contains(&format!("guestinfo.{key}")), "{log}");
        }
        assert!(log.contains("guestinfo.scrub"), "the remedy: {log}");
        assert!(!log.contains(&SECRET[..8]), "{log}");
        let kept = run.host(|host, _| host.variable("talos.config"));
        assert_eq!(kept.as_deref(), Some(SECRET), "nothing is blanked unasked");
    }
}

#[test]
fn a_config_too_long_to_read_is_warned_of_once_over_every_transport() {
    // What just fits into 64 KiB with the status is read; a backdoor reads 1 MiB, vsock 128 KiB.
    for (transport, bytes) in [
        ("backdoor", 65_534),
        ("vsock", 65_534),
        ("backdoor", 1_200_000),
        ("vsock", 200_000),
    ] {
        let talos = Talos::new();
        let agent = talos.agent().args([&format!("--transport={transport}")]);
        let agent = agent.vsock(VsockPolicy::served());
        let run = Run::start(agent.variable("userdata", vec![b'Q'; bytes]));
        run.tolerate("RecvPayload");
        run.logs(&[EXPOSED, "guestinfo.userdata"], SOON);
        let asked = |run: &Run| run.sent("info-get guestinfo.userdata").len();
        let before = asked(&run);
        assert!((1..=2).contains(&before), "{transport} {bytes}: {before}");
        pass(&run, Duration::from_secs(5));
        assert_eq!(asked(&run), before, "{transport} {bytes}");
        assert_eq!(run.log_lines(&[EXPOSED]).len(), 1);
    }
}

#[test]
fn a_host_that_permits_no_variables_is_one_line_of_the_log() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| {
        host.answer("info-set ", *b"0 Permission denied", Times::Forever);
        host.answer("info-get ", *b"0 Permission denied", Times::Forever);
    }));
    run.informed();
    run.until_sent("info-set guestinfo.vmtools.talos.secureBoot", 1, SOON);
    talos.set_conditions(Stage::MachineStageRunning, &["services"]);
    run.asked("reset");
    run.until_sent("info-set guestinfo.vmtools.talos.secureBoot", 2, SOON);
    let lines = run.log_lines(&["WARN", "refused"]);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(
        lines[0].contains("guest_rpc.rpci.auth.cmd.info-set"),
        "{lines:#?}"
    );
}

#[test]
fn without_variables_the_vm_keeps_its_configuration_until_a_reload_wants_them() {
    let talos = Talos::new();
    let config = talos
        .folder
        .write("config.yaml", "guestinfo: {variables: false}\n");
    let run = Run::start(talos.agent().args(["--config"]).args([config]));
    run.informed();
    run.until_sent("info-set guestinfo.ip ", 1, SOON);
    assert_eq!(run.sent("info-set guestinfo.vmtools").len(), 0);
    talos
        .folder
        .write("config.yaml", "guestinfo: {variables: true}\n");
    run.signal(nix::sys::signal::Signal::SIGHUP);
    sees(&run, "secureBoot", "false");
    run.until_sent("info-set guestinfo.vmtools.description ", 1, SOON);
}

#[test]
fn exposed_configs_are_blanked_on_request_once_the_machine_is_ready() {
    let talos = Talos::new();
    talos.set_conditions(Stage::MachineStageMaintenance, &[]);
    let config = talos
        .folder
        .write("config.yaml", "guestinfo: {scrub: true}\n");
    let agent = exposed(talos.agent()).args(["--log-level=trace", "--config"]);
    let run = Run::start(agent.args([config]));
    sees(&run, "stage", "maintenance");
    talos.set_conditions(Stage::MachineStageRunning, &["nodeReady"]);
    warned(&run);
    let intact = run.host(|host, _| host.variable("userdata"));
    assert_eq!(intact.as_deref(), Some(SECRET), "not ready yet");

    let ready = Instant::now();
    talos.set_conditions(Stage::MachineStageRunning, &[]);
    let blank = run.until("blank variables", SOON, |host, now| {
        let blank = |key: &&str| host.variable(key).as_deref() == Some(" ");
        KEYS.iter().all(blank).then_some(now)
    });
    assert!(blank - ready < Duration::from_secs(2));
    for key in KEYS {
        run.logs(&["blanked: ", key], SOON);
    }
    let log = run.log().join("\n");
    assert!(!log.contains(&SECRET[..8]), "{log}");
}

#[test]
fn an_invalid_uuid_is_said_by_check_and_once_by_the_log() {
    let talos = Talos::new();
    talos.set_system_uuid("00000000-0000-0000-0000-000000000000");
    let run = talos.run();
    run.logs(&["no valid SMBIOS UUID", "uuid.bios"], SOON);
    run.asked("reset");
    talos.set_system_uuid("ffffffff-ffff-ffff-ffff-ffffffffffff");
    talos.set_node_name("later");
    sees(&run, "nodeName", "later");
    assert_eq!(run.log_lines(&["no valid SMBIOS UUID"]).len(), 1);

    let check = Vmx::builder(binary())
        .args(["check", "--use-machined", "--machined-socket"])
        .args([talos.socket_path()])
        .spawn()
        .unwrap();
    assert!(!check.wait_exit(SOON).unwrap().success());
    let told = check.output(Stream::Stdout).join("\n");
    assert_eq!(told.matches("FAIL").count(), 1, "{told}");
    assert!(
        told.contains("identity") && told.contains("UUIDOverride"),
        "{told}"
    );
}

const KEYS: [&str; 3] = ["talos.config", "userdata", "ovfenv"];

const EXPOSED: &str = "readable by every process in the guest";

fn exposed(agent: VmxBuilder) -> VmxBuilder {
    agent
        .variable("talos.config", SECRET)
        .variable("userdata", SECRET)
        .variable("ovfenv", OVF_ENVIRONMENT)
}

/// Waits until all three have been warned of.
fn warned(run: &Run) {
    for key in KEYS {
        run.logs(&[EXPOSED, key], SOON);
    }
}

/// Waits until the host has this value.
fn sees(run: &Run, key: &str, value: &str) {
    let name = format!("vmtools.talos.{key}");
    run.until(&format!("{name} = {value:?}"), SOON, |host, _| {
        (host.variable(&name).as_deref() == Some(value)).then_some(())
    });
}
