//! Guest information: host name, OS, uptime, NICs and the primary address, as the host should show them.
//!
//! ```text
//! facts ──quiet for a moment──► messages wanted ──what the host lacks──► SetGuestInfo …
//! ```
//!
//! A change is sent as soon as the facts have been quiet for a moment, so that a burst becomes one message.
//! What is not known is not sent, and never replaces what was known; that addresses are gone is sent when it has lasted
//! for a while ([`pace`]). A reset makes the host forget: then
//! everything goes out at once. Uptime goes at those moments too, on a new channel with the registration that
//! follows, and every 30 s, for a smaller value shows the host that there was a reboot [guestInfoServer.c].
//!
//! Older forms stand in for what a host refuses: full and short name for detailed OS data, type 9 for NICs as type 10.

mod nics;
pub(super) mod os;
mod pace;

use std::time::Duration;

use tracing::info;

use crate::report::Decision;
use crate::vmware::wire::guest_info;
use crate::vmware::wire::nic_info_v3::MAX_NICS;
use crate::vmware::wire::text::{BLANK, info_set};

use super::topic::Topic;
use super::{Context, Service, names};

use pace::Pace;

/// guestinfo.poll-interval of open-vm-tools.
const UPTIME_INTERVAL: Duration = Duration::from_secs(30);

/// How long after the reset of a new channel the host may take to register us, which sends the uptime.
const REGISTRATION: Duration = Duration::from_secs(1);

/// What the host forgets at a reset. Uptime and address have ways of their own.
const TOPICS: [Topic; 6] = [
    Topic::OsDetailed,
    Topic::OsFullName,
    Topic::OsShortName,
    Topic::HostName,
    Topic::Nics,
    Topic::NicsV2,
];

/// See the module.
#[derive(Debug)]
pub(super) struct GuestInfo {
    /// That NICs are left out was logged: once, since some of them come and go all the time.
    cut_is_logged: bool,
    /// Which lists of NICs go when.
    pace: Pace,
    /// When it goes again; `None` while it has not gone on this channel.
    next_uptime: Option<Duration>,
    /// Whether the host has asked for the primary address.
    broadcasting: bool,
    /// Whether it has asked on this channel.
    asked: bool,
    /// The channel has opened and was not reset yet.
    opening: bool,
}

impl GuestInfo {
    /// Nothing known, nothing sent.
    pub(super) fn new() -> Self {
        Self {
            cut_is_logged: false,
            pace: Pace::default(),
            next_uptime: None,
            broadcasting: false,
            asked: false,
            opening: false,
        }
    }

    /// Sends the uptime at once, and again after the interval.
    pub(super) fn send_uptime(&mut self, cx: &mut Context<'_>) {
        self.next_uptime = Some(cx.now.saturating_add(UPTIME_INTERVAL));
        cx.publications
            .renew(Topic::Uptime, guest_info::uptime(cx.now));
    }

    /// The host asks for the primary address: it is sent at once, whatever the host has, and whenever it
    /// changes.
    pub(super) fn broadcast_address(&mut self, cx: &mut Context<'_>) {
        (self.broadcasting, self.asked) = (true, true);
        match self.address(cx) {
            Some(message) => cx.publications.renew(Topic::Address, message),
            None => cx.publications.forget([Topic::Address]),
        }
    }

    /// The host knows nothing of what this service shows it, but for the uptime.
    fn forget_the_rest(&mut self, cx: &mut Context<'_>) {
        self.opening = false;
        cx.publications.forget(TOPICS);
        self.pace.forget();
        if !self.asked {
            cx.publications.forget([Topic::Address]);
        }
        self.facts_changed(cx);
    }

    /// The host no longer asks for the primary address.
    pub(super) fn stop_broadcasting(&mut self, cx: &mut Context<'_>) {
        self.broadcasting = false;
        cx.publications.retire([Topic::Address]);
    }

    fn want_nics(&mut self, cx: &mut Context<'_>) {
        let Some(decision) = &cx.report.network else {
            self.pace.rest();
            return;
        };
        self.log_cut(decision);
        if let Some(decision) = self.pace.admit(decision, cx.now) {
            let info = nics::nic_info(&decision, cx.facts);
            cx.publications
                .want(Topic::Nics, Some(guest_info::nics(&info)));
            cx.publications
                .want(Topic::NicsV2, Some(guest_info::nics_v2(&info)));
        }
    }

    /// Logs which NICs are left out, once.
    fn log_cut(&mut self, decision: &Decision) {
        if !decision.cut.is_empty() && !std::mem::replace(&mut self.cut_is_logged, true) {
            info!(
                limit = MAX_NICS,
                left_out = decision.cut.join(" "),
                "more NICs than a host takes; network.exclude_nics and primary_nics choose"
            );
        }
    }

    fn want_address(&self, cx: &mut Context<'_>) {
        if self.broadcasting {
            cx.publications.want(Topic::Address, self.address(cx));
        }
    }

    /// The primary address, as a guest variable. That there is none goes with the list that says so; open-vm-tools
    /// sends an empty text for it, and no host takes one.
    fn address(&self, cx: &Context<'_>) -> Option<Vec<u8>> {
        let primary = cx.report.network.as_ref()?.primary_address;
        let text = primary.map(|ip| ip.to_string());
        let text = text.or_else(|| self.pace.is_bare().then(|| BLANK.to_owned()))?;
        Some(info_set("ip", &text))
    }
}

fn want_host_name(cx: &mut Context<'_>) {
    let name = names::shown(cx.facts, cx.host_name);
    let message = name.map(|name| guest_info::host_name(&name));
    cx.publications.want(Topic::HostName, message);
}

fn want_os(cx: &mut Context<'_>) {
    let talos = cx.facts.talos.as_ref();
    let Some(details) = talos.and_then(|talos| os::detailed(cx.machine, talos)) else {
        return;
    };
    for (topic, message) in [
        (Topic::OsDetailed, guest_info::os_detailed(&details)),
        (
            Topic::OsFullName,
            guest_info::os_full_name(&details.full_name),
        ),
        (
            Topic::OsShortName,
            guest_info::os_short_name(&details.short_name),
        ),
    ] {
        cx.publications.want(topic, Some(message));
    }
}

impl Service for GuestInfo {
    fn connected(&mut self, cx: &mut Context<'_>) {
        (self.asked, self.opening) = (false, true);
        self.next_uptime = None;
        cx.publications.retire([Topic::Uptime]);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        if !std::mem::take(&mut self.opening) {
            cx.publications.forget([Topic::Address]);
            self.forgotten(cx);
            return;
        }
        // The host registers us next, which sends the uptime, and asks for the address.
        cx.publications.forget(TOPICS);
        self.pace.forget();
        cx.publications.retire([Topic::Uptime]);
        self.next_uptime = Some(cx.now.saturating_add(REGISTRATION));
        self.facts_changed(cx);
    }

    fn released(&mut self, cx: &mut Context<'_>) {
        // A host that has registered us in the meantime has it.
        if self.next_uptime.is_none() {
            self.send_uptime(cx);
        }
        self.forget_the_rest(cx);
    }

    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.send_uptime(cx);
        self.forget_the_rest(cx);
    }

    fn resumed(&mut self, cx: &mut Context<'_>) {
        cx.publications.forget([Topic::Address]);
        self.forgotten(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        want_host_name(cx);
        want_os(cx);
        self.want_nics(cx);
        self.want_address(cx);
    }

    fn due(&mut self, cx: &mut Context<'_>) {
        if self.pace.deadline().is_some_and(|at| at <= cx.now) {
            self.want_nics(cx);
            self.want_address(cx);
        }
        if self.next_uptime.is_some_and(|next| next <= cx.now) {
            self.send_uptime(cx);
        } else if cx.publications.is_due(Topic::Uptime, cx.now) {
            // A lost uptime is not repeated as it was but taken again.
            let uptime = guest_info::uptime(cx.now);
            cx.publications.want(Topic::Uptime, Some(uptime));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.next_uptime
            .into_iter()
            .chain(self.pace.deadline())
            .min()
    }
}
