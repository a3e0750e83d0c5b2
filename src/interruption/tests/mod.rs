//! Scenarios on virtual time: what goes in, and the lines that come out.

mod drain;
mod hold;
mod press;
mod stop;

use std::time::Duration;

use super::{Call, CallId, Interruption, Output};
use crate::config::{
    DrainDeadline, EtcdConfig, Forfeit, PowerConfig, QuorumGuard, RebootMode, ShutdownConfig,
};
use crate::facts::{Etcd, EtcdLook, Facts, MachineType, Stage};
use crate::power::PowerOperation::{Reboot, Shutdown};
use crate::power::{HandOver, Heard, PowerOperation, PowerOutcome, Press, Wish};

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The defaults of the table, for a control plane that is held.
fn config(guard: QuorumGuard) -> PowerConfig {
    PowerConfig {
        deadline: s(30),
        shutdown: ShutdownConfig {
            drain_deadline: DrainDeadline::After(s(60)),
            budget: s(100),
            escalate_after: s(30),
        },
        etcd: EtcdConfig {
            guard,
            hold: s(30),
            forfeit: Forfeit::default(),
        },
        ..PowerConfig::default()
    }
}

fn members(voters: usize, live: usize) -> EtcdLook {
    EtcdLook {
        part: None,
        members: Some(Etcd { voters, live }),
    }
}

/// A node on which nothing happens but what a test says.
struct Bench {
    interruption: Interruption,
    /// The time since boot; the button is pressed at 0.
    now: Duration,
    patience: Duration,
    facts: Facts,
    config: PowerConfig,
}

impl Bench {
    fn new(config: &PowerConfig, machine_type: MachineType) -> Self {
        let mut facts = Facts {
            stage: Some(Stage::Running),
            ..Facts::default()
        };
        facts.node.machine_type = Some(machine_type);
        let mut interruption = Interruption::default();
        interruption.set_config(config);
        interruption.handle_facts(&facts, Duration::ZERO);
        Self {
            interruption,
            now: Duration::ZERO,
            patience: Duration::MAX,
            facts,
            config: *config,
        }
    }

    fn worker() -> Self {
        Self::new(&config(QuorumGuard::Hold), MachineType::Worker)
    }

    fn control_plane(guard: QuorumGuard) -> Self {
        Self::new(&config(guard), MachineType::ControlPlane)
    }

    fn with(change: impl FnOnce(&mut PowerConfig)) -> Self {
        let mut config = config(QuorumGuard::Hold);
        change(&mut config);
        Self::new(&config, MachineType::ControlPlane)
    }

    fn press(&mut self, operation: PowerOperation) -> Vec<String> {
        self.press_with(operation, Wish::Usual)
    }

    fn press_with(&mut self, operation: PowerOperation, wish: Wish) -> Vec<String> {
        let press = Press {
            operation,
            wish,
            at: self.now,
            is_again: false,
        };
        self.interruption
            .handle_press(press, self.patience, self.now);
        self.take()
    }

    fn etcd(&mut self, look: EtcdLook) -> Vec<String> {
        self.interruption.handle_etcd(look, self.now);
        self.take()
    }

    fn heard(&mut self, call: u64, heard: Heard) -> Vec<String> {
        self.interruption
            .handle_heard(CallId(call), &heard, self.now);
        self.take()
    }

    fn accepted(&mut self, call: u64) -> Vec<String> {
        self.heard(call, Heard::Outcome(PowerOutcome::Accepted))
    }

    fn rejected(&mut self, call: u64) -> Vec<String> {
        self.heard(call, Heard::Outcome(PowerOutcome::Rejected("why".into())))
    }

    fn did_not_happen(&mut self, call: u64) -> Vec<String> {
        let outcome = PowerOutcome::DidNotHappen("canceled".into());
        self.heard(call, Heard::Outcome(outcome))
    }

    fn not_followed(&mut self, call: u64) -> Vec<String> {
        self.heard(call, Heard::Outcome(PowerOutcome::NotFollowed))
    }

    fn stage(&mut self, stage: Stage) -> Vec<String> {
        self.facts.stage = Some(stage);
        self.interruption.handle_facts(&self.facts, self.now);
        self.take()
    }

    /// Time passes until then; every deadline on the way is met.
    fn until(&mut self, then: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(due) = self.interruption.deadline().filter(|due| *due <= then) {
            assert!(due >= self.now, "a deadline in the past");
            self.now = due;
            self.interruption.handle_timeout(due);
            let news = self.take();
            let still_due = self.interruption.deadline() == Some(due);
            assert!(!news.is_empty() || !still_due, "a deadline that stays");
            lines.extend(news.iter().map(|line| format!("{} {line}", due.as_secs())));
        }
        self.now = then;
        lines
    }

    fn take(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.interruption.poll())
            .map(|output| words(&output))
            .collect()
    }
}

fn words(output: &Output) -> String {
    match output {
        Output::LookAtEtcd => "look".into(),
        Output::HandOver => "hand over".into(),
        Output::Call(Call {
            id: CallId(number),
            operation,
            is_forced,
            takes_over,
            ..
        }) => {
            let forced = if *is_forced { " forced" } else { "" };
            let over = if *takes_over { " over the first" } else { "" };
            format!("call {number} {operation:?}{forced}{over}")
        }
        Output::Drop(CallId(number)) => format!("drop {number}"),
        Output::Outcome(_, outcome) => match outcome {
            PowerOutcome::Accepted => "accepted".into(),
            PowerOutcome::Rejected(why) => format!("rejected: {why}"),
            PowerOutcome::DidNotHappen(why) => format!("did not happen: {why}"),
            PowerOutcome::NotFollowed => "not followed".into(),
        },
        Output::Phase(phase) => format!("= {phase}"),
    }
}

/// An operation that Talos drains from the start on, by call 1.
fn draining() -> Bench {
    let mut bench = Bench::worker();
    assert_eq!(bench.press(Shutdown), ["call 1 Shutdown"]);
    assert_eq!(bench.accepted(1), ["accepted", "= draining"]);
    bench.stage(Stage::ShuttingDown);
    assert_eq!(bench.heard(1, Heard::Draining), [""; 0]);
    bench
}
