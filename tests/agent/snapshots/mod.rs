//! Quiesced snapshots of a node with real file systems: which are frozen, for how long, and that none stays frozen.
//!
//! ```text
//!   Vmx ── vmbackup.start … ──► agent ── freezer ──► FIFREEZE: ext4 and XFS on loop devices (tests/disks) ◄── writers
//! ```
//! What stands is read from the writers' time lines. Talos names the loop devices as EPHEMERAL and a user volume.

mod channel;
mod ends;
mod freezer;
mod node;
mod taking;

pub(crate) use ends::kills;
pub(crate) use freezer::freezer_of;
pub(crate) use node::{Node, Sent, commits, events, is_ready, until_event};
