//! What the threads of one run share.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::ExitStatus;
use crate::host::{EventKind, Host};

/// What the tracer, the vsock server, the readers of the output and the test share.
#[derive(Debug)]
pub(crate) struct Shared {
    host: Mutex<Host>,
    changed: Condvar,
    /// Events plus signs of life at the last notification.
    announced: AtomicU64,
    processes: Mutex<Vec<i32>>,
    /// Stops so far.
    pub(crate) stops: AtomicU64,
    /// Wakes the vsock server.
    pub(crate) wake: EventFd,
    /// The handle is gone: whatever stops from now on dies.
    killing: AtomicBool,
}

impl Shared {
    pub(crate) fn new(host: Host) -> io::Result<Self> {
        Ok(Self {
            host: Mutex::new(host),
            changed: Condvar::new(),
            announced: AtomicU64::new(0),
            processes: Mutex::new(Vec::new()),
            stops: AtomicU64::new(0),
            wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            killing: AtomicBool::new(false),
        })
    }

    /// Waits for a change, not longer than that.
    pub(crate) fn wait<'a>(
        &self,
        host: MutexGuard<'a, Host>,
        at_most: Duration,
    ) -> MutexGuard<'a, Host> {
        let woken = self.changed.wait_timeout(host, at_most);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whatever stops from now on dies.
    pub(crate) fn kill(&self) {
        self.killing.store(true, Ordering::SeqCst);
        self.wake_server();
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every process that is traced.
    pub(crate) fn processes(&self) -> MutexGuard<'_, Vec<i32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_killing(&self) -> bool {
        self.killing.load(Ordering::SeqCst)
    }

    pub(crate) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Wakes whoever waits, if anything happened that can be waited for.
    pub(crate) fn changed_if_new(&self) {
        let host = self.lock();
        let news = host.events().len() as u64 + host.stats.liveness;
        drop(host);
        if self.announced.swap(news, Ordering::Relaxed) != news {
            self.changed();
        }
    }

    pub(crate) fn end(&self, status: ExitStatus) {
        let mut host = self.lock();
        if host.exit.is_none() {
            host.exit = Some(status);
            let now = Instant::now();
            host.guest_ended(now);
            host.event(now, EventKind::Exited(status));
        }
        drop(host);
        self.changed();
        self.wake_server();
    }

    pub(crate) fn wake_server(&self) {
        // Full means that it will wake anyhow.
        let _woken = self.wake.write(1);
    }
}
