//! One request to the host, and what comes of it.

use crate::vmware::services::RpciId;
use crate::vmware::services::outbox::Outbox;
use crate::vmware::wire::text::{BLANK, info_set};
use crate::vmware::wire::vm_operation_notification::{
    Event, OperationId, Token, ack_event, check_for_event, register, unregister,
};

/// The guest variable that keeps the token, below `guestinfo.`: the registration outlives a killed agent, and only the
/// token ends it. The variable lasts as long.
pub(super) const TOKEN_VARIABLE: &str = "talos-vmtoolsd.vmotion.token";

/// One request to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Whether an earlier agent has left a token.
    Look,
    /// A registration of our own.
    Register,
    /// Where the next agent finds the token.
    Keep(Token),
    /// Whether anything happens.
    Poll(Token),
    /// The host need not wait for this any longer.
    Ack(OperationId, Token),
    /// The end of the registration.
    Unregister(Token),
    /// Nor is there a token any more.
    Clear,
}

impl Step {
    /// Sends it.
    pub(super) fn send(&self, outbox: &mut Outbox) -> RpciId {
        match self {
            Self::Look => {
                outbox.urgent_rpci(format!("info-get guestinfo.{TOKEN_VARIABLE}").into_bytes())
            }
            // A second one would be refused for the first, whose token was lost with the reply.
            Self::Register => outbox.rpci_once(register()),
            Self::Keep(token) => outbox.urgent_rpci(info_set(TOKEN_VARIABLE, token.secret())),
            Self::Poll(token) => outbox.urgent_rpci(check_for_event(token)),
            Self::Ack(operation, token) => outbox.urgent_rpci(ack_event(*operation, token)),
            Self::Unregister(token) => outbox.urgent_rpci(unregister(token)),
            Self::Clear => outbox.urgent_rpci(info_set(TOKEN_VARIABLE, BLANK)),
        }
    }
}

/// What comes of a request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What happens to the machine.
    pub(super) event: Option<Event>,
    /// The registration is new: no events of an earlier one will come.
    pub(super) is_new_registration: bool,
}
