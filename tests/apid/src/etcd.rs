//! etcd: its members, and the API servers that Kubernetes has heard of lately.
//!
//! Faults are those of every call: [`Apid::delay`], [`Apid::allow`], [`Apid::fail_next`] and [`Apid::on_step`] of
//! [`crate::Method::EtcdMemberList`] and [`crate::Method::Get`].

use std::net::IpAddr;

use prost::Message;

use crate::Apid;
use crate::proto::common::NetIp;
use crate::proto::definitions::k8s::EndpointSpec;
use crate::proto::machine::EtcdMember;
use crate::resources::bytes;

/// Type of Endpoint; namespace [`ENDPOINTS_NAMESPACE`].
pub const ENDPOINTS: &str = "Endpoints.kubernetes.talos.dev";
/// Its namespace.
pub const ENDPOINTS_NAMESPACE: &str = "controlplane";
/// Id of the list that Kubernetes keeps.
pub const API_SERVERS: &str = "kube-apiserver";

impl Apid {
    /// Makes etcd of so many members that vote, this node the first of them, and so many learners.
    pub fn set_etcd(&self, voters: usize, learners: usize) {
        let member = |number: usize| EtcdMember {
            id: number as u64,
            hostname: format!("talos-cp-{number}"),
            peer_urls: vec![format!("https://10.5.0.{}:2380", number + 1)],
            client_urls: vec![format!("https://10.5.0.{}:2379", number + 1)],
            is_learner: number > voters,
        };
        let members = (1..=voters + learners).map(member).collect();
        self.update_node(|node| {
            if let Some((_, known)) = &mut node.contents.etcd {
                *known = members;
            }
        });
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
