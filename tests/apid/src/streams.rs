//! Server streams: messages as they come, and the faults on their way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use crate::Method;
use crate::proto::common::Data;
use crate::proto::cosi::resource::{self, EventType, ListResponse, WatchResponse};
use crate::proto::machine::{Event, FileInfo};
use crate::script::{self, Step, Trouble};
use crate::shared::Shared;

/// A message of a server stream.
pub(crate) trait Message: Sized + Send + 'static {
    /// Its contents in a few words.
    fn summary(&self) -> String;

    /// The message of a watch that gives up, where there is one.
    fn errored() -> Option<Self> {
        None
    }
}

impl Message for WatchResponse {
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
    fn summary(&self) -> String {
        self.data.clone().unwrap_or_default().type_url
    }
}

impl Message for Data {
    fn summary(&self) -> String {
        format!("{} bytes", self.bytes.len())
    }
}

impl Message for FileInfo {
    fn summary(&self) -> String {
        self.name.clone()
    }
}

impl Message for ListResponse {
    fn summary(&self) -> String {
        let metadata = self.resource.as_ref().and_then(|one| one.metadata.as_ref());
        metadata.map_or_else(String::new, |metadata| {
            format!("{} {}", metadata.r#type, metadata.id)
        })
    }
}

/// What is to be sent.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Ends when there are no more; when the caller goes, those who wait for it are woken.
pub(crate) struct Receiver<T: Send + 'static> {
    method: Method,
    messages: Messages<T>,
    /// Has been waited for already.
    first: Option<Result<T, Status>>,
    shared: Arc<Shared>,
    course: Course<T>,
}

/// How the stream goes on.
enum Course<T> {
    Flowing,
    /// This message is late.
    Late(Option<T>, Pin<Box<Sleep>>),
    Silent,
    Over,
}

// Nothing in it is pinned but the timer, which has a place of its own.
impl<T: Send + 'static> Unpin for Receiver<T> {}

impl<T: Send + 'static> Receiver<T> {
    pub(crate) fn new(
        method: Method,
        messages: impl Stream<Item = Result<T, Status>> + Send + 'static,
        shared: &Arc<Shared>,
    ) -> Self {
        Self {
            method,
            messages: Box::pin(messages),
            first: None,
            shared: shared.clone(),
            course: Course::Flowing,
        }
    }

    /// Waits until there is a message to send.
    pub(crate) async fn first(&mut self) {
        self.first = self.messages.next().await;
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

impl<T: Send + 'static> Drop for Receiver<T> {
    fn drop(&mut self) {
        // Those that are woken find the stream closed.
        self.messages = Box::pin(tokio_stream::empty::<Result<T, Status>>());
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
                None => ready!(self.messages.as_mut().poll_next(context)),
            };
            let message = match next {
                Some(Ok(message)) => message,
                end => return Poll::Ready(end),
            };
            let step = || Step::Message(self.method, message.summary());
            let Some(trouble) = self.shared.script.trouble(step) else {
                return Poll::Ready(Some(Ok(message)));
            };
            if let Some(instead) = self.suffer(trouble, message) {
                return Poll::Ready(Some(instead));
            }
        }
    }
}
