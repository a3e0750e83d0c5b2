//! QEMU's guest agent protocol: the front end towards QEMU, and so towards libvirt, Proxmox VE and KubeVirt.
//!
//! ```text
//! ┌──────────────┐ virtio-serial ┌──────┐  bytes   ┌───────┐   requests   ┌──────────┐
//! │ QEMU and who │ ◄───────────► │ port │ ◄──────► │ qmp   │ ◄──────────► │ commands │
//! │ asks it      │               │      │          │       │   replies    │          │
//! └──────────────┘               └──────┘          └───────┘              └──────────┘
//! ```
//! [`port`] does I/O; the others are fed bytes, facts and the time.

pub mod commands;
mod front_end;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
pub mod port;
pub mod qmp;

pub use front_end::Qemu;
