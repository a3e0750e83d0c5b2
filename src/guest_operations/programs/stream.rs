//! `apid.Stream`: stdin and stdout are the bytes of one TCP connection to apid on this node.
//!
//! We see ciphertext; Talos' own mutual TLS says who may do what. Bytes are taken from the connection only while
//! there is room for them, so a slow reader slows the sender down.

use std::time::Duration;

use super::work::{Progress, World};
use crate::guest_operations::inquiries::{Inquiries, Ticket};
use crate::inquiry::{Answer, Inquiry, MOST_IN_PIECE};

/// How long both sides may be silent.
pub(super) const MOST_SILENCE: Duration = Duration::from_secs(10 * 60);
/// Why a silent one ends.
pub(super) const SILENT: &str = "neither side has said anything for 10 minutes";
/// Bytes that wait for the reader.
const MOST_WAITING: usize = 256 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Stream {
    ticket: Ticket,
}

impl Stream {
    /// Connects.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub(super) fn begin(arguments: &[String], world: &mut World<'_>) -> Result<Self, String> {
        if !arguments.is_empty() {
            return Err("it takes no arguments: there is one apid here".to_owned());
        }
        let ticket = world.ask(Inquiry::Apid)?;
        Ok(Self { ticket })
    }

    /// Sends what the caller has written.
    pub(super) fn feed(&self, bytes: &[u8], inquiries: &mut Inquiries) {
        for piece in bytes.chunks(MOST_IN_PIECE) {
            inquiries.feed(&self.ticket, piece.to_vec());
        }
    }

    /// Takes what has come, as far as there is room.
    pub(super) fn step(&self, world: &mut World<'_>) -> Result<Progress, String> {
        let mut progress = Progress::Waits;
        while world.output.stdout_len() + MOST_IN_PIECE <= MOST_WAITING {
            let Some(answer) = world.rooms.inquiries.take(&self.ticket) else {
                break;
            };
            progress = Progress::Goes;
            match answer {
                Answer::Bytes(bytes) => world.write(&bytes)?,
                Answer::End(Ok(())) => return Ok(Progress::Ended(0)),
                Answer::End(Err(trouble)) => return Err(trouble.to_string()),
                _ => {}
            }
        }
        Ok(progress)
    }
}
