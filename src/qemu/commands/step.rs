//! What a handler has done for its request.

use std::time::Duration;

use serde_json::Value;

use super::arguments::Arguments;
use super::known::Known;
use crate::facts::{KernelPart, Reading};
use crate::front_end::Subject;
use crate::power::PowerOperation;
use crate::qemu::qmp::Error;

/// What is to be done for a request.
#[derive(Debug)]
pub(super) enum Step {
    /// Answer with this.
    Reply(Value),
    /// Answer with this, behind the byte that ends what came before.
    Delimited(Value),
    /// Ask Talos for a power operation; its outcome is the answer.
    Power(PowerOperation),
    /// Freeze the file systems at these mount points, or all; their number is the answer.
    Freeze(Option<Vec<String>>),
    /// Thaw what is frozen; the number of file systems is the answer.
    Thaw,
    /// Answer with what Talos has measured lately.
    Measure(Subject, MeasuredAnswer),
    /// Answer with what the kernel says now.
    Read(KernelPart, ReadAnswer),
}

/// Makes an answer of what is known after a measurement, now.
pub(super) type MeasuredAnswer = fn(&Known, Duration) -> Result<Value, Error>;

/// Makes an answer of what the kernel says.
pub(super) type ReadAnswer = fn(&Known, &Reading) -> Result<Value, Error>;

/// Says what is to be done for a request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Handler {
    /// Of a command that has no arguments.
    Plain(fn(&Known) -> Result<Step, Error>),
    /// Of one that has some, and looks at them all.
    With(fn(&Known, Arguments<'_>) -> Result<Step, Error>),
}

impl Handler {
    /// Asks it.
    ///
    /// # Errors
    /// Those of the arguments, and its own.
    pub(super) fn call(self, known: &Known, arguments: Arguments<'_>) -> Result<Step, Error> {
        match self {
            Self::Plain(handler) => {
                arguments.only(&[])?;
                handler(known)
            }
            Self::With(handler) => handler(known, arguments),
        }
    }
}
