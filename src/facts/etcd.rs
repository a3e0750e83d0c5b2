//! What is known of the cluster's etcd.

use std::fmt;

/// The members of etcd, on a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// Members that vote, this node's among them.
    pub voters: usize,
    /// Control planes that serve now, this node among them.
    pub live: usize,
}

impl Etcd {
    /// Whether the members that are there are a majority without one of them.
    pub const fn can_spare_one(self) -> bool {
        self.live.saturating_sub(1) > self.voters / 2
    }

    /// What is wrong where it cannot, and a member is missing.
    pub fn shortage(self) -> String {
        format!("only {self}: its quorum hangs on this node")
    }
}

impl fmt::Display for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { voters: 1, live: 1 } => f.write_str("the only member of etcd is there"),
            Self { voters, live } => write!(f, "{live} of {voters} members of etcd are there"),
        }
    }
}

/// What Talos says of etcd when it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EtcdLook {
    /// What this node is in it; `None` where Talos does not say.
    pub part: Option<EtcdPart>,
    /// Its members; `None` where Talos does not say, and on a worker.
    pub members: Option<Etcd>,
}

/// What is asked of etcd to keep these facts up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdQuestion {
    /// What this node is in it (MachineService.EtcdStatus).
    Part,
    /// How many members there are (MachineService.EtcdMemberList).
    Members,
    /// Both.
    Both,
}

/// What this node is in the cluster's etcd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcdPart {
    /// A worker, or a control plane before its etcd runs.
    NotMember,
    /// A member that does not vote yet.
    Learner,
    /// A member that votes and does not lead.
    Voter,
    /// The leader.
    Leader,
}

impl EtcdPart {
    /// As guest variables say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotMember => "none",
            Self::Learner => "learner",
            Self::Voter => "voter",
            Self::Leader => "leader",
        }
    }
}
