//! etcd: what its members say, and how its leadership moves.

mod client;

use apid::proto::machine::{EtcdForfeitLeadershipRequest, EtcdMemberListRequest};
use apid::{Apid, EtcdCluster, Method, scene};
use client::{as_operator, claiming, in_process, machine};
use tonic::transport::Channel;
use tonic::{Code, Status};

#[tokio::test]
async fn leadership_moves_to_the_first_other_member_for_an_administrator() {
    let (apid, channel) = node().await;
    apid.set_etcd(3, 0);
    for role in ["os:operator", "os:reader", "os:etcd:backup"] {
        let refused = forfeit(&channel, role).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{role}");
    }
    assert_eq!(forfeit(&channel, "os:admin").await.unwrap(), "talos-cp-2");
    assert_eq!(leader(&channel).await, 2);
    assert_eq!(forfeit(&channel, "os:admin").await.unwrap(), "");
    let calls = apid.calls_of(Method::EtcdForfeitLeadership);
    assert_eq!(calls[3].roles, ["os:admin"]);
}

#[tokio::test]
async fn leadership_does_not_move_to_a_learner_or_where_there_is_no_one_else() {
    let (apid, channel) = node().await;
    for (voters, learners, words) in [(1, 0, "only one member"), (1, 1, "bad leader transferee")] {
        apid.set_etcd(voters, learners);
        let refused = forfeit(&channel, "os:admin").await.unwrap_err();
        assert!(refused.message().contains(words), "{refused}");
        assert_eq!(leader(&channel).await, 1);
    }
    apid.update_node(|node| node.contents.etcd = None);
    let refused = forfeit(&channel, "os:admin").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn several_nodes_share_an_etcd() {
    let cluster = EtcdCluster::new(3);
    let mut nodes = Vec::new();
    for number in 1..=3 {
        let (apid, channel) = node().await;
        apid.set_etcd_backend(cluster.node(number));
        nodes.push((apid, channel));
    }
    let channels: Vec<&Channel> = nodes.iter().map(|(_, channel)| channel).collect();
    assert_eq!(forfeit(channels[1], "os:admin").await.unwrap(), "");
    assert_eq!(
        forfeit(channels[0], "os:admin").await.unwrap(),
        "talos-cp-2"
    );
    for channel in &channels {
        assert_eq!(leader(channel).await, 2);
    }
    cluster.stop(2);
    assert_eq!(cluster.leader(), Some(1));
    let down = machine(channels[1]).etcd_status(as_operator(())).await;
    assert_eq!(down.unwrap_err().code(), Code::Unknown);
    cluster.stop(3);
    assert_eq!(cluster.leader(), None, "no quorum");
    let request = as_operator(EtcdMemberListRequest::default());
    let members = machine(channels[0]).etcd_member_list(request).await;
    assert_eq!(members.unwrap_err().code(), Code::Unavailable);
    cluster.start(2);
    assert_eq!(cluster.leader(), Some(1));
    assert_eq!(cluster.add_learner(), 4);
    let learner = cluster.node(4).status().unwrap();
    assert!(learner.is_learner && learner.leader == 1);
}

async fn node() -> (Apid, Channel) {
    let (apid, channel) = in_process().await;
    scene::single_nic(&apid);
    (apid, channel)
}

async fn forfeit(channel: &Channel, role: &str) -> Result<String, Status> {
    let request = claiming(role, EtcdForfeitLeadershipRequest {});
    let answer = machine(channel).etcd_forfeit_leadership(request).await?;
    Ok(answer.into_inner().messages.remove(0).member)
}

async fn leader(channel: &Channel) -> u64 {
    let answer = machine(channel).etcd_status(as_operator(())).await.unwrap();
    let status = answer.into_inner().messages.remove(0).member_status;
    status.unwrap().leader
}
