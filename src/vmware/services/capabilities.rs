//! Capabilities_Register: what a Talos node can stand behind.
//!
//! Everything is sent between the request and its reply, as open-vm-tools does: soft power operations (both with
//! a trailing space and no NUL), uptime, and a version that says "managed by the guest". The reply waits for
//! the outcomes, so that the host knows all when it goes on [toolsRpc.c, powerOps.c, guestInfoServer.c].

use std::time::Duration;

use crate::vmware::wire::text::{ok, terminated};

use super::outbox::ReplyTo;
use super::publication::{Acceptance, Publication, Settled};
use super::{Context, Members, RpciId, RpciOutcome, Service};

/// TOOLS_VERSION_UNMANAGED: the guest looks after its tools itself.
const UNMANAGED: u32 = 0x7fff_ffff;
/// TOOLS_TYPE_OVT.
const OPEN_VM_TOOLS: u32 = 4;
/// How long the reply waits for outcomes. The transports give up sooner; a host must not wait for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What has been registered.
#[derive(Debug)]
pub(super) struct Capabilities {
    statechange: Publication,
    softpowerop_retry: Publication,
    version: Publication,
    waiting: Option<Waiting>,
}

/// A registration that has no reply yet.
#[derive(Debug)]
struct Waiting {
    reply_to: ReplyTo,
    /// The uptime message, sent by guest information on our behalf.
    uptime: Option<RpciId>,
    until: Duration,
}

impl Capabilities {
    /// Nothing registered.
    pub(super) fn new() -> Self {
        Self {
            statechange: Publication::new(
                "tools.capability.statechange",
                "none: no soft power operations",
                Acceptance::Status,
            ),
            softpowerop_retry: Publication::new(
                "tools.capability.softpowerop_retry",
                "none",
                Acceptance::Status,
            ),
            version: Publication::new(
                "tools.set.versiontype",
                "tools.set.version",
                Acceptance::Status,
            ),
            waiting: None,
        }
    }

    fn publications(&mut self) -> [&mut Publication; 3] {
        [
            &mut self.statechange,
            &mut self.softpowerop_retry,
            &mut self.version,
        ]
    }

    fn forget_registration(&mut self) {
        for publication in self.publications() {
            publication.retire();
        }
        self.waiting = None;
    }
}

/// Sends the registration and has the reply wait for it.
pub(super) fn handle(members: &mut Members, _args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let this = &mut members.capabilities;
    this.forget_registration();
    this.statechange
        .want(Some(b"tools.capability.statechange ".to_vec()));
    this.softpowerop_retry
        .want(Some(b"tools.capability.softpowerop_retry ".to_vec()));
    this.statechange.publish(cx.outbox, cx.now);
    this.softpowerop_retry.publish(cx.outbox, cx.now);
    let uptime = members.guest_info.send_uptime(cx);
    this.version
        .rename("tools.set.versiontype", "tools.set.version");
    this.version.want(Some(version_type()));
    this.version.publish(cx.outbox, cx.now);
    this.waiting = Some(Waiting {
        reply_to,
        uptime,
        until: cx.now.saturating_add(PATIENCE),
    });
}

fn version_type() -> Vec<u8> {
    terminated(&format!(
        "tools.set.versiontype {UNMANAGED} {OPEN_VM_TOOLS}"
    ))
}

impl Service for Capabilities {
    fn connected(&mut self, _cx: &mut Context<'_>) {
        self.forget_registration();
    }

    fn reset(&mut self, _cx: &mut Context<'_>) {
        self.forget_registration();
    }

    fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        self.statechange.settle(id, outcome, cx.now);
        self.softpowerop_retry.settle(id, outcome, cx.now);
        if self.version.settle(id, outcome, cx.now) == Settled::Refused {
            // A host that does not know the type may know the number.
            self.version.rename("tools.set.version", "none");
            self.version
                .want(Some(terminated(&format!("tools.set.version {UNMANAGED}"))));
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.uptime.take_if(|uptime| *uptime == id);
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        for publication in self.publications() {
            publication.publish(cx.outbox, cx.now);
        }
        let in_flight = self
            .publications()
            .iter()
            .any(|publication| publication.is_in_flight());
        let settled = |waiting: &mut Waiting| {
            waiting.until <= cx.now || (!in_flight && waiting.uptime.is_none())
        };
        if let Some(waiting) = self.waiting.take_if(settled) {
            cx.outbox.reply(waiting.reply_to, ok(b""));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        [
            self.statechange.deadline(),
            self.softpowerop_retry.deadline(),
            self.version.deadline(),
            self.waiting.as_ref().map(|waiting| waiting.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
