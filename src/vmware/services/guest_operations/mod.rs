//! Vix_1_Relayed_Command: guest operations, in the numbers and texts of VIX.
//!
//! ```text
//! request ─► header ─► on at all? ─► body ─► who is it? ─► the operation ─► OK error 0 result
//!            10000     3025, 20005   10001   6, 3050       the rest
//! ```
//! GetToolsState and two requests that do nothing need no credential. The order is that of open-vm-tools [vixTools.c]: a
//! guest that has guest operations switched off never looks at a credential.
//!
//! An operation that waits, for Talos or for the check of a password, is kept and tried again whenever something has
//! come. The host asks nothing else meanwhile, not even whether we live, so it is answered after [`PATIENCE`] at the
//! latest: "try again" is better than late.

mod answers;
mod errors;
mod hgfs;
mod journal;
mod listing;
mod pages;
mod tools_state;

use std::borrow::Cow;
use std::task::Poll;
use std::time::Duration;

use crate::config::GuestOperationsConfig;
use crate::diagnosis::Check;
use crate::guest_operations::logins::{Checked, PasswordCheck};
use crate::guest_operations::{Failure, GuestOperations};
use crate::inquiry::{Answer, InquiryId, Step};
use crate::vmware::wire::text::ok;
use crate::vmware::wire::vix::{
    HGFS_PACKET, NamePassword, Operation, VixError, VixRequest, is_known, result,
};

use super::outbox::ReplyTo;
use super::{Context, Members};
use errors::error_of;
use pages::Pages;
use tools_state::{CAPTURE_SCREEN, GET_TOOLS_STATE, WAIT_FOR_TOOLS, tools_state};

/// How long a request is tried again before it is answered with an error. The host gives up a transfer after a minute,
/// but pings wait behind it.
const PATIENCE: Duration = Duration::from_millis(2500);

/// See the module.
#[derive(Debug)]
pub(super) struct VixService {
    /// What [`Self::operations`] are configured with.
    config: GuestOperationsConfig,
    operations: GuestOperations,
    hgfs: hgfs::Server,
    pages: Pages,
    waiting: Option<Waiting>,
}

/// A request that is not answered yet.
struct Waiting {
    reply_to: ReplyTo,
    /// With a password in it.
    args: Vec<u8>,
    until: Duration,
}

/// How far a request has got.
enum Progress {
    Answered(Result<Vec<u8>, VixError>),
    /// Try again, or answer with this.
    Waits(Result<Vec<u8>, VixError>),
}

/// Answers with the VIX error inside an `OK ` reply.
pub(super) fn handle(members: &mut Members, args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let until = cx.now.saturating_add(PATIENCE);
    members
        .guest_operations
        .try_to_answer(reply_to, Cow::Borrowed(args), until, cx);
}

impl VixService {
    /// Switched off.
    pub(super) fn new(operations: GuestOperations) -> Self {
        Self {
            config: GuestOperationsConfig::default(),
            operations,
            hgfs: hgfs::Server::default(),
            pages: Pages::default(),
            waiting: None,
        }
    }

    /// Takes over the settings; whether that switches guest operations on or off. A request that waits is looked at with
    /// the new ones, and transfers end. Settings that are as they were end nothing.
    pub(super) fn configure(
        &mut self,
        config: &GuestOperationsConfig,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.config == *config {
            return false;
        }
        let before = self.is_enabled();
        self.config = config.clone();
        self.hgfs.forget(self.operations.files());
        self.operations.configure(config);
        self.pages = Pages::default();
        self.go_on(cx);
        before != self.is_enabled()
    }

    /// Whether there are guest operations.
    pub(super) const fn is_enabled(&self) -> bool {
        self.operations.is_enabled()
    }

    /// What is known of them.
    pub(super) fn check(&self) -> Check {
        self.operations.check()
    }

    /// The host is gone, and does not wait any more.
    pub(super) fn forget_request(&mut self) {
        self.waiting = None;
    }

    /// What the node answers.
    pub(super) fn handle_answer(&mut self, id: InquiryId, answer: Answer, cx: &mut Context<'_>) {
        self.operations.handle_answer(id, answer, cx.now);
        self.go_on(cx);
    }

    /// What came of a password.
    pub(super) fn handle_checked(&mut self, checked: &Checked, cx: &mut Context<'_>) {
        self.operations.logins().handle_checked(checked, cx.now);
        self.go_on(cx);
    }

    /// Does what is due, whether the host is there or not: programs end, and what is kept expires.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if self.poll_timeout().is_none_or(|due| cx.now < due) {
            return;
        }
        self.operations.handle_timeout(cx.now);
        self.hgfs.handle_timeout(self.operations.files(), cx.now);
        self.pages.expire(cx.now);
        self.go_on(cx);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let due = [
            self.operations.poll_timeout(),
            self.hgfs.poll_timeout(),
            self.pages.poll_timeout(),
        ];
        due.into_iter().flatten().min()
    }

    /// What to ask the node next.
    pub(super) fn poll_inquiry(&mut self) -> Option<(InquiryId, Step)> {
        self.operations.poll_step()
    }

    /// A password to check.
    pub(super) fn poll_check(&mut self) -> Option<PasswordCheck> {
        self.operations.logins().poll_check()
    }

    /// Tries the request that waits again.
    fn go_on(&mut self, cx: &mut Context<'_>) {
        if let Some(waiting) = self.waiting.take()
            && cx.outbox.owes(waiting.reply_to)
        {
            let args = Cow::Owned(waiting.args);
            self.try_to_answer(waiting.reply_to, args, waiting.until, cx);
        }
    }

    fn try_to_answer(
        &mut self,
        reply_to: ReplyTo,
        args: Cow<'_, [u8]>,
        until: Duration,
        cx: &mut Context<'_>,
    ) {
        self.waiting = None;
        let request = VixRequest::parse(&args);
        let progress = match &request {
            Err(error) => Progress::Answered(Err(*error)),
            Ok(request) => self.attempt(request, cx),
        };
        let reply = |answer: Result<Vec<u8>, VixError>| {
            let is_binary = request.is_ok_and(|request| {
                request.binary || request.opcode == HGFS_PACKET && answer.is_ok()
            });
            ok(&match answer {
                Ok(value) => result(VixError::OK, is_binary, &value),
                Err(error) => result(error, is_binary, b""),
            })
        };
        match progress {
            Progress::Answered(answer) => cx.outbox.reply(reply_to, reply(answer)),
            Progress::Waits(otherwise) => {
                cx.outbox.reply_by(reply_to, until, reply(otherwise));
                self.waiting = Some(Waiting {
                    reply_to,
                    args: args.into_owned(),
                    until,
                });
            }
        }
    }

    fn attempt(&mut self, request: &VixRequest<'_>, cx: &Context<'_>) -> Progress {
        match request.opcode {
            GET_TOOLS_STATE => {
                let state = tools_state(cx, self.is_enabled());
                Progress::Answered(Ok(state.into_bytes()))
            }
            // As open-vm-tools, which could wait for a frozen disk.
            _ if cx.quiet => Progress::Answered(Err(VixError::BUSY)),
            WAIT_FOR_TOOLS | CAPTURE_SCREEN => Progress::Answered(Ok(Vec::new())),
            opcode if !is_known(opcode) => Progress::Answered(Err(VixError::UNRECOGNIZED_COMMAND)),
            _ => self.operate(request, cx).unwrap_or_else(|error| {
                tracing::debug!(
                    opcode = request.opcode,
                    error = error.0,
                    "guest operation refused"
                );
                Progress::Answered(Err(error))
            }),
        }
    }

    fn operate(
        &mut self,
        request: &VixRequest<'_>,
        cx: &Context<'_>,
    ) -> Result<Progress, VixError> {
        if !self.is_enabled() {
            return Err(VixError::OPERATION_DISABLED);
        }
        let operation = Operation::parse(request.opcode, request.body)
            .ok_or(VixError::OPERATION_DISABLED)??;
        if operation == Operation::Sspi {
            return Err(VixError::NOT_SUPPORTED);
        }
        let login = NamePassword::parse(request.credential_type, request.credential)?;
        let node = cx.facts.node.system_uuid.as_deref();
        let logins = self.operations.logins();
        let caller = match logins.log_in(&login.name, &login.secret.0, node, cx.now) {
            Poll::Ready(Ok(caller)) => caller,
            Poll::Ready(Err(failure)) => return Err(error_of(failure)),
            Poll::Pending => return Ok(Progress::Waits(Err(VixError::BUSY))),
        };
        Ok(match self.carry_out(&caller, &operation, cx) {
            Poll::Pending => Progress::Waits(match operation {
                // What is wrong with a transfer is said in its packets.
                Operation::Hgfs { packet } => Ok(hgfs::Server::refusal(packet, Failure::NotNow)),
                _ => Err(VixError::FILE_ACCESS),
            }),
            Poll::Ready(answer) => {
                let error = answer
                    .as_ref()
                    .map_or_else(|error| *error, |_| VixError::OK);
                journal::answered(&caller, request.opcode, &operation, error);
                Progress::Answered(answer)
            }
        })
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Waiting {{ reply_to: {:?}, until: {:?}, .. }}",
            self.reply_to, self.until
        )
    }
}
