//! An agent that knows ping and the two syncs, for the tests of the stream.

mod bounds;
mod errors;
mod properties;
mod replies;
mod stream;

use serde_json::json;

use super::*;

/// What an agent that knows ping and the two syncs answers to these pieces of a stream.
fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut parser = Parser::default();
    let mut sent = Vec::new();
    for piece in pieces {
        parser.feed(piece);
        while let Some(received) = parser.next() {
            sent.extend(answer(received));
        }
    }
    sent
}

fn answer(received: Received) -> Vec<u8> {
    let request = match received {
        Received::Request(request) => request,
        Received::Malformed { error, id } => return reply(&Err(error), id.as_ref()),
    };
    let id = request.id.as_ref();
    let argument = request.arguments.get("id").cloned().unwrap_or_default();
    match request.command.as_str() {
        "guest-ping" => reply(&Ok(json!({})), id),
        "guest-sync" => reply(&Ok(argument), id),
        "guest-sync-delimited" => delimited(&Ok(argument), id),
        name => {
            let desc = format!("The command {name} has not been found");
            reply(&Err(Error::CommandNotFound(desc)), id)
        }
    }
}
