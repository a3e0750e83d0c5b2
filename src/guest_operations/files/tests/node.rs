//! A node that answers inquiries, and someone who asks for files.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::config::{GuestOperationsConfig, Rights, User};
use crate::diagnosis::{Check, Outcome};
use crate::guest_operations::files::{Access, Attributes, Listed, Location, Opened};
use crate::guest_operations::{Caller, Failure, GuestOperations};
use crate::inquiry::{
    Answer, Entry, EntryKind, Inquiry, InquiryId, MOST_IN_PIECE, ResourceType, Step, Trouble,
    TroubleKind, WINDOW,
};

/// When tests begin.
pub(super) const START: Duration = Duration::from_secs(1000);
/// How long a request is tried before its asker gives up.
const PATIENCE: Duration = Duration::from_millis(2500);

/// What is at a path of the node.
#[derive(Clone, Debug)]
pub(super) enum There {
    /// A file, with the size that is listed.
    File(Vec<u8>, u64),
    Folder,
    Link(String),
    Other,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) ops: GuestOperations,
    pub(super) now: Duration,
    /// By absolute path.
    pub(super) node: BTreeMap<String, There>,
    pub(super) dmesg: Vec<u8>,
    pub(super) services: BTreeMap<String, Vec<u8>>,
    pub(super) types: Vec<&'static str>,
    /// All that was asked.
    pub(super) asked: Vec<Inquiry>,
    /// What is not answered for now.
    pub(super) is_deaf: fn(&Inquiry) -> bool,
    /// What the node refuses to read.
    pub(super) trouble: Option<TroubleKind>,
    /// What is on its way, and how many pieces may be.
    open: BTreeMap<InquiryId, (VecDeque<Answer>, usize)>,
    unanswered: Vec<(InquiryId, Inquiry)>,
    /// The most inquiries that were under way at a time.
    pub(super) at_a_time: usize,
}

fn wall_clock() -> Duration {
    Duration::from_secs(1_700_000_000)
}

pub(super) fn caller(name: &str) -> Caller {
    Caller {
        name: name.into(),
        rights: Rights::default(),
    }
}

pub(super) fn at(path: &str) -> Location {
    Location::of_path(path).unwrap()
}

pub(super) fn file(text: &str) -> There {
    let size = u64::try_from(text.len()).unwrap();
    There::File(text.as_bytes().to_vec(), size)
}

fn user(name: &str) -> User {
    User {
        name: name.to_owned(),
        password_hash: None,
        public_key: Some([0; 32]),
        rights: Rights::default(),
    }
}

pub(super) fn config(node_files: &[&str]) -> GuestOperationsConfig {
    GuestOperationsConfig {
        enabled: true,
        users: vec![user("ops"), user("dev")],
        node_files: node_files.iter().map(|path| (*path).to_owned()).collect(),
    }
}

impl World {
    pub(super) fn new(node_files: &[&str]) -> Self {
        let mut ops = GuestOperations::new(wall_clock);
        ops.configure(&config(node_files));
        let services =
            ["apid", "kubelet"].map(|id| (id.to_owned(), format!("log of {id}\n").into_bytes()));
        Self {
            ops,
            now: START,
            node: BTreeMap::new(),
            dmesg: b"Linux version 6\n".to_vec(),
            services: services.into(),
            types: vec![
                "Hostnames.net.talos.dev",
                "Members.cluster.talos.dev",
                "Members.kubespan.talos.dev",
            ],
            asked: Vec::new(),
            is_deaf: |_| false,
            trouble: None,
            open: BTreeMap::new(),
            unanswered: Vec::new(),
            at_a_time: 0,
        }
    }

    /// A node with some logs, and some of the kernel's files.
    pub(super) fn with_logs() -> Self {
        let mut world = Self::new(&["/var/log", "/proc/meminfo"]);
        for (path, there) in [
            ("/etc", There::Folder),
            ("/etc/shadow", file("secret")),
            ("/proc", There::Folder),
            ("/proc/1", There::Folder),
            (
                "/proc/meminfo",
                There::File(b"MemTotal: 1 kB\n".to_vec(), 0),
            ),
            ("/var", There::Folder),
            ("/var/lib", There::Folder),
            ("/var/log", There::Folder),
            ("/var/log/audit", There::Folder),
            ("/var/log/audit/kube.log", file("audit\n")),
            ("/var/log/out", There::Link("/etc".to_owned())),
            ("/var/log/shadow", There::Link("/etc/shadow".to_owned())),
            ("/var/log/socket", There::Other),
            ("/var/log/x.log", file("lines\n")),
        ] {
            world.node.insert(path.to_owned(), there);
        }
        world
    }

    /// Does what is asked of the node; whether there was anything.
    pub(super) fn pump(&mut self) -> bool {
        let mut was_busy = false;
        while let Some((id, step)) = self.ops.poll_step() {
            was_busy = true;
            match step {
                Step::Ask(inquiry) => {
                    self.asked.push(inquiry.clone());
                    self.unanswered.push((id, inquiry));
                }
                Step::More => {
                    if let Some((_, room)) = self.open.get_mut(&id) {
                        *room += 1;
                    }
                }
                Step::Forget => {
                    self.open.remove(&id);
                    self.unanswered.retain(|(of, _)| *of != id);
                }
                Step::Feed(_) => {}
            }
        }
        let under_way = self.open.len() + self.unanswered.len();
        self.at_a_time = self.at_a_time.max(under_way);
        let heard = |(_, inquiry): &mut (InquiryId, Inquiry)| !(self.is_deaf)(inquiry);
        let heard: Vec<_> = self.unanswered.extract_if(.., heard).collect();
        for (id, inquiry) in heard {
            let answers = self.answer(&inquiry);
            self.open.insert(id, (answers.into(), WINDOW));
        }
        let ids: Vec<_> = self.open.keys().copied().collect();
        for id in ids {
            let Some((answers, room)) = self.open.get_mut(&id) else {
                continue;
            };
            let is_piece = matches!(answers.front(), Some(Answer::Bytes(_)));
            if is_piece && *room == 0 {
                continue;
            }
            *room -= usize::from(is_piece);
            let answer = answers.pop_front().unwrap();
            if answers.is_empty() {
                self.open.remove(&id);
            }
            was_busy = true;
            self.ops.handle_answer(id, answer, self.now);
        }
        was_busy
    }

    /// Lets time pass, with what is due in it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while self.pump() {}
            match self.ops.poll_timeout() {
                Some(due) if due <= end => {
                    self.now = self.now.max(due);
                    self.ops.handle_timeout(self.now);
                }
                _ => break,
            }
        }
        self.now = end;
        self.ops.handle_timeout(end);
        while self.pump() {}
    }

    /// One request, tried again after everything that happens until its asker gives up.
    pub(super) fn request<T>(
        &mut self,
        mut ask: impl FnMut(&mut Access<'_>, Duration) -> Poll<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let end = self.now + PATIENCE;
        loop {
            if let Poll::Ready(result) = ask(&mut self.ops.files(), self.now) {
                return result;
            }
            if self.pump() {
                continue;
            }
            let due = self.ops.poll_timeout().filter(|due| *due < end);
            let Some(due) = due else {
                self.now = end;
                return match ask(&mut self.ops.files(), end) {
                    Poll::Ready(result) => result,
                    Poll::Pending => Err(Failure::NotNow),
                };
            };
            self.now = self.now.max(due);
            self.ops.handle_timeout(self.now);
        }
    }

    pub(super) fn list(&mut self, user: &str, path: &str) -> Result<Vec<Listed>, Failure> {
        let (caller, location) = (caller(user), Location::of_path(path)?);
        self.request(|files, now| files.list(&caller, &location, now))
    }

    pub(super) fn names(&mut self, user: &str, path: &str) -> Vec<String> {
        let listed = self.list(user, path).unwrap();
        listed.into_iter().map(|entry| entry.name).collect()
    }

    pub(super) fn begin(&mut self, user: &str, path: &str) -> Result<Attributes, Failure> {
        let (caller, location) = (caller(user), Location::of_path(path)?);
        self.request(|files, now| files.begin_transfer(&caller, &location, now))
    }

    pub(super) fn attributes(&mut self, user: &str, path: &str) -> Result<Attributes, Failure> {
        let (caller, location) = (caller(user), Location::of_path(path)?);
        self.request(|files, now| files.attributes(&caller, &location, now))
    }

    pub(super) fn open(&mut self, user: &str, path: &str) -> Result<Opened, Failure> {
        let (caller, location) = (caller(user), Location::of_path(path)?);
        self.request(|files, now| files.open(&caller, &location, false, now))
    }

    pub(super) fn read(&mut self, opened: &Opened, offset: u64) -> Result<Vec<u8>, Failure> {
        self.request(|files, now| files.read(opened, offset, 61_440, now))
    }

    /// All of an open file, piece by piece.
    pub(super) fn read_all(&mut self, opened: &Opened) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        loop {
            let piece = self.read(opened, u64::try_from(all.len()).unwrap())?;
            if piece.is_empty() {
                return Ok(all);
            }
            all.extend(piece);
        }
    }

    /// A transfer as a host makes it. The size that is announced is the one that comes.
    pub(super) fn download(&mut self, user: &str, path: &str) -> Result<Vec<u8>, Failure> {
        let begun = self.begin(user, path)?;
        let attributes = self.attributes(user, path)?;
        assert_eq!(begun.size, attributes.size, "{path}");
        let opened = self.open(user, path)?;
        let bytes = self.read_all(&opened)?;
        if let Opened::Whole(_) = opened {
            assert_eq!(
                u64::try_from(bytes.len()).unwrap(),
                attributes.size,
                "{path}"
            );
        }
        self.close(&opened);
        Ok(bytes)
    }

    pub(super) fn close(&mut self, opened: &Opened) {
        self.ops.files().close(opened, 0);
    }

    /// Bytes that files hold.
    pub(super) fn held(&mut self) -> usize {
        self.ops.files().files.held()
    }

    fn answer(&self, inquiry: &Inquiry) -> Vec<Answer> {
        let result = match inquiry {
            Inquiry::Services => Ok(Answer::Services(self.services.keys().cloned().collect())),
            Inquiry::ResourceTypes => Ok(Answer::ResourceTypes(
                self.types.iter().map(|name| resource_type(name)).collect(),
            )),
            Inquiry::Checks => {
                let works = Outcome::Works("socket".to_owned());
                Ok(Answer::Checks(vec![Check::new("talos", works)]))
            }
            Inquiry::Dmesg { follow: false } => return pieces(&self.dmesg),
            Inquiry::Logs { service, .. } => match self.services.get(service) {
                Some(log) => return pieces(log),
                None => Err(TroubleKind::NotFound),
            },
            Inquiry::Resources { kind, id: None, .. } => {
                return pieces(format!("type: {kind}\n").as_bytes());
            }
            Inquiry::List { path } => match self.entries(path) {
                Some(entries) => Ok(Answer::Entries(entries)),
                None => Err(TroubleKind::NotFound),
            },
            Inquiry::Read { path, .. } => {
                if let Some(kind) = self.trouble {
                    return vec![end(Err(kind))];
                }
                match self.node.get(&self.resolved(path)) {
                    Some(There::File(bytes, _)) => return pieces(bytes),
                    Some(_) => Err(TroubleKind::NotAFile),
                    None => Err(TroubleKind::NotFound),
                }
            }
            other => panic!("{other:?} is not asked for by files"),
        };
        match result {
            Ok(answer) => vec![answer, end(Ok(()))],
            Err(kind) => vec![end(Err(kind))],
        }
    }

    /// A path without links, as Talos follows them.
    pub(super) fn resolved(&self, path: &str) -> String {
        let mut resolved = String::new();
        let mut links = 0;
        let mut left: VecDeque<String> = components(path);
        while let Some(name) = left.pop_front() {
            let next = format!("{resolved}/{name}");
            match self.node.get(&next) {
                Some(There::Link(target)) if links < 40 => {
                    links += 1;
                    resolved.clear();
                    for name in components(target).into_iter().rev() {
                        left.push_front(name);
                    }
                }
                _ => resolved = next,
            }
        }
        resolved
    }

    fn entries(&self, path: &str) -> Option<Vec<Entry>> {
        let folder = self.resolved(path);
        let mut all = Vec::new();
        if folder.is_empty() {
            all.push(entry(".", &There::Folder));
        } else {
            all.push(entry(".", self.node.get(&folder)?));
        }
        for (path, there) in &self.node {
            let (parent, name) = path.rsplit_once('/').unwrap();
            if parent == folder {
                all.push(entry(name, there));
            }
        }
        Some(all)
    }
}

fn components(path: &str) -> VecDeque<String> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn entry(name: &str, there: &There) -> Entry {
    let (kind, size, mode) = match there {
        There::File(_, size) => (EntryKind::File, *size, 0o100_640),
        There::Folder => (EntryKind::Folder, 4096, 0o40_755),
        There::Link(target) => (EntryKind::Link(target.clone()), 0, 0o120_777),
        There::Other => (EntryKind::Other, 0, 0o140_755),
    };
    Entry {
        name: name.to_owned(),
        kind,
        size,
        modified: 1_600_000_000,
        mode,
        uid: 1,
        gid: 2,
    }
}

fn pieces(bytes: &[u8]) -> Vec<Answer> {
    let pieces = bytes.chunks(MOST_IN_PIECE);
    let pieces = pieces.map(|piece| Answer::Bytes(piece.to_vec()));
    pieces.chain([end(Ok(()))]).collect()
}

fn end(result: Result<(), TroubleKind>) -> Answer {
    Answer::End(result.map_err(|kind| Trouble {
        kind,
        text: "why".to_owned(),
        status: 2,
    }))
}

fn resource_type(name: &str) -> ResourceType {
    ResourceType {
        name: name.to_owned(),
        namespace: "network".to_owned(),
        aliases: Vec::new(),
    }
}

/// Whether two are the same bytes.
pub(super) fn is_same(one: &Opened, other: &Opened) -> bool {
    match (one, other) {
        (Opened::Whole(one), Opened::Whole(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}
