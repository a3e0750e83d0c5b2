//! vSphere HA's marks among all else that the services do.

use std::time::Duration;

use super::host::{Host, machine_at, ms};
use crate::config::{HaConfig, HaMonitor, QuiesceConfig, QuiesceMode};
use crate::facts::{Life, MachineType, Stage, TalosVersion};
use crate::freeze::Report;
use crate::front_end::Debt;
use crate::power::{Phase, PowerOperation, PowerOutcome};
use crate::vmware::services::plays;

const ENABLE: &str = "> GuestAppMonitor.Cmd.Enable";
const MARK: &str = "> GuestAppMonitor.Cmd.MarkActive";
const DISABLE: &str = "> GuestAppMonitor.Cmd.Disable";

/// A host that counts.
fn counting() -> Host {
    let mut facts = plays::node(machine_at(Stage::Running, true));
    // Nothing has to be known of etcd before it is frozen.
    facts.node.machine_type = Some(MachineType::Worker);
    facts.talos = Some(TalosVersion::default());
    let mut host = Host::with_node(&plays::node(facts));
    host.ha(HaConfig {
        monitor: HaMonitor::Node,
        unready_for: Duration::from_secs(600),
        silent_for: Duration::from_secs(300),
        settle: Duration::ZERO,
    });
    host.life(&Life::Answers);
    let heard = host.take();
    assert!(heard.iter().any(|line| line == ENABLE), "{heard:?}");
    assert!(heard.iter().any(|line| line == MARK), "{heard:?}");
    host
}

fn count(heard: &[String], what: &str) -> usize {
    heard.iter().filter(|line| *line == what).count()
}

#[test]
fn marks_go_on_while_file_systems_are_frozen() {
    let mut host = counting();
    host.quiesce(&QuiesceConfig {
        mode: QuiesceMode::Freeze,
        max_freeze: Duration::from_secs(60),
        ..QuiesceConfig::default()
    });
    host.freezer_reports(&Report::Ready(None));
    host.request(b"vmbackup.start 1");
    assert!(host.freezer.is_frozen());
    host.take();
    host.pass(ms(25_000));
    assert!(host.freezer.is_frozen());
    assert_eq!(count(&host.take(), MARK), 3);
}

#[test]
fn a_session_that_is_held_back_begins_with_a_mark() {
    let mut host = counting();
    host.lose();
    host.services.require_proof(Some(ms(60_000)));
    host.open();
    assert_eq!(count(&host.take(), MARK), 1);
    host.pass(ms(25_000));
    assert_eq!(count(&host.take(), MARK), 3);
}

#[test]
fn a_power_operation_comes_after_disable_and_its_refusal_before_enable() {
    let mut host = counting();
    let heard = host.ask(b"OS_Halt");
    let at = |what: &str| heard.iter().position(|line| line == what).unwrap();
    assert!(at(DISABLE) < at("! Shutdown"), "{heard:?}");
    host.power(
        PowerOperation::Shutdown,
        PowerOutcome::Rejected("busy".into()),
    );
    host.pass(ms(8_000));
    assert_eq!(count(&host.take(), ENABLE), 1);
}

/// A Shutdown was refused, and the host counts again.
fn counting_after_a_refusal() -> Host {
    let mut host = counting();
    host.ask(b"OS_Halt");
    let why = || "busy".to_owned();
    host.power(PowerOperation::Shutdown, PowerOutcome::Rejected(why()));
    host.services.handle_phase(&Phase::Refused(why()), host.now);
    host.pass(ms(20_000));
    host.life(&Life::Answers);
    assert_eq!(count(&host.take(), ENABLE), 1);
    host
}

#[test]
fn an_operation_after_a_refused_one_has_no_enable_before_its_end() {
    let mut host = counting_after_a_refusal();
    let heard = host.ask(b"OS_Halt");
    assert_eq!(count(&heard, DISABLE), 1, "{heard:?}");
    // The refusal is forgotten while Talos is looked at and called.
    host.services.handle_phase(&Phase::Idle, host.now);
    host.pass(ms(10_000));
    host.power(PowerOperation::Shutdown, PowerOutcome::Accepted);
    host.pass(ms(10_000));
    host.services.handle_phase(&Phase::Stopping, host.now);
    host.pass(ms(10_000));
    let heard = host.take();
    assert_eq!(count(&heard, ENABLE) + count(&heard, MARK), 0, "{heard:?}");
}

#[test]
fn an_operation_that_gives_way_to_another_has_no_enable_after_it() {
    let mut host = counting();
    host.ask(b"OS_Reboot");
    host.power(PowerOperation::Reboot, PowerOutcome::Accepted);
    host.services.handle_phase(&Phase::Stopping, host.now);
    host.ask(b"OS_Halt");
    let canceled = PowerOutcome::DidNotHappen("canceled".into());
    host.power(PowerOperation::Reboot, canceled);
    host.services.handle_phase(&Phase::Idle, host.now);
    host.pass(ms(20_000));
    let heard = host.take();
    assert_eq!(count(&heard, ENABLE), 0, "{heard:?}");
    host.power(
        PowerOperation::Shutdown,
        PowerOutcome::Rejected("busy".into()),
    );
    host.pass(ms(8_000));
    assert_eq!(count(&host.take(), ENABLE), 1);
}

#[test]
fn an_operation_that_ends_while_the_host_is_away_leaves_the_next_session_its_marks() {
    let mut host = counting();
    host.ask(b"OS_Halt");
    host.power(PowerOperation::Shutdown, PowerOutcome::Accepted);
    host.services.handle_phase(&Phase::Stopping, host.now);
    host.lose();
    host.deaf = true;
    host.variables_wanted(false);
    host.variables_wanted(true);
    host.pass(ms(10_000));
    assert!(host.services.host_is_away());
    host.power(PowerOperation::Shutdown, PowerOutcome::NotFollowed);
    host.services.handle_phase(&Phase::Idle, host.now);
    host.deaf = false;
    host.take();
    host.connect();
    host.life(&Life::Answers);
    host.pass(ms(20_000));
    let heard = host.take();
    assert!(count(&heard, MARK) >= 2, "{heard:?}");
}

#[test]
fn the_end_of_the_process_waits_for_disable() {
    let mut host = counting();
    host.slow = true;
    host.hurry();
    assert_eq!(host.services.debt(), Debt::Message);
    host.answer();
    assert_eq!(host.services.debt(), Debt::None);
    assert_eq!(count(&host.take(), DISABLE), 1);
}
