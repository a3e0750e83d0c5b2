//! What is asked in a session.

use std::task::{Poll, ready};
use std::time::Duration;

use crate::guest_operations::Caller;
use crate::guest_operations::files::{Attributes, Kind, Location};
use crate::vmware::wire::hgfs::{FileKind, FileStatus, Mode, READ_OVERHEAD, Reply, Status, Target};
use crate::vmware::wire::message::MAX_MESSAGE;

use super::files::Files;
use super::sessions::{Handle, InSession};
use super::status::status;

/// What stands before a packet in a reply to the host.
const BEFORE_PACKET: usize = b"OK 0 0 #".len();
/// The longest packet that we send: the host takes 8 bytes more, but all of the reply must fit a message.
const MOST_IN_REPLY: u32 = (MAX_MESSAGE - BEFORE_PACKET) as u32;

impl InSession<'_> {
    pub(super) fn open(
        &mut self,
        target: Target<'_>,
        mode: Mode,
        caller: &Caller,
        files: &mut impl Files,
        now: Duration,
    ) -> Poll<Result<Reply, Status>> {
        let to_write = match mode {
            Mode::Read => false,
            Mode::Write => true,
            Mode::Neither => return Poll::Ready(Err(Status::AccessDenied)),
        };
        // A file that is open is not opened once more.
        let Target::Name(name) = target else {
            return Poll::Ready(Err(Status::NotSupported));
        };
        let location = self.has_room().and_then(|()| locate(name.components()?))?;
        let opened = ready!(files.open(caller, &location, to_write, now)).map_err(status)?;
        let handle = self.insert(Handle {
            location,
            opened,
            read_to: 0,
            written_to: 0,
        });
        Poll::Ready(Ok(Reply::Opened { handle }))
    }

    pub(super) fn read(
        &mut self,
        handle: u32,
        offset: u64,
        size: u32,
        files: &mut impl Files,
        now: Duration,
    ) -> Poll<Result<Reply, Status>> {
        let room = self.most_in_packet().min(MOST_IN_REPLY) - READ_OVERHEAD;
        let most = size.min(room) as usize;
        let handle = self.handle(handle)?;
        if most == 0 {
            return Poll::Ready(Ok(Reply::Read(Vec::new())));
        }
        let data = ready!(files.read(&handle.opened, offset, most, now)).map_err(status)?;
        if offset <= handle.read_to {
            let end = offset.saturating_add(data.len() as u64);
            handle.read_to = handle.read_to.max(end);
        }
        Poll::Ready(Ok(Reply::Read(data)))
    }

    pub(super) fn write(
        &mut self,
        handle: u32,
        offset: Option<u64>,
        data: &[u8],
        files: &mut impl Files,
    ) -> Result<Reply, Status> {
        let handle = self.handle(handle)?;
        let offset = offset.unwrap_or(handle.written_to);
        let taken = files.write(&handle.opened, offset, data).map_err(status)?;
        let end = offset.saturating_add(taken as u64);
        handle.written_to = handle.written_to.max(end);
        Ok(Reply::Written(u32::try_from(taken).unwrap_or(u32::MAX)))
    }

    pub(super) fn attributes(
        &mut self,
        target: Target<'_>,
        caller: &Caller,
        files: &mut impl Files,
        now: Duration,
    ) -> Poll<Result<Reply, Status>> {
        let location = match target {
            Target::Handle(handle) => self.handle(handle)?.location.clone(),
            Target::Name(name) => locate(name.components()?)?,
        };
        let attributes = ready!(files.attributes(caller, &location, now)).map_err(status)?;
        Poll::Ready(Ok(Reply::Attributes(shown(attributes))))
    }
}

fn locate(components: Vec<&str>) -> Result<Location, Status> {
    Location::of_components(components.into_iter()).map_err(status)
}

fn shown(attributes: Attributes) -> FileStatus {
    FileStatus {
        kind: match attributes.kind {
            Kind::File => FileKind::Regular,
            Kind::Folder => FileKind::Directory,
            Kind::Link(target) => FileKind::Symlink(target),
        },
        size: attributes.size,
        times: Some(attributes.times),
        mode: Some(attributes.mode),
        owner: Some(attributes.owner),
    }
}
