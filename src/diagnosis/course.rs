//! The course of what is wrong: when it is worth showing, and when it is worth a page of the log.
//!
//! ```text
//! fails ── 20 s, at once where waiting cannot mend it ──► the problem shown ── all works ──► none
//!       └─ a minute ──► the lines of all checks, once until it works again
//! ```
//! A node that boots has trouble for some seconds, and machined refuses a process that it does not know yet. So
//! nothing is shown that passes by itself; and what is shown stays until something else is certain.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Check, Outcome, all_well};

/// How long something must have failed before it is shown.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long something must have failed before all checks are written to the log.
const REPORT: Duration = Duration::from_secs(60);
/// What is shown where all is well.
const WELL: &str = "none";

/// See the module.
#[derive(Debug, Default)]
pub struct Diagnosis {
    checks: Vec<Check>,
    /// What fails, by the name of its check.
    failing: BTreeMap<&'static str, Failing>,
    problem: Option<String>,
    wants_report: bool,
}

#[derive(Debug)]
struct Failing {
    since: Duration,
    /// When it is shown.
    shown_at: Duration,
    is_shown: bool,
    is_reported: bool,
}

impl Diagnosis {
    /// Takes what became of all checks.
    pub fn handle(&mut self, checks: Vec<Check>, now: Duration) {
        self.checks = checks;
        let fails = |check: &&Check| matches!(check.outcome, Outcome::Fails { .. });
        let failing: Vec<&Check> = self.checks.iter().filter(fails).collect();
        self.failing
            .retain(|name, _| failing.iter().any(|check| check.name == *name));
        for check in failing {
            let patience = if check.is_for_good {
                Duration::ZERO
            } else {
                PATIENCE
            };
            self.failing.entry(check.name).or_insert_with(|| Failing {
                since: now,
                shown_at: now.saturating_add(patience),
                is_shown: false,
                is_reported: false,
            });
        }
        self.handle_timeout(now);
    }

    /// The time of [`Diagnosis::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        let mut reports = false;
        for failing in self.failing.values_mut() {
            failing.is_shown |= failing.shown_at <= now;
            reports |= !failing.is_reported && failing.since.saturating_add(REPORT) <= now;
        }
        if reports {
            self.wants_report = true;
            for failing in self.failing.values_mut() {
                failing.is_reported = true;
            }
        }
        let is_shown = |check: &&Check| {
            let failing = self.failing.get(check.name);
            failing.is_some_and(|failing| failing.is_shown)
        };
        let shown = self.checks.iter().filter(is_shown);
        if let Some(worst) = shown.min_by_key(|check| check.rank()) {
            self.problem = worst.problem();
        } else if all_well(&self.checks) {
            self.problem = Some(WELL.to_owned());
        }
    }

    /// When [`Diagnosis::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let due = |failing: &Failing| {
            let shown = Some(failing.shown_at).filter(|_| !failing.is_shown);
            let report = failing.since.saturating_add(REPORT);
            let report = Some(report).filter(|_| !failing.is_reported);
            shown.into_iter().chain(report).min()
        };
        self.failing.values().filter_map(due).min()
    }

    /// What is worth showing: the worst problem with its remedy in one line, or that there is none; `None` while
    /// that is not certain yet.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Whether the lines of all checks are to be written; asking clears it.
    pub const fn take_report(&mut self) -> bool {
        std::mem::replace(&mut self.wants_report, false)
    }

    /// What became of all checks.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn works(name: &'static str) -> Check {
        Check::new(name, Outcome::Works("well".into()))
    }

    fn fails(name: &'static str) -> Check {
        Check::new(name, Outcome::fails(format!("no {name}"), "mend it"))
    }

    fn unknown(name: &'static str) -> Check {
        Check::new(name, Outcome::NotChecked("not yet".into()))
    }

    /// Lets time pass up to `until`, at each time that is asked for; how often the lines were wanted.
    fn pass(diagnosis: &mut Diagnosis, until: Duration) -> usize {
        let mut reports = 0;
        while let Some(due) = diagnosis.poll_timeout().filter(|due| *due <= until) {
            diagnosis.handle_timeout(due);
            reports += usize::from(diagnosis.take_report());
        }
        reports
    }

    #[test]
    fn a_boot_with_some_seconds_of_trouble_shows_none_and_nothing_else() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.handle(vec![unknown("talos"), works("transport")], seconds(0));
        assert_eq!(diagnosis.problem(), None, "not certain");
        diagnosis.handle(vec![fails("talos"), works("transport")], seconds(1));
        pass(&mut diagnosis, seconds(20));
        assert_eq!(diagnosis.problem(), None);
        diagnosis.handle(vec![works("talos"), works("transport")], seconds(20));
        assert_eq!(diagnosis.problem(), Some("none"));
        assert_eq!(diagnosis.poll_timeout(), None, "nothing to wait for");
        // Away for a moment.
        diagnosis.handle(vec![fails("talos"), works("transport")], seconds(100));
        assert_eq!(pass(&mut diagnosis, seconds(119)), 0);
        diagnosis.handle(vec![works("talos"), works("transport")], seconds(119));
        assert_eq!(diagnosis.problem(), Some("none"));
    }

    #[test]
    fn a_problem_is_shown_after_20_seconds_with_its_remedy_until_all_is_well() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.handle(vec![fails("talos"), unknown("role")], seconds(0));
        pass(&mut diagnosis, seconds(19));
        assert_eq!(diagnosis.problem(), None);
        pass(&mut diagnosis, seconds(20));
        let problem = "talos: no talos; remedy: mend it";
        assert_eq!(diagnosis.problem(), Some(problem));
        diagnosis.handle(vec![works("talos"), unknown("role")], seconds(30));
        assert_eq!(diagnosis.problem(), Some(problem), "not all is certain");
        diagnosis.handle(vec![works("talos"), works("role")], seconds(31));
        assert_eq!(diagnosis.problem(), Some("none"));
    }

    #[test]
    fn what_waiting_cannot_mend_is_shown_at_once_and_the_worst_of_several_first() {
        let mut diagnosis = Diagnosis::default();
        let settings = || Check::for_good("settings", Outcome::fails("no such flag", "correct it"));
        diagnosis.handle(vec![fails("role"), settings()], seconds(0));
        let shown = diagnosis.problem().unwrap();
        assert!(shown.starts_with("settings: no such flag"), "{shown}");
        pass(&mut diagnosis, seconds(20));
        assert!(diagnosis.problem().unwrap().starts_with("role: "));
        diagnosis.handle(vec![works("role"), settings()], seconds(21));
        assert!(diagnosis.problem().unwrap().starts_with("settings: "));
    }

    #[test]
    fn the_lines_are_wanted_after_a_minute_and_once_until_it_works_again() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.handle(vec![fails("talos"), fails("role")], seconds(0));
        assert_eq!(pass(&mut diagnosis, seconds(59)), 0);
        assert_eq!(pass(&mut diagnosis, seconds(3600)), 1);
        // Other words are no other trouble.
        let other = Check::new("talos", Outcome::fails("another reason", "mend it"));
        diagnosis.handle(vec![other, fails("role")], seconds(3600));
        assert_eq!(pass(&mut diagnosis, seconds(7200)), 0);
        assert!(diagnosis.problem().unwrap().contains("another reason"));
        diagnosis.handle(vec![works("talos"), fails("role")], seconds(7200));
        diagnosis.handle(vec![fails("talos"), fails("role")], seconds(7201));
        assert_eq!(pass(&mut diagnosis, seconds(9000)), 1);
    }
}
