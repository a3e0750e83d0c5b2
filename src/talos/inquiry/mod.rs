//! Inquiries of guest operations: each is one task that asks Talos and sends back what comes, piece by piece.

use std::collections::BTreeMap;

use tokio::task::AbortHandle;

use super::client::Client;
use crate::inquiry::{Answer, InquiryId, Step, Trouble, TroubleKind};

/// Those that are under way.
#[derive(Debug, Default)]
pub struct Inquiries {
    tasks: BTreeMap<InquiryId, AbortHandle>,
}

impl Inquiries {
    /// Starts an inquiry, goes on with it, or ends it. `answer` takes what comes of it.
    pub fn handle_step(
        &mut self,
        _client: &Client,
        id: InquiryId,
        step: Step,
        answer: impl Fn(Answer) + Send + 'static,
    ) {
        match step {
            Step::Ask(_) => answer(Answer::End(Err(Trouble {
                kind: TroubleKind::NotSupported,
                text: "not built yet".to_owned(),
                status: 12,
            }))),
            Step::Forget => {
                if let Some(task) = self.tasks.remove(&id) {
                    task.abort();
                }
            }
            Step::Feed(_) | Step::EndInput | Step::More => {}
        }
    }
}
