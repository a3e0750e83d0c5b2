//! Files as they were when a transfer began, so that the size that is announced is the size that comes.
//!
//! ```text
//! announce ─► Fetch ─► Prepared ──► look (size) ─► open (contents; an open file keeps them)
//!               │         └─ a while after the last use it goes
//!               └─ goes on without the asker, who finds it ready when asking again
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use super::fetch::{Fetch, Prepared};
use super::{Context, MOST_IN_FILE};
use crate::guest_operations::Failure;

/// Files at a time.
pub(super) const MOST: usize = 32;
/// How long one is kept after its last use.
const UNUSED: Duration = Duration::from_secs(15);
/// How long after an announcement the same is announced again, unless it was opened.
const SAME: Duration = Duration::from_secs(5);
/// How long a failure is repeated. A later request tries again.
const FAILED: Duration = Duration::from_millis(500);
/// Bytes that one fetch may add at a time, about: room for them is made before.
const STEP: usize = 256 << 10;

/// Whose view of which path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    /// The user.
    pub(super) user: Arc<str>,
    /// The path.
    pub(super) components: Vec<String>,
}

/// What a snapshot is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// A transfer begins: as it is now.
    Announce,
    /// Its size.
    Look,
    /// Its contents, to read them.
    Open,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    all: BTreeMap<Whose, Snapshot>,
    /// Contents that are no snapshots any more, but open somewhere.
    open: Vec<Weak<[u8]>>,
}

/// One of them.
#[derive(Debug)]
struct Snapshot {
    preparing: Option<Fetch>,
    ready: Option<Prepared>,
    failed: Option<(Failure, Duration)>,
    /// It has not been given out yet.
    is_new: bool,
    /// When it was announced last, until it is opened.
    announced: Option<Duration>,
    used: Duration,
}

impl Snapshots {
    /// A snapshot of a file for this purpose. `start` begins with one; `changes` says that it must not be older than
    /// its last announcement. All together may hold the bytes that the context has room for.
    pub(super) fn take(
        &mut self,
        whose: &Whose,
        want: Want,
        changes: bool,
        start: impl FnOnce(&mut Context<'_>) -> Result<Fetch, Failure>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Prepared, Failure>> {
        let now = cx.now;
        self.make_place(whose)?;
        let snapshot = self.all.entry(whose.clone()).or_insert_with(|| Snapshot {
            preparing: None,
            ready: None,
            failed: None,
            is_new: false,
            announced: None,
            used: now,
        });
        snapshot.used = now;
        if let Some(ready) = snapshot.give(want, changes, now) {
            return Poll::Ready(Ok(ready));
        }
        if let Some((failure, at)) = snapshot.failed.take()
            && now.saturating_sub(at) < FAILED
        {
            return Poll::Ready(Err(failure));
        }
        if snapshot.preparing.is_none() {
            snapshot.preparing = Some(start(cx)?);
        }
        self.prepare(whose, cx);
        let Some(snapshot) = self.all.get_mut(whose) else {
            return Poll::Ready(Err(Failure::Failed));
        };
        if let Some((failure, _)) = snapshot.failed.take() {
            return Poll::Ready(Err(failure));
        }
        match snapshot.give(want, changes, now) {
            Some(ready) => Poll::Ready(Ok(ready)),
            None => Poll::Pending,
        }
    }

    /// Goes on with those that are prepared, and drops those that were not used for long.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        let preparing = self.all.iter().filter(|(_, one)| one.preparing.is_some());
        let preparing: Vec<_> = preparing.map(|(whose, _)| whose.clone()).collect();
        for whose in preparing {
            self.prepare(&whose, cx);
        }
        self.keep(|_, snapshot| snapshot.used.saturating_add(UNUSED) > cx.now);
        self.open.retain(|bytes| bytes.strong_count() > 0);
    }

    /// When [`Self::advance`] has something to do although no answer has come.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let due = self.all.values().flat_map(|snapshot| {
            let preparing = snapshot.preparing.as_ref().and_then(Fetch::poll_timeout);
            [preparing, Some(snapshot.used.saturating_add(UNUSED))]
        });
        due.flatten().min()
    }

    /// The size of a file, if there is a snapshot of it.
    pub(super) fn size(&self, whose: &Whose) -> Option<u64> {
        let ready = self.all.get(whose)?.ready.as_ref()?;
        Some(ready.attributes.size)
    }

    /// Drops those of users that are not kept.
    pub(super) fn keep_users(&mut self, keeps: impl Fn(&str) -> bool) {
        self.keep(|whose, _| keeps(&whose.user));
    }

    /// Bytes that they hold, those that are open somewhere included.
    pub(super) fn held(&self) -> usize {
        let all = self.all.values().map(|snapshot| {
            let preparing = snapshot.preparing.as_ref().map_or(0, Fetch::held);
            preparing + snapshot.ready.as_ref().map_or(0, |ready| ready.bytes.len())
        });
        let open = self.open.iter().filter_map(Weak::upgrade);
        all.sum::<usize>() + open.map(|bytes| bytes.len()).sum::<usize>()
    }

    /// Takes in what has come for one of them.
    fn prepare(&mut self, whose: &Whose, cx: &mut Context<'_>) {
        let preparing = self.all.get_mut(whose).map(|one| one.preparing.take());
        let Some(mut fetch) = preparing.flatten() else {
            return;
        };
        self.make_room(whose, cx.room.saturating_sub(fetch.held() + STEP));
        let most = cx.room.saturating_sub(self.held()).min(MOST_IN_FILE);
        let outcome = fetch.poll(cx.rooms, most, cx.now);
        let Some(snapshot) = self.all.get_mut(whose) else {
            return;
        };
        match outcome {
            Poll::Pending => snapshot.preparing = Some(fetch),
            Poll::Ready(Ok(ready)) => {
                snapshot.is_new = true;
                snapshot.failed = None;
                let replaced = snapshot.ready.replace(ready);
                self.open
                    .extend(replaced.map(|old| Arc::downgrade(&old.bytes)));
            }
            Poll::Ready(Err(failure)) => snapshot.failed = Some((failure, cx.now)),
        }
    }

    /// Drops the snapshots that were not used for the longest time, until all others hold so little.
    fn make_room(&mut self, but: &Whose, most: usize) {
        while self.held() > most && self.drop_idle(but) {}
    }

    /// Makes place for one more.
    fn make_place(&mut self, whose: &Whose) -> Result<(), Failure> {
        if self.all.len() < MOST || self.all.contains_key(whose) || self.drop_idle(whose) {
            return Ok(());
        }
        Err(Failure::Busy)
    }

    /// Drops the idle snapshot that was not used for the longest time; whether there was one.
    fn drop_idle(&mut self, but: &Whose) -> bool {
        let idle = self
            .all
            .iter()
            .filter(|(whose, one)| *whose != but && one.preparing.is_none() && !one.is_wanted())
            .min_by_key(|(_, snapshot)| snapshot.used);
        let Some(whose) = idle.map(|(whose, _)| whose.clone()) else {
            return false;
        };
        self.keep(|other, _| *other != whose);
        true
    }

    fn keep(&mut self, keeps: impl Fn(&Whose, &Snapshot) -> bool) {
        let open = &mut self.open;
        self.all.retain(|whose, snapshot| {
            let keeps = keeps(whose, snapshot);
            if !keeps {
                let ready = snapshot.ready.as_ref();
                open.extend(ready.map(|ready| Arc::downgrade(&ready.bytes)));
            }
            keeps
        });
    }
}

impl Snapshot {
    /// Its size was given out, or will be, and a read of its contents follows.
    const fn is_wanted(&self) -> bool {
        self.is_new || self.announced.is_some()
    }

    fn give(&mut self, want: Want, changes: bool, now: Duration) -> Option<Prepared> {
        let ready = self.ready.as_ref()?;
        let is_announced = self.announced.is_some();
        let may = match want {
            Want::Announce if changes => self.is_new,
            Want::Announce => {
                let until = self.announced.map(|at| at.saturating_add(SAME));
                self.is_new || until.is_some_and(|until| now < until)
            }
            Want::Look | Want::Open if changes => self.is_new || is_announced,
            Want::Look | Want::Open => true,
        };
        if !may {
            return None;
        }
        self.announced = match want {
            Want::Announce => Some(now),
            // A look after the contents were opened announces nothing.
            Want::Look if !self.is_new => self.announced,
            Want::Look => Some(now),
            Want::Open => None,
        };
        self.is_new = false;
        Some(ready.clone())
    }
}
