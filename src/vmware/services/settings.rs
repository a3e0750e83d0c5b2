//! What the operator may set while the process runs, handed to the services that it is for.

use std::time::Duration;

use super::{Services, capabilities, variables, version};
use crate::config::{Forfeit, GuestOperationsConfig, InventoryConfig, QuiesceConfig, VmwareConfig};
use crate::report::{HostNameForm, NetworkPolicy};

impl Services {
    /// What of the network is reported from here on; the default policy until this is called.
    pub fn set_network_policy(&mut self, policy: NetworkPolicy, now: Duration) {
        if self.policy == policy {
            return;
        }
        self.policy = policy;
        self.report_is_stale = true;
        if !self.presence.is_away() {
            self.refresh_report();
            self.each(now, |service, cx| service.facts_changed(cx));
            self.drive(now);
        }
    }

    /// Which of the node's names the host shows from here on; the default until this is called.
    pub fn set_host_name(&mut self, form: HostNameForm, now: Duration) {
        if std::mem::replace(&mut self.host_name, form) != form && !self.presence.is_away() {
            self.each(now, |service, cx| service.facts_changed(cx));
            self.drive(now);
        }
    }

    /// Whether guest variables of ours are published; they are until this is called. What was published stays on the
    /// host.
    pub fn set_variables(&mut self, publish: bool, now: Duration) {
        if std::mem::replace(&mut self.variables, publish) == publish {
            return;
        }
        self.publications.retire(version::TOPICS);
        self.publications.retire(variables::topics());
        if publish && !self.presence.is_away() {
            self.each(now, |service, cx| service.variables_wanted(cx));
            self.drive(now);
        }
    }

    /// Whether machine configs that lie open in guest variables are blanked.
    pub fn set_scrub(&mut self, scrub: bool, now: Duration) {
        self.members.unsafe_config.set_scrub(scrub);
        self.drive(now);
    }

    /// How often the space on the file systems is measured although nothing has changed, and how often the
    /// statistics go; both from the next time on, and at least a second.
    pub fn set_intervals(&mut self, disks: Duration, statistics: Duration) {
        const SHORTEST: Duration = Duration::from_secs(1);
        self.members.disks.set_interval(disks.max(SHORTEST));
        self.members
            .statistics
            .set_interval(statistics.max(SHORTEST));
    }

    /// Whether there are guest operations, and for whom, from here on; there are none until this is called.
    pub fn set_guest_operations(&mut self, config: &GuestOperationsConfig, now: Duration) {
        self.with(now, |members, cx| {
            if members.guest_operations.configure(config, cx) {
                capabilities::guest_operations_switched(config.enabled, cx);
            }
        });
        self.drive(now);
    }

    /// Whether file systems may be frozen, and which, from the next freeze on; none are until this is called.
    pub fn set_quiesce(&mut self, config: &QuiesceConfig, now: Duration) {
        self.with(now, |members, cx| members.vmbackup.configure(config, cx));
        self.drive(now);
    }

    /// What a vSphere host is asked for from here on, and when leadership of etcd is handed over.
    pub fn set_vmware(&mut self, config: VmwareConfig, forfeit: Forfeit, now: Duration) {
        self.with(now, |members, cx| {
            members.ha.configure(config.ha, cx);
            members.vmotion.configure(config.vmotion, forfeit, cx);
        });
        self.drive(now);
    }

    /// Whether the administrator of the host may make an operation quicker by a guest variable, from the next press on; not
    /// until this is called.
    pub const fn set_host_policy(&mut self, reads: bool) {
        self.members.power.set_host_policy(reads);
    }

    /// What is listed of the software from here on.
    pub fn set_inventory(&mut self, config: InventoryConfig, now: Duration) {
        self.with(now, |members, cx| members.inventory.configure(config, cx));
        self.drive(now);
    }
}
