//! Guest variables from outside: the binary between a simulated VMX and an embedded Talos API.
//!
//! The binary is the one of TALOS_VMTOOLSD where that is set, else cargo's.

#![cfg(test)]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use apid::{Apid, MachineType, Stage, scene};
use vmx::{Stream, Vmx, VmxBuilder};

/// For what is not timed.
const SOON: Duration = Duration::from_secs(20);

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
    let node = Node::new();
    node.talos
        .set_conditions(Stage::MachineStageBooting, &["network", "nodeReady"]);
    node.start(
        |agent| agent,
        |vmx| {
            sees(vmx, "version", "v1.13.0");
            sees(vmx, "stage", "booting");
            sees(vmx, "ready", "false");
            sees(vmx, "unmetConditions", "network,nodeReady");
            sees(vmx, "machineType", "controlplane");
            sees(vmx, "nodeName", "talos-cp-1");
            sees(vmx, "extensions", "vmtoolsd-guest-agent");
            sees(vmx, "secureBoot", "false");
            assert_eq!(variable(vmx, "schematic").unwrap().len(), 64);

            let started = Instant::now();
            node.talos.set_conditions(Stage::MachineStageRunning, &[]);
            sees(vmx, "stage", "running");
            sees(vmx, "ready", "true");
            sees(vmx, "unmetConditions", "");
            assert!(started.elapsed() < Duration::from_secs(1));
            node.talos.set_machine_type(MachineType::Worker);
            sees(vmx, "machineType", "worker");
            node.talos.set_extension(2, "iscsi-tools", "v0.1.6");
            sees(vmx, "extensions", "iscsi-tools,vmtoolsd-guest-agent");

            // All of it again when the host has forgotten, and nothing when nothing happens.
            vmx.host(|host, _| {
                for key in ["stage", "ready", "secureBoot"] {
                    host.set_variable(&format!("vmtools.talos.{key}"), "");
                }
            });
            vmx.request("reset", SOON).unwrap();
            sees(vmx, "ready", "true");
            sees(vmx, "stage", "running");
            sees(vmx, "secureBoot", "false");
            let calls = node.talos.call_count();
            node.talos
                .set_conditions(Stage::MachineStageRunning, &["services"]);
            sees(vmx, "unmetConditions", "services");
            assert_eq!(node.talos.call_count(), calls, "watched, not asked for");
        },
    );
}

#[test]
fn exposed_configs_are_warned_of_once_and_in_no_log_even_at_trace() {
    for low_bandwidth in [false, true] {
        let node = Node::new();
        node.start(
            |agent| {
                let agent = agent.args(["--log-level=trace"]);
                exposed(if low_bandwidth {
                    agent.args(["--low-bandwidth"])
                } else {
                    agent
                })
            },
            |vmx| {
                warned(vmx, 3);
                vmx.request("reset", SOON).unwrap();
                looked(vmx, 6);
                let log = vmx.output(Stream::Stderr).join("\n");
                assert_eq!(log.matches(EXPOSED).count(), 3, "{log}");
                for key in ["talos.config", "userdata", "ovfenv"] {
                    assert!(log.contains(&format!("guestinfo.{key}")), "{log}");
                }
                assert!(log.contains("guestinfo.scrub"), "the remedy: {log}");
                assert!(
                    !log.contains("U0VDUkVU") && !log.contains("SECRET"),
                    "{log}"
                );
                let kept = vmx.host(|host, _| host.variable("talos.config"));
                assert_eq!(kept.as_deref(), Some(SECRET), "nothing is blanked unasked");
            },
        );
    }
}

#[test]
fn exposed_configs_are_blanked_on_request_once_the_machine_is_ready() {
    let node = Node::new();
    node.talos
        .set_conditions(Stage::MachineStageMaintenance, &[]);
    let config = node.folder.join("config.yaml");
    std::fs::write(&config, "guestinfo: {scrub: true}\n").unwrap();
    node.start(
        |agent| {
            exposed(
                agent
                    .args(["--log-level=trace", "--config"])
                    .args([&config]),
            )
        },
        |vmx| {
            sees(vmx, "stage", "maintenance");
            node.talos
                .set_conditions(Stage::MachineStageRunning, &["nodeReady"]);
            warned(vmx, 3);
            let intact = vmx.host(|host, _| host.variable("userdata"));
            assert_eq!(intact.as_deref(), Some(SECRET), "not ready yet");

            let ready = Instant::now();
            node.talos.set_conditions(Stage::MachineStageRunning, &[]);
            let blank = vmx.wait_for("blanks", SOON, |host, now| {
                let keys = ["talos.config", "userdata", "ovfenv"];
                let blank = |key: &&str| host.variable(key).is_none_or(|value| value.is_empty());
                keys.iter().all(blank).then_some(now)
            });
            assert!(blank.unwrap() - ready < Duration::from_secs(2));
            vmx.wait_for("the good news", SOON, |host, _| {
                let log = host.output(Stream::Stderr).join("\n");
                (log.matches("blanked: ").count() == 3).then_some(())
            })
            .unwrap();
            let log = vmx.output(Stream::Stderr).join("\n");
            assert!(
                !log.contains("U0VDUkVU") && !log.contains("SECRET"),
                "{log}"
            );
        },
    );
}

#[test]
fn an_invalid_uuid_is_said_by_check_and_once_by_the_log() {
    let node = Node::new();
    node.talos
        .set_system_uuid("00000000-0000-0000-0000-000000000000");
    node.start(
        |agent| agent,
        |vmx| {
            sees(vmx, "ready", "true");
            vmx.request("reset", SOON).unwrap();
            node.talos
                .set_system_uuid("ffffffff-ffff-ffff-ffff-ffffffffffff");
            node.talos.set_node_name("later");
            sees(vmx, "nodeName", "later");
            let log = vmx.output(Stream::Stderr).join("\n");
            assert_eq!(log.matches("no valid SMBIOS UUID").count(), 1, "{log}");
            assert!(log.contains("uuid.bios"), "{log}");
        },
    );
    let check = Vmx::builder(binary())
        .args(["check", "--use-machined", "--machined-socket"])
        .args([node.folder.join("machine.sock")])
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

const EXPOSED: &str = "readable by every process in the guest";

fn exposed(agent: VmxBuilder) -> VmxBuilder {
    agent
        .variable("talos.config", SECRET)
        .variable("userdata", SECRET)
        .variable("ovfenv", OVF_ENVIRONMENT)
}

/// Waits until so many variables have been warned of.
fn warned(vmx: &Vmx, count: usize) {
    vmx.wait_for("warnings", SOON, |host, _| {
        let log = host.output(Stream::Stderr).join("\n");
        (log.matches(EXPOSED).count() >= count).then_some(())
    })
    .unwrap();
}

/// Waits until the host has been asked for so many variables.
fn looked(vmx: &Vmx, count: usize) {
    vmx.wait_for("looks", SOON, |host, _| {
        let looks = host.rpci_log().iter().filter(|entry| entry.is("info-get"));
        (looks.count() >= count).then_some(())
    })
    .unwrap();
}

fn variable(vmx: &Vmx, key: &str) -> Option<String> {
    vmx.host(|host, _| host.variable(&format!("vmtools.talos.{key}")))
}

/// Waits until the host has this value.
fn sees(vmx: &Vmx, key: &str, value: &str) {
    let name = format!("vmtools.talos.{key}");
    vmx.wait_for(&format!("{name} = {value:?}"), SOON, |host, _| {
        (host.variable(&name).as_deref() == Some(value)).then_some(())
    })
    .unwrap();
}

fn binary() -> PathBuf {
    std::env::var_os("TALOS_VMTOOLSD")
        .unwrap_or_else(|| OsString::from(env!("CARGO_BIN_EXE_talos-vmtoolsd")))
        .into()
}

/// A healthy control plane node, and the folder with its socket.
struct Node {
    talos: Apid,
    folder: PathBuf,
}

impl Node {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("talos-vmtoolsd-variables-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let talos = Apid::machined(folder.join("machine.sock")).unwrap();
        scene::single_nic(&talos);
        Self { talos, folder }
    }

    /// Runs the agent for as long as `story` takes; it must not have broken the protocol.
    fn start(&self, with: impl FnOnce(VmxBuilder) -> VmxBuilder, story: impl FnOnce(&Vmx)) {
        let agent = Vmx::builder(binary())
            .args(["vmtoolsd", "--use-machined", "--machined-socket"])
            .args([self.folder.join("machine.sock")]);
        let vmx = with(agent).spawn().unwrap();
        vmx.wait_green(SOON).unwrap();
        story(&vmx);
        assert_eq!(vmx.violations(), Vec::<String>::new());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
