//! Files and folders of the node, and how Talos lists and reads them.
//!
//! [siderolabs/talos: internal/app/machined/internal/server/v1alpha1/v1alpha1_server.go, pkg/archiver/walker.go]

use std::collections::BTreeMap;

use tonic::Status;

use crate::proto::machine::{FileInfo, ListRequest};

/// Symbolic links that are followed for one path.
const MOST_LINKS: usize = 40;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with these bytes.
    Regular(Vec<u8>),
    /// A file of the kernel: its size is 0, whatever it says.
    Kernel(Vec<u8>),
    /// A regular file that never ends.
    Endless,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link(String),
    /// A character device.
    Device,
}

/// A file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub permissions: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// Owner and group.
    pub owner: (u32, u32),
}

impl File {
    /// A file of root that everybody may read.
    pub fn new(kind: Kind) -> Self {
        Self {
            permissions: match kind {
                Kind::Folder => 0o755,
                Kind::Link(_) => 0o777,
                Kind::Device => 0o666,
                _ => 0o644,
            },
            kind,
            modified: 1_770_091_506,
            owner: (0, 0),
        }
    }

    fn size(&self) -> i64 {
        match &self.kind {
            Kind::Regular(bytes) => i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            Kind::Link(target) => i64::try_from(target.len()).unwrap_or(i64::MAX),
            Kind::Folder => 4096,
            Kind::Endless => 1 << 40,
            Kind::Kernel(_) | Kind::Device => 0,
        }
    }

    /// Go's os.FileMode.
    fn mode(&self) -> u32 {
        let kind = match self.kind {
            Kind::Folder => 1 << 31,
            Kind::Link(_) => 1 << 27,
            Kind::Device => (1 << 26) | (1 << 21),
            _ => 0,
        };
        kind | self.permissions
    }
}

/// All files, by their whole paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files(BTreeMap<String, File>);

impl Default for Files {
    /// A small tree.
    fn default() -> Self {
        let mut files = Self(BTreeMap::new());
        files.set("/", File::new(Kind::Folder));
        let text = |text: &str| File::new(Kind::Regular(text.as_bytes().to_vec()));
        files.set(
            "/etc/os-release",
            text("NAME=\"Talos\"\nVERSION_ID=v1.13.0\n"),
        );
        files.set("/etc/hostname", text("talos-cp-1\n"));
        let log = "2026-02-03T04:05:06Z first\n2026-02-03T04:05:07Z second\n";
        files.set("/var/log/audit/kube/kube-apiserver.log", text(log));
        files.set("/var/log/pods/kube-system_coredns/0.log", text(log));
        files.set(
            "/var/log/containers/coredns.log",
            File::new(Kind::Link(
                "/var/log/pods/kube-system_coredns/0.log".to_owned(),
            )),
        );
        files.set("/var/run", File::new(Kind::Link("/run".to_owned())));
        files.set("/run", File::new(Kind::Folder));
        files.set("/dev/null", File::new(Kind::Device));
        let memory = "MemTotal:        8388608 kB\nMemFree:         4194304 kB\n";
        files.set(
            "/proc/meminfo",
            File::new(Kind::Kernel(memory.as_bytes().to_vec())),
        );
        files.set(
            "/proc/uptime",
            File::new(Kind::Kernel(b"57670.46 400000.00\n".to_vec())),
        );
        files.set(
            "/var/log/dangling",
            File::new(Kind::Link("/nowhere".to_owned())),
        );
        files
    }
}

impl Files {
    /// Makes a file, and the folders above it.
    pub fn set(&mut self, path: &str, file: File) {
        let folders = path.match_indices('/').skip(1);
        let folders: Vec<String> = folders.map(|(end, _)| path[..end].to_owned()).collect();
        for folder in folders {
            self.0
                .entry(folder)
                .or_insert_with(|| File::new(Kind::Folder));
        }
        self.0.insert(path.to_owned(), file);
    }

    /// Removes a file, or a folder with all that is in it.
    pub fn remove(&mut self, path: &str) {
        let within = format!("{path}/");
        self.0
            .retain(|name, _| name != path && !name.starts_with(&within));
    }

    /// Where a path leads through all symbolic links.
    fn follow(&self, path: &str) -> Option<String> {
        let mut left = MOST_LINKS;
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at = String::new();
        while let Some(component) = todo.pop() {
            match component.as_str() {
                "" | "." => continue,
                ".." => {
                    at.truncate(at.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = format!("{at}/{component}");
            match &self.0.get(&next)?.kind {
                Kind::Link(target) => {
                    left = left.checked_sub(1)?;
                    if target.starts_with('/') {
                        at.clear();
                    }
                    todo.extend(target.split('/').rev().map(str::to_owned));
                }
                _ => at = next,
            }
        }
        Some(if at.is_empty() { "/".to_owned() } else { at })
    }

    /// What Read reads: a regular file, through all links.
    pub(crate) fn read(&self, path: &str) -> Result<Kind, Status> {
        let gone = || Status::not_found(format!("stat {path}: no such file or directory"));
        let place = self.follow(path).ok_or_else(gone)?;
        let file = self.0.get(&place).ok_or_else(gone)?;
        match &file.kind {
            Kind::Regular(_) | Kind::Kernel(_) | Kind::Endless => Ok(file.kind.clone()),
            _ => Err(Status::unknown("path must be a regular file")),
        }
    }

    /// What List says: the root, and what is in it.
    pub(crate) fn list(&self, request: &ListRequest) -> Result<Vec<FileInfo>, Status> {
        let root = format!("/{}", request.root.trim_matches('/'));
        let gone = |path: &str| Status::unknown(format!("lstat {path}: no such file or directory"));
        // As Talos does: links among the folders above are followed, and named as they were asked for.
        let (above, name) = root.rsplit_once('/').unwrap_or(("", &root));
        let place = self.follow(above).ok_or_else(|| gone(&root))?;
        let place = format!("{}/{name}", place.trim_end_matches('/'));
        let file = self.0.get(&place).ok_or_else(|| gone(&root))?;
        let (shown, place) = match file.kind {
            Kind::Link(_) => {
                let target = self.follow(&place).ok_or_else(|| gone(&root))?;
                (target.clone(), target)
            }
            _ => (root, place),
        };
        let depth = match (request.recurse, request.recursion_depth) {
            (false, _) => 1,
            (true, 0) => usize::MAX,
            (true, depth) => usize::try_from(depth).unwrap_or(1).max(1),
        };
        let within = format!("{}/", place.trim_end_matches('/'));
        let mut listed = Vec::new();
        for (path, file) in &self.0 {
            let relative = if *path == place {
                "."
            } else {
                match path.strip_prefix(&within) {
                    Some(relative) if !relative.is_empty() => relative,
                    _ => continue,
                }
            };
            if relative != "." && relative.split('/').count() > depth {
                continue;
            }
            listed.push(info(&shown, relative, file));
        }
        Ok(listed)
    }
}

fn info(root: &str, relative: &str, file: &File) -> FileInfo {
    let is_folder = file.kind == Kind::Folder;
    let (name, relative_name) = match relative {
        "." if is_folder => (root.to_owned(), ".".to_owned()),
        "." => {
            let base = root.rsplit('/').next().unwrap_or(root);
            (root.to_owned(), base.to_owned())
        }
        relative => (
            format!("{}/{relative}", root.trim_end_matches('/')),
            relative.to_owned(),
        ),
    };
    FileInfo {
        name,
        relative_name,
        size: file.size(),
        mode: file.mode(),
        modified: file.modified,
        is_dir: is_folder,
        link: match &file.kind {
            Kind::Link(target) => target.clone(),
            _ => String::new(),
        },
        uid: file.owner.0,
        gid: file.owner.1,
        ..FileInfo::default()
    }
}
