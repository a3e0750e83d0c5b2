//! One open server stream: a watch or an event stream.

use tokio::sync::mpsc::UnboundedSender;
use tonic::Status;

/// The sending end of a stream, which can be told to keep silent or to hold back.
#[derive(Debug)]
pub(crate) struct Subscriber<T> {
    sender: UnboundedSender<Result<T, Status>>,
    silent: bool,
    held: Option<Vec<T>>,
}

impl<T> Subscriber<T> {
    pub(crate) fn new(sender: UnboundedSender<Result<T, Status>>) -> Self {
        Self {
            sender,
            silent: false,
            held: None,
        }
    }

    /// Delivers a message, unless the stream is silent, held or gone.
    pub(crate) fn send(&mut self, message: T) {
        if self.silent {
            return;
        }
        match &mut self.held {
            Some(held) => held.push(message),
            // A caller that went away is dropped by the next look at `is_open`.
            None => drop(self.sender.send(Ok(message))),
        }
    }

    /// Whether the caller is still there.
    pub(crate) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Whether it still delivers.
    pub(crate) fn is_live(&self) -> bool {
        self.is_open() && !self.silent
    }

    /// Keeps the stream open and never delivers again.
    pub(crate) fn silence(&mut self) {
        self.silent = true;
    }

    /// Keeps back what comes from now on.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Delivers what was kept back.
    pub(crate) fn release(&mut self) {
        for message in self.held.take().into_iter().flatten() {
            self.send(message);
        }
    }

    /// Ends the stream with this status.
    pub(crate) fn end(self, status: Status) {
        drop(self.sender.send(Err(status)));
    }
}
