//! Temporary files of callers, `/tmp/<prefix>vmware<N><suffix>`, in memory. Each is seen by its owner alone.
//!
//! Clients make them for what a program writes, read them when it has ended, and delete them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::files::check_name;
use super::{Caller, Failure};
use crate::config::GuestOperationsConfig;

/// Files at a time.
pub(crate) const MOST: usize = 64;
/// Bytes in one of them.
pub(crate) const MOST_IN_ONE: usize = 1 << 20;
/// Bytes in all of them.
pub(crate) const MOST_IN_ALL: usize = 8 << 20;
/// How long one is kept that is not used.
const UNUSED: Duration = Duration::from_secs(30 * 60);
/// The folder they are in.
pub(super) const FOLDER: &str = "/tmp";

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Temporaries {
    /// The number of the last.
    last: u64,
    /// By name.
    all: BTreeMap<String, Temporary>,
}

/// One of them.
#[derive(Debug)]
struct Temporary {
    owner: Arc<str>,
    bytes: Vec<u8>,
    used: Duration,
}

impl Temporaries {
    /// Drops the files of those who are no users any more.
    pub(super) fn configure(&mut self, config: &GuestOperationsConfig) {
        self.all
            .retain(|_, file| config.user(&file.owner).is_some());
    }

    /// Drops those that have not been used for long.
    pub(crate) fn expire(&mut self, now: Duration) {
        self.all
            .retain(|_, file| file.used.saturating_add(UNUSED) > now);
    }

    /// When [`Self::expire`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        let used = self.all.values().map(|file| file.used).min()?;
        Some(used.saturating_add(UNUSED))
    }

    /// Makes an empty one and gives its path.
    pub(super) fn make(
        &mut self,
        caller: &Caller,
        prefix: &str,
        suffix: &str,
        now: Duration,
    ) -> Result<String, Failure> {
        if self.all.len() >= MOST {
            return Err(Failure::NoRoom);
        }
        self.last += 1;
        let name = format!("{prefix}vmware{}{suffix}", self.last);
        check_name(&name)?;
        let path = format!("{FOLDER}/{name}");
        let file = Temporary {
            owner: Arc::clone(&caller.name),
            bytes: Vec::new(),
            used: now,
        };
        self.all.insert(name, file);
        Ok(path)
    }

    /// Deletes one of this caller's by its name.
    pub(super) fn delete(&mut self, caller: &Caller, name: &str) -> Result<(), Failure> {
        self.of(&caller.name, name)?;
        self.all.remove(name);
        Ok(())
    }

    /// What is in one of this owner's.
    pub(super) fn read(
        &mut self,
        owner: &str,
        name: &str,
        now: Duration,
    ) -> Result<&[u8], Failure> {
        let file = self.of(owner, name)?;
        file.used = now;
        Ok(&file.bytes)
    }

    /// Names and sizes of this owner's.
    pub(super) fn list(&self, owner: &str) -> impl Iterator<Item = (&str, usize)> {
        let own = self
            .all
            .iter()
            .filter(move |(_, file)| *file.owner == *owner);
        own.map(|(name, file)| (name.as_str(), file.bytes.len()))
    }

    /// Whether this owner has one at an absolute path.
    pub(crate) fn has(&self, owner: &str, path: &str) -> bool {
        name_of(path)
            .and_then(|name| self.all.get(name))
            .is_some_and(|file| *file.owner == *owner)
    }

    /// Empties one of this owner's.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when there is none.
    pub(crate) fn clear(&mut self, owner: &str, path: &str, now: Duration) -> Result<(), Failure> {
        let name = name_of(path).ok_or(Failure::NotFound)?;
        let file = self.of(owner, name)?;
        file.used = now;
        file.bytes = Vec::new();
        Ok(())
    }

    /// Adds bytes to one of this owner's; all of them or none.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when there is none, [`Failure::NoRoom`] when it would be too long, or all together.
    pub(crate) fn append(
        &mut self,
        owner: &str,
        path: &str,
        bytes: &[u8],
        now: Duration,
    ) -> Result<(), Failure> {
        let in_all: usize = self.all.values().map(|file| file.bytes.len()).sum();
        let name = name_of(path).ok_or(Failure::NotFound)?;
        let file = self.of(owner, name)?;
        if file.bytes.len() + bytes.len() > MOST_IN_ONE || in_all + bytes.len() > MOST_IN_ALL {
            return Err(Failure::NoRoom);
        }
        file.used = now;
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn of(&mut self, owner: &str, name: &str) -> Result<&mut Temporary, Failure> {
        let file = self.all.get_mut(name).ok_or(Failure::NotFound)?;
        if *file.owner == *owner {
            Ok(file)
        } else {
            Err(Failure::NotFound)
        }
    }
}

/// The name of a file directly in the folder.
fn name_of(path: &str) -> Option<&str> {
    path.strip_prefix(FOLDER)?.strip_prefix('/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Rights, User};

    const NOW: Duration = Duration::from_secs(1000);

    fn caller(name: &str) -> Caller {
        Caller {
            name: name.into(),
            rights: Rights::default(),
        }
    }

    fn names(files: &Temporaries, owner: &str) -> Vec<String> {
        files.list(owner).map(|(name, _)| name.to_owned()).collect()
    }

    #[test]
    fn a_file_has_a_name_of_its_own_and_keeps_what_is_added() {
        let mut files = Temporaries::default();
        let ops = caller("ops");
        let one = files.make(&ops, "govmomi-", ".txt", NOW).unwrap();
        let other = files.make(&ops, "govmomi-", ".txt", NOW).unwrap();
        assert_eq!(one, "/tmp/govmomi-vmware1.txt");
        assert_ne!(one, other);
        assert!(files.has("ops", &one) && !files.has("ops", "/tmp") && !files.has("ops", "/tmpx"));
        files.append("ops", &one, b"one ", NOW).unwrap();
        files.append("ops", &one, b"two", NOW).unwrap();
        assert_eq!(
            files.read("ops", "govmomi-vmware1.txt", NOW),
            Ok(&b"one two"[..])
        );
        files.clear("ops", &one, NOW).unwrap();
        assert_eq!(files.read("ops", "govmomi-vmware1.txt", NOW), Ok(&b""[..]));
        files.delete(&ops, "govmomi-vmware1.txt").unwrap();
        assert!(!files.has("ops", &one));
        assert_eq!(names(&files, "ops"), ["govmomi-vmware2.txt"]);
    }

    #[test]
    fn a_file_of_another_user_is_not_there() {
        let mut files = Temporaries::default();
        let path = files.make(&caller("ops"), "", "", NOW).unwrap();
        assert!(!files.has("dev", &path));
        assert_eq!(names(&files, "dev"), Vec::<String>::new());
        for result in [
            files.append("dev", &path, b"x", NOW),
            files.clear("dev", &path, NOW),
            files.delete(&caller("dev"), "vmware1"),
            files.read("dev", "vmware1", NOW).map(|_| ()),
        ] {
            assert_eq!(result, Err(Failure::NotFound));
        }
        assert!(files.has("ops", &path));
    }

    #[test]
    fn a_prefix_or_suffix_that_is_no_part_of_a_name_is_refused() {
        let mut files = Temporaries::default();
        for (prefix, suffix) in [("../", ""), ("", "/x"), ("a\0", ""), ("a\\", "")] {
            let made = files.make(&caller("ops"), prefix, suffix, NOW);
            assert_eq!(made, Err(Failure::BadName), "{prefix}");
        }
        let long = "x".repeat(250);
        let made = files.make(&caller("ops"), &long, "", NOW);
        assert_eq!(made, Err(Failure::NameTooLong));
        assert_eq!(names(&files, "ops"), Vec::<String>::new());
    }

    #[test]
    fn files_go_when_they_are_not_used_for_long_and_with_their_owner() {
        let mut files = Temporaries::default();
        files.make(&caller("ops"), "", "", NOW).unwrap();
        files.make(&caller("dev"), "", "", NOW).unwrap();
        let due = files.poll_timeout().unwrap();
        assert_eq!(due, NOW + UNUSED);
        files
            .read("dev", "vmware2", NOW + Duration::from_secs(1))
            .unwrap();
        files.expire(due);
        assert_eq!(names(&files, "ops"), Vec::<String>::new());
        assert_eq!(names(&files, "dev"), ["vmware2"]);
        let user = User {
            name: "dev".into(),
            password_hash: None,
            public_key: Some([0; 32]),
            rights: Rights::default(),
        };
        let mut config = GuestOperationsConfig {
            enabled: true,
            users: vec![user],
            node_files: Vec::new(),
        };
        files.configure(&config);
        assert_eq!(names(&files, "dev"), ["vmware2"]);
        config.users.clear();
        files.configure(&config);
        assert_eq!(names(&files, "dev"), Vec::<String>::new());
        assert_eq!(files.poll_timeout(), None);
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_is_written(
            steps in prop::collection::vec((0_u8..4, 0_usize..80, 0_usize..(300 << 10)), 0..300),
        ) {
            let mut files = Temporaries::default();
            let ops = caller("ops");
            for (what, which, len) in steps {
                let path = format!("/tmp/vmware{which}");
                let _ = match what {
                    0 => files.make(&ops, "", "", NOW).map(|_| ()),
                    1 => files.delete(&ops, &format!("vmware{which}")),
                    _ => files.append("ops", &path, &vec![0; len], NOW),
                };
                let sizes: Vec<usize> = files.list("ops").map(|(_, len)| len).collect();
                prop_assert!(sizes.len() <= MOST);
                prop_assert!(sizes.iter().all(|len| *len <= MOST_IN_ONE));
                prop_assert!(sizes.iter().sum::<usize>() <= MOST_IN_ALL);
            }
        }
    }
}
