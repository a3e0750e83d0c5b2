//! Whether etcd could do without this node for a while: how many members vote, and how many control planes serve.
//!
//! ```text
//! EtcdMemberList, of any member ──► voters      an answer proves that there is a quorum now
//! Endpoints, of Kubernetes' leases ──► live     no call says which members are up, not even to os:admin
//! ```
//! An API server serves through the etcd of its own node and renews a lease in it, so one that is listed stands for a
//! member that works. The count is one of the past: a control plane that has just died is listed for some 15 to 25 s
//! more. Where it can be wrong otherwise it is too low, so that a freeze is refused rather than quorum lost:
//!
//! - This node counts as one of those that are listed, even if its own API server is down and it is not.
//! - API servers that all announce one address, such as a load balancer's, count as one.
//! - With no list at all, before Kubernetes has begun, this node is the only one.
//!
//! The roles are those of reading: os:reader and os:operator may make both calls in every release since 1.4.

use std::time::Duration;

use tokio::time::timeout;
use tonic::Code;

use super::client::{CALL_TIMEOUT, Client, one};
use super::error::Error;
use super::facts;
use super::proto::machine::EtcdMemberListRequest;
use crate::facts::Etcd;

/// How long both calls may take together; they run side by side. A host waits for its freeze.
const PATIENCE: Duration = Duration::from_millis(500);

/// What Talos says of etcd; `None` when it does not within half a second. Only a control plane can say.
pub async fn look_at_etcd(client: &Client) -> Option<Etcd> {
    let both = async { tokio::try_join!(voters(client), live(client)) };
    let (voters, live) = timeout(PATIENCE, both).await.ok()?.ok()?;
    Some(Etcd { voters, live })
}

/// Members that vote, those included that were added and have never started. Learners do not.
async fn voters(client: &Client) -> Result<usize, Error> {
    const CALL: &str = "EtcdMemberList";
    // Any member may answer, so that an etcd that is only down here does not hide the others.
    let request = client.request(EtcdMemberListRequest { query_local: false });
    let mut machine = client.machine().await?;
    let answer = client
        .unary(CALL, CALL_TIMEOUT, machine.etcd_member_list(request))
        .await?;
    let members = one(CALL, answer.messages, |message| &message.metadata)?.members;
    match members.iter().filter(|member| !member.is_learner).count() {
        0 => Err(Error::Malformed {
            call: CALL,
            problem: "no member that votes",
        }),
        voters => Ok(voters),
    }
}

/// Control planes whose API server serves, this node always among them.
async fn live(client: &Client) -> Result<usize, Error> {
    let servers = match client.get(&facts::ENDPOINTS, facts::API_SERVERS_ID).await {
        Ok(spec) => facts::api_servers(&spec).map_err(|_| Error::Malformed {
            call: facts::ENDPOINTS.kind,
            problem: "the spec does not decode",
        })?,
        Err(Error::Talos {
            code: Code::NotFound,
            ..
        }) => 0,
        Err(error) => return Err(error),
    };
    Ok(servers.max(1))
}
