//! reset: the host has forgotten everything, after a start, a resume or a migration.
//!
//! The answer names the application that the channel belongs to; then the host learns that one loop serves all
//! commands, and every service tells its part again at once [rpcChannel.c, toolsRpc.c].

use std::time::Duration;

use crate::vmware::wire::text::{ok, terminated};

use super::outbox::ReplyTo;
use super::publication::{Acceptance, Publication};
use super::{Context, Members, RpciId, RpciOutcome, Service};

/// What is told at a reset.
#[derive(Debug)]
pub(super) struct Reset {
    unified_loop: Publication,
}

impl Reset {
    /// Before the first reset.
    pub(super) fn new() -> Self {
        Self {
            unified_loop: Publication::new(
                "vmx.capability.unified_loop",
                "none",
                Acceptance::Status,
            ),
        }
    }
}

/// Answers, and lets every service start afresh.
pub(super) fn handle(members: &mut Members, _args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    cx.outbox.reply(reply_to, ok(b"ATR toolbox"));
    for service in members.each() {
        service.reset(cx);
    }
}

impl Service for Reset {
    fn connected(&mut self, _cx: &mut Context<'_>) {
        // The reset that follows a new channel asks for it.
        self.unified_loop.retire();
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.unified_loop.forget();
        self.unified_loop
            .want(Some(terminated("vmx.capability.unified_loop toolbox")));
        self.unified_loop.publish(cx.outbox, cx.now);
    }

    fn settle(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        self.unified_loop.settle(id, outcome, cx.now);
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        self.unified_loop.publish(cx.outbox, cx.now);
    }

    fn deadline(&self) -> Option<Duration> {
        self.unified_loop.deadline()
    }
}
