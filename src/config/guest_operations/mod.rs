//! The group `guest_operations`: whether a host may ask a node what is wrong, who may, and what.

mod password_hash;
mod public_key;
mod rights;
mod user;

use std::ffi::OsStr;
use std::path::{Component, Path};
use std::time::Duration;

use super::BadValue;
use super::value::{Form, Value};

pub use password_hash::PasswordHash;
pub use rights::Rights;
pub use user::{BadUser, User, UserProblem};

/// The group's name.
pub(super) const GROUP: &str = "guest_operations";

/// The longest time for which a token in place of a password may count.
pub const LONGEST_TOKEN_LIFE: Duration = Duration::from_secs(24 * 3600);

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

impl GuestOperationsConfig {
    /// Whether they are on for no user.
    pub(super) const fn lacks_users(&self) -> bool {
        self.enabled && self.users.is_empty()
    }

    /// The users who count: none while guest operations are off.
    pub fn active_users(&self) -> &[User] {
        if self.enabled { &self.users } else { &[] }
    }

    /// The one of them with this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        let mut users = self.active_users().iter();
        users.find(|user| *user.name == *name)
    }

    /// Whether a user may reach the Talos API.
    pub fn relays(&self) -> bool {
        self.active_users().iter().any(|user| user.rights.relay)
    }
}

/// A path that cannot be one of [`GuestOperationsConfig::node_files`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is not an absolute path, or has . or .. in it")]
pub struct BadPath {
    /// What stands there.
    pub path: String,
}

/// Absolute paths, the only list of plain texts.
impl Value for Vec<String> {
    const FORM: Form = Form::List;

    fn read(&mut self, written: &OsStr) -> Result<(), BadValue> {
        let path = written.to_string_lossy().into_owned();
        let names = path.split('/').skip(1);
        let is_good = Path::new(&path).components().next() == Some(Component::RootDir)
            && !path.contains('\0')
            && names.clone().all(|name| name != "." && name != "..");
        if !is_good {
            return Err(BadValue::Path(BadPath { path }));
        }
        self.push(path);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
