//! Planned interruptions: a drain within the host's patience, the quorum of etcd, its leadership.
//!
//! Durations are configured short, so that a drain that would last for ever costs seconds. `node` has what the tests
//! share; `real` runs with a real etcd of three members (`make etcd`).

mod cluster;
mod drain;
mod guard;
mod host_policy;
mod leadership;
mod members;
mod node;
mod on_qemu;
mod presses;
mod real;
mod trouble;
