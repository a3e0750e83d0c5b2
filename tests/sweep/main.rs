//! The exhaustive fault sweep: a whole session of a node, with a fault at each of its steps.
//!
//! A session is start, reset, registration, guest info, a change of address, a ping, broadcastIP and a power
//! operation. It runs once without a fault, which tells its steps; then once for each step and each kind of
//! fault, with the fault once and three times in a row. Whatever happens: nothing panics, the host sees the
//! guest running again soon, it ends up with the right guest information, and the power operation is answered
//! with the truth and asked of Talos exactly once.
//!
//! Nothing is real but the daemon: its links, machines and services run on tokio's paused clock, under the
//! simulated VMX (package `vmx`), which has codecs of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod backdoor;
mod node;
mod report;
mod session;
mod talos;
mod vsock;
