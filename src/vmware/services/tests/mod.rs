//! The services as the host sees them, on virtual time.

mod backlog;
mod etcd;
mod guest_info;
mod guest_operations;
mod ha;
mod host;
mod invariants;
mod inventory;
mod nics_in_time;
mod power;
mod requests;
mod schedule;
mod storage;
mod suspend;
mod unsafe_config;
mod variables;
mod vmbackup;
mod vmotion;
