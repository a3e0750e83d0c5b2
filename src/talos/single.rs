//! A tonic channel on one stream and no other: when the stream ends, so does the channel.
//!
//! tonic's channels connect again by themselves. What is proven of the machine at the other end would not hold for the
//! next connection, so there is none.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::codegen::http::Uri;
use tower_service::Service;

use super::connect::unreachable;
use super::error::Error;

/// Whether a stream is still there.
#[derive(Clone, Debug)]
pub(super) struct Alive(Arc<AtomicBool>);

impl Alive {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn no_more(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Gives its stream to the first who asks.
#[derive(Debug)]
pub(super) struct Single<S> {
    stream: Option<Observed<S>>,
    alive: Alive,
    endpoint: String,
}

impl<S> Single<S> {
    /// The connector, and whether what it connects to is still there. `endpoint` is for errors.
    pub(super) fn new(stream: S, endpoint: String) -> (Self, Alive) {
        let alive = Alive(Arc::new(AtomicBool::new(true)));
        let stream = Observed {
            stream,
            alive: alive.clone(),
        };
        let connector = Self {
            stream: Some(stream),
            alive: alive.clone(),
            endpoint,
        };
        (connector, alive)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Service<Uri> for Single<S> {
    type Response = TokioIo<Observed<S>>;
    type Error = Error;
    type Future = Ready<Result<Self::Response, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(match self.stream.take() {
            Some(stream) => Ok(TokioIo::new(stream)),
            None => {
                // The stream may still be there: a server that says goodbye ends the calls under way first.
                self.alive.no_more();
                let ended = io::Error::new(io::ErrorKind::NotConnected, "the connection has ended");
                Err(unreachable(self.endpoint.clone(), ended))
            }
        })
    }
}

/// A stream that says when it is dropped.
#[derive(Debug)]
pub(super) struct Observed<S> {
    stream: S,
    alive: Alive,
}

impl<S> Drop for Observed<S> {
    fn drop(&mut self) {
        self.alive.no_more();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_is_given_once_and_its_end_is_known() {
        let (stream, _peer) = tokio::io::duplex(64);
        let (mut connector, alive) = Single::new(stream, "here:1".into());
        let first = connector.call(Uri::default()).await.unwrap();
        assert!(alive.is_so());
        drop(first);
        assert!(!alive.is_so());
        let error = connector.call(Uri::default()).await.unwrap_err();
        assert!(!error.is_ambiguous() && error.is_retryable(), "{error:?}");
        assert_eq!(
            error.with_causes(),
            "cannot reach Talos at here:1: the connection has ended"
        );
    }

    #[tokio::test]
    async fn a_channel_that_would_connect_again_has_ended() {
        let (stream, _peer) = tokio::io::duplex(64);
        let (mut connector, alive) = Single::new(stream, "here:1".into());
        let _first = connector.call(Uri::default()).await.unwrap();
        connector.call(Uri::default()).await.unwrap_err();
        assert!(!alive.is_so(), "although the stream is there");
    }
}
