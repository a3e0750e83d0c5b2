//! Which hypervisor is below, and so which front end runs.

use crate::config::Config;
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::vmware::transport::backdoor::detect::{Detection, detect};
use crate::vmware::transport::backdoor::{Backdoor, FaultGuard};

/// The way to the VMX, with what `check` says of it, or `None` where there is none. Logs in one line which it is.
pub(super) fn find_vmx(config: &Config, guard: FaultGuard) -> Option<(Backdoor, Outcome)> {
    let version = env!("CARGO_PKG_VERSION");
    let skip = config.host.skip_vmware_detection;
    let detection = detect(skip, guard);
    let outcome = detection.check(skip);
    match detection {
        Detection::Vmware {
            access,
            interface,
            vmx_type,
        } => {
            tracing::info!(version, host = %vmx_type, backdoor = interface.name(), "talos-vmtoolsd started");
            Some((access, outcome))
        }
        Detection::Unresponsive { access, error, .. } => {
            tracing::warn!(version, error = %Chain(&error), "talos-vmtoolsd started, but the backdoor of this VMware host does not work yet");
            Some((access, outcome))
        }
        Detection::NotVmware { hypervisor } => {
            let then = if config.host.idle_off_vmware {
                "idle"
            } else {
                "done"
            };
            tracing::info!(hypervisor = %hypervisor, then, "not on VMware, nothing to do");
            None
        }
    }
}
