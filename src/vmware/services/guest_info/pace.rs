//! When a list of NICs may go to the host, and which addresses are in it.
//!
//! ```text
//! first usable address of a family ──default route, or 1.5 s──────────► in the list
//! the last usable address goes     ──20 s, or the host has forgotten──► a list that says so
//! ```
//!
//! Readers act on the first list that they like. Terraform's wait_for_guest_net looks only when the NICs change: an
//! address that comes without its gateway would be looked at once, in vain. And a list without addresses makes the node
//! vanish from inventories: a cable that was pulled for a moment, or a lease that is renewed, is no reason for that. Nor
//! is an address of which it is not certain yet that it is none of the node's.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use crate::report::Decision;

/// How long the first address of a family waits for a default route of that family.
const ROUTE_WAIT: Duration = Duration::from_millis(1500);

/// How long the host keeps addresses that are gone, in case they come back. Known emptiness must be on the host within
/// 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// How long Talos has for finding the first NIC at a boot, before a list without any says that there is none.
const FIRST_NIC: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pace {
    ipv4: First,
    ipv6: First,
    shown: Shown,
    /// Until when the host keeps addresses that are gone.
    grace: Option<Duration>,
}

/// The first usable address of a family.
#[derive(Clone, Copy, Debug, Default)]
enum First {
    /// There is none.
    #[default]
    Missing,
    /// It waits for a default route, no longer than until then.
    Waits(Duration),
    /// It went; whatever comes later goes at once.
    Went,
}

/// What the host was sent last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    /// Nothing, or it has forgotten.
    #[default]
    Nothing,
    /// A list without a usable address.
    Bare,
    /// A list with one.
    Usable,
}

impl Pace {
    /// What the host should be shown of a decision; `None` while it should keep what it has.
    pub(super) fn admit<'a>(
        &mut self,
        decision: &'a Decision,
        now: Duration,
    ) -> Option<Cow<'a, Decision>> {
        self.ipv4.look(decision, IpAddr::is_ipv4, now);
        self.ipv6.look(decision, IpAddr::is_ipv6, now);
        if !usable(decision).any(|_| true) {
            if !decision.is_whole() {
                self.grace = None;
                return None;
            }
            let has_nics = !decision.nics.is_empty();
            let goes = self.admit_bare(has_nics, now);
            return goes.then_some(Cow::Borrowed(decision));
        }
        self.grace = None;
        if !usable(decision).any(|ip| !self.waits(ip)) {
            return None;
        }
        self.shown = Shown::Usable;
        if !usable(decision).any(|ip| self.waits(ip)) {
            return Some(Cow::Borrowed(decision));
        }
        let mut rest = decision.clone();
        for nic in &mut rest.nics {
            nic.addresses
                .retain(|address| address.is_link_local() || !self.waits(address.ip));
        }
        Some(Cow::Owned(rest))
    }

    /// Whether a list without a usable address may go: not at once in place of one that has some, and not at once
    /// without a NIC, for at a boot Talos looks for them one by one.
    fn admit_bare(&mut self, has_nics: bool, now: Duration) -> bool {
        let wait = match self.shown {
            Shown::Usable => Some(GRACE),
            Shown::Nothing if !has_nics => Some(FIRST_NIC),
            Shown::Nothing | Shown::Bare => None,
        };
        if let Some(wait) = wait {
            let until = *self.grace.get_or_insert(now.saturating_add(wait));
            if now < until {
                return false;
            }
        }
        self.grace = None;
        self.shown = Shown::Bare;
        true
    }

    /// Nothing is known of the network: there is nothing to wait for.
    pub(super) fn rest(&mut self) {
        self.grace = None;
        for first in [&mut self.ipv4, &mut self.ipv6] {
            if let First::Waits(_) = first {
                *first = First::Missing;
            }
        }
    }

    /// The host has forgotten what it was shown: what is true now is all that it gets.
    pub(super) fn forget(&mut self) {
        self.shown = Shown::Nothing;
        self.grace = None;
    }

    /// Whether the host is to show that the node has no address.
    pub(super) fn is_bare(&self) -> bool {
        self.shown == Shown::Bare
    }

    /// When the decision is to be looked at again, although nothing has changed.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let firsts = [self.ipv4, self.ipv6].into_iter();
        let waits = firsts.filter_map(First::deadline);
        waits.chain(self.grace).min()
    }

    fn waits(&self, ip: IpAddr) -> bool {
        let first = if ip.is_ipv4() { self.ipv4 } else { self.ipv6 };
        first.deadline().is_some()
    }
}

impl First {
    fn look(&mut self, decision: &Decision, is_family: fn(&IpAddr) -> bool, now: Duration) {
        let routed = || {
            let is_default = |ip: &IpAddr| is_family(ip) && ip.is_unspecified();
            let mut routes = decision.routes.iter();
            routes.any(|route| route.prefix_length == 0 && is_default(&route.destination))
        };
        *self = match *self {
            Self::Went => Self::Went,
            _ if !usable(decision).any(|ip| is_family(&ip)) => Self::Missing,
            _ if routed() => Self::Went,
            Self::Missing => Self::Waits(now.saturating_add(ROUTE_WAIT)),
            Self::Waits(until) if until <= now => Self::Went,
            Self::Waits(until) => Self::Waits(until),
        };
    }

    fn deadline(self) -> Option<Duration> {
        match self {
            Self::Waits(until) => Some(until),
            Self::Missing | Self::Went => None,
        }
    }
}

/// The addresses that mean something beyond their link.
fn usable(decision: &Decision) -> impl Iterator<Item = IpAddr> {
    let addresses = decision.nics.iter().flat_map(|nic| &nic.addresses);
    let usable = addresses.filter(|address| !address.is_link_local());
    usable.map(|address| address.ip)
}
