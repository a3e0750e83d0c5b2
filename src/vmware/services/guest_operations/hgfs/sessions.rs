//! Sessions and the handles in them, bounded and ending by themselves: a host that vanishes closes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::guest_operations::Caller;
use crate::guest_operations::files::{Location, Opened};
use crate::vmware::wire::hgfs::Status;

/// Sessions at a time. A further one takes the place of another.
pub(super) const MOST_SESSIONS: usize = 24;
/// Handles in a session.
pub(super) const MOST_HANDLES: usize = 64;
/// How long a session lives without a request: a host gives a transfer up after 60 s without an answer. Files that are
/// open in it are in memory.
pub(super) const IDLE: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<u64, Session>,
    last_id: u64,
    last_handle: u32,
}

/// A session of one user.
#[derive(Debug)]
struct Session {
    owner: Arc<str>,
    used: Duration,
    most_in_packet: u32,
    handles: BTreeMap<u32, Handle>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) location: Location,
    pub(super) opened: Opened,
    /// How far it was read from its start without a gap.
    pub(super) read_to: u64,
    /// Where what was written ends.
    pub(super) written_to: u64,
}

/// What can be done in a session.
#[derive(Debug)]
pub(super) struct InSession<'a> {
    session: &'a mut Session,
    last_handle: &'a mut u32,
}

impl Sessions {
    /// A new session, and the handles of the one that makes room for it.
    ///
    /// Its name is the time since boot, unless that is taken: so it is none that an earlier process gave.
    pub(super) fn create(
        &mut self,
        caller: &Caller,
        most_in_packet: u32,
        now: Duration,
    ) -> (u64, Vec<Handle>) {
        let victim = (self.open.len() >= MOST_SESSIONS).then(|| self.victim());
        let lost = victim.flatten().and_then(|id| self.open.remove(&id));
        let time = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.last_id = time.max(self.last_id.wrapping_add(1));
        let session = Session {
            owner: Arc::clone(&caller.name),
            used: now,
            most_in_packet,
            handles: BTreeMap::new(),
        };
        self.open.insert(self.last_id, session);
        (self.last_id, handles_of(lost))
    }

    /// The longest idle session of the user who has most: one user's sessions do not end another's.
    fn victim(&self) -> Option<u64> {
        let mut held = BTreeMap::new();
        for session in self.open.values() {
            *held.entry(&session.owner).or_insert(0_usize) += 1;
        }
        let most = held.values().copied().max()?;
        let sessions = self.open.iter();
        let longest_idle = sessions
            .filter(|(_, session)| held.get(&session.owner) == Some(&most))
            .min_by_key(|(_, session)| session.used)?;
        Some(*longest_idle.0)
    }

    /// The session, which is thereby in use.
    ///
    /// # Errors
    /// When there is none of this name and user.
    pub(super) fn enter(
        &mut self,
        id: u64,
        caller: &Caller,
        now: Duration,
    ) -> Result<InSession<'_>, Status> {
        let session = self.open.get_mut(&id);
        let session = session.filter(|session| session.owner == caller.name);
        let session = session.ok_or(Status::StaleSession)?;
        session.used = now;
        Ok(InSession {
            session,
            last_handle: &mut self.last_handle,
        })
    }

    /// Ends a session; its handles.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub(super) fn end(
        &mut self,
        id: u64,
        caller: &Caller,
        now: Duration,
    ) -> Result<Vec<Handle>, Status> {
        self.enter(id, caller, now)?;
        Ok(handles_of(self.open.remove(&id)))
    }

    /// Ends those that are idle for too long; their handles.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Handle> {
        let is_idle = |_: &u64, session: &mut Session| session.used.saturating_add(IDLE) <= now;
        let ended = self.open.extract_if(.., is_idle);
        handles_of(ended.map(|(_, session)| session))
    }

    /// Ends all; their handles.
    pub(super) fn end_all(&mut self) -> Vec<Handle> {
        handles_of(std::mem::take(&mut self.open).into_values())
    }

    /// Whether there is a session of this name, of any user.
    #[cfg(test)]
    pub(super) fn holds(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let used = self.open.values().map(|session| session.used).min()?;
        Some(used.saturating_add(IDLE))
    }
}

impl InSession<'_> {
    /// The longest packet that the host takes.
    pub(super) const fn most_in_packet(&self) -> u32 {
        self.session.most_in_packet
    }

    /// Whether there is room for a further handle.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn has_room(&self) -> Result<(), Status> {
        if self.session.handles.len() < MOST_HANDLES {
            Ok(())
        } else {
            Err(Status::GenericError)
        }
    }

    /// Names an open file.
    pub(super) fn insert(&mut self, handle: Handle) -> u32 {
        // Neither 0 nor the invalid handle, 0xFFFFFFFF.
        *self.last_handle = match *self.last_handle {
            last if last >= u32::MAX - 1 => 1,
            last => last + 1,
        };
        self.session.handles.insert(*self.last_handle, handle);
        *self.last_handle
    }

    /// An open file of this session.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn handle(&mut self, handle: u32) -> Result<&mut Handle, Status> {
        let handle = self.session.handles.get_mut(&handle);
        handle.ok_or(Status::InvalidHandle)
    }

    /// Takes it out of the session.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub(super) fn remove(&mut self, handle: u32) -> Result<Handle, Status> {
        let handle = self.session.handles.remove(&handle);
        handle.ok_or(Status::InvalidHandle)
    }
}

fn handles_of(sessions: impl IntoIterator<Item = Session>) -> Vec<Handle> {
    let handles = sessions
        .into_iter()
        .flat_map(|session| session.handles.into_values());
    handles.collect()
}
