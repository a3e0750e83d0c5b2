//! What only Talos knows, on the host.

use super::host::{Host, machine_at, ms, node};
use crate::facts::Stage;
use crate::log::logged::Logged;

const PREFIX: &str = "> info-set guestinfo.vmtools.talos.";

fn variables(told: Vec<String>) -> Vec<String> {
    let lines = told.iter().filter_map(|line| line.strip_prefix(PREFIX));
    lines.map(|line| line.replace(r"\x00", "")).collect()
}

const ALL: &[&str] = &[
    "version v1.13.0",
    "stage running",
    "ready true",
    "unmetConditions ",
    "machineType controlplane",
    "nodeName cp1",
    "schematic 376567988ad3",
    "extensions iscsi-tools,vmtoolsd-guest-agent",
    "secureBoot true",
];

#[test]
fn everything_is_told_and_again_after_reset_resume_and_reconnection() {
    let mut host = Host::new();
    host.connect();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ALL);
    assert_eq!(variables(host.ask(b"reset")), ALL);
    assert_eq!(variables(host.ask(b"OS_Resume")), ALL);
    host.lose();
    host.connect();
    assert_eq!(variables(host.take()), ALL);
    host.pass(ms(3_600_000));
    assert!(variables(host.take()).is_empty());
}

#[test]
fn a_change_is_told_within_100_ms_and_alone() {
    let mut host = Host::with_node(&machine_at(Stage::Booting, false));
    host.facts(&machine_at(Stage::Running, false));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["stage running"]);
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["ready true", "unmetConditions "]);
    host.facts(&machine_at(Stage::Rebooting, true));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["stage rebooting", "ready false"]);
    let mut unready = machine_at(Stage::Running, false);
    unready.node.readiness.as_mut().unwrap().unmet_conditions = vec!["services".into()];
    host.facts(&unready);
    host.pass(ms(100));
    assert_eq!(
        variables(host.take()),
        ["stage running", "unmetConditions services"]
    );
}

#[test]
fn what_is_not_known_is_not_told_and_takes_nothing_back() {
    let mut host = Host::new();
    host.connect();
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["version v1.13.0"]);
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ALL[1..]);
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    assert!(variables(host.take()).is_empty());
}

#[test]
fn values_are_cleaned() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    let mut odd = machine_at(Stage::Running, true);
    odd.node.node_name = Some("a\0b\r\nc\u{1b}[31m\u{85}d".into());
    host.facts(&odd);
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["nodeName abc[31md"]);
}

#[test]
fn a_host_that_takes_no_variables_is_told_of_once_in_the_log() {
    let logged = Logged::new();
    let mut host = Host::new();
    host.refuses = vec!["info-set guestinfo.vmtools.talos."];
    host.connect();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(600_000));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let told = variables(host.take());
    assert!(told.len() <= ALL.len() * 21, "{}", told.len());
}

#[test]
fn a_machine_without_a_uuid_of_its_own_is_told_of_once_in_the_log() {
    let logged = Logged::new();
    let mut host = Host::new();
    let mut facts = machine_at(Stage::Running, true);
    facts.node.system_uuid = Some("00000000-0000-0000-0000-000000000000".into());
    host.facts(&facts);
    host.connect();
    host.request(b"reset");
    facts.node.system_uuid = Some(String::new());
    host.facts(&facts);
    host.pass(ms(1000));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in ["UUID", "nodeID", "uuid.bios", "UUIDOverride"] {
        assert!(warnings[0].contains(word), "{word}: {warnings:?}");
    }
}
