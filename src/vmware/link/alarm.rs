//! A timer that wakes the process once.
//!
//! tokio sorts its timers into wheels of 64 slots, and one that is more than 63 ms away wakes the process
//! twice: to be sorted into the finest wheel, and when it is due (measured: 79 wake-ups for 40 sleeps of
//! 100 ms). The TCLO poll is nearly all that an idle daemon does, so its timer is a timerfd of its own,
//! which costs one wake-up. Where there is none, tokio's serves.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::os::unix::net;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// What is waited with.
#[derive(Debug)]
enum Clock {
    Kernel(KernelTimer),
    Tokio,
}

/// A timerfd that tokio watches.
#[derive(Debug)]
struct KernelTimer {
    timer: TimerFd,
    /// The same file under a second descriptor. Only its readiness is asked for, which is the same for a
    /// socket and a timer; tokio's own type for any descriptor, AsyncFd, takes unsafe code.
    watched: UnixStream,
}

impl KernelTimer {
    fn new() -> Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let second = timer.as_fd().try_clone_to_owned()?;
        let watched = UnixStream::from_std(net::UnixStream::from(second))?;
        Ok(Self { timer, watched })
    }

    fn set(&self, left: std::time::Duration) -> Result<()> {
        let expiration = Expiration::OneShot(TimeSpec::from(left));
        Ok(self.timer.set(expiration, TimerSetTimeFlags::empty())?)
    }

    /// Waits for an expiration that has not been waited for. The count of expirations is left unread:
    /// setting the timer clears it, and the next expiration is a new edge for epoll.
    async fn expired(&self) -> Result<()> {
        self.watched.readable().await?;
        let seen = || Err::<(), _>(Error::from(ErrorKind::WouldBlock));
        match self.watched.try_io(Interest::READABLE, seen) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// One timer, set again for each deadline.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    /// What the timerfd is set to.
    armed: Option<Instant>,
}

impl Alarm {
    /// A timerfd, or tokio's clock where the kernel gives none. To be called within a runtime.
    pub fn new() -> Self {
        Self {
            clock: KernelTimer::new().map_or(Clock::Tokio, Clock::Kernel),
            armed: None,
        }
    }

    /// tokio's clock, which tests can pause.
    pub const fn on_tokio() -> Self {
        Self {
            clock: Clock::Tokio,
            armed: None,
        }
    }

    /// Waits until `deadline`. When dropped before that, the next call goes on waiting.
    pub async fn wait_until(&mut self, deadline: Instant) {
        let Clock::Kernel(timer) = &self.clock else {
            return sleep_until(deadline).await;
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.armed != Some(deadline) {
                if timer.set(left).is_err() {
                    return sleep_until(deadline).await;
                }
                self.armed = Some(deadline);
            }
            if timer.expired().await.is_err() {
                return sleep_until(deadline).await;
            }
            // It may have been the edge of an earlier deadline; then it is set once more.
            self.armed = None;
        }
    }
}

impl Default for Alarm {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_rings_at_its_time_and_again_and_not_before() {
        let mut alarm = Alarm::new();
        assert!(matches!(alarm.clock, Clock::Kernel(_)));
        for _ in 0..3 {
            let deadline = Instant::now() + Duration::from_millis(3);
            alarm.wait_until(deadline).await;
            assert!(Instant::now() >= deadline);
        }
    }

    #[tokio::test]
    async fn a_dropped_wait_leaves_nothing_behind() {
        let mut alarm = Alarm::new();
        let soon = Instant::now() + Duration::from_millis(2);
        tokio::select! {
            biased;
            () = alarm.wait_until(soon) => panic!("rang at once"),
            () = std::future::ready(()) => {}
        }
        let later = soon + Duration::from_millis(5);
        alarm.wait_until(later).await;
        assert!(Instant::now() >= later);
        alarm.wait_until(soon).await;
    }

    #[tokio::test(start_paused = true)]
    async fn on_tokio_it_follows_a_paused_clock() {
        let mut alarm = Alarm::on_tokio();
        let deadline = Instant::now() + Duration::from_secs(86_400);
        alarm.wait_until(deadline).await;
        assert_eq!(Instant::now(), deadline);
    }
}
