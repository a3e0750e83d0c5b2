//! Names of files in CP form [cpName.c].

use super::status::Status;

/// The longest name, in bytes.
const MOST_IN_NAME: usize = 4096;
/// HGFS_SERVER_POLICY_ROOT_SHARE_NAME: the share that is the whole tree, and the only one.
const SHARE: &str = "root";

/// A name as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(pub &'a [u8]);

impl<'a> Name<'a> {
    /// The components below the share: none is the root of the tree. The last may have a query.
    ///
    /// # Errors
    /// When it is too long, no UTF-8, of another share, or when a component could be taken for more or less than one.
    pub fn components(self) -> Result<Vec<&'a str>, Status> {
        if self.0.len() > MOST_IN_NAME {
            return Err(Status::NameTooLong);
        }
        let name = std::str::from_utf8(self.0).map_err(|_| Status::InvalidName)?;
        let mut components = name.split('\0');
        if components.next() != Some(SHARE) {
            return Err(Status::InvalidName);
        }
        let components: Vec<&str> = components.collect();
        if components.iter().copied().all(is_component) {
            Ok(components)
        } else {
            Err(Status::InvalidName)
        }
    }
}

fn is_component(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(['/', '\\'])
}
