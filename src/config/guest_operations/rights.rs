//! What a user may do.

use super::UserProblem;

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// List the processes of the node.
    pub processes: bool,
    /// Read the environment.
    pub environment: bool,
    /// List and read files.
    pub files: bool,
    /// Start programs.
    pub programs: bool,
    /// Reach the Talos API.
    pub relay: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            processes: true,
            environment: true,
            files: true,
            programs: true,
            relay: false,
        }
    }
}

impl Rights {
    const NONE: Self = Self {
        processes: false,
        environment: false,
        files: false,
        programs: false,
        relay: false,
    };

    pub(super) fn read(names: Vec<String>) -> Result<Self, UserProblem> {
        let mut rights = Self::NONE;
        for name in names {
            let right = match name.as_str() {
                "processes" => &mut rights.processes,
                "environment" => &mut rights.environment,
                "files" => &mut rights.files,
                "programs" => &mut rights.programs,
                "relay" => &mut rights.relay,
                _ => return Err(UserProblem::Right { name }),
            };
            *right = true;
        }
        Ok(rights)
    }
}
