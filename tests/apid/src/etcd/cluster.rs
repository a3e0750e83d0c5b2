//! An etcd that several nodes share, in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tonic::Status;

use super::backend::{EtcdBackend, cannot_forfeit, transferee};
use super::member;
use crate::proto::machine::{EtcdMember, EtcdMemberStatus};

/// An etcd whose members may stop, start and lead. It elects the first that can lead.
///
/// ```
/// let cluster = apid::EtcdCluster::new(3);
/// for number in 1..=3 {
///     let apid = apid::Apid::in_process();
///     apid.set_etcd_backend(cluster.node(number));
/// }
/// assert_eq!(cluster.leader(), Some(1));
/// cluster.stop(1);
/// assert_eq!(cluster.leader(), Some(2));
/// ```
#[derive(Clone, Debug)]
pub struct EtcdCluster(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    members: Vec<EtcdMember>,
    /// By member: whether it is up.
    up: Vec<bool>,
    /// Place of the leader.
    leader: Option<usize>,
    term: u64,
}

impl EtcdCluster {
    /// So many members, numbered from 1, all up and voting; the first leads.
    pub fn new(voters: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            members: (1..=voters).map(|number| member(number, false)).collect(),
            up: vec![true; voters],
            leader: (voters > 0).then_some(0),
            term: 2,
        })))
    }

    /// Adds a member that does not vote yet; its number.
    pub fn add_learner(&self) -> usize {
        let mut state = self.lock();
        let number = state.members.len() + 1;
        state.members.push(member(number, true));
        state.up.push(true);
        number
    }

    /// What this node's Talos sees.
    ///
    /// # Panics
    /// Where there is no such member.
    pub fn node(&self, number: usize) -> Arc<dyn EtcdBackend> {
        assert!((1..=self.lock().members.len()).contains(&number));
        Arc::new(Member {
            cluster: self.clone(),
            place: number - 1,
        })
    }

    /// The number of the member that leads, if one does.
    pub fn leader(&self) -> Option<usize> {
        self.lock().leader.map(|place| place + 1)
    }

    /// Has this member lead.
    pub fn set_leader(&self, number: usize) {
        let mut state = self.lock();
        state.leader = Some(number - 1);
        state.term += 1;
    }

    /// Stops a member, as with its machine; another leads if it did.
    pub fn stop(&self, number: usize) {
        self.set_up(number, false);
    }

    /// Starts a member.
    pub fn start(&self, number: usize) {
        self.set_up(number, true);
    }

    fn set_up(&self, number: usize, up: bool) {
        let mut state = self.lock();
        if let Some(is_up) = state.up.get_mut(number - 1) {
            *is_up = up;
        }
        state.elect();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn can_lead(&self, place: usize) -> bool {
        let votes = self.members.get(place).is_some_and(|one| !one.is_learner);
        votes && self.up.get(place).is_some_and(|up| *up)
    }

    fn elect(&mut self) {
        let places = 0..self.members.len();
        let able: Vec<usize> = places.filter(|place| self.can_lead(*place)).collect();
        let voters = self.members.iter().filter(|one| !one.is_learner).count();
        let leader = if able.len() > voters / 2 {
            let stays = self.leader.filter(|leader| able.contains(leader));
            stays.or(able.first().copied())
        } else {
            None
        };
        if leader != self.leader {
            self.term += 1;
        }
        self.leader = leader;
    }

    fn require_leader(&self) -> Result<usize, Status> {
        self.leader
            .ok_or_else(|| Status::unavailable("etcdserver: no leader"))
    }
}

/// One node's view.
#[derive(Debug)]
struct Member {
    cluster: EtcdCluster,
    place: usize,
}

impl Member {
    /// Fails where this node's own member is down.
    fn own(&self, state: &State) -> Result<EtcdMember, Status> {
        let own = state.members.get(self.place).cloned();
        own.filter(|_| state.up.get(self.place).is_some_and(|up| *up))
            .ok_or_else(|| {
                Status::unknown("failed to query etcd status: context deadline exceeded")
            })
    }
}

impl EtcdBackend for Member {
    fn status(&self) -> Result<EtcdMemberStatus, Status> {
        let state = self.cluster.lock();
        let own = self.own(&state)?;
        let id = |place: usize| state.members.get(place).map(|one| one.id);
        Ok(EtcdMemberStatus {
            member_id: own.id,
            leader: state.leader.and_then(id).unwrap_or_default(),
            is_learner: own.is_learner,
            errors: match state.leader {
                Some(_) => Vec::new(),
                None => vec!["etcdserver: no leader".to_owned()],
            },
            protocol_version: "3.6.4".to_owned(),
            storage_version: "3.6.0".to_owned(),
            raft_term: state.term,
            ..EtcdMemberStatus::default()
        })
    }

    fn members(&self, local: bool) -> Result<Vec<EtcdMember>, Status> {
        let state = self.cluster.lock();
        if local {
            self.own(&state)?;
        }
        state.require_leader()?;
        Ok(state.members.clone())
    }

    fn forfeit(&self) -> Result<String, Status> {
        let mut state = self.cluster.lock();
        let leader = state.require_leader()?;
        let own = self.own(&state)?;
        if state.members.len() > 1 && leader != self.place {
            return Ok(String::new());
        }
        let other = transferee(&state.members, own.id)?.clone();
        let place = state.members.iter().position(|one| one.id == other.id);
        let Some(place) = place.filter(|place| state.can_lead(*place)) else {
            return Err(cannot_forfeit("etcdserver: request timed out"));
        };
        state.leader = Some(place);
        state.term += 1;
        Ok(other.hostname)
    }
}
