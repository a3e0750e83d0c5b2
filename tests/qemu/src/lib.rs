//! A real QEMU (TCG) with a guest agent in it, for tests.
//!
//! ```text
//!  test ── QMP ─────────────────────────► ┌ QEMU ────────────────────────────────────────────────┐
//!   │  ◄── socket of the agent's port ──► │ virtio-serial ◄──► agent, in the container Talos makes│
//!   │  ◄── control ─────────────────────► │ init (sh)              │ machine.sock                 │
//!   └─ apid ◄── relay, TCP ── user net ── │ relay ◄────────────────┘                              │
//!                                         └───────────────────────────────────────────────────────┘
//! ```
//!
//! The guest is Debian's cloud kernel and an initramfs that `image` makes of this machine's programs. The embedded
//! Talos API is in the test, so that it is scripted and journalled as everywhere else; two relays carry machined's
//! socket over the guest's network.

mod client;
mod guest;
mod image;
mod libvirt;
mod qmp;
pub mod relay;
mod writers;

pub use client::Client;
pub use guest::{Guest, Parts, Shell};
pub use image::{Agent, Image, file_systems_installed, installed, libvirt_installed};
pub use libvirt::Libvirt;
pub use qmp::Monitor;
pub use writers::{PAUSE, Writers};

use std::time::Duration;

/// For a boot and for the agent's start on a loaded machine: both take some seconds.
pub const BOOT: Duration = Duration::from_secs(90);

/// For everything else, which takes milliseconds.
pub const SOON: Duration = Duration::from_secs(20);

/// Without these commands KubeVirt shows `AgentVersionNotSupported`. The test for it in its virt-handler is not exported.
pub const DEMANDED: [&str; 10] = [
    "guest-ping",
    "guest-get-time",
    "guest-info",
    "guest-shutdown",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
    "guest-get-host-name",
    "guest-get-users",
    "guest-get-timezone",
    "guest-get-osinfo",
];

/// The name of the agent's port.
pub const PORT: &str = "org.qemu.guest_agent.0";
