//! The Events stream of one power operation, which opens while other things go on.

use std::pin::Pin;

use tokio::time::Instant;
use tonic::Streaming;

use crate::talos::client::Client;
use crate::talos::error::Error;
use crate::talos::proto::machine::Event;
use crate::talos::sequence::Sighting;

/// Whole seconds since then, rounded up, and one more: event times have a resolution of a second.
pub(super) fn seconds_since(then: Instant) -> i32 {
    i32::try_from(then.elapsed().as_secs().saturating_add(2)).unwrap_or(i32::MAX)
}

type Opening = Pin<Box<dyn Future<Output = Result<Streaming<Event>, Error>> + Send>>;

/// The Events stream, which opens while other things go on.
pub(super) enum Events {
    /// Asked for.
    Opening(Opening),
    /// Talos sends.
    Open(Box<Streaming<Event>>),
    /// Not asked for, or ended.
    Closed,
    /// Talos does not let us listen.
    Refused,
}

impl Events {
    /// Asks for the events since so many seconds (0: from now on).
    pub(super) fn open(client: &Client, tail_seconds: i32) -> Self {
        let client = client.clone();
        Self::Opening(Box::pin(async move { client.events(tail_seconds).await }))
    }

    /// Whether Talos has begun to send.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    /// Whether nothing will come of it any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Closed | Self::Refused)
    }

    /// Whether Talos does not let us listen.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// Waits until the stream is open or has failed. May be dropped and called again.
    pub(super) async fn opened(&mut self) -> Result<(), Error> {
        if let Self::Opening(opening) = self {
            match opening.await {
                Ok(stream) => *self = Self::Open(Box::new(stream)),
                Err(error) => {
                    *self = match error {
                        Error::Denied { .. } | Error::Unsupported { .. } => Self::Refused,
                        _ => Self::Closed,
                    };
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The next event; `None` when the stream cannot be opened or has ended. May be dropped and called again.
    pub(super) async fn next(&mut self, client: &Client) -> Option<Sighting> {
        if let Err(error) = self.opened().await {
            tracing::debug!(
                error = error.with_causes(),
                "cannot listen to Talos' events"
            );
            return None;
        }
        let Self::Open(stream) = self else {
            return None;
        };
        match stream.message().await {
            Ok(Some(event)) => Some(Sighting::from_event(event)),
            Ok(None) => {
                *self = Self::Closed;
                None
            }
            Err(status) => {
                let error = client.error("Events", &status);
                tracing::debug!(error = error.with_causes(), "Talos' events have ended");
                *self = Self::Closed;
                None
            }
        }
    }
}
