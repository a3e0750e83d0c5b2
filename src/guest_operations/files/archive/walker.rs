//! The way through a folder, file by file, into a packer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::packer::{IN_ONE_GO, Packer, TRAILER};
use crate::guest_operations::Failure;
use crate::guest_operations::files::fetch::Fetch;
use crate::guest_operations::files::lister::Lister;
use crate::guest_operations::files::location::path_of;
use crate::guest_operations::files::node_files::{self, Walk};
use crate::guest_operations::files::question::Bytes;
use crate::guest_operations::files::tree::{self, Place};
use crate::guest_operations::files::{ArchiveForm, Context, Kind, Listed, MOST_IN_FILE};
use crate::inquiry::{EntryKind, Inquiry};

/// Bytes that may wait to be read before more is packed.
const AHEAD: usize = 128 << 10;
/// Bytes that are packed at a time.
const STEP: usize = 32 << 10;
/// Folders within folders.
const MOST_DEEP: usize = 64;
/// How long a file or folder is waited for while someone wants to read on.
const PATIENCE: Duration = Duration::from_millis(2200);

/// See the module.
#[derive(Debug)]
pub(super) struct Walker {
    packer: Packer,
    /// What goes before each name.
    prefix: String,
    /// Components of the folder that is packed.
    below: usize,
    /// The folders that are gone through, the innermost last, with what is left of each.
    folders: Vec<(Vec<String>, VecDeque<Listed>)>,
    current: Current,
    /// Since when that is waited for.
    since: Duration,
    end: Option<Result<(), Failure>>,
    /// There is more to do as soon as others had their turn.
    goes_on: bool,
}

/// What is packed now.
#[derive(Debug)]
enum Current {
    /// Nothing: the next is due.
    Next,
    /// A folder that is listed.
    Folder(Vec<String>, Lister),
    /// A file whose size is not known before all of it is there.
    Fetch(String, Fetch),
    /// The bytes of such a file, and how many of them are packed.
    Whole(Arc<[u8]>, usize),
    /// A file of the node that is looked for.
    Walk(String, Walk),
    /// A file of the node that is packed as it comes: its size, and what is left of it.
    Stream(Bytes, u64, u64),
    /// Zeros in place of what a file of the node has become shorter by: its size, and how many.
    Zeros(u64, u64),
}

impl Walker {
    /// At the beginning of a folder.
    pub(super) fn new(
        components: Vec<String>,
        lister: Lister,
        form: &ArchiveForm,
        now: Duration,
    ) -> Self {
        Self {
            packer: Packer::new(form.gzip),
            prefix: form.prefix.clone(),
            below: components.len(),
            folders: Vec::new(),
            current: Current::Folder(components, lister),
            since: now,
            end: None,
            goes_on: false,
        }
    }

    /// What is packed and not read.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        self.packer.out()
    }

    /// Whether all is packed.
    ///
    /// # Errors
    /// When it cannot go on.
    pub(super) fn has_ended(&self) -> Result<bool, Failure> {
        self.end.unwrap_or(Ok(())).map(|()| self.end.is_some())
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        let current = match &self.current {
            Current::Fetch(_, fetch) => fetch.held(),
            Current::Whole(bytes, _) => bytes.len(),
            _ => 0,
        };
        self.packer.held() + current
    }

    /// When it wants to go on although no answer has come.
    pub(super) fn poll_timeout(&self, waiting: Option<Duration>) -> Option<Duration> {
        if self.end.is_some() || self.packer.held() >= AHEAD {
            return None;
        }
        if self.goes_on {
            return Some(self.since);
        }
        let own = match &self.current {
            Current::Folder(_, lister) => lister.poll_timeout(),
            Current::Fetch(_, fetch) => fetch.poll_timeout(),
            _ => None,
        };
        let patience = waiting.map(|waiting| self.deadline(waiting));
        own.into_iter().chain(patience).min()
    }

    fn deadline(&self, waiting: Duration) -> Duration {
        self.since.max(waiting).saturating_add(PATIENCE)
    }

    /// Packs what has come, as far as there is room. `waiting` is since when someone wants to read on.
    pub(super) fn advance(&mut self, user: &str, waiting: Option<Duration>, cx: &mut Context<'_>) {
        let now = cx.now;
        let mut left = IN_ONE_GO;
        self.goes_on = false;
        while self.end.is_none() && self.packer.held() < AHEAD {
            if left == 0 {
                self.goes_on = true;
                return;
            }
            match self.step(user, cx) {
                Poll::Ready(Ok(packed)) => {
                    left = left.saturating_sub(packed.max(512));
                }
                Poll::Ready(Err(failure)) => self.skip(failure, now),
                Poll::Pending => {
                    if waiting.is_none_or(|waiting| now < self.deadline(waiting)) {
                        return;
                    }
                    self.skip(Failure::NotNow, now);
                }
            }
        }
    }

    /// Leaves out what cannot be read. What is in the middle of a file cannot be left out any more.
    fn skip(&mut self, failure: Failure, now: Duration) {
        if matches!(self.current, Current::Stream(..)) {
            self.end = Some(Err(failure));
        }
        let folder = matches!(self.current, Current::Folder(..));
        // Without the folder itself there is no archive.
        if folder && self.folders.is_empty() {
            self.end = Some(Err(failure));
        }
        self.set(Current::Next, now);
    }

    fn set(&mut self, current: Current, now: Duration) {
        self.current = current;
        self.since = now;
    }

    /// One step; how many bytes it packed.
    fn step(&mut self, user: &str, cx: &mut Context<'_>) -> Poll<Result<usize, Failure>> {
        let next = match &mut self.current {
            Current::Next => return Poll::Ready(self.next(user, cx)),
            Current::Folder(components, lister) => {
                let found = std::task::ready!(lister.poll(cx.allowed, cx.rooms, cx.now))?;
                let entries = found.entries.ok_or(Failure::NotAFolder)?;
                let folder = (std::mem::take(components), entries.into());
                self.folders.push(folder);
                Current::Next
            }
            Current::Fetch(name, fetch) => {
                let most = fetch.held().saturating_add(cx.room).min(MOST_IN_FILE);
                let file = std::task::ready!(fetch.poll(cx.rooms, most, cx.now))?;
                let bytes = Arc::clone(file.contents()?);
                self.packer.begin(name, &file.attributes);
                Current::Whole(bytes, 0)
            }
            Current::Whole(bytes, done) => {
                let step = bytes.iter().as_slice().get(*done..).unwrap_or_default();
                let step = step.get(..STEP).unwrap_or(step);
                self.packer.data(step);
                *done += step.len();
                if *done < bytes.len() {
                    return Poll::Ready(Ok(step.len()));
                }
                self.packer
                    .pad(u64::try_from(bytes.len()).unwrap_or_default());
                Current::Next
            }
            Current::Walk(name, walk) => {
                let entry = std::task::ready!(walk.poll(&mut cx.rooms.inquiries))?;
                let attributes = node_files::attributes(&entry);
                match entry.kind {
                    EntryKind::File => {
                        let path = path_of(walk.components());
                        // One byte of a file of the kernel, whose size is 0: none would be too few for it.
                        let most = attributes.size.max(1);
                        let read = Inquiry::Read { path, most };
                        let bytes = Bytes::ask(read, &mut cx.rooms.inquiries)?;
                        self.packer.begin(name, &attributes);
                        Current::Stream(bytes, attributes.size, attributes.size)
                    }
                    _ => return Poll::Ready(Err(Failure::NotAFile)),
                }
            }
            Current::Stream(bytes, size, left) => {
                match std::task::ready!(bytes.next(&mut cx.rooms.inquiries))? {
                    Some(piece) => {
                        let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                        let piece = piece.get(..wanted).unwrap_or(&piece);
                        self.packer.data(piece);
                        *left -= u64::try_from(piece.len()).unwrap_or_default().min(*left);
                        if *left > 0 {
                            return Poll::Ready(Ok(piece.len()));
                        }
                        self.packer.pad(*size);
                        Current::Next
                    }
                    None => Current::Zeros(*size, *left),
                }
            }
            Current::Zeros(size, left) => {
                let step = usize::try_from(*left).unwrap_or(usize::MAX).min(STEP);
                self.packer.data(&vec![0; step]);
                *left -= u64::try_from(step).unwrap_or_default().min(*left);
                if *left > 0 {
                    return Poll::Ready(Ok(step));
                }
                self.packer.pad(*size);
                Current::Next
            }
        };
        self.set(next, cx.now);
        Poll::Ready(Ok(0))
    }

    /// Begins with the next file or folder, or ends.
    fn next(&mut self, user: &str, cx: &mut Context<'_>) -> Result<usize, Failure> {
        let Some((folder, left)) = self.folders.last_mut() else {
            self.packer.finish();
            self.packer.out().extend_from_slice(&TRAILER);
            self.end = Some(Ok(()));
            return Ok(0);
        };
        let Some(Listed { name, attributes }) = left.pop_front() else {
            self.folders.pop();
            return Ok(0);
        };
        let mut components = folder.clone();
        components.push(name);
        let below = components.get(self.below..).unwrap_or_default();
        let name = format!("{}{}", self.prefix, below.join("/"));
        let next = match attributes.kind {
            Kind::Link(_) => {
                self.packer.begin(&name, &attributes);
                Current::Next
            }
            Kind::Folder => {
                let place = tree::place(&components, cx.allowed, |_| false)?;
                if self.folders.len() >= MOST_DEEP {
                    return Err(Failure::NameTooLong);
                }
                let lister = Lister::new(&place, user, &[], cx.allowed, cx.rooms, cx.now)?;
                self.packer.begin(&name, &attributes);
                Current::Folder(components, lister)
            }
            Kind::File => {
                let place = tree::place(&components, cx.allowed, |_| false)?;
                file(name, &place, attributes.size, user, cx)?
            }
        };
        self.set(next, cx.now);
        Ok(0)
    }
}

/// Begins with a file of this size as its folder shows it.
fn file(
    name: String,
    place: &Place,
    size: u64,
    user: &str,
    cx: &mut Context<'_>,
) -> Result<Current, Failure> {
    Ok(match place {
        // What has no size is made up by the kernel, and has one when all of it is there.
        Place::Node(components) if size > 0 => Current::Walk(name, Walk::new(components.clone())),
        place => {
            let fetch = Fetch::of(place, user, cx.allowed, cx.rooms, cx.now)?;
            Current::Fetch(name, fetch)
        }
    })
}
