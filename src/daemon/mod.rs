//! The event loop: the only place with select, spawn, timers and the real clock.

pub mod channel;
