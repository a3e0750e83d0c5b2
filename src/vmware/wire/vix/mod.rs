//! VIX messages as they travel over TCLO [foundryToolsDaemon.c, foundryMsg.c, vixCommands.h].
//!
//! ```text
//! request  Vix_1_Relayed_Command SP "name" NUL header(51) body credential [authentication data(44)]
//! reply    OK SP error SP additional-error SP text NUL      or, when the request asks for binary,
//!          OK SP error SP additional-error SP # bytes
//! ```
//!
//! [`VixRequest`] is header and cut, [`Operation`] the body, [`NamePassword`] the credential; [`result()`] and
//! [`Property`] make what is answered. Everything is little-endian and unaligned. Errors travel inside an `OK ` reply.
//! Where open-vm-tools trusts a length, this parser compares it with what was received.
//!
//! A fault is [`VixError::INVALID_HEADER`] when lengths do not agree or a body is shorter than the fixed part of its
//! operation, and [`VixError::INVALID_BODY`] when what follows that part is not there or not what it says.

mod body;
mod credential;
mod error;
mod fields;
mod properties;
mod request;
mod result;

pub use body::{ListFiles, Operation, StartProgram, is_known};
pub use credential::{NamePassword, Secret};
pub use error::VixError;
pub use properties::{Property, property_list};
pub use request::VixRequest;
pub use result::{FileText, ProcessText, environment_text, file_page, result};

/// VIX_COMMAND_HGFS_SEND_PACKET: its answer is binary whatever the request says.
pub const HGFS_PACKET: u32 = 84;
