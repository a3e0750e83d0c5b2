//! The exhaustive fault sweep: a whole session of a node, with a fault at each of its steps.
//!
//! A session is start, reset, registration, guest info, a change of address, a ping, broadcastIP and a power
//! operation. It runs once without a fault, which tells its steps; then once for each step and each kind of
//! fault, with the fault once and three times in a row. Whatever happens: nothing panics, the host sees the
//! guest running again soon, it ends up with the right guest information, and the power operation is answered
//! with the truth and asked of Talos exactly once.
//!
//! Nothing is real but the daemon: its links, machines and services run on tokio's paused clock, under the
//! simulated VMX (package `vmx`), which has codecs of its own. Talos is a script, or in `machined` the embedded
//! Talos API (package `apid`) with the daemon's real client. A sample of all this runs from outside, with the real
//! binary in real time: `tests/agent/sweep_sample.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod backdoor;
mod daemon;
mod guest_operations;
mod interruption;
mod machined;
mod node;
mod quiesce;
mod report;
mod session;
mod talos;
mod vsock;

/// As many sessions at once as there are processors.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
