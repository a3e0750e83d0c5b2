//! Handing over the leadership of etcd, before this node stops or stands still for a moment.
//!
//! ```text
//! EtcdStatus ──leads──► EtcdMemberList, Endpoints ──all well──► EtcdForfeitLeadership ──► Moved
//!     │                        │                                 (os:admin)
//!     └──► NotLeader           └──► Kept
//! ```
//! Talos moves the leadership to the first other member of the list, whether that one votes, follows closely or is up
//! [internal/pkg/etcd/etcd.go]. So nothing is asked for unless every member votes and is there.
//!
//! The last call is open to os:admin alone, in every release. On machined's socket it claims that role, and no other
//! call does; with apid the certificate decides.

use tokio::time::{Instant, timeout_at};

use super::client::{CALL_TIMEOUT, Client, one};
use super::error::Error;
use super::etcd::{live, members, status};
use super::proto::machine::EtcdForfeitLeadershipRequest;
use crate::facts::{Etcd, EtcdPart};
use crate::power::HandOver;

/// Has another member of etcd lead, if this node leads and the others are fit to; takes [`HandOver::PATIENCE`] at most.
pub async fn hand_over(client: &Client) -> HandOver {
    let until = Instant::now() + HandOver::PATIENCE;
    match timeout_at(until, reason_not_to(client)).await {
        Ok(Ok(None)) => {}
        Ok(Ok(Some(reason))) => return reason,
        Ok(Err(error)) => return HandOver::Failed(words(client, &error)),
        Err(_) => {
            return HandOver::Failed(
                "Talos did not say in time what this node is in etcd".to_owned(),
            );
        }
    }
    match timeout_at(until, forfeit(client)).await {
        // It led a moment ago.
        Ok(Ok(member)) if member.is_empty() => HandOver::NotLeader,
        Ok(Ok(member)) => HandOver::Moved(member),
        Ok(Err(error)) => HandOver::Failed(words(client, &error)),
        Err(_) => HandOver::Failed(
            "Talos was asked for it and did not answer in time; the leadership may have moved"
                .to_owned(),
        ),
    }
}

/// Why nothing is asked for; `None` when all is well.
async fn reason_not_to(client: &Client) -> Result<Option<HandOver>, Error> {
    let kept = |why: String| Ok(Some(HandOver::Kept(why)));
    let Some(status) = status(client).await? else {
        return Ok(Some(HandOver::NotLeader));
    };
    if status.part != EtcdPart::Leader {
        return Ok(Some(HandOver::NotLeader));
    }
    if let Some(error) = status.errors.first() {
        return kept(format!("etcd is not healthy: {error}"));
    }
    let (members, live) = tokio::try_join!(members(client), live(client))?;
    let Some(members) = members else {
        return Ok(Some(HandOver::NotLeader));
    };
    let voters = members.voters;
    if members.learners > 0 {
        kept("a member does not vote yet, and Talos might choose it".to_owned())
    } else if voters == 1 {
        kept("no other member votes".to_owned())
    } else if live != voters {
        kept(Etcd { voters, live }.to_string())
    } else {
        Ok(None)
    }
}

/// Asks Talos to move the leadership; the name of the member that leads then, empty when this node did not.
async fn forfeit(client: &Client) -> Result<String, Error> {
    const CALL: &str = "EtcdForfeitLeadership";
    tracing::info!("this node leads etcd; asking Talos, as os:admin, to have another member lead");
    let request = client.admin_request(EtcdForfeitLeadershipRequest {});
    let mut machine = client.machine().await?;
    let answer = machine.etcd_forfeit_leadership(request);
    let answer = client.answer(CALL, CALL_TIMEOUT, answer).await?;
    let message = one(CALL, answer.messages, |message| &message.metadata)?;
    Ok(message.member)
}

fn words(client: &Client, error: &Error) -> String {
    let remedy = match error {
        Error::Denied { .. } if client.is_proxied() => {
            "only os:admin may do that: use a talosconfig of that role, or leave power.etcd.forfeit at never"
        }
        Error::Denied { .. } => {
            "machined grants os:admin to its own extension services only: run the agent as one, or leave \
             power.etcd.forfeit at never"
        }
        _ => return error.with_causes(),
    };
    format!("{}; {remedy}", error.with_causes())
}
