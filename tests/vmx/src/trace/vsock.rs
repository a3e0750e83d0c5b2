//! Stands in for AF_VSOCK.

use std::time::Instant;

use libc::{c_long, pid_t, user_regs_struct};

use super::Tracer;
use super::sys::Resume;
use crate::host::EventKind;

/// A socket the guest takes for a vsock one.
#[derive(Clone, Debug)]
pub(crate) struct Socket {}

/// The way of new connections to the thread that serves them.
#[derive(Debug)]
pub(crate) struct Handover {}

/// What is left to do when a call on such a socket is done.
#[derive(Debug)]
pub(super) enum Pending {}

impl Tracer {
    pub(super) fn vsock_call(
        &mut self,
        pid: pid_t,
        number: c_long,
        user: user_regs_struct,
        now: Instant,
    ) -> Resume {
        if number != libc::SYS_socket {
            return Resume::Run;
        }
        let mut host = self.shared.lock();
        host.event(now, EventKind::VsockSocket(Err(libc::EPERM)));
        Self::skip(pid, user, -i64::from(libc::EPERM))
    }

    pub(super) fn vsock_call_left(
        &mut self,
        _pid: pid_t,
        pending: Pending,
        _user: user_regs_struct,
        _now: Instant,
    ) {
        match pending {}
    }
}
