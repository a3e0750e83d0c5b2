//! What answers the etcd methods: the node's own [`Contents`](crate::contents::Contents), or an etcd that several nodes
//! share.

use std::fmt::Debug;
use std::sync::Arc;

use tonic::Status;

use crate::proto::machine::{EtcdMember, EtcdMemberStatus};
use crate::shared::Shared;

/// The etcd of a cluster, as the Talos of one of its nodes sees it. The methods may block: they are called on a thread
/// of their own.
pub trait EtcdBackend: Debug + Send + Sync {
    /// What this node's own member says (EtcdStatus).
    ///
    /// # Errors
    /// What Talos answers where that member is down.
    fn status(&self) -> Result<EtcdMemberStatus, Status>;

    /// The members in etcd's order (EtcdMemberList), of this node's own member or of any.
    ///
    /// # Errors
    /// What Talos answers where there is no quorum.
    fn members(&self, local: bool) -> Result<Vec<EtcdMember>, Status>;

    /// Moves the leadership from this node's member to the first other one of the list (EtcdForfeitLeadership); its name,
    /// empty when this node does not lead.
    ///
    /// # Errors
    /// What Talos answers where that cannot be done.
    fn forfeit(&self) -> Result<String, Status>;
}

fn on_a_worker() -> Status {
    Status::unimplemented("this method is only available on control plane nodes")
}

/// Talos' words around etcd's.
pub(super) fn cannot_forfeit(why: &str) -> Status {
    Status::unknown(format!("failed to forfeit leadership: {why}"))
}

/// To whom Talos moves the leadership: the first other member, learner or not.
///
/// [internal/pkg/etcd/etcd.go]
pub(super) fn transferee(members: &[EtcdMember], own: u64) -> Result<&EtcdMember, Status> {
    let other = members.iter().find(|member| member.id != own);
    let other =
        other.ok_or_else(|| cannot_forfeit("cannot forfeit leadership, only one member"))?;
    if other.is_learner {
        return Err(cannot_forfeit("etcdserver: bad leader transferee"));
    }
    Ok(other)
}

/// Asks the backend, or answers from the node's own contents.
pub(crate) async fn ask<T: Send + 'static>(
    shared: &Arc<Shared>,
    backend: impl FnOnce(&dyn EtcdBackend) -> Result<T, Status> + Send + 'static,
    own: impl FnOnce(&mut EtcdMemberStatus, &[EtcdMember]) -> Result<T, Status>,
) -> Result<T, Status> {
    if let Some(etcd) = shared.etcd() {
        let asked = tokio::task::spawn_blocking(move || backend(&*etcd));
        return asked
            .await
            .unwrap_or_else(|_| Err(Status::internal("the etcd of the test has panicked")));
    }
    let mut node = shared.node();
    let (status, members) = node.contents.etcd.as_mut().ok_or_else(on_a_worker)?;
    own(status, members)
}

/// What EtcdForfeitLeadership does to the node's own contents.
pub(crate) fn forfeit_own(
    status: &mut EtcdMemberStatus,
    members: &[EtcdMember],
) -> Result<String, Status> {
    let other = transferee(members, status.member_id);
    if members.len() > 1 && status.leader != status.member_id {
        return Ok(String::new());
    }
    let other = other?;
    status.leader = other.id;
    status.raft_term += 1;
    Ok(other.hostname.clone())
}
