//! What the daemon knows of what is wrong: the checks of all sides put together, looked at when something has happened,
//! but no more often than once a second.

use std::time::Duration;

use crate::diagnosis::{self, Check, Diagnosis, Outcome};

/// The shortest time from one look to the next: a busy host must not make us put words together all the time.
const PAUSE: Duration = Duration::from_secs(1);

/// The order of the lines; the rest follows.
const ORDER: [&str; 10] = [
    "hypervisor",
    "transport",
    "talos",
    "role",
    "api",
    "settings",
    "variables",
    "host",
    "guest-operations",
    "quiesce",
];

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Examination {
    /// What the process around knows.
    known: Vec<Check>,
    diagnosis: Diagnosis,
    /// Something has happened since the last look.
    stirred: bool,
    /// No look before this.
    next: Duration,
    /// The lines are wanted.
    wanted: bool,
    /// What the front end was given.
    shown: Option<String>,
}

impl Examination {
    /// What the process around knows is this from here on.
    pub(super) fn know(&mut self, known: Vec<Check>) {
        self.known = known;
        self.stirred = true;
    }

    /// Something has happened.
    pub(super) const fn stir(&mut self) {
        self.stirred = true;
    }

    /// The lines are to be written at the next step, as they are then.
    pub(super) const fn write_next(&mut self) {
        self.wanted = true;
        self.stirred = true;
        self.next = Duration::ZERO;
    }

    /// When [`Examination::look`] has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let look = self.stirred.then_some(self.next);
        look.into_iter().chain(self.diagnosis.poll_timeout()).min()
    }

    /// Looks if it is time to. `others` gives the checks of the other sides. Returns what is to be shown when that
    /// has changed.
    pub(super) fn look(
        &mut self,
        others: impl FnOnce() -> Vec<Check>,
        now: Duration,
    ) -> Option<String> {
        if self.stirred && self.next <= now {
            self.stirred = false;
            self.next = now.saturating_add(PAUSE);
            let checks = self.together(others());
            self.diagnosis.handle(checks, now);
        } else if self.diagnosis.poll_timeout().is_some_and(|due| due <= now) {
            self.diagnosis.handle_timeout(now);
        } else {
            return None;
        }
        if self.diagnosis.take_report() | std::mem::take(&mut self.wanted) {
            diagnosis::log(self.diagnosis.checks());
        }
        let problem = self.diagnosis.problem()?;
        if self.shown.as_deref() == Some(problem) {
            return None;
        }
        self.shown = Some(problem.to_owned());
        self.shown.clone()
    }

    /// All checks in their order.
    pub(super) fn together(&self, mut checks: Vec<Check>) -> Vec<Check> {
        checks.extend(self.known.iter().cloned());
        let works = |check: &Check| matches!(check.outcome, Outcome::Works(_));
        let transport = checks
            .iter()
            .any(|check| check.name == "transport" && works(check));
        if let Some(hypervisor) = checks.iter_mut().find(|check| check.name == "hypervisor")
            && transport
            && !works(hypervisor)
        {
            // It did not answer at the start, and does by now.
            hypervisor.outcome = Outcome::Works("VMware, and the host answers by now".to_owned());
        }
        let place = |check: &Check| {
            let place = ORDER.iter().position(|name| *name == check.name);
            place.unwrap_or(ORDER.len())
        };
        checks.sort_by_key(place);
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::logged::Logged;

    fn check(name: &'static str, works: bool) -> Check {
        Check::new(
            name,
            if works {
                Outcome::Works("well".into())
            } else {
                Outcome::fails("broken", "mend it")
            },
        )
    }

    fn names(examination: &Examination) -> Vec<&'static str> {
        let checks = examination.diagnosis.checks().iter();
        checks.map(|check| check.name).collect()
    }

    #[test]
    fn a_busy_host_is_looked_at_once_a_second() {
        let mut examination = Examination::default();
        let mut looks = 0;
        for milli in 0..10_000 {
            examination.stir();
            examination.look(
                || {
                    looks += 1;
                    vec![check("talos", true)]
                },
                Duration::from_millis(milli),
            );
        }
        assert_eq!(looks, 10);
        // What came last is looked at all the same.
        let due = examination.deadline().unwrap();
        assert_eq!(due, Duration::from_secs(10));
    }

    #[test]
    fn the_problem_goes_to_the_front_end_once_and_the_lines_are_written_when_asked_for() {
        let mut examination = Examination::default();
        examination.know(vec![check("sandbox", true)]);
        let all = || vec![check("talos", true), check("transport", true)];
        let shown = examination.look(all, Duration::ZERO);
        assert_eq!(shown.as_deref(), Some("none"));
        assert_eq!(names(&examination), ["transport", "talos", "sandbox"]);
        assert_eq!(examination.deadline(), None, "nothing to wait for");
        let logged = Logged::new();
        examination.write_next();
        assert_eq!(examination.look(all, Duration::ZERO), None, "the same");
        assert_eq!(logged.take().len(), 3);
    }

    #[test]
    fn a_uuid_of_no_use_and_a_host_that_answers_late_show_in_the_checks() {
        let mut examination = Examination::default();
        examination.know(vec![check("hypervisor", false)]);
        let others = || {
            let identity = diagnosis::identity("").unwrap();
            vec![check("transport", true), identity]
        };
        examination.look(others, Duration::ZERO);
        assert_eq!(names(&examination), ["hypervisor", "transport", "identity"]);
        let outcomes = examination.diagnosis.checks();
        assert!(matches!(outcomes[0].outcome, Outcome::Works(_)));
        assert!(matches!(outcomes[2].outcome, Outcome::Fails { .. }));
    }
}
