//! What programs had written when its size was asked for, until it is opened.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::guest_operations::programs::Stdio;

/// How long it is held.
const UNUSED: Duration = Duration::from_secs(15);
/// How many are held.
const MOST: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    all: Vec<Output>,
    /// What is open somewhere.
    open: Vec<Weak<[u8]>>,
}

/// One of them.
#[derive(Debug)]
struct Output {
    user: Arc<str>,
    pid: u64,
    of: Stdio,
    bytes: Arc<[u8]>,
    used: Duration,
}

impl Outputs {
    /// How long it is, if it is held.
    pub(super) fn hold(&mut self, user: &str, pid: u64, of: Stdio, now: Duration) -> Option<usize> {
        let mut all = self.all.iter_mut();
        let output = all.find(|output| output.is(user, pid, of))?;
        output.used = now;
        Some(output.bytes.len())
    }

    /// Holds it; how long it is. It takes the place of what was held longest, if there is none.
    pub(super) fn put(
        &mut self,
        user: &Arc<str>,
        pid: u64,
        of: Stdio,
        bytes: Arc<[u8]>,
        now: Duration,
    ) -> usize {
        self.forget(user, pid, of);
        if self.all.len() >= MOST {
            self.all.remove(0);
        }
        let len = bytes.len();
        self.all.push(Output {
            user: Arc::clone(user),
            pid,
            of,
            bytes,
            used: now,
        });
        len
    }

    /// Takes it, to open it.
    pub(super) fn take(&mut self, user: &str, pid: u64, of: Stdio) -> Option<Arc<[u8]>> {
        let mut all = self.all.iter();
        let at = all.position(|output| output.is(user, pid, of))?;
        let bytes = self.all.remove(at).bytes;
        self.open.retain(|open| open.strong_count() > 0);
        self.open.push(Arc::downgrade(&bytes));
        Some(bytes)
    }

    /// Bytes that are held, those that are open somewhere included.
    pub(super) fn held(&self) -> usize {
        let all = self.all.iter().map(|output| output.bytes.len());
        let open = self.open.iter().filter_map(Weak::upgrade);
        all.sum::<usize>() + open.map(|bytes| bytes.len()).sum::<usize>()
    }

    /// Drops it, so that the next request sees what was written since.
    pub(super) fn forget(&mut self, user: &str, pid: u64, of: Stdio) {
        self.all.retain(|output| !output.is(user, pid, of));
    }

    /// Drops what was not opened in time.
    pub(super) fn expire(&mut self, now: Duration) {
        self.all
            .retain(|output| output.used.saturating_add(UNUSED) > now);
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let used = self.all.iter().map(|output| output.used).min()?;
        Some(used.saturating_add(UNUSED))
    }

    /// Drops those of users that are not kept.
    pub(super) fn keep_users(&mut self, keeps: impl Fn(&str) -> bool) {
        self.all.retain(|output| keeps(&output.user));
    }
}

impl Output {
    fn is(&self, user: &str, pid: u64, of: Stdio) -> bool {
        *self.user == *user && self.pid == pid && self.of == of
    }
}
