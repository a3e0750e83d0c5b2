//! Folders as tar archives, made while they are read: what is read ahead is bounded, and one file is asked for at a
//! time. What cannot be read is left out.

mod packer;
mod walker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::lister::Lister;
use super::{ArchiveForm, Context};
use crate::guest_operations::Failure;
pub(super) use packer::{IN_ONE_GO, Packer};
use walker::Walker;

/// Archives at a time.
const MOST: usize = 8;
/// How long one is kept that is not read.
const UNUSED: Duration = Duration::from_secs(60);
/// How long one has to be idle before it gives way to a new one.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes that one read gives, at most.
const MOST_IN_READ: usize = 64 << 10;

/// Those that are open.
#[derive(Debug, Default)]
pub(super) struct Archives {
    /// The number of the last.
    last: u64,
    open: BTreeMap<u64, Archive>,
}

/// One of them.
#[derive(Debug)]
struct Archive {
    user: Arc<str>,
    walker: Walker,
    /// How many bytes were given.
    position: u64,
    /// The piece before that position, for a reader that missed it.
    last: Vec<u8>,
    used: Duration,
    /// Since when a read waits for bytes.
    waiting: Option<Duration>,
}

impl Archives {
    /// Opens that of a folder, which is listed.
    ///
    /// # Errors
    /// [`Failure::Busy`] when too many are open.
    pub(super) fn open(
        &mut self,
        user: &Arc<str>,
        components: &[String],
        lister: Lister,
        form: &ArchiveForm,
        now: Duration,
    ) -> Result<u64, Failure> {
        if self.open.len() >= MOST {
            let idle = self.open.iter().min_by_key(|(_, archive)| archive.used);
            match idle.map(|(id, archive)| (*id, archive.used.saturating_add(IDLE))) {
                Some((id, until)) if until <= now => self.open.remove(&id),
                _ => return Err(Failure::Busy),
            };
        }
        self.last += 1;
        let archive = Archive {
            user: Arc::clone(user),
            walker: Walker::new(components.to_vec(), lister, form, now),
            position: 0,
            last: Vec::new(),
            used: now,
            waiting: None,
        };
        self.open.insert(self.last, archive);
        Ok(self.last)
    }

    /// The next bytes; none is the end. Only the piece that was given last is given again.
    pub(super) fn read(
        &mut self,
        id: u64,
        offset: u64,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        let now = cx.now;
        let archive = self.open.get_mut(&id).ok_or(Failure::NotFound)?;
        archive.used = now;
        let most = most.min(MOST_IN_READ);
        if let Some(bytes) = archive.given(offset, most) {
            return Poll::Ready(Ok(bytes));
        }
        if offset != archive.position {
            return Poll::Ready(Err(Failure::Invalid));
        }
        let waiting = *archive.waiting.get_or_insert(now);
        let walker = &mut archive.walker;
        walker.advance(&archive.user, Some(waiting), cx);
        let held = walker.out().len();
        if held < most && !walker.has_ended()? {
            return Poll::Pending;
        }
        archive.waiting = None;
        let bytes: Vec<u8> = walker.out().drain(..most.min(held)).collect();
        archive.position += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        archive.last.clone_from(&bytes);
        Poll::Ready(Ok(bytes))
    }

    /// Goes on with those that have room for more, and drops what is not read any more.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        self.open
            .retain(|_, archive| archive.used.saturating_add(UNUSED) > cx.now);
        for archive in self.open.values_mut() {
            let walker = &mut archive.walker;
            let before = walker.held();
            walker.advance(&archive.user, archive.waiting, cx);
            cx.room = cx.room.saturating_sub(walker.held().saturating_sub(before));
        }
    }

    /// When [`Self::advance`] has something to do although no answer has come.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let due = self.open.values().flat_map(|archive| {
            let unused = archive.used.saturating_add(UNUSED);
            [Some(unused), archive.walker.poll_timeout(archive.waiting)]
        });
        due.flatten().min()
    }

    /// Bytes that they hold.
    pub(super) fn held(&self) -> usize {
        self.open
            .values()
            .map(|archive| archive.walker.held() + archive.last.len())
            .sum()
    }

    /// Closes one.
    pub(super) fn close(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// Closes those of users that are not kept.
    pub(super) fn keep(&mut self, keeps: impl Fn(&str) -> bool) {
        self.open.retain(|_, archive| keeps(&archive.user));
    }
}

impl Archive {
    /// Bytes of the piece that was given last.
    fn given(&self, offset: u64, most: usize) -> Option<Vec<u8>> {
        let back = usize::try_from(self.position.checked_sub(offset)?).ok()?;
        let from = self.last.len().checked_sub(back)?;
        let bytes = self.last.get(from..).filter(|bytes| !bytes.is_empty())?;
        Some(bytes.get(..most).unwrap_or(bytes).to_vec())
    }
}
