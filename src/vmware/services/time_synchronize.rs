//! Time_Synchronize: the host asks to set the clock. Talos has its own time service, so we answer as
//! open-vm-tools does with synchronization switched off, and leave the clock alone [timeSync.c].

use crate::vmware::wire::text::{error, number, ok};

use super::outbox::ReplyTo;
use super::{Context, Members};

/// Answers `OK ` when the argument is a number, whatever it says.
pub(super) fn handle(_members: &mut Members, args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let reply = match number(args) {
        Some(_) => ok(b""),
        None => error("Unable to tokenize TimeSync RPC data"),
    };
    cx.outbox.reply(reply_to, reply);
}
