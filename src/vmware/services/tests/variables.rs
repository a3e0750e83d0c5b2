//! What only Talos knows, on the host.

use super::host::{Host, machine_at, ms, node};
use crate::facts::Stage;
use crate::log::logged::Logged;
use crate::power::Phase;
use crate::vmware::services::topic::Topic;

const PREFIX: &str = "> info-set guestinfo.vmtools.talos.";

/// Those that say what Talos says.
fn variables(heard: Vec<String>) -> Vec<String> {
    let mut lines = all(heard);
    lines.retain(|line| !line.starts_with("quiesce ") && !line.starts_with("power "));
    lines
}

fn all(heard: Vec<String>) -> Vec<String> {
    let lines = heard.iter().filter_map(|line| line.strip_prefix(PREFIX));
    lines.map(|line| line.replace(r"\x00", "")).collect()
}

const ALL: &[&str] = &[
    "version v1.13.0",
    "stage running",
    "ready true",
    "unmetConditions none",
    "machineType controlplane",
    "nodeName cp1",
    "cordoned false",
    "etcd leader",
    "etcdMembers 3/3",
    "virtualIPs none",
    "schematic 376567988ad3",
    "extensions iscsi-tools,talos-vmtoolsd-guest-agent",
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
fn what_only_the_agent_knows_is_told_last() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    let told = all(host.ask(b"reset"));
    assert_eq!(told[told.len() - 2..], ["quiesce off", "power idle"]);
}

#[test]
fn how_far_a_power_operation_has_come_is_told_at_once_also_while_file_systems_are_frozen() {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.take();
    let refused = Phase::Refused("only 2 of 3\nmembers".into());
    for (phase, value) in [
        (Phase::Holding, "power holding"),
        (Phase::Draining, "power draining"),
        (Phase::Hurrying, "power hurrying"),
        (Phase::Stopping, "power stopping"),
        (refused, "power refused: only 2 of 3members"),
        (Phase::Idle, "power idle"),
    ] {
        for _ in 0..2 {
            host.services.handle_phase(&phase, host.now);
        }
        host.pass(ms(0));
        host.wake();
        assert_eq!(all(host.take()), [value]);
    }
    assert!(!Topic::Power.rests_while_frozen());
}

#[test]
fn a_change_is_told_within_100_ms_and_alone() {
    let mut host = Host::with_node(&machine_at(Stage::Booting, false));
    host.facts(&machine_at(Stage::Running, false));
    host.pass(ms(100));
    assert_eq!(variables(host.take()), ["stage running"]);
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(100));
    assert_eq!(
        variables(host.take()),
        ["ready true", "unmetConditions none"]
    );
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
    assert_eq!(
        variables(host.take()),
        ["version v1.13.0", "virtualIPs none"]
    );
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(100));
    let rest = variables(host.take());
    assert_eq!(rest.len(), ALL.len() - 2, "{rest:?}");
    assert!(rest.iter().all(|line| ALL[1..].contains(&line.as_str())));
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    assert!(variables(host.take()).is_empty());
}

#[test]
fn virtual_ips_are_those_that_this_node_holds_once_that_is_known() {
    let mut facts = machine_at(Stage::Running, true);
    facts.virtual_ips = None;
    let mut host = Host::new();
    host.connect();
    host.facts(&facts);
    host.pass(ms(100));
    let told = variables(host.take());
    assert!(!told.iter().any(|line| line.starts_with("virtualIPs")));
    for (held, value) in [
        (&[][..], "virtualIPs none"),
        (
            &["fd00::100", "10.0.0.100"],
            "virtualIPs 10.0.0.100,fd00::100",
        ),
        (&["10.0.0.100"], "virtualIPs 10.0.0.100"),
        (&[], "virtualIPs none"),
    ] {
        facts.virtual_ips = Some(held.iter().map(|ip| ip.parse().unwrap()).collect());
        host.facts(&facts);
        host.pass(ms(100));
        assert_eq!(variables(host.take()), [value]);
    }
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
    let heard = variables(host.take());
    assert!(heard.len() <= ALL.len() * 21, "{}", heard.len());
}

#[test]
fn no_variable_is_ever_empty() {
    let mut facts = machine_at(Stage::Running, true);
    facts.node.extensions = Some(Vec::new());
    facts.node.node_name = Some("\0".into());
    facts.talos.as_mut().unwrap().tag = String::new();
    let mut host = Host::new();
    host.connect();
    host.facts(&facts);
    host.pass(ms(100));
    let heard = variables(host.take());
    for line in ["unmetConditions none", "schematic none", "extensions none"] {
        assert!(heard.contains(&line.to_owned()), "{heard:?}");
    }
    for key in ["version", "nodeName"] {
        assert!(!heard.iter().any(|line| line.starts_with(key)), "{heard:?}");
    }
}

#[test]
fn a_host_that_permits_no_variables_is_spoken_of_in_one_line_with_the_remedy() {
    let logged = Logged::new();
    let mut host = Host::new();
    host.refuses = vec!["info-set "];
    host.connect();
    host.request(b"Set_Option broadcastIP 1");
    host.facts(&machine_at(Stage::Booting, false));
    host.pass(ms(60_000));
    // What becomes known later is refused as well.
    host.facts(&machine_at(Stage::Running, true));
    host.request(b"reset");
    host.pass(ms(600_000));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for word in [
        "guest_rpc.rpci.auth.cmd.info-set",
        "isolation.tools.setInfo.disable",
        "talos-vmtoolsd check",
    ] {
        assert!(warnings[0].contains(word), "{warnings:?}");
    }
    host.refuses.clear();
    host.pass(ms(60_000));
    host.refuses = vec!["info-set "];
    host.request(b"OS_Resume");
    assert_eq!(logged.warnings().len(), 1, "news again");
}

#[test]
fn without_variables_nothing_of_ours_is_written_but_what_the_host_asks_for() {
    let mut host = Host::new();
    host.services.set_variables(false, host.now);
    host.connect();
    host.facts(&machine_at(Stage::Running, true));
    host.request(b"Set_Option broadcastIP 1");
    host.pass(ms(60_000));
    host.request(b"OS_Resume");
    let written = |heard: Vec<String>| -> Vec<String> {
        let is_written = |line: &String| line.starts_with("> info-set ");
        heard.into_iter().filter(is_written).collect()
    };
    let address = r"> info-set guestinfo.ip 10.0.0.5\x00";
    assert_eq!(written(host.take()), [address, address]);

    host.variables_wanted(true);
    let heard = written(host.take());
    assert_eq!(heard.len(), 4 + ALL.len() + 2, "{heard:?}");
    assert!(heard[0].contains("guestinfo.vmtools.description "));
    host.variables_wanted(false);
    host.facts(&machine_at(Stage::Rebooting, false));
    host.pass(ms(60_000));
    assert!(written(host.take()).is_empty());
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
