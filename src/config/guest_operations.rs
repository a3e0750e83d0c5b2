//! The group `guest_operations`: whether a host may ask a node what is wrong, who may, and what.

use std::fmt;

/// Guest operations. `default()` is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestOperationsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Who may ask. Not empty when enabled.
    pub users: Vec<User>,
    /// Absolute files and folders of the node that may be listed and read.
    pub node_files: Vec<String>,
}

/// A user, who exists in the configuration alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name, compared as it is.
    pub name: String,
    /// What the password is checked with.
    pub password_hash: Option<PasswordHash>,
    /// The Ed25519 key that tokens are checked with.
    pub public_key: Option<[u8; 32]>,
    /// What this user may do.
    pub rights: Rights,
}

/// A password as SHA-512 crypt hashes it, `$6$…`; well-formed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub(super) String);

impl PasswordHash {
    /// The hash, as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

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
