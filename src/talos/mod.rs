//! The bridge to Talos: MachineService and COSI resources over gRPC.
//!
//! ```text
//!  observe ── COSI watches ──┐                          ┌─ machined's unix socket, role in the metadata
//!                            ├─ Client ── one channel ──┤
//!  power ──── calls, Events ─┘                          └─ apid, mutual TLS, roles in the certificate
//! ```
//!
//! [`Client`] is made without touching the network and reconnects by itself. [`observe()`] keeps one value
//! of [`crate::facts::Facts`] up to date, [`carry_out`] sees one power operation through. What fails says
//! who is at fault: [`Error`].

mod backoff;
mod client;
pub mod codec;
mod connect;
mod cosi;
mod error;
mod facts;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod observe;
mod power;
pub mod proto;
#[cfg(test)]
mod schedule_tests;
mod sequence;
mod tls;

pub use client::{Access, Client};
pub use connect::{Dial, MachinedSocket};
pub use error::Error;
pub use observe::{observe, query};
pub use power::carry_out;
pub use tls::TlsTrouble;
