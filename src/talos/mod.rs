//! The bridge to Talos: MachineService and COSI resources over gRPC.
//!
//! ```text
//!  observe ── COSI watches ──┐                          ┌─ machined's unix socket, role in the metadata
//!                            ├─ Client ── one channel ──┤
//!  power ──── calls, Events ─┘                          └─ apid, mutual TLS, roles in the certificate, and the
//!                                                          proof that it is this machine's
//! ```
//!
//! A [`Client`] does not touch the network when it is made, and reconnects by itself. [`observe()`] keeps one value
//! of [`crate::facts::Facts`] up to date, and [`carry_out`] sees one power operation through. An [`Error`] says who
//! is at fault.

mod client;
pub mod codec;
mod connect;
mod cosi;
mod doubt;
mod error;
mod etcd;
mod facts;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod inquiry;
mod leadership;
mod life;
mod observe;
mod power;
mod proof;
pub mod proto;
mod proven;
mod purpose;
#[cfg(test)]
mod schedule_tests;
mod sequence;
mod served;
mod single;
mod tls;
mod words;

pub use client::{Client, OwnCounters};
pub use connect::{Dial, MachinedSocket};
pub use error::Error;
pub use etcd::{follow_etcd, look_at_etcd};
pub use inquiry::Inquiries;
pub use leadership::hand_over;
pub use life::look_for_life;
pub use observe::{check, observe, query};
pub use power::{LastWord, Manner, carry_out};
pub use proof::Difference;
pub use tls::TlsTrouble;
pub use words::{no_endpoint, unconfigured};
