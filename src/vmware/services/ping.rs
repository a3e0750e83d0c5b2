//! ping: the host asks whether we live.

use crate::vmware::wire::text::ok;

use super::outbox::ReplyTo;
use super::{Context, Members};

/// Answers at once, and does nothing else [rpcin.c].
pub(super) fn handle(
    _members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    cx.outbox.reply(reply_to, ok(b""));
}
