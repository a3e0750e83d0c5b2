//! Everything at once.

use super::{Decision, FileSystem, NetworkPolicy, decide, file_systems};
use crate::facts::Facts;

/// What is worth showing of a node, computed once a change and used by everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The network; `None` while links or addresses are not known yet.
    pub network: Option<Decision>,
    /// The file systems, `None` while they are not known yet.
    pub file_systems: Option<Vec<FileSystem>>,
}

impl Report {
    /// What is worth showing of these facts, to a host that takes so many NICs.
    pub fn new(facts: &Facts, policy: &NetworkPolicy, most_nics: usize) -> Self {
        Self {
            network: decide(facts, policy, most_nics),
            file_systems: file_systems(&facts.storage),
        }
    }
}
