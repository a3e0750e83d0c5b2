//! What works and what does not, in words: the lines of `check`, which the daemon writes to its log as well.
//!
//! ```text
//! what knows something (talos, front end, sandbox …) ──Check──┬──► check: lines or JSON
//!                                                             └──► Diagnosis ──► guest variable, log
//! ```

mod course;
mod shown;

pub use course::Diagnosis;
pub use shown::{json, lines};

use crate::facts::is_valid_uuid;

/// What to do about an invalid UUID.
pub const UUID_REMEDY: &str = "set uuid.bios in the .vmx file (govc vm.change -uuid UUID), or Talos' META key \
     UUIDOverride (talosctl meta write 0xf UUID)";

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works; how, in one phrase.
    Works(String),
    /// It does not work.
    Fails {
        /// What is wrong, in one phrase.
        problem: String,
        /// What an operator can do about it.
        remedy: String,
    },
    /// It could not be looked at; why, in one phrase.
    NotChecked(String),
}

impl Outcome {
    /// What is wrong, and what can be done about it.
    pub fn fails(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Fails {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// One check and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, such as `talos`.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Whether waiting cannot mend it.
    pub is_for_good: bool,
}

/// All checks; the first that fails is the problem that is worth showing.
const WORST_FIRST: [&str; 13] = [
    "talos",
    "role",
    "api",
    "settings",
    "transport",
    "host",
    "variables",
    "quiesce",
    "vmotion",
    "ha",
    "identity",
    "hypervisor",
    "sandbox",
];

impl Check {
    /// A check whose outcome may change by itself.
    pub const fn new(name: &'static str, outcome: Outcome) -> Self {
        Self {
            name,
            outcome,
            is_for_good: false,
        }
    }

    /// A check whose outcome stays until somebody changes the settings.
    pub const fn for_good(name: &'static str, outcome: Outcome) -> Self {
        Self {
            name,
            outcome,
            is_for_good: true,
        }
    }

    /// Problem and remedy, if it fails.
    fn problem(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Fails { problem, remedy } => {
                Some(format!("{}: {problem}; remedy: {remedy}", self.name))
            }
            Outcome::Works(_) | Outcome::NotChecked(_) => None,
        }
    }

    /// How grave it is that it fails: the less the graver.
    fn rank(&self) -> usize {
        let mut all = WORST_FIRST.iter();
        all.position(|name| *name == self.name)
            .unwrap_or(WORST_FIRST.len())
    }
}

/// Whether everything works, which is also what the exit code of `check` says.
pub fn all_well(checks: &[Check]) -> bool {
    checks
        .iter()
        .all(|check| matches!(check.outcome, Outcome::Works(_)))
}

/// Writes the checks to the log, a line each.
pub fn log(checks: &[Check]) {
    for Check { name, outcome, .. } in checks {
        match outcome {
            Outcome::Works(how) => tracing::info!(check = name, detail = how, "check: ok"),
            Outcome::NotChecked(why) => {
                tracing::info!(check = name, reason = why, "check: not checked");
            }
            Outcome::Fails { problem, remedy } => {
                tracing::warn!(check = name, problem, remedy, "check: FAIL");
            }
        }
    }
}

/// What is wrong with a machine's UUID, if something is.
pub fn identity(uuid: &str) -> Option<Check> {
    if is_valid_uuid(uuid) {
        return None;
    }
    let problem = match uuid {
        "" => "the machine has no SMBIOS UUID".to_owned(),
        uuid => format!("the SMBIOS UUID {uuid} is not of this machine alone"),
    };
    let problem = format!("{problem}; disk encryption by nodeID needs a valid one");
    Some(Check::new("identity", Outcome::fails(problem, UUID_REMEDY)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::logged::Logged;

    #[test]
    fn an_identity_that_many_machines_could_have_fails_with_its_remedy() {
        assert_eq!(identity("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d"), None);
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(matches!(
                identity(bad).map(|check| check.outcome),
                Some(Outcome::Fails { problem, remedy })
                    if problem.contains(bad)
                        && problem.contains("nodeID")
                        && remedy.contains("uuid.bios")
                        && remedy.contains("UUIDOverride")
            ));
        }
    }

    #[test]
    fn a_line_of_the_log_for_each_check_and_a_warning_where_it_fails() {
        let logged = Logged::new();
        log(&[
            Check::new("hypervisor", Outcome::Works("VMware".into())),
            Check::new("talos", Outcome::fails("no socket", "mount it")),
            Check::new("role", Outcome::NotChecked("no connection".into())),
        ]);
        let lines = logged.take();
        let levels: Vec<_> = lines.iter().map(|(level, _)| level.as_str()).collect();
        assert_eq!(levels, ["INFO", "WARN", "INFO"]);
        assert!(lines[1].1.contains("no socket") && lines[1].1.contains("mount it"));
    }
}
