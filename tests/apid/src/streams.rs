//! Server streams: the receiving end of a channel as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tonic::Status;

use crate::Method;
use crate::proto::cosi::resource::{self, EventType, WatchResponse};
use crate::proto::machine::Event;
use crate::script::{self, Step, Trouble};
use crate::shared::Shared;

/// A message of a server stream.
pub(crate) trait Message: Sized {
    /// The stream's method.
    const METHOD: Method;

    /// Its contents in a few words.
    fn summary(&self) -> String;

    /// The message of a watch that gives up, where there is one.
    fn errored() -> Option<Self> {
        None
    }
}

impl Message for WatchResponse {
    const METHOD: Method = Method::Watch;

    fn summary(&self) -> String {
        let words = self.event.iter().map(|event| {
            let metadata = event.resource.as_ref().and_then(|one| one.metadata.clone());
            let metadata = metadata.unwrap_or_default();
            let kind = event.event_type().as_str_name();
            format!("{kind} {} {}", metadata.r#type, metadata.id)
        });
        words.collect::<Vec<_>>().join(", ")
    }

    fn errored() -> Option<Self> {
        Some(Self {
            event: vec![resource::Event {
                event_type: EventType::Errored.into(),
                error: Some("buffer overrun".to_owned()),
                ..resource::Event::default()
            }],
        })
    }
}

impl Message for Event {
    const METHOD: Method = Method::Events;

    fn summary(&self) -> String {
        self.data.clone().unwrap_or_default().type_url
    }
}

/// Ends when the sender is gone; when the caller goes, those who wait for it are woken.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    receiver: UnboundedReceiver<Result<T, Status>>,
    /// Has been waited for already.
    first: Option<Result<T, Status>>,
    shared: Arc<Shared>,
    course: Course<T>,
}

/// How the stream goes on.
#[derive(Debug)]
enum Course<T> {
    Flowing,
    /// This message is late.
    Late(Option<T>, Pin<Box<Sleep>>),
    Silent,
    Over,
}

// Nothing in it is pinned but the timer, which has a place of its own.
impl<T> Unpin for Receiver<T> {}

impl<T> Receiver<T> {
    pub(crate) fn new(
        receiver: UnboundedReceiver<Result<T, Status>>,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            receiver,
            first: None,
            shared: shared.clone(),
            course: Course::Flowing,
        }
    }

    /// Waits until there is a message to send.
    pub(crate) async fn first(&mut self) {
        self.first = self.receiver.recv().await;
    }

    fn late(&mut self, message: T, time: Duration) {
        self.course = Course::Late(Some(message), Box::pin(sleep(time)));
    }
}

impl<T: Message> Receiver<T> {
    /// Suffers a trouble instead of the message going out; what goes out instead.
    fn suffer(&mut self, trouble: Trouble, message: T) -> Option<Result<T, Status>> {
        match trouble {
            Trouble::Status(code) | Trouble::DoneBut(code) => {
                self.course = Course::Over;
                return Some(Err(script::status(code)));
            }
            Trouble::Errored => {
                self.course = Course::Silent;
                return Some(Ok(T::errored().unwrap_or(message)));
            }
            Trouble::End => self.course = Course::Over,
            Trouble::Silent => self.course = Course::Silent,
            Trouble::SilentThenReset(time) => {
                self.course = Course::Silent;
                script::reset_after(&self.shared, time);
            }
            Trouble::Reset | Trouble::DoneThenReset => {
                self.course = Course::Silent;
                self.shared.door.drop_connections();
            }
            Trouble::Slow(time) | Trouble::LateAnswer(time) => self.late(message, time),
            Trouble::Hang(time) | Trouble::FrozenThenDone(time) => {
                self.late(message, time);
                script::hang(&self.shared, time);
            }
            Trouble::Away(time) => {
                self.course = Course::Silent;
                script::go_away(&self.shared, time);
            }
        }
        None
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.receiver.close();
        self.shared.changed.changed();
    }
}

impl<T: Message> Stream for Receiver<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.course {
                Course::Over => return Poll::Ready(None),
                Course::Silent => return Poll::Pending,
                Course::Late(message, timer) => {
                    ready!(timer.as_mut().poll(context));
                    let message = message.take();
                    self.course = Course::Flowing;
                    return Poll::Ready(message.map(Ok));
                }
                Course::Flowing => {}
            }
            let next = match self.first.take() {
                Some(first) => Some(first),
                None => ready!(self.receiver.poll_recv(context)),
            };
            let message = match next {
                Some(Ok(message)) => message,
                end => return Poll::Ready(end),
            };
            let step = || Step::Message(T::METHOD, message.summary());
            let Some(trouble) = self.shared.script.trouble(step) else {
                return Poll::Ready(Some(Ok(message)));
            };
            if let Some(instead) = self.suffer(trouble, message) {
                return Poll::Ready(Some(instead));
            }
        }
    }
}
