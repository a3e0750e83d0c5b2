//! The one real clock: the time since boot.
//!
//! CLOCK_BOOTTIME counts through suspend and no NTP step moves it, so it is at once the uptime that the host
//! sees and the time base of every machine and schedule.

use std::time::Duration;

use super::core::Clock;

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

/// [`now`] and [`sleep_until`].
#[derive(Clone, Copy, Debug)]
pub struct SinceBoot;

impl Clock for SinceBoot {
    fn now(&self) -> Duration {
        now()
    }

    async fn sleep_until(&self, deadline: Option<Duration>) {
        sleep_until(deadline).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's own word, in seconds.
    fn uptime() -> f64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn it_is_the_time_since_boot_and_goes_forward() {
        let (before, told, after) = (uptime(), now(), uptime());
        // /proc/uptime is cut to hundredths.
        let told_seconds = told.as_secs_f64();
        assert!(told_seconds >= before && told_seconds <= after + 0.011);
        assert!(now() >= told);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_a_suspend_has_left_behind_is_due_at_once_and_none_is_never() {
        let started = tokio::time::Instant::now();
        sleep_until(Some(Duration::ZERO)).await;
        sleep_until(Some(now())).await;
        assert!(started.elapsed() <= Duration::from_millis(1));
        let never = tokio::time::timeout(Duration::from_secs(86_400), sleep_until(None));
        assert!(never.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_ahead_is_waited_for_and_no_longer() {
        let started = tokio::time::Instant::now();
        sleep_until(Some(now() + Duration::from_secs(30))).await;
        let waited = started.elapsed();
        assert!(waited > Duration::from_secs(29) && waited <= Duration::from_millis(30_001));
    }
}
