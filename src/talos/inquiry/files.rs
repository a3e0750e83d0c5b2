//! Files and folders of the node.

use super::ask::Ask;
use super::trouble;
use crate::inquiry::{Entry, EntryKind, Trouble};
use crate::talos::proto::machine::{FileInfo, ListRequest, ReadRequest};

/// Entries of one folder, at most.
const MOST_ENTRIES: usize = 20_000;

/// Go's os.FileMode: bits beside the permissions.
mod go {
    pub(super) const DIR: u32 = 1 << 31;
    pub(super) const SYMLINK: u32 = 1 << 27;
    pub(super) const DEVICE: u32 = 1 << 26;
    pub(super) const NAMED_PIPE: u32 = 1 << 25;
    pub(super) const SOCKET: u32 = 1 << 24;
    pub(super) const SETUID: u32 = 1 << 23;
    pub(super) const SETGID: u32 = 1 << 22;
    pub(super) const CHAR_DEVICE: u32 = 1 << 21;
    pub(super) const STICKY: u32 = 1 << 20;
    pub(super) const IRREGULAR: u32 = 1 << 19;
}

/// Sends a regular file.
pub(super) async fn read(ask: &mut Ask, path: String) -> Result<(), Trouble> {
    let request = ask.client.request(ReadRequest { path });
    ask.pump(
        "Read",
        |mut machine| async move { machine.read(request).await },
    )
    .await
}

/// The path itself, and what is directly in it.
pub(super) async fn list(ask: &Ask, path: String) -> Result<Vec<Entry>, Trouble> {
    const CALL: &str = "List";
    let root = match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        root => root.to_owned(),
    };
    let request = ask.client.request(ListRequest {
        root: root.clone(),
        recurse: false,
        recursion_depth: 0,
    });
    let stream = ask
        .machine(
            CALL,
            |mut machine| async move { machine.list(request).await },
        )
        .await?;
    let mut messages = ask.messages(CALL, stream);
    let mut listing = Listing::new(root);
    while let Some(info) = messages.message().await? {
        messages.check(info.metadata.as_ref())?;
        if listing.take(info)? {
            break;
        }
    }
    listing.end()
}

/// What Talos has sent of a listing.
#[derive(Debug)]
struct Listing {
    root: String,
    entries: Vec<Entry>,
}

impl Listing {
    const fn new(root: String) -> Self {
        Self {
            root,
            entries: Vec::new(),
        }
    }

    /// Takes a message; whether there is no need for more.
    fn take(&mut self, info: FileInfo) -> Result<bool, Trouble> {
        let is_first = self.entries.is_empty();
        if !info.error.is_empty() {
            // One that has gone meanwhile is not worth a word; the root is.
            if is_first || info.name.is_empty() || info.name == self.root {
                let code = tonic::Code::Unknown;
                let kind = trouble::kind_of(code, &info.error);
                return Err(trouble::new(kind, code, info.error));
            }
            return Ok(false);
        }
        if is_first && !info.name.is_empty() && info.name != self.root {
            // Talos follows a link at the root, and names where it leads to.
            self.entries.push(Entry {
                name: ".".to_owned(),
                kind: EntryKind::Link(info.name),
                size: 0,
                modified: info.modified,
                mode: kind::LINK | 0o777,
                uid: info.uid,
                gid: info.gid,
            });
            return Ok(true);
        }
        if self.entries.len() > MOST_ENTRIES {
            return Err(trouble::new(
                crate::inquiry::TroubleKind::TooLong,
                tonic::Code::ResourceExhausted,
                format!("more than {MOST_ENTRIES} files are in it"),
            ));
        }
        let name = if is_first {
            ".".to_owned()
        } else {
            info.relative_name.clone()
        };
        self.entries.push(entry(name, info));
        Ok(false)
    }

    fn end(self) -> Result<Vec<Entry>, Trouble> {
        if self.entries.is_empty() {
            return Err(trouble::not_found("there is no such file"));
        }
        Ok(self.entries)
    }
}

/// The kinds in `st_mode`.
mod kind {
    pub(super) const SOCKET: u32 = 0o140_000;
    pub(super) const LINK: u32 = 0o120_000;
    pub(super) const FILE: u32 = 0o100_000;
    pub(super) const BLOCK: u32 = 0o060_000;
    pub(super) const FOLDER: u32 = 0o040_000;
    pub(super) const CHAR: u32 = 0o020_000;
    pub(super) const PIPE: u32 = 0o010_000;
}

fn entry(name: String, info: FileInfo) -> Entry {
    let mode = st_mode(info.mode);
    let of = match mode & 0o170_000 {
        kind::FILE => EntryKind::File,
        kind::FOLDER => EntryKind::Folder,
        kind::LINK => EntryKind::Link(info.link),
        _ => EntryKind::Other,
    };
    Entry {
        name,
        kind: of,
        size: u64::try_from(info.size).unwrap_or(0),
        modified: info.modified,
        mode,
        uid: info.uid,
        gid: info.gid,
    }
}

/// Go's mode as `st_mode`.
fn st_mode(mode: u32) -> u32 {
    let is = |bit: u32| mode & bit != 0;
    let of = if is(go::DIR) {
        kind::FOLDER
    } else if is(go::SYMLINK) {
        kind::LINK
    } else if is(go::CHAR_DEVICE) {
        kind::CHAR
    } else if is(go::DEVICE) {
        kind::BLOCK
    } else if is(go::NAMED_PIPE) {
        kind::PIPE
    } else if is(go::SOCKET) {
        kind::SOCKET
    } else if is(go::IRREGULAR) {
        0
    } else {
        kind::FILE
    };
    let bits = [
        (go::SETUID, 0o4000),
        (go::SETGID, 0o2000),
        (go::STICKY, 0o1000),
    ];
    let extra: u32 = bits
        .iter()
        .filter(|(bit, _)| is(*bit))
        .map(|(_, bit)| bit)
        .sum();
    of | extra | (mode & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inquiry::TroubleKind;

    fn info(name: &str, relative: &str, mode: u32) -> FileInfo {
        FileInfo {
            name: name.to_owned(),
            relative_name: relative.to_owned(),
            mode,
            size: 5,
            ..FileInfo::default()
        }
    }

    #[test]
    fn modes_of_go_become_those_of_the_kernel() {
        for (go, kernel) in [
            (0o644, 0o100_644),
            (go::DIR | 0o755, 0o040_755),
            (go::DIR | go::STICKY | 0o777, 0o041_777),
            (go::SYMLINK | 0o777, 0o120_777),
            (go::DEVICE | go::CHAR_DEVICE | 0o666, 0o020_666),
            (go::DEVICE | 0o660, 0o060_660),
            (go::NAMED_PIPE | 0o600, 0o010_600),
            (go::SOCKET | 0o755, 0o140_755),
            (go::SETUID | 0o755, 0o104_755),
            (go::SETGID | 0o755, 0o102_755),
            (go::IRREGULAR | 0o400, 0o400),
        ] {
            assert_eq!(st_mode(go), kernel, "{go:o}");
        }
    }

    #[test]
    fn the_path_itself_is_first_and_called_dot() {
        let mut folder = Listing::new("/var/log".to_owned());
        let link = FileInfo {
            link: "containers.1".to_owned(),
            ..info("/var/log/c", "c", go::SYMLINK | 0o777)
        };
        for one in [info("/var/log", ".", go::DIR | 0o755), link] {
            assert!(!folder.take(one).unwrap());
        }
        let entries = folder.end().unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, [".", "c"]);
        assert_eq!(entries[0].kind, EntryKind::Folder);
        assert_eq!(entries[1].kind, EntryKind::Link("containers.1".to_owned()));

        let mut file = Listing::new("/etc/os-release".to_owned());
        file.take(info("/etc/os-release", "os-release", 0o644))
            .unwrap();
        let entries = file.end().unwrap();
        assert_eq!(entries[0].name, ".");
        assert_eq!((entries[0].size, &entries[0].kind), (5, &EntryKind::File));
    }

    #[test]
    fn a_link_that_talos_has_followed_is_shown_as_a_link() {
        let mut listing = Listing::new("/var/run".to_owned());
        let is_enough = listing.take(info("/run", ".", go::DIR | 0o755)).unwrap();
        assert!(is_enough);
        let entries = listing.end().unwrap();
        assert_eq!(entries[0].kind, EntryKind::Link("/run".to_owned()));
        assert_eq!(entries[0].mode, 0o120_777);
    }

    #[test]
    fn an_error_of_the_root_is_trouble_and_one_of_an_entry_is_left_out() {
        let failed = |name: &str, error: &str| FileInfo {
            name: name.to_owned(),
            error: error.to_owned(),
            ..FileInfo::default()
        };
        let mut listing = Listing::new("/a".to_owned());
        let gone = listing.take(failed("/a", "lstat /a: no such file or directory"));
        assert_eq!(gone.unwrap_err().kind, TroubleKind::NotFound);

        listing.take(info("/a", ".", go::DIR | 0o755)).unwrap();
        assert_eq!(listing.take(failed("/a/b", "gone")), Ok(false));
        let unreadable = listing.take(failed("/a", "open /a: input/output error"));
        assert_eq!(unreadable.unwrap_err().kind, TroubleKind::Failed);
        assert_eq!(listing.end().unwrap().len(), 1);
        let nothing = Listing::new("/a".to_owned()).end();
        assert_eq!(nothing.unwrap_err().kind, TroubleKind::NotFound);
    }

    #[test]
    fn a_folder_with_too_many_files_is_not_listed() {
        let mut listing = Listing::new("/a".to_owned());
        listing.take(info("/a", ".", go::DIR)).unwrap();
        for number in 0..MOST_ENTRIES {
            let name = number.to_string();
            listing.take(info(&name, &name, 0o644)).unwrap();
        }
        let more = listing.take(info("/a/more", "more", 0o644));
        assert_eq!(more.unwrap_err().kind, TroubleKind::TooLong);
    }
}
