//! guest-fsfreeze-*: what is answered is what the freezer has done, and nothing stays frozen.

use super::*;
use crate::config::{QuiesceConfig, QuiesceMode};
use crate::facts::{Mount, Stage, Storage, Volume};
use crate::freeze::Report;
use crate::freeze::message::Outcome;
use crate::freeze::model::FreezerModel;
use crate::front_end::Debt;
use crate::power::PowerOperation::Shutdown;
use crate::power::{Phase, PowerOutcome, Press};

const FREEZE: &str = r#"{"execute": "guest-fsfreeze-freeze"}"#;
const THAW: &str = r#"{"execute": "guest-fsfreeze-thaw"}"#;
const SHUTDOWN: &str = r#"{"execute": "guest-shutdown"}"#;
/// All that is carried out while file systems are frozen.
const ON_WHILE_FROZEN: [&str; 7] = [
    "guest-sync-delimited",
    "guest-sync",
    "guest-ping",
    "guest-info",
    "guest-shutdown",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
];

fn freeze_list(mount_points: &[&str]) -> String {
    let arguments = json!({"mountpoints": mount_points});
    json!({"execute": "guest-fsfreeze-freeze-list", "arguments": arguments}).to_string()
}

/// A node that runs, with two volumes.
pub(super) fn node_with_volumes() -> Facts {
    let volume = |id: &str, location: &str| Volume {
        id: id.to_owned(),
        location: location.to_owned(),
        mount_location: location.to_owned(),
        file_system: "xfs",
        ..Volume::default()
    };
    let mount = |id: &str, source: &str, target: &str| Mount {
        volume: id.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        ..Mount::default()
    };
    let storage = Storage {
        volumes: Some(vec![
            volume("EPHEMERAL", "/dev/sda6"),
            volume("u-data", "/dev/sdb1"),
        ]),
        mounts: Some(
            [
                mount("EPHEMERAL", "/dev/sda6", "/var"),
                mount("u-data", "/dev/sdb1", "/var/mnt/data"),
            ]
            .into(),
        ),
        ..Storage::default()
    };
    let stage = Some(Stage::Running);
    Facts {
        storage,
        stage,
        ..node()
    }
}

pub(super) fn config(mode: QuiesceMode) -> QuiesceConfig {
    QuiesceConfig {
        mode,
        max_freeze: seconds(8),
        ..QuiesceConfig::default()
    }
}

/// An agent with a freezer, which does at once what it is asked.
struct Quiesced {
    bench: Bench,
    freezer: FreezerModel,
}

impl Quiesced {
    fn new(mode: QuiesceMode) -> Self {
        Self::of(mode, &node_with_volumes())
    }

    fn of(mode: QuiesceMode, facts: &Facts) -> Self {
        let mut bench = Bench::of(&node());
        bench.agent.configure_quiesce(&config(mode));
        bench.facts(facts);
        let mut quiesced = Self {
            bench,
            freezer: FreezerModel::default(),
        };
        quiesced.run();
        quiesced
    }

    /// The freezer obeys and reports, until neither has anything more to say; orders for others.
    fn run(&mut self) -> Vec<Order<NoWork>> {
        let mut others = Vec::new();
        loop {
            let mut is_done = true;
            for order in self.bench.orders() {
                is_done = false;
                match order {
                    Order::Freezer(command) => {
                        self.freezer.handle(&command, self.bench.now);
                        self.freezer.finish(self.bench.now);
                    }
                    other => others.push(other),
                }
            }
            while let Some(report) = self.freezer.poll_report() {
                is_done = false;
                self.bench.agent.handle_freezer(&report, self.bench.now);
            }
            if is_done {
                return others;
            }
        }
    }

    /// The one reply to a request.
    fn ask(&mut self, request: &str) -> Value {
        self.bench.send(request);
        self.run();
        let replies = self.bench.replies();
        let [reply] = &replies[..] else {
            panic!("{request}: {replies:?}");
        };
        reply.clone()
    }

    fn status(&mut self) -> Value {
        self.ask(r#"{"execute": "guest-fsfreeze-status"}"#)["return"].clone()
    }

    /// Time passes, for both.
    fn pass(&mut self, time: Duration) {
        self.bench.now += time;
        self.freezer.handle_timeout(self.bench.now);
        self.run();
        self.bench.agent.handle_timeout(self.bench.now);
        self.run();
    }
}

fn count(count: usize) -> Value {
    json!({"return": count})
}

#[test]
fn a_freeze_is_answered_with_the_number_of_file_systems_and_so_is_the_thaw() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    assert_eq!(quiesced.status(), "thawed");
    assert_eq!(quiesced.ask(FREEZE), count(2));
    assert!(quiesced.freezer.is_frozen());
    assert_eq!(quiesced.status(), "frozen");
    assert_eq!(quiesced.ask(THAW), count(2));
    assert!(!quiesced.freezer.is_frozen());
    assert_eq!(quiesced.status(), "thawed");
    assert_eq!(quiesced.ask(THAW), count(0), "thawed already");
}

#[test]
fn mount_points_narrow_what_is_frozen_and_unknown_ones_are_no_file_system() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    for none in [freeze_list(&["/nowhere"]), freeze_list(&[])] {
        assert_eq!(quiesced.ask(&none), count(0));
        assert_eq!(quiesced.status(), "thawed");
        assert_eq!(quiesced.ask(THAW), count(0));
    }
    assert_eq!(quiesced.ask(&freeze_list(&["/nowhere", "/var"])), count(1));
    assert_eq!(quiesced.status(), "frozen");
    assert_eq!(quiesced.ask(THAW), count(1));
    let all = r#"{"execute": "guest-fsfreeze-freeze-list"}"#;
    assert_eq!(quiesced.ask(all), count(2));
}

#[test]
fn with_the_mode_off_or_sync_nothing_is_frozen_and_that_is_a_success() {
    for mode in [QuiesceMode::Off, QuiesceMode::Sync] {
        let mut quiesced = Quiesced::new(mode);
        for request in [FREEZE, &freeze_list(&["/var"]), THAW] {
            assert_eq!(quiesced.ask(request), count(0), "{mode:?}");
            assert_eq!(quiesced.status(), "thawed");
            assert!(!quiesced.freezer.is_frozen());
        }
    }
}

#[test]
fn a_freeze_is_answered_once_all_stands_still_and_not_before() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.bench.send(FREEZE);
    quiesced.bench.send(r#"{"execute": "guest-ping"}"#);
    let orders = quiesced.bench.orders();
    let [Order::Freezer(command)] = &orders[..] else {
        panic!("{orders:?}");
    };
    quiesced.freezer.handle(command, quiesced.bench.now);
    quiesced.pass(seconds(3));
    assert!(quiesced.bench.replies().is_empty());
    quiesced.freezer.finish(quiesced.bench.now);
    quiesced.run();
    assert_eq!(quiesced.bench.replies(), [count(2), json!({"return": {}})]);
}

#[test]
fn a_freeze_that_fails_or_is_refused_is_an_error_with_its_reason() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.freezer.outcome = Outcome::Failed(nix::errno::Errno::EIO as i32);
    let reply = quiesced.ask(FREEZE);
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    assert!(reply.to_string().contains("/var"), "{reply}");
    assert_eq!(quiesced.status(), "thawed");
    assert_eq!(quiesced.ask(THAW), count(0));

    let stage = Some(Stage::ShuttingDown);
    let facts = Facts {
        stage,
        ..node_with_volumes()
    };
    let mut quiesced = Quiesced::of(QuiesceMode::Freeze, &facts);
    let reply = quiesced.ask(FREEZE);
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    assert!(reply.to_string().contains("stage"), "{reply}");
    assert_eq!(quiesced.ask(THAW), count(0));
}

#[test]
fn while_frozen_only_seven_commands_are_on_and_guest_info_says_so() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    let info = quiesced.ask(r#"{"execute": "guest-info"}"#);
    let commands = info["return"]["supported_commands"].as_array().unwrap();
    assert!(commands.len() > 40);
    for command in commands {
        let name = command["name"].as_str().unwrap();
        let is_on = ON_WHILE_FROZEN.contains(&name);
        assert_eq!(command["enabled"], is_on, "{name}");
        if !is_on {
            let why = format!("Command {name} has been disabled: the command is not allowed");
            let request = json!({"execute": name}).to_string();
            assert_eq!(quiesced.ask(&request), error("CommandNotFound", &why));
        }
    }
    assert_eq!(quiesced.status(), "frozen");
    quiesced.ask(THAW);
    let reply = quiesced.ask(r#"{"execute": "guest-get-host-name"}"#);
    assert!(reply["return"].is_object(), "{reply}");
}

#[test]
fn a_thaw_after_the_limit_is_an_error_that_says_so_once() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.pass(seconds(9));
    assert!(!quiesced.freezer.is_frozen());
    assert_eq!(quiesced.status(), "thawed");
    let reply = quiesced.ask(THAW);
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    // By these words KubeVirt knows that a snapshot took longer than the freeze.
    let text = reply["error"]["desc"].as_str().unwrap();
    assert!(text.contains("fsfreeze is limited"), "{text}");
    assert!(text.contains("quiesce.max_freeze"), "{text}");
    assert_eq!(quiesced.ask(THAW), count(0));
    // The next backup has nothing to do with it.
    quiesced.ask(FREEZE);
    quiesced.pass(seconds(9));
    assert_eq!(quiesced.ask(FREEZE), count(2));
    assert_eq!(quiesced.ask(THAW), count(2));
}

#[test]
fn a_freeze_outlives_its_client_and_another_ends_it() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.bench.agent.handle_left(quiesced.bench.now);
    quiesced.run();
    assert!(quiesced.freezer.is_frozen());
    assert_eq!(quiesced.status(), "frozen");
    assert_eq!(quiesced.ask(THAW), count(2));
}

#[test]
fn a_freeze_goes_on_although_its_client_left_before_the_answer_and_the_limit_ends_it() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.bench.send(FREEZE);
    quiesced.bench.agent.handle_left(quiesced.bench.now);
    quiesced.run();
    assert!(
        quiesced.bench.replies().is_empty(),
        "no client waits for the answer"
    );
    assert_eq!(quiesced.status(), "frozen");
    quiesced.pass(seconds(9));
    assert_eq!(quiesced.status(), "thawed");
    assert!(quiesced.ask(THAW)["error"].is_object());
}

#[test]
fn a_thaw_is_meant_although_its_client_left_before_its_turn() {
    for is_frozen in [true, false] {
        let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
        quiesced.bench.send(FREEZE);
        if is_frozen {
            quiesced.run();
            quiesced.bench.send(THAW);
        } else {
            // It waits behind the freeze.
            quiesced.bench.send(THAW);
        }
        quiesced.bench.agent.handle_left(quiesced.bench.now);
        quiesced.run();
        assert!(quiesced.bench.replies().is_empty());
        assert!(!quiesced.freezer.is_frozen(), "{is_frozen}");
        assert_eq!(quiesced.status(), "thawed");
        assert_eq!(quiesced.ask(THAW), count(0), "{is_frozen}");
    }
}

#[test]
fn a_shutdown_thaws_before_talos_is_asked_and_the_thaw_that_follows_says_why() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.bench.send(SHUTDOWN);
    let orders = quiesced.bench.orders();
    assert!(
        matches!(
            orders[..],
            [
                Order::Freezer(_),
                Order::Power(Press {
                    operation: Shutdown,
                    ..
                })
            ]
        ),
        "{orders:?}"
    );
    let [Order::Freezer(command), _] = &orders[..] else {
        panic!("{orders:?}");
    };
    quiesced.freezer.handle(command, quiesced.bench.now);
    quiesced.run();
    assert!(!quiesced.freezer.is_frozen());
    let outcome = PowerOutcome::Accepted;
    let now = quiesced.bench.now;
    quiesced.bench.agent.handle_power(Shutdown, outcome, now);
    assert_eq!(quiesced.bench.replies(), [json!({"return": {}})]);
    let reply = quiesced.ask(THAW);
    assert!(reply.to_string().contains("shuts down"), "{reply}");
}

#[test]
fn nothing_is_frozen_while_talos_is_asked_to_shut_down() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.bench.send(SHUTDOWN);
    quiesced.bench.agent.handle_left(quiesced.bench.now);
    let reply = quiesced.ask(FREEZE);
    assert_eq!(reply, generic("a power operation is under way"));
    assert_eq!(quiesced.status(), "thawed");
    // It was answered, and is held.
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.bench.agent.handle_phase(&Phase::Holding);
    let reply = quiesced.ask(FREEZE);
    assert_eq!(reply, generic("a power operation is under way"));
    quiesced.bench.agent.handle_phase(&Phase::Idle);
    assert_eq!(quiesced.status(), "thawed");
}

#[test]
fn an_unplugged_port_ends_a_freeze() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.bench.agent.handle_unplugged(quiesced.bench.now);
    quiesced.run();
    assert!(!quiesced.freezer.is_frozen());
    let reply = quiesced.ask(THAW);
    assert!(reply.to_string().contains("unplugged"), "{reply}");
    assert_eq!(quiesced.ask(THAW), count(0));
}

#[test]
fn the_end_of_the_process_thaws_and_waits_for_it() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.bench.agent.stop(quiesced.bench.now);
    assert_eq!(quiesced.bench.agent.debt(), Debt::Message);
    quiesced.run();
    assert!(!quiesced.freezer.is_frozen());
    assert_eq!(quiesced.bench.agent.debt(), Debt::None);
}

#[test]
fn a_freeze_that_the_end_of_the_process_cuts_off_is_answered() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.bench.send(FREEZE);
    let orders = quiesced.bench.orders();
    let [Order::Freezer(command)] = &orders[..] else {
        panic!("{orders:?}");
    };
    quiesced.freezer.handle(command, quiesced.bench.now);
    quiesced.bench.agent.stop(quiesced.bench.now);
    assert_eq!(quiesced.bench.agent.debt(), Debt::Message);
    quiesced.run();
    let replies = quiesced.bench.replies();
    assert!(replies[0]["error"].is_object(), "{replies:?}");
    assert_eq!(quiesced.bench.agent.debt(), Debt::None);
}

#[test]
fn a_thaw_is_answered_although_the_freezer_does_not_report() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    quiesced.bench.send(THAW);
    assert_eq!(quiesced.bench.orders().len(), 1, "the freezer hangs");
    for text in ["still be frozen", "not thawed yet"] {
        let replies = quiesced.bench.pass(seconds(11));
        assert!(replies[0].to_string().contains(text), "{replies:?}");
        quiesced.bench.send(THAW);
    }
}

#[test]
fn the_death_of_the_freezer_is_an_error_of_the_next_thaw() {
    let mut quiesced = Quiesced::new(QuiesceMode::Freeze);
    quiesced.ask(FREEZE);
    let now = quiesced.bench.now;
    quiesced.bench.agent.handle_freezer(&Report::Gone, now);
    let reply = quiesced.ask(THAW);
    assert_eq!(reply["error"]["class"], "GenericError", "{reply}");
    assert!(quiesced.ask(FREEZE)["error"].is_object());
}
