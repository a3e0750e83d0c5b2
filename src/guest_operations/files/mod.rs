//! Files: the virtual tree, temporary files, what programs read and write, and files of the node.
//!
//! ```text
//! path ─► Location ─► Place ─┬─► Lister     what is in a folder
//!                            ├─► Snapshots  the contents of a file, whole, by a Fetch
//!                            ├─► Archives   a folder as tar, while it is read
//!                            └─► Temporaries, Programs
//! ```
//! A path is components that cannot climb; what they name is decided by the tree alone. What Talos has to say comes
//! by inquiries. What is under way goes on with each answer, and is dropped when no one asks for it any more.

mod access;
mod archive;
mod fetch;
mod lister;
mod location;
mod node_files;
mod outputs;
mod question;
mod readme;
mod snapshots;
mod support;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::programs::Stdio;
use super::{Caller, Failure, Right, Rooms};
use crate::config::GuestOperationsConfig;

pub(crate) use access::Access;
use archive::Archives;
use fetch::{Fetch, Prepared};
use lister::{Found, Lister};
pub(super) use location::check_name;
pub use location::{ArchiveForm, Location};
use node_files::Allowed;
use outputs::Outputs;
use snapshots::{Snapshots, Want, Whose};
use tree::Place;

/// Bytes of one file, at most.
const MOST_IN_FILE: usize = 16 << 20;
/// Bytes of all files that are prepared, kept or packed, at most.
const MOST_IN_ALL: usize = 32 << 20;
/// Listings under way at a time.
const MOST_LISTINGS: usize = 16;
/// How long a listing is kept that no one asks for any more.
const UNUSED: Duration = Duration::from_secs(15);

/// The size of an archive, which is not known before: as the toolbox of govmomi announces it.
pub const ARCHIVE_SIZE: u64 = i64::MAX as u64;

/// What is prepared, open or kept of files.
#[derive(Debug, Default)]
pub struct Files {
    allowed: Allowed,
    snapshots: Snapshots,
    archives: Archives,
    outputs: Outputs,
    /// How much of what each open input was written with was taken.
    inputs: BTreeMap<u64, u64>,
    /// Folders that are listed, and when that was last asked for.
    listings: BTreeMap<Whose, (Lister, Duration)>,
}

/// What is known of a file without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: Kind,
    /// Bytes; exactly those that come, but for an archive ([`ARCHIVE_SIZE`]).
    pub size: u64,
    /// Times in seconds since 1970: accessed, changed.
    pub times: (i64, i64),
    /// `st_mode`, with the bits of its kind.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has contents.
    File,
    /// It has entries.
    Folder,
    /// A symbolic link of the node, which is never followed; with its target.
    Link(String),
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name in the folder; the whole path where the file itself was listed.
    pub name: String,
    /// Its attributes; the size of a virtual file is 0 until the file itself is asked for.
    pub attributes: Attributes,
}

/// An open file.
#[derive(Clone, Debug)]
pub enum Opened {
    /// All of it.
    Whole(Arc<[u8]>),
    /// An archive in the making.
    Archive(u64),
    /// What a program has written so far.
    Output {
        /// The program.
        pid: u64,
        /// Which of its files.
        of: Stdio,
        /// The bytes.
        bytes: Arc<[u8]>,
    },
    /// What a program reads.
    Input(u64),
}

/// What everything that is under way looks at, and asks through.
#[derive(Debug)]
struct Context<'a> {
    allowed: &'a Allowed,
    rooms: &'a mut Rooms,
    /// Bytes that may be held.
    room: usize,
    now: Duration,
}

impl Kind {
    /// Whether it has contents.
    ///
    /// # Errors
    /// [`Failure::NotAFile`] for a folder, [`Failure::Invalid`] for a link.
    const fn must_be_file(&self) -> Result<(), Failure> {
        match self {
            Self::File => Ok(()),
            Self::Folder => Err(Failure::NotAFile),
            Self::Link(_) => Err(Failure::Invalid),
        }
    }
}

impl Files {
    pub(super) fn configure(&mut self, config: &GuestOperationsConfig, rooms: &mut Rooms) {
        let allowed = Allowed::new(&config.node_files);
        if self.allowed != allowed {
            // What was prepared or listed may be what may not be seen any more.
            self.allowed = allowed;
            self.snapshots.keep_users(|_| false);
            self.archives.keep(|_| false);
            self.listings.clear();
        }
        let keeps = |name: &str| config.user(name).is_some_and(|user| user.rights.files);
        self.snapshots.keep_users(keeps);
        self.archives.keep(keeps);
        self.outputs.keep_users(|name| config.user(name).is_some());
        self.listings.retain(|whose, _| keeps(&whose.user));
        rooms.temporaries.configure(config);
    }

    pub(super) fn advance(&mut self, rooms: &mut Rooms, now: Duration) {
        let mut cx = Context {
            allowed: &self.allowed,
            room: self.room_for_snapshots(),
            rooms,
            now,
        };
        self.snapshots.advance(&mut cx);
        cx.room = MOST_IN_ALL.saturating_sub(self.held());
        self.archives.advance(&mut cx);
        self.outputs.expire(now);
        self.listings.retain(|_, (lister, used)| {
            lister.handle_timeout(now);
            used.saturating_add(UNUSED) > now
        });
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let listings = self
            .listings
            .values()
            .flat_map(|(lister, used)| [lister.poll_timeout(), Some(used.saturating_add(UNUSED))]);
        let due = [
            self.snapshots.poll_timeout(),
            self.archives.poll_timeout(),
            self.outputs.poll_timeout(),
            listings.flatten().min(),
        ];
        due.into_iter().flatten().min()
    }

    /// All of a file, for a program: `talosctl read` and `support`.
    pub(super) fn whole(
        &mut self,
        caller: &Caller,
        location: &Location,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Arc<[u8]>, Failure>> {
        caller.may(Right::Files)?;
        let place = tree::place(&location.components, &self.allowed, |_| false)?;
        let file = ready!(self.snapshot(caller, location, &place, Want::Announce, rooms, now))?;
        Poll::Ready(file.contents().cloned())
    }

    /// A folder's entries, `.` and `..` first, or the file itself, for `talosctl list` and ListFiles.
    pub(super) fn list(
        &mut self,
        caller: &Caller,
        location: &Location,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Vec<Listed>, Failure>> {
        caller.may(Right::Files)?;
        let place = tree::place(&location.components, &self.allowed, |_| false)?;
        self.list_place(caller, location, &place, &[], rooms, now)
    }

    /// As [`Self::list`]; `own` are the numbers of the caller's programs.
    fn list_place(
        &mut self,
        caller: &Caller,
        location: &Location,
        place: &Place,
        own: &[u64],
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Vec<Listed>, Failure>> {
        if let Place::Stdio(..) | Place::Document(_) | Place::Temporary(_) = place {
            let mut entry = ready!(self.entry(caller, location, rooms, now))?;
            entry.name = location.path();
            return Poll::Ready(Ok(vec![entry]));
        }
        let whose = whose(caller, &location.components);
        let Found { itself, entries } = ready!(self.listing(&whose, place, own, rooms, now))?;
        let Some(entries) = entries else {
            return Poll::Ready(Ok(vec![tree::listed(location.path(), itself)]));
        };
        let above = tree::folder_attributes(rooms.seconds());
        let mut all = vec![tree::listed(".", itself), tree::listed("..", above)];
        all.extend(entries);
        Poll::Ready(Ok(all))
    }

    /// A file as its folder shows it.
    fn entry(
        &mut self,
        caller: &Caller,
        location: &Location,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Listed, Failure>> {
        let Some((name, parent)) = location.components.split_last() else {
            return Poll::Ready(Err(Failure::NotAFile));
        };
        let place = tree::place(parent, &self.allowed, |_| false)?;
        let whose = whose(caller, parent);
        let found = ready!(self.listing(&whose, &place, &[], rooms, now))?;
        let mut entries = found.entries.into_iter().flatten();
        let entry = entries.find(|entry| entry.name == *name);
        Poll::Ready(entry.ok_or(Failure::NotFound))
    }

    /// What is in a folder, asked for once however often this is called. Files that were prepared have their size.
    fn listing(
        &mut self,
        whose: &Whose,
        place: &Place,
        own: &[u64],
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Found, Failure>> {
        let mut lister = match self.listings.remove(whose) {
            Some((lister, _)) => lister,
            None if self.listings.len() >= MOST_LISTINGS => {
                return Poll::Ready(Err(Failure::Busy));
            }
            None => Lister::new(place, &whose.user, own, &self.allowed, rooms, now)?,
        };
        let Poll::Ready(found) = lister.poll(&self.allowed, rooms, now) else {
            self.listings.insert(whose.clone(), (lister, now));
            return Poll::Pending;
        };
        let mut found = found?;
        let is_made_up = matches!(place, Place::Folder(_));
        for entry in found.entries.iter_mut().flatten().filter(|_| is_made_up) {
            let mut file = whose.clone();
            file.components.push(entry.name.clone());
            if entry.attributes.kind == Kind::File
                && let Some(size) = self.snapshots.size(&file)
            {
                entry.attributes.size = size;
            }
        }
        Poll::Ready(Ok(found))
    }

    /// A snapshot of a file for this purpose, or what a folder or link is.
    fn snapshot(
        &mut self,
        caller: &Caller,
        location: &Location,
        place: &Place,
        want: Want,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Prepared, Failure>> {
        let whose = whose(caller, &location.components);
        let changes = matches!(place, Place::Temporary(_));
        let mut cx = Context {
            allowed: &self.allowed,
            room: self.room_for_snapshots(),
            rooms,
            now,
        };
        let start =
            |cx: &mut Context<'_>| Fetch::of(place, &caller.name, cx.allowed, cx.rooms, cx.now);
        self.snapshots.take(&whose, want, changes, start, &mut cx)
    }

    fn open_archive(
        &mut self,
        caller: &Caller,
        location: &Location,
        place: &Place,
        form: &ArchiveForm,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<u64, Failure> {
        let allowed = &self.allowed;
        let components = &location.components;
        let lister = Lister::new(place, &caller.name, &[], allowed, rooms, now)?;
        self.archives
            .open(&caller.name, components, lister, form, now)
    }

    fn read_archive(
        &mut self,
        id: u64,
        offset: u64,
        most: usize,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        let mut cx = Context {
            allowed: &self.allowed,
            room: MOST_IN_ALL.saturating_sub(self.held()),
            rooms,
            now,
        };
        self.archives.read(id, offset, most, &mut cx)
    }

    /// Bytes that snapshots may hold.
    fn room_for_snapshots(&self) -> usize {
        MOST_IN_ALL.saturating_sub(self.archives.held() + self.outputs.held())
    }

    /// Bytes that are held.
    fn held(&self) -> usize {
        self.snapshots.held() + self.archives.held() + self.outputs.held()
    }
}

/// This caller's view of a path.
fn whose(caller: &Caller, components: &[String]) -> Whose {
    Whose {
        user: Arc::clone(&caller.name),
        components: components.to_vec(),
    }
}

/// What an archive of a folder looks like before it is read.
fn archive_attributes(folder: &Attributes) -> Attributes {
    Attributes {
        kind: Kind::File,
        size: ARCHIVE_SIZE,
        mode: tree::OWN_FILE_MODE,
        ..folder.clone()
    }
}

#[cfg(test)]
mod tests;
