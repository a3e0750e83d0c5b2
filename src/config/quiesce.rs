//! The group `quiesce`: whether a host may have file systems frozen for a snapshot, which, and for how long.

use std::ffi::OsString;
use std::time::Duration;

use crate::report::Glob;

/// The group's name.
pub(super) const GROUP: &str = "quiesce";

/// The variable that Kubernetes sets in every container.
const OF_A_POD: &str = "KUBERNETES_SERVICE_HOST";

/// What is done for a host that wants a quiesced snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuiesceMode {
    /// Nothing.
    #[default]
    Off,
    /// What is written so far goes to the disks; nothing is frozen.
    Sync,
    /// File systems are frozen.
    Freeze,
}

/// What is done where etcd's quorum hangs on this node while a member is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EtcdGuard {
    /// No file system is frozen.
    #[default]
    Refuse,
    /// They are, with a line in the log.
    Warn,
}

/// Quiesced snapshots.
///
/// `default()` is blank; the defaults are in [`super::table::SETTINGS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuiesceConfig {
    /// What is done.
    pub mode: QuiesceMode,
    /// How long file systems stay frozen at most.
    pub max_freeze: Duration,
    /// Volumes that stay as they are, by id (`u-data`) or mount point (`/var/mnt/data`).
    pub exclude: Vec<Glob>,
    /// What is done when quorum hangs on this node.
    pub etcd: EtcdGuard,
    /// Whether this is a container of Kubernetes, which no setting says.
    pub in_pod: bool,
}

impl QuiesceConfig {
    /// Why nothing is frozen in a pod.
    pub const POD_PROBLEM: &str = "file systems are not frozen from a Kubernetes pod: an agent that is killed meanwhile \
        could not be started again while /var is frozen";
    /// What to do about it.
    pub const POD_REMEDY: &str =
        "run the agent as a system extension, or set quiesce.mode (--quiesce) to sync or off";

    /// Whether file systems should be frozen where that is not done.
    pub fn is_refused_in_pod(&self) -> bool {
        self.in_pod && self.mode == QuiesceMode::Freeze
    }

    /// Whether there is a freezer.
    pub fn needs_freezer(&self) -> bool {
        self.mode != QuiesceMode::Off && !self.is_refused_in_pod()
    }
}

/// Whether these are the variables of a container of Kubernetes.
pub(super) fn is_in_pod(variables: &[(OsString, OsString)]) -> bool {
    let mut variables = variables.iter();
    variables.any(|(name, value)| name == OF_A_POD && !value.is_empty())
}

#[cfg(test)]
mod tests;
