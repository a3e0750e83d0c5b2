//! The machine itself: [`crate::facts::Node`] and the stage.
//!
//! None of these resources is sensitive: os:operator and os:reader may read them all.

use std::collections::BTreeSet;
use std::net::IpAddr;

use prost::Message;

use super::{Kind, Malformed, Source, ips, keep, stage_of};
use crate::facts::{EtcdPart, Extension, MachineType, Readiness, Stage, replace};
use crate::talos::proto::definitions::extensions::Layer;
use crate::talos::proto::definitions::hardware::SystemInformationSpec;
use crate::talos::proto::definitions::k8s::{
    EndpointSpec, NodeIpSpec, NodeStatusSpec, NodenameSpec,
};
use crate::talos::proto::definitions::runtime::{MachineStatusSpec, SecurityStateSpec};
use crate::talos::proto::resource::config::{MachineType as ConfigType, MachineTypeSpec};
use crate::talos::purpose::Purpose;

pub(in crate::talos) const MACHINE_STATUS: Kind = Kind {
    namespace: "runtime",
    kind: "MachineStatuses.runtime.talos.dev",
};

/// Id of the one [`MACHINE_STATUS`].
pub(in crate::talos) const MACHINE_STATUS_ID: &str = "machine";

/// Stage and readiness, which belong together: both come from one resource and are published at once.
///
/// Up to Talos 1.13 the last stage of every shutdown is `rebooting`: it stays a shutdown until the machine is seen in
/// another stage, for some readers keep what they saw last of a machine that is off.
pub(super) const STAGE: Source<(Stage, Readiness)> = Source {
    kind: MACHINE_STATUS,
    decode: |id, spec| match id {
        MACHINE_STATUS_ID => machine_status(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, statuses| match statuses.values().next() {
        Some((stage, readiness)) => {
            let stage = match (facts.stage, *stage) {
                (Some(Stage::ShuttingDown), Stage::Rebooting) => Stage::ShuttingDown,
                (_, stage) => stage,
            };
            let another_stage = replace(&mut facts.stage, stage);
            replace(&mut facts.node.readiness, readiness.clone()) || another_stage
        }
        None => false,
    },
    never_empty: false,
    purpose: Purpose::new("stage and readiness"),
};

pub(in crate::talos) const MACHINE_TYPE: Kind = Kind {
    namespace: "config",
    kind: "MachineTypes.config.talos.dev",
};

/// Id of the one [`MACHINE_TYPE`].
pub(in crate::talos) const MACHINE_TYPE_ID: &str = "machine-type";

pub(super) const TYPE: Source<MachineType> = Source {
    kind: MACHINE_TYPE,
    decode: |id, spec| match id {
        MACHINE_TYPE_ID => machine_type(spec),
        _ => Ok(None),
    },
    publish: |facts, types| {
        let changed = keep(&mut facts.node.machine_type, types);
        // Only a control plane is asked what it is in etcd.
        let is_worker = facts.node.machine_type == Some(MachineType::Worker);
        (is_worker && replace(&mut facts.etcd_part, EtcdPart::NotMember)) || changed
    },
    never_empty: false,
    purpose: Purpose::new("machine type"),
};

pub(super) const NODE_NAME: Source<String> = Source {
    kind: Kind {
        namespace: "k8s",
        kind: "Nodenames.kubernetes.talos.dev",
    },
    decode: |id, spec| match id {
        "nodename" => node_name(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, names| keep(&mut facts.node.node_name, names),
    never_empty: false,
    purpose: Purpose::new("name of the Kubernetes node"),
};

/// The kubelet's addresses, without virtual IPs. They go with the resource: a node that has left Kubernetes has none.
pub(super) const KUBELET_ADDRESSES: Source<Vec<IpAddr>> = Source {
    kind: Kind {
        namespace: "k8s",
        kind: "NodeIPs.kubernetes.talos.dev",
    },
    decode: |id, spec| match id {
        "kubelet" => kubelet_addresses(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, lists| {
        let list = lists.values().flatten().copied().collect();
        replace(&mut facts.kubelet_addresses, list)
    },
    never_empty: false,
    purpose: Purpose::new("which address the kubelet has"),
};

/// Whether the node is cordoned, by Talos or by someone else. Since Talos 1.5; its one resource is that of this node.
pub(super) const CORDONED: Source<bool> = Source {
    kind: Kind {
        namespace: "k8s",
        kind: "NodeStatuses.kubernetes.talos.dev",
    },
    decode: |_, spec| cordoned(spec).map(Some),
    publish: |facts, statuses| keep(&mut facts.cordoned, statuses),
    never_empty: false,
    purpose: Purpose::new("whether the node is cordoned").since(1, 5),
};

/// Lists of addresses by what has found them; of the three, the one of [`API_SERVERS_ID`] alone forgets a control plane
/// soon after it has stopped.
pub(in crate::talos) const ENDPOINTS: Kind = Kind {
    namespace: "controlplane",
    kind: "Endpoints.kubernetes.talos.dev",
};

/// Id of the [`ENDPOINTS`] that Kubernetes itself keeps, in its EndpointSlice `kubernetes`: each API server renews its lease
/// there, through the etcd of its own node.
pub(in crate::talos) const API_SERVERS_ID: &str = "kube-apiserver";

/// How many control planes serve: a look at etcd is due when that changes.
pub(super) const API_SERVERS: Source<usize> = Source {
    kind: ENDPOINTS,
    decode: |id, spec| match id {
        API_SERVERS_ID => api_servers(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, lists| {
        let servers = lists.values().next().copied();
        replace(&mut facts.api_servers, servers.unwrap_or_default())
    },
    never_empty: false,
    purpose: Purpose::new("whether etcd can do without this node"),
};

/// Extensions; one of them is the schematic.
pub(super) const EXTENSIONS: Source<Extension> = Source {
    kind: Kind {
        namespace: "runtime",
        kind: "ExtensionStatuses.runtime.talos.dev",
    },
    decode: |_, spec| extension(spec),
    publish: |facts, extensions| {
        let mut extensions: Vec<_> = extensions.values().cloned().collect();
        extensions.sort();
        replace(&mut facts.node.extensions, extensions)
    },
    never_empty: false,
    purpose: Purpose::new("extensions and schematic"),
};

/// Since Talos 1.5.
pub(super) const SECURE_BOOT: Source<bool> = Source {
    kind: Kind {
        namespace: "runtime",
        kind: "SecurityStates.talos.dev",
    },
    decode: |id, spec| match id {
        "securitystate" => secure_boot(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, states| keep(&mut facts.node.secure_boot, states),
    never_empty: false,
    purpose: Purpose::new("Secure Boot").since(1, 5),
};

const SYSTEM_INFORMATION: Kind = Kind {
    namespace: "hardware",
    kind: "SystemInformations.hardware.talos.dev",
};

/// Id of the one [`SYSTEM_INFORMATION`].
pub(super) const SYSTEM_INFORMATION_ID: &str = "systeminformation";

pub(super) const SYSTEM_UUID: Source<String> = Source {
    kind: SYSTEM_INFORMATION,
    decode: |id, spec| match id {
        SYSTEM_INFORMATION_ID => system_uuid(spec).map(Some),
        _ => Ok(None),
    },
    publish: |facts, uuids| keep(&mut facts.node.system_uuid, uuids),
    never_empty: false,
    purpose: Purpose::new("UUID"),
};

fn machine_status(spec: &[u8]) -> Result<(Stage, Readiness), Malformed> {
    let spec = MachineStatusSpec::decode(spec)?;
    let status = spec.status.unwrap_or_default();
    let names = status.unmet_conditions.into_iter();
    Ok((
        stage_of(spec.stage),
        Readiness {
            ready: status.ready,
            unmet_conditions: names.map(|condition| condition.name).collect(),
        },
    ))
}

/// The stage of a MachineStatus spec.
pub(in crate::talos) fn stage(spec: &[u8]) -> Result<Stage, Malformed> {
    machine_status(spec).map(|(stage, _)| stage)
}

/// The type; `None` while there is no machine config.
pub(in crate::talos) fn machine_type(spec: &[u8]) -> Result<Option<MachineType>, Malformed> {
    let spec = MachineTypeSpec::decode(spec)?;
    Ok(match ConfigType::try_from(spec.machine_type) {
        Ok(ConfigType::Init) => Some(MachineType::Init),
        Ok(ConfigType::ControlPlane) => Some(MachineType::ControlPlane),
        Ok(ConfigType::Worker) => Some(MachineType::Worker),
        Ok(ConfigType::Unknown) | Err(_) => None,
    })
}

fn node_name(spec: &[u8]) -> Result<String, Malformed> {
    let spec = NodenameSpec::decode(spec)?;
    match spec.nodename.is_empty() {
        true => Err(Malformed::NoName),
        false => Ok(spec.nodename),
    }
}

fn cordoned(spec: &[u8]) -> Result<bool, Malformed> {
    Ok(NodeStatusSpec::decode(spec)?.unschedulable)
}

fn kubelet_addresses(spec: &[u8]) -> Result<Vec<IpAddr>, Malformed> {
    ips(&NodeIpSpec::decode(spec)?.addresses)
}

/// How many API servers an Endpoints spec names, each by one address of a family.
///
/// With addresses of both families the smaller number counts: a server that has one of each is one, and Talos keeps
/// those of a family that Kubernetes has given up.
pub(in crate::talos) fn api_servers(spec: &[u8]) -> Result<usize, Malformed> {
    let addresses = ips(&EndpointSpec::decode(spec)?.addresses)?;
    let distinct: BTreeSet<_> = addresses.iter().map(IpAddr::to_canonical).collect();
    let v4 = distinct.iter().filter(|address| address.is_ipv4()).count();
    let v6 = distinct.len().saturating_sub(v4);
    Ok(if v4 == 0 || v6 == 0 {
        distinct.len()
    } else {
        v4.min(v6)
    })
}

fn extension(spec: &[u8]) -> Result<Option<Extension>, Malformed> {
    let metadata = Layer::decode(spec)?.metadata.unwrap_or_default();
    Ok((!metadata.name.is_empty()).then_some(Extension {
        name: metadata.name,
        version: metadata.version,
    }))
}

fn secure_boot(spec: &[u8]) -> Result<bool, Malformed> {
    Ok(SecurityStateSpec::decode(spec)?.secure_boot)
}

/// The UUID of a SystemInformation spec; empty when the firmware has none.
fn system_uuid(spec: &[u8]) -> Result<String, Malformed> {
    Ok(SystemInformationSpec::decode(spec)?.uuid)
}

#[cfg(test)]
mod tests {
    use super::super::Resources;
    use super::super::tests::decode_all;
    use super::*;
    use crate::facts::Facts;
    use crate::talos::proto::common::NetIp;

    /// Specs as Talos serialises them: field numbers as in its api/resource/definitions.
    const NOT_READY: &[u8] =
        b"\x08\x04\x12\x1e\x12\x0f\x0a\x07network\x12\x04wait\x12\x0b\x0a\x09nodeReady";
    const EXTENSION: &[u8] = b"\x0a\x060.sqsh\x12\x15\x0a\x0biscsi-tools\x12\x06v0.1.6";
    const NODE_IPS: &[u8] =
        b"\x0a\x12\x0a\x10\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\x0a\x06\x0a\x04\x0a\0\0\x05";
    const SYSTEM: &[u8] = b"\x0a\x0cVMware, Inc.\x2a\x24564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d";

    #[test]
    fn stage_and_readiness_are_told_at_once() {
        let status = (STAGE.decode)("machine", NOT_READY).unwrap().unwrap();
        let mut facts = Facts::default();
        let statuses = Resources::from([("machine".to_owned(), status)]);
        assert!((STAGE.publish)(&mut facts, &statuses));
        assert_eq!(facts.stage, Some(Stage::Running));
        assert_eq!(
            facts.node.readiness,
            Some(Readiness {
                ready: false,
                unmet_conditions: vec!["network".into(), "nodeReady".into()],
            })
        );
        assert!(!(STAGE.publish)(&mut facts, &statuses), "nothing new");
        assert_eq!((STAGE.decode)("other", NOT_READY), Ok(None));
    }

    #[test]
    fn a_shutdown_stays_one_until_the_machine_is_seen_in_another_stage_than_rebooting() {
        let mut facts = Facts::default();
        for (seen, stage) in [
            (Stage::Rebooting, Stage::Rebooting),
            (Stage::Running, Stage::Running),
            (Stage::ShuttingDown, Stage::ShuttingDown),
            (Stage::Rebooting, Stage::ShuttingDown),
            (Stage::Booting, Stage::Booting),
            (Stage::Rebooting, Stage::Rebooting),
        ] {
            let status = (seen, Readiness::default());
            let statuses = Resources::from([("machine".to_owned(), status)]);
            (STAGE.publish)(&mut facts, &statuses);
            assert_eq!(facts.stage, Some(stage), "{seen:?}");
        }
    }

    #[test]
    fn machine_types_have_their_numbers() {
        for (spec, machine_type) in [
            (&[8, 1][..], Some(MachineType::Init)),
            (&[8, 2], Some(MachineType::ControlPlane)),
            (&[8, 3], Some(MachineType::Worker)),
            (&[8, 9], None),
            (&[], None),
        ] {
            let decoded = (TYPE.decode)("machine-type", spec);
            assert_eq!(decoded, Ok(machine_type), "{spec:?}");
        }
    }

    #[test]
    fn a_worker_is_no_member_of_etcd() {
        let types = |one| Resources::from([("machine-type".to_owned(), one)]);
        let mut facts = Facts::default();
        assert!((TYPE.publish)(
            &mut facts,
            &types(MachineType::ControlPlane)
        ));
        assert_eq!(facts.etcd_part, None, "that is asked for");
        assert!((TYPE.publish)(&mut facts, &types(MachineType::Worker)));
        assert_eq!(facts.etcd_part, Some(EtcdPart::NotMember));
        assert!(!(TYPE.publish)(&mut facts, &types(MachineType::Worker)));
    }

    #[test]
    fn a_node_is_cordoned_or_not() {
        for (spec, cordoned) in [
            (
                &b"\x0a\x03cp1\x10\x01\x18\x01\x22\x06\x0a\x01a\x12\x01b"[..],
                true,
            ),
            (b"\x0a\x03cp1\x10\x01", false),
            (b"", false),
        ] {
            assert_eq!((CORDONED.decode)("cp1", spec), Ok(Some(cordoned)));
        }
        assert!((CORDONED.decode)("cp1", b"\xff").is_err());
    }

    #[test]
    fn the_api_servers_are_those_of_kubernetes_own_list_and_none_without_one() {
        let list = b"\x0a\x06\x0a\x04\x0a\0\0\x02\x0a\x06\x0a\x04\x0a\0\0\x03";
        assert_eq!((API_SERVERS.decode)("kube-apiserver", list), Ok(Some(2)));
        assert_eq!((API_SERVERS.decode)("discovery", list), Ok(None));
        let mut facts = Facts::default();
        let servers = Resources::from([("kube-apiserver".to_owned(), 2)]);
        assert!((API_SERVERS.publish)(&mut facts, &servers));
        assert_eq!(facts.api_servers, Some(2));
        assert!((API_SERVERS.publish)(&mut facts, &Resources::from([])));
        assert_eq!(facts.api_servers, Some(0));
    }

    #[test]
    fn names_of_the_node_and_its_extensions() {
        let name = (NODE_NAME.decode)("nodename", b"\x0a\x0atalos-cp-1");
        assert_eq!(name, Ok(Some("talos-cp-1".into())));
        let none = (NODE_NAME.decode)("nodename", b"");
        assert_eq!(none, Err(Malformed::NoName));
        let extension = Extension {
            name: "iscsi-tools".into(),
            version: "v0.1.6".into(),
        };
        assert_eq!((EXTENSIONS.decode)("0", EXTENSION), Ok(Some(extension)));
        assert_eq!((EXTENSIONS.decode)("0", b""), Ok(None));
        let mut facts = Facts::default();
        assert!((EXTENSIONS.publish)(&mut facts, &Resources::from([])));
        assert_eq!(facts.node.extensions, Some(Vec::new()));
    }

    #[test]
    fn the_kubelets_addresses_keep_their_order_and_go_with_the_resource() {
        let id = "kubelet";
        let list = (KUBELET_ADDRESSES.decode)(id, NODE_IPS).unwrap().unwrap();
        let ips = ["fd00::5", "10.0.0.5"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert_eq!(list, ips);
        assert_eq!((KUBELET_ADDRESSES.decode)("other", NODE_IPS), Ok(None));
        let mut facts = Facts::default();
        let publish = KUBELET_ADDRESSES.publish;
        assert!(publish(&mut facts, &[(id.to_owned(), list)].into()));
        assert_eq!(facts.kubelet_addresses.as_deref(), Some(&ips[..]));
        assert!(publish(&mut facts, &Resources::from([])));
        assert_eq!(facts.kubelet_addresses, Some(Vec::new()));
    }

    #[test]
    fn an_api_server_is_counted_once_and_a_family_that_is_given_up_adds_none() {
        let endpoints = |addresses: &[&str]| {
            let address = |text: &&str| NetIp {
                ip: match text.parse().unwrap() {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                },
            };
            EndpointSpec {
                addresses: addresses.iter().map(address).collect(),
            }
            .encode_to_vec()
        };
        let cases: [(&[&str], usize); 8] = [
            (&[], 0),
            (&["10.5.0.2"], 1),
            (&["10.5.0.2", "10.5.0.3", "10.5.0.4"], 3),
            (&["10.5.0.2", "10.5.0.3", "10.5.0.2"], 2),
            (&["fd00::2", "fd00::3"], 2),
            (&["10.5.0.2", "10.5.0.3", "fd00::2", "fd00::3"], 2),
            (&["10.5.0.2", "fd00::2", "fd00::3", "fd00::4"], 1),
            (&["10.5.0.2", "::ffff:10.5.0.2"], 1),
        ];
        for (addresses, expected) in cases {
            let counted = api_servers(&endpoints(addresses));
            assert_eq!(counted, Ok(expected), "{addresses:?}");
        }
        assert!(api_servers(&[0x0a, 0x03, 0x0a, 0x01, 0x07]).is_err());
    }

    #[test]
    fn secure_boot_and_uuid() {
        let id = "securitystate";
        assert_eq!((SECURE_BOOT.decode)(id, &[8, 1]), Ok(Some(true)));
        assert_eq!((SECURE_BOOT.decode)(id, &[]), Ok(Some(false)));
        let uuid = (SYSTEM_UUID.decode)(SYSTEM_INFORMATION_ID, SYSTEM);
        assert_eq!(
            uuid,
            Ok(Some("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d".into()))
        );
        let none = (SYSTEM_UUID.decode)(SYSTEM_INFORMATION_ID, &[]);
        assert_eq!(none, Ok(Some(String::new())));
    }

    #[test]
    fn truncated_specs_never_panic() {
        for vector in [NOT_READY, EXTENSION, NODE_IPS, SYSTEM] {
            for len in 0..vector.len() {
                decode_all(&vector[..len]);
            }
        }
    }
}
