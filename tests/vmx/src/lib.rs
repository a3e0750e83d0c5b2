//! A simulated VMX: runs an unmodified x86-64 program and plays the VMware host for it.
//!
//! ```text
//! program ──in/ins/outs, vmcall, vmmcall, cpuid──▶ trace ──registers──▶ host ──▶ vcenter, events, violations
//!         ──socket(AF_VSOCK), connect────────────▶ trace ──stream─────▶ vsock server ──▲
//!                                                                        test: Vmx ────┘
//!         ──open, read, write, poll of a port────▶ trace ◀──line───── test: SerialPort
//! ```
//!
//! * [`Vmx::builder`] starts a program; [`Vmx::wait_for`] waits for a state of the [`Host`], woken by every
//!   change; [`Vmx::host`] spoils things; [`Vmx::request`] asks the guest over TCLO.
//! * `codec` are decoders of the simulator's own, kept apart from the daemon's on purpose.
//! * [`guest_operations::GuestClient`] is a user of vCenter who runs programs in the guest and fetches files.
//! * [`SerialPort`] is a virtio-serial port, for the hypervisors that have one ([`VmxBuilder::serial_port`]).
//! * Everything the guest does against the protocol lands in [`Host::violations`]; a test may demand that
//!   it stays empty.

mod builder;
pub mod codec;
mod exit;
pub mod guest_operations;
mod host;
mod profile;
mod run;
mod serial;
mod shared;
mod trace;
mod vsock_server;

pub use builder::VmxBuilder;
pub use exit::ExitStatus;
pub use host::*;
pub use profile::{Form, Profile};
pub use run::{Rss, Vmx, WaitError};
pub use serial::{Client, LATE_NEWS, PortCall, PortEntry, PortFault, SerialPort};
pub(crate) use shared::Shared;
pub use trace::Sandbox;
