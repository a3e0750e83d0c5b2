//! Waiting for something to have happened, from threads and from tasks alike.
//!
//! Whoever changes what somebody may wait for calls [`Signal::changed`] afterwards; whoever waits looks
//! again after each change. There is no polling and no lost wake-up: the revision is read before the look.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// A revision number that can be waited for.
#[derive(Debug)]
pub(crate) struct Signal {
    revision: Mutex<u64>,
    moved: Condvar,
    tasks: watch::Sender<u64>,
}

impl Default for Signal {
    fn default() -> Self {
        Self {
            revision: Mutex::new(0),
            moved: Condvar::new(),
            tasks: watch::Sender::new(0),
        }
    }
}

impl Signal {
    /// Wakes everybody who waits.
    pub(crate) fn changed(&self) {
        let mut revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner);
        *revision += 1;
        self.tasks.send_replace(*revision);
        self.moved.notify_all();
    }

    /// Blocks the thread until `look` finds something; `None` when the time is over.
    pub(crate) fn wait<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        loop {
            let seen = *self.revision.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = look() {
                return Some(found);
            }
            let revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner);
            let left = deadline.saturating_duration_since(Instant::now());
            let (revision, waited) = self
                .moved
                .wait_timeout_while(revision, left, |revision| *revision == seen)
                .unwrap_or_else(PoisonError::into_inner);
            drop(revision);
            if waited.timed_out() {
                return look();
            }
        }
    }

    /// Suspends the task until `look` finds something; `None` when the time is over.
    pub(crate) async fn until<T>(
        &self,
        timeout: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let mut tasks = self.tasks.subscribe();
        let found = tokio::time::timeout(timeout, async {
            loop {
                tasks.borrow_and_update();
                if let Some(found) = look() {
                    return Some(found);
                }
                if tasks.changed().await.is_err() {
                    return None;
                }
            }
        })
        .await;
        found.unwrap_or_else(|_| look())
    }
}
