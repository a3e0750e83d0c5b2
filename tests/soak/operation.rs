//! What happens to a daemon in its life, each kind as one operation that undoes what it spoils.

use apid::Status;
use vmx::Link;

use crate::Outcome;
use crate::subject::{Kind, Subject};

/// A kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Addresses,
    HostName,
    Volume,
    Readiness,
    TalosRestart,
    TalosDropsConnections,
    WatchesEnd,
    WatchesErrored,
    TalosHangs,
    TalosFails,
    TalosSlow,
    MalformedResource,
    Reset,
    Options,
    Garbage,
    ToolsState,
    StateChanges,
    PowerRefused,
    TcloLost,
    RpciLost,
    Migration,
    RpciRefused,
    Reload,
    BackdoorFaults,
    DeadPort,
    RestrictedBackdoor,
    RefusedOpen,
    VsockGarbage,
    VsockWithdrawn,
    Talosconfig,
}

/// Whom it happens to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Everywhere,
    Only(Kind),
}

use Operation as O;

/// Every operation, its name in the table, and where it can happen.
const ALL: [(Operation, &str, Where); 30] = [
    (O::Addresses, "addresses come and go", Where::Everywhere),
    (O::HostName, "host name changed", Where::Everywhere),
    (O::Volume, "volume mounted or unmounted", Where::Everywhere),
    (O::Readiness, "readiness changed", Where::Everywhere),
    (O::TalosRestart, "Talos restarted", Where::Everywhere),
    (
        O::TalosDropsConnections,
        "Talos' connections cut",
        Where::Everywhere,
    ),
    (O::WatchesEnd, "watches ended", Where::Everywhere),
    (O::WatchesErrored, "watches ERRORED", Where::Everywhere),
    (O::TalosHangs, "Talos hung", Where::Everywhere),
    (O::TalosFails, "Talos' calls failed", Where::Everywhere),
    (O::TalosSlow, "Talos' calls slow", Where::Everywhere),
    (
        O::MalformedResource,
        "malformed resource",
        Where::Everywhere,
    ),
    (O::Reset, "TCLO reset", Where::Everywhere),
    (O::Options, "capabilities and options", Where::Everywhere),
    (O::Garbage, "garbage requests", Where::Everywhere),
    (O::ToolsState, "VIX GetToolsState", Where::Everywhere),
    (
        O::StateChanges,
        "suspend, resume, power on",
        Where::Everywhere,
    ),
    (
        O::PowerRefused,
        "halt or reboot, refused",
        Where::Everywhere,
    ),
    (O::TcloLost, "TCLO channel lost", Where::Everywhere),
    (O::RpciLost, "RPCI channel lost", Where::Everywhere),
    (O::Migration, "migration", Where::Everywhere),
    (O::RpciRefused, "RPCI refused or garbled", Where::Everywhere),
    (O::Reload, "SIGHUP, good or bad file", Where::Everywhere),
    (
        O::BackdoorFaults,
        "backdoor calls fail",
        Where::Only(Kind::Backdoor),
    ),
    (O::DeadPort, "backdoor dead", Where::Only(Kind::Backdoor)),
    (
        O::RestrictedBackdoor,
        "backdoor faults",
        Where::Only(Kind::Backdoor),
    ),
    (
        O::RefusedOpen,
        "TCLO OPEN refused",
        Where::Only(Kind::Backdoor),
    ),
    (
        O::VsockGarbage,
        "garbage on vsock",
        Where::Only(Kind::Vsock),
    ),
    (
        O::VsockWithdrawn,
        "vsock withdrawn",
        Where::Only(Kind::Vsock),
    ),
    (
        O::Talosconfig,
        "talosconfig swapped",
        Where::Only(Kind::Vsock),
    ),
];

impl Operation {
    /// All that can happen to this kind of daemon.
    pub(crate) fn all(kind: Kind) -> Vec<Self> {
        let may = |at: &Where| [Where::Everywhere, Where::Only(kind)].contains(at);
        let all = ALL.into_iter().filter(|(_, _, at)| may(at));
        all.map(|(operation, _, _)| operation).collect()
    }

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        let named = ALL.into_iter().find(|(operation, _, _)| *operation == self);
        named.map_or("", |(_, name, _)| name)
    }

    /// Every operation in the order of the table.
    pub(crate) fn every() -> impl Iterator<Item = Self> {
        ALL.into_iter().map(|(operation, _, _)| operation)
    }
}

impl Subject {
    /// Lets it happen. What Talos or the host has to give is given again at its end.
    pub(crate) fn carry_out(&mut self, operation: Operation) -> Outcome {
        match operation {
            O::Addresses => self.addresses(),
            O::HostName => self.rename(),
            O::Volume => self.volume(),
            O::Readiness => self.readiness(),
            O::TalosDropsConnections => self.talos.drop_connections(),
            O::WatchesEnd => self.watches_end(),
            O::WatchesErrored => self.talos.error_watches(),
            O::TcloLost => self.lose(Some(vmx::Protocol::Tclo)),
            O::RpciLost => self.lose(Some(vmx::Protocol::Rpci)),
            O::Migration => self.migration(),
            O::RefusedOpen => self.refused_open(),
            O::TalosRestart => return self.talos_restart(),
            O::TalosHangs => return self.talos_hangs(),
            O::TalosFails => return self.talos_fails(),
            O::TalosSlow => return self.talos_slow(),
            O::MalformedResource => return self.malformed_resource(),
            O::Reset => return self.reset(),
            O::Options => return self.options(),
            O::Garbage => return self.garbage(),
            O::ToolsState => return self.tools_state(),
            O::StateChanges => return self.state_changes(),
            O::PowerRefused => return self.power_refused(),
            O::RpciRefused => return self.rpci_refused(),
            O::Reload => return self.reload(),
            O::BackdoorFaults => return self.backdoor_faults(),
            O::DeadPort => return self.dead_port(),
            O::RestrictedBackdoor => return self.restricted_backdoor(),
            O::VsockGarbage => return self.vsock_garbage(),
            O::VsockWithdrawn => return self.vsock_withdrawn(),
            O::Talosconfig => return self.talosconfig(),
        }
        Ok(())
    }

    /// Any of the failures that pass.
    pub(crate) fn passing_failure(&mut self) -> Status {
        let failures = [
            Status::aborted("soak"),
            Status::internal("soak"),
            Status::deadline_exceeded("soak"),
            Status::resource_exhausted("soak"),
        ];
        let at = usize::try_from(self.random.below(5)).unwrap_or_default();
        let unavailable = || Status::unavailable("soak");
        failures.get(at).cloned().unwrap_or_else(unavailable)
    }

    /// Whether TCLO goes over vsock.
    pub(crate) fn is_over_vsock(&self) -> bool {
        self.vmx
            .host(|host, _| matches!(host.tclo_link(), Some(Link::Vsock(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_happens_somewhere() {
        let mut names: Vec<_> = Operation::every().map(Operation::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        let mut somewhere: Vec<_> = Kind::ALL.into_iter().flat_map(Operation::all).collect();
        somewhere.sort_unstable();
        somewhere.dedup();
        assert_eq!(somewhere.len(), ALL.len());
    }
}
