//! What is known of the node, of which all answers are made.

use std::time::Duration;

use super::freeze::Freeze;
use super::measurement::Measurement;
use crate::facts::{Facts, Machine};
use crate::front_end::Subject;
use crate::power::Obstacle;
use crate::report::{Decision, NetworkPolicy, decide};

/// How long the host name is waited for once all else is known.
const NAME_WAIT: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug)]
pub(super) struct Known {
    /// What the kernel said at the start.
    pub(super) machine: Machine,
    /// What is reported of the network.
    pub(super) policy: NetworkPolicy,
    /// What Talos says.
    pub(super) facts: Facts,
    /// Whether Talos would shut down or reboot.
    pub(super) power_way: Option<Result<(), Obstacle>>,
    /// The freeze that is under way, and what the last one came to.
    pub(super) freeze: Freeze,
    /// The space on the file systems.
    pub(super) space: Measurement,
    /// What has gone over the links.
    pub(super) traffic: Measurement,
    readiness: Readiness,
}

/// How far we are from answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Something is missing without which the answers would mislead.
    Missing,
    /// The host name alone is missing, and is waited for until then.
    Nameless(Duration),
    /// There are answers, and always will be.
    Ready,
}

impl Known {
    /// Nothing yet. See [`Freeze::new`] for `wall_clock`.
    pub(super) fn new(machine: Machine, wall_clock: fn() -> Duration) -> Self {
        Self {
            machine,
            policy: NetworkPolicy::default(),
            facts: Facts::default(),
            power_way: None,
            freeze: Freeze::new(wall_clock),
            space: Measurement::new(Subject::Space),
            traffic: Measurement::new(Subject::Traffic),
            readiness: Readiness::Missing,
        }
    }

    /// Looks whether there are answers.
    pub(super) fn look(&mut self, now: Duration) {
        let facts = &self.facts;
        let has_all = facts.talos.is_some()
            && facts.links.is_some()
            && facts.addresses.is_some()
            && self.power_way.is_some();
        let has_name = facts.host_name.is_some();
        self.readiness = match self.readiness {
            Readiness::Ready => Readiness::Ready,
            _ if !has_all => Readiness::Missing,
            _ if has_name => Readiness::Ready,
            Readiness::Missing => Readiness::Nameless(now.saturating_add(NAME_WAIT)),
            Readiness::Nameless(until) if until <= now => Readiness::Ready,
            Readiness::Nameless(until) => Readiness::Nameless(until),
        };
    }

    /// Whether there are answers.
    pub(super) fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// When [`Known::look`] finds something else by itself.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.readiness {
            Readiness::Nameless(until) => Some(until),
            Readiness::Missing | Readiness::Ready => None,
        }
    }

    /// What Talos says of this only when asked.
    pub(super) const fn measurement(&mut self, subject: Subject) -> &mut Measurement {
        match subject {
            Subject::Space => &mut self.space,
            Subject::Traffic => &mut self.traffic,
        }
    }

    /// What is shown of the network. There is no limit to the NICs.
    pub(super) fn network(&self) -> Option<Decision> {
        decide(&self.facts, &self.policy, usize::MAX)
    }
}
