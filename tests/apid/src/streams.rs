//! Server streams: the receiving end of a channel as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::Stream;
use tonic::Status;

use crate::shared::Shared;

/// Ends when the sender is gone; when the caller goes, those who wait for it are woken.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    receiver: UnboundedReceiver<Result<T, Status>>,
    shared: Arc<Shared>,
}

impl<T> Receiver<T> {
    pub(crate) fn new(
        receiver: UnboundedReceiver<Result<T, Status>>,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            receiver,
            shared: shared.clone(),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.changed.changed();
    }
}

impl<T> Stream for Receiver<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context)
    }
}
