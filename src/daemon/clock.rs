//! The one real clock: the time since boot.
//!
//! CLOCK_BOOTTIME counts through suspend and no NTP step moves it, so it is at once the uptime that the host
//! is told and the time base of every machine and schedule.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since boot; the same in every namespace that Talos gives a container.
#[allow(
    clippy::disallowed_methods,
    reason = "the decision for CLOCK_BOOTTIME is made here"
)]
pub fn now() -> Duration {
    // The clock exists on every Linux since 2.6.39; should the kernel deny it, monotonic time still advances.
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .or_else(|_| clock_gettime(ClockId::CLOCK_MONOTONIC))
        .map(Duration::from)
        .unwrap_or_default()
}

/// Returns once [`now`] has reached `deadline`; never, when there is none.
///
/// The timer below runs on monotonic time, which stands still during suspend: after a resume it may fire
/// late by at most its own remaining length.
pub async fn sleep_until(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.saturating_sub(now())).await,
        None => std::future::pending().await,
    }
}
