//! Where a file is: paths of guest operations and names of HGFS, as components that cannot climb.
//!
//! ```text
//! /talos/README.txt           a file
//! /talos/services/            a folder, as an archive: slash at the end …
//! /talos?format=tgz&prefix=P  … or a query …
//! /archive:/talos             … or the archive's own name before it, also /archive:talos and /archive/talos
//! ```
//! Names of HGFS have lost their slash at the end on the way, so there every folder is an archive.

use crate::guest_operations::Failure;

/// Bytes of a whole path, at most.
const MOST_IN_PATH: usize = 4096;
/// Bytes of one component, at most.
const MOST_IN_NAME: usize = 255;
/// What stands before a folder that is wanted as an archive.
const SCHEME: &str = "archive";

/// Where a file is: components that cannot climb, and what is wanted of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The components of an absolute path; none is the root.
    pub components: Vec<String>,
    /// A folder is wanted as an archive, with `?format=`, `?prefix=`, a trailing slash or `/archive:`. Says nothing
    /// where there is a file.
    pub archive: Option<ArchiveForm>,
}

/// How a folder is packed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArchiveForm {
    /// Whether gzip comes on top of tar.
    pub gzip: bool,
    /// What goes before each name.
    pub prefix: String,
}

impl Location {
    /// That of a path as guest operations write it: absolute, with a query or not.
    ///
    /// # Errors
    /// [`Failure::BadName`] when it climbs or is none, [`Failure::NameTooLong`], [`Failure::Invalid`] for a query
    /// that means nothing.
    pub fn of_path(path: &str) -> Result<Self, Failure> {
        if path.len() > MOST_IN_PATH {
            return Err(Failure::NameTooLong);
        }
        let below = path.strip_prefix('/').ok_or(Failure::BadName)?;
        let (below, mut archive) = split_query(below)?;
        let below = match below.strip_suffix('/') {
            Some(folder) => {
                archive.get_or_insert_default();
                folder
            }
            None => below,
        };
        if below.is_empty() {
            archive.get_or_insert_default();
            return Self::new(Vec::new(), archive);
        }
        Self::new(below.split('/').collect(), archive)
    }

    /// That of the components of HGFS, below `root`. The last may have a query.
    ///
    /// # Errors
    /// As [`Self::of_path`].
    pub fn of_components<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, Failure> {
        let mut names: Vec<&str> = names.collect();
        let len: usize = names.iter().map(|name| name.len() + 1).sum();
        if len > MOST_IN_PATH {
            return Err(Failure::NameTooLong);
        }
        let mut archive = None;
        if let Some(last) = names.last_mut() {
            (*last, archive) = split_query(last)?;
            if last.is_empty() && archive.is_some() {
                names.pop();
            }
        }
        archive.get_or_insert_default();
        Self::new(names, archive)
    }

    /// The path, without a query.
    pub fn path(&self) -> String {
        path_of(&self.components)
    }

    fn new(mut names: Vec<&str>, mut archive: Option<ArchiveForm>) -> Result<Self, Failure> {
        if let Some(first) = names.first_mut()
            && let Some(folder) = after_scheme(first)
        {
            archive.get_or_insert_default();
            *first = folder;
            if folder.is_empty() {
                names.remove(0);
            }
        }
        for name in &names {
            check_name(name)?;
        }
        Ok(Self {
            components: names.into_iter().map(str::to_owned).collect(),
            archive,
        })
    }
}

/// An absolute path of components.
pub(super) fn path_of(components: &[String]) -> String {
    if components.is_empty() {
        return "/".to_owned();
    }
    let mut path = String::new();
    for component in components {
        path.push('/');
        path.push_str(component);
    }
    path
}

/// Whether a name can be one of a file.
///
/// # Errors
/// [`Failure::BadName`] or [`Failure::NameTooLong`].
pub(in crate::guest_operations) fn check_name(name: &str) -> Result<(), Failure> {
    if name.len() > MOST_IN_NAME {
        return Err(Failure::NameTooLong);
    }
    let is_bad = name.is_empty()
        || name == "."
        || name == ".."
        || name.contains(|sign: char| matches!(sign, '/' | '\\') || sign.is_control());
    if is_bad {
        return Err(Failure::BadName);
    }
    Ok(())
}

/// What follows `archive:` in the first component, or nothing where it is `archive` itself.
fn after_scheme(first: &str) -> Option<&str> {
    let rest = first.strip_prefix(SCHEME)?;
    if rest.is_empty() {
        return Some("");
    }
    rest.strip_prefix(':')
}

/// Takes a query off the end. A question mark before anything else is part of a name.
fn split_query(text: &str) -> Result<(&str, Option<ArchiveForm>), Failure> {
    let Some((path, query)) = text.rsplit_once('?') else {
        return Ok((text, None));
    };
    let mut form = ArchiveForm::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("format", "" | "tar")) => form.gzip = false,
            Some(("format", "tgz")) => form.gzip = true,
            Some(("prefix", prefix)) => form.prefix = checked_prefix(prefix)?,
            Some(("format", _)) => return Err(Failure::Invalid),
            _ => return Ok((text, None)),
        }
    }
    Ok((path, Some(form)))
}

/// A prefix for the names in an archive, which must not lead out of the folder where it is unpacked.
fn checked_prefix(text: &str) -> Result<String, Failure> {
    let prefix = percent_decoded(text).ok_or(Failure::Invalid)?;
    let climbs = prefix.starts_with('/') || prefix.split('/').any(|name| name == "..");
    if climbs || prefix.len() > MOST_IN_NAME || prefix.contains(char::is_control) {
        return Err(Failure::Invalid);
    }
    Ok(prefix)
}

/// As in the query of a URL; `None` for what is no such thing, or no UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(components: &[&str]) -> Location {
        Location {
            components: components.iter().map(|name| (*name).to_owned()).collect(),
            archive: None,
        }
    }

    fn packed(components: &[&str], gzip: bool, prefix: &str) -> Location {
        let archive = ArchiveForm {
            gzip,
            prefix: prefix.to_owned(),
        };
        Location {
            archive: Some(archive),
            ..plain(components)
        }
    }

    #[test]
    fn a_path_is_its_components_and_says_whether_a_folder_is_wanted_as_an_archive() {
        for (path, expected) in [
            ("/talos/README.txt", plain(&["talos", "README.txt"])),
            ("/talos", plain(&["talos"])),
            ("/", packed(&[], false, "")),
            ("/talos/", packed(&["talos"], false, "")),
            ("/talos?format=tgz", packed(&["talos"], true, "")),
            ("/talos/?format=tgz", packed(&["talos"], true, "")),
            ("/talos?format=tar", packed(&["talos"], false, "")),
            ("/talos?format=", packed(&["talos"], false, "")),
            ("/talos?", packed(&["talos"], false, "")),
            (
                "/talos?prefix=a%20b%2F&format=tgz",
                packed(&["talos"], true, "a b/"),
            ),
            ("/archive:/talos", packed(&["talos"], false, "")),
            ("/archive:talos", packed(&["talos"], false, "")),
            ("/archive:/talos?format=tgz", packed(&["talos"], true, "")),
            (
                "/archive/talos/services",
                packed(&["talos", "services"], false, ""),
            ),
            ("/archive:/", packed(&[], false, "")),
            ("/archives/talos", plain(&["archives", "talos"])),
            ("/var/log/why?", packed(&["var", "log", "why"], false, "")),
            ("/var/log/why?not", plain(&["var", "log", "why?not"])),
        ] {
            assert_eq!(Location::of_path(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_name_of_hgfs_is_a_folder_as_an_archive_unless_there_is_a_file() {
        for (names, expected) in [
            (&["talos"][..], packed(&["talos"], false, "")),
            (&[], packed(&[], false, "")),
            (&["talos?format=tgz"], packed(&["talos"], true, "")),
            (
                &["archive:", "talos", "services?prefix=p%2F"],
                packed(&["talos", "services"], false, "p/"),
            ),
            (&["archive:talos"], packed(&["talos"], false, "")),
            (&["archive", "talos"], packed(&["talos"], false, "")),
            (&["?format=tgz"], packed(&[], true, "")),
        ] {
            let location = Location::of_components(names.iter().copied());
            assert_eq!(location, Ok(expected), "{names:?}");
        }
    }

    #[test]
    fn what_climbs_or_is_no_name_is_refused() {
        let long = format!("/{}", "x".repeat(256));
        let longer = "/x".repeat(2049);
        for (path, expected) in [
            ("", Failure::BadName),
            ("talos", Failure::BadName),
            ("/talos/../etc", Failure::BadName),
            ("/..", Failure::BadName),
            ("/talos/.", Failure::BadName),
            ("/talos//README.txt", Failure::BadName),
            ("//talos", Failure::BadName),
            ("/talos//", Failure::BadName),
            ("/archive:/../etc", Failure::BadName),
            ("/archive:..", Failure::BadName),
            ("/archive://etc", Failure::BadName),
            ("/talos\\..", Failure::BadName),
            ("/talos\0", Failure::BadName),
            ("/talos?format=zip", Failure::Invalid),
            ("/talos?prefix=..%2F", Failure::Invalid),
            ("/talos?prefix=%2Fetc", Failure::Invalid),
            ("/talos?prefix=%2", Failure::Invalid),
            ("/talos?prefix=%ff", Failure::Invalid),
            (&long, Failure::NameTooLong),
            (&longer, Failure::NameTooLong),
        ] {
            assert_eq!(Location::of_path(path), Err(expected), "{path}");
        }
        for names in [
            &[".."][..],
            &["talos", ""],
            &["", "talos"],
            &["a/b"],
            &["."],
        ] {
            let location = Location::of_components(names.iter().copied());
            assert_eq!(location, Err(Failure::BadName), "{names:?}");
        }
    }

    proptest! {
        #[test]
        fn no_path_has_components_that_climb(path in "/?[a-c./:?=&%\\\\\0]{0,24}|/archive[:/.a]{0,8}") {
            for location in [
                Location::of_path(&path),
                Location::of_components(path.split('/')),
            ].into_iter().flatten() {
                for name in &location.components {
                    prop_assert_eq!(check_name(name), Ok(()));
                }
                let archive = location.archive.clone().unwrap_or_default();
                prop_assert!(!archive.prefix.split('/').any(|name| name == ".."));
                let again = Location::of_path(&location.path()).map(|again| again.components);
                if !location.path().contains("?") && !location.path().starts_with("/archive") {
                    prop_assert_eq!(again, Ok(location.components));
                }
            }
        }
    }
}
