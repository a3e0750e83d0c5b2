//! What the host asks: the words of requests, and of the replies that need no run.

use std::time::Duration;

use crate::vmware::wire::quiesce_params::{QuiesceParams, QuiesceParamsError};
use crate::vmware::wire::text::error;

use super::super::outbox::ReplyTo;
use super::super::{Context, Members};

/// What a start asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// No file system may be frozen.
    pub(super) only_sync: bool,
    /// How long the operation may take at most, unless by default.
    pub(super) most: Option<Duration>,
}

/// vmbackup.start. Manifests are not made, and volumes on Linux are all of them.
pub(in super::super) fn handle_start(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    if members.vmbackup.is_free(cx, reply_to) {
        members.vmbackup.start(Wish::default(), cx, reply_to);
    }
}

/// vmbackup.startWithOpts.
pub(in super::super) fn handle_start_with_opts(
    members: &mut Members,
    args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    if !members.vmbackup.is_free(cx, reply_to) {
        return;
    }
    match QuiesceParams::decode(args) {
        Ok(params) => {
            let seconds = params.timeout_seconds;
            let wish = Wish {
                only_sync: !params.quiesce_fs,
                most: (seconds > 0).then(|| Duration::from_secs(seconds.into())),
            };
            members.vmbackup.start(wish, cx, reply_to);
        }
        Err(problem) => {
            tracing::warn!(
                %problem,
                "a quiesced snapshot is refused: its request cannot be read; take it without options of VSS"
            );
            let text = match problem {
                QuiesceParamsError::Version(_) => "Incompatible quiesce parameter version",
                QuiesceParamsError::Malformed => "XDR deserialization failed.",
            };
            cx.outbox.reply(reply_to, error(text));
        }
    }
}

/// vmbackup.snapshotDone: the host has its snapshot.
pub(in super::super) fn handle_snapshot_done(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members.vmbackup.snapshot_done(cx, reply_to);
}

/// vmbackup.abort: the host gives the snapshot up.
pub(in super::super) fn handle_abort(
    members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    members.vmbackup.abort(cx, reply_to);
}

/// vmbackup.snapshotCompleted: of VSS alone.
pub(in super::super) fn handle_snapshot_completed(
    _members: &mut Members,
    _args: &[u8],
    cx: &mut Context<'_>,
    reply_to: ReplyTo,
) {
    let reply = error("Error: no quiesce complete in progress");
    cx.outbox.reply(reply_to, reply);
}
