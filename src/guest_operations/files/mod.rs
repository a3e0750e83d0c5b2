//! Files: the virtual tree, temporary files, what programs read and write, and files of the node.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::programs::{Programs, Stdio};
use super::{Caller, Failure, Rooms};
use crate::config::GuestOperationsConfig;

/// What is prepared, open or kept of files.
#[derive(Debug, Default)]
pub struct Files {}

/// Where a file is, in the words of whoever asks: components that cannot climb, and what is wanted of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The components of an absolute path; none is the root.
    pub components: Vec<String>,
    /// A folder is wanted as an archive, with `?format=`, `?prefix=`, a trailing slash or `/archive:`.
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

/// The size of an archive, which is not known before: as the toolbox of govmomi announces it.
pub const ARCHIVE_SIZE: u64 = i64::MAX as u64;

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
    /// Its attributes; the size of a virtual file is 0 until somebody asks for the file itself.
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

/// Files together with what they need; made for one call.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(super) files: &'a mut Files,
    pub(super) programs: &'a mut Programs,
    pub(super) rooms: &'a mut Rooms,
}

impl Location {
    /// That of a path as guest operations write it: absolute, with a query or not.
    ///
    /// # Errors
    /// [`Failure::BadName`] when it climbs or is none.
    pub fn of_path(_path: &str) -> Result<Self, Failure> {
        Err(Failure::BadName)
    }

    /// That of the components of HGFS, below `root`. The last may have a query.
    ///
    /// # Errors
    /// [`Failure::BadName`] when a component is none.
    pub fn of_components<'a>(_names: impl Iterator<Item = &'a str>) -> Result<Self, Failure> {
        Err(Failure::BadName)
    }
}

impl Files {
    pub(super) fn configure(&mut self, _config: &GuestOperationsConfig, _rooms: &mut Rooms) {}

    pub(super) fn advance(&mut self, _rooms: &mut Rooms, _now: Duration) {}

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    /// All of a file, for a program: `talosctl read` and `support`.
    pub(super) fn whole(
        &mut self,
        _caller: &Caller,
        _location: &Location,
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Poll<Result<Arc<[u8]>, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// A folder's entries, or the file itself, for `talosctl list` and ListFiles.
    pub(super) fn list(
        &mut self,
        _caller: &Caller,
        _location: &Location,
        _rooms: &mut Rooms,
        _now: Duration,
    ) -> Poll<Result<Vec<Listed>, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }
}

#[allow(clippy::unused_self)]
impl Access<'_> {
    /// What is in a folder, `.` and `..` first; or the file itself.
    pub(crate) fn list(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Vec<Listed>, Failure>> {
        self.files.list(caller, location, self.rooms, now)
    }

    /// A transfer from here begins: logs are what they are now. The attributes of what will come.
    pub(crate) fn begin_transfer(
        &mut self,
        _caller: &Caller,
        _location: &Location,
        _now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// A transfer to here may begin: only to what a program reads.
    pub(crate) fn begin_upload(
        &mut self,
        _caller: &Caller,
        _location: &Location,
    ) -> Result<(), Failure> {
        Err(Failure::Disabled)
    }

    /// The attributes of a file, or of the archive of a folder; of what the last transfer began, for a time.
    pub(crate) fn attributes(
        &mut self,
        _caller: &Caller,
        _location: &Location,
        _now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// Opens a file to read it, or what a program reads to write it.
    pub(crate) fn open(
        &mut self,
        _caller: &Caller,
        _location: &Location,
        _to_write: bool,
        _now: Duration,
    ) -> Poll<Result<Opened, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// Reads; nothing is the end.
    pub(crate) fn read(
        &mut self,
        _opened: &Opened,
        _offset: u64,
        _most: usize,
        _now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        Poll::Ready(Err(Failure::NotFound))
    }

    /// Writes; how much was taken.
    pub(crate) fn write(
        &mut self,
        _opened: &Opened,
        _offset: u64,
        _bytes: &[u8],
        _now: Duration,
    ) -> Result<usize, Failure> {
        Err(Failure::Disabled)
    }

    /// Closes; `read_to` is how far it was read from its start without a gap.
    pub(crate) fn close(&mut self, _opened: &Opened, _read_to: u64) {}

    /// Makes a temporary file of this caller's and gives its path.
    pub(crate) fn make_temporary(
        &mut self,
        _caller: &Caller,
        _prefix: &str,
        _suffix: &str,
        _folder: &str,
        _now: Duration,
    ) -> Result<String, Failure> {
        Err(Failure::Disabled)
    }

    /// Deletes a temporary file of this caller's.
    pub(crate) fn delete(&mut self, _caller: &Caller, _location: &Location) -> Result<(), Failure> {
        Err(Failure::Disabled)
    }
}
