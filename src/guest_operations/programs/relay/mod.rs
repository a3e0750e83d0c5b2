//! `http.RoundTrip talos`: one call of the Talos API, as gRPC-Web over HTTP/1.1 on stdin and stdout.
//!
//! ```text
//! stdin ─► http ─► Request ─► methods: only reads? ─► grpc_web ─► Inquiry::Call ─► messages, trailers ─► stdout
//! ```
//! What is not a call gets an HTTP error. A method that does more than read gets a gRPC status, and Talos is not
//! asked. Nothing in the request chooses a host.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod grpc_web;
mod http;

use std::time::Duration;

use super::methods;
use super::work::{Progress, World, reason};
use crate::guest_operations::inquiries::Ticket;
use crate::inquiry::{Answer, Inquiry};
use grpc_web::{
    DEADLINE_EXCEEDED, MEDIA_TYPE, PERMISSION_DENIED, RESOURCE_EXHAUSTED, data, trailers,
};
use http::Request;

/// How long nothing may come, neither of the request nor of the answer.
pub(super) const MOST_SILENCE: Duration = Duration::from_secs(60);
/// How long a call may last, its request included.
pub(super) const MOST_TIME: Duration = Duration::from_secs(120);
/// The one host.
const HOST: &str = "talos";

/// See the module.
#[derive(Debug)]
pub(super) enum Relay {
    /// The request so far.
    Reads {
        /// Its bytes.
        bytes: Vec<u8>,
        /// There are more than have been looked at.
        has_more: bool,
    },
    /// The answer is under way; its head is written.
    Calls(Ticket),
}

impl Relay {
    /// Waits for a request.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub(super) fn begin(arguments: &[String]) -> Result<Self, String> {
        if arguments != [HOST] {
            return Err(format!(
                "its one argument is the host, and the only host is {HOST}"
            ));
        }
        Ok(Self::Reads {
            bytes: Vec::new(),
            has_more: false,
        })
    }

    /// Bytes of the request that are kept.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Reads { bytes, .. } => bytes.len(),
            Self::Calls(_) => 0,
        }
    }

    /// More of the request; what comes behind it is dropped.
    pub(super) fn feed(&mut self, more: &[u8]) {
        if let Self::Reads { bytes, has_more } = self {
            let room = http::MOST.saturating_sub(bytes.len());
            bytes.extend(more.get(..room).unwrap_or(more));
            *has_more = true;
        }
    }

    /// Goes on.
    pub(super) fn step(&mut self, world: &mut World<'_>) -> Result<Progress, String> {
        match self {
            Self::Calls(ticket) => answer(ticket, world),
            Self::Reads {
                has_more: false, ..
            } => Ok(Progress::Waits),
            Self::Reads { bytes, has_more } => match http::parse(bytes) {
                Ok(None) => {
                    *has_more = false;
                    Ok(Progress::Waits)
                }
                Ok(Some(request)) => self.call(&request, world),
                Err(refusal) => {
                    let status = refusal.status();
                    let text = format!("{refusal}\n");
                    let head = format!(
                        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
                        text.len()
                    );
                    world.write(head.as_bytes())?;
                    Ok(Progress::Ended(0))
                }
            },
        }
    }

    fn call(&mut self, request: &Request, world: &mut World<'_>) -> Result<Progress, String> {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n\r\n");
        world.write(head.as_bytes())?;
        if !methods::only_reads(&request.method) {
            let why = format!(
                "{} is not one of the methods that only read",
                request.method
            );
            return end(PERMISSION_DENIED, &why, world);
        }
        let message = match grpc_web::message(&request.body) {
            Ok(message) => message.to_vec(),
            Err((status, why)) => return end(status, why, world),
        };
        let inquiry = Inquiry::Call {
            method: request.method.clone(),
            message,
        };
        match world.ask(inquiry) {
            Err(why) => end(RESOURCE_EXHAUSTED, &why, world),
            Ok(ticket) => {
                *self = Self::Calls(ticket);
                Ok(Progress::Goes)
            }
        }
    }

    /// Nothing has come for too long, or the call has no end.
    pub(super) fn give_up(&self, world: &mut World<'_>) -> Result<Progress, String> {
        match self {
            Self::Reads { .. } => Err("no whole request has come".to_owned()),
            Self::Calls(_) => end(DEADLINE_EXCEEDED, "the call takes too long", world),
        }
    }
}

fn answer(ticket: &Ticket, world: &mut World<'_>) -> Result<Progress, String> {
    let mut progress = Progress::Waits;
    while let Some(answer) = world.rooms.inquiries.take(ticket) {
        progress = Progress::Goes;
        match answer {
            Answer::Message(message) => {
                if let Err(why) = world.write(&data(&message)) {
                    return end(RESOURCE_EXHAUSTED, &why, world);
                }
            }
            Answer::End(Ok(())) => return end(0, "", world),
            Answer::End(Err(trouble)) => {
                // A trouble is never OK.
                let status = if trouble.status == 0 {
                    2
                } else {
                    trouble.status
                };
                return end(status, &reason(&trouble), world);
            }
            _ => {}
        }
    }
    Ok(progress)
}

/// The trailers end the answer.
fn end(status: u32, why: &str, world: &mut World<'_>) -> Result<Progress, String> {
    world.write_last(&trailers(status, why))?;
    Ok(Progress::Ended(0))
}
