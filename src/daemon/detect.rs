//! Which hypervisor is below, and so which front end runs.
//!
//! ```text
//! CPUID says VMware, or it is to be tried all the same ──► VMware
//! a port is named, or a virtio-serial device is there  ──► QEMU, once the port is there
//! neither                                              ──► nothing to do
//! ```

use std::path::Path;

use tokio::sync::oneshot;

use super::signals::{Signals, Wish};
use crate::config::{Config, HypervisorChoice};
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::qemu::port::{self, Arrival, Port, PortError, Roots};
use crate::vmware::transport::backdoor::detect::{Detection, detect, hypervisor};
use crate::vmware::transport::backdoor::{Backdoor, FaultGuard};

/// Whose guest agent we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// VMware's.
    Vmware,
    /// QEMU's.
    Qemu,
    /// Nobody's.
    Neither,
}

/// What is below.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub(super) enum Below {
    /// VMware.
    Vmware,
    /// QEMU, with the port that is there, and where to hear that it cannot be used any more.
    Qemu(Port, oneshot::Receiver<PortError>),
    /// Neither.
    Neither,
}

/// Looks what is below, and waits for the port where that is to come. `None` when the process is to stop.
///
/// # Errors
/// There is something that can be no port.
pub(super) async fn choose(
    config: &Config,
    signals: &mut Signals,
) -> Result<Option<Below>, PortError> {
    let roots = Roots::default();
    match kind(config, &roots) {
        Kind::Vmware => return Ok(Some(Below::Vmware)),
        Kind::Neither => return Ok(Some(Below::Neither)),
        Kind::Qemu => {}
    }
    let named = config.qemu.port.as_deref();
    let mut arrival = Arrival::new(named.map(Path::to_owned));
    let mut is_waiting = false;
    loop {
        tokio::select! {
            biased;
            () = arrival.news() => {}
            wish = signals.next() => match wish {
                Wish::Stop => return Ok(None),
                Wish::Reload => continue,
            }
        }
        if let Some(node) = roots.look(named)? {
            let (port, failure) = Port::new(node, roots, arrival)?;
            return Ok(Some(Below::Qemu(port, failure)));
        }
        if !std::mem::replace(&mut is_waiting, true) {
            let port =
                named.map_or_else(|| port::NAME.to_owned(), |path| path.display().to_string());
            tracing::info!(
                port,
                remedy = port::REMEDY,
                "the port of the QEMU guest agent is not there yet; waiting for it"
            );
        }
    }
}

/// Looks whose guest agent this is.
pub fn kind(config: &Config, roots: &Roots) -> Kind {
    match config.host.hypervisor {
        HypervisorChoice::Vmware => Kind::Vmware,
        HypervisorChoice::Qemu => Kind::Qemu,
        HypervisorChoice::Auto if config.host.skip_vmware_detection || hypervisor().is_vmware() => {
            Kind::Vmware
        }
        HypervisorChoice::Auto if config.qemu.port.is_some() || roots.has_port_or_device() => {
            Kind::Qemu
        }
        HypervisorChoice::Auto => Kind::Neither,
    }
}

/// Says that there is nothing to do.
pub(super) fn log_neither(config: &Config) {
    let then = if config.host.idle_off_vmware {
        "idle"
    } else {
        "done"
    };
    tracing::info!(
        hypervisor = %hypervisor(),
        then,
        "not on VMware, and no port of the QEMU guest agent: nothing to do"
    );
}

/// The way to the VMX, with what `check` says of it, or `None` where there is none. Logs in one line which it is.
pub(super) fn find_vmx(config: &Config, guard: FaultGuard) -> Option<(Backdoor, Outcome)> {
    let version = env!("CARGO_PKG_VERSION");
    let skip = config.host.skips_vmware_detection();
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
        Detection::NotVmware { .. } => {
            log_neither(config);
            None
        }
    }
}
