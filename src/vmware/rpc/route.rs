//! Which way to the host: vsock first, the backdoor where vsock fails, and when to try vsock again.
//!
//! A failed vsock costs up to a connect time-out, so after a failure we stay on the backdoor for a while: 4 s,
//! doubling to 300 s, as open-vm-tools does (RPCCHANNEL_VSOCKET_RETRY_MIN_DELAY is 2 s there, doubled before
//! its first use) [rpcChannel.c]. If the kernel or a sandbox offers no vsock at all, it is not tried again for the
//! life of the process. RPCI and TCLO have a [`Route`] each.

use std::fmt;
use std::time::Duration;

use crate::backoff::Backoff;

/// Shortest time the backdoor is kept after vsock failed.
const SHORTEST_STICK: Duration = Duration::from_secs(4);
/// RPCCHANNEL_VSOCKET_RETRY_MAX_DELAY [rpcChannel.c]
const LONGEST_STICK: Duration = Duration::from_secs(300);

/// A way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Stream sockets to the hypervisor.
    Vsock,
    /// Trapped instructions.
    Backdoor,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vsock => "vsock",
            Self::Backdoor => "backdoor",
        })
    }
}

/// Which ways may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// vsock, and the backdoor where it fails.
    VsockFirst,
    /// This one alone.
    Only(Transport),
}

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// This machine has no such transport, and that will not change while the process lives.
    Absent,
    /// It may work later.
    Failed,
}

/// What we remember about vsock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Nothing speaks against it.
    Clean,
    /// It failed at `since` and is not tried before `until`.
    Sticking { since: Duration, until: Duration },
    /// Not there.
    Absent,
}

/// Chooses the transport of one direction.
#[derive(Clone, Debug)]
pub struct Route {
    policy: Policy,
    memory: Memory,
    stick: Backoff,
}

impl Route {
    /// A route that remembers no failure.
    pub const fn new(policy: Policy) -> Self {
        Self {
            policy,
            memory: Memory::Clean,
            stick: Backoff::new(SHORTEST_STICK, LONGEST_STICK),
        }
    }

    /// The transport to open now.
    pub fn choose(&self, now: Duration) -> Transport {
        match (self.policy, self.memory) {
            (Policy::Only(transport), _) => transport,
            (Policy::VsockFirst, Memory::Clean) => Transport::Vsock,
            (Policy::VsockFirst, Memory::Sticking { until, .. }) if now >= until => {
                Transport::Vsock
            }
            (Policy::VsockFirst, Memory::Sticking { .. } | Memory::Absent) => Transport::Backdoor,
        }
    }

    /// The transport that is left if `failed` does not work. Ignores the pause of vsock: if it failed a moment ago it
    /// is still better than a backdoor that fails now.
    pub fn other(&self, failed: Transport) -> Option<Transport> {
        match (self.policy, self.memory, failed) {
            (Policy::Only(_), _, _) | (Policy::VsockFirst, Memory::Absent, Transport::Backdoor) => {
                None
            }
            (Policy::VsockFirst, _, Transport::Vsock) => Some(Transport::Backdoor),
            (Policy::VsockFirst, _, Transport::Backdoor) => Some(Transport::Vsock),
        }
    }

    /// vsock could not be opened, or nobody was behind it.
    pub fn vsock_failed(&mut self, failure: OpenFailure, now: Duration) {
        self.memory = match failure {
            OpenFailure::Absent => Memory::Absent,
            OpenFailure::Failed => Memory::Sticking {
                since: now,
                until: now.saturating_add(self.stick.next_delay()),
            },
        };
    }

    /// The host has answered over vsock.
    pub const fn vsock_worked(&mut self) {
        self.memory = Memory::Clean;
        self.stick.reset();
    }

    /// The host has restarted: vsock may work now. Only a failure of the last few seconds still counts; otherwise
    /// the reset right after the start would cost a second connect time-out.
    pub fn forget_failures(&mut self, now: Duration) {
        self.stick.reset();
        match self.memory {
            Memory::Sticking { since, .. } if now.saturating_sub(since) < SHORTEST_STICK => {
                self.memory = Memory::Sticking {
                    since,
                    until: since.saturating_add(SHORTEST_STICK),
                };
            }
            Memory::Sticking { .. } => self.memory = Memory::Clean,
            Memory::Clean | Memory::Absent => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_failed_vsock_is_left_alone_for_4_8_16_up_to_300_seconds() {
        let mut route = Route::new(Policy::VsockFirst);
        let mut now = Duration::ZERO;
        for stick in [4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(route.choose(now), Transport::Vsock);
            route.vsock_failed(OpenFailure::Failed, now);
            assert_eq!(
                route.choose(now + seconds(stick) - Duration::from_millis(1)),
                Transport::Backdoor
            );
            now += seconds(stick);
        }
        route.vsock_worked();
        route.vsock_failed(OpenFailure::Failed, now);
        assert_eq!(route.choose(now + seconds(4)), Transport::Vsock);
    }

    #[test]
    fn an_absent_vsock_is_never_tried_again() {
        let mut route = Route::new(Policy::VsockFirst);
        route.vsock_failed(OpenFailure::Absent, Duration::ZERO);
        route.forget_failures(seconds(1_000_000));
        assert_eq!(route.choose(seconds(1_000_000)), Transport::Backdoor);
        assert_eq!(route.other(Transport::Backdoor), None);
    }

    #[test]
    fn a_reset_forgets_failures_that_are_not_quite_fresh() {
        let mut route = Route::new(Policy::VsockFirst);
        for _ in 0..5 {
            route.vsock_failed(OpenFailure::Failed, seconds(100));
        }
        let mut fresh = route.clone();
        fresh.forget_failures(seconds(103));
        assert_eq!(fresh.choose(seconds(103)), Transport::Backdoor);
        assert_eq!(fresh.choose(seconds(104)), Transport::Vsock);
        route.forget_failures(seconds(104));
        assert_eq!(route.choose(seconds(104)), Transport::Vsock);
    }

    #[test]
    fn one_transport_alone_has_no_alternative() {
        for transport in [Transport::Vsock, Transport::Backdoor] {
            let mut route = Route::new(Policy::Only(transport));
            route.vsock_failed(OpenFailure::Absent, Duration::ZERO);
            assert_eq!(route.choose(Duration::ZERO), transport);
            assert_eq!(route.other(transport), None);
        }
    }

    #[test]
    fn a_failing_backdoor_leads_back_to_a_sticking_vsock() {
        let mut route = Route::new(Policy::VsockFirst);
        route.vsock_failed(OpenFailure::Failed, Duration::ZERO);
        assert_eq!(route.choose(Duration::ZERO), Transport::Backdoor);
        assert_eq!(route.other(Transport::Backdoor), Some(Transport::Vsock));
    }
}
