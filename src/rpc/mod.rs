//! The host's protocols as machines without I/O: message channel, RPCI, TCLO.

pub mod message_channel;
pub mod route;
pub mod rpci;
pub mod tclo;
