//! Temporary files of callers, `/tmp/<prefix>vmware<N><suffix>`, in memory.

use std::time::Duration;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Temporaries {}

impl Temporaries {
    /// Drops those that have not been used for long.
    pub(crate) fn expire(&mut self, _now: Duration) {}

    /// When [`Self::expire`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        None
    }
}
