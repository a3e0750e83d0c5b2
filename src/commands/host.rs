//! Host access for one-shot subcommands: detect the hypervisor, send one RPCI command.

use super::check::Outcome;
use super::variables;
use crate::config::{HostConfig, TransportChoice};
use crate::log::Chain;
use crate::vmware::link::LinkSettings;
use crate::vmware::link::rpci::{RpciError, RpciLink};
use crate::vmware::rpc::route::Transport;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::transport::backdoor::detect::detect;
use crate::vmware::transport::backdoor::{Backdoor, Detection, FaultGuard, ProbeError};
use crate::vmware::wire::registers::Interface;

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
            let variables = if answer.is_ok() {
                let mut link = RpciLink::new(LinkSettings::new(config, Some(access)));
                let outcome = variables::check(&mut link, variables_wanted).await;
                link.close();
                outcome
            } else {
                Outcome::NotChecked("the host does not answer".to_owned())
            };
            [transport(config.transport, &answer), variables]
        }
    };
    [
        hypervisor(&detection, config.skip_vmware_detection),
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

fn hypervisor<A>(detection: &Detection<A>, skip: bool) -> Outcome {
    match detection {
        Detection::Vmware {
            interface,
            vmx_type,
            ..
        } => Outcome::Works(format!(
            "{vmx_type}, backdoor through {}",
            instruction(*interface)
        )),
        Detection::NotVmware { hypervisor } => Outcome::Fails {
            problem: format!("this machine does not run on VMware (hypervisor: {hypervisor})"),
            remedy: if skip {
                "none: the backdoor was tried all the same, and nobody answered"
            } else {
                "none is needed, the agent stays down here; if this is VMware after all, \
                 give --skip-vmware-detection"
            }
            .to_owned(),
        },
        Detection::Unresponsive {
            interface, error, ..
        } => Outcome::Fails {
            problem: format!(
                "the processor says VMware, but: {} ({})",
                Chain(error),
                instruction(*interface)
            ),
            remedy: match error {
                ProbeError::NoChannel { .. } => "look into vmware.log for GuestMsg or guest RPC",
                ProbeError::Fault(_) | ProbeError::NoAnswer | ProbeError::Version { .. } => {
                    "remove monitor_control.restrict_backdoor from the VM's configuration"
                }
            }
            .to_owned(),
        },
    }
}

fn transport(
    choice: TransportChoice,
    exchange: &Result<(Option<Transport>, Reply), RpciError>,
) -> Outcome {
    match exchange {
        Ok((used, _)) => Outcome::Works(match (choice, used) {
            (_, None) => "the host answers".to_owned(),
            (TransportChoice::Auto, Some(Transport::Backdoor)) => {
                "the host answers over the backdoor; vsock does not work here and is not needed"
                    .to_owned()
            }
            (_, Some(used)) => format!("the host answers over {used}"),
        }),
        Err(error) => Outcome::Fails {
            problem: Chain(error).to_string(),
            remedy: match choice {
                TransportChoice::Auto => "look into vmware.log of the VM",
                TransportChoice::Vsock => {
                    "use --transport auto; containers of Talos extensions may not use vsock"
                }
                TransportChoice::Backdoor => "use --transport auto",
            }
            .to_owned(),
        },
    }
}

fn instruction(interface: Interface) -> &'static str {
    match interface {
        Interface::Ports => "I/O ports",
        Interface::Vmcall => "vmcall",
        Interface::Vmmcall => "vmmcall",
        Interface::SystemRegister => "the trapped system register",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::link::LinkError;
    use crate::vmware::transport::backdoor::detect::VmxType;
    use crate::vmware::wire::hypervisor::Hypervisor;

    #[test]
    fn the_hypervisor_in_words() {
        let found = Detection::Vmware {
            access: (),
            interface: Interface::Vmcall,
            vmx_type: VmxType::ScalableServer,
        };
        assert_eq!(
            hypervisor(&found, false),
            Outcome::Works("VMware ESXi, backdoor through vmcall".into())
        );
        let other = Detection::<()>::NotVmware {
            hypervisor: Hypervisor::Kvm,
        };
        for skip in [false, true] {
            assert!(matches!(
                hypervisor(&other, skip),
                Outcome::Fails { problem, remedy }
                    if problem.contains("VMware")
                        && problem.contains("KVM")
                        && remedy.contains("--skip-vmware-detection") != skip
            ));
        }
        let mute = Detection::Unresponsive {
            access: (),
            interface: Interface::Ports,
            error: ProbeError::NoAnswer,
        };
        assert!(matches!(
            hypervisor(&mute, false),
            Outcome::Fails { problem, .. } if problem.contains("nobody answers")
        ));
    }

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

    #[test]
    fn the_transport_in_words() {
        let over = |used| Ok((Some(used), Reply::Refused(b"No value found".to_vec())));
        assert_eq!(
            transport(TransportChoice::Auto, &over(Transport::Vsock)),
            Outcome::Works("the host answers over vsock".into())
        );
        assert!(matches!(
            transport(TransportChoice::Auto, &over(Transport::Backdoor)),
            Outcome::Works(how) if how.contains("over the backdoor; vsock does not")
        ));
        let failed = Err(RpciError::Unreachable {
            source: LinkError::NoBackdoor,
        });
        assert!(matches!(
            transport(TransportChoice::Vsock, &failed),
            Outcome::Fails { problem, remedy }
                if problem.contains("no backdoor was found") && remedy.contains("--transport auto")
        ));
    }
}
