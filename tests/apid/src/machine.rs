//! The machine itself: what it is, how it is doing, what it is made of.

use prost::Message;

use crate::proto::definitions::extensions::{Layer, Metadata};
use crate::proto::definitions::hardware::SystemInformationSpec;
use crate::proto::definitions::k8s::{NodeStatusSpec, NodenameSpec};
use crate::proto::definitions::runtime::{
    MachineStatusSpec, MachineStatusStatus, SecurityStateSpec, UnmetCondition,
};
use crate::proto::resource::config::{MachineType, MachineTypeSpec};
use crate::resources::{self, MACHINE_STATUS};
use crate::shared::Shared;
use crate::{Apid, Stage};

/// Type of MachineType; namespace `config`, id `machine-type`.
pub const MACHINE_TYPE: &str = "MachineTypes.config.talos.dev";
/// Type of Nodename; namespace `k8s`, id `nodename`.
pub const NODENAME: &str = "Nodenames.kubernetes.talos.dev";
/// Type of NodeStatus; namespace `k8s`, id is the name of the Kubernetes node.
pub const NODE_STATUS: &str = "NodeStatuses.kubernetes.talos.dev";
/// Type of ExtensionStatus; namespace `runtime`, id is the layer's number.
pub const EXTENSION_STATUS: &str = "ExtensionStatuses.runtime.talos.dev";
/// Type of SecurityState; namespace `runtime`, id `securitystate`.
pub const SECURITY_STATE: &str = "SecurityStates.talos.dev";
/// Type of SystemInformation; namespace `hardware`, id `systeminformation`.
pub const SYSTEM_INFORMATION: &str = "SystemInformations.hardware.talos.dev";

/// Type of MachineConfig; namespace `config`, id `v1alpha1`; os:admin only.
pub const MACHINE_CONFIG: &str = "MachineConfigs.config.talos.dev";

/// The machine.
impl Apid {
    /// Sets MachineStatus with the conditions that are not met; ready when there are none.
    pub fn set_conditions(&self, stage: Stage, unmet: &[&str]) {
        let condition = |name: &&str| UnmetCondition {
            name: (*name).to_owned(),
            reason: "not yet".to_owned(),
        };
        let message = MachineStatusSpec {
            stage: stage.into(),
            status: Some(MachineStatusStatus {
                ready: unmet.is_empty(),
                unmet_conditions: unmet.iter().map(condition).collect(),
            }),
        };
        self.put_spec(MACHINE_STATUS, "runtime", "machine", &message);
    }

    /// Sets MachineType.
    pub fn set_machine_type(&self, machine_type: MachineType) {
        let message = MachineTypeSpec {
            machine_type: machine_type.into(),
        };
        self.put_spec(MACHINE_TYPE, "config", "machine-type", &message);
    }

    /// Sets Nodename, the name of the Kubernetes node.
    pub fn set_node_name(&self, name: &str) {
        let message = NodenameSpec {
            nodename: name.to_owned(),
        };
        self.put_spec(NODENAME, "k8s", "nodename", &message);
    }

    /// Sets NodeStatus: a node that is ready, and cordoned or not.
    pub fn set_node_status(&self, name: &str, cordoned: bool) {
        let message = NodeStatusSpec {
            nodename: name.to_owned(),
            node_ready: true,
            unschedulable: cordoned,
        };
        self.put_spec(NODE_STATUS, "k8s", name, &message);
    }

    /// Cordons the node that NodeStatus is of, or ends that; nothing where there is none.
    pub fn set_cordoned(&self, cordoned: bool) {
        set_cordoned(self.shared(), cordoned);
    }

    /// Sets ExtensionStatus of one layer of the boot image; the image factory's is called `schematic` and has
    /// the schematic's id for version.
    pub fn set_extension(&self, layer: u32, name: &str, version: &str) {
        let message = Layer {
            metadata: Some(Metadata {
                name: name.to_owned(),
                version: version.to_owned(),
            }),
        };
        self.put_spec(EXTENSION_STATUS, "runtime", &layer.to_string(), &message);
    }

    /// Sets SecurityState.
    pub fn set_secure_boot(&self, secure_boot: bool) {
        let message = SecurityStateSpec { secure_boot };
        self.put_spec(SECURITY_STATE, "runtime", "securitystate", &message);
    }

    /// Sets SystemInformation with this UUID.
    pub fn set_system_uuid(&self, uuid: &str) {
        let message = SystemInformationSpec {
            manufacturer: "VMware, Inc.".to_owned(),
            uuid: uuid.to_owned(),
            ..SystemInformationSpec::default()
        };
        self.put_spec(
            SYSTEM_INFORMATION,
            "hardware",
            "systeminformation",
            &message,
        );
    }

    fn put_spec(&self, kind: &str, namespace: &str, id: &str, message: &impl Message) {
        self.put(kind, namespace, id, message.encode_to_vec());
    }
}

fn set_cordoned(shared: &Shared, cordoned: bool) {
    for resource in shared.store.list("k8s", NODE_STATUS) {
        let (metadata, spec) = (
            resource.metadata.unwrap_or_default(),
            resource.spec.unwrap_or_default(),
        );
        let Ok(mut status) = NodeStatusSpec::decode(&*spec.proto_spec) else {
            continue;
        };
        status.unschedulable = cordoned;
        let spec = resources::spec(&status, format!("unschedulable: {cordoned}\n"));
        shared.store.put("k8s", NODE_STATUS, &metadata.id, spec);
    }
}

impl Shared {
    /// Talos cordons the node, if it is one of a Kubernetes cluster.
    pub(crate) fn cordon(&self) {
        set_cordoned(self, true);
    }
}

/// What every node has.
pub(crate) fn healthy(apid: &Apid, host: &str) {
    apid.set_machine_type(if host.contains("-cp-") {
        apid.set_api_servers(&["10.5.0.2"]);
        MachineType::ControlPlane
    } else {
        MachineType::Worker
    });
    apid.set_node_name(host);
    apid.set_node_status(host, false);
    apid.set_extension(0, "talos-vmtoolsd-guest-agent", "v2.0.0");
    apid.set_extension(1, "schematic", SCHEMATIC);
    apid.set_secure_boot(false);
    apid.put_yaml(
        MACHINE_CONFIG,
        "config",
        "v1alpha1",
        "version: v1alpha1\nmachine:\n    token: very.secret\n",
    );
    apid.set_system_uuid("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d");
}

/// Made up, in the form of the image factory's: a SHA-256.
const SCHEMATIC: &str = "6b1fd40a2c38f47a91b2c50e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c";
