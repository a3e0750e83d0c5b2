//! Host access for one-shot subcommands: detect the hypervisor, send one RPCI command.

use super::variables;
use crate::config::HostConfig;
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::vmware::link::rpci::{RpciError, RpciLink};
use crate::vmware::link::{self, LinkSettings};
use crate::vmware::rpc::route::Transport;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::transport::backdoor::detect::detect;
use crate::vmware::transport::backdoor::{Backdoor, Detection, FaultGuard};

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
    let Some(access) = access(&detect(config.skip_vmware_detection, guard)) else {
        return Err(HostError::NotOnVmware);
    };
    exchange(config, access, command)
        .await
        .map(|(_, reply)| reply)
        .map_err(|error| HostError::Unreachable(Chain(&error).to_string()))
}

/// Looks at the hypervisor, at the transport and at guest variables, in this order.
pub(super) async fn checks(config: &HostConfig, variables_wanted: bool) -> [Outcome; 3] {
    let guard = match FaultGuard::install() {
        Ok(guard) => guard,
        Err(error) => {
            let why = format!("faults cannot be caught: {error}");
            return [(); 3].map(|()| Outcome::NotChecked(why.clone()));
        }
    };
    let detection = detect(config.skip_vmware_detection, guard);
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
    [
        detection.check(config.skip_vmware_detection),
        transport,
        variables,
    ]
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
