//! The event loop: the only place with select, spawn, timers and the real clock.

pub mod alarm;
pub mod channel;
pub mod link;
pub mod rpci_link;
pub mod tclo_link;
