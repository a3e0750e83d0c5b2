//! Guest information: host name, OS, uptime, NICs and the primary address, as the host shall show them.
//!
//! ```text
//! facts ──quiet for a moment──► messages wanted ──what the host lacks──► SetGuestInfo …
//! ```
//!
//! A change is sent as soon as the facts have been quiet for a moment, so that a burst becomes one message.
//! What is not known is not sent, and never replaces what was known. A reset or a new connection makes the host
//! forget: then everything goes out at once. Uptime goes at those moments too and every 30 s, for a smaller
//! value tells the host of a reboot [guestInfoServer.c].
//!
//! Fallbacks, kept until the host forgets: detailed OS data → full and short name; NICs as type 10 → type 9.

mod nics;
pub(super) mod os;

use std::time::Duration;

use tracing::info;

use crate::facts::Facts;
use crate::report;
use crate::report::{Decision, NetworkPolicy};
use crate::vmware::wire::guest_info;
use crate::vmware::wire::text::info_set;

use super::publication::{Acceptance, Publication, Settled};
use super::{Context, RpciId, RpciOutcome, Service};

/// guestinfo.poll-interval of open-vm-tools.
const UPTIME_INTERVAL: Duration = Duration::from_secs(30);

/// How the host takes the OS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OsForm {
    /// Type 11.
    Detailed,
    /// Types 5 and 6.
    Names,
}

/// How the host takes the NICs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NicForm {
    /// Type 10.
    V3,
    /// Type 9, with fewer addresses.
    V2,
}

/// See the module.
#[derive(Debug)]
pub(super) struct GuestInfo {
    host_name: Publication,
    os_form: OsForm,
    os_detailed: Publication,
    os_full_name: Publication,
    os_short_name: Publication,
    network_policy: NetworkPolicy,
    /// NICs that are too many, as the log has been told.
    cut: Vec<String>,
    nic_form: NicForm,
    nics: Publication,
    uptime: Publication,
    next_uptime: Option<Duration>,
    address: Publication,
    /// Whether the host has asked for the primary address.
    broadcasting: bool,
}

impl GuestInfo {
    /// Nothing known, nothing told.
    pub(super) fn new() -> Self {
        Self {
            host_name: Publication::new("SetGuestInfo 1", "none", Acceptance::EmptyText),
            os_form: OsForm::Detailed,
            os_detailed: Publication::new(
                "SetGuestInfo 11",
                "SetGuestInfo 5 and 6",
                Acceptance::Status,
            ),
            os_full_name: Publication::new("SetGuestInfo 5", "none", Acceptance::EmptyText),
            os_short_name: Publication::new("SetGuestInfo 6", "none", Acceptance::EmptyText),
            network_policy: NetworkPolicy::default(),
            cut: Vec::new(),
            nic_form: NicForm::V3,
            nics: Publication::new("SetGuestInfo 10", "SetGuestInfo 9", Acceptance::Status),
            uptime: Publication::new("SetGuestInfo 7", "none", Acceptance::EmptyText),
            next_uptime: None,
            address: Publication::new("info-set guestinfo.ip", "none", Acceptance::Status),
            broadcasting: false,
        }
    }

    /// What of the network is reported from here on.
    pub(super) fn set_network_policy(&mut self, policy: NetworkPolicy) {
        self.network_policy = policy;
    }

    /// The host knows nothing any more: everything is sent again, in the forms tried first.
    fn send_everything_again(&mut self, cx: &mut Context<'_>) {
        self.os_form = OsForm::Detailed;
        self.os_full_name.retire();
        self.os_short_name.retire();
        self.nic_form = NicForm::V3;
        for publication in self.publications() {
            publication.forget();
        }
        self.send_uptime(cx);
        self.want_facts(cx);
        self.publish(cx);
    }

    /// Sends the uptime at once, and again after the interval. The message's id, for who waits for its outcome.
    pub(super) fn send_uptime(&mut self, cx: &mut Context<'_>) -> Option<RpciId> {
        self.next_uptime = Some(cx.now.saturating_add(UPTIME_INTERVAL));
        self.uptime.forget();
        self.uptime.want(Some(guest_info::uptime(cx.now)));
        self.uptime.publish(cx.outbox, cx.now)
    }

    /// The host asks for the primary address: it is sent at once, whatever the host has, and whenever it
    /// changes. The message's id; `None` while there is no address to send.
    pub(super) fn broadcast_address(&mut self, cx: &mut Context<'_>) -> Option<RpciId> {
        self.broadcasting = true;
        self.address.forget();
        self.want_address(cx.facts);
        self.address.publish(cx.outbox, cx.now)
    }

    /// The host no longer asks for the primary address.
    pub(super) fn stop_broadcasting(&mut self) {
        self.broadcasting = false;
        self.address.retire();
    }

    fn publications(&mut self) -> [&mut Publication; 6] {
        // In open-vm-tools' order; uptime has its own way.
        [
            &mut self.os_detailed,
            &mut self.os_full_name,
            &mut self.os_short_name,
            &mut self.host_name,
            &mut self.nics,
            &mut self.address,
        ]
    }

    /// Looks at the facts: what shall the host have?
    fn want_facts(&mut self, cx: &Context<'_>) {
        let name = cx.facts.host_name.as_ref();
        self.host_name.want(
            name.filter(|name| !name.host.is_empty())
                .map(|name| guest_info::host_name(&name.fqdn())),
        );
        self.want_os(cx);
        self.want_nics(cx.facts);
        self.want_address(cx.facts);
    }

    fn want_os(&mut self, cx: &Context<'_>) {
        let Some(details) = cx
            .facts
            .talos
            .as_ref()
            .and_then(|talos| os::detailed(cx.machine, talos))
        else {
            return;
        };
        match self.os_form {
            OsForm::Detailed => self
                .os_detailed
                .want(Some(guest_info::os_detailed(&details))),
            OsForm::Names => {
                self.os_full_name
                    .want(Some(guest_info::os_full_name(&details.full_name)));
                self.os_short_name
                    .want(Some(guest_info::os_short_name(&details.short_name)));
            }
        }
    }

    fn want_nics(&mut self, facts: &Facts) {
        let Some(decision) = report::decide(facts, &self.network_policy) else {
            return;
        };
        self.tell_cut(&decision);
        // A list without an address that means anything beyond its link is a moment of a boot or of a cable
        // pulled. The host would show a node without address, or with a link-local one.
        let complete = decision
            .nics
            .iter()
            .flat_map(|nic| &nic.addresses)
            .any(|address| !address.is_link_local());
        match self.nic_form {
            NicForm::V3 => self.nics.rename("SetGuestInfo 10", "SetGuestInfo 9"),
            NicForm::V2 => self.nics.rename("SetGuestInfo 9", "none"),
        }
        self.nics.want(complete.then(|| {
            let info = nics::nic_info(&decision, facts);
            match self.nic_form {
                NicForm::V3 => guest_info::nics(&info),
                NicForm::V2 => guest_info::nics_v2(&info),
            }
        }));
    }

    /// Logs which NICs the host is not told of, once per change.
    fn tell_cut(&mut self, decision: &Decision) {
        if self.cut == decision.cut {
            return;
        }
        self.cut.clone_from(&decision.cut);
        if !self.cut.is_empty() {
            info!(
                limit = report::MOST_NICS,
                left_out = self.cut.join(" "),
                "more NICs than a host takes; network.exclude_nics and primary_nics choose"
            );
        }
    }

    fn want_address(&mut self, facts: &Facts) {
        if self.broadcasting {
            let address = report::decide(facts, &self.network_policy)
                .and_then(|decision| decision.primary_address);
            self.address
                .want(address.map(|ip| info_set("ip", &ip.to_string())));
        }
    }

    fn publish(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        for publication in self.publications() {
            publication.publish(cx.outbox, now);
        }
    }
}

impl Service for GuestInfo {
    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.send_everything_again(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        self.want_facts(cx);
    }

    fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        for publication in [
            &mut self.host_name,
            &mut self.os_full_name,
            &mut self.os_short_name,
            &mut self.address,
            &mut self.uptime,
        ] {
            publication.settle(id, outcome, cx.now);
        }
        if self.os_detailed.settle(id, outcome, cx.now) == Settled::Refused {
            self.os_form = OsForm::Names;
            self.os_detailed.retire();
            self.want_os(cx);
        }
        if self.nics.settle(id, outcome, cx.now) == Settled::Refused {
            match self.nic_form {
                NicForm::V3 => {
                    self.nic_form = NicForm::V2;
                    self.want_nics(cx.facts);
                }
                // Neither form is taken. The newest has the best chance next time, when something changes.
                NicForm::V2 => self.nic_form = NicForm::V3,
            }
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.publish(cx);
        // A lost uptime is not repeated as it was but taken anew.
        if self.next_uptime.is_some_and(|next| next <= cx.now) || self.uptime.is_due(cx.now) {
            self.send_uptime(cx);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        [
            &self.host_name,
            &self.os_detailed,
            &self.os_full_name,
            &self.os_short_name,
            &self.nics,
            &self.address,
            &self.uptime,
        ]
        .into_iter()
        .filter_map(Publication::deadline)
        .chain(self.next_uptime)
        .min()
    }
}
