//! Host access for one-shot subcommands: detect the hypervisor, send one RPCI command.

use std::path::Path;

use super::variables;
use crate::config::{Config, HostConfig};
use crate::daemon::{self, detect::Kind};
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::qemu::port::{self, Roots};
use crate::sandbox::Host;
use crate::vmware::link::rpci::{RpciError, RpciLink};
use crate::vmware::link::{self, LinkSettings};
use crate::vmware::rpc::route::Transport;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::RpciOutcome;
use crate::vmware::transport::backdoor::detect::detect;
use crate::vmware::transport::backdoor::{Backdoor, Detection, FaultGuard};
use crate::vmware::transport::vsock;

/// Every host answers this command, with a value or without, and it changes nothing.
const HARMLESS: &[u8] = b"info-get guestinfo.ip";

/// Why a command did not reach the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostError {
    /// There is no VMware host.
    NotOnVmware,
    /// There is one, but no channel; why, in one phrase.
    Unreachable(String),
}

/// Sends one RPCI command.
pub(super) async fn rpci(config: &HostConfig, command: &[u8]) -> Result<Reply, HostError> {
    let guard = FaultGuard::install().map_err(|error| HostError::Unreachable(error.to_string()))?;
    let Some(access) = access(&detect(config.skips_vmware_detection(), guard)) else {
        return Err(HostError::NotOnVmware);
    };
    exchange(config, access, command)
        .await
        .map(|(_, reply)| reply)
        .map_err(|error| HostError::Unreachable(Chain(&error).to_string()))
}

/// Sends one RPCI command that changes nothing, and says what the reply means, in the words of `check`.
pub(super) async fn ask(
    config: &HostConfig,
    command: &[u8],
    meaning: fn(&RpciOutcome) -> Outcome,
) -> Outcome {
    match rpci(config, command).await {
        Ok(Reply::Accepted(text)) => meaning(&RpciOutcome::Accepted(text)),
        Ok(Reply::Refused(text)) => meaning(&RpciOutcome::Refused(text)),
        Err(HostError::NotOnVmware) => Outcome::NotChecked("there is no VMware host".to_owned()),
        Err(HostError::Unreachable(_)) => {
            Outcome::NotChecked("the host does not answer".to_owned())
        }
    }
}

/// What was seen of the host.
#[derive(Debug)]
pub(super) struct Seen {
    /// Who it is.
    pub(super) hypervisor: Outcome,
    /// The way to it.
    pub(super) transport: Outcome,
    /// Guest variables, where there may be such.
    pub(super) variables: Option<Outcome>,
    /// What the sandbox leaves for it.
    pub(super) sandbox: Host,
}

/// Looks at the hypervisor, at the transport and at guest variables, in this order.
pub(super) async fn checks(config: &Config) -> Seen {
    let roots = Roots::default();
    let kind = daemon::detect::kind(config, &roots);
    if kind == Kind::Qemu {
        return on_qemu(&roots, config.qemu.port.as_deref());
    }
    let [hypervisor, transport, variables] =
        on_vmware(&config.host, config.guest_info.variables).await;
    Seen {
        hypervisor: match hypervisor {
            Outcome::Fails { problem, remedy } if kind == Kind::Neither => Outcome::Fails {
                problem: format!("{problem}, and has no port of the QEMU guest agent"),
                remedy: format!("{remedy}; if this is QEMU, {}", port::REMEDY),
            },
            hypervisor => hypervisor,
        },
        transport,
        variables: Some(variables),
        sandbox: Host::Vmware(vsock::is_there),
    }
}

/// The port is not opened: it may be held by the agent itself, and whoever opens it is seen by the host.
fn on_qemu(roots: &Roots, named: Option<&Path>) -> Seen {
    let found = roots.look(named);
    let transport = match &found {
        Ok(Some(node)) => Outcome::Works(port::works(node)),
        Ok(None) => {
            let port = named.map_or(Path::new(port::NAME), |path| path);
            Outcome::fails(
                format!("there is no virtio-serial port {}", port.display()),
                port::REMEDY,
            )
        }
        Err(error) => Outcome::fails(
            Chain(error).to_string(),
            "the agent cannot serve this host until then",
        ),
    };
    Seen {
        hypervisor: Outcome::Works("QEMU guest agent".to_owned()),
        transport,
        variables: None,
        sandbox: found.ok().flatten().map_or(Host::None, Host::Port),
    }
}

async fn on_vmware(config: &HostConfig, variables_wanted: bool) -> [Outcome; 3] {
    let guard = match FaultGuard::install() {
        Ok(guard) => guard,
        Err(error) => {
            let why = format!("faults cannot be caught: {error}");
            return [(); 3].map(|()| Outcome::NotChecked(why.clone()));
        }
    };
    let skip = config.skips_vmware_detection();
    let detection = detect(skip, guard);
    let [transport, variables] = match access(&detection) {
        None => [(); 2].map(|()| Outcome::NotChecked("there is no VMware host".to_owned())),
        Some(access) => {
            let answer = exchange(config, access, HARMLESS).await;
            let over = answer.as_ref().map(|(used, _)| *used);
            let transport = link::check(config.transport, over);
            let variables = if answer.is_ok() {
                let mut link = RpciLink::new(LinkSettings::new(config, Some(access)));
                let outcome = variables::check(&mut link, variables_wanted).await;
                link.close();
                outcome
            } else {
                Outcome::NotChecked("the host does not answer".to_owned())
            };
            [transport, variables]
        }
    };
    [detection.check(skip), transport, variables]
}

/// How to make backdoor calls, also to a host that has not answered yet.
fn access<A: Copy>(detection: &Detection<A>) -> Option<A> {
    match detection {
        Detection::Vmware { access, .. } | Detection::Unresponsive { access, .. } => Some(*access),
        Detection::NotVmware { .. } => None,
    }
}

async fn exchange(
    config: &HostConfig,
    access: Backdoor,
    command: &[u8],
) -> Result<(Option<Transport>, Reply), RpciError> {
    let mut link = RpciLink::new(LinkSettings::new(config, Some(access)));
    let reply = link.exchange(command).await?;
    let transport = link.transport();
    link.close();
    Ok((transport, reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::transport::backdoor::detect::ProbeError;
    use crate::vmware::wire::hypervisor::Hypervisor;
    use crate::vmware::wire::registers::Interface;

    #[test]
    fn only_another_hypervisor_is_left_alone() {
        let mute = Detection::Unresponsive {
            access: 7,
            interface: Interface::Ports,
            error: ProbeError::NoAnswer,
        };
        assert_eq!(access(&mute), Some(7));
        let other = Detection::<i32>::NotVmware {
            hypervisor: Hypervisor::None,
        };
        assert_eq!(access(&other), None);
    }
}
