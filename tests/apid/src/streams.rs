//! Server streams: the receiving end of a channel as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio_stream::Stream;
use tonic::Status;

/// Ends when the sender is gone.
#[derive(Debug)]
pub(crate) struct Receiver<T>(UnboundedReceiver<Result<T, Status>>);

impl<T> Receiver<T> {
    pub(crate) fn new(receiver: UnboundedReceiver<Result<T, Status>>) -> Self {
        Self(receiver)
    }
}

impl<T> Stream for Receiver<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
