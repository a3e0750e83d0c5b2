//! Quiesced snapshots, for every hypervisor: which file systems are frozen, when, and how a freeze ends.
//!
//! ```text
//! host ─► front end ─► Quiesce ── Command ─► freezer: FIFREEZE, FITHAW
//! host ◄─ front end ◄─ Quiesce ◄─ Report ─── its own process, see [`crate::freezer`]
//! ```
//! Sans-IO. [`Quiesce`] is the state machine that both front ends hold: whether a freeze may begin, what to order, and
//! what is true when it is over. [`message`] is what goes between it and the freezer.

mod codec;
mod etcd;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
#[cfg(any(test, fuzzing))]
mod judge;
pub mod look;
pub mod message;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod model;
pub mod quiesce;
mod readiness;
mod run;
mod shown;
mod terms;
pub mod volumes;

pub use codec::Buffer;
pub use message::{Command, Report};
pub use quiesce::Quiesce;
pub use terms::{Ended, Event, Phase, QuiesceOrder, Refusal, Request, Why};
