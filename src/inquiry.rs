//! What guest operations ask of a node beyond its facts, in words that front ends, daemon and Talos share.
//!
//! ```text
//! front end ── Ask(Inquiry) ──────────────► daemon ──► Talos
//!           ◄─ Answer::Bytes … Answer::End ─┘
//!           ── More ──► (each piece of bytes taken makes room for one more)
//!           ── Feed, Forget ──►
//! ```
//! An inquiry has one [`Answer::End`], which is its last answer, unless it is forgotten before.

use crate::diagnosis::Check;

/// Pieces of bytes that may be on their way before the first of them is taken ([`Step::More`]).
pub const WINDOW: usize = 4;
/// Bytes in one piece, at most.
pub const MOST_IN_PIECE: usize = 32 << 10;

/// Inquiries that may be under way at a time.
pub const MOST: usize = 96;

/// Names an inquiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InquiryId(pub u64);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inquiry {
    /// The processes of the node: one [`Answer::Processes`].
    Processes,
    /// The services of the node: one [`Answer::Services`].
    Services,
    /// What software runs on the node: one [`Answer::Software`].
    Software,
    /// The types of resources that os:reader may read: one [`Answer::ResourceTypes`].
    ResourceTypes,
    /// A file or folder of the node and what is directly in it: one [`Answer::Entries`], the path itself first.
    List {
        /// Absolute.
        path: String,
    },
    /// A regular file of the node, as bytes.
    Read {
        /// Absolute.
        path: String,
        /// Bytes that are wanted; a longer file is too long, after these.
        most: u64,
    },
    /// The kernel's log, as bytes.
    Dmesg {
        /// Whether it goes on with what the kernel writes from now on.
        follow: bool,
    },
    /// The log of a service, as bytes.
    Logs {
        /// The service's id, such as `apid`.
        service: String,
        /// The last lines alone.
        tail: Option<u32>,
        /// Whether it goes on with what the service writes from now on.
        follow: bool,
    },
    /// Resources as text, never sensitive ones.
    Resources {
        /// As the caller writes it: a type, an alias, or a type without what follows the first dot.
        kind: String,
        /// One of them alone.
        id: Option<String>,
        /// How they are written.
        form: Form,
    },
    /// What one call of the API says, as text.
    Show(Show),
    /// The checks of the agent: one [`Answer::Checks`]. The daemon answers this itself.
    Checks,
    /// One gRPC call with os:reader: each message of its answer is one [`Answer::Message`].
    Call {
        /// Such as `/machine.MachineService/Version`.
        method: String,
        /// The request message.
        message: Vec<u8>,
    },
    /// The bytes of a TCP connection to apid on this node (127.0.0.1:50000): [`Step::Feed`] sends, bytes come back.
    Apid,
}

/// How resources are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As `talosctl get -o yaml`.
    Yaml,
    /// A line each.
    Table,
}

/// Calls whose answers are shown as text, as talosctl shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Show {
    /// Version.
    Version,
    /// ServiceList.
    Services,
    /// One service of it, with its events.
    Service(String),
    /// Processes.
    Processes,
    /// Mounts.
    Mounts,
    /// Memory.
    Memory,
    /// Netstat.
    Netstat,
    /// Events, those of the past; it ends after them.
    Events,
    /// EtcdStatus.
    EtcdStatus,
    /// EtcdMemberList.
    EtcdMembers,
    /// Containers, of Talos' own and of Kubernetes.
    Containers,
    /// Stats, likewise.
    Stats,
}

/// What is asked of the side that answers inquiries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new inquiry.
    Ask(Inquiry),
    /// Bytes for the other side of [`Inquiry::Apid`].
    Feed(Vec<u8>),
    /// One piece of bytes, or one message, was taken.
    More,
    /// It is of no use any more: its calls end.
    Forget,
}

/// What comes of an inquiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// More bytes, never more than [`MOST_IN_PIECE`].
    Bytes(Vec<u8>),
    /// One message of [`Inquiry::Call`].
    Message(Vec<u8>),
    /// Processes of the node.
    Processes(Vec<Process>),
    /// The ids of the services.
    Services(Vec<String>),
    /// What software runs on the node.
    Software(Software),
    /// Types of resources.
    ResourceTypes(Vec<ResourceType>),
    /// A file or folder (named `.`), and what is in it.
    Entries(Vec<Entry>),
    /// The agent's checks.
    Checks(Vec<Check>),
    /// Nothing more comes.
    End(Result<(), Trouble>),
}

/// Why an inquiry has no answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Trouble {
    /// What to do about it.
    pub kind: TroubleKind,
    /// Why, in one phrase.
    pub text: String,
    /// The status of gRPC that says the same.
    pub status: u32,
}

/// What can be done about a [`Trouble`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// Talos cannot be reached, is too slow, or broke off: later it may work.
    Away,
    /// Talos refuses it to our role.
    Denied,
    /// There is nothing of that name.
    NotFound,
    /// It is no regular file.
    NotAFile,
    /// This Talos has no such call.
    NotSupported,
    /// The answer is longer than we keep.
    TooLong,
    /// Anything else.
    Failed,
}

/// A process of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u64,
    /// The name of its program.
    pub command: String,
    /// The whole command line; the same as `command` where it has none.
    pub line: String,
}

/// What software runs on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Software {
    /// The ids of the services that run, as Talos sorts them.
    pub services: Vec<String>,
    /// The containers that run, namespace by namespace.
    pub containers: Vec<Container>,
    /// The release of containerd, such as `v2.1.4`; `None` before Talos 1.11, which does not say.
    pub containerd: Option<String>,
    /// A namespace is missing, because its containerd does not answer yet.
    pub is_partial: bool,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// containerd's namespace: `system`, `k8s.io`, `taloscontainers`.
    pub namespace: String,
    /// In `system` the id of its service.
    pub id: String,
    /// The reference of its image, as Talos shows it.
    pub image: String,
}

/// A type of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// Its whole name, such as `Hostnames.net.talos.dev`.
    pub name: String,
    /// The namespace where its resources are.
    pub namespace: String,
    /// Other names for it.
    pub aliases: Vec<String>,
}

/// A file of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the folder; `.` for what was asked for.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes; 0 for files that the kernel makes up.
    pub size: u64,
    /// When it was changed, in seconds since 1970.
    pub modified: i64,
    /// `st_mode`, with the bits of its kind.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What a file of the node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, with what it points to.
    Link(String),
    /// Something else.
    Other,
}
