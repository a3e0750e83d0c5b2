//! Set_Option: the host hands over its settings.
//!
//! Every well-formed one is answered `OK `, known or not, as vmtoolsd does; only one without key or value is an
//! error. `broadcastIP 1` asks for the primary address as a guest variable; its reply waits until the variable
//! is on the host [toolsRpc.c, guestInfoServer.c]. `enableAppInfo` is the host's switch for the inventory of software
//! [appInfo.c].

use tracing::debug;

use crate::vmware::wire::text::{error, key_value, ok, printable};

use super::capabilities::PATIENCE;
use super::outbox::{Later, ReplyTo};
use super::topic::Topic;
use super::{Context, Members};

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
    match (key, value) {
        (b"broadcastIP", b"1") => {
            members.guest_info.broadcast_address(cx);
            let later = Later {
                after: &[Topic::Address],
                reply: ok(b""),
                until: cx.now.saturating_add(PATIENCE),
                otherwise: ok(b""),
            };
            cx.outbox.reply_when(reply_to, later);
        }
        (b"broadcastIP", b"0") => {
            members.guest_info.stop_broadcasting(cx);
            cx.outbox.reply(reply_to, ok(b""));
        }
        (b"enableAppInfo", b"0" | b"1") => {
            members.inventory.set_wanted(value == b"1", cx);
            cx.outbox.reply(reply_to, ok(b""));
        }
        _ => cx.outbox.reply(reply_to, ok(b"")),
    }
}
