//! A service, what it may look at and write to, and all of them.

use std::time::Duration;

use crate::facts::{Facts, Machine};
use crate::guest_operations::{GuestOperations, WallClock};
use crate::power::Phase;
use crate::report::{HostNameForm, Report};

use super::events::EventLine;
use super::outbox::Outbox;
use super::publications::Publications;
use super::{RpciId, RpciOutcome};
use super::{
    capabilities, disks, etcd, guest_info, guest_operations, ha, identity, inventory, power, reset,
    statistics, unsafe_config, variables, version, vmbackup, vmotion,
};

/// How long after a refusal, which may be of the moment, the host is asked again for what an operator has to switch on
/// there.
pub(super) const NOT_OFFERED_DELAY: Duration = Duration::from_secs(600);

/// What every service may look at and write to.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) outbox: &'a mut Outbox,
    pub(super) publications: &'a mut Publications,
    pub(super) events: &'a mut EventLine,
    pub(super) facts: &'a Facts,
    /// What is worth showing of the facts.
    pub(super) report: &'a Report,
    pub(super) machine: &'a Machine,
    /// Which of the node's names the host shows.
    pub(super) host_name: HostNameForm,
    /// Whether guest variables of ours are published.
    pub(super) variables: bool,
    /// What is worth showing of what is wrong with the agent.
    pub(super) problem: Option<&'a str>,
    /// What is worth showing of quiesced snapshots.
    pub(super) quiesce: &'a str,
    /// How far a power operation has come.
    pub(super) phase: &'a Phase,
    /// The machine may be about to go: an operation was asked for and is not over, whatever its phase, or is under way.
    pub(super) is_going: bool,
    /// File systems may be frozen: what only looks at the node rests.
    pub(super) quiet: bool,
    pub(super) now: Duration,
}

/// A service with a life of its own.
pub(super) trait Service {
    /// The channels to the host are (again) open: what goes before a reset. The rest goes at the reset, or as after
    /// [`Service::forgotten`] when none comes.
    fn connected(&mut self, _cx: &mut Context<'_>) {}
    /// The host resets its tools.
    fn reset(&mut self, cx: &mut Context<'_>) {
        self.forgotten(cx);
    }
    /// The machine was suspended.
    fn resumed(&mut self, cx: &mut Context<'_>) {
        self.forgotten(cx);
    }
    /// A session has begun without a reset, or has held long enough: what was held goes.
    fn released(&mut self, cx: &mut Context<'_>) {
        self.forgotten(cx);
    }
    /// After a reset or a resume, or in a session without a reset: the host may have forgotten everything.
    fn forgotten(&mut self, _cx: &mut Context<'_>) {}
    /// Guest variables of ours are published from here on.
    fn variables_wanted(&mut self, _cx: &mut Context<'_>) {}
    /// A power operation has come further, see [`Context::phase`].
    fn phase_changed(&mut self, _cx: &mut Context<'_>) {}
    /// Something else is wrong with the agent, or nothing any more.
    fn problem_changed(&mut self, _cx: &mut Context<'_>) {}
    /// The facts have changed, and are quiet.
    fn facts_changed(&mut self, _cx: &mut Context<'_>) {}
    /// Sends what cannot wait: it also goes while guest information is held back or file systems are frozen.
    fn urgent(&mut self, _cx: &mut Context<'_>) {}
    /// When [`Service::urgent`] is due, if nothing else happens.
    fn urgent_deadline(&self) -> Option<Duration> {
        None
    }
    /// Does what is due at this moment. Called after everything else.
    fn due(&mut self, _cx: &mut Context<'_>) {}
    /// Sends what is neither a publication nor an event, after these.
    fn ask(&mut self, _cx: &mut Context<'_>) {}
    /// A message that is neither a publication nor an event has come to its end, maybe one of this service.
    fn answered(&mut self, _id: RpciId, _outcome: &RpciOutcome, _cx: &mut Context<'_>) {}
    /// Whether this service waits for the outcome of this message, which it has sent itself.
    fn awaits(&self, _id: RpciId) -> bool {
        false
    }
    /// When something will be due, if nothing else happens; later than the last time it was asked.
    fn deadline(&self) -> Option<Duration> {
        None
    }
}

/// The services that live longer than a request.
#[derive(Debug)]
pub(super) struct Members {
    pub(super) version: version::Version,
    pub(super) reset: reset::Reset,
    pub(super) capabilities: capabilities::Capabilities,
    pub(super) guest_info: guest_info::GuestInfo,
    pub(super) power: power::Power,
    pub(super) variables: variables::Variables,
    pub(super) identity: identity::Identity,
    pub(super) unsafe_config: unsafe_config::UnsafeConfig,
    pub(super) disks: disks::Disks,
    pub(super) etcd: etcd::Etcd,
    pub(super) statistics: statistics::Statistics,
    pub(super) guest_operations: guest_operations::VixService,
    pub(super) vmbackup: vmbackup::Vmbackup,
    pub(super) ha: ha::Ha,
    pub(super) vmotion: vmotion::Vmotion,
    pub(super) inventory: inventory::Inventory,
}

impl Members {
    /// Those of a fresh process.
    #[allow(
        clippy::default_constructed_unit_structs,
        reason = "what a member begins with is its own business"
    )]
    pub(super) fn new(wall_clock: WallClock) -> Self {
        Self {
            version: version::Version,
            reset: reset::Reset,
            capabilities: capabilities::Capabilities,
            guest_info: guest_info::GuestInfo::new(),
            power: power::Power::new(),
            variables: variables::Variables,
            identity: identity::Identity::default(),
            unsafe_config: unsafe_config::UnsafeConfig::new(),
            disks: disks::Disks::new(),
            etcd: etcd::Etcd::default(),
            statistics: statistics::Statistics::new(),
            guest_operations: guest_operations::VixService::new(GuestOperations::new(wall_clock)),
            vmbackup: vmbackup::Vmbackup::new(wall_clock),
            ha: ha::Ha::default(),
            vmotion: vmotion::Vmotion::new(),
            inventory: inventory::Inventory::new(wall_clock),
        }
    }

    /// All of them, in the order in which they write.
    pub(super) fn each(&mut self) -> [&mut dyn Service; 15] {
        [
            &mut self.version,
            &mut self.reset,
            &mut self.capabilities,
            &mut self.guest_info,
            &mut self.variables,
            &mut self.identity,
            &mut self.unsafe_config,
            &mut self.disks,
            &mut self.etcd,
            &mut self.statistics,
            &mut self.vmbackup,
            &mut self.power,
            &mut self.ha,
            &mut self.vmotion,
            &mut self.inventory,
        ]
    }
}
