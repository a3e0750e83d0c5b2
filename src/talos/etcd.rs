//! What this node is in etcd, and whether etcd could do without it for a while: how many members vote, and how many
//! control planes serve.
//!
//! ```text
//! EtcdStatus, of this node's member ──► part    leader, voter or learner
//! EtcdMemberList, of any member ──────► voters  an answer proves that there is a quorum now
//! Endpoints, of Kubernetes' leases ───► live    no call says which members are up, not even to os:admin
//! ```
//! An API server serves through the etcd of its own node and renews a lease in it, so one that is listed stands for a
//! member that works. The count is one of the past: a control plane that has just died is listed for some 15 to 25 s
//! more. Where it can be wrong otherwise it is too low, so that a freeze is refused, or an operation held, rather than
//! quorum lost:
//!
//! - This node counts as one of those that are listed, even if its own API server is down and it is not.
//! - API servers that all announce one address, such as a load balancer's, count as one.
//! - With no list at all, before Kubernetes has begun, this node is the only one.
//!
//! The roles are those of reading: os:operator may make all three calls in every release since 1.4.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::{Code, Response, Status as GrpcStatus};

use super::client::{CALL_TIMEOUT, Client, one};
use super::error::Error;
use super::facts;
use super::proto::machine::EtcdMemberListRequest;
use crate::backoff::Backoff;
use crate::facts::{Etcd, EtcdLook, EtcdPart, EtcdQuestion, Facts};

/// How long all calls may take together; they run side by side. A host waits for its freeze.
const PATIENCE: Duration = Duration::from_millis(500);

/// First and longest delay before Talos is asked again for what is followed.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Longest delay while nothing answers; the observer retries at least as often.
const AWAY: Duration = Duration::from_secs(5);

/// Delay after a refusal that will not change.
const REFUSED: Duration = Duration::from_secs(300);

/// Talos' words on a worker, in every release since 1.4 [internal/app/internal/machinehelper/machinehelper.go].
const NO_CONTROL_PLANE: &str = "only available on control plane nodes";

/// What Talos says of etcd within half a second. What a worker says is that it is no member.
pub async fn look_at_etcd(client: &Client) -> EtcdLook {
    let members = async { tokio::try_join!(members(client), live(client)) };
    let (status, members) = tokio::join!(in_time(status(client)), in_time(members));
    EtcdLook {
        part: status.map(part_of),
        members: members.and_then(|(members, live)| {
            members.map(|Members { voters, .. }| Etcd { voters, live })
        }),
    }
}

/// Asks for this of etcd until Talos has said it, ever more slowly, and makes facts of it; what Talos does not say stays.
/// How many control planes serve is known from the watch, so it takes one call for the part and one for the members.
pub async fn follow_etcd(client: &Client, what: EtcdQuestion, facts: &watch::Sender<Facts>) {
    let mut backoff = Backoff::jittered(RETRY.0, RETRY.1);
    let (mut wants_part, mut wants_members) =
        (what != EtcdQuestion::Members, what != EtcdQuestion::Part);
    while wants_part || wants_members {
        let (status, members) = tokio::join!(
            if_wanted(wants_part, status(client)),
            if_wanted(wants_members, members(client))
        );
        let mut delay = backoff.next_delay();
        let errors = [status.as_ref().err(), members.as_ref().err()];
        for error in errors.into_iter().flatten() {
            if is_final(client, error) {
                delay = REFUSED;
            } else if matches!(error, Error::Unreachable { .. }) {
                delay = delay.min(AWAY);
            }
        }
        wants_part = status.is_err();
        wants_members = members.is_err();
        let (status, members) = (status.ok().flatten(), members.ok().flatten().flatten());
        facts.send_if_modified(|facts| {
            let members = members.zip(facts.api_servers);
            facts.replace_etcd(EtcdLook {
                part: status.map(part_of),
                members: members.map(|(Members { voters, .. }, servers)| Etcd {
                    voters,
                    live: servers.max(1),
                }),
            })
        });
        if wants_part || wants_members {
            sleep(delay).await;
        }
    }
}

async fn if_wanted<T>(
    wanted: bool,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<Option<T>, Error> {
    match wanted {
        true => answer.await.map(Some),
        false => Ok(None),
    }
}

/// Whether Talos would say the same again.
fn is_final(client: &Client, error: &Error) -> bool {
    match error {
        Error::Denied { .. } => !client.denial_may_pass(),
        Error::Unsupported { .. } => true,
        _ => false,
    }
}

/// A worker is no member.
fn part_of(status: Option<Status>) -> EtcdPart {
    status.map_or(EtcdPart::NotMember, |status| status.part)
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Option<T> {
    timeout(PATIENCE, answer).await.ok()?.ok()
}

/// What this node's own member says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) part: EtcdPart,
    /// What is wrong with it, in etcd's words.
    pub(super) errors: Vec<String>,
}

/// Asks this node's own member; `None` on a worker.
pub(super) async fn status(client: &Client) -> Result<Option<Status>, Error> {
    const CALL: &str = "EtcdStatus";
    let request = client.request(());
    let mut machine = client.machine().await?;
    let answer = on_a_control_plane(client, CALL, machine.etcd_status(request)).await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let message = one(CALL, answer.messages, |message| &message.metadata)?;
    let status = message.member_status.ok_or(Error::Malformed {
        call: CALL,
        problem: "no status in it",
    })?;
    let part = match status.is_learner {
        true => EtcdPart::Learner,
        false if status.leader == status.member_id => EtcdPart::Leader,
        false => EtcdPart::Voter,
    };
    Ok(Some(Status {
        part,
        errors: status.errors,
    }))
}

/// The members of etcd, those included that were added and have never started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Members {
    /// Those that vote, one at least.
    pub(super) voters: usize,
    /// Those that do not vote yet.
    pub(super) learners: usize,
}

/// Asks any member; `None` on a worker.
pub(super) async fn members(client: &Client) -> Result<Option<Members>, Error> {
    const CALL: &str = "EtcdMemberList";
    // Any member may answer, so that an etcd that is only down here does not hide the others.
    let request = client.request(EtcdMemberListRequest { query_local: false });
    let mut machine = client.machine().await?;
    let answer = on_a_control_plane(client, CALL, machine.etcd_member_list(request)).await?;
    let Some(answer) = answer else {
        return Ok(None);
    };
    let members = one(CALL, answer.messages, |message| &message.metadata)?.members;
    let learners = members.iter().filter(|member| member.is_learner).count();
    match members.len().saturating_sub(learners) {
        0 => Err(Error::Malformed {
            call: CALL,
            problem: "no member that votes",
        }),
        voters => Ok(Some(Members { voters, learners })),
    }
}

/// Waits for an answer; `None` where Talos says that this is a worker, which is no trouble.
async fn on_a_control_plane<T>(
    client: &Client,
    call: &'static str,
    answer: impl Future<Output = Result<Response<T>, GrpcStatus>>,
) -> Result<Option<T>, Error> {
    match client.answer(call, CALL_TIMEOUT, answer).await {
        Ok(answer) => {
            client.served().served(call);
            Ok(Some(answer))
        }
        Err(Error::Unsupported { message, .. }) if message.contains(NO_CONTROL_PLANE) => Ok(None),
        Err(error) => {
            client.note_refusal(call, &error);
            Err(error)
        }
    }
}

/// Control planes whose API server serves, this node always among them.
pub(super) async fn live(client: &Client) -> Result<usize, Error> {
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
