//! File transfer: the host asks for files by HGFS, packet by packet, and each packet has its own credentials.
//!
//! ```text
//! a download: create session ─ attributes ─ open ─ read … ─ close ─ destroy session
//! ```
//! The server keeps sessions and handles; what a file is, who may have it and what comes of it is
//! [`crate::guest_operations::files`]' business.

mod files;
mod requests;
mod sessions;
mod status;
#[cfg(test)]
mod tests;

use std::task::{Poll, ready};
use std::time::Duration;

use tracing::debug;

use crate::guest_operations::{Caller, Failure};
use crate::vmware::wire::hgfs::{Call, MOST_IN_PACKET, Reply, Request, Status, refusal};

use files::Files;
use sessions::{Handle, Sessions};
use status::status;

/// The shortest limit of packets that a host may set. In less there is no room for bytes of a file, and a read without
/// bytes would be its end.
const LEAST_IN_PACKET: u32 = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Server {
    sessions: Sessions,
}

impl Server {
    /// Answers a packet, whatever it is. `Pending`: hand the same packet in again when more is known; until its answer
    /// is there it has no effect.
    pub(super) fn handle(
        &mut self,
        packet: &[u8],
        caller: &Caller,
        mut files: impl Files,
        now: Duration,
    ) -> Poll<Vec<u8>> {
        let Request { header, call } = Request::decode(packet);
        let answer = match call {
            Ok(call) => ready!(self.answer(&call, header.session, caller, &mut files, now)),
            Err(status) => Err(status),
        };
        Poll::Ready(match answer {
            Ok(reply) => reply.encode(&header),
            Err(status) => {
                debug!(op = header.op, ?status, "HGFS request refused");
                refusal(&header, status)
            }
        })
    }

    /// The answer to a packet that comes to nothing.
    pub(super) fn refusal(packet: &[u8], failure: Failure) -> Vec<u8> {
        refusal(&Request::decode(packet).header, status(failure))
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.sessions.poll_timeout()
    }

    /// Ends sessions that have been idle for too long.
    pub(super) fn handle_timeout(&mut self, mut files: impl Files, now: Duration) {
        close(self.sessions.expire(now), &mut files);
    }

    /// Ends all sessions: users may have lost a right.
    pub(super) fn forget(&mut self, mut files: impl Files) {
        close(self.sessions.end_all(), &mut files);
    }

    fn answer(
        &mut self,
        call: &Call<'_>,
        session: u64,
        caller: &Caller,
        files: &mut impl Files,
        now: Duration,
    ) -> Poll<Result<Reply, Status>> {
        match call {
            Call::CreateSession { most_in_packet } => {
                Poll::Ready(self.create_session(*most_in_packet, caller, files, now))
            }
            Call::DestroySession => {
                close(self.sessions.end(session, caller, now)?, files);
                Poll::Ready(Ok(Reply::SessionEnded))
            }
            Call::Open { target, mode } => {
                let mut session = self.sessions.enter(session, caller, now)?;
                session.open(*target, *mode, caller, files, now)
            }
            Call::Read {
                handle,
                offset,
                size,
            } => {
                let mut session = self.sessions.enter(session, caller, now)?;
                session.read(*handle, *offset, *size, files, now)
            }
            Call::Write {
                handle,
                offset,
                data,
            } => {
                let mut session = self.sessions.enter(session, caller, now)?;
                Poll::Ready(session.write(*handle, *offset, data, files))
            }
            Call::Close { handle } => {
                let mut session = self.sessions.enter(session, caller, now)?;
                close([session.remove(*handle)?], files);
                Poll::Ready(Ok(Reply::Closed))
            }
            Call::Attributes { target } => {
                let mut session = self.sessions.enter(session, caller, now)?;
                session.attributes(*target, caller, files, now)
            }
        }
    }

    fn create_session(
        &mut self,
        asked: Option<u32>,
        caller: &Caller,
        files: &mut impl Files,
        now: Duration,
    ) -> Result<Reply, Status> {
        let most_in_packet = match asked {
            None | Some(0) => MOST_IN_PACKET,
            Some(..LEAST_IN_PACKET) => return Err(Status::InvalidParameter),
            Some(asked) => asked.min(MOST_IN_PACKET),
        };
        let (id, lost) = self.sessions.create(caller, most_in_packet, now);
        close(lost, files);
        Ok(Reply::Session { id, most_in_packet })
    }
}

fn close(handles: impl IntoIterator<Item = Handle>, files: &mut impl Files) {
    for handle in handles {
        files.close(&handle.opened, handle.read_to);
    }
}
