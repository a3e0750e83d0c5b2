//! The host's protocols as state machines without I/O: message channel, RPCI, TCLO.

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod message_channel;
pub mod route;
pub mod rpci;
pub mod tclo;
