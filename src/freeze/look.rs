//! A look from outside: whether a freeze would work, while the agent itself may be freezing.

use super::etcd::{self, Verdict};
use super::message::{Command, Report};
use super::readiness::Readiness;
use crate::config::{QuiesceConfig, QuiesceMode};
use crate::diagnosis::Outcome;
use crate::facts::{Etcd, Facts};

/// What to do where etcd stands in the way.
const ETCD_REMEDY: &str =
    "wait until all members of etcd are there, or set quiesce.etcd (--quiesce-etcd) to warn";

/// It freezes nothing, and thaws nothing either: that is the agent's business, which may be running.
#[derive(Debug)]
pub struct Look {
    config: QuiesceConfig,
    readiness: Readiness,
    needs_etcd: bool,
    etcd: Option<Verdict>,
}

impl Look {
    /// At the machine of these facts.
    pub fn new(config: &QuiesceConfig, facts: &Facts) -> Self {
        let mut readiness = Readiness::without_rescue();
        readiness.handle_facts(facts);
        Self {
            config: config.clone(),
            readiness,
            needs_etcd: config.mode == QuiesceMode::Freeze && facts.node.is_control_plane(),
            etcd: None,
        }
    }

    /// Whether [`Look::handle_etcd`] is wanted.
    pub const fn needs_etcd(&self) -> bool {
        self.needs_etcd
    }

    /// Takes what Talos says of etcd; `None` when it does not answer.
    pub fn handle_etcd(&mut self, etcd: Option<Etcd>) {
        self.etcd = Some(etcd::verdict(etcd, self.config.etcd));
    }

    /// Takes a report of the freezer.
    pub fn handle_report(&mut self, report: &Report) {
        self.readiness.handle_report(report);
    }

    /// What to ask of the freezer.
    pub fn poll(&mut self) -> Option<Command> {
        self.readiness.poll(&self.config)
    }

    /// Whether another report is to come; asked after [`Look::poll`].
    pub const fn awaits_report(&self) -> bool {
        self.readiness.awaits_report()
    }

    /// What was seen.
    pub fn check(&self) -> Outcome {
        match (self.readiness.check(&self.config), &self.etcd) {
            (Outcome::Works(_), Some(Verdict::Refuse(reason))) => {
                Outcome::fails(reason.clone(), ETCD_REMEDY)
            }
            (Outcome::Works(how), Some(Verdict::Warn(reason))) => {
                Outcome::Works(format!("{how}; {reason}"))
            }
            (outcome, _) => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EtcdGuard;
    use crate::facts::{MachineType, Mount, Stage, Storage, TalosVersion, Volume};
    use crate::freeze::message::{Outcome as Each, Outcomes};

    fn facts() -> Facts {
        let mut facts = Facts {
            stage: Some(Stage::Running),
            ..Facts::default()
        };
        facts.node.machine_type = Some(MachineType::ControlPlane);
        facts.storage.volumes = Some(vec![Volume {
            id: "EPHEMERAL".to_owned(),
            location: "/dev/sda6".to_owned(),
            file_system: "xfs",
            ..Volume::default()
        }]);
        let mount = Mount {
            volume: "EPHEMERAL".to_owned(),
            target: "/var".to_owned(),
            source: "/dev/sda6".to_owned(),
            read_only: false,
        };
        facts.storage.mounts = Some([mount].into());
        facts
    }

    fn config(mode: QuiesceMode) -> QuiesceConfig {
        QuiesceConfig {
            mode,
            ..QuiesceConfig::default()
        }
    }

    /// A look at a freezer that can open everything; all commands that it got.
    fn looked(config: &QuiesceConfig, facts: &Facts) -> (Look, Vec<Command>) {
        let mut look = Look::new(config, facts);
        let mut commands: Vec<Command> = look.poll().into_iter().collect();
        assert!(look.awaits_report());
        look.handle_report(&Report::Ready(None));
        while let Some(command) = look.poll() {
            commands.push(command);
            let Command::Probe(devices) = command else {
                break;
            };
            assert!(look.awaits_report());
            let outcomes = devices.iter().map(|_| Each::Done);
            look.handle_report(&Report::Probed(Outcomes::new(outcomes).unwrap()));
        }
        assert!(!look.awaits_report());
        (look, commands)
    }

    #[test]
    fn a_look_only_opens_file_systems_and_names_them() {
        for (mode, words) in [
            (
                QuiesceMode::Freeze,
                "can be frozen: EPHEMERAL at /var (sda6)",
            ),
            (
                QuiesceMode::Sync,
                "are not frozen: EPHEMERAL at /var (sda6)",
            ),
        ] {
            let (mut look, commands) = looked(&config(mode), &facts());
            assert!(
                matches!(commands.as_slice(), [Command::Probe(_)]),
                "{commands:?}"
            );
            look.handle_etcd(Some(Etcd { voters: 3, live: 3 }));
            let Outcome::Works(how) = look.check() else {
                panic!("{:?}", look.check());
            };
            assert!(how.contains(words), "{how}");
        }
    }

    #[test]
    fn etcd_counts_where_it_runs_and_something_would_be_frozen() {
        let mut freeze = config(QuiesceMode::Freeze);
        assert!(Look::new(&freeze, &facts()).needs_etcd());
        assert!(!Look::new(&config(QuiesceMode::Sync), &facts()).needs_etcd());
        let mut worker = facts();
        worker.node.machine_type = Some(MachineType::Worker);
        assert!(!Look::new(&freeze, &worker).needs_etcd());
        let one_is_missing = Some(Etcd { voters: 3, live: 2 });
        let (mut look, _) = looked(&freeze, &facts());
        look.handle_etcd(one_is_missing);
        let remedy = |outcome| match outcome {
            Outcome::Fails { problem, remedy } => {
                assert!(problem.contains("2 of 3"), "{problem}");
                remedy
            }
            other => panic!("{other:?}"),
        };
        assert!(remedy(look.check()).contains("quiesce.etcd"));
        freeze.etcd = EtcdGuard::Warn;
        let (mut look, _) = looked(&freeze, &facts());
        look.handle_etcd(one_is_missing);
        assert!(matches!(look.check(), Outcome::Works(how) if how.contains("2 of 3")));
    }

    #[test]
    fn what_is_in_the_way_is_named_with_its_remedy_and_nothing_is_waited_for() {
        let freeze = config(QuiesceMode::Freeze);
        let mut look = Look::new(&freeze, &facts());
        look.handle_report(&Report::Ready(Some(nix::libc::EPERM)));
        assert_eq!((look.poll(), look.awaits_report()), (None, false));
        assert!(matches!(
            look.check(),
            Outcome::Fails { problem, remedy }
                if problem.contains("CAP_SYS_ADMIN") && remedy.contains("system extension")
        ));
        let mut booting = facts();
        booting.stage = Some(Stage::Booting);
        let mut unlisted = facts();
        unlisted.storage = Storage::default();
        unlisted.talos = Some(TalosVersion::default());
        for facts in [booting, unlisted] {
            let mut look = Look::new(&freeze, &facts);
            look.handle_report(&Report::Ready(None));
            assert_eq!((look.poll(), look.awaits_report()), (None, false));
            assert!(matches!(look.check(), Outcome::NotChecked(_)));
        }
        let pod = QuiesceConfig {
            in_pod: true,
            ..freeze
        };
        assert!(matches!(
            Look::new(&pod, &facts()).check(),
            Outcome::Fails { remedy, .. } if remedy == QuiesceConfig::POD_REMEDY
        ));
    }
}
