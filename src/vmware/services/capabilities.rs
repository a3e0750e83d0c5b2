//! Capabilities_Register: what a Talos node can stand behind.
//!
//! Everything is sent between the request and its reply, as open-vm-tools does: soft power operations (both with
//! a trailing space and no NUL), uptime, a version that says "managed by the guest", and file transfer while guest
//! operations are on. The reply waits for the outcomes, so that the host knows all when it goes on [toolsRpc.c,
//! powerOps.c, guestInfoServer.c, hgfsPlugin.c].

use std::time::Duration;

use crate::vmware::wire::text::{ok, terminated};

use super::outbox::{Later, ReplyTo};
use super::topic::Topic;
use super::{Context, Members, Service};

/// TOOLS_VERSION_UNMANAGED: the guest looks after its tools itself.
const UNMANAGED: u32 = 0x7fff_ffff;
/// TOOLS_TYPE_OVT.
const OPEN_VM_TOOLS: u32 = 4;
/// How long a reply waits for outcomes. The transports give up sooner.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// What is registered whatever the settings.
const ALWAYS: [Topic; 4] = [
    Topic::StateChange,
    Topic::SoftPowerOpRetry,
    Topic::VersionType,
    Topic::VersionNumber,
];

/// The host asks for the registration; before, and after it has forgotten, nothing is registered.
#[derive(Debug)]
pub(super) struct Capabilities;

/// Sends the registration and has the reply wait for it.
pub(super) fn handle(members: &mut Members, _args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let soft_power = |name| format!("tools.capability.{name} ").into_bytes();
    let version_type = format!("tools.set.versiontype {UNMANAGED} {OPEN_VM_TOOLS}");
    let version = format!("tools.set.version {UNMANAGED}");
    // Nothing is said of it while it is off: the host has forgotten that it was on.
    cx.publications.retire([Topic::HgfsServer]);
    if members.guest_operations.is_enabled() {
        cx.publications.renew(Topic::HgfsServer, hgfs_server(true));
    }
    for (topic, message) in ALWAYS.into_iter().zip([
        soft_power("statechange"),
        soft_power("softpowerop_retry"),
        terminated(&version_type),
        terminated(&version),
    ]) {
        cx.publications.renew(topic, message);
    }
    members.guest_info.send_uptime(cx);
    let later = Later {
        after: &[
            Topic::HgfsServer,
            Topic::StateChange,
            Topic::SoftPowerOpRetry,
            Topic::Uptime,
            Topic::VersionType,
            Topic::VersionNumber,
        ],
        reply: ok(b""),
        until: cx.now.saturating_add(PATIENCE),
        otherwise: ok(b""),
    };
    cx.outbox.reply_when(reply_to, later);
}

/// Guest operations were switched on or off after the registration. Sends that to the host unless it knows already;
/// open-vm-tools does the same when its plugin is loaded or unloaded.
pub(super) fn guest_operations_switched(is_enabled: bool, cx: &mut Context<'_>) {
    if cx.publications.is_wanted(Topic::StateChange) {
        cx.publications
            .want(Topic::HgfsServer, Some(hgfs_server(is_enabled)));
    }
}

fn hgfs_server(is_enabled: bool) -> Vec<u8> {
    terminated(&format!(
        "tools.capability.hgfs_server toolbox {}",
        u8::from(is_enabled)
    ))
}

/// Nothing is registered any more.
fn retire(cx: &mut Context<'_>) {
    cx.publications.retire(ALWAYS);
    cx.publications.retire([Topic::HgfsServer]);
}

impl Service for Capabilities {
    fn connected(&mut self, cx: &mut Context<'_>) {
        retire(cx);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        retire(cx);
    }
}
