//! What the server wants of files.

use std::task::Poll;
use std::time::Duration;

use crate::guest_operations::files::{Access, Attributes, Location, Opened};
use crate::guest_operations::{Caller, Failure};

/// What the server wants of files: [`Access`], or a small tree in tests.
pub(in crate::vmware::services::guest_operations) trait Files {
    /// See [`Access::attributes`].
    fn attributes(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>>;
    /// See [`Access::open`].
    fn open(
        &mut self,
        caller: &Caller,
        location: &Location,
        to_write: bool,
        now: Duration,
    ) -> Poll<Result<Opened, Failure>>;
    /// See [`Access::read`].
    fn read(
        &mut self,
        opened: &Opened,
        offset: u64,
        most: usize,
        now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>>;
    /// See [`Access::write`].
    fn write(&mut self, opened: &Opened, offset: u64, bytes: &[u8]) -> Result<usize, Failure>;
    /// See [`Access::close`].
    fn close(&mut self, opened: &Opened, read_to: u64);
}

impl Files for Access<'_> {
    fn attributes(
        &mut self,
        caller: &Caller,
        location: &Location,
        now: Duration,
    ) -> Poll<Result<Attributes, Failure>> {
        Access::attributes(self, caller, location, now)
    }

    fn open(
        &mut self,
        caller: &Caller,
        location: &Location,
        to_write: bool,
        now: Duration,
    ) -> Poll<Result<Opened, Failure>> {
        Access::open(self, caller, location, to_write, now)
    }

    fn read(
        &mut self,
        opened: &Opened,
        offset: u64,
        most: usize,
        now: Duration,
    ) -> Poll<Result<Vec<u8>, Failure>> {
        Access::read(self, opened, offset, most, now)
    }

    fn write(&mut self, opened: &Opened, offset: u64, bytes: &[u8]) -> Result<usize, Failure> {
        Access::write(self, opened, offset, bytes)
    }

    fn close(&mut self, opened: &Opened, read_to: u64) {
        Access::close(self, opened, read_to);
    }
}
