//! Set_Option: the host hands over its settings.
//!
//! Every well-formed one is answered `OK `, known or not, as vmtoolsd does; only one without key or value is an
//! error. `broadcastIP 1` asks for the primary address as a guest variable; its reply waits until the variable
//! is on the host [toolsRpc.c, guestInfoServer.c].

use std::time::Duration;

use tracing::debug;

use crate::vmware::wire::text::{error, key_value, ok, printable};

use super::capabilities::PATIENCE;
use super::outbox::ReplyTo;
use super::{Context, Members, RpciId, RpciOutcome, Service};

/// A `broadcastIP 1` that has no reply yet.
#[derive(Debug)]
pub(super) struct SetOption {
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    reply_to: ReplyTo,
    address: RpciId,
    until: Duration,
}

impl SetOption {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self { waiting: None }
    }
}

/// Answers every well-formed option.
pub(super) fn handle(members: &mut Members, args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let Some((key, value)) = key_value(args) else {
        cx.outbox
            .reply(reply_to, error("Unknown or invalid option"));
        return;
    };
    debug!(
        key = printable(key),
        value = printable(value),
        "option of the host"
    );
    let address = match (key, value) {
        (b"broadcastIP", b"1") => members.guest_info.broadcast_address(cx),
        (b"broadcastIP", b"0") => {
            members.guest_info.stop_broadcasting();
            None
        }
        _ => None,
    };
    match address {
        Some(address) => {
            members.set_option.waiting = Some(Waiting {
                reply_to,
                address,
                until: cx.now.saturating_add(PATIENCE),
            });
        }
        None => cx.outbox.reply(reply_to, ok(b"")),
    }
}

impl Service for SetOption {
    fn connected(&mut self, _cx: &mut Context<'_>) {
        self.waiting = None;
    }

    fn settle(&mut self, id: RpciId, _outcome: &RpciOutcome, cx: &mut Context<'_>) {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.address == id) {
            cx.outbox.reply(waiting.reply_to, ok(b""));
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(waiting) = self.waiting.take_if(|waiting| waiting.until <= cx.now) {
            cx.outbox.reply(waiting.reply_to, ok(b""));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.waiting.as_ref().map(|waiting| waiting.until)
    }
}
