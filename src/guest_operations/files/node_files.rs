//! Files of the node: which may be seen, and the way to one of them, component by component.
//!
//! Talos follows symbolic links, and it reads as root. So each component is looked for in the listing of its folder
//! first, and a link ends the way. What is asked of Talos is the path of what may be seen, or of a folder above it.

use std::task::Poll;

use super::location::path_of;
use super::question::Question;
use super::{Attributes, Kind};
use crate::guest_operations::Failure;
use crate::guest_operations::inquiries::Inquiries;
use crate::inquiry::{Answer, Entry, EntryKind, Inquiry};

/// Places of Talos with keys, passwords or other processes' memory: no one reads them, whatever is configured. Below
/// `/system` are the configuration of the node, that of its extension services, our own among them, and what their
/// containers are started with; below `/var/system` is what was written to `/etc/cni` and `/etc/kubernetes`.
const SECRET: [&str; 12] = [
    "/dev",
    "/etc/cni",
    "/etc/cri",
    "/etc/kubernetes",
    "/proc/kcore",
    "/run/containerd",
    "/sys/firmware",
    "/system",
    "/var/lib/containerd",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/system",
];
/// What is secret of each process, below `/proc/PID` and `/proc/PID/task/TID`.
const SECRET_OF_PROCESS: [&str; 9] = [
    "cwd",
    "environ",
    "exe",
    "fd",
    "map_files",
    "mem",
    "pagemap",
    "root",
    "task",
];

/// What an operator lets be seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    paths: Vec<Vec<String>>,
}

/// How a path stands to what may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It may be seen, with all that is in it.
    Within,
    /// A folder above what may be seen, of which that alone is shown.
    Leads,
    /// It may not be seen.
    Outside,
}

impl Allowed {
    /// What these absolute paths name.
    pub(super) fn new(paths: &[String]) -> Self {
        let components = |path: &String| {
            let names = path.split('/').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        Self {
            paths: paths.iter().map(components).collect(),
        }
    }

    /// Where a path stands.
    pub(super) fn standing(&self, components: &[String]) -> Standing {
        if self.paths.iter().any(|path| components.starts_with(path)) {
            return Standing::Within;
        }
        if self.paths.iter().any(|path| path.starts_with(components)) {
            return Standing::Leads;
        }
        Standing::Outside
    }

    /// The names below a folder that leads to what may be seen, with whether each is a folder for sure.
    pub(super) fn next(&self, folder: &[String]) -> Vec<(&str, bool)> {
        let below = self
            .paths
            .iter()
            .filter_map(|path| path.strip_prefix(folder));
        let mut names: Vec<_> = below
            .filter_map(|rest| Some((rest.first()?.as_str(), rest.len() > 1)))
            .collect();
        names.sort_unstable();
        names.dedup_by_key(|(name, _)| *name);
        names
    }
}

/// Whether it is in a place that is never shown.
pub(super) fn is_secret(components: &[String]) -> bool {
    let path = path_of(components);
    let is_in = |secret: &str| {
        path.strip_prefix(secret)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if SECRET.iter().any(|secret| is_in(secret)) {
        return true;
    }
    match components {
        [proc, pid, name, ..] if proc == "proc" => {
            let is_process = pid.bytes().all(|digit| digit.is_ascii_digit());
            is_process && SECRET_OF_PROCESS.contains(&name.as_str())
        }
        _ => false,
    }
}

/// The way to one file or folder.
#[derive(Debug)]
pub(super) struct Walk {
    components: Vec<String>,
    /// How many of them are known to be folders.
    known: usize,
    question: Option<Question>,
}

impl Walk {
    /// At the root.
    pub(super) const fn new(components: Vec<String>) -> Self {
        Self {
            components,
            known: 0,
            question: None,
        }
    }

    /// Its components.
    pub(super) fn components(&self) -> &[String] {
        &self.components
    }

    /// What is at its end, which may be a link.
    pub(super) fn poll(&mut self, inquiries: &mut Inquiries) -> Poll<Result<Entry, Failure>> {
        loop {
            let Some(name) = self.components.get(self.known) else {
                return Poll::Ready(Ok(root()));
            };
            let parent = self.components.get(..self.known).unwrap_or_default();
            let question = match &mut self.question {
                Some(question) => question,
                None => self.question.insert(list(parent, inquiries)?),
            };
            let Poll::Ready(answer) = question.poll(inquiries) else {
                return Poll::Pending;
            };
            self.question = None;
            let entry = entries(answer?)?
                .into_iter()
                .find(|entry| entry.name == *name)
                .ok_or(Failure::NotFound)?;
            self.known += 1;
            if self.known == self.components.len() {
                return Poll::Ready(Ok(entry));
            }
            match entry.kind {
                EntryKind::Folder => {}
                EntryKind::Link(_) => return Poll::Ready(Err(Failure::Invalid)),
                EntryKind::File | EntryKind::Other => {
                    return Poll::Ready(Err(Failure::NotAFolder));
                }
            }
        }
    }
}

/// Asks what is in a folder.
pub(super) fn list(folder: &[String], inquiries: &mut Inquiries) -> Result<Question, Failure> {
    let path = path_of(folder);
    Question::ask(Inquiry::List { path }, inquiries)
}

/// What is in a folder. If the folder has become something else in the meantime, a link above all, there is nothing.
pub(super) fn entries(answer: Answer) -> Result<Vec<Entry>, Failure> {
    let Answer::Entries(mut entries) = answer else {
        return Err(Failure::Failed);
    };
    let itself = entries.iter().find(|entry| entry.name == ".");
    if itself.is_some_and(|itself| itself.kind != EntryKind::Folder) {
        return Err(Failure::Invalid);
    }
    entries.retain(|entry| super::location::check_name(&entry.name).is_ok());
    Ok(entries)
}

/// The attributes of a file of the node.
pub(super) fn attributes(entry: &Entry) -> Attributes {
    Attributes {
        kind: match &entry.kind {
            EntryKind::Folder => Kind::Folder,
            EntryKind::Link(target) => Kind::Link(target.clone()),
            EntryKind::File | EntryKind::Other => Kind::File,
        },
        size: match entry.kind {
            EntryKind::File => entry.size,
            _ => 0,
        },
        times: (entry.modified, entry.modified),
        mode: entry.mode,
        owner: (entry.uid, entry.gid),
    }
}

fn root() -> Entry {
    Entry {
        name: "/".to_owned(),
        kind: EntryKind::Folder,
        size: 0,
        modified: 0,
        mode: super::tree::FOLDER_MODE,
        uid: 0,
        gid: 0,
    }
}
