//! Whether a freeze would work: the freezer is there, what a predecessor left frozen is thawed, and each volume can be
//! opened.

use nix::errno::Errno;

use super::message::{Command, Devices, MOST_DEVICES, Outcome as Each, Outcomes, Report};
use super::run::phrase;
use super::shown::places;
use super::volumes::{Unlisted, Volume, all, devices, without};
use crate::config::{QuiesceConfig, QuiesceMode};
use crate::diagnosis::Outcome;
use crate::facts::{Facts, Stage};

/// What to do where the freezer cannot freeze.
const REMEDY: &str = "run the agent as the system extension, or in a container with CAP_SYS_ADMIN and CAP_MKNOD, or set \
     quiesce.mode to off";

/// What is known of the freezer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Freezer {
    /// It has not reported.
    #[default]
    Starting,
    /// It can freeze.
    Ready,
    /// It may freeze nothing.
    Denied(i32),
    /// It has ended, or was never started.
    Gone,
}

/// How far the rescue is, which there is once.
#[derive(Debug, Default)]
enum Rescue {
    /// Not begun.
    #[default]
    Due,
    /// The first are asked about, the others come after them.
    Asked(Vec<Volume>, Vec<Volume>),
    /// Nothing is frozen any more.
    Done,
}

/// How far the look at the volumes is.
#[derive(Debug, Default)]
enum Probe {
    /// Not begun.
    #[default]
    Due,
    /// These are asked about.
    Asked(Vec<Volume>),
    /// What is wrong with some of these, if anything is.
    Done(Vec<Volume>, Option<String>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Readiness {
    freezer: Freezer,
    rescue: Rescue,
    probe: Probe,
    /// All volumes that can be frozen.
    volumes: Result<Vec<Volume>, Unlisted>,
    /// Whether the machine is at its stage `running`.
    is_running: bool,
}

impl Readiness {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            freezer: Freezer::default(),
            rescue: Rescue::default(),
            probe: Probe::default(),
            volumes: Err(Unlisted::NotYet),
            is_running: false,
        }
    }

    /// The same, and nothing is thawed either.
    pub(super) fn without_rescue() -> Self {
        Self {
            rescue: Rescue::Done,
            ..Self::new()
        }
    }

    /// Whether a report is to come, after all was asked that [`Readiness::poll`] gives.
    pub(super) const fn awaits_report(&self) -> bool {
        matches!(self.freezer, Freezer::Starting) || matches!(self.probe, Probe::Asked(_))
    }

    /// Takes the facts, which have changed.
    pub(super) fn handle_facts(&mut self, facts: &Facts) {
        self.volumes = all(facts);
        self.is_running = facts.stage == Some(Stage::Running);
    }

    /// Takes a report that is of no run.
    pub(super) fn handle_report(&mut self, report: &Report) {
        match report {
            Report::Ready(None) => self.freezer = Freezer::Ready,
            Report::Ready(Some(errno)) => self.freezer = Freezer::Denied(*errno),
            Report::Gone => self.freezer = Freezer::Gone,
            Report::Rescued(outcomes) => self.rescued(outcomes),
            Report::Probed(outcomes) => self.probed(outcomes),
            Report::Frozen { .. }
            | Report::Synced { .. }
            | Report::Failed { .. }
            | Report::Thawed { .. } => {}
        }
    }

    fn rescued(&mut self, outcomes: &Outcomes) {
        if let Rescue::Asked(asked, rest) = &mut self.rescue {
            let thawed = phrase(asked, outcomes, |outcome| *outcome == Each::Done);
            if !thawed.is_empty() {
                tracing::warn!(
                    file_systems = thawed,
                    "file systems were still frozen when the agent started and are thawed: it was killed during a snapshot"
                );
            }
            let failed = phrase(asked, outcomes, |outcome| {
                matches!(outcome, Each::Failed(_))
            });
            if !failed.is_empty() {
                tracing::warn!(
                    file_systems = failed,
                    remedy = "restart the node if they do not take writes",
                    "file systems that an earlier run of the agent may have left frozen cannot be thawed"
                );
            }
            self.rescue = match std::mem::take(rest) {
                rest if rest.is_empty() => Rescue::Done,
                rest => Rescue::Asked(Vec::new(), rest),
            };
        }
    }

    fn probed(&mut self, outcomes: &Outcomes) {
        if let Probe::Asked(asked) = &mut self.probe {
            let asked = std::mem::take(asked);
            let failed = phrase(&asked, outcomes, |outcome| {
                !matches!(outcome, Each::Done | Each::Left)
            });
            let problem = Some(failed).filter(|failed| !failed.is_empty());
            if let Some(problem) = &problem {
                tracing::warn!(
                    problem,
                    remedy = "leave them out by quiesce.exclude, or report the line",
                    "file systems cannot be reached for quiesced snapshots"
                );
            }
            self.probe = Probe::Done(asked, problem);
        }
    }

    /// What the freezer is to do between freezes.
    pub(super) fn poll(&mut self, config: &QuiesceConfig) -> Option<Command> {
        let is_on = config.mode != QuiesceMode::Off && !config.is_refused_in_pod();
        let all = self.volumes.as_ref().ok()?;
        if !is_on || self.freezer != Freezer::Ready {
            return None;
        }
        if config.mode == QuiesceMode::Freeze {
            let due = match &mut self.rescue {
                Rescue::Due => Some(all.clone()),
                Rescue::Asked(asked, rest) if asked.is_empty() => Some(std::mem::take(rest)),
                Rescue::Asked(..) => return None,
                Rescue::Done => None,
            };
            if let Some(mut due) = due {
                let rest = due.split_off(due.len().min(MOST_DEVICES));
                let devices = devices(&due).ok()?;
                self.rescue = match due.is_empty() {
                    true => Rescue::Done,
                    false => Rescue::Asked(due, rest),
                };
                if let Rescue::Asked(..) = self.rescue {
                    return Some(Command::Rescue(devices));
                }
            }
        }
        let meant = without(all.clone(), &config.exclude);
        let is_due = match &self.probe {
            Probe::Due => true,
            Probe::Asked(_) => false,
            Probe::Done(asked, _) => *asked != meant,
        };
        if !is_due || !self.is_running {
            return None;
        }
        let devices: Devices = devices(&meant).ok()?;
        self.probe = Probe::Asked(meant);
        Some(Command::Probe(devices))
    }

    /// Why no freeze can begin, in one phrase.
    pub(super) fn obstacle(&self, mode: QuiesceMode) -> Option<String> {
        match self.freezer {
            Freezer::Starting => Some("the freezer is not ready".to_owned()),
            // What was written goes to the disks by sync(2), which everybody may.
            Freezer::Denied(_) if mode == QuiesceMode::Sync => None,
            Freezer::Denied(errno) => Some(denied(errno)),
            Freezer::Gone => Some("the freezer is not running".to_owned()),
            Freezer::Ready => {
                let is_rescued = matches!(self.rescue, Rescue::Done) || mode != QuiesceMode::Freeze;
                (!is_rescued).then(|| {
                    "it is not certain yet that no file system is frozen from before".to_owned()
                })
            }
        }
    }

    /// Whether a freeze would work, in a few words.
    pub(super) fn shown(&self, config: &QuiesceConfig) -> String {
        match self.check(config) {
            _ if config.mode == QuiesceMode::Off => "off".to_owned(),
            Outcome::Works(_) if config.mode == QuiesceMode::Sync => "ready (sync)".to_owned(),
            Outcome::Works(_) => "ready".to_owned(),
            Outcome::Fails { problem, .. } => format!("unavailable: {problem}"),
            Outcome::NotChecked(why) => format!("unavailable: {why}"),
        }
    }

    /// Whether a freeze would work.
    pub(super) fn check(&self, config: &QuiesceConfig) -> Outcome {
        if config.mode == QuiesceMode::Off {
            return Outcome::Works("off, as configured".to_owned());
        }
        if config.is_refused_in_pod() {
            return Outcome::fails(QuiesceConfig::POD_PROBLEM, QuiesceConfig::POD_REMEDY);
        }
        match self.freezer {
            Freezer::Denied(_) if config.mode == QuiesceMode::Sync => {
                let how = "all file systems of the node are synced together, and are not frozen";
                return Outcome::Works(how.to_owned());
            }
            Freezer::Denied(errno) => return Outcome::fails(denied(errno), REMEDY),
            Freezer::Gone => {
                return Outcome::fails("the freezer is not running", "restart the agent");
            }
            Freezer::Starting | Freezer::Ready => {}
        }
        let meant = match &self.volumes {
            Ok(volumes) => without(volumes.clone(), &config.exclude),
            Err(reason @ Unlisted::NotYet) => return Outcome::NotChecked(reason.to_string()),
            Err(reason) => return Outcome::fails(reason.to_string(), "report the line"),
        };
        if let Err(reason) = devices(&meant) {
            return Outcome::fails(reason.to_string(), "leave some out by quiesce.exclude");
        }
        if let Some(reason) = self.obstacle(config.mode) {
            return Outcome::NotChecked(reason);
        }
        match &self.probe {
            Probe::Done(asked, None) if *asked == meant => {
                let what = match config.mode {
                    QuiesceMode::Freeze => "can be frozen",
                    QuiesceMode::Sync | QuiesceMode::Off => "can be synced, and are not frozen",
                };
                Outcome::Works(format!("{what}: {}", places(&meant)))
            }
            Probe::Done(asked, Some(problem)) if *asked == meant => {
                Outcome::fails(problem.clone(), "leave them out by quiesce.exclude")
            }
            _ if !self.is_running => Outcome::NotChecked("the machine is not running".to_owned()),
            _ => Outcome::NotChecked("the file systems are not tried yet".to_owned()),
        }
    }
}

/// Why the freezer cannot freeze.
fn denied(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::EPERM => "the freezer lacks the capability CAP_SYS_ADMIN".to_owned(),
        other => format!("the freezer cannot freeze: {}", other.desc()),
    }
}
