//! What the services want done, in order, and the reply that is owed.

use std::collections::VecDeque;

use super::{Output, RpciId};
use crate::power::PowerOperation;

/// Names a request, so that a late answer cannot reach the request after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo(u64);

/// The queue behind [`super::Services::poll_output`].
#[derive(Debug, Default)]
pub(super) struct Outbox {
    outputs: VecDeque<Output>,
    last_id: u64,
    last_request: u64,
    owed: Option<ReplyTo>,
}

impl Outbox {
    /// A request has come in and wants one reply. An older one that has none yet came over a channel that is
    /// gone: the host asks nothing new while it waits.
    pub(super) fn owe_reply(&mut self) -> ReplyTo {
        self.last_request += 1;
        let request = ReplyTo(self.last_request);
        self.owed = Some(request);
        request
    }

    /// Nobody waits for a reply any more.
    pub(super) fn forget_reply(&mut self) {
        self.owed = None;
    }

    /// Answers a request, unless it has its answer or nobody waits for it.
    pub(super) fn reply(&mut self, request: ReplyTo, bytes: Vec<u8>) {
        if self.owed.take_if(|owed| *owed == request).is_some() {
            self.outputs.push_back(Output::Reply(bytes));
        }
    }

    /// Sends an RPCI message behind all earlier ones.
    pub(super) fn rpci(&mut self, message: Vec<u8>) -> RpciId {
        self.last_id += 1;
        let id = RpciId(self.last_id);
        self.outputs.push_back(Output::Rpci { id, message });
        id
    }

    /// Asks Talos for a power operation.
    pub(super) fn power(&mut self, operation: PowerOperation) {
        self.outputs.push_back(Output::Power(operation));
    }

    /// Asks Talos for the space on the file systems.
    pub(super) fn measure_space(&mut self) {
        self.outputs.push_back(Output::MeasureSpace);
    }

    /// Asks for the kernel's counters.
    pub(super) fn read_load(&mut self) {
        self.outputs.push_back(Output::ReadLoad);
    }

    /// The next thing to do.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
