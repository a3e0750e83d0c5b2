//! What is known of the node: plain types without any wire form.
//!
//! The Talos watchers write one [`Facts`] value and replace it whole on every change; the services
//! compare it with what the host last acknowledged. A field is `None` until Talos has reported it
//! once; afterwards it keeps the last known value, also while Talos is away. So `None` always means "not known
//! yet", never "gone", and nothing made up is ever reported.

mod counters;
mod etcd;
mod kernel;
mod life;
mod link;
mod load;
mod machine;
mod network_state;
mod node;
#[cfg(test)]
pub(crate) mod of_layout;
mod storage;

pub use counters::Counters;
pub use etcd::{Etcd, EtcdLook, EtcdPart, EtcdQuestion};
pub use kernel::{
    DiskCounters, KernelPart, MemoryBlock, MemoryBlocks, Processor, ProcessorTimes, Reading,
};
pub use life::Life;
pub use link::{Address, AddressScope, AddressStatus, Link, Mac};
pub use load::{DiskLoad, Load, Memory};
pub use machine::Machine;
pub use network_state::{
    AddressSource, DhcpClient, Direction, NetworkState, Resolver, Route, Traffic,
};
pub use node::{Extension, MachineType, Node, Readiness, is_valid_uuid};
pub use storage::{Disk, DiskAddress, Mount, PciAddress, Space, Storage, Volume};

use std::collections::BTreeSet;
use std::net::IpAddr;

/// Everything known of the node at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Host name, from HostnameStatus.
    pub host_name: Option<HostName>,
    /// All network links, from LinkStatus; known once the first watch has been bootstrapped.
    pub links: Option<Vec<Link>>,
    /// All addresses of all links, from AddressStatus; known once the first watch has been bootstrapped.
    pub addresses: Option<Vec<Address>>,
    /// Talos' lists of the node's addresses, from NodeAddress.
    pub node_addresses: Option<NodeAddresses>,
    /// The addresses that the kubelet registers, in its order, from NodeIP; empty without a kubelet.
    pub kubelet_addresses: Option<Vec<IpAddr>>,
    /// Floating addresses shared by several nodes that this node holds now, from the AddressSpecs that the VIP
    /// operator makes (OperatorSpec itself is open to os:admin only).
    pub virtual_ips: Option<BTreeSet<IpAddr>>,
    /// Routes, resolvers, and where addresses come from.
    pub network: NetworkState,
    /// Which Talos runs, from the Version call.
    pub talos: Option<TalosVersion>,
    /// What the machine is doing, from MachineStatus.
    pub stage: Option<Stage>,
    /// What else Talos reports of the machine itself.
    pub node: Node,
    /// What this node is in etcd, from EtcdStatus when it was last asked for.
    pub etcd_part: Option<EtcdPart>,
    /// The members of etcd, when they were last asked for; `None` on a worker.
    pub etcd: Option<Etcd>,
    /// Control planes whose API server serves, from Endpoints.
    pub api_servers: Option<usize>,
    /// Whether Kubernetes schedules nothing on this node, from NodeStatus.
    pub cordoned: Option<bool>,
    /// File systems and disks.
    pub storage: Storage,
}

impl Facts {
    /// Whether this node is a control plane, or may be one: right after the start its type is not known. A machine that
    /// waits for its config is none.
    pub fn may_be_control_plane(&self) -> bool {
        match self.node.machine_type {
            Some(machine_type) => machine_type.is_control_plane(),
            None => self.stage != Some(Stage::Maintenance),
        }
    }

    /// Takes what Talos says of etcd; whether it is new. What it does not say stays.
    pub fn replace_etcd(&mut self, look: EtcdLook) -> bool {
        let part = look.part.map(|part| replace(&mut self.etcd_part, part));
        let members = look.members.map(|members| replace(&mut self.etcd, members));
        part == Some(true) || members == Some(true)
    }
}

/// Sets a fact; whether it is a new one.
pub fn replace<T: PartialEq>(fact: &mut Option<T>, value: T) -> bool {
    let changed = fact.as_ref() != Some(&value);
    *fact = Some(value);
    changed
}

/// The node's name as Talos resolved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// First label.
    pub host: String,
    /// Domain without a leading dot; empty when there is none.
    pub domain: String,
}

impl HostName {
    /// `host.domain`, or the host alone when there is no domain.
    pub fn fqdn(&self) -> String {
        if self.domain.is_empty() {
            self.host.clone()
        } else {
            format!("{}.{}", self.host, self.domain)
        }
    }
}

/// Address lists that Talos keeps under NodeAddress, each in Talos' order; empty when Talos has no such list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAddresses {
    /// `default`: one sticky address.
    pub default: Vec<IpAddr>,
    /// `current`: all usable addresses.
    pub current: Vec<IpAddr>,
    /// `current-no-k8s`: `current` without pod and service ranges.
    pub current_no_k8s: Vec<IpAddr>,
    /// `routed`: `current` without external and SideroLink addresses.
    pub routed: Vec<IpAddr>,
    /// `routed-no-k8s`: `routed` without pod and service ranges; exists once Kubernetes is configured.
    pub routed_no_k8s: Vec<IpAddr>,
}

impl NodeAddresses {
    /// The best view of the node's own reachable addresses: `routed-no-k8s`, else `routed`, else the
    /// `current` lists, else `default`.
    pub fn best(&self) -> &[IpAddr] {
        [
            &self.routed_no_k8s,
            &self.routed,
            &self.current_no_k8s,
            &self.current,
            &self.default,
        ]
        .into_iter()
        .find(|list| !list.is_empty())
        .map_or(&[], Vec::as_slice)
    }
}

/// Which Talos runs on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TalosVersion {
    /// Release tag such as `v1.13.0`.
    pub tag: String,
    /// Architecture in Go's spelling, `amd64` or `arm64`.
    pub arch: String,
    /// Platform name such as `vmware` or `metal`.
    pub platform: String,
}

impl TalosVersion {
    /// Major and minor number of a release tag such as `v1.13.0-beta.1`; `None` where it is no such tag.
    pub fn release(tag: &str) -> Option<(u32, u32)> {
        let mut numbers = tag.strip_prefix('v')?.split('.');
        let mut number = || numbers.next()?.parse().ok();
        Some((number()?, number()?))
    }
}

/// What the machine is doing (runtime MachineStatus `stage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// 0: not said.
    Unknown,
    /// 1
    Booting,
    /// 2
    Installing,
    /// 3: waiting for a machine config.
    Maintenance,
    /// 4
    Running,
    /// 5: a reboot sequence is under way.
    Rebooting,
    /// 6: a shutdown sequence is under way.
    ShuttingDown,
    /// 7
    Resetting,
    /// 8
    Upgrading,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_type_may_be_a_control_plane_unless_it_waits_for_its_config() {
        for (machine_type, stage, may_be) in [
            (None, None, true),
            (None, Some(Stage::Booting), true),
            (None, Some(Stage::Maintenance), false),
            (Some(MachineType::Init), None, true),
            (Some(MachineType::Worker), None, false),
        ] {
            let mut facts = Facts {
                stage,
                ..Facts::default()
            };
            facts.node.machine_type = machine_type;
            let shown = format!("{machine_type:?} {stage:?}");
            assert_eq!(facts.may_be_control_plane(), may_be, "{shown}");
        }
    }
}
