//! Operations on files, independent of the host's protocol. Each call first checks the user's rights.

use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::archive_attributes;
use super::snapshots::Want;
use super::tree::{self, Place};
use super::{Attributes, Files, Kind, Listed, Location, MOST_IN_ALL, Opened};
use crate::guest_operations::programs::{Programs, Stdio};
use crate::guest_operations::temporaries::FOLDER;
use crate::guest_operations::{Caller, Failure, Right, Rooms};

/// Files together with what they need; made for one call.
#[derive(Debug)]
pub(crate) struct Access<'a> {
    pub(in crate::guest_operations) files: &'a mut Files,
    pub(in crate::guest_operations) programs: &'a mut Programs,
    pub(in crate::guest_operations) rooms: &'a mut Rooms,
}

impl Access<'_> {
    /// What is in a folder, `.` and `..` first; or the file itself, with its whole path.
    pub(crate) fn list(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Vec<Listed>, Failure>> {
        let place = self.place(caller, location)?;
        if let Place::Stdio(pid, of) = place {
            let attributes = self.stdio(caller, pid, of, now);
            // What is not known yet does not keep the file from being shown.
            let attributes = match attributes {
                Poll::Ready(attributes) => attributes?,
                Poll::Pending => {
                    tree::file_attributes(tree::OWN_FILE_MODE, 0, self.rooms.seconds())
                }
            };
            return Poll::Ready(Ok(vec![tree::listed(location.path(), attributes)]));
        }
        let own = self.programs.own(caller);
        self.files
            .list_place(caller, location, &place, &own, self.rooms, now)
    }

    /// Begins a download: keeps the contents as they are now, and gives their attributes.
    pub(crate) fn begin_transfer(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        let place = self.place(caller, location)?;
        match place {
            Place::Stdio(_, Stdio::Stdin) => return Poll::Ready(Err(Failure::Invalid)),
            Place::Stdio(pid, of) => {
                self.files.outputs.forget(&caller.name, pid, of);
                return self.stdio(caller, pid, of, now);
            }
            _ => {}
        }
        let attributes = self.prepared(caller, location, &place, Want::Announce, now);
        let attributes = ready!(attributes)?;
        Poll::Ready(attributes.kind.must_be_file().map(|()| attributes))
    }

    /// Checks whether an upload may begin: only to what a program reads.
    pub(crate) fn begin_upload(
        &mut self,
        caller: &Caller,
        location: &Location,
    ) -> Result<(), Failure> {
        self.input(caller, location).map(|_| ())
    }

    /// The attributes of a file, or of the archive of a folder; of what the last transfer began, for a time.
    pub(crate) fn attributes(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        let place = self.place(caller, location)?;
        if let Place::Stdio(pid, of) = place {
            return self.stdio(caller, pid, of, now);
        }
        self.prepared(caller, location, &place, Want::Look, now)
    }

    /// Opens a file to read it, or what a program reads to write it.
    pub(crate) fn open(
        &mut self,
        caller: &Caller,
        location: &Location,
        to_write: bool,
        now: Duration,
    ) -> Poll<Result<Opened, Failure>> {
        if to_write {
            let pid = self.input(caller, location)?;
            self.files.inputs.insert(pid, 0);
            return Poll::Ready(Ok(Opened::Input(pid)));
        }
        let place = self.place(caller, location)?;
        match place {
            Place::Stdio(_, Stdio::Stdin) => return Poll::Ready(Err(Failure::Invalid)),
            Place::Stdio(pid, of) => {
                ready!(self.stdio(caller, pid, of, now))?;
                let bytes = self.files.outputs.take(&caller.name, pid, of);
                let bytes = bytes.ok_or(Failure::NotNow)?;
                return Poll::Ready(Ok(Opened::Output { pid, of, bytes }));
            }
            _ => {}
        }
        let file = self
            .files
            .snapshot(caller, location, &place, Want::Open, self.rooms, now);
        let file = ready!(file)?;
        match (&file.attributes.kind, &location.archive) {
            (Kind::Folder, Some(form)) => {
                let id = self
                    .files
                    .open_archive(caller, location, &place, form, self.rooms, now)?;
                Poll::Ready(Ok(Opened::Archive(id)))
            }
            _ => Poll::Ready(Ok(Opened::Whole(Arc::clone(file.contents()?)))),
        }
    }

    /// Reads; nothing is the end.
    pub(crate) fn read(
        &mut self,
        opened: &Opened,
        offset: u64,
        most: usize,
        now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        match opened {
            Opened::Whole(bytes) | Opened::Output { bytes, .. } => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = bytes.get(from..).unwrap_or_default();
                Poll::Ready(Ok(bytes.get(..most).unwrap_or(bytes).to_vec()))
            }
            Opened::Archive(id) => self.files.read_archive(*id, offset, most, self.rooms, now),
            Opened::Input(_) => Poll::Ready(Err(Failure::NotAllowed)),
        }
    }

    /// Writes; how much was taken. What was taken before is not written again.
    pub(crate) fn write(
        &mut self,
        opened: &Opened,
        offset: u64,
        bytes: &[u8],
    ) -> Result<usize, Failure> {
        let Opened::Input(pid) = opened else {
            return Err(Failure::Disabled);
        };
        let at = self.files.inputs.entry(*pid).or_default();
        let known = at.checked_sub(offset).ok_or(Failure::Invalid)?;
        let known = usize::try_from(known)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let rest = bytes.get(known..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(known);
        }
        let taken = self.programs.input(*pid, rest, self.rooms)?;
        *at = at.saturating_add(u64::try_from(taken).unwrap_or_default());
        Ok(known + taken)
    }

    /// Closes; `read_to` is how far it was read from its start without a gap.
    pub(crate) fn close(&mut self, opened: &Opened, read_to: u64) {
        match opened {
            Opened::Whole(_) => {}
            Opened::Archive(id) => self.files.archives.close(*id),
            Opened::Output { pid, of, bytes } => {
                let len = usize::try_from(read_to).unwrap_or(usize::MAX);
                self.programs.took(*pid, *of, len.min(bytes.len()));
            }
            Opened::Input(pid) => {
                self.files.inputs.remove(pid);
            }
        }
    }

    /// Makes a temporary file of this caller's and gives its path. `folder` is empty or `/tmp`.
    pub(crate) fn make_temporary(
        &mut self,
        caller: &Caller,
        prefix: &str,
        suffix: &str,
        folder: &str,
        now: Duration,
    ) -> Result<String, Failure> {
        let folder = if folder.is_empty() { FOLDER } else { folder };
        let location = Location::of_path(folder)?;
        match self.place(caller, &location)? {
            Place::Folder(tree::Folder::Tmp) => {}
            _ => return Err(Failure::Disabled),
        }
        self.rooms.temporaries.make(caller, prefix, suffix, now)
    }

    /// Deletes a temporary file of this caller's.
    pub(crate) fn delete(&mut self, caller: &Caller, location: &Location) -> Result<(), Failure> {
        match self.place(caller, location)? {
            Place::Temporary(name) => self.rooms.temporaries.delete(caller, &name),
            _ => Err(Failure::Disabled),
        }
    }

    /// What a path names. What one's own programs read and write needs no right to files, and a user who may start
    /// programs has temporary files for what they write.
    fn place(&self, caller: &Caller, location: &Location) -> Result<Place, Failure> {
        let has = |pid| self.programs.has(caller, pid);
        let place = tree::place(&location.components, &self.files.allowed, has);
        match place {
            Ok(Place::Stdio(..) | Place::Process(_)) => {}
            Ok(Place::Temporary(_) | Place::Folder(tree::Folder::Tmp)) => {
                caller
                    .may(Right::Files)
                    .or_else(|_| caller.may(Right::Programs))?;
            }
            Ok(_) | Err(_) => caller.may(Right::Files)?,
        }
        place
    }

    /// The program whose input is written.
    fn input(&self, caller: &Caller, location: &Location) -> Result<u64, Failure> {
        match self.place(caller, location) {
            Ok(Place::Stdio(pid, Stdio::Stdin)) => Ok(pid),
            Ok(Place::Stdio(..)) => Err(Failure::Invalid),
            Err(Failure::NotAllowed) => Err(Failure::NotAllowed),
            _ => Err(Failure::Disabled),
        }
    }

    /// The attributes of what a program reads or has written. What it has written is held, so that as much comes.
    fn stdio(
        &mut self,
        caller: &Caller,
        pid: u64,
        of: Stdio,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        let time = self.rooms.seconds();
        let len = match of {
            Stdio::Stdin => 0,
            Stdio::Stdout | Stdio::Stderr => {
                let held = self.files.outputs.hold(&caller.name, pid, of, now);
                match held {
                    Some(len) => len,
                    None => {
                        let bytes = ready!(self.programs.output(pid, of, now))?;
                        if self.files.held() + bytes.len() > MOST_IN_ALL {
                            return Poll::Ready(Err(Failure::NoRoom));
                        }
                        self.files.outputs.put(&caller.name, pid, of, bytes, now)
                    }
                }
            }
        };
        let size = u64::try_from(len).unwrap_or(u64::MAX);
        Poll::Ready(Ok(tree::file_attributes(tree::OWN_FILE_MODE, size, time)))
    }

    fn prepared(
        &mut self,
        caller: &Caller,
        location: &Location,
        place: &Place,
        want: Want,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        let file = self
            .files
            .snapshot(caller, location, place, want, self.rooms, now);
        let attributes = ready!(file)?.attributes;
        if attributes.kind == Kind::Folder && location.archive.is_some() {
            return Poll::Ready(Ok(archive_attributes(&attributes)));
        }
        Poll::Ready(Ok(attributes))
    }
}
