//! etcd: its members, who of them leads, and the API servers that Kubernetes has heard of lately.
//!
//! A node has an etcd of its own, [`Apid::set_etcd`], or shares one with others, [`Apid::set_etcd_backend`].
//!
//! Faults are those of every call: [`Apid::delay`], [`Apid::allow`], [`Apid::fail_next`] and [`Apid::on_step`] of
//! [`crate::Method::EtcdMemberList`] and [`crate::Method::Get`].

mod backend;
mod cluster;

use std::net::IpAddr;
use std::sync::Arc;

use prost::Message;

use crate::Apid;
use crate::proto::common::NetIp;
use crate::proto::definitions::k8s::EndpointSpec;
use crate::proto::machine::{EtcdMember, EtcdMemberStatus};
use crate::resources::bytes;

pub use backend::EtcdBackend;
pub(crate) use backend::{ask, forfeit_own};
pub use cluster::EtcdCluster;

/// Type of Endpoint; namespace [`ENDPOINTS_NAMESPACE`].
pub const ENDPOINTS: &str = "Endpoints.kubernetes.talos.dev";
/// Its namespace.
pub const ENDPOINTS_NAMESPACE: &str = "controlplane";
/// Id of the list that Kubernetes keeps.
pub const API_SERVERS: &str = "kube-apiserver";

/// The member of the control plane with this number, from 1.
fn member(number: usize, is_learner: bool) -> EtcdMember {
    EtcdMember {
        id: number as u64,
        hostname: format!("talos-cp-{number}"),
        peer_urls: vec![format!("https://10.5.0.{}:2380", number + 1)],
        client_urls: vec![format!("https://10.5.0.{}:2379", number + 1)],
        is_learner,
    }
}

impl Apid {
    /// Makes etcd of so many members that vote and so many learners. This node is the first of them, and leads.
    pub fn set_etcd(&self, voters: usize, learners: usize) {
        let members = (1..=voters + learners).map(|number| member(number, number > voters));
        let members: Vec<_> = members.collect();
        self.update_etcd(|status, known| {
            (status.member_id, status.leader) = (1, 1);
            status.is_learner = voters == 0;
            *known = members;
        });
    }

    /// Has the member with this number lead the etcd of [`Self::set_etcd`].
    pub fn set_etcd_leader(&self, number: u64) {
        self.update_etcd(|status, _| {
            status.leader = number;
            status.raft_term += 1;
        });
    }

    /// Changes what EtcdStatus and EtcdMemberList say where no backend does; nothing on a worker.
    pub fn update_etcd(&self, change: impl FnOnce(&mut EtcdMemberStatus, &mut Vec<EtcdMember>)) {
        self.update_node(|node| {
            if let Some((status, members)) = &mut node.contents.etcd {
                change(status, members);
            }
        });
    }

    /// Has an etcd answer that is not this node's alone: EtcdStatus, EtcdMemberList and EtcdForfeitLeadership.
    pub fn set_etcd_backend(&self, etcd: Arc<dyn EtcdBackend>) {
        self.shared().set_etcd(etcd);
    }

    /// Sets the addresses of the API servers whose leases have not run out.
    ///
    /// # Panics
    /// When one of the texts is no address.
    pub fn set_api_servers(&self, addresses: &[&str]) {
        let address = |text: &&str| NetIp {
            ip: bytes(text.parse::<IpAddr>().expect("an IP address")),
        };
        let spec = EndpointSpec {
            addresses: addresses.iter().map(address).collect(),
        };
        self.put(
            ENDPOINTS,
            ENDPOINTS_NAMESPACE,
            API_SERVERS,
            spec.encode_to_vec(),
        );
    }
}
