//! Faults at chosen steps: a step is a call that arrives, or a message of a stream that is about to go out.
//!
//! Whoever scripts sees every step in its order and says what goes wrong there, so that a session can be
//! replayed with a fault at each of its steps.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tonic::{Code, Status};

use crate::Method;
use crate::power;
use crate::shared::Shared;

/// Something that happens between the API and a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A call has arrived. With the request in a few words, as in [`crate::Call`].
    Call(Method, String),
    /// A message of a stream is about to go out. With its contents in a few words.
    Message(Method, String),
}

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The call is refused, or the stream ends, with this status.
    Status(Code),
    /// The call is carried out and then answered with this status.
    DoneBut(Code),
    /// The watch says ERRORED and nothing more, and stays open.
    Errored,
    /// The stream ends in good order instead of the message.
    End,
    /// Neither an answer nor a message ever comes; the connection stays.
    Silent,
    /// As [`Trouble::Silent`], until after so long all connections are cut.
    SilentThenReset(Duration),
    /// All connections are cut; the call is not carried out, the message is lost.
    Reset,
    /// The call is carried out, and all connections are cut before the answer is out.
    DoneThenReset,
    /// The call is carried out, or the message goes out, so much later.
    Slow(Duration),
    /// The call is carried out at once and answered so much later.
    LateAnswer(Duration),
    /// Nobody is answered and no event goes out for so long; then everything goes on.
    Hang(Duration),
    /// As [`Trouble::Hang`], and a Reboot or Shutdown that had arrived is carried out afterwards although its
    /// caller has given up, as by a process that was frozen.
    FrozenThenDone(Duration),
    /// The API is gone for so long: connections are cut, and new ones refused. Only
    /// [`crate::Apid::in_process`].
    Away(Duration),
}

type Director = Box<dyn FnMut(&Step) -> Option<Trouble> + Send>;

/// What is to go wrong, if anything.
#[derive(Default)]
pub(crate) struct Script(Mutex<Option<Director>>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    pub(crate) fn set(&self, director: Director) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(director);
    }

    /// The trouble of a step that is about to happen.
    pub(crate) fn trouble(&self, step: impl FnOnce() -> Step) -> Option<Trouble> {
        let mut director = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        director.as_mut()?(&step())
    }
}

/// Talos' words for a status that nothing in particular has led to.
pub(crate) fn status(code: Code) -> Status {
    Status::new(
        code,
        match code {
            Code::PermissionDenied => "not authorized",
            Code::Unimplemented => "unknown method",
            Code::DeadlineExceeded => "context deadline exceeded",
            _ => "scripted",
        },
    )
}

/// Hangs everybody for so long.
pub(crate) fn hang(shared: &Arc<Shared>, time: Duration) {
    shared.hang(true);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        sleep(time).await;
        shared.hang(false);
    });
}

/// Hangs everybody for so long, then carries out the power call that had arrived.
pub(crate) fn freeze(shared: &Arc<Shared>, method: Method, time: Duration) {
    shared.hang(true);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        sleep(time).await;
        // It came before all that is waiting, so it is carried out before that.
        match method {
            Method::Reboot => drop(power::run(&shared, "reboot", false)),
            Method::Shutdown => drop(power::run(&shared, "shutdown", false)),
            _ => {}
        }
        shared.hang(false);
    });
}

/// Goes away for so long.
pub(crate) fn go_away(shared: &Arc<Shared>, time: Duration) {
    shared.door.close();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        sleep(time).await;
        shared.door.open_in_process();
    });
}

/// Cuts all connections after so long.
pub(crate) fn reset_after(shared: &Arc<Shared>, time: Duration) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        sleep(time).await;
        shared.door.drop_connections();
    });
}
