//! Temporary files of callers, `/tmp/<prefix>vmware<N><suffix>`, in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Failure;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Temporaries {
    files: BTreeMap<(String, String), Vec<u8>>,
}

#[allow(dead_code)]
impl Temporaries {
    /// Drops those that have not been used for long.
    pub(crate) fn expire(&mut self, _now: Duration) {}

    /// When [`Self::expire`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        None
    }

    #[cfg(test)]
    pub(crate) fn make(&mut self, owner: &str, path: &str) {
        self.files.insert((owner.into(), path.into()), Vec::new());
    }

    #[cfg(test)]
    pub(crate) fn contents(&self, owner: &str, path: &str) -> Option<Vec<u8>> {
        self.files.get(&(owner.into(), path.into())).cloned()
    }

    /// Whether there is one.
    pub(crate) fn has(&self, owner: &str, path: &str) -> bool {
        self.files.contains_key(&(owner.into(), path.into()))
    }

    /// Empties it.
    pub(crate) fn clear(&mut self, owner: &str, path: &str, _now: Duration) -> Result<(), Failure> {
        let file = self.files.get_mut(&(owner.into(), path.into()));
        file.ok_or(Failure::NotFound)?.clear();
        Ok(())
    }

    /// Adds to it.
    pub(crate) fn append(
        &mut self,
        owner: &str,
        path: &str,
        bytes: &[u8],
        _now: Duration,
    ) -> Result<(), Failure> {
        let file = self.files.get_mut(&(owner.into(), path.into()));
        let file = file.ok_or(Failure::NotFound)?;
        if file.len() + bytes.len() > 1 << 20 {
            return Err(Failure::NoRoom);
        }
        file.extend(bytes);
        Ok(())
    }
}
