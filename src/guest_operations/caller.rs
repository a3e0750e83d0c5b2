//! Who asks, and what that user may do.

use std::sync::Arc;

use super::Failure;
use crate::config::Rights;

/// A user whose password or token was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name.
    pub name: Arc<str>,
    /// What this user may do.
    pub rights: Rights,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// List the processes of the node.
    Processes,
    /// Read the environment.
    Environment,
    /// List and read files.
    Files,
    /// Start programs.
    Programs,
    /// Reach the Talos API.
    Relay,
}

impl Caller {
    /// Whether this user may.
    ///
    /// # Errors
    /// [`Failure::NotAllowed`] when not.
    pub const fn may(&self, right: Right) -> Result<(), Failure> {
        let may = match right {
            Right::Processes => self.rights.processes,
            Right::Environment => self.rights.environment,
            Right::Files => self.rights.files,
            Right::Programs => self.rights.programs,
            Right::Relay => self.rights.relay,
        };
        if may {
            Ok(())
        } else {
            Err(Failure::NotAllowed)
        }
    }
}
