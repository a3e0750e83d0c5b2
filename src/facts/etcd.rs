//! What is known of the cluster's etcd.

/// The members of etcd, on a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// Members that vote, this node's among them.
    pub voters: usize,
    /// Control planes that serve now, this node among them.
    pub live: usize,
}
