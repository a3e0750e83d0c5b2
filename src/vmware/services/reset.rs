//! reset: the host has forgotten everything, after a start, a resume or a migration.
//!
//! The answer names the application that the channel belongs to; then the host learns that one loop serves all
//! commands, and every service sends its part again at once [rpcChannel.c, toolsRpc.c].

use crate::vmware::wire::text::{ok, terminated};

use super::outbox::ReplyTo;
use super::topic::Topic;
use super::{Context, Members, Service};

/// What is sent at a reset.
#[derive(Debug)]
pub(super) struct Reset;

/// Answers, and lets every service start afresh.
pub(super) fn handle(members: &mut Members, _args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    cx.outbox.reply(reply_to, ok(b"ATR toolbox"));
    cx.events.new_session(cx.now);
    cx.publications.release_at_reset();
    for service in members.each() {
        service.reset(cx);
    }
}

impl Service for Reset {
    fn connected(&mut self, cx: &mut Context<'_>) {
        // The reset that follows a new channel asks for it.
        cx.publications.retire([Topic::UnifiedLoop]);
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        let message = terminated("vmx.capability.unified_loop toolbox");
        cx.publications.renew(Topic::UnifiedLoop, message);
    }
}
